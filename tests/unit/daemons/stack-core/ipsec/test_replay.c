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

/* The window as RFC 4303 section 3.4.3 tells it: a byte for every number there ever was. */
struct model {
	uint64_t base, last; /* numbers below base were never used */
	uint32_t size, span;
	uint8_t seen[3 * REPLAY_MAX * 2];
};

static int model_verdict(const struct model *m, uint64_t seq)
{
	if (!seq)
		return REPLAY_OLD;
	if (seq > m->last)
		return REPLAY_OK;
	if (m->last - seq >= m->size)
		return REPLAY_OLD;
	return seq >= m->base && m->seen[seq - m->base] ? REPLAY_SEEN : REPLAY_OK;
}

static void model_accept(struct model *m, uint64_t seq)
{
	m->seen[seq - m->base] = 1;
	m->last = seq > m->last ? seq : m->last;
}

/* Every number from well below the window to above it, checked against the model; a third of the good ones is accepted. */
static void compare_all(struct replay *r, struct model *m, uint32_t pick)
{
	uint64_t last = m->last, low = last > m->size + 66 ? last - m->size - 66 : 0;

	for (uint64_t seq = low; seq <= last; seq++) {
		int want = model_verdict(m, seq);
		/* Check writes a message for every assertion: not here, millions of times */
		if (replay_check(r, seq) != want || (r->esn && want != REPLAY_OLD && replay_infer(r, (uint32_t)seq) != seq))
			ck_abort_msg("window %u at %llu: number %llu", r->size, (unsigned long long)last, (unsigned long long)seq);
		if (want == REPLAY_OLD || (seq + pick) % 3 || seq < m->base)
			continue;
		if (replay_update(r, seq) != want)
			ck_abort_msg("window %u at %llu: accepting %llu", r->size, (unsigned long long)last, (unsigned long long)seq);
		if (want == REPLAY_OK)
			model_accept(m, seq);
	}
	ck_assert_uint_eq(replay_last(r), last);
}

/* From three places, the last across 2^32: steps of every length up to two words more than the window. */
START_TEST(agrees_with_the_obvious_model)
{
	static const uint32_t sizes[] = {64, 128, 192, 320, 1024, 4096};
	static struct model m;
	uint32_t size = sizes[_i % 6], stride = size <= 128 ? 1 : size / 8 + 5;
	uint64_t start = _i / 6 == 0 ? 0 : _i / 6 == 1 ? 1000000007 : (UINT64_C(1) << 32) - size;
	struct replay r;

	for (uint32_t step = 1; step <= size + 130; step += stride) {
		memset(&m, 0, sizeof(m));
		m.base = m.last = start;
		m.size = size;
		replay_init(&r, size, _i / 6 == 2);
		r.last = start;
		unsigned compared = 0;
		while (m.last + step - m.base < sizeof(m.seen) && m.last - m.base < 3 * size) {
			uint64_t seq = m.last + step;
			ck_assert_int_eq(replay_check(&r, seq), REPLAY_OK);
			ck_assert_int_eq(replay_update(&r, seq), REPLAY_OK);
			model_accept(&m, seq);
			if (m.last - m.base > compared * (size / 4)) { /* twelve times on the way */
				compare_all(&r, &m, step);
				compared++;
			}
		}
	}
}
END_TEST

/* RFC 4303 appendix A2 in one sentence: of all numbers that end in the 32 bits received, it is the smallest that does not lie
 * below the window. */
static uint64_t infer_model(uint64_t last, uint32_t window, uint32_t low)
{
	uint64_t bottom = last >= window - 1 ? last - (window - 1) : 0;
	uint64_t seq = (bottom & ~UINT64_C(0xffffffff)) | low;

	return seq < bottom ? seq + (UINT64_C(1) << 32) : seq;
}

START_TEST(inference_agrees_with_its_definition)
{
	static const uint32_t sizes[] = {64, 128, 1024, 4096};
	static const uint32_t far[] = {0x40000000, 0x7fffffff, 0x80000000, 0xc0000000};

	for (unsigned i = 0; i < 4; i++) {
		int64_t w = sizes[i];
		struct replay r;
		replay_init(&r, sizes[i], true);
		for (uint64_t high = 0; high < 4; high++) {
			for (int64_t d = -w - 2; d <= w + 2; d += d > -3 && d < 2 ? 1 : w / 32 + 1) {
				if (!high && d < 0)
					continue;
				r.last = (high << 32) + (uint64_t)d;
				for (int64_t off = -w - 2; off <= w + 2; off++) {
					uint32_t low = (uint32_t)(r.last + (uint64_t)off);
					if (replay_infer(&r, low) != infer_model(r.last, sizes[i], low))
						ck_abort_msg("window %u at %llu: %u", sizes[i], (unsigned long long)r.last, low);
				}
				for (unsigned f = 0; f < 4; f++)
					ck_assert_uint_eq(replay_infer(&r, far[f]), infer_model(r.last, sizes[i], far[f]));
			}
		}
	}
}
END_TEST

START_TEST(subspaces_ahead)
{
	struct replay r;

	replay_init(&r, 64, true);
	r.last = (UINT64_C(2) << 32) + 500;
	ck_assert_uint_eq(replay_ahead(&r, 501, 0), r.last + 1);
	ck_assert_uint_eq(replay_ahead(&r, 501, 3), r.last + 1 + (UINT64_C(3) << 32));
	r.last = (UINT64_C(0xfffffffe) << 32) + 500;
	ck_assert_uint_ne(replay_ahead(&r, 501, 1), 0);
	ck_assert_uint_eq(replay_ahead(&r, 501, 2), 0); /* beyond 64 bits */
	replay_init(&r, 64, false);
	ck_assert_uint_eq(replay_ahead(&r, 501, 1), 0);
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
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, agrees_with_the_obvious_model, 0, 18);
	tcase_add_test(c, inference_agrees_with_its_definition);
	tcase_add_test(c, subspaces_ahead);
	tcase_add_test(c, esn_infers_the_high_half);
	tcase_add_test(c, without_esn_the_number_is_the_number);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
