/* The public key of a verified peer. */
#include "lib/base/sha256.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/dn.h"
#include "lib/keyring/mech.h"
#include "lib/keyring/trust.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

/* A public exponent of thousands of bits would make each verification as dear as thousands of
 * ordinary ones. */
static bool exponent_is_sane(const EVP_PKEY *key)
{
	BIGNUM *exponent = NULL;
	bool sane = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) &&
		    BN_num_bits(exponent) >= 2 && BN_num_bits(exponent) <= 64 &&
		    BN_is_odd(exponent);
	BN_free(exponent);
	return sane;
}

static bool is_known_curve(const EVP_PKEY *key)
{
	char group[64] = "";
	size_t len;
	return EVP_PKEY_get_group_name(key, group, sizeof(group), &len) &&
	       (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0 ||
		       strcmp(group, "secp521r1") == 0);
}

enum verify_outcome trust_check_key(EVP_PKEY *key, struct errbuf *e)
{
	int bits = EVP_PKEY_get_bits(key);
	enum verify_outcome o = VERIFY_OK;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		if (bits < VERIFY_RSA_BITS_MIN || bits > VERIFY_RSA_BITS_MAX ||
			!exponent_is_sane(key))
			o = VERIFY_WEAK;
		if (o)
			(void)err_set(e, EACCES,
				"RSA key of %d bits: %d to %d with an odd exponent of at most 64 "
				"bits is taken",
				bits, VERIFY_RSA_BITS_MIN, VERIFY_RSA_BITS_MAX);
		return o;
	case EVP_PKEY_EC:
		if (!is_known_curve(key))
			o = VERIFY_WEAK;
		if (o)
			(void)err_set(
				e, EACCES, "EC key of another curve than P-256, P-384 and P-521");
		return o;
	default:
		(void)err_set(e, EACCES, "public key that is neither RSA nor EC");
		return VERIFY_MALFORMED;
	}
}

static void serial_text(const X509 *cert, char *out, size_t size)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = bn ? BN_bn2hex(bn) : NULL;
	(void)snprintf(out, size, "%s", hex ? hex : "?");
	OPENSSL_free(hex);
	BN_free(bn);
}

struct peer_key *peer_key_new(X509 *cert, const void *der, size_t len)
{
	struct peer_key *k = xnew(struct peer_key);
	k->key = X509_get_pubkey(cert);
	(void)dn_text(X509_get_subject_name(cert), k->subject, sizeof(k->subject));
	(void)dn_text(X509_get_issuer_name(cert), k->issuer, sizeof(k->issuer));
	serial_text(cert, k->serial, sizeof(k->serial));
	k->not_after = trust_time(X509_get0_notAfter(cert));
	(void)EVP_Digest(der, len, k->fingerprint, NULL, EVP_sha256(), NULL);
	return k;
}

void peer_key_free(struct peer_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->key);
	free(k);
}

const char *peer_key_subject(const struct peer_key *k)
{
	return k->subject;
}

const char *peer_key_issuer(const struct peer_key *k)
{
	return k->issuer;
}

const char *peer_key_serial(const struct peer_key *k)
{
	return k->serial;
}

int64_t peer_key_not_after(const struct peer_key *k)
{
	return k->not_after;
}

const uint8_t *peer_key_fingerprint(const struct peer_key *k)
{
	return k->fingerprint;
}

size_t peer_key_bits(const struct peer_key *k)
{
	return (size_t)EVP_PKEY_get_bits(k->key);
}

/* RFC 2409 section 5.1: what the public operation gives, without its padding, is the hash itself.
 */
static bool recovers(const struct mech *m, EVP_PKEY_CTX *ctx, const uint8_t *hash, size_t hash_len,
	const uint8_t *sig, size_t sig_len)
{
	uint8_t plain[SIGN_SIGNATURE_MAX];
	size_t len = sizeof(plain);
	return EVP_PKEY_verify_recover_init(ctx) > 0 && mech_apply(m, ctx) == 0 &&
	       EVP_PKEY_verify_recover(ctx, plain, &len, sig, sig_len) > 0 && len == hash_len &&
	       CRYPTO_memcmp(plain, hash, len) == 0;
}

int peer_key_verify(const struct peer_key *k, enum sign_mech mech, const void *hash,
	size_t hash_len, const void *sig, size_t sig_len)
{
	const struct mech *m = mech_find((int)mech);
	if (!m || !mech_fits(m, k->key, hash_len))
		return -EINVAL;
	if (!sig_len || sig_len > SIGN_SIGNATURE_MAX ||
		(m->key_type == EVP_PKEY_RSA && sig_len != (size_t)EVP_PKEY_get_size(k->key)))
		return -EBADMSG;
	EVP_PKEY_CTX *ctx = xcheck(EVP_PKEY_CTX_new(k->key, NULL));
	bool good;
	if (mech == SIGN_RSA_PKCS1_RAW)
		good = recovers(m, ctx, hash, hash_len, sig, sig_len);
	else
		good = EVP_PKEY_verify_init(ctx) > 0 && mech_apply(m, ctx) == 0 &&
		       EVP_PKEY_verify(ctx, sig, sig_len, hash, hash_len) > 0;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return good ? 0 : -EBADMSG;
}
