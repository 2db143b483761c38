/* Ethernet headers and 802.1Q tags, and links that share a device. */
#include "daemons/stack-core/link/driver.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <string.h>

static const uint8_t us[6] = {2, 0, 0, 0, 0, 1}, them[6] = {2, 0, 0, 0, 0, 2};
static struct pkt_pool *pool;
static struct link nic;

static void setup(void)
{
	pool = pkt_pool_new(8, 2);
	memset(&nic, 0, sizeof(nic));
	memcpy(nic.mac, us, 6);
}

static void teardown(void)
{
	pkt_pool_free(pool);
}

/* A frame of @len bytes in all as a driver has it: @type behind the addresses, then @rest. */
static struct pkt *frame(const uint8_t *dst, uint16_t type, const void *rest, uint32_t rest_len)
{
	struct pkt *p = pkt_alloc(pool);
	uint8_t *eth = pkt_data(p) - ETHER_HEADER;

	memcpy(eth, dst, 6);
	memcpy(eth + 6, them, 6);
	ip_put16(eth + 12, type);
	memcpy(pkt_data(p), rest, rest_len);
	p->len = rest_len;
	return p;
}

START_TEST(short_frames_are_refused)
{
	for (uint32_t len = 0; len < ETHER_HEADER; len++) {
		struct pkt *p = frame(us, ETHER_IP4, "", 0);
		ether_in(&nic, p, len, false, 0, 0);
		ck_assert_uint_eq(p->drop, DROP_LINK_FRAME);
		pkt_free(pool, p);
	}
	for (uint32_t len = 0; len < ETHER_TAG; len++) {
		struct pkt *p = frame(us, ETHER_VLAN, "\0\5\x08\0", len);
		ether_in(&nic, p, ETHER_HEADER + len, false, 0, 0);
		ck_assert_uint_eq(p->drop, DROP_LINK_FRAME);
		pkt_free(pool, p);
	}
}
END_TEST

START_TEST(other_stations_and_types_are_dropped)
{
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 9}, group[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct pkt *p = frame(other, ETHER_IP4, "", 0);

	ether_in(&nic, p, ETHER_HEADER, false, 0, 0);
	ck_assert_uint_eq(p->drop, DROP_LINK_OTHER_HOST);
	p = frame(us, 0x88cc, "", 0);
	ether_in(&nic, p, ETHER_HEADER, false, 0, 0);
	ck_assert_uint_eq(p->drop, DROP_LINK_TYPE);
	p = frame(group, ETHER_IP6, "", 0);
	ether_in(&nic, p, ETHER_HEADER, false, 0, 0);
	ck_assert_uint_eq(p->drop, 0);
	ck_assert(p->l2_group);
	ck_assert_mem_eq(p->mac, them, 6);
}
END_TEST

START_TEST(a_tag_in_the_frame)
{
	struct pkt *p = frame(us, ETHER_VLAN, "\xe0\x0a\x08\x00" "data", 8);
	uint8_t *ip = pkt_data(p) + 4;

	ether_in(&nic, p, ETHER_HEADER + 8, false, 0, 0);
	ck_assert_uint_eq(p->drop, 0);
	ck_assert_uint_eq(p->vlan, 10); /* without the priority bits */
	ck_assert_uint_eq(p->ethertype, ETHER_IP4);
	ck_assert_uint_eq(p->len, 4);
	ck_assert_ptr_eq(pkt_data(p), ip);
	p = frame(us, ETHER_VLAN, "\xa0\x00\x86\xdd", 4);
	ether_in(&nic, p, ETHER_HEADER + 4, false, 0, 0);
	ck_assert_uint_eq(p->vlan, 0); /* a priority tag */
	ck_assert_uint_eq(p->ethertype, ETHER_IP6);
	p = frame(us, ETHER_VLAN, "\0\5\x81\0\0\6\x08\0", 8);
	ether_in(&nic, p, ETHER_HEADER + 8, false, 0, 0);
	ck_assert_uint_eq(p->drop, DROP_LINK_TYPE); /* double */
}
END_TEST

START_TEST(a_tag_that_the_kernel_took)
{
	struct pkt *p = frame(us, ETHER_IP4, "data", 4);

	ether_in(&nic, p, ETHER_HEADER + 4, true, ETHER_VLAN, 0x600a);
	ck_assert_uint_eq(p->drop, 0);
	ck_assert_uint_eq(p->vlan, 10);
	ck_assert_uint_eq(p->len, 4);
	p = frame(us, ETHER_IP4, "data", 4);
	ether_in(&nic, p, ETHER_HEADER + 4, true, 0x88a8, 10);
	ck_assert_uint_eq(p->drop, DROP_LINK_VLAN); /* a provider's */
	p = frame(us, ETHER_VLAN, "\0\6\x08\0", 4);
	ether_in(&nic, p, ETHER_HEADER + 4, true, ETHER_VLAN, 10);
	ck_assert_uint_eq(p->drop, DROP_LINK_TYPE); /* and another one inside */
}
END_TEST

START_TEST(a_checksum_to_finish_moves_with_the_tag)
{
	static const char rest[60] = "\0\5\x08";
	struct pkt *p = frame(us, ETHER_VLAN, rest, sizeof(rest));

	p->csum_partial = true;
	p->csum_start = 24;
	ether_in(&nic, p, ETHER_HEADER + 60, false, 0, 0);
	ck_assert_uint_eq(p->csum_start, 20);
	p = frame(us, ETHER_VLAN, rest, sizeof(rest));
	p->csum_partial = true;
	p->csum_start = 3;
	ether_in(&nic, p, ETHER_HEADER + 60, false, 0, 0);
	ck_assert_uint_eq(p->drop, DROP_LINK_FRAME);
}
END_TEST

START_TEST(what_is_sent_reads_back)
{
	for (uint16_t vlan = 0; vlan <= LINK_VLAN_MAX; vlan = (uint16_t)(vlan * 3 + 1)) {
		struct pkt *p = pkt_alloc(pool), *q;
		nic.vlan = vlan;
		p->len = 20;
		p->family = 6;
		memcpy(p->mac, us, 6);
		unsigned l2 = ether_out(&nic, p);
		ck_assert_uint_eq(l2, ETHER_HEADER + (vlan ? ETHER_TAG : 0));
		const uint8_t *at = pkt_data(p) - l2;
		q = frame(at, ip_get16(at + 12), at + ETHER_HEADER, l2 - ETHER_HEADER + 20);
		ether_in(&nic, q, l2 + 20, false, 0, 0);
		ck_assert_uint_eq(q->drop, 0);
		ck_assert_uint_eq(q->vlan, vlan);
		ck_assert_uint_eq(q->ethertype, ETHER_IP6);
		ck_assert_uint_eq(q->len, 20);
		pkt_free(pool, p);
		pkt_free(pool, q);
	}
}
END_TEST

static struct pkt *waiting;
static unsigned give(void *arg, struct pkt_pool *from, struct pkt **out, unsigned max)
{
	(void)arg;
	(void)from;
	if (!waiting || !max)
		return 0;
	out[0] = waiting;
	waiting = NULL;
	return 1;
}

START_TEST(links_of_one_device_share_it)
{
	struct link l[4] = {{.type = LINK_AFPACKET, .device = "eth0", .vlan = 10}, {.type = LINK_AFPACKET, .device = "eth1"},
		{.type = LINK_AFPACKET, .device = "eth0", .vlan = 20}, {.type = LINK_AFPACKET, .device = "eth0"}};

	link_share(l, 4);
	ck_assert_ptr_eq(l[0].trunk, &l[0]);
	ck_assert_ptr_eq(l[1].trunk, &l[1]);
	ck_assert_ptr_eq(l[2].trunk, &l[0]);
	ck_assert_ptr_eq(l[3].trunk, &l[0]);
	ck_assert_ptr_eq(l[0].sibling, &l[2]);
	ck_assert_ptr_eq(l[2].sibling, &l[3]);
	ck_assert_ptr_null(l[3].sibling);
	ck_assert_ptr_null(l[1].sibling);
}
END_TEST

START_TEST(a_frame_goes_to_the_link_of_its_vlan)
{
	static const struct {
		uint16_t vlan, link, drop;
	} cases[] = {{10, 0, 0}, {20, 1, 0}, {30, 0, DROP_LINK_VLAN}, {0, 0, DROP_LINK_VLAN}};
	struct link l[2] = {{.type = LINK_MEMORY, .vlan = 10, .index = 0, .secclass = 1, .memory.rx = give},
		{.type = LINK_MEMORY, .vlan = 20, .index = 1, .secclass = 2}};
	struct errbuf e;
	struct pkt *got;

	ck_assert(!link_open(&l[0], 1, &e) && !link_open(&l[1], 1, &e));
	l[0].sibling = &l[1];
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		waiting = pkt_alloc(pool);
		waiting->vlan = cases[i].vlan;
		ck_assert_uint_eq(link_rx(&l[0], 0, pool, &got, 1), 1);
		ck_assert_uint_eq(got->in_link, cases[i].link);
		ck_assert_uint_eq(got->secclass, cases[i].link + 1u);
		ck_assert_uint_eq(got->drop, cases[i].drop);
		pkt_free(pool, got);
	}
	struct link_counters c;
	link_sum(&l[0], &c);
	ck_assert_uint_eq(c.rx_packets, 3);
	ck_assert_uint_eq(c.rx_dropped, 2);
	link_sum(&l[1], &c);
	ck_assert_uint_eq(c.rx_packets, 1);
	link_close(&l[0]);
	link_close(&l[1]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ether");
	TCase *t = tcase_create("ether");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, short_frames_are_refused);
	tcase_add_test(t, other_stations_and_types_are_dropped);
	tcase_add_test(t, a_tag_in_the_frame);
	tcase_add_test(t, a_tag_that_the_kernel_took);
	tcase_add_test(t, a_checksum_to_finish_moves_with_the_tag);
	tcase_add_test(t, what_is_sent_reads_back);
	tcase_add_test(t, links_of_one_device_share_it);
	tcase_add_test(t, a_frame_goes_to_the_link_of_its_vlan);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
