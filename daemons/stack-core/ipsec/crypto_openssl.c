/* crypto_openssl: the EVP backend, one job at a time. EVP contexts change while they are used, so a
 * key has a set of them for each worker, made by that worker when it first meets the key (the one
 * allocation in the path, once an SA and worker).
 *
 * AES-XCBC-MAC (RFC 3566) is not in OpenSSL: it is CBC-MAC under K1 with K2 or K3 XORed into the
 * last block. */
#include "daemons/stack-core/ipsec/crypto_backend.h"
#include "daemons/stack-core/ipsec/keymem.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

struct contexts {
	EVP_CIPHER_CTX *enc, *dec;
	EVP_MAC_CTX *mac;
	EVP_CIPHER_CTX *xcbc;
};

struct openssl_key {
	const EVP_CIPHER *cipher;
	uint8_t key[32];
	uint8_t auth_key[64];
	size_t auth_len;
	uint8_t k1[16], k2[16], k3[16];
	EVP_MAC *mac;
	const char *digest;
	struct contexts *contexts[CRYPTO_WORKERS_MAX];
};

static const EVP_CIPHER *evp_cipher(enum crypto_cipher c, size_t key_len)
{
	switch (c) {
	case CIPHER_AES_GCM:
		return key_len == 16   ? EVP_aes_128_gcm()
		       : key_len == 24 ? EVP_aes_192_gcm()
				       : EVP_aes_256_gcm();
	case CIPHER_AES_CBC:
		return key_len == 16   ? EVP_aes_128_cbc()
		       : key_len == 24 ? EVP_aes_192_cbc()
				       : EVP_aes_256_cbc();
	case CIPHER_CHACHA20_POLY1305:
		return EVP_chacha20_poly1305();
	case CIPHER_3DES_CBC:
		return EVP_des_ede3_cbc();
	default:
		return NULL;
	}
}

static const char *evp_digest(enum crypto_auth a)
{
	static const char *const names[AUTH_COUNT] = {
		[AUTH_HMAC_MD5_96] = "MD5",
		[AUTH_HMAC_SHA1_96] = "SHA1",
		[AUTH_HMAC_SHA2_256_128] = "SHA256",
		[AUTH_HMAC_SHA2_384_192] = "SHA384",
		[AUTH_HMAC_SHA2_512_256] = "SHA512",
	};
	return names[a];
}

static void contexts_free(struct contexts *c)
{
	if (!c)
		return;
	EVP_CIPHER_CTX_free(c->enc);
	EVP_CIPHER_CTX_free(c->dec);
	EVP_CIPHER_CTX_free(c->xcbc);
	EVP_MAC_CTX_free(c->mac);
	free(c);
}

static bool cipher_contexts(const struct openssl_key *ok, struct contexts *c)
{
	if (!ok->cipher)
		return true;
	c->enc = EVP_CIPHER_CTX_new();
	c->dec = EVP_CIPHER_CTX_new();
	return c->enc && c->dec &&
	       EVP_EncryptInit_ex(c->enc, ok->cipher, NULL, ok->key, NULL) > 0 &&
	       EVP_DecryptInit_ex(c->dec, ok->cipher, NULL, ok->key, NULL) > 0 &&
	       EVP_CIPHER_CTX_set_padding(c->enc, 0) > 0 &&
	       EVP_CIPHER_CTX_set_padding(c->dec, 0) > 0;
}

static bool mac_contexts(const struct openssl_key *ok, enum crypto_auth auth, struct contexts *c)
{
	if (auth == AUTH_NONE || auth == AUTH_AH)
		return true;
	if (auth == AUTH_AES128_XCBC_96) {
		c->xcbc = EVP_CIPHER_CTX_new();
		return c->xcbc &&
		       EVP_EncryptInit_ex(c->xcbc, EVP_aes_128_cbc(), NULL, ok->k1, NULL) > 0 &&
		       EVP_CIPHER_CTX_set_padding(c->xcbc, 0) > 0;
	}
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
			OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)ok->digest, 0),
		OSSL_PARAM_construct_end(),
	};
	c->mac = EVP_MAC_CTX_new(ok->mac);
	return c->mac && EVP_MAC_init(c->mac, ok->auth_key, ok->auth_len, params) > 0;
}

static struct contexts *contexts_of(const struct crypto_key *k, unsigned worker)
{
	struct openssl_key *ok = k->openssl;

	if (ok->contexts[worker])
		return ok->contexts[worker];
	struct contexts *c = xnew(struct contexts);
	if (!cipher_contexts(ok, c) || !mac_contexts(ok, k->auth, c)) {
		contexts_free(c);
		return NULL;
	}
	ok->contexts[worker] = c;
	return c;
}

/* RFC 3566 section 4 step 1: K1, K2, K3 are the blocks 01.., 02.., 03.. encrypted under the key. */
static bool xcbc_keys(struct openssl_key *ok, const uint8_t key[16])
{
	uint8_t in[48], out[48];
	int len = 0;

	for (int i = 0; i < 3; i++)
		memset(in + 16 * i, i + 1, 16);
	EVP_CIPHER_CTX *ctx = xcheck(EVP_CIPHER_CTX_new());
	bool good = EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key, NULL) > 0 &&
		    EVP_CIPHER_CTX_set_padding(ctx, 0) > 0 &&
		    EVP_EncryptUpdate(ctx, out, &len, in, sizeof(in)) > 0 && len == sizeof(out);
	EVP_CIPHER_CTX_free(ctx);
	memcpy(ok->k1, out, 16);
	memcpy(ok->k2, out + 16, 16);
	memcpy(ok->k3, out + 32, 16);
	secret_wipe(out, sizeof(out));
	return good;
}

int openssl_key_new(struct crypto_key *k, const struct crypto_key_bytes *b, struct errbuf *err)
{
	struct openssl_key *ok = keymem_new(sizeof(*ok));
	bool good = true;

	k->openssl = ok;
	ok->cipher = evp_cipher(k->cipher, b->key_len);
	if (b->key_len)
		memcpy(ok->key, b->key, b->key_len);
	if (b->auth_len)
		memcpy(ok->auth_key, b->auth_key, b->auth_len);
	ok->auth_len = b->auth_len;
	ok->digest = evp_digest(k->auth);
	if (k->auth == AUTH_AES128_XCBC_96)
		good = xcbc_keys(ok, b->auth_key);
	else if (k->auth != AUTH_NONE && k->auth != AUTH_AH)
		good = (ok->mac = EVP_MAC_fetch(NULL, "HMAC", NULL)) != NULL;
	/* Asking once here tells what OpenSSL refuses now rather than for every packet. */
	if (!good || !contexts_of(k, 0)) {
		openssl_key_free(k);
		return err_set(err, ENOTSUP, "OpenSSL does not offer this algorithm");
	}
	return 0;
}

void openssl_key_free(struct crypto_key *k)
{
	for (unsigned i = 0; i < CRYPTO_WORKERS_MAX; i++)
		contexts_free(k->openssl->contexts[i]);
	EVP_MAC_free(k->openssl->mac);
	keymem_free(k->openssl, sizeof(*k->openssl));
	k->openssl = NULL;
}

/* GCM and ChaCha20-Poly1305: IVs of 12 bytes are the default of both. */
static bool run_aead(struct contexts *c, struct crypto_job *job)
{
	EVP_CIPHER_CTX *ctx = job->encrypt ? c->enc : c->dec;
	uint8_t *data = job->base + job->cipher_off;
	int len;

	if (EVP_CipherInit_ex(ctx, NULL, NULL, NULL, job->iv, job->encrypt) <= 0 ||
		EVP_CipherUpdate(ctx, NULL, &len, job->aad, (int)job->aad_len) <= 0 ||
		EVP_CipherUpdate(ctx, data, &len, data, (int)job->cipher_len) <= 0)
		return false;
	if (job->encrypt)
		return EVP_CipherFinal_ex(ctx, data, &len) > 0 &&
		       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, job->icv) > 0;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, job->icv) <= 0)
		return false;
	job->bad = EVP_CipherFinal_ex(ctx, data, &len) <= 0;
	return true;
}

static bool run_cbc(struct contexts *c, struct crypto_job *job)
{
	EVP_CIPHER_CTX *ctx = job->encrypt ? c->enc : c->dec;
	uint8_t *data = job->base + job->cipher_off;
	int len;

	return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, job->iv, job->encrypt) > 0 &&
	       EVP_CipherUpdate(ctx, data, &len, data, (int)job->cipher_len) > 0 &&
	       (uint32_t)len == job->cipher_len;
}

static bool xcbc_blocks(EVP_CIPHER_CTX *ctx, const uint8_t *data, size_t len, uint8_t mac[16])
{
	uint8_t out[1024];
	int got;

	for (; len; data += got, len -= (size_t)got) {
		size_t now = len < sizeof(out) ? len : sizeof(out);
		if (EVP_EncryptUpdate(ctx, out, &got, data, (int)now) <= 0 || got <= 0)
			return false;
		memcpy(mac, out + got - 16, 16);
	}
	return true;
}

static bool run_xcbc(
	const struct openssl_key *ok, struct contexts *c, struct crypto_job *job, uint8_t *mac)
{
	static const uint8_t zero[16];
	size_t last = job->hash_len % 16;
	uint8_t block[16] = {0};

	if (!last && job->hash_len)
		last = 16;
	size_t whole = job->hash_len - last;
	memcpy(block, job->base + whole, last);
	if (last < 16)
		block[last] = 0x80;
	for (size_t i = 0; i < 16; i++)
		block[i] ^= last < 16 ? ok->k3[i] : ok->k2[i];
	return EVP_EncryptInit_ex(c->xcbc, NULL, NULL, NULL, zero) > 0 &&
	       xcbc_blocks(c->xcbc, job->base, whole, mac) && xcbc_blocks(c->xcbc, block, 16, mac);
}

static bool run_mac(const struct crypto_key *k, struct contexts *c, struct crypto_job *job)
{
	uint8_t mac[64];
	size_t len;

	if (k->auth == AUTH_AES128_XCBC_96) {
		if (!run_xcbc(k->openssl, c, job, mac))
			return false;
	} else if (EVP_MAC_init(c->mac, NULL, 0, NULL) <= 0 ||
		   EVP_MAC_update(c->mac, job->base, job->hash_len) <= 0 ||
		   EVP_MAC_final(c->mac, mac, &len, sizeof(mac)) <= 0) {
		return false;
	}
	if (job->encrypt)
		memcpy(job->icv, mac, k->icv);
	else
		job->bad = CRYPTO_memcmp(mac, job->icv, k->icv) != 0;
	return true;
}

void openssl_run(unsigned worker, struct crypto_job *job)
{
	const struct crypto_key *k = job->key;
	struct contexts *c = contexts_of(k, worker);
	bool good = c != NULL;

	if (good && k->auth == AUTH_NONE) {
		good = run_aead(c, job);
	} else if (good && k->auth == AUTH_AH) {
		good = run_cbc(c, job);
	} else if (good && job->encrypt) {
		good = (k->cipher == CIPHER_NULL || run_cbc(c, job)) && run_mac(k, c, job);
	} else if (good) {
		good = run_mac(k, c, job);
		if (good && !job->bad && k->cipher != CIPHER_NULL)
			good = run_cbc(c, job);
	}
	job->failed = !good;
}
