/* What crypto.c shares with its two backends, and nobody else includes. */
#pragma once
#include "daemons/stack-core/ipsec/crypto.h"

struct imb_key;
struct openssl_key;

/* How a job goes through its backend. */
enum crypto_way {
	WAY_OPENSSL,
	WAY_DIRECT, /* one call does it: GCM */
	WAY_BURST,  /* the library completes a burst at once: ChaCha20-Poly1305 */
	WAY_LANES   /* jobs wait in lanes until enough of them are there: CBC, HMAC, XCBC */
};

struct crypto_key {
	enum crypto_backend backend; /* CRYPTO_IMB or CRYPTO_OPENSSL */
	enum crypto_way way;
	enum crypto_cipher cipher;
	enum crypto_auth auth;
	uint8_t key_len;
	uint8_t icv; /* of the AEAD or the MAC */
	union {
		struct imb_key *imb;
		struct openssl_key *openssl;
	};
};

struct crypto_key_bytes {
	const uint8_t *key, *auth_key; /* DES keys come here as 3DES keys */
	size_t key_len, auth_len;
};

struct imb_worker;

int imb_key_new(struct crypto_key *k, const struct crypto_key_bytes *b, struct errbuf *err);
void imb_key_free(struct crypto_key *k);
struct imb_worker *imb_worker_new(void); /* NULL: not on this CPU */
void imb_worker_free(struct imb_worker *w);
/* All of WAY_DIRECT, side by side; the others from anywhere. How many failed or are bad. */
unsigned imb_run_direct(struct imb_worker *w, struct crypto_job *jobs, size_t n);
void imb_seal_flat(struct imb_worker *w, const struct crypto_flat *f, size_t n);
unsigned imb_open_flat(struct imb_worker *w, struct crypto_flat *f, size_t n);
unsigned imb_run_burst(struct imb_worker *w, struct crypto_job *const *jobs, size_t n);
unsigned imb_run_lanes(struct imb_worker *w, struct crypto_job *const *jobs, size_t n);

int openssl_key_new(struct crypto_key *k, const struct crypto_key_bytes *b, struct errbuf *err);
void openssl_key_free(struct crypto_key *k);
void openssl_run(unsigned worker, struct crypto_job *job);
