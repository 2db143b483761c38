/* SAs and their database: parameters that are refused, lookup, removal while workers run, numbers
 * shared by workers. */
#include "tests/unit/daemons/stack-core/ipsec/support.h"
#include "tests/support/check_main.h"
#include <pthread.h>
#include <stdlib.h>

static int refuse(struct sa_params p)
{
	struct sa *sa = NULL;
	struct errbuf err = {""};
	int r = sa_new(&p, true, 1, &err, &sa);

	ck_assert(r < 0 ? sa == NULL && err.text[0] : sa != NULL);
	sa_free(sa);
	return r;
}

START_TEST(parameters)
{
	struct sa_params good = suite_params(&suites[0], SA_TUNNEL, 4), p = good;

	ck_assert_int_eq(refuse(p), 0);
	p.spi = 255;
	ck_assert_int_eq(refuse(p), -EINVAL);
	p = good;
	p.key_len = 16; /* no salt */
	ck_assert_int_eq(refuse(p), -EINVAL);
	p.key_len = 3;
	ck_assert_int_eq(refuse(p), -EINVAL);
	p = good;
	p.src.family = 0;
	ck_assert_int_eq(refuse(p), -EINVAL);
	p = good;
	p.src = test_addr(6, 1);
	ck_assert_int_eq(refuse(p), -EINVAL);
	p = good;
	p.replay = 32;
	ck_assert_int_eq(refuse(p), -EINVAL);
	p.replay = 4097;
	ck_assert_int_eq(refuse(p), -EINVAL);
	p.replay = 4096;
	ck_assert_int_eq(refuse(p), 0);
	p = good;
	p.proto = SA_AH;
	ck_assert_int_eq(refuse(p), -EINVAL);
	p = good;
	p.proto = 17;
	ck_assert_int_eq(refuse(p), -EINVAL);
	p = good;
	p.cipher = CIPHER_COUNT;
	ck_assert_int_eq(refuse(p), -EINVAL);
	p = suite_params(&suites[4], SA_TUNNEL, 4);
	p.auth = AUTH_NONE;
	p.auth_len = 0;
	ck_assert_int_eq(refuse(p), -EINVAL);
}
END_TEST

static struct tunnel *put(struct sadb *db, const char *name, uint32_t spi, uint8_t host, int want)
{
	struct sa_params p = suite_params(&suites[0], SA_TUNNEL, 4);
	struct tunnel *t = NULL;
	struct errbuf err;
	struct sa *in, *out;

	p.spi = spi;
	p.dst = test_addr(4, host);
	ck_assert_int_eq(sa_new(&p, true, 2, NULL, &in), 0);
	ck_assert_int_eq(sa_new(&p, false, 2, NULL, &out), 0);
	ck_assert_int_eq(sadb_add(db, 'M', name, in, out, true, &err, &t), want);
	return t;
}

START_TEST(lookup)
{
	struct addr a = test_addr(4, 7), b = test_addr(4, 8), other = test_addr(6, 7);
	rcu_register_thread();
	struct sadb *db = sadb_new(2);
	struct tunnel *t = put(db, "a", 1000, 7, 0), *u = put(db, "b", 1000, 8, 0);

	(void)put(db, "a", 2000, 7, -EEXIST);
	(void)put(db, "c", 1000, 7, -EEXIST);
	ck_assert_ptr_eq(sadb_lookup(db, &a, 50, 1000), t->in);
	ck_assert_ptr_eq(sadb_lookup(db, &b, 50, 1000), u->in);
	ck_assert_ptr_null(sadb_lookup(db, &other, 50, 1000));
	ck_assert_ptr_null(sadb_lookup(db, &a, 51, 1000));
	ck_assert_ptr_null(sadb_lookup(db, &a, 50, 1001));
	ck_assert_ptr_eq(sadb_tunnel(db, u->index), u);
	ck_assert_ptr_null(sadb_tunnel(db, SADB_TUNNELS_MAX));
	ck_assert_ptr_eq(sadb_find(db, "M2"), u);
	uint32_t index = t->index;
	sadb_remove(db, t);
	ck_assert_ptr_null(sadb_tunnel(db, index));
	ck_assert_ptr_null(sadb_lookup(db, &a, 50, 1000));
	ck_assert_ptr_eq(sadb_next(db, NULL), u);
	for (unsigned i = 0; i < 3000; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "n%u", i);
		ck_assert_ptr_eq(sadb_lookup(db, &a, 50, 5000 + i), NULL);
		if (i < 300)
			(void)put(db, name, 5000 + i, 7, 0);
	}
	for (unsigned i = 0; i < 300; i++)
		ck_assert_uint_eq(sadb_lookup(db, &a, 50, 5000 + i)->spi, 5000 + i);
	sadb_free(db);
	rcu_unregister_thread();
}
END_TEST

enum { WORKERS = 4, ROUNDS = 300, BATCH = 50 };

struct racer {
	struct sadb *db;
	unsigned index;
	uint32_t seq[ROUNDS * BATCH];
	uint64_t iv[ROUNDS * BATCH];
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct packet *k = calloc(BATCH, sizeof(*k));
	struct pkt *batch[BATCH];
	struct sa *sas[BATCH];
	size_t n = 0;

	rcu_register_thread();
	struct ipsec_worker *w = ipsec_worker_new(r->db, r->index);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < BATCH; i++) {
			packet_ip(&k[i], 4, 60);
			batch[i] = &k[i].p;
			sas[i] = sadb_tunnel(r->db, 0)->out;
		}
		ipsec_out(w, batch, sas, BATCH);
		for (int i = 0; i < BATCH; i++) {
			const uint8_t *d = pkt_data(&k[i].p);
			ck_assert_uint_eq(k[i].p.drop, 0);
			r->seq[n] = get32(d + 24);
			memcpy(&r->iv[n++], d + 28, 8);
		}
		rcu_quiescent_state();
	}
	ipsec_worker_free(w);
	rcu_unregister_thread();
	free(k);
	return NULL;
}

static int by_iv(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(uint64_t));
}

START_TEST(workers_share_an_sa)
{
	static struct racer racers[WORKERS];
	static uint8_t seen[WORKERS * ROUNDS * BATCH + 1];
	static uint64_t ivs[WORKERS * ROUNDS * BATCH];
	pthread_t threads[WORKERS];
	struct sa_params p = suite_params(&suites[0], SA_TUNNEL, 4);
	struct sa *in, *out;
	struct sa_counters c;
	size_t n = 0;

	struct sadb *db = sadb_new(WORKERS);
	ck_assert_int_eq(sa_new(&p, true, WORKERS, NULL, &in), 0);
	ck_assert_int_eq(sa_new(&p, false, WORKERS, NULL, &out), 0);
	rcu_register_thread();
	ck_assert_int_eq(sadb_add(db, 'M', "t", in, out, true, NULL, NULL), 0);
	rcu_thread_offline();
	for (unsigned i = 0; i < WORKERS; i++) {
		racers[i].db = db;
		racers[i].index = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		for (int j = 0; j < ROUNDS * BATCH; j++) {
			uint32_t seq = racers[i].seq[j];
			ck_assert_uint_ge(seq, 1);
			ck_assert_uint_le(seq, WORKERS * ROUNDS * BATCH);
			ck_assert_uint_eq(seen[seq]++, 0);
			ivs[n++] = racers[i].iv[j];
		}
	}
	qsort(ivs, n, sizeof(ivs[0]), by_iv);
	for (size_t i = 1; i < n; i++)
		ck_assert(ivs[i] != ivs[i - 1]);
	rcu_thread_online();
	sa_sum(out, &c);
	ck_assert_uint_eq(c.packets, WORKERS * ROUNDS * BATCH);
	sadb_free(db);
	rcu_unregister_thread();
}
END_TEST

/* Receivers that are handed the same packets at the same time, while tunnels come and go beside them. */
enum { SENT = 2000, RECEIVERS = 2 };

struct receiver {
	struct sadb *db;
	unsigned index;
	const struct packet *sent;
	atomic_uint *accepted; /* by packet */
	unsigned odd;
};

static void *receive(void *arg)
{
	struct receiver *r = arg;
	static _Thread_local struct packet k[32];
	struct pkt *batch[32];

	rcu_register_thread();
	struct ipsec_worker *w = ipsec_worker_new(r->db, r->index);
	for (unsigned at = 0; at + 32 <= SENT; at += 32) {
		for (unsigned i = 0; i < 32; i++) {
			packet_copy(&k[i], &r->sent[at + i]);
			batch[i] = &k[i].p;
		}
		ipsec_in(w, batch, 32);
		for (unsigned i = 0; i < 32; i++) {
			unsigned drop = k[i].p.drop;
			if (drop == 0)
				atomic_fetch_add(&r->accepted[at + i], 1);
			else if (drop != DROP_ESP_REPLAY && drop != DROP_ESP_REPLAY_OLD)
				r->odd++;
		}
		rcu_quiescent_state();
	}
	ipsec_worker_free(w);
	rcu_unregister_thread();
	return NULL;
}

static struct packet *send_all(struct sadb *db, struct tunnel *t)
{
	struct packet *sent = calloc(SENT, sizeof(*sent));
	struct ipsec_worker *w = ipsec_worker_new(db, 0);

	for (unsigned i = 0; i < SENT; i++) {
		struct pkt *p = &sent[i].p;
		packet_ip(&sent[i], 4, 60);
		ipsec_out(w, &p, &t->out, 1);
		ck_assert_uint_eq(p->drop, 0);
	}
	ipsec_worker_free(w);
	return sent;
}

START_TEST(receivers_share_a_window)
{
	static atomic_uint accepted[SENT];
	struct receiver r[RECEIVERS];
	pthread_t threads[RECEIVERS];
	struct sa_params p = suite_params(&suites[0], SA_TUNNEL, 4);
	struct sa *in, *out;
	struct tunnel *t;

	rcu_register_thread();
	struct sadb *db = sadb_new(RECEIVERS);
	p.replay = REPLAY_MAX; /* wider than the test is long: nothing grows too old */
	ck_assert_int_eq(sa_new(&p, true, RECEIVERS, NULL, &in), 0);
	ck_assert_int_eq(sa_new(&p, false, RECEIVERS, NULL, &out), 0);
	ck_assert_int_eq(sadb_add(db, 'M', "t", in, out, true, NULL, &t), 0);
	struct packet *sent = send_all(db, t);
	for (unsigned i = 0; i < RECEIVERS; i++) {
		r[i] = (struct receiver){db, i, sent, accepted, 0};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, receive, &r[i]), 0);
	}
	for (unsigned i = 0; i < 200; i++)
		sadb_remove(db, put(db, "passing", 9000 + i % 7, 9, 0));
	rcu_thread_offline();
	for (unsigned i = 0; i < RECEIVERS; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_uint_eq(r[i].odd, 0);
	}
	rcu_thread_online();
	for (unsigned i = 0; i < SENT / 32 * 32; i++)
		ck_assert_uint_eq(accepted[i], 1);
	free(sent);
	sadb_free(db);
	rcu_unregister_thread();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/sa");
	TCase *c = tcase_create("sa");
	tcase_set_timeout(c, 60);
	tcase_add_test(c, parameters);
	tcase_add_test(c, lookup);
	tcase_add_test(c, workers_share_an_sa);
	tcase_add_test(c, receivers_share_a_window);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
