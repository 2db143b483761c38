#include "daemons/stack-core/tap/tap.h"
#include "tests/support/check_main.h"
#include <pthread.h>
#include <string.h>

static struct tap_ring ring;

static void setup(void)
{
	ck_assert_int_eq(tap_ring_init(&ring), 0);
}

static void teardown(void)
{
	tap_ring_fini(&ring);
}

static bool put(uint32_t number, uint32_t data)
{
	struct tap_record *r = tap_ring_next(&ring, data);
	if (!r)
		return false;
	r->packet = number;
	r->kept = data;
	memset(r + 1, (int)(number & 0xff), data);
	tap_ring_commit(&ring, r);
	return true;
}

static bool whole(const struct tap_record *r)
{
	for (uint32_t i = 0; i < r->kept; i++)
		if (tap_data(r)[i] != (r->packet & 0xff))
			return false;
	return true;
}

START_TEST(an_empty_ring_has_nothing)
{
	ck_assert_ptr_null(tap_ring_peek(&ring));
}
END_TEST

START_TEST(a_full_ring_loses_the_newest_and_counts)
{
	uint32_t n = 0, seen = 0;
	while (put(n, 1000))
		n++;
	ck_assert_uint_gt(n, TAP_RING_BYTES / 1600);
	ck_assert(!put(n, 1000));
	ck_assert_uint_eq(atomic_load(&ring.lost), 2);
	for (const struct tap_record *r; (r = tap_ring_peek(&ring)); seen++) {
		ck_assert_uint_eq(r->packet, seen);
		ck_assert(whole(r));
		tap_ring_done(&ring, r);
	}
	ck_assert_uint_eq(seen, n);
	ck_assert(put(n, 1000));
}
END_TEST

START_TEST(the_largest_record_fits_an_empty_ring_wherever_it_stands)
{
	for (uint32_t i = 0; i < 200; i++) {
		ck_assert(put(i, i * 331 % TAP_SNAP_MAX));
		ck_assert(put(i + 1000, TAP_SNAP_MAX));
		for (unsigned k = 0; k < 2; k++) {
			const struct tap_record *r = tap_ring_peek(&ring);
			ck_assert_ptr_nonnull(r);
			ck_assert_uint_eq(r->packet, k ? i + 1000 : i);
			ck_assert(whole(r));
			tap_ring_done(&ring, r);
		}
		ck_assert_ptr_null(tap_ring_peek(&ring));
	}
	ck_assert_uint_eq(atomic_load(&ring.lost), 0);
}
END_TEST

enum { PASSED_ON = 200000 };

static void *writer(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < PASSED_ON; i++)
		(void)put(i, i * 7 % 1500);
	return NULL;
}

START_TEST(a_reader_beside_the_writer_gets_whole_records_in_order)
{
	pthread_t t;
	uint64_t seen = 0;
	uint32_t last = 0;
	ck_assert_int_eq(pthread_create(&t, NULL, writer, NULL), 0);
	while (seen + atomic_load(&ring.lost) < PASSED_ON) {
		const struct tap_record *r = tap_ring_peek(&ring);
		if (!r)
			continue;
		ck_assert(!seen || r->packet > last);
		ck_assert(whole(r));
		last = r->packet;
		seen++;
		tap_ring_done(&ring, r);
	}
	pthread_join(t, NULL);
	ck_assert_ptr_null(tap_ring_peek(&ring));
	ck_assert_uint_gt(seen, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *su = suite_create("ring");
	TCase *c = tcase_create("ring");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, an_empty_ring_has_nothing);
	tcase_add_test(c, a_full_ring_loses_the_newest_and_counts);
	tcase_add_test(c, the_largest_record_fits_an_empty_ring_wherever_it_stands);
	tcase_add_test(c, a_reader_beside_the_writer_gets_whole_records_in_order);
	suite_add_tcase(su, c);
	return su;
}

RV_CHECK_MAIN(suite())
