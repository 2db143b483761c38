/* A worker's pauses: none for few packets, none for those that come in batches by themselves, bounded for all others. */
#include "daemons/stack-core/pace.h"
#include "tests/support/check_main.h"

enum { MS = 1000000 };

/* @packets a second come for @ms; what a round that reads @n of them says then. */
static uint64_t after(struct pace *p, uint64_t packets, uint64_t ms, unsigned n)
{
	uint64_t now = p->since_ns, end = now + ms * MS, step = n * 1000000000ull / packets, pause = 0;

	while ((now += step) < end)
		pause = pace_pause(p, now, n);
	return pause;
}

START_TEST(test_idle)
{
	struct pace p = {.since_ns = 5 * MS};

	ck_assert_uint_eq(pace_pause(&p, 5 * MS + 10, 1), 0);	   /* the very first */
	ck_assert_uint_eq(after(&p, 1000, 100, 1), 0);		   /* a ping-pong */
	ck_assert_uint_eq(after(&p, 1000000000 / PACE_NS_MAX * (PACE_LEAST - 2), 100, 1), 0);
}
END_TEST

START_TEST(test_quick)
{
	struct pace p = {.since_ns = 5 * MS};
	uint64_t pause = after(&p, 200000, 10, 3);

	ck_assert_uint_eq(pause, PACE_NS_MAX);
	pause = after(&p, 1000000, 10, 3);
	ck_assert_uint_ge(pause, 50000);
	ck_assert_uint_le(pause, PACE_BATCH * 1000 + 1000);
	ck_assert_uint_eq(after(&p, 10000000, 10, 3), 0); /* a batch is there sooner than a sleep ends */
}
END_TEST

START_TEST(test_full)
{
	struct pace p = {.since_ns = 5 * MS};

	ck_assert_uint_eq(after(&p, 200000, 10, PACE_BATCH), 0);
	ck_assert_uint_gt(after(&p, 200000, 10, PACE_BATCH - 1), 0);
}
END_TEST

/* Then nothing came: the next one is answered at once, and so is one after a long silence. */
START_TEST(test_silence)
{
	struct pace p = {.since_ns = 5 * MS};

	ck_assert_uint_gt(after(&p, 200000, 10, 3), 0);
	uint64_t now = p.since_ns + PACE_WINDOW_NS / 2;
	ck_assert_uint_eq(pace_pause(&p, now, 0), 0);
	ck_assert_uint_eq(pace_pause(&p, now + 3 * MS, 1), 0);
	ck_assert_uint_eq(pace_pause(&p, now + 4 * MS, 1), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pace");
	TCase *c = tcase_create("pace");

	tcase_add_test(c, test_idle);
	tcase_add_test(c, test_quick);
	tcase_add_test(c, test_full);
	tcase_add_test(c, test_silence);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
