#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/tap/tap.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct tap_spec any(void)
{
	return (struct tap_spec){.proto = TAP_PROTO_ANY, .link = -1, .stages = TAP_ANY_STAGE, .snaplen = 100};
}

static struct prefix net(const char *text)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(text, &p), 0);
	return p;
}

static uint8_t bytes[128];

static struct pkt tcp(void)
{
	struct pkt p = {.buf = bytes, .size = sizeof(bytes), .len = 100, .family = 4, .proto = IP_TCP, .sport = 1025, .dport = 80, .l4_off = 20,
		.in_link = 0, .out_link = 1};
	struct prefix a = net("192.0.2.9"), b = net("203.0.113.7");
	p.src = a.addr;
	p.dst = b.addr;
	memset(bytes, 0, sizeof(bytes));
	bytes[20 + 12] = 0x80;
	return p;
}

START_TEST(specs_that_cannot_hold_are_refused)
{
	struct errbuf e;
	struct tap_spec s = any();
	ck_assert_int_eq(tap_spec_check(&s, &e), 0);
	s.src = net("192.0.2.0/24");
	s.dst = net("2001:db8::/32");
	ck_assert_int_eq(tap_spec_check(&s, &e), -EINVAL);
	s = any();
	s.proto = IPPROTO_IP_ICMP;
	s.port = 80;
	ck_assert_int_eq(tap_spec_check(&s, &e), -EINVAL);
	s = any();
	s.stages = 0;
	ck_assert_int_eq(tap_spec_check(&s, &e), -EINVAL);
	s.stages = 1u << TAP_STAGES;
	ck_assert_int_eq(tap_spec_check(&s, &e), -EINVAL);
	s = any();
	s.stages = 1u << TAP_LINK_RX;
	s.dropped = true;
	ck_assert_int_eq(tap_spec_check(&s, &e), -EINVAL);
	s = any();
	s.snaplen = TAP_SNAP_MAX + 1;
	ck_assert_int_eq(tap_spec_check(&s, &e), -EINVAL);
}
END_TEST

START_TEST(each_condition_counts)
{
	struct pkt p = tcp();
	struct tunnel t = {.id = "Y7", .name = "branch"};
	struct tap_spec s = any();
	ck_assert(tap_spec_match(&s, &p, TAP_LINK_TX, NULL, 0));
#define BOTH(field, good, bad)                                                      \
	do {                                                                        \
		s = any();                                                          \
		s.field = good;                                                     \
		ck_assert_msg(tap_spec_match(&s, &p, TAP_LINK_TX, &t, 77), #field " = " #good);  \
		s.field = bad;                                                      \
		ck_assert_msg(!tap_spec_match(&s, &p, TAP_LINK_TX, &t, 77), #field " = " #bad);  \
	} while (0)
	BOTH(src, net("192.0.2.0/24"), net("192.0.3.0/24"));
	BOTH(dst, net("203.0.113.7"), net("192.0.2.9"));
	BOTH(host, net("203.0.113.7"), net("203.0.113.8"));
	BOTH(host, net("192.0.2.9"), net("2001:db8::1"));
	BOTH(proto, IP_TCP, IP_UDP);
	BOTH(sport, 1025, 80);
	BOTH(dport, 80, 1025);
	BOTH(port, 1025, 1026);
	BOTH(port, 80, 81);
	BOTH(spi, 77, 78);
	BOTH(link, 1, 2);
	BOTH(link, 0, 2);
#undef BOTH
	s = any();
	s.link = 1;
	ck_assert(!tap_spec_match(&s, &p, TAP_LINK_RX, &t, 77)); /* nobody knows yet */
	s = any();
	(void)snprintf(s.tunnel, sizeof(s.tunnel), "branch");
	ck_assert(tap_spec_match(&s, &p, TAP_LINK_TX, &t, 0));
	ck_assert(!tap_spec_match(&s, &p, TAP_LINK_TX, NULL, 0));
	(void)snprintf(s.tunnel, sizeof(s.tunnel), "Y7");
	ck_assert(tap_spec_match(&s, &p, TAP_LINK_TX, &t, 0));
	(void)snprintf(s.tunnel, sizeof(s.tunnel), "Y8");
	ck_assert(!tap_spec_match(&s, &p, TAP_LINK_TX, &t, 0));
}
END_TEST

START_TEST(ports_of_a_later_fragment_match_nothing)
{
	struct pkt p = tcp();
	struct tap_spec s = any();
	p.opaque = true;
	s.port = 80;
	ck_assert(!tap_spec_match(&s, &p, TAP_LINK_TX, NULL, 0));
	p.sport = p.dport = 0;
	s.port = 0;
	ck_assert(tap_spec_match(&s, &p, TAP_LINK_TX, NULL, 0));
}
END_TEST

START_TEST(headers_end_where_data_begins)
{
	struct pkt p = tcp();
	ck_assert_uint_eq(tap_headers(&p), 20 + 32);
	bytes[20 + 12] = 0x10; /* shorter than TCP's own header */
	ck_assert_uint_eq(tap_headers(&p), 20 + 20);
	bytes[20 + 12] = 0xf0;
	ck_assert_uint_eq(tap_headers(&p), 20 + 60);
	p.len = 50;
	ck_assert_uint_eq(tap_headers(&p), 50);
	p = tcp();
	p.proto = IP_UDP;
	ck_assert_uint_eq(tap_headers(&p), 28);
	p.opaque = true;
	ck_assert_uint_eq(tap_headers(&p), 20);
	p.proto = IP_ESP;
	ck_assert_uint_eq(tap_headers(&p), 28);
	p.proto = 99;
	ck_assert_uint_eq(tap_headers(&p), 20);
	p.l4_off = 0; /* not parsed */
	p.family = 0;
	ck_assert_uint_eq(tap_headers(&p), 20);
	p.len = 7;
	ck_assert_uint_eq(tap_headers(&p), 7);
}
END_TEST

START_TEST(only_what_others_see_is_open)
{
	struct tap_set set = {.secret = 1};
	struct pkt p = tcp();
	ck_assert(!tap_open_stage(&set, &p, TAP_LINK_RX)); /* from the host */
	ck_assert(tap_open_stage(&set, &p, TAP_LINK_TX));
	p.in_link = 1;
	ck_assert(tap_open_stage(&set, &p, TAP_LINK_RX));
	p.out_link = 0;
	ck_assert(!tap_open_stage(&set, &p, TAP_LINK_TX));
	ck_assert(tap_open_stage(&set, &p, TAP_IPSEC_IN));
	ck_assert(tap_open_stage(&set, &p, TAP_IPSEC_OUT));
	static const enum tap_stage inside[] = {TAP_OPENED, TAP_FILTER_IN, TAP_ROUTE, TAP_FILTER_OUT, TAP_DROP};
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		ck_assert(!tap_open_stage(&set, &p, inside[i]));
}
END_TEST

START_TEST(stages_have_names)
{
	for (unsigned i = 0; i < TAP_STAGES; i++)
		ck_assert_int_eq(tap_stage_find(tap_stage_text(i)), (int)i);
	ck_assert_int_eq(tap_stage_find("nowhere"), -1);
}
END_TEST

static Suite *suite(void)
{
	Suite *su = suite_create("match");
	TCase *c = tcase_create("match");

	tcase_add_test(c, specs_that_cannot_hold_are_refused);
	tcase_add_test(c, each_condition_counts);
	tcase_add_test(c, ports_of_a_later_fragment_match_nothing);
	tcase_add_test(c, headers_end_where_data_begins);
	tcase_add_test(c, only_what_others_see_is_open);
	tcase_add_test(c, stages_have_names);
	suite_add_tcase(su, c);
	return su;
}

RV_CHECK_MAIN(suite())
