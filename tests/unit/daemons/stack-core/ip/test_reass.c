/* Reassembly: refusals first, then any order, both families. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ip/reass.h"
#include "tests/support/check_main.h"
#include <stdlib.h>
#include <string.h>

enum { POOL = 64, LARGE = 32 };
static struct pkt_pool *pool;
static struct reass *r;
static uint64_t now;

static void setup(void)
{
	pool = pkt_pool_new(POOL, LARGE);
	r = reass_new();
	now = 1000;
}

static void teardown(void)
{
	reass_free(r);
	pkt_pool_free(pool);
}

static uint8_t byte_of(uint32_t at)
{
	return (uint8_t)(at * 13 + (at >> 8));
}

/* Bytes @from to @to of a UDP datagram's IP payload. */
static struct pkt *fragment(uint8_t family, uint32_t id, uint32_t from, uint32_t to, bool more)
{
	struct pkt *p = pkt_alloc(pool);
	struct addr a4 = addr_v4("\xc0\0\2\1"), b4 = addr_v4("\xc0\0\2\2"), a6 = addr_v6("\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1"),
		    b6 = addr_v6("\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\2");
	uint8_t *h = pkt_data(p);
	uint32_t head = family == 4 ? 20 : 48;

	if (family == 4) {
		ip4_write(h, &a4, &b4, IP_UDP, 64, 0, head + to - from, (uint16_t)id, false);
		ip_put16(h + 6, from / 8 | (more ? 0x2000 : 0));
		ip4_checksum(h);
	} else {
		ip6_write(h, &a6, &b6, 44, 64, 0, 8 + to - from);
		memset(h + 40, 0, 8);
		h[40] = IP_UDP;
		ip_put16(h + 42, from | more);
		ip_put32(h + 44, id);
	}
	for (uint32_t i = from; i < to; i++)
		h[head + i - from] = byte_of(i);
	p->len = head + to - from;
	ck_assert(ip_parse(p));
	return p;
}

static struct pkt *add(uint8_t family, uint32_t id, uint32_t from, uint32_t to, bool more, unsigned want)
{
	uint16_t drop;
	struct pkt *p = reass_add(r, pool, fragment(family, id, from, to, more), now, &drop);

	ck_assert_uint_eq(drop, want);
	return p;
}

static void whole(struct pkt *p, uint8_t family, uint32_t len)
{
	uint32_t head = family == 4 ? 20 : 40;

	ck_assert_ptr_nonnull(p);
	ck_assert(ip_parse(p));
	ck_assert_uint_eq(p->len, head + len);
	ck_assert(!p->fragment && !p->opaque && p->whole && p->proto == IP_UDP);
	for (uint32_t i = 0; i < len; i++)
		if (pkt_data(p)[head + i] != byte_of(i))
			ck_abort_msg("byte %u is wrong", i);
	pkt_free(pool, p);
	ck_assert_uint_eq(pkt_pool_available(pool), POOL);
}

START_TEST(refused)
{
	ck_assert_ptr_null(add(4, 1, 0, 80, true, 0));
	ck_assert_ptr_null(add(4, 1, 72, 160, true, DROP_IP_OVERLAP)); /* and with it the whole packet */
	ck_assert_ptr_null(add(4, 1, 80, 100, false, DROP_IP_FRAGMENT));
	ck_assert_ptr_null(add(4, 2, 80, 100, false, 0));
	ck_assert_ptr_null(add(4, 2, 96, 200, true, DROP_IP_OVERLAP)); /* behind the end */
	ck_assert_ptr_null(add(4, 3, 80, 160, true, 0));
	ck_assert_ptr_null(add(4, 3, 80, 120, false, DROP_IP_OVERLAP)); /* an end before what came */
	ck_assert_ptr_null(add(4, 4, 80, 160, false, 0));
	ck_assert_ptr_null(add(4, 4, 160, 200, false, DROP_IP_OVERLAP)); /* two ends */
	ck_assert_ptr_null(add(4, 5, 64, 160, true, 0));
	ck_assert_ptr_null(add(4, 5, 0, 160, true, DROP_IP_OVERLAP)); /* covers */
	ck_assert_uint_eq(reass_waiting(r), 5);
	now += REASS_MS;
	ck_assert_uint_eq(reass_expire(r, pool, now), 5);
	ck_assert_uint_eq(reass_waiting(r), 0);
	ck_assert_uint_eq(pkt_pool_available(pool), POOL);
}
END_TEST

START_TEST(any_order)
{
	for (unsigned f = 0; f < 2; f++) {
		uint8_t family = f ? 6 : 4;
		static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
		static const uint32_t cut[4] = {0, 1200, 1208, 1999};
		for (unsigned o = 0; o < 6; o++) {
			struct pkt *p = NULL;
			for (unsigned i = 0; i < 3; i++) {
				unsigned k = orders[o][i];
				ck_assert_ptr_null(p);
				p = add(family, o, cut[k], cut[k + 1], k < 2, 0);
				if (!p)
					ck_assert_ptr_null(add(family, o, cut[k], cut[k + 1], k < 2, DROP_IP_OVERLAP)); /* twice: ignored */
			}
			whole(p, family, 1999);
		}
	}
}
END_TEST

START_TEST(largest)
{
	struct pkt *p = NULL;

	for (uint32_t at = 0; at < 65512; at += 1480)
		p = add(4, 9, at, at + 1480 < 65515 ? at + 1480 : 65515, at + 1480 < 65515, 0);
	whole(p, 4, 65515);
	ck_assert_ptr_null(add(4, 10, 64000, 65512, true, 0));
	ck_assert_ptr_null(add(4, 10, 65512, 65520, false, DROP_IP_OVERLAP)); /* with its header longer than a packet may be */
}
END_TEST

START_TEST(bounded)
{
	for (uint32_t id = 0; id < 100; id++) { /* the oldest give way */
		now++;
		ck_assert_ptr_null(add(4, id, 80, 160, true, 0));
		ck_assert_uint_le(reass_waiting(r), REASS_PACKETS);
	}
	ck_assert_ptr_null(add(4, 99, 0, 80, true, 0));
	whole(add(4, 99, 160, 170, false, 0), 4, 170);
	ck_assert_ptr_null(add(4, 0, 0, 80, true, 0));
	ck_assert_ptr_null(add(4, 0, 160, 170, false, 0)); /* its middle is forgotten */
	for (uint32_t i = 0; i < REASS_FRAGMENTS; i++)
		ck_assert_ptr_null(add(4, 500, 16 * i, 16 * i + 8, true, 0));
	ck_assert_ptr_null(add(4, 500, 16 * REASS_FRAGMENTS, 16 * REASS_FRAGMENTS + 8, true, DROP_IP_OVERLAP));
}
END_TEST

START_TEST(tunnels_apart)
{
	uint16_t drop;
	struct pkt *p = fragment(4, 1, 80, 100, false);

	p->sa_in = 5; /* what came through a tunnel does not complete what came in clear */
	ck_assert_ptr_null(reass_add(r, pool, p, now, &drop));
	ck_assert_ptr_null(add(4, 1, 0, 80, true, 0));
	ck_assert_uint_eq(reass_waiting(r), 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("reass");
	TCase *t = tcase_create("reass");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, refused);
	tcase_add_test(t, any_order);
	tcase_add_test(t, largest);
	tcase_add_test(t, bounded);
	tcase_add_test(t, tunnels_apart);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
