#include "daemons/rpcbindD/rate.h"
#include "tests/support/check_main.h"

static struct addr v4(uint32_t n)
{
	struct addr a = {.family = 4, .b = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
	return a;
}

static unsigned take_all(struct rate *r, const struct addr *a, unsigned per_second, unsigned burst, uint64_t now, unsigned tries)
{
	unsigned n = 0;
	for (unsigned i = 0; i < tries; i++)
		n += rate_take(r, a, per_second, burst, now);
	return n;
}

START_TEST(burst_then_rate)
{
	struct rate *r = rate_new();
	struct addr a = v4(1);
	ck_assert_uint_eq(take_all(r, &a, 10, 25, 1000, 100), 25);
	ck_assert_uint_eq(take_all(r, &a, 10, 25, 1099, 100), 0);
	ck_assert_uint_eq(take_all(r, &a, 10, 25, 1100, 100), 1);
	ck_assert_uint_eq(take_all(r, &a, 10, 25, 2100, 100), 10);
	ck_assert_uint_eq(take_all(r, &a, 10, 25, 1000000, 100), 25); /* never more than the burst */
	ck_assert_uint_eq(take_all(r, &a, 0, 25, 1000000, 1000), 1000); /* no limit */
	rate_free(r);
	rate_free(NULL);
}
END_TEST

START_TEST(sources_do_not_share)
{
	struct rate *r = rate_new();
	struct addr a = v4(1), b = v4(2), six = {.family = 6, .b = {0x20, 1, [15] = 1}}, same64 = six, other64 = six;
	same64.b[15] = 2;
	other64.b[7] = 1;
	ck_assert_uint_eq(take_all(r, &a, 1, 5, 1000, 50), 5);
	ck_assert_uint_eq(take_all(r, &b, 1, 5, 1000, 50), 5);
	ck_assert_uint_eq(take_all(r, &six, 1, 5, 1000, 50), 5);
	ck_assert_uint_eq(take_all(r, &same64, 1, 5, 1000, 50), 0); /* whoever has a /64 has all of it */
	ck_assert_uint_eq(take_all(r, &other64, 1, 5, 1000, 50), 5);
	rate_free(r);
}
END_TEST

/* A million forged sources leave one that talks all the while its allowance, neither more nor much less. */
START_TEST(a_flood_of_sources)
{
	struct rate *r = rate_new();
	struct addr honest = v4(0xc0000201);
	unsigned got = 0;
	for (uint32_t i = 0; i < 1000000; i++) {
		struct addr a = v4(0x0a000000 + i);
		uint64_t now = 1000 + i / 1000;
		(void)rate_take(r, &a, 500, 1000, now);
		if (i % 10000 == 0)
			got += rate_take(r, &honest, 500, 1000, now);
	}
	ck_assert_uint_eq(got, 100);
	rate_free(r);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rate");
	TCase *t = tcase_create("rate");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, burst_then_rate);
	tcase_add_test(t, sources_do_not_share);
	tcase_add_test(t, a_flood_of_sources);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
