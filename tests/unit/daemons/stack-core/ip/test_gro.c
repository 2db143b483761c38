/* Joining and cutting are inverse: what gro makes of segments, cut makes into the same segments again; and what must not be joined. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/gro.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <string.h>

enum { SEGMENTS = 20, MSS = 1000, HEADER = 52 };

static struct pkt_pool *pool;
static struct link links[1];
static struct pkt *cut[SEGMENTS * 2];
static unsigned n_cut;

static void setup(void)
{
	pool = pkt_pool_new(256, 8);
	links[0].gso = true;
	n_cut = 0;
}

static void teardown(void)
{
	pkt_pool_free(pool);
}

static struct pkt *segment(unsigned i, uint32_t payload, uint8_t flags, uint16_t sport)
{
	struct addr src, dst;
	struct pkt *p = pkt_alloc(pool);
	uint8_t *h = pkt_data(p), *t = h + 20;

	ck_assert_int_eq(addr_parse("10.0.0.1", &src), 0);
	ck_assert_int_eq(addr_parse("10.0.0.2", &dst), 0);
	p->len = HEADER + payload;
	memset(h, 0, p->len);
	ip4_write(h, &src, &dst, IP_TCP, 64, 0, p->len, (uint16_t)(100 + i), true);
	ip_put16(t, sport);
	ip_put16(t + 2, 80);
	ip_put32(t + 4, 0xfffff000u + i * MSS);
	ip_put32(t + 8, 77);
	t[12] = 0x80;
	t[13] = flags;
	ip_put16(t + 14, 500);
	memset(t + 32, (int)(i + 1), payload);
	uint16_t sum = csum_fold(csum_add(csum_pseudo(&src, &dst, IP_TCP, p->len - 20), t, p->len - 20));
	memcpy(t + 16, &sum, 2);
	ck_assert(ip_parse(p));
	return p;
}

static void collect(void *arg, struct pkt *p)
{
	(void)arg;
	cut[n_cut++] = p;
}

START_TEST(test_join_and_cut)
{
	struct pkt *in[SEGMENTS], *before[SEGMENTS];

	for (unsigned i = 0; i < SEGMENTS; i++) {
		uint32_t payload = i == SEGMENTS - 1 ? 300 : MSS;
		uint8_t flags = i == SEGMENTS - 1 ? 0x18 : 0x10;
		in[i] = segment(i, payload, flags, 1000);
		before[i] = segment(i, payload, flags, 1000);
	}
	ck_assert_uint_eq(gro_merge(pool, links, in, SEGMENTS), 1);
	ck_assert_uint_eq(in[0]->gso_size, MSS);
	ck_assert(in[0]->csum_partial);
	ck_assert(cut_segments(pool, in[0], collect, NULL));
	ck_assert_uint_eq(n_cut, SEGMENTS);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		ck_assert_uint_eq(cut[i]->len, before[i]->len);
		ck_assert_mem_eq(pkt_data(cut[i]), pkt_data(before[i]), before[i]->len);
	}
	cut_checksum(in[0]);
	uint32_t len = in[0]->len - 20;
	ck_assert_uint_eq(csum_fold(csum_add(csum_pseudo(&in[0]->src, &in[0]->dst, IP_TCP, len), pkt_data(in[0]) + 20, len)), 0);
}
END_TEST

START_TEST(test_not_joined)
{
	struct pkt *in[2];

	in[0] = segment(0, MSS, 0x10, 1000);
	in[1] = segment(1, MSS, 0x10, 1001); /* another flow */
	ck_assert_uint_eq(gro_merge(pool, links, in, 2), 2);
	in[0] = segment(0, MSS, 0x10, 1000);
	in[1] = segment(2, MSS, 0x10, 1000); /* a gap */
	ck_assert_uint_eq(gro_merge(pool, links, in, 2), 2);
	in[0] = segment(0, MSS, 0x10, 1000);
	in[1] = segment(1, MSS, 0x11, 1000); /* FIN */
	ck_assert_uint_eq(gro_merge(pool, links, in, 2), 2);
	in[0] = segment(0, 500, 0x10, 1000);
	in[1] = segment(1, MSS, 0x10, 1000);
	ck_assert_uint_eq(gro_merge(pool, links, in, 2), 2);
	in[0] = segment(0, MSS, 0x10, 1000);
	in[1] = segment(1, MSS, 0x10, 1000);
	pkt_data(in[1])[HEADER + 5] ^= 1; /* damaged */
	ck_assert_uint_eq(gro_merge(pool, links, in, 2), 2);
	in[0] = segment(0, MSS, 0x10, 1000);
	in[1] = segment(1, MSS, 0x10, 1000);
	pkt_data(in[1])[6] |= 0x80; /* the reserved bit */
	ip4_checksum(pkt_data(in[1]));
	ck_assert_uint_eq(gro_merge(pool, links, in, 2), 2);
	in[0] = segment(0, MSS, 0x10, 1000);
	in[1] = segment(1, MSS, 0x10, 1000);
	links[0].gso = false;
	ck_assert_uint_eq(gro_merge(pool, links, in, 2), 2);
}
END_TEST

START_TEST(test_order)
{
	struct pkt *in[5];

	in[0] = segment(0, MSS, 0x10, 1000);
	in[1] = segment(0, MSS, 0x10, 2000);
	in[2] = segment(1, MSS, 0x10, 1000);
	in[3] = segment(2, MSS, 0x11, 1000);
	in[4] = segment(3, MSS, 0x10, 1000);
	ck_assert_uint_eq(gro_merge(pool, links, in, 5), 4);
	ck_assert_uint_eq(in[0]->len, HEADER + 2 * MSS);
	ck_assert_uint_eq(in[1]->sport, 2000);
	ck_assert_uint_eq(pkt_data(in[2])[33], 0x11);
	ck_assert_uint_eq(ip_get32(pkt_data(in[3]) + 24), 0xfffff000u + 3 * MSS);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("gro");
	TCase *c = tcase_create("gro");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, test_join_and_cut);
	tcase_add_test(c, test_not_joined);
	tcase_add_test(c, test_order);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
