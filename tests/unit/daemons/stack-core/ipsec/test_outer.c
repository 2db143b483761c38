/* Tunnel headers: DF, DSCP and ECN of RFC 4301 5.1.2 and RFC 6040, both ways; which packets
 * transport mode and AH refuse. */
#include "tests/unit/daemons/stack-core/ipsec/support.h"
#include "daemons/stack-core/ipsec/outer.h"
#include "tests/support/check_main.h"

static struct packet k;

static struct sa_params params(enum sa_mode mode, uint8_t outer)
{
	return suite_params(&suites[0], mode, outer);
}

static uint8_t send_tos(struct loop *l, uint8_t inner, uint8_t tos)
{
	packet_ip(&k, inner, 100);
	iphdr_set_tos(pkt_data(&k.p), tos);
	ck_assert_uint_eq(loop_out(l, &k), 0);
	ck_assert_uint_eq(k.p.tos, iphdr_tos(pkt_data(&k.p)));
	return k.p.tos;
}

START_TEST(dscp_and_ecn_on_the_way_in)
{
	for (int i = 0; i < 8; i++) {
		struct sa_params p = params(SA_TUNNEL, i & 1 ? 4 : 6);
		struct loop l;
		p.keep_dscp = i & 2;
		loop_open(&l, &p, &p);
		for (unsigned tos = 0; tos < 256; tos++) {
			uint8_t want = p.keep_dscp ? (uint8_t)tos : tos & 3;
			ck_assert_uint_eq(send_tos(&l, i & 4 ? 4 : 6, (uint8_t)tos), want);
		}
		loop_close(&l);
	}
}
END_TEST

START_TEST(dscp_by_a_map)
{
	for (int i = 0; i < 8; i++) {
		struct sa_params p = params(SA_TUNNEL, i & 1 ? 4 : 6);
		struct loop l;
		p.keep_dscp = i & 2;
		p.map_dscp = true;
		for (unsigned d = 0; d < 64; d++)
			p.dscp[d] = (uint8_t)(63 - d);
		loop_open(&l, &p, &p);
		for (unsigned tos = 0; tos < 256; tos++) {
			ck_assert_uint_eq(send_tos(&l, i & 4 ? 4 : 6, (uint8_t)tos), (63 - (tos >> 2)) << 2 | (tos & 3));
			if ((tos & 3) != 0 || (i & 1))
				continue;
			ck_assert_uint_eq(loop_in(&l, &k), 0); /* inside it is as it was */
			ck_assert_uint_eq(iphdr_tos(pkt_data(&k.p)), tos);
		}
		loop_close(&l);
	}
}
END_TEST

/* RFC 6040 figure 4: rows inner, columns outer (Not-ECT, ECT(1), ECT(0), CE by value 0, 1, 2, 3);
 * 9: dropped. */
static const uint8_t ecn_table[4][4] = {{0, 0, 0, 9}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

START_TEST(ecn_on_the_way_out)
{
	for (int i = 0; i < 4; i++) {
		struct sa_params p = params(SA_TUNNEL, i & 1 ? 4 : 6);
		struct loop l;
		loop_open(&l, &p, &p);
		for (uint8_t inner = 0; inner < 4; inner++) {
			for (uint8_t outer = 0; outer < 4; outer++) {
				(void)send_tos(&l, i & 2 ? 4 : 6, 0xb8 | inner);
				iphdr_set_tos(pkt_data(&k.p), outer); /* a router remarked it */
				unsigned drop = loop_in(&l, &k);
				if (ecn_table[inner][outer] == 9) {
					ck_assert_uint_eq(drop, DROP_ESP_ECN);
					continue;
				}
				ck_assert_uint_eq(drop, 0);
				ck_assert_uint_eq(
					iphdr_tos(pkt_data(&k.p)), 0xb8 | ecn_table[inner][outer]);
				if (k.p.buf[k.p.off] >> 4 == 4)
					ck_assert_uint_eq(iphdr_sum(pkt_data(&k.p), 20), 0xffff);
			}
		}
		loop_close(&l);
	}
}
END_TEST

START_TEST(dont_fragment)
{
	static const struct {
		uint8_t inner;
		bool set;
		enum sa_df df;
		bool want;
	} rows[] = {
		{4, true, SA_DF_COPY, true},
		{4, false, SA_DF_COPY, false},
		{6, false, SA_DF_COPY, true},
		{4, true, SA_DF_CLEAR, false},
		{4, false, SA_DF_CLEAR, false},
		{6, false, SA_DF_CLEAR, false},
		{4, true, SA_DF_SET, true},
		{4, false, SA_DF_SET, true},
		{6, false, SA_DF_SET, true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sa_params p = params(SA_TUNNEL, 4);
		struct loop l;
		p.df = rows[i].df;
		loop_open(&l, &p, &p);
		packet_ip(&k, rows[i].inner, 100);
		if (rows[i].set)
			put16(pkt_data(&k.p) + 6, 0x4000);
		ck_assert_uint_eq(loop_out(&l, &k), 0);
		ck_assert_uint_eq(get16(pkt_data(&k.p) + 6), rows[i].want ? 0x4000 : 0);
		ck_assert_uint_eq(iphdr_sum(pkt_data(&k.p), 20), 0xffff);
		loop_close(&l);
	}
}
END_TEST

START_TEST(transport_refuses)
{
	struct sa_params p = params(SA_TRANSPORT, 4);
	struct loop l;

	p.src = test_addr(4, 1);
	p.dst = test_addr(4, 2);
	loop_open(&l, &p, &p);
	packet_ip(&k, 4, 100);
	put16(pkt_data(&k.p) + 6, 0x2000);
	ck_assert_uint_eq(loop_out(&l, &k), DROP_ESP_OUT_UNFIT); /* a fragment */
	packet_ip(&k, 4, 100);
	pkt_data(&k.p)[19] = 9;
	ck_assert_uint_eq(loop_out(&l, &k), DROP_ESP_OUT_UNFIT); /* another destination */
	packet_ip(&k, 6, 100);
	ck_assert_uint_eq(loop_out(&l, &k), DROP_ESP_OUT_UNFIT);
	packet_ip(&k, 4, 100);
	k.p.len = 99;
	ck_assert_uint_eq(loop_out(&l, &k), DROP_ESP_OUT_MALFORMED);
	packet_ip(&k, 4, 100);
	ck_assert_uint_eq(loop_out(&l, &k), 0);
	loop_close(&l);
}
END_TEST

/* IPv4 options through AH in transport mode: unfinished source routes and options that do not parse
 * are refused. */
START_TEST(ah_and_options)
{
	static const struct {
		uint8_t options[8];
		bool good;
	} rows[] = {
		{{1, 1, 1, 1, 1, 1, 1, 0}, true}, {{148, 4, 0, 0, 0, 0, 0, 0}, true},
		{{7, 7, 4, 1, 2, 3, 4, 0}, true},    /* record route: zeroed */
		{{131, 7, 8, 1, 2, 3, 4, 0}, true},  /* loose source route, at its end */
		{{131, 7, 4, 1, 2, 3, 4, 0}, false}, /* hops left */
		{{137, 7, 4, 1, 2, 3, 4, 0}, false},
		{{68, 9, 5, 0, 0, 0, 0, 0}, false}, /* longer than there is */
		{{68, 1, 5, 0, 0, 0, 0, 0}, false},
		{{1, 1, 1, 1, 1, 1, 1, 68}, false}, /* no length */
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sa_params p = suite_params(&suites[SUITES - 2], SA_TRANSPORT, 4);
		struct loop l;
		uint8_t d[128];
		loop_open(&l, &p, &p);
		packet_ip(&k, 4, 100);
		memcpy(d, pkt_data(&k.p), 20);
		memcpy(d + 20, rows[i].options, 8);
		memcpy(d + 28, pkt_data(&k.p) + 20, 80);
		d[0] = 0x47;
		put16(d + 2, 108);
		iphdr_checksum(d, 28);
		packet_set(&k, d, 108);
		ck_assert_uint_eq(loop_out(&l, &k), rows[i].good ? 0 : DROP_ESP_OUT_UNFIT);
		if (rows[i].good) {
			pkt_data(&k.p)[8] -= 5; /* routers */
			iphdr_checksum(pkt_data(&k.p), 28);
			ck_assert_uint_eq(loop_in(&l, &k), 0);
			d[8] -= 5;
			iphdr_checksum(d, 28);
			ck_assert_uint_eq(k.p.len, 108);
			ck_assert(!memcmp(pkt_data(&k.p), d, 108));
		}
		loop_close(&l);
	}
}
END_TEST

/* The stack leaves the UDP checksum to the sender: ESP has to fill it in, for nobody after it can.
 */
START_TEST(pending_checksum)
{
	struct sa_params p = params(SA_TUNNEL, 4);
	struct loop l;

	loop_open(&l, &p, &p);
	packet_ip(&k, 4, 100);
	put16(pkt_data(&k.p) + 26, 0x1111); /* where the pseudo header's sum is */
	uint16_t want = (uint16_t)~iphdr_sum(pkt_data(&k.p) + 20, 80);
	k.p.csum_partial = true;
	k.p.csum_start = 20;
	k.p.csum_offset = 6;
	ck_assert_uint_eq(loop_out(&l, &k), 0);
	ck_assert(!k.p.csum_partial);
	ck_assert_uint_eq(loop_in(&l, &k), 0);
	ck_assert_uint_eq(get16(pkt_data(&k.p) + 26), want);
	packet_ip(&k, 4, 100);
	k.p.csum_partial = true;
	k.p.csum_start = 20;
	k.p.csum_offset = 79;
	ck_assert_uint_eq(loop_out(&l, &k), DROP_ESP_OUT_MALFORMED);
	loop_close(&l);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/outer");
	TCase *c = tcase_create("outer");
	tcase_add_test(c, transport_refuses);
	tcase_add_test(c, ah_and_options);
	tcase_add_test(c, dscp_and_ecn_on_the_way_in);
	tcase_add_test(c, dscp_by_a_map);
	tcase_add_test(c, ecn_on_the_way_out);
	tcase_add_test(c, dont_fragment);
	tcase_add_test(c, pending_checksum);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
