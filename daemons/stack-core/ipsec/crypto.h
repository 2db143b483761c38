/* crypto: encrypt-and-authenticate jobs in batches; one interface, two backends.
 *
 * intel-ipsec-mb works on many packets at once with the widest vectors of the CPU; OpenSSL EVP goes
 * everywhere else. Both fill in the same job, and the tests hold one against the other. Encrypting
 * leaves the ICV at job.icv, decrypting compares with it in constant time and sets job.bad. A job is
 * one cache line and points into the packet: nothing is copied but the IV. Nothing here knows ESP.
 *
 * Order is encrypt-then-MAC when encrypting and MAC over the ciphertext when decrypting. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum crypto_cipher {
	CIPHER_NULL,
	CIPHER_DES_CBC,
	CIPHER_3DES_CBC,
	CIPHER_AES_CBC,
	CIPHER_AES_GCM,
	CIPHER_CHACHA20_POLY1305, /* RFC 7634; z/OS never had it */
	CIPHER_COUNT
};
enum crypto_auth {
	AUTH_NONE,
	AUTH_HMAC_MD5_96,
	AUTH_HMAC_SHA1_96,
	AUTH_HMAC_SHA2_256_128,
	AUTH_HMAC_SHA2_384_192,
	AUTH_HMAC_SHA2_512_256,
	AUTH_AES128_XCBC_96,
	AUTH_AH, /* none of its own: only for ESP in the AH of a bundle (sa.h) */
	AUTH_COUNT
};
enum crypto_backend { CRYPTO_BEST, CRYPTO_IMB, CRYPTO_OPENSSL };

enum { CRYPTO_WORKERS_MAX = 64, CRYPTO_TAG_MAX = 32, CRYPTO_SALT = 4, CRYPTO_JOBS_MAX = 256 };

/* Lengths in bytes. */
struct crypto_cipher_info {
	const char *name;  /* as shown to people */
	uint8_t block, iv; /* iv: as carried in the packet */
	uint8_t icv;	   /* of an AEAD, else 0 */
	bool weak;
};
struct crypto_auth_info {
	const char *name;
	uint8_t key, icv;
	bool weak;
};
const struct crypto_cipher_info *crypto_cipher_info(enum crypto_cipher c);
const struct crypto_auth_info *crypto_auth_info(enum crypto_auth a);
/* Is @len a key length of @c? Without the salt, which RFC 4106 appends. */
bool crypto_cipher_key_ok(enum crypto_cipher c, size_t len);

/* Expanded keys: immutable but for the OpenSSL contexts, of which each worker has its own. */
struct crypto_key;
int crypto_key_new(enum crypto_backend backend, enum crypto_cipher cipher, const uint8_t *key,
	size_t key_len, enum crypto_auth auth, const uint8_t *auth_key, size_t auth_len,
	struct errbuf *err, struct crypto_key **ret);
void crypto_key_free(struct crypto_key *k); /* cleanses; NULL allowed; no worker may be using it */

struct crypto_job {
	const struct crypto_key *key;
	uint8_t *base;	    /* where hashing starts */
	uint8_t *icv;	    /* encrypting: out, the ICV (it may lie in what was hashed); decrypting: in, the one received */
	const uint8_t *aad; /* AEAD */
	uint32_t hash_len;   /* bytes covered by the MAC; unused by an AEAD */
	uint32_t cipher_len; /* a multiple of the block; in place */
	uint16_t cipher_off; /* from base */
	uint8_t aad_len;     /* 8 or 12 */
	bool encrypt;
	bool failed;	/* out: the library refused the job */
	bool bad;	/* out, decrypting: the ICV is not job.icv; the data is garbage */
	uint8_t iv[16]; /* CBC: the block; AEAD: salt and IV, 12 bytes */
} __attribute__((aligned(64)));

/* What one thread needs: a multi-buffer manager, scratch, a source of unpredictable IVs. */
struct crypto_worker;
struct crypto_worker *crypto_worker_new(
	unsigned index); /* index < CRYPTO_WORKERS_MAX, one thread each */
void crypto_worker_free(struct crypto_worker *w);
/* Completes all of @jobs, at most CRYPTO_JOBS_MAX; they may mix keys, algorithms and backends. How many of them failed
 * or are bad. */
unsigned crypto_run(struct crypto_worker *w, struct crypto_job *jobs, size_t n);
void crypto_random_iv(struct crypto_worker *w, uint8_t *out, size_t len); /* len <= 16 */


/* A packet of AES-GCM without ESN, whose parts lie side by side: 8 bytes of AAD, 8 of IV, the data, the ICV. */
struct crypto_flat {
	const struct crypto_key *key; /* crypto_is_flat */
	uint8_t *data;
	uint32_t len;
	uint8_t salt[CRYPTO_SALT];
	bool bad; /* out, opening */
};
bool crypto_is_flat(const struct crypto_key *key);
void crypto_seal_flat(struct crypto_worker *w, const struct crypto_flat *f, size_t n);
unsigned crypto_open_flat(struct crypto_worker *w, struct crypto_flat *f, size_t n); /* how many are bad */

bool crypto_imb_usable(void); /* the library's self test passed on this CPU */
enum crypto_backend crypto_best(void);
