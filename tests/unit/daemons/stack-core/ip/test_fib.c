/* The trie against a linear search, on random routes and addresses. */
#include "daemons/stack-core/ip/fib.h"
#include "tests/support/check_main.h"
#include <string.h>

enum { ROUTES = 600, PROBES = 20000 };

static uint32_t seed = 12345;

static uint32_t rnd(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static struct prefix random_prefix(uint8_t family)
{
	struct prefix p = {.addr.family = family};
	unsigned bits = family == 4 ? 32 : 128;

	for (unsigned i = 0; i < bits / 8; i++)
		p.addr.b[i] = (uint8_t)(rnd() % 3 ? rnd() % 4 : rnd());
	p.len = (uint8_t)(rnd() % (bits + 1));
	prefix_mask(&p);
	return p;
}

static uint32_t linear(const struct fib_route *r, unsigned n, const struct addr *a)
{
	uint32_t best = 0;

	for (unsigned i = 0; i < n; i++)
		if (r[i].dst.addr.family == a->family && prefix_covers(&r[i].dst, a) && (!best || r[i].dst.len > r[best - 1].dst.len))
			best = i + 1;
	return best;
}

START_TEST(test_against_linear)
{
	struct fib_route r[ROUTES] = {0};
	struct fib *f;

	for (unsigned i = 0; i < ROUTES; i++) {
		r[i].dst = random_prefix(i % 2 ? 4 : 6);
		r[i].kind = FIB_LINK;
	}
	ck_assert_int_eq(fib_new(r, ROUTES, NULL, &f), 0);
	for (unsigned i = 0; i < PROBES; i++) {
		struct prefix p = random_prefix(i % 2 ? 4 : 6);
		if (i % 3 == 0)
			p.addr = r[rnd() % ROUTES].dst.addr;
		ck_assert_uint_eq(fib_lookup(f, &p.addr), linear(r, ROUTES, &p.addr));
	}
	fib_free(f);
}
END_TEST

START_TEST(test_empty_and_full)
{
	struct fib *f;
	struct errbuf e = {""};
	struct addr a;

	ck_assert_int_eq(addr_parse("192.0.2.1", &a), 0);
	ck_assert_int_eq(fib_new(NULL, 0, NULL, &f), 0);
	ck_assert_uint_eq(fib_lookup(f, &a), 0);
	ck_assert_int_eq(fib_route(f, 0)->kind, FIB_NONE);
	ck_assert_int_eq(fib_route(f, 99)->kind, FIB_NONE);
	fib_free(f);
	ck_assert_int_eq(fib_new(NULL, FIB_ROUTES_MAX + 1, &e, &f), -ENOSPC);
	ck_assert_str_ne(e.text, "");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fib");
	TCase *c = tcase_create("fib");

	tcase_add_test(c, test_against_linear);
	tcase_add_test(c, test_empty_and_full);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
