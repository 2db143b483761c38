/* crypto_imb: the intel-ipsec-mb backend at work.
 *
 * GCM: one call a packet. With release 1.3 that is faster than its job API wherever it was measured on AVX2, and on AVX-512 what
 * its bursts win at 64 bytes goes to filling in jobs twice. ChaCha20-Poly1305 is a third faster in jobs than through the
 * calls that it has. Neither ever waits: a burst comes back complete.
 *
 * The others wait in lanes until enough of them are there (8 or 16 CBC streams at once), and come back when the library
 * likes; user_data says which they were. Each series is flushed to its end, so a job never outlives the call. A job that
 * does not come back completed stays failed. */
#include "daemons/stack-core/ipsec/crypto_imb.h"
#include <openssl/crypto.h>
#include <string.h>

enum { BURST = 32, AEAD_ICV = 16 };

static const IMB_CIPHER_MODE cipher_modes[CIPHER_COUNT] = {
	[CIPHER_NULL] = IMB_CIPHER_NULL,
	[CIPHER_AES_CBC] = IMB_CIPHER_CBC,
	[CIPHER_CHACHA20_POLY1305] = IMB_CIPHER_CHACHA20_POLY1305,
};
static const IMB_HASH_ALG hash_algs[AUTH_COUNT] = {
	[AUTH_NONE] = IMB_AUTH_NULL,
	[AUTH_AH] = IMB_AUTH_NULL,
	[AUTH_HMAC_MD5_96] = IMB_AUTH_MD5,
	[AUTH_HMAC_SHA1_96] = IMB_AUTH_HMAC_SHA_1,
	[AUTH_HMAC_SHA2_256_128] = IMB_AUTH_HMAC_SHA_256,
	[AUTH_HMAC_SHA2_384_192] = IMB_AUTH_HMAC_SHA_384,
	[AUTH_HMAC_SHA2_512_256] = IMB_AUTH_HMAC_SHA_512,
	[AUTH_AES128_XCBC_96] = IMB_AUTH_AES_XCBC,
};


/* In constant time, without a call. */
static bool same16(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[2], y[2];

	memcpy(x, a, 16);
	memcpy(y, b, 16);
	return !((x[0] ^ y[0]) | (x[1] ^ y[1]));
}

unsigned imb_run_direct(struct imb_worker *w, struct crypto_job *jobs, size_t n)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < n; i++) {
		struct crypto_job *job = &jobs[i];
		const struct imb_key *ik = job->key->imb;
		uint8_t *data = job->base + job->cipher_off;

		job->failed = job->bad = false;
		if (job->encrypt) {
			ik->seal(&ik->gcm, &w->gcm, data, data, job->cipher_len, job->iv, job->aad, job->aad_len, job->icv, AEAD_ICV);
			continue;
		}
		ik->open(&ik->gcm, &w->gcm, data, data, job->cipher_len, job->iv, job->aad, job->aad_len, w->tags[0], AEAD_ICV);
		job->bad = !same16(w->tags[0], job->icv);
		wrong += job->bad;
	}
	return wrong;
}

/* The nonce is written in the two parts in which the library reads it. */
static void flat_iv(const struct crypto_flat *f, uint8_t iv[16])
{
	uint32_t salt, parts[2];
	uint64_t begin;

	memcpy(&salt, f->salt, 4);
	memcpy(parts, f->data - 8, 8);
	begin = (uint64_t)parts[0] << 32 | salt; /* little endian, as the library's CPUs are */
	memcpy(iv, &begin, 8);
	memcpy(iv + 8, &parts[1], 4);
}

void imb_seal_flat(struct imb_worker *w, const struct crypto_flat *f, size_t n)
{
	uint8_t iv[16];

	for (const struct crypto_flat *end = f + n; f < end; f++) {
		const struct imb_key *ik = f->key->imb;
		flat_iv(f, iv);
		ik->seal(&ik->gcm, &w->gcm, f->data, f->data, f->len, iv, f->data - 16, 8, f->data + f->len, AEAD_ICV);
	}
}

unsigned imb_open_flat(struct imb_worker *w, struct crypto_flat *f, size_t n)
{
	unsigned wrong = 0;
	uint8_t iv[16];

	for (const struct crypto_flat *end = f + n; f < end; f++) {
		const struct imb_key *ik = f->key->imb;
		flat_iv(f, iv);
		ik->open(&ik->gcm, &w->gcm, f->data, f->data, f->len, iv, f->data - 16, 8, w->tags[0], AEAD_ICV);
		f->bad = !same16(w->tags[0], f->data + f->len);
		wrong += f->bad;
	}
	return wrong;
}

static void set_keys(IMB_JOB *ij, const struct crypto_key *k, const struct crypto_job *job)
{
	const struct imb_key *ik = k->imb;

	if (k->cipher == CIPHER_CHACHA20_POLY1305) {
		ij->enc_keys = ij->dec_keys = ik->chacha;
		ij->u.CHACHA20_POLY1305.aad = job->aad;
		ij->u.CHACHA20_POLY1305.aad_len_in_bytes = job->aad_len;
		ij->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
		ij->iv_len_in_bytes = 12;
		ij->hash_start_src_offset_in_bytes = job->cipher_off;
		ij->msg_len_to_hash_in_bytes = job->cipher_len;
		return;
	}
	ij->enc_keys = ik->enc;
	ij->dec_keys = ik->dec;
	ij->iv_len_in_bytes = 16;
	ij->hash_alg = hash_algs[k->auth];
	ij->hash_start_src_offset_in_bytes = 0;
	ij->msg_len_to_hash_in_bytes = job->hash_len;
	if (k->auth == AUTH_AES128_XCBC_96) {
		ij->u.XCBC._k1_expanded = ik->k1;
		ij->u.XCBC._k2 = ik->k2;
		ij->u.XCBC._k3 = ik->k3;
	} else {
		ij->u.HMAC._hashed_auth_key_xor_ipad = ik->ipad;
		ij->u.HMAC._hashed_auth_key_xor_opad = ik->opad;
	}
}

static void set_job(IMB_JOB *ij, struct crypto_job *job, uint8_t *scratch)
{
	const struct crypto_key *k = job->key;

	job->failed = true;
	job->bad = false;
	ij->key_len_in_bytes = k->key_len;
	ij->src = job->base;
	ij->dst = job->base + job->cipher_off;
	ij->cipher_start_src_offset_in_bytes = job->cipher_off;
	ij->msg_len_to_cipher_in_bytes = job->cipher_len;
	ij->iv = job->iv;
	ij->auth_tag_output = job->encrypt ? job->icv : scratch;
	ij->auth_tag_output_len_in_bytes = k->icv;
	ij->cipher_mode = cipher_modes[k->cipher];
	ij->cipher_direction = job->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	ij->chain_order = job->encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	ij->user_data = job;
	ij->status = IMB_STATUS_BEING_PROCESSED;
	ij->sgl_state = IMB_SGL_INIT;
	set_keys(ij, k, job);
}

/* How many of them came back well. */
static unsigned finish(IMB_JOB *const *done, uint32_t n)
{
	unsigned good = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct crypto_job *job = done[i]->user_data;
		job->failed = done[i]->status != IMB_STATUS_COMPLETED;
		if (!job->encrypt && !job->failed)
			job->bad = CRYPTO_memcmp(done[i]->auth_tag_output, job->icv, job->key->icv) != 0;
		good += !job->failed && !job->bad;
	}
	return good;
}

unsigned imb_run_burst(struct imb_worker *w, struct crypto_job *const *jobs, size_t n)
{
	IMB_JOB *burst[BURST];
	unsigned good = 0;

	for (size_t at = 0; at < n;) {
		uint32_t want = n - at < BURST ? (uint32_t)(n - at) : BURST;
		uint32_t got = IMB_GET_NEXT_BURST(w->wide, want, burst);
		if (!got)
			break; /* cannot be: the queue is empty; the jobs stay failed */
		for (uint32_t i = 0; i < got; i++)
			set_job(burst[i], jobs[at + i], w->tags[i]);
		good += finish(burst, IMB_SUBMIT_BURST_NOCHECK(w->wide, got, burst));
		at += got;
	}
	return (unsigned)n - good;
}

/* One by one, and a flush at the end. The burst calls of release 1.3 lose the tags of such jobs when its ring of 256 wraps in
 * the middle of a series, so they are not used here. */
unsigned imb_run_lanes(struct imb_worker *w, struct crypto_job *const *jobs, size_t n)
{
	unsigned good = 0;
	IMB_JOB *done;

	for (size_t i = 0; i < n; i++) {
		IMB_JOB *ij = IMB_GET_NEXT_JOB(w->lanes);
		set_job(ij, jobs[i], w->tags[i]);
		for (done = IMB_SUBMIT_JOB_NOCHECK(w->lanes); done; done = IMB_GET_COMPLETED_JOB(w->lanes))
			good += finish(&done, 1);
	}
	while ((done = IMB_FLUSH_JOB(w->lanes)))
		good += finish(&done, 1);
	return (unsigned)n - good;
}
