/* The anti-replay window: edges, every size, ESN inference across the 32-bit boundary, and a slow
 * model beside it. */
#include "daemons/stack-core/ipsec/replay.h"
#include "tests/support/check_main.h"
#include <string.h>

START_TEST(zero_is_never_a_number)
{
	struct replay r;
	replay_init(&r, 64, false);
	ck_assert_int_eq(replay_check(&r, 0), REPLAY_OLD);
	ck_assert_int_eq(replay_update(&r, 0), REPLAY_OLD);
}
END_TEST

START_TEST(edges_of_the_window)
{
	for (uint32_t size = REPLAY_MIN; size <= REPLAY_MAX; size += 64) {
		struct replay r;
		replay_init(&r, size, false);
		ck_assert_int_eq(replay_update(&r, 10000), REPLAY_OK);
		ck_assert_int_eq(replay_update(&r, 10000), REPLAY_SEEN);
		ck_assert_int_eq(replay_check(&r, 10000 - size), REPLAY_OLD);
		ck_assert_int_eq(replay_check(&r, 10000 - size + 1), REPLAY_OK);
		ck_assert_int_eq(replay_update(&r, 10000 - size + 1), REPLAY_OK);
		ck_assert_int_eq(replay_check(&r, 10000 - size + 1), REPLAY_SEEN);
		ck_assert_int_eq(replay_update(&r, 10001), REPLAY_OK);
		ck_assert_int_eq(replay_check(&r, 10000 - size + 1), REPLAY_OLD);
	}
}
END_TEST

START_TEST(sizes_are_rounded_up)
{
	struct replay r;
	replay_init(&r, 65, false);
	ck_assert_uint_eq(r.size, 128);
	replay_init(&r, 1, false);
	ck_assert_uint_eq(r.size, 64);
	replay_init(&r, 100000, false);
	ck_assert_uint_eq(r.size, REPLAY_MAX);
	replay_init(&r, 0, false);
	ck_assert_uint_eq(r.size, 0);
	ck_assert_int_eq(replay_update(&r, 5), REPLAY_OK);
	ck_assert_int_eq(replay_update(&r, 5), REPLAY_OK);
}
END_TEST

START_TEST(a_leap_forgets_everything_behind)
{
	struct replay r;
	replay_init(&r, 128, false);
	for (uint64_t s = 1; s <= 128; s++)
		ck_assert_int_eq(replay_update(&r, s), REPLAY_OK);
	ck_assert_int_eq(replay_update(&r, 1000000), REPLAY_OK);
	for (uint64_t s = 1000000 - 127; s < 1000000; s++)
		ck_assert_int_eq(replay_update(&r, s), REPLAY_OK);
	for (uint64_t s = 1000000 - 127; s <= 1000000; s++)
		ck_assert_int_eq(replay_update(&r, s), REPLAY_SEEN);
}
END_TEST

/* Random numbers around the top, beside a model that remembers each of them. */
START_TEST(agrees_with_a_model)
{
	enum { SPAN = 20000 };
	static uint8_t seen[SPAN];
	uint32_t random = 12345;

	for (uint32_t size = 64; size <= 4096; size *= 2) {
		struct replay r;
		uint64_t top = 0;
		replay_init(&r, size, false);
		memset(seen, 0, sizeof(seen));
		for (int i = 0; i < 30000; i++) {
			random = random * 1103515245 + 12345;
			uint64_t span = 2 * size, seq = top + (random >> 8) % span;
			seq = seq > span * 3 / 4 ? seq - span * 3 / 4 : 1;
			if (seq >= SPAN)
				break;
			int want = seq > top	       ? REPLAY_OK
				   : top - seq >= size ? REPLAY_OLD
				   : seen[seq]	       ? REPLAY_SEEN
						       : REPLAY_OK;
			ck_assert_int_eq(replay_check(&r, seq), want);
			ck_assert_int_eq(replay_update(&r, seq), want);
			if (want == REPLAY_OK) {
				seen[seq] = 1;
				top = seq > top ? seq : top;
			}
		}
	}
}
END_TEST

START_TEST(esn_infers_the_high_half)
{
	struct replay r;
	uint64_t two32 = UINT64_C(1) << 32;

	replay_init(&r, 64, true);
	ck_assert_uint_eq(replay_infer(&r, 1), 1);
	ck_assert_uint_eq(replay_infer(&r, 0xffffffff),
		0xffffffff); /* nothing lies before the first subspace */
	ck_assert_int_eq(replay_update(&r, two32 - 2), REPLAY_OK);
	ck_assert_uint_eq(replay_infer(&r, 0xffffffff), two32 - 1);
	ck_assert_uint_eq(replay_infer(&r, 0), two32);
	ck_assert_uint_eq(replay_infer(&r, 5), two32 + 5);
	ck_assert_int_eq(replay_update(&r, two32 + 5), REPLAY_OK);
	/* the window now spans both subspaces */
	ck_assert_uint_eq(replay_infer(&r, 0xffffffff), two32 - 1);
	ck_assert_uint_eq(replay_infer(&r, 0xfffffffe), two32 - 2);
	ck_assert_int_eq(replay_check(&r, two32 - 2), REPLAY_SEEN);
	ck_assert_int_eq(replay_check(&r, two32 - 1), REPLAY_OK);
	ck_assert_uint_eq(replay_infer(&r, 6), two32 + 6);
	/* left the lower subspace: low numbers below the window are the next one */
	ck_assert_int_eq(replay_update(&r, two32 + 1000), REPLAY_OK);
	ck_assert_uint_eq(replay_infer(&r, 1000 - 63), two32 + 1000 - 63);
	ck_assert_uint_eq(replay_infer(&r, 1000 - 64), 2 * two32 + 1000 - 64);
}
END_TEST

START_TEST(without_esn_the_number_is_the_number)
{
	struct replay r;
	replay_init(&r, 64, false);
	ck_assert_int_eq(replay_update(&r, 0xffffffff), REPLAY_OK);
	ck_assert_uint_eq(replay_infer(&r, 1), 1);
	ck_assert_int_eq(replay_check(&r, 1), REPLAY_OLD);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/replay");
	TCase *c = tcase_create("replay");
	tcase_add_test(c, zero_is_never_a_number);
	tcase_add_test(c, edges_of_the_window);
	tcase_add_test(c, sizes_are_rounded_up);
	tcase_add_test(c, a_leap_forgets_everything_behind);
	tcase_add_test(c, agrees_with_a_model);
	tcase_add_test(c, esn_infers_the_high_half);
	tcase_add_test(c, without_esn_the_number_is_the_number);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
