/* Fragments that pass through: what later ones are told, who waits, and what is refused. */
#include "daemons/stack-core/ip/follow.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <string.h>

enum { POOL = 400, LARGE = 16 };
static struct pkt_pool *pool;
static struct follow *f;
static uint64_t now, drops[DROP_MAX];

static void setup(void)
{
	pool = pkt_pool_new(POOL, LARGE);
	f = follow_new();
	now = 1000;
	memset(drops, 0, sizeof(drops));
}

static void teardown(void)
{
	follow_free(f);
	pkt_pool_free(pool);
}

/* Payload bytes @from to @to of a packet from host @host; the first says port @port. IPv6: destination options in front of UDP. */
static struct pkt *piece(uint8_t family, uint8_t host, uint32_t id, uint32_t from, uint32_t to, bool more, uint16_t port)
{
	struct pkt *p = pkt_alloc(pool);
	struct addr a4 = addr_v4("\xc0\0\2\1"), b4 = addr_v4("\xc0\0\2\2"), a6 = addr_v6("\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1"),
		    b6 = addr_v6("\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\2");
	uint8_t *h = pkt_data(p);
	uint32_t head = family == 4 ? 20 : 48;

	ck_assert_ptr_nonnull(p);
	a4.b[3] = a6.b[15] = host;
	memset(h, 0, 1400);
	if (family == 4) {
		ip4_write(h, &a4, &b4, IP_UDP, 64, 0, head + to - from, (uint16_t)id, false);
		ip_put16(h + 6, from / 8 | (more ? 0x2000 : 0));
		ip4_checksum(h);
	} else {
		ip6_write(h, &a6, &b6, 44, 64, 0, 8 + to - from);
		h[40] = 60;
		ip_put16(h + 42, from | more);
		ip_put32(h + 44, id);
	}
	uint8_t *l4 = h + head;
	if (!from && family == 6) {
		l4[0] = IP_UDP;
		l4[2] = 1;
		l4[3] = 4;
		l4 += 8;
	}
	if (!from) {
		ip_put16(l4, 7);
		ip_put16(l4 + 2, port);
	}
	p->len = head + to - from;
	ck_assert(ip_parse(p));
	return p;
}

static unsigned count(struct pkt *list, uint16_t port, bool first)
{
	unsigned n = 0;

	for (struct pkt *next; list; list = next, n++) {
		next = list->next;
		ck_assert(list->fragment && !pkt_hidden(list));
		ck_assert_int_eq(list->opaque, !(first && !n));
		ck_assert_uint_eq(list->dport, port);
		ck_assert_uint_eq(list->sport, 7);
		ck_assert_uint_eq(list->proto, IP_UDP);
		pkt_free(pool, list);
	}
	return n;
}

static struct pkt *add(struct pkt *p)
{
	return follow_add(f, pool, p, now, drops);
}

START_TEST(refused)
{
	for (uint8_t family = 4; family <= 6; family = (uint8_t)(family + 2)) {
		memset(drops, 0, sizeof(drops));
		/* A second first, with another port. */
		ck_assert_uint_eq(count(add(piece(family, 1, 1, 0, 64, true, 80)), 80, true), 1);
		ck_assert_ptr_null(add(piece(family, 1, 1, 0, 64, true, 53)));
		ck_assert_uint_eq(drops[DROP_IP_OVERLAP], 1);
		ck_assert_uint_eq(count(add(piece(family, 1, 1, 64, 128, true, 0)), 80, false), 1);
		/* One that would overwrite the first; then nothing of that packet is believed. */
		ck_assert_ptr_null(add(piece(family, 1, 1, 56, 120, true, 0)));
		ck_assert_ptr_null(add(piece(family, 1, 1, 128, 192, false, 0)));
		ck_assert_uint_eq(drops[DROP_IP_OVERLAP], 3);
		/* The same before the first came. */
		ck_assert_ptr_null(add(piece(family, 1, 2, 16, 64, true, 0)));
		ck_assert_uint_eq(follow_waiting(f), 1);
		ck_assert_uint_eq(count(add(piece(family, 1, 2, 0, 64, true, 80)), 80, true), 1);
		ck_assert_ptr_null(add(piece(family, 1, 2, 64, 128, true, 0)));
		ck_assert_uint_eq(drops[DROP_IP_OVERLAP], 5);
		ck_assert_uint_eq(follow_waiting(f), 0);
		now += FOLLOW_MS;
	}
	ck_assert_uint_eq(pkt_pool_available(pool), POOL);
}
END_TEST

START_TEST(waits_in_vain)
{
	ck_assert_ptr_null(add(piece(4, 1, 1, 64, 128, false, 0)));
	ck_assert_uint_eq(follow_waiting(f), 1);
	now += FOLLOW_WAIT_MS - 1;
	ck_assert_uint_eq(follow_expire(f, pool, now), 0);
	now++;
	ck_assert_uint_eq(follow_expire(f, pool, now), 1);
	ck_assert_uint_eq(follow_waiting(f), 0);
	/* And what the first said is forgotten in time. */
	ck_assert_uint_eq(count(add(piece(4, 1, 2, 0, 64, true, 80)), 80, true), 1);
	now += FOLLOW_MS;
	ck_assert_ptr_null(add(piece(4, 1, 2, 64, 128, false, 0)));
	ck_assert_uint_eq(follow_waiting(f), 1);
	(void)follow_expire(f, pool, now + FOLLOW_WAIT_MS);
	ck_assert_uint_eq(pkt_pool_available(pool), POOL);
}
END_TEST

START_TEST(any_order)
{
	for (uint8_t family = 4; family <= 6; family = (uint8_t)(family + 2))
		for (unsigned order = 0; order < 256; order++) {
			unsigned at[4], left = 0xf, gone = 0, n = 4;
			for (unsigned i = 0, o = order; i < n; i++, o /= 4) {
				unsigned pick = o % 4;
				while (!(left >> pick & 1))
					pick = (pick + 1) % 4;
				left &= ~(1u << pick);
				at[i] = pick;
			}
			for (unsigned i = 0; i < n; i++) {
				uint16_t port = (uint16_t)(1000 + order);
				bool first = !at[i];
				struct pkt *p = piece(family, 1, order, at[i] * 64, at[i] * 64 + 64, at[i] != 3, port);
				unsigned ready = count(add(p), port, first);
				ck_assert_uint_eq(ready, first ? i + 1 : gone ? 1 : 0);
				gone += ready;
			}
			ck_assert_uint_eq(gone, 4);
			ck_assert_uint_eq(follow_waiting(f), 0);
			/* All of it has passed: the identification may be used anew at once. */
			ck_assert_uint_eq(count(add(piece(family, 1, order, 0, 64, true, 9)), 9, true), 1);
			ck_assert_uint_eq(count(add(piece(family, 1, order, 64, 80, false, 0)), 9, false), 1);
		}
	ck_assert_uint_eq(pkt_pool_available(pool), POOL);
}
END_TEST

/* The same identification from another host, another link, another tunnel: another packet. */
START_TEST(apart)
{
	ck_assert_uint_eq(count(add(piece(4, 1, 1, 0, 64, true, 80)), 80, true), 1);
	ck_assert_ptr_null(add(piece(4, 9, 1, 64, 128, true, 0)));
	struct pkt *p = piece(4, 1, 1, 64, 128, true, 0);
	p->in_link = 1;
	ck_assert_ptr_null(add(p));
	p = piece(4, 1, 1, 64, 128, true, 0);
	p->sa_in = 1;
	ck_assert_ptr_null(add(p));
	ck_assert_uint_eq(follow_waiting(f), 3);
	ck_assert_uint_eq(follow_expire(f, pool, now + FOLLOW_WAIT_MS), 3);
}
END_TEST

START_TEST(bounded)
{
	for (unsigned i = 0; i < 20000; i++) {
		ck_assert_ptr_null(add(piece(4, (uint8_t)(1 + i % 200), i, 64, 128, false, 0)));
		ck_assert_uint_le(follow_waiting(f), FOLLOW_HELD);
	}
	ck_assert_uint_ge(drops[DROP_IP_FRAG_WAIT], 20000 - FOLLOW_HELD);
	(void)follow_expire(f, pool, now + FOLLOW_WAIT_MS);
	ck_assert_uint_eq(follow_waiting(f), 0);
	for (unsigned i = 0; i < 2 * FOLLOW_HELD_EACH; i++) /* of one packet */
		ck_assert_ptr_null(add(piece(4, 1, 1, 64 + 8 * i, 72 + 8 * i, true, 0)));
	ck_assert_uint_eq(follow_waiting(f), FOLLOW_HELD_EACH);
	(void)follow_expire(f, pool, now + FOLLOW_WAIT_MS);
	/* Firsts alone are only remembered. */
	for (unsigned i = 0; i < 20000; i++)
		ck_assert_uint_eq(count(add(piece(6, (uint8_t)(1 + i % 200), i, 0, 64, true, 80)), 80, true), 1);
	ck_assert_uint_eq(pkt_pool_available(pool), POOL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("follow");
	TCase *t = tcase_create("follow");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, refused);
	tcase_add_test(t, waits_in_vain);
	tcase_add_test(t, any_order);
	tcase_add_test(t, apart);
	tcase_add_test(t, bounded);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
