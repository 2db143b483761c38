/* Packet or rule: what an on-demand negotiation asks for. */
#include "daemons/ikeD/iked.h"
#include "tests/support/check_main.h"

static struct addr src, dst;
static struct addr_range nets[2], far[1];
static struct policy_service services[2];
static struct start_action start;
static struct policy_rule rule;
static Stack__Acquire packet;

static struct addr at(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static void setup(void)
{
	src = at("10.1.0.7");
	dst = at("10.2.0.9");
	nets[0] = (struct addr_range){at("10.3.0.0"), at("10.3.0.255")};
	nets[1] = (struct addr_range){at("10.1.0.0"), at("10.1.0.255")};
	far[0] = (struct addr_range){at("10.2.0.0"), at("10.2.255.255")};
	services[0] = (struct policy_service){.protocol = 17, .source_hi = 65535, .dest_lo = 53, .dest_hi = 53};
	services[1] = (struct policy_service){.protocol = 6, .source_hi = 65535, .dest_lo = 443, .dest_hi = 443};
	start = (struct start_action){.allow_on_demand = true};
	rule = (struct policy_rule){.sources = nets, .n_sources = 2, .dests = far, .n_dests = 1, .services = services, .n_services = 2, .start = &start};
	stack__acquire__init(&packet);
	packet.protocol = 6;
	packet.source_port = 40000;
	packet.dest_port = 443;
}

static struct selector selector(void)
{
	struct selector s;
	memset(&s, 0xff, sizeof(s));
	start_selector(&rule, &packet, &src, &dst, &s);
	return s;
}

START_TEST(all_from_the_rule)
{
	char text[RANGE_TEXT_MAX];
	struct selector s = selector();
	ck_assert_str_eq(addr_range_text(&s.local, text), "10.1.0.0/24");
	ck_assert_str_eq(addr_range_text(&s.remote, text), "10.2.0.0/16");
	ck_assert_uint_eq(s.protocol, 6);
	ck_assert_uint_eq(s.local_port, 0); /* a range of ports cannot be said: all */
	ck_assert_uint_eq(s.remote_port, 443);
}
END_TEST

START_TEST(all_from_the_packet)
{
	char text[RANGE_TEXT_MAX];
	start = (struct start_action){.local_ip_packet = true, .remote_ip_packet = true, .local_port_packet = true, .remote_port_packet = true,
		.protocol_packet = true};
	struct selector s = selector();
	ck_assert_str_eq(addr_range_text(&s.local, text), "10.1.0.7");
	ck_assert_str_eq(addr_range_text(&s.remote, text), "10.2.0.9");
	ck_assert_uint_eq(s.protocol, 6);
	ck_assert_uint_eq(s.local_port, 40000);
	ck_assert_uint_eq(s.remote_port, 443);
}
END_TEST

START_TEST(a_service_for_all_protocols)
{
	services[0] = (struct policy_service){.protocol = POLICY_PROTO_ALL};
	struct selector s = selector();
	ck_assert_uint_eq(s.protocol, POLICY_PROTO_ALL);
	ck_assert_uint_eq(s.local_port, 0);
	ck_assert_uint_eq(s.remote_port, 0);
	start.protocol_packet = true;
	s = selector();
	ck_assert_uint_eq(s.protocol, 6);
}
END_TEST

START_TEST(what_no_service_names_is_the_packets)
{
	packet.protocol = 47;
	struct selector s = selector();
	ck_assert_uint_eq(s.protocol, 47);
	src = at("192.0.2.1"); /* not in the rule: the packet itself, never more */
	s = selector();
	ck_assert(addr_range_single(&s.local));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("start");
	TCase *t = tcase_create("selector");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, all_from_the_rule);
	tcase_add_test(t, all_from_the_packet);
	tcase_add_test(t, a_service_for_all_protocols);
	tcase_add_test(t, what_no_service_names_is_the_packets);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
