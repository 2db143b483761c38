/* One SA and several workers: no number is given out twice, none is accepted twice, nothing is counted twice or lost, while
 * the control thread reads counters, moves the SA and changes the database. The preset tsan runs it under
 * ThreadSanitizer. */
#include "tests/unit/daemons/stack-core/ipsec/support.h"
#include "tests/support/check_main.h"
#include <pthread.h>

enum { WORKERS = 3, BATCHES = 40, BATCH = 16, EACH = BATCHES * BATCH, ALL = WORKERS * EACH, LENGTH = 120 };

static struct sadb *db;
static struct tunnel *t;
static struct packet sealed[ALL];
static struct packet scratch[WORKERS][BATCH];
static pthread_barrier_t barrier;
static _Atomic unsigned accepted[ALL], replayed, others, running;

/* Everybody protects EACH packets, then everybody opens the packets of everybody, each beginning with another's. */
static void *work(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct pkt *batch[BATCH];
	struct sa *sas[BATCH];

	rcu_register_thread();
	struct ipsec_worker *w = ipsec_worker_new(db, me);
	(void)pthread_barrier_wait(&barrier);
	for (unsigned b = 0; b < BATCHES; b++) {
		for (unsigned i = 0; i < BATCH; i++) {
			struct packet *k = &sealed[me * EACH + b * BATCH + i];
			packet_ip(k, 4, LENGTH);
			batch[i] = &k->p;
			sas[i] = t->out;
		}
		ipsec_out(w, batch, sas, BATCH);
		rcu_quiescent_state();
	}
	rcu_thread_offline();
	(void)pthread_barrier_wait(&barrier);
	rcu_thread_online();
	for (unsigned b = 0; b < WORKERS * BATCHES; b++) {
		unsigned from = (b + me * BATCHES) % (WORKERS * BATCHES) * BATCH;
		for (unsigned i = 0; i < BATCH; i++) {
			packet_copy(&scratch[me][i], &sealed[from + i]);
			batch[i] = &scratch[me][i].p;
			batch[i]->drop = 0;
		}
		ipsec_in(w, batch, BATCH);
		for (unsigned i = 0; i < BATCH; i++) {
			unsigned drop = batch[i]->drop;
			atomic_fetch_add(!drop ? &accepted[from + i] : drop == DROP_ESP_REPLAY ? &replayed : &others, 1);
		}
		rcu_quiescent_state();
	}
	ipsec_worker_free(w);
	rcu_unregister_thread();
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void churn(unsigned round, const struct suite *s)
{
	struct sa_params p = suite_params(s, SA_TUNNEL, 4);
	struct sa_path path = *sa_outside(t->out);
	struct sa_counters sum;
	struct sa *in, *out;
	struct tunnel *other;

	p.spi = 0x5000 + round % 7;
	ck_assert_int_eq(sa_new(&p, true, WORKERS, NULL, &in), 0);
	ck_assert_int_eq(sa_new(&p, false, WORKERS, NULL, &out), 0);
	ck_assert_int_eq(sadb_add(db, 'M', "other", in, out, true, NULL, &other), 0);
	sa_sum(t->out, &sum);
	ck_assert_uint_le(sum.packets, ALL);
	sa_move(t->out, &path);
	sadb_remove(db, other);
}

/* As it stands in the packet: behind the SPI; in AH behind four bytes more. */
static uint32_t number_of(const struct packet *k)
{
	return get32(pkt_data(&k->p) + (k->p.proto == SA_AH ? 28 : 24));
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = number_of(*(struct packet *const *)a), y = number_of(*(struct packet *const *)b);
	return x < y ? -1 : x > y;
}

static void numbers_are_unique(uint64_t first)
{
	static struct packet *sorted[ALL];

	for (unsigned i = 0; i < ALL; i++) {
		ck_assert_uint_eq(sealed[i].p.drop, 0);
		sorted[i] = &sealed[i];
	}
	qsort(sorted, ALL, sizeof(*sorted), by_number);
	/* consecutive on a circle of 32 bits */
	unsigned leaps = 0;
	for (unsigned i = 0; i < ALL; i++) {
		uint32_t here = number_of(sorted[i]), next = number_of(sorted[(i + 1) % ALL]);
		ck_assert_uint_ne(here, next);
		leaps += next != here + 1;
	}
	ck_assert_uint_eq(leaps, 1);
	ck_assert_uint_eq(atomic_load(&t->out->seq), first + ALL);
}

static void run(const struct suite *s, bool esn)
{
	struct sa_params p = suite_params(s, SA_TUNNEL, 4);
	uint64_t first = esn ? (UINT64_C(1) << 32) - ALL / 2 : 0;
	pthread_t threads[WORKERS];
	struct sa_counters sum;
	struct sa *in, *out;

	p.esn = esn;
	p.replay = REPLAY_MAX; /* wide enough for any order */
	p.first_seq = first;
	ck_assert_int_eq(sa_new(&p, true, WORKERS, NULL, &in), 0);
	ck_assert_int_eq(sa_new(&p, false, WORKERS, NULL, &out), 0);
	ck_assert_int_eq(sadb_add(db, 'M', "t", in, out, true, NULL, &t), 0);
	memset(accepted, 0, sizeof(accepted));
	replayed = others = 0;
	running = WORKERS;
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i), 0);
	for (unsigned round = 0; atomic_load(&running); round++)
		churn(round, s);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	numbers_are_unique(first);
	for (unsigned i = 0; i < ALL; i++)
		ck_assert_uint_eq(accepted[i], 1);
	ck_assert_uint_eq(others, 0);
	ck_assert_uint_eq(replayed, (WORKERS - 1) * ALL);
	sa_sum(t->in, &sum);
	ck_assert_uint_eq(sum.packets, ALL);
	ck_assert_uint_eq(sum.replayed, replayed);
	ck_assert_uint_eq(sum.auth_failed + sum.malformed, 0);
	sa_sum(t->out, &sum);
	ck_assert_uint_eq(sum.packets, ALL);
	ck_assert_uint_eq(sum.bytes, (uint64_t)ALL * sealed[0].p.len);
	sadb_remove(db, t);
}

START_TEST(one_sa_many_workers)
{
	static const struct suite kinds[] = {
		{SA_ESP, CIPHER_AES_GCM, 20, AUTH_NONE},
		{SA_ESP, CIPHER_CHACHA20_POLY1305, 36, AUTH_NONE},
		{SA_ESP, CIPHER_AES_CBC, 16, AUTH_HMAC_SHA2_256_128},
		{SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96},
	};
	rcu_register_thread();
	db = sadb_new(WORKERS);
	(void)pthread_barrier_init(&barrier, NULL, WORKERS);
	run(&kinds[_i >> 1], _i & 1);
	rcu_barrier();
	sadb_free(db);
	(void)pthread_barrier_destroy(&barrier);
	rcu_unregister_thread();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/threads");
	TCase *c = tcase_create("threads");
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, one_sa_many_workers, 0, 8);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
