#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/link/link.h"
#include "daemons/stack-core/tap/flows.h"
#include "daemons/stack-core/tap/meter.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct flow_ring ring;
static struct flows flows;
static uint8_t bytes[2][64];
static struct pkt pkts[2];
static struct pkt *batch[2] = {&pkts[0], &pkts[1]};

static void packet(unsigned i, uint32_t number)
{
	struct addr src = {4, {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}}, dst = {4, {192, 0, 2, 1}};
	memset(bytes[i], 0, sizeof(bytes[i]));
	ip4_write(bytes[i], &src, &dst, IP_UDP, 64, 0, 48, 1, false);
	ip_put16(bytes[i] + 20, 1000);
	ip_put16(bytes[i] + 22, 53);
	ip_put16(bytes[i] + 24, 28);
	pkts[i] = (struct pkt){.buf = bytes[i], .size = 64, .len = 48, .ethertype = ETHER_IP4};
}

static void setup(void)
{
	memset(&ring, 0, sizeof(ring));
	memset(&flows, 0, sizeof(flows));
	packet(0, 1);
	packet(1, 2);
}

START_TEST(what_is_no_ip_packet_is_left_alone)
{
	packet(0, 1);
	pkts[0].ethertype = ETHER_ARP;
	flow_sample(&ring, batch, 1, true);
	pkts[0].ethertype = ETHER_IP4;
	pkts[0].drop = 1;
	flow_sample(&ring, batch, 1, true);
	packet(0, 1);
	bytes[0][0] = 0x95;
	flow_sample(&ring, batch, 1, true);
	ck_assert_uint_eq(atomic_load(&ring.head), 0);
	ck_assert_uint_eq(pkts[0].drop, 0); /* only a copy was parsed */
	ck_assert_uint_eq(pkts[0].family, 0);
}
END_TEST

START_TEST(a_full_ring_takes_no_more)
{
	for (unsigned i = 0; i < 2 * FLOW_RING; i++)
		flow_sample(&ring, batch, 1, true);
	ck_assert_uint_eq(atomic_load(&ring.head), FLOW_RING);
	flows_take(&flows, &ring);
	ck_assert_uint_eq(flows.n, 1);
	ck_assert_uint_eq(flows.v[0].now_packets, FLOW_RING * METER_SAMPLE);
	flow_sample(&ring, batch, 1, true);
	ck_assert_uint_eq(atomic_load(&ring.head), FLOW_RING + 1);
}
END_TEST

START_TEST(packets_of_a_batch_are_drawn_alike)
{
	for (unsigned i = 0; i < 40; i++) {
		for (unsigned k = 0; k < 100; k++)
			flow_sample(&ring, batch, 2, true);
		flows_take(&flows, &ring);
	}
	ck_assert_uint_eq(flows.n, 2);
	ck_assert_uint_gt(flows.v[0].now_packets, 1700 * 2 * METER_SAMPLE);
	ck_assert_uint_gt(flows.v[1].now_packets, 1700 * 2 * METER_SAMPLE);
}
END_TEST

START_TEST(a_busy_flow_outlasts_any_number_of_others)
{
	const struct flow_row *top[4];
	uint64_t now_ms = 1000;
	for (uint32_t n = 0; n < 20 * FLOWS_MAX; n++) {
		packet(0, 7);
		for (unsigned k = 0; k < 5; k++)
			flow_sample(&ring, batch, 1, true);
		packet(0, 1000 + n);
		flow_sample(&ring, batch, 1, true);
		flows_take(&flows, &ring);
		if (n % 64 == 63)
			flows_tick(&flows, now_ms += 1000);
	}
	ck_assert_uint_le(flows.n, FLOWS_MAX);
	ck_assert_uint_eq(flows_top(&flows, top, 4), 4);
	ck_assert_uint_eq(top[0]->flow.src.b[3], 7);
	ck_assert(top[0]->packets > 0.9 * 320 * METER_SAMPLE && top[0]->packets < 1.1 * 320 * METER_SAMPLE);
	for (unsigned i = 0; i < 40; i++) /* silence */
		flows_tick(&flows, now_ms += 1000);
	ck_assert_uint_eq(flows_top(&flows, top, 4), 0);
	ck_assert_uint_eq(flows.n, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *su = suite_create("flows");
	TCase *c = tcase_create("flows");

	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, what_is_no_ip_packet_is_left_alone);
	tcase_add_test(c, a_full_ring_takes_no_more);
	tcase_add_test(c, packets_of_a_batch_are_drawn_alike);
	tcase_add_test(c, a_busy_flow_outlasts_any_number_of_others);
	suite_add_tcase(su, c);
	return su;
}

RV_CHECK_MAIN(suite())
