/* Datagrams of the host joined before they are sent: what must not be joined; and cutting what was joined gives the same datagrams again. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/gather.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <string.h>

enum { POOL = 600, N = 200, UDP = 8, DF_OFF = 6 };
static struct pkt_pool *pool;
static struct pkt *cut[N];
static unsigned n_cut;

static void setup(void)
{
	pool = pkt_pool_new(POOL, 32);
	n_cut = 0;
}

static void teardown(void)
{
	pkt_pool_free(pool);
}

static uint32_t ip_of(const struct pkt *p)
{
	return pkt_data(p)[0] >> 4 == 4 ? IP4_HEADER : IP6_HEADER;
}

/* As the TUN gives it: not parsed, its checksum begun. */
static struct pkt *datagram(uint8_t family, uint16_t sport, uint32_t payload, uint32_t nth)
{
	struct pkt *p = pkt_alloc(pool);
	struct addr src = {4, {10, 1, 0, 1}}, dst = {4, {10, 2, 0, 1}}, src6 = {6, {0x20, 1, [15] = 1}}, dst6 = {6, {0x20, 1, [15] = 2}};
	uint32_t ip = family == 4 ? IP4_HEADER : IP6_HEADER;

	ck_assert_ptr_nonnull(p);
	uint8_t *h = pkt_data(p), *u = h + ip;
	p->len = ip + UDP + payload;
	if (family == 4)
		ip4_write(h, &src, &dst, IP_UDP, 64, 0, p->len, (uint16_t)(65530 + nth), true);
	else
		ip6_write(h, &src6, &dst6, IP_UDP, 64, 0, UDP + payload);
	ip_put16(u, sport);
	ip_put16(u + 2, 5201);
	ip_put16(u + 4, UDP + payload);
	uint16_t sum = (uint16_t)~csum_fold(csum_pseudo(family == 4 ? &src : &src6, family == 4 ? &dst : &dst6, IP_UDP, UDP + payload));
	memcpy(u + 6, &sum, 2);
	for (uint32_t i = 0; i < payload; i++)
		u[UDP + i] = (uint8_t)(i + nth * 7);
	p->csum_partial = true;
	p->csum_start = (uint16_t)ip;
	p->csum_offset = 6;
	return p;
}

static unsigned left_of(struct pkt **list, unsigned n)
{
	unsigned left = gather(pool, list, n);

	for (unsigned i = 0; i < left; i++)
		pkt_free(pool, list[i]);
	ck_assert_uint_eq(pkt_pool_available(pool), POOL);
	return left;
}

static unsigned two(struct pkt *a, struct pkt *b)
{
	struct pkt *list[2] = {a, b};
	return left_of(list, 2);
}

/* The second of two which would be joined, with one byte of its IP or UDP header changed. */
static struct pkt *with(uint8_t family, uint32_t at, uint8_t value)
{
	struct pkt *p = datagram(family, 1000, 64, 1);

	pkt_data(p)[at] = value;
	if (family == 4)
		ip4_checksum(pkt_data(p));
	return p;
}

static void refused(uint8_t family, uint32_t at, uint8_t value)
{
	ck_assert_msg(two(datagram(family, 1000, 64, 0), with(family, at, value)) == 2, "IPv%u, byte %u", family, at);
	ck_assert_msg(two(with(family, at, value), datagram(family, 1000, 64, 0)) == 2, "IPv%u, byte %u of the first", family, at);
}

START_TEST(test_other_headers)
{
	refused(4, 1, 4);	   /* TOS */
	refused(4, 1, 1);	   /* ECN */
	refused(4, DF_OFF, 0);	   /* may be fragmented */
	refused(4, DF_OFF, 0x60);  /* is */
	refused(4, DF_OFF + 1, 1); /* a later one */
	refused(4, 8, 63);	   /* TTL */
	refused(4, 9, IP_TCP);
	refused(4, 15, 9); /* source */
	refused(4, 19, 9); /* destination */
	refused(4, 21, 9); /* ports */
	refused(4, 23, 9);
	refused(4, 25, 71); /* longer than it is */
	refused(4, 0, 0x46);
	refused(6, 1, 0x10); /* traffic class */
	refused(6, 3, 1);    /* flow label */
	refused(6, 6, 44);   /* fragment */
	refused(6, 7, 63);   /* hop limit */
	refused(6, 23, 9);
	refused(6, 39, 9);
	refused(6, 41, 9);
	refused(6, 5, 71);
}
END_TEST

START_TEST(test_other_kinds)
{
	struct pkt *p = datagram(4, 1000, 64, 1);

	p->csum_partial = false; /* it has one, or none: not ours to say */
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), p), 2);
	p = datagram(4, 1000, 64, 1);
	p->csum_start++;
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), p), 2);
	p = datagram(4, 1000, 64, 1);
	p->csum_offset = 16;
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), p), 2);
	p = datagram(4, 1000, 64, 1);
	p->drop = DROP_LINK_FRAME;
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), p), 2);
	p = datagram(4, 1000, 64, 1);
	p->gso_size = 32;
	p->gso_type = PKT_GSO_UDP_L4;
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), p), 2);
	p = datagram(4, 1000, 64, 1);
	pkt_data(p)[10] ^= 1; /* damaged header */
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), p), 2);
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), datagram(6, 1000, 64, 1)), 2);
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), datagram(4, 1000, 65, 1)), 2); /* longer */
	ck_assert_uint_eq(two(datagram(4, 1000, 0, 0), datagram(4, 1000, 0, 1)), 2);   /* nothing in them */
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), datagram(4, 1000, 64, 1)), 1);
	ck_assert_uint_eq(two(datagram(6, 1000, 64, 0), datagram(6, 1000, 63, 1)), 1);
}
END_TEST

START_TEST(test_truncated)
{
	for (uint8_t family = 4; family <= 6; family = (uint8_t)(family + 2)) {
		for (uint32_t len = 0; len < ip_of(datagram(family, 1000, 64, 1)) + UDP + 64u; len++) {
			teardown();
			setup();
			struct pkt *p = datagram(family, 1000, 64, 1);
			p->len = len;
			ck_assert_uint_eq(two(datagram(family, 1000, 64, 0), p), 2);
		}
		teardown();
		setup();
	}
}
END_TEST

static void collect(void *arg, struct pkt *p)
{
	(void)arg;
	cut[n_cut++] = p;
}

/* Each flow's datagrams in order, and as they were, the IP ID aside. */
static void same_again(uint8_t family, unsigned flows, unsigned n, unsigned most)
{
	struct pkt *list[N], *before[N];
	unsigned last[16] = {0};

	teardown();
	setup();
	for (unsigned i = 0; i < n; i++) {
		uint32_t payload = i / flows % 50 == 49 ? 20 : 64;
		list[i] = datagram(family, (uint16_t)(1000 + i % flows), payload, i);
		before[i] = datagram(family, (uint16_t)(1000 + i % flows), payload, i);
		cut_checksum(before[i]);
	}
	unsigned left = gather(pool, list, n);
	ck_assert_uint_le(left, most);
	for (unsigned i = 0; i < left; i++) {
		ck_assert(ip_parse(list[i]));
		if (list[i]->gso_size) {
			struct pkt *p = list[i];
			uint32_t l4 = p->len - p->l4_off;
			uint16_t begun = (uint16_t)~csum_fold(csum_pseudo(&p->src, &p->dst, IP_UDP, l4));
			ck_assert_mem_eq(pkt_data(p) + p->l4_off + 6, &begun, 2);
			ck_assert(cut_segments(pool, p, collect, NULL));
		} else {
			cut_checksum(list[i]);
			cut[n_cut++] = list[i];
		}
	}
	ck_assert_uint_eq(n_cut, n);
	for (unsigned i = 0; i < n; i++) {
		unsigned flow = (ip_get16(pkt_data(cut[i]) + ip_of(cut[i])) - 1000u) % flows;
		struct pkt *was = before[last[flow]++ * flows + flow];
		ck_assert_uint_eq(cut[i]->len, was->len);
		if (family == 4) {
			memcpy(pkt_data(cut[i]) + 4, pkt_data(was) + 4, 2);
			ip4_checksum(pkt_data(cut[i]));
		}
		ck_assert_mem_eq(pkt_data(cut[i]), pkt_data(was), was->len);
	}
}

START_TEST(test_same_again)
{
	same_again(4, 1, 150, 3);
	same_again(6, 1, 150, 3);
	same_again(4, 4, 160, 4);
	same_again(6, 8, 160, 8);
	same_again(4, 9, 144, 144); /* more than are kept: fewer are joined, none is lost */
}
END_TEST

START_TEST(test_not_overtaken)
{
	struct pkt *list[4] = {datagram(4, 1000, 64, 0), with(4, DF_OFF, 0x20), datagram(4, 1000, 64, 2), datagram(4, 1000, 64, 3)};
	unsigned left = gather(pool, list, 4);

	ck_assert_uint_eq(left, 3); /* the last two behind the fragment */
	ck_assert_uint_eq(list[0]->gso_size, 0);
	ck_assert_uint_eq(pkt_data(list[1])[DF_OFF], 0x20);
	ck_assert_uint_eq(list[2]->gso_size, 64);
	for (unsigned i = 0; i < left; i++)
		pkt_free(pool, list[i]);
	struct pkt *other[3] = {datagram(4, 1000, 64, 0), with(4, 9, IP_TCP), datagram(4, 1000, 64, 2)};
	ck_assert_uint_eq(left_of(other, 3), 2); /* another protocol is in nobody's way */
}
END_TEST

START_TEST(test_limits)
{
	struct pkt *list[N];

	for (unsigned i = 0; i < GATHER_SEGMENTS * 2 + 1; i++)
		list[i] = datagram(4, 1000, 64, i);
	ck_assert_uint_eq(left_of(list, GATHER_SEGMENTS * 2 + 1), 3);
	for (unsigned i = 0; i < 60; i++)
		list[i] = datagram(4, 1000, 1400, i);
	ck_assert_uint_eq(left_of(list, 60), 2);
	for (unsigned i = 0; i < N; i++) /* pairs */
		list[i] = datagram(4, 1000, 64 + i / 2, i);
	ck_assert_uint_eq(left_of(list, N), N - GATHER_HEADS);
	for (unsigned i = 0; i < 32; i++) /* no large buffer is free */
		cut[i] = pkt_alloc_large(pool);
	ck_assert_uint_eq(two(datagram(4, 1000, 64, 0), datagram(4, 1000, 64, 1)), 2);
	for (unsigned i = 0; i < 32; i++)
		pkt_free(pool, cut[i]);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("gather");
	TCase *t = tcase_create("gather");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_other_headers);
	tcase_add_test(t, test_other_kinds);
	tcase_add_test(t, test_truncated);
	tcase_add_test(t, test_same_again);
	tcase_add_test(t, test_not_overtaken);
	tcase_add_test(t, test_limits);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(make_suite())
