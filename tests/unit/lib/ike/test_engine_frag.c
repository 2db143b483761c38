/* Pieces of messages at an engine that has answered a first message: whose it keeps, and how many. */
#include "lib/ike/frag.h"
#include "lib/ike/isakmp.h"
#include "lib/ike/offer.h"
#include "tests/unit/lib/ike/pair_check.h"

/* The right end has a half-open SA, and its answer waits. */
static struct pair *half_open(struct isakmp_header *ret)
{
	char id[16];
	struct pair *n = pair_new(NULL, NULL, NULL, NULL);

	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	ck_assert(pair_deliver(n));
	ck_assert_uint_eq(n->n_queue, 1);
	ck_assert_int_eq(isakmp_header_read(n->queue[0].data, n->queue[0].len, ret, NULL), 0);
	return n;
}

static struct ike_stats stats(struct pair *n)
{
	struct ike_stats s;
	ike_stats(n->peer[1].k, &s);
	return s;
}

static void give(struct pair *n, const uint8_t *data, size_t len)
{
	struct ike_path path = {n->peer[1].addr, n->peer[0].addr, 500, 500};

	ck_assert_uint_gt(len, 0);
	ike_input(n->peer[1].k, &path, data, len, n->now, PAIR_WALL + n->now);
}

static void piece(struct pair *n, const struct isakmp_header *h, uint8_t number, uint8_t flags, const void *data, size_t len)
{
	uint8_t buf[1400];
	struct isakmp_header clear = *h;
	struct isakmp_build b;

	clear.flags = 0;
	isakmp_start(&b, buf, sizeof(buf), &clear);
	isakmp_open(&b, ISAKMP_FRAGMENT);
	wr_u16(&b.w, 7);
	wr_u8(&b.w, number);
	wr_u8(&b.w, flags);
	wr_bytes(&b.w, data, len);
	isakmp_close(&b);
	give(n, buf, isakmp_finish(&b, 1));
}

START_TEST(without_our_cookie)
{
	struct isakmp_header h;
	struct pair *n = half_open(&h);

	memset(h.rcookie, 0, sizeof(h.rcookie));
	for (uint8_t i = 1; i < 20; i++)
		piece(n, &h, i, 0, "data", 4);
	ck_assert_uint_eq(stats(n).malformed, 19);
	pair_free(n);
}
END_TEST

START_TEST(with_our_cookie)
{
	struct isakmp_header h;
	struct pair *n = half_open(&h);
	uint8_t message[1000] = {0};
	struct wr w = wr_init(message, sizeof(message));

	piece(n, &h, 1, 0, "data", 4);
	ck_assert_uint_eq(stats(n).malformed, 0);
	piece(n, &h, 2, FRAG_LAST, "more", 4); /* together they are no message */
	ck_assert_uint_eq(stats(n).malformed, 1);
	struct isakmp_header inner = h; /* a whole message that is a fragment again */
	inner.next = ISAKMP_FRAGMENT;
	inner.length = sizeof(message);
	isakmp_header_write(&w, &inner);
	piece(n, &h, 1, FRAG_LAST, message, sizeof(message));
	ck_assert_uint_eq(stats(n).malformed, 2);
	pair_free(n);
}
END_TEST

START_TEST(no_more_than_the_limit)
{
	static const uint8_t data[1300];
	struct isakmp_header h;
	struct pair *n = half_open(&h);

	for (unsigned i = 1; i <= 64; i++)
		piece(n, &h, (uint8_t)i, 0, data, sizeof(data));
	ck_assert_uint_ge(stats(n).malformed, 1);
	/* The exchange goes on as if nothing had been. */
	pair_pass(n, 10 * PAIR_SECOND);
	UP(n);
	pair_free(n);
}
END_TEST

/* A first message with a good offer and @pad bytes of vendor id. */
static void first_message(struct pair *n, uint8_t cookie, size_t pad)
{
	static uint8_t filler[9000], message[9500];
	const struct kex_action *a = &n->peer[1].policy->kex_rules[0].action;
	struct isakmp_header h = {.icookie = {cookie}, .version = ISAKMP_VERSION, .exchange = ISAKMP_MAIN};
	struct isakmp_build b;

	isakmp_start(&b, message, sizeof(message), &h);
	isakmp_open(&b, ISAKMP_SA);
	ck_assert_uint_ge(offer_p1_write(&b.w, a->offers, a->n_offers), 1);
	isakmp_close(&b);
	isakmp_add(&b, ISAKMP_VID, filler, pad);
	give(n, message, isakmp_finish(&b, 1));
}

/* A forged source makes us keep little, whatever it sends. */
START_TEST(a_first_message_too_long)
{
	struct isakmp_header h;
	struct pair *n = half_open(&h);

	first_message(n, 1, 7000);
	ck_assert_uint_eq(stats(n).half_open, 2);
	ck_assert_uint_eq(stats(n).malformed, 0);
	first_message(n, 2, 8500);
	ck_assert_uint_eq(stats(n).half_open, 2);
	ck_assert_uint_eq(stats(n).malformed, 1);
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.frag");
	TCase *t = tcase_create("frag");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, without_our_cookie);
	tcase_add_test(t, with_our_cookie);
	tcase_add_test(t, no_more_than_the_limit);
	tcase_add_test(t, a_first_message_too_long);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
