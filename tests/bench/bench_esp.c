/* bench_esp: the ESP pipeline in memory on one core (parse, SA lookup, replay window, crypto,
 * trailer, counters) beside the crypto library alone doing the same bytes in the same run. Batches
 * of 256 packets in 2 KiB slots go out and come back in, so that every packet is really opened with
 * a number never seen before.
 *
 * The library has more than one interface, and which is the fastest depends on algorithm, release and CPU: bursts of 32,
 * and either one direct call a packet (GCM) or one job after another. Both are measured, lines esp.raw.*, and the pipeline
 * is held against the better one. esp.multi is 16 SAs whose packets alternate. The whole gateway beside another one: secgw.py.
 *
 * One line a figure: name, value, unit, peer, peer's value, ratio; medians of 5 runs, in CPU time of the thread; within a
 * run all take turns every few milliseconds, so that a busy machine slows them alike. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ipsec/esp.h"
#include "daemons/stack-core/ipsec/iphdr.h"
#include <intel-ipsec-mb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu-qsbr.h>

enum { N = 256, SLOT = 2048 + 320, FRONT = 128, RUNS = 5, TURNS = 16, BURST = 32, SAS_MAX = 16 };
#define TURN_SECONDS 0.004

struct kind {
	const char *name;
	enum crypto_cipher cipher;
	uint8_t key_len; /* with salt */
	enum crypto_auth auth;
};
static const struct kind kinds[] = {
	{"aes-gcm-128", CIPHER_AES_GCM, 20, AUTH_NONE},
	{"aes-gcm-256", CIPHER_AES_GCM, 36, AUTH_NONE},
	{"chacha20-poly1305", CIPHER_CHACHA20_POLY1305, 36, AUTH_NONE},
	{"aes-cbc-128-hmac-sha256", CIPHER_AES_CBC, 16, AUTH_HMAC_SHA2_256_128},
};
static const uint32_t sizes[] = {64, 256, 1400};

struct figures {
	double enc, dec; /* seconds a packet */
};

static uint8_t slots[N][SLOT] __attribute__((aligned(64)));
static struct pkt pkts[N];
static struct pkt *batch[N];

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fill(uint32_t len)
{
	memset(slots, 0x5a, sizeof(slots));
	for (int i = 0; i < N; i++) {
		uint8_t *d = slots[i] + FRONT;
		memset(d, 0, 20);
		d[0] = 0x45;
		put16(d + 2, (uint16_t)len);
		d[8] = 64;
		d[9] = 17;
		put32(d + 12, 0x0a000001);
		put32(d + 16, 0x0a000002);
		iphdr_checksum(d, 20);
		pkts[i] = (struct pkt){.buf = slots[i], .size = SLOT, .off = FRONT, .len = len};
		batch[i] = &pkts[i];
	}
}

static void check(void)
{
	for (int i = 0; i < N; i++) {
		if (pkts[i].drop) {
			fprintf(stderr, "bench_esp: packet dropped, reason %u\n", pkts[i].drop);
			exit(EXIT_FAILURE);
		}
	}
}

static void add(struct figures *sum, double enc, double dec, unsigned rounds)
{
	sum->enc += enc / ((double)rounds * N);
	sum->dec += dec / ((double)rounds * N);
}

static void ours(struct ipsec_worker *w, struct tunnel *const *t, unsigned n_sas, struct figures *sum)
{
	double enc = 0, dec = 0;
	struct sa *sas[N];
	unsigned rounds = 0;

	for (unsigned i = 0; i < N; i++)
		sas[i] = t[i % n_sas]->out;
	for (; enc + dec < TURN_SECONDS; rounds++) {
		double a = now();
		ipsec_out(w, batch, sas, N);
		double b = now();
		ipsec_in(w, batch, N);
		dec += now() - b;
		enc += b - a;
		check();
		rcu_quiescent_state();
	}
	add(sum, enc, dec, rounds);
}

struct raw {
	IMB_MGR *m;
	const struct kind *kind;
	struct gcm_key_data gcm;
	uint32_t enc[60] __attribute__((aligned(16)));
	uint32_t dec[60] __attribute__((aligned(16)));
	uint8_t pads[2][64];
	uint8_t ivs[N][16];
	uint8_t tags[N][16];
	uint8_t aad[8];
};

static struct raw *raw_new(const struct kind *kind)
{
	struct raw *r = aligned_alloc(64, (sizeof(*r) + 63) / 64 * 64);
	uint8_t key[64] = {1, 2, 3};
	IMB_ARCH arch;

	memset(r, 0, sizeof(*r));
	r->m = alloc_mb_mgr(0);
	init_mb_mgr_auto(r->m, &arch);
	/* the faster of its variants, as crypto_imb.c says */
	if (kind->cipher == CIPHER_AES_CBC && (r->m->features & IMB_FEATURE_SHANI) &&
		arch < IMB_ARCH_AVX512)
		init_mb_mgr_sse(r->m);
	r->kind = kind;
	if (kind->cipher == CIPHER_CHACHA20_POLY1305)
		memcpy(r->enc, key, 32);
	else if (kind->key_len == 20)
		IMB_AES128_GCM_PRE(r->m, key, &r->gcm);
	else if (kind->key_len == 36)
		IMB_AES256_GCM_PRE(r->m, key, &r->gcm);
	else
		IMB_AES_KEYEXP_128(r->m, key, r->enc, r->dec);
	IMB_SHA256_ONE_BLOCK(r->m, key, r->pads[0]);
	IMB_SHA256_ONE_BLOCK(r->m, key, r->pads[1]);
	return r;
}

static void raw_job(struct raw *r, IMB_JOB *j, int i, uint32_t len, bool encrypt)
{
	enum crypto_cipher c = r->kind->cipher;
	bool aead = c != CIPHER_AES_CBC, gcm = c == CIPHER_AES_GCM;

	j->enc_keys = gcm ? (const void *)&r->gcm : r->enc;
	j->dec_keys = gcm ? (const void *)&r->gcm : aead ? r->enc : r->dec;
	j->key_len_in_bytes = aead ? r->kind->key_len - 4U : 16;
	j->src = slots[i] + FRONT;
	j->dst = slots[i] + FRONT + 24;
	j->cipher_start_src_offset_in_bytes = 24;
	j->msg_len_to_cipher_in_bytes = len;
	j->hash_start_src_offset_in_bytes = aead ? 24 : 0;
	j->msg_len_to_hash_in_bytes = aead ? len : len + 24;
	j->iv = r->ivs[i];
	j->iv_len_in_bytes = aead ? 12 : 16;
	j->auth_tag_output = r->tags[i];
	j->auth_tag_output_len_in_bytes = 16;
	j->cipher_mode = gcm ? IMB_CIPHER_GCM : aead ? IMB_CIPHER_CHACHA20_POLY1305 : IMB_CIPHER_CBC;
	j->hash_alg = gcm ? IMB_AUTH_AES_GMAC : aead ? IMB_AUTH_CHACHA20_POLY1305 : IMB_AUTH_HMAC_SHA_256;
	j->cipher_direction = encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	j->chain_order = encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	if (aead) { /* the same place for both */
		j->u.GCM.aad = r->aad;
		j->u.GCM.aad_len_in_bytes = 8;
	} else {
		j->u.HMAC._hashed_auth_key_xor_ipad = r->pads[0];
		j->u.HMAC._hashed_auth_key_xor_opad = r->pads[1];
	}
	r->ivs[i][4]++;
}

static void raw_burst(struct raw *r, uint32_t len, bool encrypt)
{
	IMB_JOB *jobs[BURST];
	uint32_t done = 0;

	for (int at = 0; at < N; at += BURST) {
		if (IMB_GET_NEXT_BURST(r->m, BURST, jobs) != BURST)
			exit(EXIT_FAILURE);
		for (int i = 0; i < BURST; i++)
			raw_job(r, jobs[i], at + i, len, encrypt);
		done += IMB_SUBMIT_BURST_NOCHECK(r->m, BURST, jobs);
	}
	for (uint32_t got; done < N; done += got) {
		got = IMB_FLUSH_BURST(r->m, BURST, jobs);
		if (!got)
			exit(EXIT_FAILURE);
	}
}

static void raw_jobs(struct raw *r, uint32_t len, bool encrypt)
{
	for (int i = 0; i < N; i++) {
		raw_job(r, IMB_GET_NEXT_JOB(r->m), i, len, encrypt);
		for (IMB_JOB *j = IMB_SUBMIT_JOB_NOCHECK(r->m); j; j = IMB_GET_COMPLETED_JOB(r->m))
			;
	}
	while (IMB_FLUSH_JOB(r->m))
		;
}

static void raw_direct(struct raw *r, uint32_t len, bool encrypt)
{
	bool big = r->kind->key_len == 36;
	aes_gcm_enc_dec_t call = encrypt ? (big ? r->m->gcm256_enc : r->m->gcm128_enc) : big ? r->m->gcm256_dec : r->m->gcm128_dec;
	struct gcm_context_data ctx;

	for (int i = 0; i < N; i++) {
		uint8_t *d = slots[i] + FRONT + 24;
		r->ivs[i][4]++;
		call(&r->gcm, &ctx, d, d, len, r->ivs[i], r->aad, 8, r->tags[i], 16);
	}
}

static void library(struct raw *r, void (*pass)(struct raw *, uint32_t, bool), uint32_t len, struct figures *sum)
{
	double enc = 0, dec = 0;
	unsigned rounds = 0;

	for (; enc + dec < TURN_SECONDS; rounds++) {
		double a = now();
		pass(r, len, true);
		double b = now();
		pass(r, len, false);
		dec += now() - b;
		enc += b - a;
	}
	add(sum, enc, dec, rounds);
}

static struct tunnel *tunnel(struct sadb *db, const struct kind *kind, unsigned number)
{
	char name[SA_NAME_MAX];
	struct sa_params p = {.proto = SA_ESP,
		.mode = SA_TUNNEL,
		.spi = 4711 + number,
		.cipher = kind->cipher,
		.key_len = kind->key_len,
		.auth = kind->auth,
		.auth_len = crypto_auth_info(kind->auth)->key,
		.replay = 1024,
		.keep_dscp = true,
		.esn = false};
	uint8_t ends[2][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}};
	struct errbuf err = {""};
	struct sa *in, *out;
	struct tunnel *t;

	p.src = addr_v4(ends[0]);
	p.dst = addr_v4(ends[1]);
	p.key[0] = (uint8_t)(1 + number);
	(void)snprintf(name, sizeof(name), "%s-%u", kind->name, number);
	if (sa_new(&p, true, 1, &err, &in) < 0 || sa_new(&p, false, 1, &err, &out) < 0 ||
		sadb_add(db, 'M', name, in, out, true, &err, &t) < 0) {
		fprintf(stderr, "bench_esp: %s\n", err.text);
		exit(EXIT_FAILURE);
	}
	return t;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *v)
{
	qsort(v, RUNS, sizeof(*v), by_value);
	return 1e-6 * TURNS / v[RUNS / 2];
}

enum { OURS, RAW_BURST, RAW_OTHER, SUBJECTS };

static void print(const struct kind *kind, bool multi, const char *direction, uint32_t size, double v[SUBJECTS][RUNS])
{
	const char *other = kind->cipher == CIPHER_AES_GCM ? "direct calls" : "job by job";
	double mine = median(v[OURS]), burst = median(v[RAW_BURST]), single = median(v[RAW_OTHER]);
	double best = burst > single ? burst : single;

	if (!multi)
		printf("esp.raw.%s.%s.%u\t%.2f\tMpps in bursts of 32\tintel-ipsec-mb %s\t%.2f\t%.2f\n", kind->name, direction, size,
			burst, other, single, burst / single);
	printf("esp%s.%s.%s.%u\t%.2f\tMpps\tintel-ipsec-mb alone, %s\t%.2f\t%.2f\n", multi ? ".multi" : "", kind->name, direction,
		size, mine, burst > single ? "bursts of 32" : other, best, mine / best);
	fflush(stdout);
}

static void measure(struct sadb *db, struct ipsec_worker *w, const struct kind *kind, uint32_t size, unsigned n_sas)
{
	struct tunnel *t[SAS_MAX];
	struct raw *r = raw_new(kind);
	uint32_t block = kind->cipher == CIPHER_AES_CBC ? 16 : 4, len = (size + 2 + block - 1) / block * block;
	double enc[SUBJECTS][RUNS], dec[SUBJECTS][RUNS];

	for (unsigned i = 0; i < n_sas; i++)
		t[i] = tunnel(db, kind, i);
	for (int run = 0; run < RUNS; run++) {
		struct figures f[SUBJECTS] = {{0, 0}};
		for (int turn = 0; turn < TURNS; turn++) {
			fill(size);
			ours(w, t, n_sas, &f[OURS]);
			library(r, raw_burst, len, &f[RAW_BURST]);
			library(r, kind->cipher == CIPHER_AES_GCM ? raw_direct : raw_jobs, len, &f[RAW_OTHER]);
		}
		for (int i = 0; i < SUBJECTS; i++) {
			enc[i][run] = f[i].enc;
			dec[i][run] = f[i].dec;
		}
	}
	print(kind, n_sas > 1, "enc", size, enc);
	print(kind, n_sas > 1, "dec", size, dec);
	free_mb_mgr(r->m);
	free(r);
	for (unsigned i = 0; i < n_sas; i++)
		sadb_remove(db, t[i]);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";			       /* kinds that begin so */
	unsigned long size = argc > 2 ? strtoul(argv[2], NULL, 10) : 0; /* this size alone */
	rcu_register_thread();
	struct sadb *db = sadb_new(1);
	struct ipsec_worker *w = ipsec_worker_new(db, 0);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strncmp(kinds[i].name, only, strlen(only)))
			continue;
		for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
			if (!size || size == sizes[j])
				measure(db, w, &kinds[i], sizes[j], 1);
		}
		for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j += 2) {
			if (!size || size == sizes[j])
				measure(db, w, &kinds[i], sizes[j], SAS_MAX);
		}
	}
	ipsec_worker_free(w);
	sadb_free(db);
	rcu_unregister_thread();
	return 0;
}
