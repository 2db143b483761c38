/* Joined datagrams of ESP in UDP: what must not be joined; and cutting what was joined gives the same datagrams again. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ip/uso.h"
#include "tests/support/check_main.h"
#include <stdlib.h>
#include <string.h>

enum { POOL = 600, N = 200 };
static struct pkt_pool *pool;
static struct link links[2];

static void setup(void)
{
	pool = pkt_pool_new(POOL, 8);
	memset(links, 0, sizeof(links));
	links[0].uso = true;
}

static void teardown(void)
{
	pkt_pool_free(pool);
}

static struct pkt *datagram(uint8_t family, uint8_t host, uint32_t payload, uint32_t seq)
{
	struct pkt *p = pkt_alloc(pool);
	struct addr a4 = {4, {192, 0, 2, 1}}, b4 = {4, {192, 0, 2, host}}, a6 = {6, {0x20, 1, [15] = 1}}, b6 = {6, {0x20, 1, [15] = host}};
	uint32_t head = family == 4 ? 20 : 40;
	uint8_t *h = pkt_data(p);

	ck_assert_ptr_nonnull(p);
	if (family == 4)
		ip4_write(h, &a4, &b4, IP_UDP, 64, 0, head + 8 + payload, 0, true);
	else
		ip6_write(h, &a6, &b6, IP_UDP, 64, 0, 8 + payload);
	ip_put16(h + head, 4500);
	ip_put16(h + head + 2, 4500);
	ip_put16(h + head + 4, 8 + payload);
	ip_put16(h + head + 6, 0);
	for (uint32_t i = 0; i < payload; i++)
		h[head + 8 + i] = (uint8_t)(i + seq * 3);
	p->len = head + 8 + payload;
	ck_assert(ip_parse(p));
	p->sealed = true;
	return p;
}

static unsigned two(struct pkt *a, struct pkt *b)
{
	struct pkt *list[2] = {a, b};
	unsigned left = uso_merge(pool, links, list, 2);

	for (unsigned i = 0; i < left; i++)
		pkt_free(pool, list[i]);
	ck_assert_uint_eq(pkt_pool_available(pool), POOL);
	return left;
}

START_TEST(apart)
{
	ck_assert_uint_eq(two(datagram(4, 2, 100, 0), datagram(4, 2, 100, 1)), 1);
	ck_assert_uint_eq(two(datagram(4, 2, 100, 0), datagram(4, 2, 99, 1)), 1);
	ck_assert_uint_eq(two(datagram(4, 2, 100, 0), datagram(4, 2, 101, 1)), 2); /* longer than the first */
	ck_assert_uint_eq(two(datagram(4, 2, 100, 0), datagram(4, 3, 100, 1)), 2);
	ck_assert_uint_eq(two(datagram(4, 2, 100, 0), datagram(6, 2, 100, 1)), 2);
	for (unsigned c = 0; c < 8; c++) {
		struct pkt *a = datagram(4, 2, 100, 0), *b = datagram(4, 2, 100, 1);
		uint8_t *h = pkt_data(b);
		switch (c) {
		case 0:
			b->sealed = false; /* not ours to cut */
			break;
		case 1:
			h[21] ^= 1; /* source port */
			break;
		case 2:
			h[23] ^= 1;
			break;
		case 3:
			h[1] = 3; /* congestion */
			break;
		case 4:
			h[8]--; /* TTL */
			break;
		case 5:
			h[6] = 0; /* DF */
			break;
		case 6:
			b->out_link = 1; /* does not take them */
			break;
		default:
			a->out_link = b->out_link = 1;
		}
		ck_assert_uint_eq(two(a, b), 2);
	}
}
END_TEST

/* One of the flow that cannot be joined is not overtaken by those behind it. */
START_TEST(not_overtaken)
{
	struct pkt *list[5] = {datagram(4, 2, 100, 0), datagram(4, 2, 100, 1), datagram(4, 2, 100, 2), datagram(4, 2, 100, 3), datagram(4, 2, 100, 4)};

	list[2] = pkt_enlarge(pool, list[2]);
	struct pkt *large = list[2];
	ck_assert_uint_eq(uso_merge(pool, links, list, 5), 3);
	ck_assert_ptr_eq(list[1], large);
	ck_assert(list[0]->gso_size == 100 && list[0]->len == 28 + 200);
	ck_assert(list[2]->gso_size == 100 && pkt_data(list[2])[28] == 3 * 3);
	for (unsigned i = 0; i < 3; i++)
		pkt_free(pool, list[i]);
}
END_TEST

struct check {
	unsigned host_next[8], pieces;
	const uint32_t *sizes;
	uint8_t family;
};

/* Piece after piece of a flow is what went in. */
static void piece(void *arg, struct pkt *p)
{
	struct check *c = arg;
	uint32_t head = c->family == 4 ? 20 : 40;
	unsigned host = p->dst.b[c->family == 4 ? 3 : 15], seq = c->host_next[host];

	while (seq % 5 + 2 != host) /* datagram i of the batch went to host i % 5 + 2 */
		seq++;
	c->host_next[host] = seq + 1;
	c->pieces++;
	ck_assert_uint_eq(p->len, head + 8 + c->sizes[seq]);
	ck_assert_uint_eq(ip_get16(pkt_data(p) + head + 4), 8 + c->sizes[seq]);
	for (uint32_t i = 0; i < c->sizes[seq]; i++)
		if (pkt_data(p)[head + 8 + i] != (uint8_t)(i + seq * 3))
			ck_abort_msg("datagram %u, byte %u", seq, i);
	if (ip_get16(pkt_data(p) + head + 6)) { /* cut ones have a checksum, and a right one */
		uint32_t len = p->len - head;
		ck_assert_uint_eq(csum_fold(csum_add(csum_pseudo(&p->src, &p->dst, IP_UDP, len), pkt_data(p) + head, len)), 0);
	}
	ck_assert(ip_parse(p));
	pkt_free(pool, p);
}

START_TEST(cut_again)
{
	static const uint32_t kinds[4] = {1400, 1400, 700, 60};

	srandom(99);
	for (unsigned round = 0; round < 40; round++) {
		struct pkt *list[N];
		uint32_t sizes[N];
		struct check c = {.sizes = sizes, .family = round & 1 ? 6 : 4};
		for (unsigned i = 0; i < N; i++) {
			sizes[i] = round < 4 ? 1400 : kinds[random() % 4];
			list[i] = datagram(c.family, (uint8_t)(i % 5 + 2), sizes[i], i);
		}
		unsigned left = uso_merge(pool, links, list, N);
		if (round < 4)
			ck_assert_uint_le(left, 10);
		for (unsigned i = 0; i < left; i++) {
			ck_assert_uint_le(list[i]->len, 65535);
			if (!list[i]->gso_size) {
				piece(&c, list[i]);
				continue;
			}
			ck_assert(ip_parse(list[i]) && list[i]->csum_partial);
			ck_assert(cut_segments(pool, list[i], piece, &c));
			pkt_free(pool, list[i]);
		}
		ck_assert_uint_eq(c.pieces, N);
		ck_assert_uint_eq(pkt_pool_available(pool), POOL);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("uso");
	TCase *t = tcase_create("uso");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, apart);
	tcase_add_test(t, not_overtaken);
	tcase_add_test(t, cut_again);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
