/* crypto: the algorithms' table, keys, and the split of a batch between the backends. */
#include "daemons/stack-core/ipsec/crypto_backend.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

static const struct crypto_cipher_info ciphers[CIPHER_COUNT] = {
	[CIPHER_NULL] = {"NULL", 1, 0, 0, false},
	[CIPHER_DES_CBC] = {"DES", 8, 8, 0, true},
	[CIPHER_3DES_CBC] = {"3DES", 8, 8, 0, false},
	[CIPHER_AES_CBC] = {"AES_CBC", 16, 16, 0, false},
	[CIPHER_AES_GCM] = {"AES_GCM", 1, 8, 16, false},
	[CIPHER_CHACHA20_POLY1305] = {"CHACHA20_POLY1305", 1, 8, 16, false},
};

static const struct crypto_auth_info auths[AUTH_COUNT] = {
	[AUTH_NONE] = {"NULL", 0, 0, false},
	[AUTH_HMAC_MD5_96] = {"HMAC_MD5", 16, 12, true},
	[AUTH_HMAC_SHA1_96] = {"HMAC_SHA1", 20, 12, false},
	[AUTH_HMAC_SHA2_256_128] = {"HMAC_SHA2_256_128", 32, 16, false},
	[AUTH_HMAC_SHA2_384_192] = {"HMAC_SHA2_384_192", 48, 24, false},
	[AUTH_HMAC_SHA2_512_256] = {"HMAC_SHA2_512_256", 64, 32, false},
	[AUTH_AES128_XCBC_96] = {"AES128_XCBC_96", 16, 12, false},
	[AUTH_AH] = {"AH", 0, 0, false},
};

enum { KEYSTREAM = 4096, KEYSTREAM_REFILLS = 1 << 16 };

struct crypto_worker {
	unsigned index;
	struct imb_worker *imb;
	struct crypto_job *burst[CRYPTO_JOBS_MAX], *lanes[CRYPTO_JOBS_MAX];
	EVP_CIPHER_CTX *ctr; /* AES-256-CTR under a random key: its stream gives the IVs */
	unsigned refills;
	size_t used;
	uint8_t stream[KEYSTREAM];
};

const struct crypto_cipher_info *crypto_cipher_info(enum crypto_cipher c)
{
	return &ciphers[c];
}

const struct crypto_auth_info *crypto_auth_info(enum crypto_auth a)
{
	return &auths[a];
}

bool crypto_cipher_key_ok(enum crypto_cipher c, size_t len)
{
	switch (c) {
	case CIPHER_NULL:
		return len == 0;
	case CIPHER_DES_CBC:
		return len == 8;
	case CIPHER_3DES_CBC:
		return len == 24;
	case CIPHER_AES_CBC:
	case CIPHER_AES_GCM:
		return len == 16 || len == 24 || len == 32;
	case CIPHER_CHACHA20_POLY1305:
		return len == 32;
	case CIPHER_COUNT:
		break;
	}
	return false;
}

enum crypto_backend crypto_best(void)
{
	return crypto_imb_usable() ? CRYPTO_IMB : CRYPTO_OPENSSL;
}

static int check_lengths(enum crypto_cipher cipher, size_t key_len, enum crypto_auth auth,
	size_t auth_len, struct errbuf *err)
{
	if ((unsigned)cipher >= CIPHER_COUNT || (unsigned)auth >= AUTH_COUNT)
		return err_set(err, EINVAL, "no such algorithm");
	if (!crypto_cipher_key_ok(cipher, key_len))
		return err_set(err, EINVAL, "a key of %zu bytes does not fit %s", key_len,
			ciphers[cipher].name);
	if (auth_len != auths[auth].key)
		return err_set(err, EINVAL, "%s needs a key of %u bytes, not %zu", auths[auth].name,
			auths[auth].key, auth_len);
	if (ciphers[cipher].icv && auth != AUTH_NONE)
		return err_set(err, EINVAL, "%s authenticates by itself: no %s beside it",
			ciphers[cipher].name, auths[auth].name);
	if (cipher == CIPHER_NULL && auth == AUTH_AH)
		return err_set(err, EINVAL, "nothing to do: neither a cipher nor an integrity algorithm");
	if (!ciphers[cipher].icv && auth == AUTH_NONE)
		return err_set(err, EINVAL, "%s without integrity protection is refused (RFC 8221)",
			ciphers[cipher].name);
	return 0;
}

int crypto_key_new(enum crypto_backend backend, enum crypto_cipher cipher, const uint8_t *key,
	size_t key_len, enum crypto_auth auth, const uint8_t *auth_key, size_t auth_len,
	struct errbuf *err, struct crypto_key **ret)
{
	int r = check_lengths(cipher, key_len, auth, auth_len, err);
	if (r < 0)
		return r;
	/* Of DES, ipsec-mb has table look-ups hardened by reading whole tables: 8 ms a packet,
	 * OpenSSL 0.1 ms. */
	bool des_based = cipher == CIPHER_3DES_CBC || cipher == CIPHER_DES_CBC;
	if (backend == CRYPTO_BEST)
		backend = des_based ? CRYPTO_OPENSSL : crypto_best();
	if (backend == CRYPTO_IMB && des_based)
		return err_set(err, ENOTSUP, "%s is left to OpenSSL", ciphers[cipher].name);
	if (backend == CRYPTO_IMB && !crypto_imb_usable())
		return err_set(err, ENOTSUP, "intel-ipsec-mb does not work on this CPU");

	/* DES is 3DES with one key three times: one code path, and OpenSSL 3 has no plain DES. */
	uint8_t des[24];
	struct crypto_key_bytes b = {key, auth_key, key_len, auth_len};
	if (cipher == CIPHER_DES_CBC) {
		for (size_t i = 0; i < 3; i++)
			memcpy(des + 8 * i, key, 8);
		b.key = des;
		b.key_len = sizeof(des);
	}
	struct crypto_key *k = xnew(struct crypto_key);
	k->backend = backend;
	k->cipher = cipher == CIPHER_DES_CBC ? CIPHER_3DES_CBC : cipher;
	k->auth = auth;
	k->key_len = (uint8_t)b.key_len;
	k->way = backend == CRYPTO_OPENSSL		     ? WAY_OPENSSL
		 : cipher == CIPHER_AES_GCM		     ? WAY_DIRECT
		 : cipher == CIPHER_CHACHA20_POLY1305 ? WAY_BURST
							     : WAY_LANES;
	k->icv = ciphers[cipher].icv ? ciphers[cipher].icv : auths[auth].icv;
	r = backend == CRYPTO_IMB ? imb_key_new(k, &b, err) : openssl_key_new(k, &b, err);
	secret_wipe(des, sizeof(des));
	if (r < 0) {
		free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void crypto_key_free(struct crypto_key *k)
{
	if (!k)
		return;
	if (k->backend == CRYPTO_IMB)
		imb_key_free(k);
	else
		openssl_key_free(k);
	free(k);
}

struct crypto_worker *crypto_worker_new(unsigned index)
{
	assert(index < CRYPTO_WORKERS_MAX);
	struct crypto_worker *w = xnew(struct crypto_worker);
	w->index = index;
	w->imb = imb_worker_new();
	w->ctr = xcheck(EVP_CIPHER_CTX_new());
	w->used = KEYSTREAM;
	w->refills = KEYSTREAM_REFILLS;
	return w;
}

void crypto_worker_free(struct crypto_worker *w)
{
	if (!w)
		return;
	imb_worker_free(w->imb);
	EVP_CIPHER_CTX_free(w->ctr);
	secret_wipe(w->stream, sizeof(w->stream));
	free(w);
}

/* No randomness means predictable IVs: nothing to go on with. */
static void must(int ok)
{
	if (ok <= 0) {
		fputs("<2>the random generator or AES of OpenSSL failed\n", stderr);
		abort();
	}
}

static void refill(struct crypto_worker *w)
{
	static const uint8_t zero[KEYSTREAM];
	int len;

	if (w->refills++ >= KEYSTREAM_REFILLS) {
		uint8_t seed[48];
		must(RAND_bytes(seed, sizeof(seed)));
		must(EVP_EncryptInit_ex(w->ctr, EVP_aes_256_ctr(), NULL, seed, seed + 32));
		secret_wipe(seed, sizeof(seed));
		w->refills = 0;
	}
	must(EVP_EncryptUpdate(w->ctr, w->stream, &len, zero, KEYSTREAM));
	w->used = 0;
}

void crypto_random_iv(struct crypto_worker *w, uint8_t *out, size_t len)
{
	assert(len <= 16);
	if (w->used + 16 > KEYSTREAM)
		refill(w);
	memcpy(out, w->stream + w->used, len);
	w->used += 16;
}

/* Jobs of one way are put together whatever lies between them, so that the lanes fill. */
unsigned crypto_run(struct crypto_worker *w, struct crypto_job *jobs, size_t n)
{
	size_t burst = 0, lanes = 0, end;
	unsigned wrong = 0;

	assert(n <= CRYPTO_JOBS_MAX);
	for (size_t i = 0; i < n; i = end) {
		struct crypto_job *job = &jobs[i];
		end = i + 1;
		job->failed = true; /* until a backend says otherwise */
		job->bad = false;
		switch (job->key->way) {
		case WAY_DIRECT:
			while (end < n && jobs[end].key->way == WAY_DIRECT)
				end++;
			wrong += imb_run_direct(w->imb, job, end - i);
			break;
		case WAY_BURST:
			w->burst[burst++] = job;
			break;
		case WAY_LANES:
			w->lanes[lanes++] = job;
			break;
		case WAY_OPENSSL:
			openssl_run(w->index, job);
			wrong += job->failed || job->bad;
			break;
		}
	}
	if (burst)
		wrong += imb_run_burst(w->imb, w->burst, burst);
	if (lanes)
		wrong += imb_run_lanes(w->imb, w->lanes, lanes);
	return wrong;
}

bool crypto_is_flat(const struct crypto_key *key)
{
	return key->way == WAY_DIRECT;
}

void crypto_seal_flat(struct crypto_worker *w, const struct crypto_flat *f, size_t n)
{
	imb_seal_flat(w->imb, f, n);
}

unsigned crypto_open_flat(struct crypto_worker *w, struct crypto_flat *f, size_t n)
{
	return imb_open_flat(w->imb, f, n);
}
