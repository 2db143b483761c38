/* The flow cache tells the truth while the filters change under it; floods of flows and of one
 * bucket cost no correctness. */
#include "daemons/stack-core/filter/flow.h"
#include "tests/unit/daemons/stack-core/filter/support.h"
#include <pthread.h>
#include <stdatomic.h>

enum { HOSTS = 64 };

struct shared {
	struct filter_set *fs;
	struct filter_worker *w;
	/* per host: even = certainly open, odd = certainly blocked; bit 1 while it changes */
	_Atomic unsigned state[HOSTS];
	atomic_bool stop;
	_Atomic uint64_t wrong, checked;
};

enum { OPEN = 0, BLOCKED = 1, CHANGING = 2 };

static void *worker(void *arg)
{
	struct shared *s = arg;
	urcu_qsbr_register_thread();
	filter_worker_now(s->w, 1000);
	for (unsigned i = 0; !atomic_load(&s->stop); i++) {
		struct pkt p = {.family = 4,
			.proto = 6,
			.sport = 7,
			.dport = (uint16_t)(i / HOSTS % 8),
			.inbound = true,
			.scope = PKT_LOCAL,
			.src = {4, {10, 0, 0, (uint8_t)(i % HOSTS)}},
			.dst = {4, {192, 0, 2, 1}}};
		struct filter_verdict v;
		unsigned before = atomic_load(&s->state[i % HOSTS]);
		filter_check(s->w, &p, &v);
		unsigned after = atomic_load(&s->state[i % HOSTS]);
		if (before == after && before % 4 < CHANGING) {
			atomic_fetch_add(&s->checked, 1);
			if ((v.action == FILTER_DENY) != (before % 4 == BLOCKED) ||
				v.rule == NULL || !*filter_rule_spec(v.rule)->name)
				atomic_fetch_add(&s->wrong, 1);
		}
		if (i % 32 == 0)
			urcu_qsbr_quiescent_state();
	}
	urcu_qsbr_unregister_thread();
	return NULL;
}

START_TEST(coherent_while_filters_change)
{
	static struct shared s;
	pthread_t thread;
	s.fs = filter_set_new();
	permit_all(s.fs);
	s.w = filter_worker_new(s.fs, 256);
	ck_assert_int_eq(pthread_create(&thread, NULL, worker, &s), 0);
	uint32_t seed = 7;
	for (unsigned i = 0; i < 20000; i++) {
		seed = seed * 1664525 + 1013904223;
		unsigned host = seed >> 16 & (HOSTS - 1);
		unsigned now = atomic_load(&s.state[host]);
		char text[32];
		uint64_t id = host + 1;
		(void)snprintf(text, sizeof(text), "10.0.0.%u", host);
		struct filter_spec f = a_filter(id, "HOST", FILTER_DENY, text, "*");
		/* a serial number above the two bits lets the worker see that something happened in
		 * between */
		atomic_store(&s.state[host], (now & ~3u) | CHANGING);
		int rc = now % 4 == OPEN
				 ? defend_one(s.fs, &f, 1)
				 : filter_defend(s.fs,
					   &(struct filter_defend){.remove = &id, .n_remove = 1}, 1,
					   NULL);
		ck_assert_int_eq(rc, 0);
		atomic_store(
			&s.state[host], ((now & ~3u) + 4) | (now % 4 == OPEN ? BLOCKED : OPEN));
	}
	atomic_store(&s.stop, true);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(atomic_load(&s.wrong), 0);
	ck_assert_uint_gt(atomic_load(&s.checked), 1000);
	filter_set_free(s.fs);
}
END_TEST

START_TEST(a_flood_of_flows_only_misses)
{
	urcu_qsbr_register_thread();
	struct filter_set *fs = filter_set_new();
	struct filter_worker *w = filter_worker_new(fs, 1024);
	filter_worker_now(w, 1000);
	permit_all(fs);
	struct filter_spec f = a_filter(1, "BAD", FILTER_DENY, "10.7.0.0/16", "*");
	ck_assert_int_eq(defend_one(fs, &f, 1), 0);
	for (unsigned i = 0; i < 100000; i++) {
		struct pkt p = {.family = 4,
			.proto = 17,
			.sport = (uint16_t)i,
			.inbound = true,
			.scope = PKT_ROUTED,
			.src = {4, {10, (uint8_t)(i % 9), (uint8_t)(i >> 16), (uint8_t)(i >> 8)}},
			.dst = {4, {192, 0, 2, 1}}};
		if (decide(w, p).action != (i % 9 == 7 ? FILTER_DENY : FILTER_PERMIT))
			ck_abort_msg("flow %u: wrong verdict", i);
	}
	struct filter_worker_stats st;
	filter_worker_stats(w, &st);
	ck_assert_uint_eq(st.hits + st.misses, 100000);
	filter_set_free(fs);
	urcu_qsbr_unregister_thread();
}
END_TEST

static struct pkt flow_of(unsigned i, uint8_t net)
{
	return (struct pkt){.family = 4,
		.proto = 6,
		.sport = (uint16_t)i,
		.dport = 443,
		.inbound = true,
		.scope = PKT_ROUTED,
		.src = {4, {10, net, (uint8_t)(i >> 24), (uint8_t)(i >> 16)}},
		.dst = {4, {192, 0, 2, 1}}};
}

static uint64_t misses_of(struct filter_worker *w, unsigned flows, uint8_t net)
{
	struct filter_worker_stats before, after;
	filter_worker_stats(w, &before);
	for (unsigned i = 0; i < flows; i++) {
		struct pkt p = flow_of(i, net);
		if (decide(w, p).action != FILTER_PERMIT) /* not ck_assert: it writes each of millions down */
			ck_abort_msg("flow %u of net %u is not permitted", i, net);
	}
	filter_worker_stats(w, &after);
	return after.misses - before.misses;
}

START_TEST(living_flows_outlast_a_flood)
{
	urcu_qsbr_register_thread();
	struct filter_set *fs = filter_set_new();
	struct filter_worker *w = filter_worker_new(fs, 16384);
	permit_all(fs);
	filter_worker_now(w, 1000);
	(void)misses_of(w, 1000, 1);
	uint64_t missed = 0;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 10000; i++) { /* never seen again */
			struct pkt p = flow_of(round * 10000 + i, 2);
			(void)decide(w, p);
		}
		missed += misses_of(w, 1000, 1);
	}
	ck_assert_uint_lt(missed, 20 * 1000 / 6); /* without the clock, nearly half of them */
	filter_set_free(fs);
	urcu_qsbr_unregister_thread();
}
END_TEST

START_TEST(a_million_flows_get_room_and_no_more)
{
	enum { MILLION = 1000000 };
	struct filter_worker_stats st;
	urcu_qsbr_register_thread();
	struct filter_set *fs = filter_set_new();
	struct filter_worker *w = filter_worker_new(fs, FILTER_CACHE_MAX / 8);
	permit_all(fs);
	uint64_t misses = MILLION, now = 1000;
	/* how evenly flows spread, and so how soon it grows, is a matter of the random key */
	for (unsigned second = 0; second < 10 && misses >= MILLION / 20; second++) {
		filter_worker_now(w, now += 1000000);
		misses = misses_of(w, MILLION, 1);
		filter_worker_now(w, now);
		filter_grow(fs);
	}
	ck_assert_uint_lt(misses, MILLION / 20);
	filter_worker_stats(w, &st);
	ck_assert_uint_gt(st.cache_entries, MILLION);
	(void)misses_of(w, MILLION, 2); /* a flood beyond that grows nothing */
	filter_worker_now(w, now);
	filter_grow(fs);
	filter_worker_now(w, now);
	filter_worker_stats(w, &st);
	ck_assert_uint_le(st.cache_entries, FILTER_CACHE_MAX);
	filter_set_free(fs);
	urcu_qsbr_unregister_thread();
}
END_TEST

START_TEST(few_flows_grow_nothing)
{
	struct filter_worker_stats st;
	urcu_qsbr_register_thread();
	struct filter_set *fs = filter_set_new();
	struct filter_worker *w = filter_worker_new(fs, 1024), *none = filter_worker_new(fs, 0);
	permit_all(fs);
	for (unsigned second = 0; second < 5; second++) {
		filter_worker_now(w, 1000 + second);
		filter_worker_now(none, 1000 + second);
		(void)misses_of(w, 100, 1);
		(void)misses_of(none, 100, 1);
		filter_worker_now(w, 1000 + second);
		filter_grow(fs);
	}
	filter_worker_stats(w, &st);
	ck_assert_uint_eq(st.cache_entries, 1024);
	ck_assert_uint_ge(st.hits, 4 * 90);
	filter_worker_stats(none, &st);
	ck_assert_uint_eq(st.cache_entries, 0);
	filter_set_free(fs);
	urcu_qsbr_unregister_thread();
}
END_TEST

START_TEST(hash_depends_on_the_key_and_spreads)
{
	struct flow_cache *a = flow_cache_new(4096), *b = flow_cache_new(4096);
	unsigned same = 0, buckets[1024] = {0}, most = 0;
	for (unsigned i = 0; i < 16384; i++) { /* a sequential scan, what floods look like */
		struct pkt p = {.family = 4,
			.proto = 6,
			.sport = (uint16_t)i,
			.dport = 80,
			.src = {4, {10, 0, 0, 1}},
			.dst = {4, {192, 0, 2, 1}}};
		struct flow_key k;
		flow_key(&p, &k);
		same += flow_hash(a, &k) % 1024 == flow_hash(b, &k) % 1024;
		unsigned n = ++buckets[flow_hash(a, &k) % 1024];
		most = n > most ? n : most;
	}
	ck_assert_uint_lt(same, 1600); /* 16 expected by chance in 16384/1024: far from all */
	ck_assert_uint_lt(most, 160);  /* 16 expected */
	flow_cache_free(a);
	flow_cache_free(b);
}
END_TEST

START_TEST(every_selector_makes_another_flow)
{
	struct pkt base = a_packet("10.0.0.1", "10.0.0.2", 6, 1, 2), p[10];
	for (unsigned i = 0; i < 10; i++)
		p[i] = base;
	p[1].src = an_addr("10.0.0.3");
	p[2].dst = an_addr("10.0.0.3");
	p[3].proto = 17;
	p[4].sport = 3;
	p[5].dport = 3;
	p[6].inbound = false;
	p[7].scope = PKT_ROUTED;
	p[8].secclass = 1;
	p[9].fragment = true;
	for (unsigned i = 0; i < 10; i++)
		for (unsigned k = 0; k < i; k++) {
			struct flow_key x, y;
			flow_key(&p[i], &x);
			flow_key(&p[k], &y);
			ck_assert_mem_ne(&x, &y, sizeof(x));
		}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("flow");
	TCase *t = tcase_create("flow");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, coherent_while_filters_change);
	tcase_add_test(t, a_flood_of_flows_only_misses);
	tcase_add_test(t, living_flows_outlast_a_flood);
	tcase_add_test(t, a_million_flows_get_room_and_no_more);
	tcase_add_test(t, few_flows_grow_nothing);
	tcase_add_test(t, hash_depends_on_the_key_and_spreads);
	tcase_add_test(t, every_selector_makes_another_flow);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
