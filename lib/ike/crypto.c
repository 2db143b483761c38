#include "lib/ike/crypto.h"
#include "lib/base/secret.h"
#include "lib/ike/dh.h"
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

enum { DES_KEY = 8, DES3_KEY = 24, DES_BLOCK = 8, AES_BLOCK = 16, BYTE_BITS = 8, HMAC_BLOCK_MAX = 128 };

/* Fetched once: OpenSSL looks an algorithm up in all of its providers, under locks, whenever it is
 * asked for one by name or by its EVP_sha256() and the like; for the small messages of IKE that
 * costs as much as the hash. */
static struct {
	uint16_t number;
	const char *name;
	size_t len;
	EVP_MD *md; /* NULL: this build has it not */
} hashes[] = {{IKE_HASH_MD5, "MD5", 16, NULL}, {IKE_HASH_SHA1, "SHA1", 20, NULL}, {IKE_HASH_SHA2_256, "SHA2-256", 32, NULL},
	{IKE_HASH_SHA2_384, "SHA2-384", 48, NULL}, {IKE_HASH_SHA2_512, "SHA2-512", 64, NULL}};
static struct {
	const char *name;
	EVP_CIPHER *cipher;
} ciphers[] = {{"DES-EDE3-CBC", NULL}, {"AES-128-CBC", NULL}, {"AES-192-CBC", NULL}, {"AES-256-CBC", NULL}};
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		hashes[i].md = EVP_MD_fetch(NULL, hashes[i].name, NULL);
	for (size_t i = 0; i < sizeof(ciphers) / sizeof(*ciphers); i++)
		ciphers[i].cipher = EVP_CIPHER_fetch(NULL, ciphers[i].name, NULL);
}

static const EVP_MD *md_of(uint16_t hash)
{
	(void)pthread_once(&fetched, fetch);
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		if (hashes[i].number == hash)
			return hashes[i].md;
	return NULL;
}

size_t ike_hash_len(uint16_t hash)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		if (hashes[i].number == hash)
			return md_of(hash) ? hashes[i].len : 0;
	return 0;
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

/* One of the two hashes of HMAC: of the key's block, every byte changed by @pad, and of what follows. */
static bool padded_hash(EVP_MD_CTX *ctx, const EVP_MD *md, const uint8_t *key, size_t block, uint8_t pad,
	const struct ike_part *parts, size_t n, uint8_t *out)
{
	uint8_t first[HMAC_BLOCK_MAX];

	for (size_t i = 0; i < block; i++)
		first[i] = key[i] ^ pad;
	bool good = EVP_DigestInit_ex(ctx, md, NULL) && EVP_DigestUpdate(ctx, first, block);
	for (size_t i = 0; i < n && good; i++)
		good = EVP_DigestUpdate(ctx, parts[i].p, parts[i].len);
	secret_wipe(first, block);
	return good && EVP_DigestFinal_ex(ctx, out, NULL);
}

/* HMAC (RFC 2104), over OpenSSL's hash: its own HMAC takes more time to set up than to work on what
 * IKE gives it (fifteen of them in a negotiation, of two to ten blocks each). */
static int hmac_prf(uint16_t hash, const void *key, size_t key_len, const struct ike_part *parts,
	size_t n, uint8_t *out)
{
	const EVP_MD *md = md_of(hash);
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
	size_t block = md ? (size_t)EVP_MD_get_block_size(md) : 0, len = ike_hash_len(hash);
	uint8_t whole[HMAC_BLOCK_MAX] = {0}, inner[IKE_HASH_MAX];
	bool good = ctx && block <= sizeof(whole);

	if (good && key_len > block)
		good = EVP_DigestInit_ex(ctx, md, NULL) && EVP_DigestUpdate(ctx, key, key_len) && EVP_DigestFinal_ex(ctx, whole, NULL);
	else if (good && key_len)
		memcpy(whole, key, key_len);
	good = good && padded_hash(ctx, md, whole, block, 0x36, parts, n, inner) &&
	       padded_hash(ctx, md, whole, block, 0x5c, &IKE_PART(inner, len), 1, out);
	EVP_MD_CTX_free(ctx); /* clears its state */
	secret_wipe(whole, sizeof(whole));
	secret_wipe(inner, sizeof(inner));
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
	(void)pthread_once(&fetched, fetch);
	return ciphers[s->enc != IKE_ENC_AES ? 0 : s->key_len == 16 ? 1 : s->key_len == 24 ? 2 : 3].cipher;
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
	const EVP_CIPHER *cipher = cipher_of(s);
	bool good = ctx && cipher && EVP_CipherInit_ex2(ctx, cipher, key, iv, encrypt, NULL) &&
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
