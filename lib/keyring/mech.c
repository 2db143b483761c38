#include "lib/keyring/mech.h"
#include <openssl/rsa.h>

static const struct mech mechs[SIGN_MECH_MAX] = {
	[SIGN_RSA_PKCS1_RAW] = {EVP_PKEY_RSA, RSA_PKCS1_PADDING, NULL, 0},
	[SIGN_RSA_PKCS1_SHA1] = {EVP_PKEY_RSA, RSA_PKCS1_PADDING, "SHA1", 20},
	[SIGN_RSA_PKCS1_SHA256] = {EVP_PKEY_RSA, RSA_PKCS1_PADDING, "SHA256", 32},
	[SIGN_RSA_PKCS1_SHA384] = {EVP_PKEY_RSA, RSA_PKCS1_PADDING, "SHA384", 48},
	[SIGN_RSA_PKCS1_SHA512] = {EVP_PKEY_RSA, RSA_PKCS1_PADDING, "SHA512", 64},
	[SIGN_RSA_PSS_SHA256] = {EVP_PKEY_RSA, RSA_PKCS1_PSS_PADDING, "SHA256", 32},
	[SIGN_RSA_PSS_SHA384] = {EVP_PKEY_RSA, RSA_PKCS1_PSS_PADDING, "SHA384", 48},
	[SIGN_RSA_PSS_SHA512] = {EVP_PKEY_RSA, RSA_PKCS1_PSS_PADDING, "SHA512", 64},
	[SIGN_ECDSA] = {EVP_PKEY_EC, 0, NULL, 0},
};

const struct mech *mech_find(int mech)
{
	return mech > 0 && mech < SIGN_MECH_MAX ? &mechs[mech] : NULL;
}

bool mech_fits(const struct mech *m, const EVP_PKEY *key, size_t hash_len)
{
	if (EVP_PKEY_get_base_id(key) != m->key_type || !hash_len || hash_len > SIGN_HASH_MAX)
		return false;
	return !m->hash_len || m->hash_len == hash_len;
}

int mech_apply(const struct mech *m, EVP_PKEY_CTX *ctx)
{
	EVP_MD *md = m->md ? EVP_MD_fetch(NULL, m->md, NULL) : NULL;
	bool good = !m->md || md;
	if (good && m->padding)
		good = EVP_PKEY_CTX_set_rsa_padding(ctx, m->padding) > 0;
	if (good && md)
		good = EVP_PKEY_CTX_set_signature_md(ctx, md) > 0;
	if (good && m->padding == RSA_PKCS1_PSS_PADDING)
		good = EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
	EVP_MD_free(md);
	return good ? 0 : -EINVAL;
}
