/* Thresholds of rules, and who invents sources to hide behind the limit. */
#include "daemons/defmgrD/seen.h"
#include "tests/support/check_main.h"

static struct seen *s;
static uint64_t forgotten;

static void setup(void)
{
	s = seen_new();
	forgotten = 0;
}

static void teardown(void)
{
	seen_free(s);
}

static struct addr source(unsigned n)
{
	return (struct addr){.family = 4, .b = {10, 0, (uint8_t)(n >> 8), (uint8_t)n}};
}

static bool detect(unsigned n, unsigned stack, uint64_t now)
{
	struct addr a = source(n);
	return seen_enough(s, stack, &a, 3, 1000, now, &forgotten);
}

START_TEST(the_third_is_enough)
{
	for (unsigned round = 0; round < 2; round++) { /* and they count anew */
		ck_assert(!detect(1, 0, 10));
		ck_assert(!detect(2, 0, 11));
		ck_assert(!detect(1, 0, 12));
		ck_assert(!detect(2, 0, 13));
		ck_assert(detect(1, 0, 14));
		ck_assert(detect(2, 0, 15));
	}
	ck_assert_uint_eq(forgotten, 0);
}
END_TEST

START_TEST(stacks_count_apart)
{
	ck_assert(!detect(1, 0, 10));
	ck_assert(!detect(1, 0, 10));
	ck_assert(!detect(1, 1, 10));
	ck_assert(!detect(1, 1, 10));
	ck_assert(detect(1, 0, 10));
	ck_assert(detect(1, 1, 10));
}
END_TEST

START_TEST(interval_begins_with_the_first)
{
	ck_assert(!detect(1, 0, 10));
	ck_assert(!detect(1, 0, 900));
	ck_assert(detect(1, 0, 1010)); /* not longer than the interval */
	ck_assert(!detect(1, 0, 2000));
	ck_assert(!detect(1, 0, 2900));
	ck_assert(!detect(1, 0, 3001)); /* the first of others */
	ck_assert(!detect(1, 0, 3002));
	ck_assert(detect(1, 0, 3003));
	ck_assert_uint_eq(forgotten, 0);
}
END_TEST

START_TEST(the_oldest_gives_way)
{
	for (unsigned i = 0; i < SEEN_SOURCES_MAX; i++)
		for (unsigned k = 0; k < 2; k++)
			ck_assert(!detect(i, 0, 10 + i));
	ck_assert_uint_eq(forgotten, 0);
	ck_assert(!detect(SEEN_SOURCES_MAX, 0, 600)); /* in the place of 0 */
	ck_assert_uint_eq(forgotten, 1);
	ck_assert(detect(1, 0, 601));
	ck_assert(!detect(0, 0, 602)); /* in the place of 1, which is free: nobody is forgotten */
	ck_assert_uint_eq(forgotten, 1);
	ck_assert(detect(SEEN_SOURCES_MAX - 1, 0, 603));
}
END_TEST

static Suite *suite(void)
{
	Suite *x = suite_create("seen");
	TCase *t = tcase_create("seen");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_third_is_enough);
	tcase_add_test(t, stacks_count_apart);
	tcase_add_test(t, interval_begins_with_the_first);
	tcase_add_test(t, the_oldest_gives_way);
	suite_add_tcase(x, t);
	return x;
}
RV_CHECK_MAIN(suite())
