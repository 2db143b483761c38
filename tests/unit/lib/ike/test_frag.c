#include "lib/ike/frag.h"
#include "tests/support/check_main.h"
#include <string.h>

enum { MESSAGE = 3000, TTL = 1000 };

struct sent {
	uint8_t data[FRAG_PIECES_MAX][1500];
	size_t len[FRAG_PIECES_MAX];
	unsigned n;
};

static void collect(void *ctx, const void *data, size_t len)
{
	struct sent *s = ctx;
	memcpy(s->data[s->n], data, len);
	s->len[s->n++] = len;
}

static void message(uint8_t *msg, size_t len)
{
	struct wr w = wr_init(msg, len);
	struct isakmp_header h = {.icookie = {1},
		.rcookie = {2},
		.next = ISAKMP_ID,
		.version = 0x10,
		.exchange = ISAKMP_MAIN,
		.flags = ISAKMP_ENCRYPTED,
		.length = (uint32_t)len};
	isakmp_header_write(&w, &h);
	for (size_t i = 28; i < len; i++)
		wr_u8(&w, (uint8_t)(i * 7));
}

/* The piece's body as a receiver gets it: through the ordinary header and walk. */
static int feed(struct frag *f, const struct sent *s, unsigned i, uint64_t now,
	const uint8_t **whole, size_t *len)
{
	struct isakmp_header h;
	struct isakmp_payloads p;

	ck_assert_int_eq(isakmp_header_read(s->data[i], s->len[i], &h, NULL), 0);
	ck_assert_uint_eq(h.next, ISAKMP_FRAGMENT);
	ck_assert_uint_eq(h.flags & ISAKMP_ENCRYPTED, 0);
	ck_assert_int_eq(isakmp_walk(h.next, s->data[i] + 28, s->len[i] - 28, 0, &p, NULL), 0);
	ck_assert_uint_eq(p.n, 1);
	return frag_add(f, p.at[0].body, p.at[0].len, now, TTL, whole, len, NULL);
}

START_TEST(any_order_with_duplicates)
{
	static const unsigned orders[][4] = {
		{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
	static uint8_t msg[MESSAGE];
	static struct sent s;
	const uint8_t *whole = NULL;
	size_t len = 0;
	struct frag *f = frag_new(NULL);

	message(msg, sizeof(msg));
	ck_assert_int_eq(frag_split(msg, sizeof(msg), 900, 1, collect, &s), 0);
	ck_assert_uint_eq(s.n, 4);
	for (unsigned i = 0; i < s.n; i++)
		ck_assert_uint_le(s.len[i], 900);
	for (size_t o = 0; o < 4; o++) {
		for (unsigned i = 0; i < 3; i++) {
			ck_assert_int_eq(feed(f, &s, orders[o][i], 0, &whole, &len), FRAG_WAIT);
			ck_assert_int_eq(
				feed(f, &s, orders[o][i], 0, &whole, &len), FRAG_DUPLICATE);
		}
		ck_assert_int_eq(feed(f, &s, orders[o][3], 0, &whole, &len), 0);
		ck_assert_uint_eq(len, sizeof(msg));
		ck_assert_mem_eq(whole, msg, len);
		ck_assert_uint_eq(frag_held(f), 0);
	}
	frag_free(f);
	frag_free(NULL);
}
END_TEST

START_TEST(malformed_drops_everything)
{
	static const struct {
		size_t len;
		uint8_t body[6];
	} bad[] = {{0, {0}}, {3, {0, 1, 1}}, {4, {0, 1, 1, 0}}, {5, {0, 1, 0, 0, 9}},
		{5, {0, 1, 1, 2, 9}}, {5, {0, 1, 1, 0x81, 9}},
		{5, {0, 1, FRAG_PIECES_MAX + 1, 0, 9}}};
	const uint8_t *whole;
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct frag *f = frag_new(NULL);
		struct ike_refusal why = {0};
		ck_assert_int_eq(
			frag_add(f, "\0\1\1\0x", 5, 0, TTL, &whole, &len, NULL), FRAG_WAIT);
		ck_assert_uint_eq(frag_held(f), 1);
		ck_assert_int_eq(
			frag_add(f, bad[i].body, bad[i].len, 0, TTL, &whole, &len, &why), -EPROTO);
		ck_assert_uint_eq(why.notify, NOTIFY_PAYLOAD_MALFORMED);
		ck_assert_uint_eq(frag_held(f), 0);
		frag_free(f);
	}
}
END_TEST

START_TEST(limits)
{
	struct frag_limits l = {.pieces = 3, .bytes = 8};
	struct frag *f = frag_new(&l);
	const uint8_t *whole;
	size_t len;

	ck_assert_int_eq(frag_add(f, "\0\1\4\0x", 5, 0, TTL, &whole, &len, NULL), -EPROTO);
	ck_assert_int_eq(frag_add(f,
				 "\0\1\1\0"
				 "12345678",
				 12, 0, TTL, &whole, &len, NULL),
		FRAG_WAIT);
	ck_assert_int_eq(frag_add(f, "\0\1\2\0x", 5, 0, TTL, &whole, &len, NULL), -EPROTO);
	ck_assert_uint_eq(frag_held(f), 0);
	frag_free(f);
}
END_TEST

START_TEST(contradictions_begin_anew)
{
	struct frag *f = frag_new(NULL);
	const uint8_t *whole;
	size_t len;

#define ADD(bytes) frag_add(f, bytes, sizeof(bytes) - 1, 0, TTL, &whole, &len, NULL)
	ck_assert_int_eq(ADD("\0\1\1\0aa"), FRAG_WAIT);
	ck_assert_int_eq(ADD("\0\1\1\0bbb"), FRAG_WAIT); /* other content: only it is held */
	ck_assert_uint_eq(frag_held(f), 3);
	ck_assert_int_eq(ADD("\0\1\3\1cc"), FRAG_WAIT);
	ck_assert_int_eq(ADD("\0\1\4\0d"), FRAG_WAIT); /* behind the last one */
	ck_assert_uint_eq(frag_held(f), 1);
	ck_assert_int_eq(ADD("\0\1\2\1ee"), FRAG_WAIT); /* last before one that came */
	ck_assert_uint_eq(frag_held(f), 2);
	ck_assert_int_eq(ADD("\0\2\1\0f"), FRAG_WAIT); /* another message */
	ck_assert_uint_eq(frag_held(f), 1);
	ck_assert_int_eq(ADD("\0\2\2\1g"), 0);
	ck_assert_uint_eq(len, 2);
	ck_assert_mem_eq(whole, "fg", 2);
	frag_free(f);
}
END_TEST

START_TEST(old_pieces_are_dropped)
{
	struct frag *f = frag_new(NULL);
	const uint8_t *whole;
	size_t len;

	ck_assert_int_eq(frag_add(f, "\0\1\1\0a", 5, 100, TTL, &whole, &len, NULL), FRAG_WAIT);
	ck_assert_int_eq(
		frag_add(f, "\0\1\2\1b", 5, 101 + TTL, TTL, &whole, &len, NULL), FRAG_WAIT);
	ck_assert_uint_eq(frag_held(f), 1);
	ck_assert_int_eq(frag_add(f, "\0\1\1\0a", 5, 101 + TTL, TTL, &whole, &len, NULL), 0);
	frag_free(f);
}
END_TEST

START_TEST(splits_refused)
{
	static uint8_t msg[MESSAGE];
	struct sent s = {.n = 0};

	message(msg, sizeof(msg));
	ck_assert_int_eq(frag_split(msg, sizeof(msg), 36, 1, collect, &s), -EINVAL);
	ck_assert_int_eq(frag_split(msg, sizeof(msg), 37, 1, collect, &s), -EMSGSIZE);
	ck_assert_int_eq(frag_split(msg, sizeof(msg) - 1, 900, 1, collect, &s), -EINVAL);
	ck_assert_int_eq(frag_split(msg, 10, 900, 1, collect, &s), -EINVAL);
	ck_assert_uint_eq(s.n, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("frag");
	TCase *t = tcase_create("frag");
	tcase_add_test(t, any_order_with_duplicates);
	tcase_add_test(t, malformed_drops_everything);
	tcase_add_test(t, limits);
	tcase_add_test(t, contradictions_begin_anew);
	tcase_add_test(t, old_pieces_are_dropped);
	tcase_add_test(t, splits_refused);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
