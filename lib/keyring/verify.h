/* verify: is this certificate of a peer good, is it the peer's, and is the signature made with its
 * key.
 *
 * The rules are those of the PKI profile of IKEv1 (RFC 4945) on top of RFC 5280, which OpenSSL's
 * X509_verify_cert follows. A trust object is made once from the CA certificates of a key ring (all
 * of them, or those that a rule's CaLabel names) and their CRLs; after that every function here is
 * pure: the time comes from the caller, nothing is fetched, nothing is opened. A trust object is
 * immutable once filled and may then be used from several threads. */
#pragma once
#include "lib/base/err.h"
#include "lib/keyring/identity.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a stranger may send: more is VERIFY_LIMIT before it is looked at. */
enum {
	VERIFY_CERTS_MAX = 8,	     /* certificates of one peer; also the longest chain */
	VERIFY_CRLS_MAX = 4,	     /* CRLs of one peer */
	VERIFY_CERT_MAX = 16 * 1024, /* bytes of one certificate */
	VERIFY_CRL_MAX = 64 * 1024,  /* bytes of one CRL from a peer */
	VERIFY_TRUST_CRL_MAX = 16 * 1024 * 1024, /* bytes of one CRL of the ring */
	VERIFY_CAS_MAX = 1024,			 /* trusted CAs of one trust object */
	VERIFY_RSA_BITS_MIN = 1024,
	VERIFY_RSA_BITS_MAX = 8192,
	VERIFY_DEPTH_MAX = 8,
};

/* Why not. Each comes with text that says which certificate and what. */
enum verify_outcome {
	VERIFY_OK = 0,
	VERIFY_LIMIT,	  /* too many, too long */
	VERIFY_MALFORMED, /* not DER, bytes left over, no usable public key */
	/* no chain to a trusted CA, a signature in the chain does not fit, a CA that is none */
	VERIFY_UNTRUSTED,
	VERIFY_TIME,	/* not yet valid, or expired */
	VERIFY_REVOKED, /* on a CRL, or a CRL of the ring that should say is out of date */
	/* key usage or extended key usage (RFC 4945 sections 5.1.3.2 and 5.1.3.12) */
	VERIFY_PURPOSE,
	VERIFY_WEAK,	 /* key too small or too large, MD5; SHA-1 unless VERIFY_ALLOW_SHA1 */
	VERIFY_IDENTITY, /* the certificate is good but not of who the ID payload says */
};
const char *verify_outcome_text(int outcome); /* "untrusted" ..., for events and audit */

enum verify_flags {
	VERIFY_ALLOW_SHA1 = 1, /* certificates signed with SHA-1, as old z/OS systems have them */
	/* an extended key usage without ipsecIKE, ikeIntermediate or any does not matter */
	VERIFY_ANY_EKU = 2,
	VERIFY_NO_IDENTITY = 4, /* the caller has compared (or will): .id may be NULL */
};

struct verify_trust;
struct verify_trust *verify_trust_new(void);
void verify_trust_free(struct verify_trust *t); /* NULL allowed */
/* DER is copied. A CA is an anchor whether or not it signed itself (a rule may name an intermediate
 * CA). -EINVAL with the reason: not a certificate, or not one of a CA. -ENOSPC: VERIFY_CAS_MAX. */
int verify_trust_add_ca(struct verify_trust *t, const void *der, size_t len, struct errbuf *e);
/* A certificate that helps to build chains and is not trusted by itself. */
int verify_trust_add_intermediate(
	struct verify_trust *t, const void *der, size_t len, struct errbuf *e);
/* A CRL that the administrator put into the ring. While a CA has one here, certificates of that CA
 * are refused when they are on it, and also when it has passed its nextUpdate (fail closed). Its
 * signature is checked when it is used. CRLs with critical extensions (partitioned, indirect,
 * delta) are refused here. */
int verify_trust_add_crl(struct verify_trust *t, const void *der, size_t len, struct errbuf *e);
size_t verify_trust_cas(const struct verify_trust *t);
/* The DER name of the n-th CA, for a certificate request payload (RFC 2408 section 3.10). Borrowed
 * from @t. */
int verify_trust_ca_name(
	const struct verify_trust *t, size_t n, const uint8_t **ret_der, size_t *ret_len);

struct verify_blob {
	const uint8_t *data;
	size_t len;
};

/* What a peer sent. The first certificate is the peer's own; the others, in any order, may complete
 * the chain. */
struct verify_peer {
	struct verify_blob certs[VERIFY_CERTS_MAX];
	size_t n_certs;
	/* CERT payloads of type 7; they can only take trust away */
	struct verify_blob crls[VERIFY_CRLS_MAX];
	size_t n_crls;
	const struct ident *id; /* of its ID payload */
	int64_t now;		/* seconds since 1970 */
	unsigned flags;		/* enum verify_flags */
};

/* The public key of a verified certificate, with what reports want to know. */
struct peer_key;
/* VERIFY_OK and *@ret, or why not. Order of the checks: limits, form, purpose, strength, chain with
 * time, CRLs, identity. */
enum verify_outcome verify_peer(const struct verify_trust *t, const struct verify_peer *p,
	struct peer_key **ret, struct errbuf *e);
void peer_key_free(struct peer_key *k);			/* NULL allowed */
const char *peer_key_subject(const struct peer_key *k); /* "CN=gw,O=Example", borrowed */
const char *peer_key_issuer(const struct peer_key *k);	/* likewise */
const char *peer_key_serial(const struct peer_key *k);	/* hexadecimal */
int64_t peer_key_not_after(const struct peer_key *k);	/* seconds since 1970 */
/* SHA-256 of the certificate, 32 bytes */
const uint8_t *peer_key_fingerprint(const struct peer_key *k);
size_t peer_key_bits(const struct peer_key *k);

/* Does @id name the holder of this certificate: iPAddress, dNSName or rfc822Name of its
 * subjectAltName, or its subject name (RFC 4945 section 3). A subject's CN or emailAddress is never
 * taken for a host or mailbox. Wildcards in certificates do not count. */
bool verify_identity(const void *cert_der, size_t len, const struct ident *id, struct errbuf *e);

/* Ways to sign, of verify and of the signer alike. @data is always a finished hash. */
enum sign_mech {
	/* RFC 2409 section 5.1: PKCS #1 v1.5 type 1 padding around the bare hash, no DigestInfo */
	SIGN_RSA_PKCS1_RAW = 1,
	SIGN_RSA_PKCS1_SHA1, /* with DigestInfo (IKEv2, RFC 7296 section 3.8) */
	SIGN_RSA_PKCS1_SHA256,
	SIGN_RSA_PKCS1_SHA384,
	SIGN_RSA_PKCS1_SHA512,
	SIGN_RSA_PSS_SHA256, /* salt as long as the hash (RFC 7427) */
	SIGN_RSA_PSS_SHA384,
	SIGN_RSA_PSS_SHA512,
	SIGN_ECDSA, /* r and s as a DER SEQUENCE */
	SIGN_MECH_MAX,
};
enum { SIGN_HASH_MAX = 64, SIGN_SIGNATURE_MAX = VERIFY_RSA_BITS_MAX / 8 };

/* 0: the signature is that key's over @hash. -EBADMSG: it is not (whatever the reason: no oracle).
 * -EINVAL: no such mechanism for this key, or a hash length that the mechanism does not have. */
int peer_key_verify(const struct peer_key *k, enum sign_mech mech, const void *hash,
	size_t hash_len, const void *sig, size_t sig_len);
