/* bench_esp: the ESP pipeline in memory on one core (parse, SA lookup, replay window, crypto,
 * trailer, counters) beside the crypto library alone doing the same bytes in the same run. Batches
 * of 256 packets in 2 KiB slots go out and come back in, so that every packet is really opened with
 * a number never seen before. One line a figure: name, value, unit, peer, peer's value, ratio;
 * medians of 5 runs, in CPU time of the thread, so that a busy machine does not count. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ipsec/esp.h"
#include "daemons/stack-core/ipsec/iphdr.h"
#include <intel-ipsec-mb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu-qsbr.h>

enum { N = 256, SLOT = 2048 + 320, FRONT = 128, RUNS = 5, BURST = 32 };

struct kind {
	const char *name;
	enum crypto_cipher cipher;
	uint8_t key_len; /* with salt */
	enum crypto_auth auth;
};
static const struct kind kinds[] = {
	{"aes-gcm-128", CIPHER_AES_GCM, 20, AUTH_NONE},
	{"aes-gcm-256", CIPHER_AES_GCM, 36, AUTH_NONE},
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

static struct figures ours(struct ipsec_worker *w, struct tunnel *t, double seconds)
{
	struct figures f = {0, 0};
	struct sa *sas[N];
	unsigned rounds = 0;

	for (int i = 0; i < N; i++)
		sas[i] = t->out;
	for (; f.enc + f.dec < seconds; rounds++) {
		double a = now();
		ipsec_out(w, batch, sas, N);
		double b = now();
		ipsec_in(w, batch, N);
		f.dec += now() - b;
		f.enc += b - a;
		check();
		rcu_quiescent_state();
	}
	f.enc /= (double)rounds * N;
	f.dec /= (double)rounds * N;
	return f;
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
	if (kind->key_len == 20)
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
	bool gcm = r->kind->cipher == CIPHER_AES_GCM;

	j->enc_keys = gcm ? (const void *)&r->gcm : r->enc;
	j->dec_keys = gcm ? (const void *)&r->gcm : r->dec;
	j->key_len_in_bytes = gcm ? r->kind->key_len - 4U : 16;
	j->src = slots[i] + FRONT;
	j->dst = slots[i] + FRONT + 24;
	j->cipher_start_src_offset_in_bytes = 24;
	j->msg_len_to_cipher_in_bytes = len;
	j->hash_start_src_offset_in_bytes = gcm ? 24 : 0;
	j->msg_len_to_hash_in_bytes = gcm ? len : len + 24;
	j->iv = r->ivs[i];
	j->iv_len_in_bytes = gcm ? 12 : 16;
	j->auth_tag_output = r->tags[i];
	j->auth_tag_output_len_in_bytes = 16;
	j->cipher_mode = gcm ? IMB_CIPHER_GCM : IMB_CIPHER_CBC;
	j->hash_alg = gcm ? IMB_AUTH_AES_GMAC : IMB_AUTH_HMAC_SHA_256;
	j->cipher_direction = encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	j->chain_order = encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	if (gcm) {
		j->u.GCM.aad = r->aad;
		j->u.GCM.aad_len_in_bytes = 8;
	} else {
		j->u.HMAC._hashed_auth_key_xor_ipad = r->pads[0];
		j->u.HMAC._hashed_auth_key_xor_opad = r->pads[1];
	}
	r->ivs[i][4]++;
}

static void raw_pass(struct raw *r, uint32_t len, bool encrypt)
{
	IMB_JOB *jobs[BURST];

	if (r->kind->cipher == CIPHER_AES_GCM) {
		for (int at = 0; at < N; at += BURST) {
			if (IMB_GET_NEXT_BURST(r->m, BURST, jobs) != BURST)
				exit(EXIT_FAILURE);
			for (int i = 0; i < BURST; i++)
				raw_job(r, jobs[i], at + i, len, encrypt);
			if (IMB_SUBMIT_BURST_NOCHECK(r->m, BURST, jobs) != BURST)
				exit(EXIT_FAILURE);
		}
		return;
	}
	for (int i = 0; i < N; i++) {
		raw_job(r, IMB_GET_NEXT_JOB(r->m), i, len, encrypt);
		for (IMB_JOB *j = IMB_SUBMIT_JOB_NOCHECK(r->m); j; j = IMB_GET_COMPLETED_JOB(r->m))
			;
	}
	while (IMB_FLUSH_JOB(r->m))
		;
}

static struct figures library(struct raw *r, uint32_t len, double seconds)
{
	struct figures f = {0, 0};
	unsigned rounds = 0;

	for (; f.enc + f.dec < seconds; rounds++) {
		double a = now();
		raw_pass(r, len, true);
		double b = now();
		raw_pass(r, len, false);
		f.dec += now() - b;
		f.enc += b - a;
	}
	f.enc /= (double)rounds * N;
	f.dec /= (double)rounds * N;
	return f;
}

static struct tunnel *tunnel(struct sadb *db, const struct kind *kind)
{
	struct sa_params p = {.proto = SA_ESP,
		.mode = SA_TUNNEL,
		.spi = 4711,
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
	p.key[0] = 1;
	if (sa_new(&p, true, 1, &err, &in) < 0 || sa_new(&p, false, 1, &err, &out) < 0 ||
		sadb_add(db, 'M', kind->name, in, out, true, &err, &t) < 0) {
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

static void print(
	const struct kind *kind, const char *direction, uint32_t size, double *mine, double *peer)
{
	qsort(mine, RUNS, sizeof(*mine), by_value);
	qsort(peer, RUNS, sizeof(*peer), by_value);
	double a = 1e-6 / mine[RUNS / 2], b = 1e-6 / peer[RUNS / 2];
	printf("esp.%s.%s.%u\t%.2f\tMpps\tintel-ipsec-mb alone\t%.2f\t%.2f\n", kind->name,
		direction, size, a, b, a / b);
	fflush(stdout);
}

static void measure(struct sadb *db, struct ipsec_worker *w, const struct kind *kind, uint32_t size)
{
	struct tunnel *t = tunnel(db, kind);
	struct raw *r = raw_new(kind);
	uint32_t block = kind->cipher == CIPHER_AES_GCM ? 4 : 16;
	double enc[2][RUNS], dec[2][RUNS];

	for (int run = 0; run < RUNS; run++) {
		fill(size);
		struct figures f = ours(w, t, 0.08);
		enc[0][run] = f.enc;
		dec[0][run] = f.dec;
		f = library(r, (size + 2 + block - 1) / block * block, 0.08);
		enc[1][run] = f.enc;
		dec[1][run] = f.dec;
	}
	print(kind, "enc", size, enc[0], enc[1]);
	print(kind, "dec", size, dec[0], dec[1]);
	free_mb_mgr(r->m);
	free(r);
	sadb_remove(db, t);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : ""; /* kinds that begin so */
	rcu_register_thread();
	struct sadb *db = sadb_new(1);
	struct ipsec_worker *w = ipsec_worker_new(db, 0);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strncmp(kinds[i].name, only, strlen(only)))
			continue;
		for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
			measure(db, w, &kinds[i], sizes[j]);
	}
	ipsec_worker_free(w);
	sadb_free(db);
	rcu_unregister_thread();
	return 0;
}
