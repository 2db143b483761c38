/* A ring that was being read when its reader ended: packets are taken in the order in which they came, wherever the kernel is. */
#include "daemons/stack-core/link/slots.h"
#include "tests/support/check_main.h"
#include <stdlib.h>
#include <string.h>

enum { FRAME = 2048, FRAMES = 3 * SLOTS_BLOCK / FRAME, SECOND = 1000000000 };

static struct slots s;

static void setup(void)
{
	s = (struct slots){.map = calloc(3, SLOTS_BLOCK), .frame = FRAME, .n = FRAMES};
	ck_assert_ptr_nonnull(s.map);
}

static void teardown(void)
{
	free(s.map);
}

/* Packets @n from slot @at on, half a second from one to the next. */
static void waiting(uint32_t at, uint32_t n)
{
	memset(s.map, 0, 3 * SLOTS_BLOCK);
	for (uint32_t k = 0; k < n; k++) {
		struct tpacket2_hdr *h = slots_at(&s, (at + k) % FRAMES);
		h->tp_sec = 1700000000u + k / 2;
		h->tp_nsec = k % 2 * SECOND / 2 + 7;
		h->tp_status = TP_STATUS_USER | (k % 3 ? 0 : TP_STATUS_COPY);
	}
}

START_TEST(frames_do_not_cross_blocks)
{
	static const uint32_t sizes[] = {2048, 4096, 16384, 65536};

	for (unsigned i = 0; i < 4; i++) {
		struct slots t = {s.map, sizes[i], 3 * SLOTS_BLOCK / sizes[i]};
		for (uint32_t k = 0; k < t.n; k++)
			ck_assert_ptr_eq(slots_at(&t, k), s.map + (size_t)k * sizes[i]);
	}
	struct slots odd = {s.map, 24576, 6}; /* two a block, and a rest that is none's */
	for (uint32_t k = 0; k < odd.n; k++)
		ck_assert_ptr_eq(slots_at(&odd, k), s.map + (size_t)(k / 2) * SLOTS_BLOCK + (size_t)(k % 2) * 24576);
}
END_TEST

START_TEST(an_empty_ring_has_no_first)
{
	uint32_t first = 99;

	waiting(0, 0);
	ck_assert(!slots_first(&s, &first));
	ck_assert_uint_eq(first, 99);
}
END_TEST

START_TEST(the_first_of_a_run_wherever_it_lies)
{
	for (uint32_t at = 0; at < FRAMES; at++)
		for (uint32_t n = 1; n < FRAMES; n += n < 4 ? 1 : 23) {
			uint32_t first;
			waiting(at, n);
			ck_assert(slots_first(&s, &first));
			if (first != at)
				ck_abort_msg("%u waiting from %u: %u", n, at, first);
		}
}
END_TEST

/* No slot is free that would show where the run begins: a replay window would refuse what is read late. */
START_TEST(of_a_full_ring_what_came_first)
{
	for (uint32_t at = 0; at < FRAMES; at++) {
		uint32_t first;
		waiting(at, FRAMES);
		ck_assert(slots_first(&s, &first));
		ck_assert_uint_eq(first, at);
	}
}
END_TEST

/* TP_STATUS_COPY without TP_STATUS_USER, or any other bit, is the kernel's still. */
START_TEST(a_slot_that_the_kernel_has_is_none)
{
	uint32_t first;

	waiting(5, 0);
	slots_at(&s, 3)->tp_status = TP_STATUS_COPY | TP_STATUS_LOSING;
	ck_assert(!slots_first(&s, &first));
	slots_at(&s, 4)->tp_status = TP_STATUS_USER;
	ck_assert(slots_first(&s, &first));
	ck_assert_uint_eq(first, 4);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("slots");
	TCase *t = tcase_create("slots");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, frames_do_not_cross_blocks);
	tcase_add_test(t, an_empty_ring_has_no_first);
	tcase_add_test(t, the_first_of_a_run_wherever_it_lies);
	tcase_add_test(t, of_a_full_ring_what_came_first);
	tcase_add_test(t, a_slot_that_the_kernel_has_is_none);
	suite_add_tcase(suite, t);
	return suite;
}

RV_CHECK_MAIN(suite())
