/* crypto_imb: the intel-ipsec-mb backend. Jobs go in series: the library fills the lanes of its
 * multi-buffer code (8 or 16 CBC streams at once) or runs its VAES GCM code, and gives them back
 * when it likes; user_data says which they were. Each series is flushed to its end, so a job never
 * outlives the call. A job that does not come back completed stays failed. */
#include "daemons/stack-core/ipsec/crypto_backend.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>
#include <pthread.h>

enum { BURST = 32 };

struct imb_key {
	struct gcm_key_data gcm;
	uint32_t enc[60] __attribute__((aligned(16)));
	uint32_t dec[60] __attribute__((aligned(16)));
	uint8_t ipad[64] __attribute__((aligned(16)));
	uint8_t opad[64] __attribute__((aligned(16)));
	uint32_t k1[44] __attribute__((aligned(16)));
	uint8_t k2[16] __attribute__((aligned(16)));
	uint8_t k3[16] __attribute__((aligned(16)));
};

static const IMB_CIPHER_MODE cipher_modes[CIPHER_COUNT] = {
	[CIPHER_NULL] = IMB_CIPHER_NULL,
	[CIPHER_AES_CBC] = IMB_CIPHER_CBC,
	[CIPHER_AES_GCM] = IMB_CIPHER_GCM,
};
static const IMB_HASH_ALG hash_algs[AUTH_COUNT] = {
	[AUTH_NONE] = IMB_AUTH_NULL,
	[AUTH_HMAC_MD5_96] = IMB_AUTH_MD5,
	[AUTH_HMAC_SHA1_96] = IMB_AUTH_HMAC_SHA_1,
	[AUTH_HMAC_SHA2_256_128] = IMB_AUTH_HMAC_SHA_256,
	[AUTH_HMAC_SHA2_384_192] = IMB_AUTH_HMAC_SHA_384,
	[AUTH_HMAC_SHA2_512_256] = IMB_AUTH_HMAC_SHA_512,
	[AUTH_AES128_XCBC_96] = IMB_AUTH_AES_XCBC,
};

/* The manager with which keys are expanded: the control thread's, whichever that is. */
static pthread_mutex_t expand_lock = PTHREAD_MUTEX_INITIALIZER;
static IMB_MGR *expand;
static bool expand_tried;

/* A worker has two managers. GCM goes through the widest code of the CPU. HMAC goes through the SSE
 * code where the CPU has SHA instructions but no AVX-512: in release 1.3 only these two use them,
 * and one stream of SHA instructions is three times as fast as eight AVX2 lanes (1.25 against 3.7
 * us for 1400 bytes of CBC with SHA-256, 3 against 29 for a lone packet). */
struct imb_worker {
	IMB_MGR *gcm, *lanes;
};

static bool usable(IMB_MGR *m)
{
	return !imb_get_errno(m) && (m->features & IMB_FEATURE_SELF_TEST_PASS);
}

static IMB_MGR *manager_new(void)
{
	IMB_MGR *m = alloc_mb_mgr(0);
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (!m)
		return NULL;
	init_mb_mgr_auto(m, &arch);
	if (arch == IMB_ARCH_NONE || !usable(m)) {
		free_mb_mgr(m);
		return NULL;
	}
	return m;
}

static IMB_MGR *sha_manager_new(const IMB_MGR *wide)
{
	if (!(wide->features & IMB_FEATURE_SHANI) || wide->used_arch >= IMB_ARCH_AVX512)
		return manager_new();
	IMB_MGR *m = alloc_mb_mgr(0);
	if (!m)
		return NULL;
	init_mb_mgr_sse(m);
	if (!usable(m)) {
		free_mb_mgr(m);
		return NULL;
	}
	return m;
}

struct imb_worker *imb_worker_new(void)
{
	struct imb_worker *w = xnew(struct imb_worker);

	w->gcm = manager_new();
	if (w->gcm)
		w->lanes = sha_manager_new(w->gcm);
	if (!w->lanes) {
		imb_worker_free(w);
		return NULL;
	}
	return w;
}

void imb_worker_free(struct imb_worker *w)
{
	if (!w)
		return;
	if (w->gcm)
		free_mb_mgr(w->gcm);
	if (w->lanes)
		free_mb_mgr(w->lanes);
	free(w);
}

static IMB_MGR *expand_manager(void) /* locked by the caller */
{
	if (!expand_tried) {
		expand_tried = true;
		expand = manager_new();
	}
	return expand;
}

bool crypto_imb_usable(void)
{
	pthread_mutex_lock(&expand_lock);
	bool usable = expand_manager() != NULL;
	pthread_mutex_unlock(&expand_lock);
	return usable;
}

static void one_block(IMB_MGR *m, enum crypto_auth auth, const uint8_t *block, uint8_t *state)
{
	switch (auth) {
	case AUTH_HMAC_MD5_96:
		IMB_MD5_ONE_BLOCK(m, block, state);
		break;
	case AUTH_HMAC_SHA1_96:
		IMB_SHA1_ONE_BLOCK(m, block, state);
		break;
	case AUTH_HMAC_SHA2_256_128:
		IMB_SHA256_ONE_BLOCK(m, block, state);
		break;
	case AUTH_HMAC_SHA2_384_192:
		IMB_SHA384_ONE_BLOCK(m, block, state);
		break;
	default:
		IMB_SHA512_ONE_BLOCK(m, block, state);
		break;
	}
}

/* RFC 2104: the hash states after key ^ ipad and key ^ opad. Our keys are never longer than a
 * block. */
static void expand_hmac(
	IMB_MGR *m, enum crypto_auth auth, const uint8_t *key, size_t len, struct imb_key *ik)
{
	uint8_t block[128];

	for (unsigned pad = 0; pad < 2; pad++) {
		memset(block, pad ? 0x5c : 0x36, sizeof(block));
		for (size_t i = 0; i < len; i++)
			block[i] ^= key[i];
		one_block(m, auth, block, pad ? ik->opad : ik->ipad);
	}
	secret_wipe(block, sizeof(block));
}

static void expand_cipher(
	IMB_MGR *m, enum crypto_cipher cipher, const struct crypto_key_bytes *b, struct imb_key *ik)
{
	if (cipher == CIPHER_AES_GCM) {
		if (b->key_len == 16)
			IMB_AES128_GCM_PRE(m, b->key, &ik->gcm);
		else if (b->key_len == 24)
			IMB_AES192_GCM_PRE(m, b->key, &ik->gcm);
		else
			IMB_AES256_GCM_PRE(m, b->key, &ik->gcm);
	} else if (cipher == CIPHER_AES_CBC) {
		if (b->key_len == 16)
			IMB_AES_KEYEXP_128(m, b->key, ik->enc, ik->dec);
		else if (b->key_len == 24)
			IMB_AES_KEYEXP_192(m, b->key, ik->enc, ik->dec);
		else
			IMB_AES_KEYEXP_256(m, b->key, ik->enc, ik->dec);
	}
}

int imb_key_new(struct crypto_key *k, const struct crypto_key_bytes *b, struct errbuf *err)
{
	struct imb_key *ik = xcheck(aligned_alloc(64, (sizeof(*ik) + 63) / 64 * 64));

	memset(ik, 0, sizeof(*ik));
	pthread_mutex_lock(&expand_lock);
	IMB_MGR *m = expand_manager();
	if (m) {
		expand_cipher(m, k->cipher, b, ik);
		if (k->auth == AUTH_AES128_XCBC_96)
			IMB_AES_XCBC_KEYEXP(m, b->auth_key, ik->k1, ik->k2, ik->k3);
		else if (k->auth != AUTH_NONE)
			expand_hmac(m, k->auth, b->auth_key, b->auth_len, ik);
	}
	pthread_mutex_unlock(&expand_lock);
	k->imb = ik;
	if (!m) {
		imb_key_free(k);
		return err_set(err, ENOTSUP, "intel-ipsec-mb does not work on this CPU");
	}
	return 0;
}

void imb_key_free(struct crypto_key *k)
{
	secret_wipe(k->imb, sizeof(*k->imb));
	free(k->imb);
	k->imb = NULL;
}

static void set_keys(IMB_JOB *ij, const struct crypto_key *k, struct crypto_job *job)
{
	const struct imb_key *ik = k->imb;

	if (k->cipher == CIPHER_AES_GCM) {
		ij->enc_keys = ij->dec_keys = &ik->gcm;
		ij->u.GCM.aad = job->aad;
		ij->u.GCM.aad_len_in_bytes = job->aad_len;
		ij->hash_alg = IMB_AUTH_AES_GMAC;
		ij->iv_len_in_bytes = 12;
		return;
	}
	ij->enc_keys = ik->enc;
	ij->dec_keys = ik->dec;
	ij->iv_len_in_bytes = 16;
	ij->hash_alg = hash_algs[k->auth];
	if (k->auth == AUTH_AES128_XCBC_96) {
		ij->u.XCBC._k1_expanded = ik->k1;
		ij->u.XCBC._k2 = ik->k2;
		ij->u.XCBC._k3 = ik->k3;
	} else {
		ij->u.HMAC._hashed_auth_key_xor_ipad = ik->ipad;
		ij->u.HMAC._hashed_auth_key_xor_opad = ik->opad;
	}
}

static void set_job(IMB_JOB *ij, struct crypto_job *job)
{
	const struct crypto_key *k = job->key;

	ij->key_len_in_bytes = k->key_len;
	ij->src = job->base;
	ij->dst = job->base + job->cipher_off;
	ij->cipher_start_src_offset_in_bytes = job->cipher_off;
	ij->msg_len_to_cipher_in_bytes = job->cipher_len;
	ij->hash_start_src_offset_in_bytes = k->cipher == CIPHER_AES_GCM ? job->cipher_off : 0;
	ij->msg_len_to_hash_in_bytes =
		k->cipher == CIPHER_AES_GCM ? job->cipher_len : job->hash_len;
	ij->iv = job->iv;
	ij->auth_tag_output = job->tag;
	ij->auth_tag_output_len_in_bytes = k->icv;
	ij->cipher_mode = cipher_modes[k->cipher];
	ij->cipher_direction = job->encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	ij->chain_order = job->encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	ij->user_data = job;
	ij->status = IMB_STATUS_BEING_PROCESSED;
	ij->sgl_state = IMB_SGL_INIT;
	set_keys(ij, k, job);
}

static void finish(IMB_JOB *const *done, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct crypto_job *job = done[i]->user_data;
		job->failed = done[i]->status != IMB_STATUS_COMPLETED;
		if (!job->encrypt)
			job->bad =
				job->failed || CRYPTO_memcmp(job->tag, job->expect, job->key->icv);
	}
}

/* GCM jobs complete within their burst. */
static void run_gcm(IMB_MGR *m, struct crypto_job *const *jobs, size_t n)
{
	IMB_JOB *burst[BURST];

	while (n) {
		uint32_t want = n < BURST ? (uint32_t)n : BURST;
		uint32_t got = IMB_GET_NEXT_BURST(m, want, burst);
		if (!got)
			return; /* cannot be: the queue is empty; the jobs stay failed */
		for (uint32_t i = 0; i < got; i++)
			set_job(burst[i], jobs[i]);
		finish(burst, IMB_SUBMIT_BURST_NOCHECK(m, got, burst));
		jobs += got;
		n -= got;
	}
}

/* The others wait in lanes until enough of them are there: one by one, and a flush at the end. The
 * burst calls of release 1.3 lose the tags of such jobs when its ring of 256 wraps in the middle of
 * a series, so they are not used here. */
static void run_lanes(IMB_MGR *m, struct crypto_job *const *jobs, size_t n)
{
	IMB_JOB *done;

	for (size_t i = 0; i < n; i++) {
		IMB_JOB *ij = IMB_GET_NEXT_JOB(m);
		set_job(ij, jobs[i]);
		for (done = IMB_SUBMIT_JOB_NOCHECK(m); done; done = IMB_GET_COMPLETED_JOB(m))
			finish(&done, 1);
	}
	while ((done = IMB_FLUSH_JOB(m)))
		finish(&done, 1);
}

void imb_run(struct imb_worker *w, struct crypto_job *const *jobs, size_t n)
{
	size_t end;

	if (!w)
		return; /* the jobs stay failed */
	for (size_t at = 0; at < n; at = end) {
		bool gcm = jobs[at]->key->cipher == CIPHER_AES_GCM;
		for (end = at + 1; end < n && (jobs[end]->key->cipher == CIPHER_AES_GCM) == gcm;)
			end++;
		if (gcm)
			run_gcm(w->gcm, jobs + at, end - at);
		else
			run_lanes(w->lanes, jobs + at, end - at);
	}
}
