/* Pieces of messages at an engine that has answered a first message: whose it keeps, and how many.
 */
#include "lib/ike/frag.h"
#include "lib/ike/offer.h"
#include "tests/unit/lib/ike/pair/pair.h"

static bool first_only(struct datagram *d, unsigned number)
{
	(void)d;
	return number < 1;
}

/* End 1 has a half-open SA, and its answer lies in the queue. */
static void half_open(struct isakmp_header *ret)
{
	char id[16] = "";

	pair_simple(KEX_PSK, VPN_GCM);
	ck_assert_int_eq(activate(id), 0);
	struct datagram d = net.queue[net.head++ % QUEUE_MAX];
	give(&d);
	free(d.data);
	ck_assert_uint_eq(net.tail - net.head, 1);
	const struct datagram *answer = &net.queue[net.head % QUEUE_MAX];
	ck_assert_int_eq(isakmp_header_read(answer->data, answer->len, ret, NULL), 0);
	net.fate = first_only;
}

static uint64_t malformed(void)
{
	struct ike_stats s;
	ike_stats(net.peer[1].ike, &s);
	return s.malformed;
}

static void piece(
	const struct isakmp_header *h, uint8_t number, uint8_t flags, const void *data, size_t len)
{
	struct ike_path path = {{4, {192, 0, 2, 2}}, {4, {192, 0, 2, 1}}, 500, 500};
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
	ike_input(net.peer[1].ike, &path, buf, isakmp_finish(&b, 1), net.now, WALL(net.now));
}

START_TEST(without_our_cookie)
{
	struct isakmp_header h;

	half_open(&h);
	memset(h.rcookie, 0, sizeof(h.rcookie));
	for (uint8_t i = 1; i < 20; i++)
		piece(&h, i, 0, "data", 4);
	ck_assert_uint_eq(malformed(), 19);
	pair_stop();
}
END_TEST

START_TEST(with_our_cookie)
{
	struct isakmp_header h;
	uint8_t message[1000] = {0};
	struct wr w = wr_init(message, sizeof(message));

	half_open(&h);
	piece(&h, 1, 0, "data", 4);
	ck_assert_uint_eq(malformed(), 0);
	piece(&h, 2, FRAG_LAST, "more", 4); /* together they are no message */
	ck_assert_uint_eq(malformed(), 1);
	struct isakmp_header inner = h; /* a whole message that is a fragment again */
	inner.next = ISAKMP_FRAGMENT;
	inner.length = sizeof(message);
	isakmp_header_write(&w, &inner);
	piece(&h, 1, FRAG_LAST, message, sizeof(message));
	ck_assert_uint_eq(malformed(), 2);
	pair_stop();
}
END_TEST

START_TEST(no_more_than_the_limit)
{
	static const uint8_t data[1300];
	struct isakmp_header h;

	half_open(&h);
	for (unsigned i = 1; i <= 64; i++)
		piece(&h, (uint8_t)i, 0, data, sizeof(data));
	ck_assert_uint_ge(malformed(), 1);
	/* The exchange goes on as if nothing had been. */
	net.fate = NULL;
	pass(10 * SECOND);
	check_agreed();
	pair_stop();
}
END_TEST

/* A first message with a good offer and @pad bytes of vendor id. */
static void first_message(uint8_t cookie, size_t pad)
{
	static uint8_t filler[9000], message[9500];
	const struct kex_action *a = &net.peer[1].policy->kex_rules[0].action;
	struct ike_path path = {{4, {192, 0, 2, 2}}, {4, {192, 0, 2, 1}}, 500, 500};
	struct isakmp_header h = {
		.icookie = {cookie}, .version = ISAKMP_VERSION, .exchange = ISAKMP_MAIN};
	struct isakmp_build b;

	isakmp_start(&b, message, sizeof(message), &h);
	isakmp_open(&b, ISAKMP_SA);
	ck_assert_uint_ge(offer_p1_write(&b.w, a->offers, a->n_offers), 1);
	isakmp_close(&b);
	isakmp_add(&b, ISAKMP_VID, filler, pad);
	ike_input(net.peer[1].ike, &path, message, isakmp_finish(&b, 1), net.now, WALL(net.now));
}

/* A forged source makes us keep little, whatever it sends. */
START_TEST(a_first_message_too_long)
{
	struct isakmp_header h;
	struct ike_stats s;

	half_open(&h);
	first_message(1, 7000);
	ike_stats(net.peer[1].ike, &s);
	ck_assert_uint_eq(s.half_open, 2);
	ck_assert_uint_eq(s.malformed, 0);
	first_message(2, 8500);
	ike_stats(net.peer[1].ike, &s);
	ck_assert_uint_eq(s.half_open, 2);
	ck_assert_uint_eq(s.malformed, 1);
	pair_stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fragment");
	TCase *t = tcase_create("fragment");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, without_our_cookie);
	tcase_add_test(t, with_our_cookie);
	tcase_add_test(t, no_more_than_the_limit);
	tcase_add_test(t, a_first_message_too_long);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
