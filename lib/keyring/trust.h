/* trust: the inside of a trust object, and of a verified key, for the files of verify. */
#pragma once
#include "lib/keyring/verify.h"
#include <openssl/x509.h>
#include <openssl/x509v3.h>

struct trust_crl {
	X509_CRL *crl;
	/* the CA key that its signature was found good with when it was added; NULL: check at
	 * use */
	EVP_PKEY *checked;
};

struct verify_trust {
	STACK_OF(X509) * cas, *intermediates;
	struct trust_crl *crls;
	size_t n_crls;
};

struct peer_key {
	EVP_PKEY *key;
	char subject[IDENT_TEXT_MAX], issuer[IDENT_TEXT_MAX], serial[64];
	int64_t not_after;
	uint8_t fingerprint[32];
};

/* Exactly one certificate or CRL in DER, or NULL. */
X509 *trust_cert(const void *der, size_t len);
X509_CRL *trust_crl(const void *der, size_t len);
bool trust_crl_is_plain(const X509_CRL *crl); /* no critical extension */
bool trust_may_sign_crls(X509 *ca);
/* Is a certificate of @chain, the last one excepted, revoked by the CRLs of @t or by @extra;
 * VERIFY_OK or VERIFY_REVOKED. */
enum verify_outcome trust_check_revoked(const struct verify_trust *t, X509_CRL *const *extra,
	size_t n_extra, STACK_OF(X509) * chain, int64_t now, struct errbuf *e);
/* Is the key of a type and size that we use. */
enum verify_outcome trust_check_key(EVP_PKEY *key, struct errbuf *e);
bool trust_identity(X509 *cert, const struct ident *id, struct errbuf *e);
struct peer_key *peer_key_new(X509 *cert, const void *der, size_t len);
int64_t trust_time(const ASN1_TIME *t); /* seconds since 1970; 0: not a time */
