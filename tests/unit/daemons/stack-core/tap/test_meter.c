#include "daemons/stack-core/tap/meter.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct meter m;

static void setup(void)
{
	memset(&m, 0, sizeof(m));
}

START_TEST(buckets_are_powers_of_two)
{
	ck_assert_uint_eq(meter_bucket(0, 9), 0);
	ck_assert_uint_eq(meter_bucket(1, 9), 0);
	ck_assert_uint_eq(meter_bucket(2, 9), 1);
	for (unsigned b = 1; b < 60; b++) {
		ck_assert_uint_eq(meter_bucket(1ull << b, 64), b);
		ck_assert_uint_eq(meter_bucket((1ull << b) + 1, 64), b + 1);
	}
	ck_assert_uint_eq(meter_bucket(256, 9), 8);
	ck_assert_uint_eq(meter_bucket(257, 9), 8);
	ck_assert_uint_eq(meter_bucket(UINT64_MAX, 26), 25);
}
END_TEST

START_TEST(one_batch_in_sixteen_is_timed)
{
	unsigned timed = 0, odd = 0;
	for (unsigned i = 0; i < 1000 * METER_SAMPLE; i++) {
		if (meter_begin(&m, 5)) {
			timed++;
			odd += i & 1;
		}
		meter_end(&m);
	}
	ck_assert_uint_gt(timed, 900);
	ck_assert_uint_lt(timed, 1100);
	ck_assert_uint_gt(odd, timed / 3); /* those that take turns are seen alike */
	ck_assert_uint_lt(odd, timed * 2 / 3);
	uint64_t in_time = 0;
	for (unsigned i = 0; i < METER_TIME; i++)
		in_time += atomic_load(&m.time[i]);
	ck_assert_uint_eq(atomic_load(&m.batches), 1000 * METER_SAMPLE);
	ck_assert_uint_eq(atomic_load(&m.packets), 5000 * METER_SAMPLE);
	ck_assert_uint_eq(atomic_load(&m.batch[3]), 1000 * METER_SAMPLE);
	ck_assert_uint_eq(atomic_load(&m.sampled), 5 * timed);
	ck_assert_uint_eq(in_time, 5 * timed);
}
END_TEST

START_TEST(a_round_with_packets_counts_as_busy)
{
	meter_round(&m, 1000);
	m.was_busy = true;
	meter_round(&m, 1700);
	m.was_busy = false;
	meter_round(&m, 9000); /* slept */
	m.was_busy = true;
	meter_round(&m, 9100);
	ck_assert_uint_eq(atomic_load(&m.busy_ns), 800);
}
END_TEST

static Suite *suite(void)
{
	Suite *su = suite_create("meter");
	TCase *c = tcase_create("meter");

	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, buckets_are_powers_of_two);
	tcase_add_test(c, one_batch_in_sixteen_is_timed);
	tcase_add_test(c, a_round_with_packets_counts_as_busy);
	suite_add_tcase(su, c);
	return su;
}

RV_CHECK_MAIN(suite())
