/* What routers say about the path of a tunnel: who is believed, how far, and for how long. */
#include "daemons/stack-core/ipsec/pmtu.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include "tests/unit/daemons/stack-core/ipsec/support.h"

static struct packet k;
static struct loop l;
static uint64_t now = 1000000;

static void open_tunnel(uint8_t outer, const struct suite *suite, bool udp)
{
	struct sa_params p = suite_params(suite, SA_TUNNEL, outer), in = p;

	p.udp = in.udp = udp;
	p.sport = in.dport = 4500;
	p.dport = in.sport = 61000;
	in.src = p.dst;
	in.dst = p.src;
	p.df = in.df = SA_DF_SET;
	loop_open(&l, &in, &p);
	now += 2 * PMTU_MS;
}

/* The message of router 7 about a packet of @len bytes that the tunnel really made. */
static void message(uint8_t outer, uint32_t len, uint32_t mtu)
{
	uint8_t d[BUF] = {0};
	uint32_t header = outer == 4 ? 20 : 40;
	struct addr router = test_addr(outer, 7), us = test_addr(outer, 101);

	packet_ip(&k, 4, len);
	ck_assert_uint_eq(loop_out(&l, &k), 0);
	uint8_t *m = d + header;
	uint32_t quote = k.p.len < 500 ? k.p.len : 500;
	m[0] = outer == 4 ? 3 : 2;
	m[1] = outer == 4 ? 4 : 0;
	put32(m + 4, mtu);
	memcpy(m + 8, pkt_data(&k.p), quote);
	if (outer == 4)
		ip4_write(d, &router, &us, 1, 64, 0, header + 8 + quote, 0, false);
	else
		ip6_write(d, &router, &us, 58, 64, 0, 8 + quote);
	packet_set(&k, d, header + 8 + quote);
}

static enum pmtu_heard hear(void)
{
	uint8_t *d = pkt_data(&k.p), *m = d + (d[0] >> 4 == 4 ? 20 : 40), pseudo[40] = {0};
	uint32_t len = k.p.len - (uint32_t)(m - d), sum;

	put16(m + 2, 0);
	sum = iphdr_sum(m, len);
	if (d[0] >> 4 == 6) {
		memcpy(pseudo, d + 8, 32);
		put32(pseudo + 32, len);
		pseudo[39] = 58;
		sum += iphdr_sum(pseudo, 40);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	put16(m + 2, (uint16_t)~((sum & 0xffff) + (sum >> 16)));
	ck_assert(ip_parse(&k.p));
	return pmtu_hear(l.db, &k.p, now);
}

static uint8_t *quoted(void)
{
	return pkt_data(&k.p) + (pkt_data(&k.p)[0] >> 4 == 4 ? 28 : 48);
}

START_TEST(refused)
{
	for (int i = 0; i < 4; i++) {
		uint8_t outer = i & 1 ? 4 : 6;
		uint32_t src = outer == 4 ? 15 : 23, dst = outer == 4 ? 19 : 39, spi = (outer == 4 ? 23u : 43u) + (i & 2 ? 8 : 0);
		open_tunnel(outer, &suites[0], i & 2);
		enum pmtu_heard none = i & 2 ? PMTU_FOREIGN : PMTU_STRANGER;
		message(outer, 1400, 1300);
		quoted()[spi]++; /* a guess */
		ck_assert_int_eq(hear(), none);
		message(outer, 1400, 1300);
		quoted()[dst]++;
		ck_assert_int_eq(hear(), none);
		message(outer, 1400, 1300);
		quoted()[src]++;
		ck_assert_int_eq(hear(), none);
		message(outer, 1400, 1300);
		quoted()[outer == 4 ? 9 : 6] = SA_AH;
		ck_assert_int_eq(hear(), PMTU_STRANGER);
		message(outer, 1400, 1300);
		quoted()[outer == 4 ? 9 : 6] = 6;
		ck_assert_int_eq(hear(), PMTU_FOREIGN);
		message(outer, 1400, 1300);
		quoted()[0] ^= 0x20; /* of the other family */
		ck_assert_int_eq(hear(), PMTU_FOREIGN);
		message(outer, 1400, 1300);
		pkt_data(&k.p)[outer == 4 ? 20 : 40] = outer == 4 ? 11 : 3; /* TTL ran out */
		ck_assert_int_eq(hear(), PMTU_FOREIGN);
		message(outer, 1400, 1300);
		(void)hear();
		l.t->pmtu = 0;
		pkt_data(&k.p)[(outer == 4 ? 20 : 40) + 7] ^= 1; /* the checksum was for another value */
		ck_assert_int_eq(pmtu_hear(l.db, &k.p, now), PMTU_IMPLAUSIBLE);
		message(outer, 1400, 60000); /* it would have fit */
		ck_assert_int_eq(hear(), PMTU_IMPLAUSIBLE);
		ck_assert_uint_eq(pmtu_known(l.t, now), 0);
		if (i & 2) {
			message(outer, 1400, 1300);
			quoted()[outer == 4 ? 23 : 43]++; /* another port */
			ck_assert_int_eq(hear(), PMTU_FOREIGN);
		}
		loop_close(&l);
	}
}
END_TEST

START_TEST(refused4)
{
	open_tunnel(4, &suites[0], false);
	message(4, 1400, 575);
	ck_assert_int_eq(hear(), PMTU_IMPLAUSIBLE);
	message(4, 1400, 1300);
	put16(quoted() + 6, 0); /* might have been cut */
	ck_assert_int_eq(hear(), PMTU_IMPLAUSIBLE);
	message(4, 1400, 1300);
	put16(quoted() + 6, 0x4001); /* a later fragment */
	ck_assert_int_eq(hear(), PMTU_FOREIGN);
	message(4, 1400, 1300);
	pkt_data(&k.p)[19]++; /* to another address of ours than the packet's */
	iphdr_checksum(pkt_data(&k.p), 20);
	ck_assert_int_eq(hear(), PMTU_IMPLAUSIBLE);
	ck_assert_uint_eq(pmtu_known(l.t, now), 0);
	loop_close(&l);
}
END_TEST

/* Every length of a message, in a buffer that ends where it ends. */
START_TEST(truncated)
{
	for (int i = 0; i < 4; i++) {
		uint8_t outer = i & 1 ? 4 : 6;
		open_tunnel(outer, &suites[0], i & 2);
		message(outer, 1400, 1300);
		uint32_t whole = (outer == 4 ? 56u : 96u) + (i & 2 ? 12 : 8);
		for (uint32_t len = outer == 4 ? 28 : 48; len < whole; len++) {
			uint8_t *exact = malloc(len);
			memcpy(exact, pkt_data(&k.p), len);
			if (outer == 4)
				put16(exact + 2, (uint16_t)len), iphdr_checksum(exact, 20);
			else
				put16(exact + 4, (uint16_t)(len - 40));
			struct pkt p = {.buf = exact, .size = len, .len = len};
			ck_assert(ip_parse(&p));
			enum pmtu_heard h = pmtu_hear(l.db, &p, now); /* the checksum is wrong too, should it get there */
			ck_assert(h == PMTU_FOREIGN || h == PMTU_IMPLAUSIBLE);
			free(exact);
		}
		ck_assert_uint_eq(pmtu_known(l.t, now), 0);
		loop_close(&l);
	}
}
END_TEST

START_TEST(believed)
{
	for (int i = 0; i < 8; i++) {
		uint8_t outer = i & 1 ? 4 : 6;
		bool ah = i & 4;
		if (ah && (i & 2))
			continue; /* AH does not go in UDP */
		open_tunnel(outer, ah ? &suites[SUITES - 2] : &suites[0], i & 2);
		ck_assert_uint_eq(pmtu_limit(l.t, 1500, now), 1500);
		ck_assert_uint_eq(pmtu_age_ms(l.t, now), 0);
		message(outer, 1400, 1400);
		ck_assert_int_eq(hear(), PMTU_LEARNT);
		ck_assert_uint_eq(pmtu_limit(l.t, 1500, now), 1400);
		ck_assert_uint_eq(pmtu_limit(l.t, 1380, now), 1380);
		message(outer, 1300, 1290);
		ck_assert_int_eq(hear(), PMTU_KNOWN); /* too soon */
		now += PMTU_CHANGE_MS;
		ck_assert_int_eq(hear(), PMTU_LEARNT);
		now += PMTU_CHANGE_MS;
		message(outer, 1400, 1400); /* never upwards */
		ck_assert_int_eq(hear(), PMTU_KNOWN);
		ck_assert_uint_eq(pmtu_known(l.t, now), 1290);
		ck_assert_uint_eq(pmtu_age_ms(l.t, now), PMTU_CHANGE_MS);
		/* What is said again lives on. */
		now += PMTU_MS / 2;
		ck_assert_uint_eq(pmtu_age_ms(l.t, now), PMTU_MS / 2 + PMTU_CHANGE_MS);
		message(outer, 1300, 1290);
		ck_assert_int_eq(hear(), PMTU_KNOWN);
		ck_assert_uint_eq(pmtu_age_ms(l.t, now), 0);
		now += PMTU_MS - 1;
		ck_assert_uint_eq(pmtu_known(l.t, now), 1290);
		ck_assert_uint_eq(pmtu_age_ms(l.t, now), PMTU_MS - 1);
		now++;
		ck_assert_uint_eq(pmtu_age_ms(l.t, now), 0);
		ck_assert_uint_eq(pmtu_known(l.t, now), 0);
		ck_assert_uint_eq(pmtu_limit(l.t, 1500, now), 1500);
		loop_close(&l);
	}
}
END_TEST

/* Options that a host behind us sent in transport mode stand before ESP: they are looked past. */
START_TEST(behind_options)
{
	open_tunnel(6, &suites[0], false);
	for (unsigned i = 0; i < 2; i++) {
		message(6, 1400, 1300);
		uint8_t *q = quoted();
		memmove(q + 56, q + 40, k.p.len - (uint32_t)(q + 40 - pkt_data(&k.p)) - 16);
		memset(q + 40, 0, 16);
		q[40] = 60;
		q[48] = SA_ESP;
		q[6] = 0;
		q[49] = i ? 0 : 77; /* more of them than came back */
		ck_assert_int_eq(hear(), i ? PMTU_LEARNT : PMTU_FOREIGN);
	}
	ck_assert_uint_eq(pmtu_known(l.t, now), 1300);
	loop_close(&l);
}
END_TEST

START_TEST(least)
{
	open_tunnel(6, &suites[0], false);
	message(6, 1400, 600); /* IPv6 carries 1280 everywhere */
	ck_assert_int_eq(hear(), PMTU_LEARNT);
	ck_assert_uint_eq(pmtu_known(l.t, now), PMTU_LEAST6);
	loop_close(&l);
	open_tunnel(4, &suites[0], false);
	message(4, 1400, 0); /* a router of RFC 792: the next step down */
	ck_assert_int_eq(hear(), PMTU_LEARNT);
	ck_assert_uint_eq(pmtu_known(l.t, now), 1006);
	now += PMTU_CHANGE_MS;
	message(4, 900, 0);
	ck_assert_int_eq(hear(), PMTU_LEARNT);
	ck_assert_uint_eq(pmtu_known(l.t, now), PMTU_LEAST4);
	now += PMTU_CHANGE_MS;
	message(4, 400, 0);
	ck_assert_int_eq(hear(), PMTU_IMPLAUSIBLE);
	/* A tunnel that went is nobody's. */
	message(4, 1400, 1300);
	struct packet kept;
	packet_copy(&kept, &k);
	loop_close(&l);
	packet_copy(&k, &kept);
	ck_assert_int_eq(hear(), PMTU_STRANGER);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pmtu");
	TCase *t = tcase_create("pmtu");
	tcase_add_test(t, refused);
	tcase_add_test(t, refused4);
	tcase_add_test(t, truncated);
	tcase_add_test(t, believed);
	tcase_add_test(t, behind_options);
	tcase_add_test(t, least);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
