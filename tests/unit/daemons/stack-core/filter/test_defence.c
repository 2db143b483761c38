/* Many defences: the limit, tables that grow and shrink while they are used, replacement, expiry in
 * bulk, changes that take no time. */
#include "lib/base/xalloc.h"
#include "tests/unit/daemons/stack-core/filter/support.h"
#include <time.h>

enum { MANY = 100000 };

static struct filter_set *fs;
static struct filter_worker *w;

static void setup(void)
{
	urcu_qsbr_register_thread();
	fs = filter_set_new();
	w = filter_worker_new(fs, 0);
	filter_worker_now(w, 1000);
	permit_all(fs);
}

static void teardown(void)
{
	filter_set_free(fs);
	urcu_qsbr_unregister_thread();
}

static struct addr host(uint32_t i)
{
	return (struct addr){4, {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
}

static struct filter_spec host_filter(uint32_t i)
{
	struct filter_spec s;
	filter_spec_init(&s, 4, true);
	s.id = i + 1;
	(void)snprintf(s.name, sizeof(s.name), "H%u", i);
	s.src_lo = s.src_hi = host(i);
	return s;
}

static bool blocked(uint32_t i)
{
	struct pkt p = {.family = 4,
		.proto = 17,
		.inbound = true,
		.scope = PKT_LOCAL,
		.src = host(i),
		.dst = {4, {192, 0, 2, 1}}};
	struct filter_verdict v = decide(w, p);
	char name[32];
	(void)snprintf(name, sizeof(name), "H%u", i);
	if (v.action == FILTER_DENY && strcmp(name_of(v.rule), name))
		ck_abort_msg("%s is blocked by %s", name, name_of(v.rule));
	return v.action == FILTER_DENY;
}

static void add_all(uint32_t n)
{
	struct filter_spec *v = xcalloc(n, sizeof(*v));
	for (uint32_t i = 0; i < n; i++)
		v[i] = host_filter(i);
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.add = v, .n_add = n}, 1, NULL), 0);
	free(v);
}

START_TEST(the_limit_is_kept)
{
	struct errbuf e;
	add_all(FILTER_DEFENCES_MAX);
	struct filter_spec s = host_filter(FILTER_DEFENCES_MAX);
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.add = &s, .n_add = 1}, 1, &e), -ENOSPC);
	ck_assert_str_eq(e.text, "200001 defensive filters, at most 200000 are held");
	ck_assert(!blocked(FILTER_DEFENCES_MAX));
	s = host_filter(5); /* one that is there may be replaced */
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	uint64_t gone = 6;
	s = host_filter(FILTER_DEFENCES_MAX);
	ck_assert_int_eq(filter_defend(fs,
				 &(struct filter_defend){
					 .add = &s, .n_add = 1, .remove = &gone, .n_remove = 1},
				 1, &e),
		0); /* one out, one in */
	ck_assert_uint_eq(filter_defences(fs), FILTER_DEFENCES_MAX);
	ck_assert(blocked(FILTER_DEFENCES_MAX) && !blocked(5) && blocked(6));
}
END_TEST

START_TEST(many_come_and_go)
{
	static uint8_t there[MANY];
	uint32_t seed = 99;
	add_all(MANY);
	memset(there, 1, sizeof(there));
	for (uint32_t i = 0; i < 3 * MANY; i++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t k = (seed >> 8) % MANY;
		uint64_t id = k + 1;
		/* first mostly out, so that the tables shrink, then in again */
		if (there[k] && (i < 2 * MANY)) {
			struct filter_defend d = {.remove = &id, .n_remove = 1};
			ck_assert_int_eq(filter_defend(fs, &d, 1, NULL), 0);
			there[k] = 0;
		} else if (i >= 2 * MANY && !there[k]) {
			struct filter_spec s = host_filter(k);
			ck_assert_int_eq(defend_one(fs, &s, 1), 0);
			there[k] = 1;
		}
		if (i % 64 == 0)
			ck_assert_int_eq(blocked(k), there[k]);
		if (i % 1024 == 0)
			urcu_qsbr_quiescent_state();
	}
	for (uint32_t k = 0; k < MANY; k++)
		ck_assert_int_eq(blocked(k), there[k]);
	ck_assert_int_eq(filter_defend(fs, &(struct filter_defend){.reset = true}, 1, NULL), 0);
	ck_assert_uint_eq(filter_defences(fs), 0);
	for (uint32_t k = 0; k < MANY; k += 7)
		ck_assert(!blocked(k));
}
END_TEST

START_TEST(many_expire_in_order)
{
	struct filter_spec *v = xcalloc(MANY, sizeof(*v));
	uint32_t seed = 5, before = 0;
	for (uint32_t i = 0; i < MANY; i++) {
		seed = seed * 1664525 + 1013904223;
		v[i] = host_filter(i);
		v[i].expires_us = 1000000 + (seed >> 8) % 1000 * 1000;
		before += v[i].expires_us <= 1500000;
	}
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.add = v, .n_add = MANY}, 1, NULL), 0);
	ck_assert_uint_eq(filter_expire(fs, 1500000), before);
	filter_worker_now(w, 1500000);
	for (uint32_t i = 0; i < MANY; i += 11)
		ck_assert_int_eq(blocked(i), v[i].expires_us > 1500000);
	ck_assert_uint_eq(filter_expire(fs, 2000000), MANY - before);
	ck_assert_uint_eq(filter_defences(fs), 0);
	free(v);
}
END_TEST

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

START_TEST(one_change_among_many_is_quick)
{
	unsigned slow = 0;
	add_all(MANY);
	for (uint32_t i = 0; i < 5000; i++) {
		struct filter_spec s = host_filter(MANY + i);
		double t = now_us();
		ck_assert_int_eq(defend_one(fs, &s, 1), 0);
		slow += now_us() - t >= 100;
	}
	ck_assert_uint_lt(slow, 500); /* of 5000: other programs run on this machine as well */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("defence");
	TCase *t = tcase_create("many");
	tcase_set_timeout(t, 100);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_limit_is_kept);
	tcase_add_test(t, many_come_and_go);
	tcase_add_test(t, many_expire_in_order);
	tcase_add_test(t, one_change_among_many_is_quick);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
