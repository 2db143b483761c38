#include "lib/ike/crypto.h"
#include "lib/base/secret.h"
#include "lib/ike/dh.h"
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

enum { DES_KEY = 8, DES3_KEY = 24, DES_BLOCK = 8, AES_BLOCK = 16, BYTE_BITS = 8 };

static const EVP_MD *md_of(uint16_t hash)
{
	switch (hash) {
	case IKE_HASH_MD5:
		return EVP_md5();
	case IKE_HASH_SHA1:
		return EVP_sha1();
	case IKE_HASH_SHA2_256:
		return EVP_sha256();
	case IKE_HASH_SHA2_384:
		return EVP_sha384();
	case IKE_HASH_SHA2_512:
		return EVP_sha512();
	}
	return NULL;
}

size_t ike_hash_len(uint16_t hash)
{
	const EVP_MD *md = md_of(hash);
	return md ? (size_t)EVP_MD_get_size(md) : 0;
}

static bool cipher_sizes(const struct kex_offer *o, struct ike_suite *s)
{
	switch (o->enc) {
	case IKE_ENC_DES:
		s->key_len = DES_KEY;
		s->block = DES_BLOCK;
		return true;
	case IKE_ENC_3DES:
		s->key_len = DES3_KEY;
		s->block = DES_BLOCK;
		return true;
	case IKE_ENC_AES:
		s->key_len = (uint8_t)(o->key_bits / BYTE_BITS);
		s->block = AES_BLOCK;
		return o->key_bits == 128 || o->key_bits == 192 || o->key_bits == 256;
	}
	return false;
}

int ike_suite_of(const struct kex_offer *o, struct ike_suite *ret)
{
	struct ike_suite s = {.enc = o->enc,
		.hash = o->hash,
		.auth = o->auth,
		.group = o->group,
		.xcbc = o->xcbc};

	s.hash_len = (uint8_t)ike_hash_len(o->hash);
	s.prf_len = o->xcbc ? XCBC_LEN : s.hash_len;
	if (!cipher_sizes(o, &s) || !s.hash_len || !dh_group_known(o->group) ||
		(o->auth != IKE_AUTH_PSK && o->auth != IKE_AUTH_RSA_SIG))
		return -EPROTONOSUPPORT;
	*ret = s;
	return 0;
}

int ike_hash(uint16_t hash, const struct ike_part *parts, size_t n, uint8_t *out)
{
	const EVP_MD *md = md_of(hash);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = md && ctx && EVP_DigestInit_ex(ctx, md, NULL);

	for (size_t i = 0; i < n && good; i++)
		good = EVP_DigestUpdate(ctx, parts[i].p, parts[i].len);
	good = good && EVP_DigestFinal_ex(ctx, out, NULL);
	EVP_MD_CTX_free(ctx);
	if (!good)
		memset(out, 0, ike_hash_len(hash));
	return good ? 0 : -EIO;
}

/* Fetched once: the algorithm, not its state. */
static EVP_MAC *hmac;
static pthread_once_t hmac_once = PTHREAD_ONCE_INIT;

static void fetch_hmac(void)
{
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static int hmac_prf(uint16_t hash, const void *key, size_t key_len, const struct ike_part *parts,
	size_t n, uint8_t *out)
{
	const EVP_MD *md = md_of(hash);
	static const uint8_t no_key[1];

	(void)pthread_once(&hmac_once, fetch_hmac);
	EVP_MAC_CTX *ctx = hmac && md ? EVP_MAC_CTX_new(hmac) : NULL;
	if (!ctx)
		return -EIO;
	/* OpenSSL only reads the name. */
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
				       (char *)(uintptr_t)EVP_MD_get0_name(md), 0),
		OSSL_PARAM_construct_end()};
	bool good = EVP_MAC_init(ctx, key_len ? key : no_key, key_len, params);
	for (size_t i = 0; i < n && good; i++)
		good = EVP_MAC_update(ctx, parts[i].p, parts[i].len);
	size_t len = 0;
	good = good && EVP_MAC_final(ctx, out, &len, IKE_PRF_MAX);
	EVP_MAC_CTX_free(ctx);
	return good ? 0 : -EIO;
}

int ike_prf(const struct ike_suite *s, const void *key, size_t key_len,
	const struct ike_part *parts, size_t n, uint8_t *out)
{
	uint8_t full[IKE_PRF_MAX] = {0};
	int rc = s->xcbc ? xcbc_prf(key, key_len, parts, n, full)
			 : hmac_prf(s->hash, key, key_len, parts, n, full);
	if (rc)
		memset(out, 0, s->prf_len);
	else
		memcpy(out, full, s->prf_len);
	secret_wipe(full, sizeof(full));
	return rc;
}

static const EVP_CIPHER *cipher_of(const struct ike_suite *s)
{
	if (s->enc != IKE_ENC_AES)
		return EVP_des_ede3_cbc();
	return s->key_len == 16	  ? EVP_aes_128_cbc()
	       : s->key_len == 24 ? EVP_aes_192_cbc()
				  : EVP_aes_256_cbc();
}

static int cbc(const struct ike_suite *s, const uint8_t *key, uint8_t *iv, uint8_t *data,
	size_t len, bool encrypt)
{
	uint8_t triple[DES3_KEY], last[IKE_BLOCK_MAX];
	int n = 0;

	if (!len || len % s->block || len > INT32_MAX)
		return -EINVAL;
	if (s->enc == IKE_ENC_DES) {
		for (size_t i = 0; i < DES3_KEY; i += DES_KEY)
			memcpy(triple + i, key, DES_KEY);
		key = triple;
	}
	memcpy(last, data + len - s->block, s->block);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool good = ctx && EVP_CipherInit_ex2(ctx, cipher_of(s), key, iv, encrypt, NULL) &&
		    EVP_CIPHER_CTX_set_padding(ctx, 0) &&
		    EVP_CipherUpdate(ctx, data, &n, data, (int)len) && n == (int)len;
	EVP_CIPHER_CTX_free(ctx);
	if (good)
		memcpy(iv, encrypt ? data + len - s->block : last, s->block);
	else
		memset(data, 0, len);
	secret_wipe(triple, sizeof(triple));
	return good ? 0 : -EIO;
}

int ike_encrypt(const struct ike_suite *s, const uint8_t *key, uint8_t iv[IKE_BLOCK_MAX],
	void *data, size_t len)
{
	return cbc(s, key, iv, data, len, true);
}

int ike_decrypt(const struct ike_suite *s, const uint8_t *key, uint8_t iv[IKE_BLOCK_MAX],
	void *data, size_t len)
{
	return cbc(s, key, iv, data, len, false);
}
