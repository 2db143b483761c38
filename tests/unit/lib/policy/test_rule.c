/* IpFilterRule and the objects it names: what is refused, with its place, and what is made of a good one. */
#include "tests/unit/lib/policy/support.h"

START_TEST(rules)
{
	refused(
		"IpService s { Protocol all }\n", "f: found no IpFilterPolicy, expected one");
	refused("IpFilterPolicy { IpFilterRuleRef r }\n",
		"f:1:18: found IpFilterRuleRef 'r', expected the name of an IpFilterRule statement "
		"in this file");
	refused("IpFilterPolicy { IpFilterGroupRef g }\n",
		"f:1:18: found IpFilterGroupRef 'g', expected the name of an IpFilterGroup "
		"statement in this file");
	refused(ACTIONS "IpService all { Protocol tcp }\nIpFilterPolicy { }\n",
		"f:7:1: found a second IpService 'all', expected another name (the first one is in "
		"line 5)");
#define RULE(body) ACTIONS "IpFilterPolicy {\nIpFilterRule r {\n" body "}\n}\n"
	refused(RULE("IpSourceAddr 10.0.0.1\nIpDestAddr all\nIpServiceRef "
			    "all\nIpGenericFilterActionRef nix\n"),
		"f:12:1: found IpGenericFilterActionRef 'nix', expected the name of an "
		"IpGenericFilterAction statement in this file");
	refused(RULE("IpSourceAddr 10.0.0.1\nIpDestAddr all\nIpServiceRef "
			    "nix\nIpGenericFilterActionRef deny\n"),
		"f:11:1: found IpServiceRef 'nix', expected the name of an IpService statement in "
		"this file");
	refused(RULE("IpSourceAddr 10.0.0.1\nIpDestAddr all\nIpServiceGroupRef "
			    "nix\nIpGenericFilterActionRef deny\n"),
		"f:11:1: found IpServiceGroupRef 'nix', expected the name of an IpServiceGroup "
		"statement in this file");
	refused(RULE("IpSourceAddrRef nix\nIpDestAddr all\nIpServiceRef "
			    "all\nIpGenericFilterActionRef deny\n"),
		"f:9:1: found IpSourceAddrRef 'nix', expected the name of an IpAddr statement in "
		"this file");
	refused(RULE("IpSourceAddr all\nIpDestAddrGroupRef nix\nIpServiceRef "
			    "all\nIpGenericFilterActionRef deny\n"),
		"f:10:1: found IpDestAddrGroupRef 'nix', expected the name of an IpAddrGroup "
		"statement in this file");
	refused(RULE("IpDestAddr all\nIpServiceRef all\nIpGenericFilterActionRef deny\n"),
		"f:8:1: found no IpSourceAddr in IpFilterRule 'r', expected one or a reference");
	refused(RULE("IpSourceAddr all\nIpDestAddr all\nIpGenericFilterActionRef deny\n"),
		"f:8:1: found no IpService in IpFilterRule 'r', expected one or a reference");
	refused(RULE("IpSourceAddr 10.0.0.300\nIpDestAddr all\nIpServiceRef "
			    "all\nIpGenericFilterActionRef deny\n"),
		"f:9:1: found '10.0.0.300', expected an address, address/length, low-high, All, "
		"All4 or All6");
	refused(RULE("IpSourceAddr 10.0.0.9-10.0.0.1\nIpDestAddr all\nIpServiceRef "
			    "all\nIpGenericFilterActionRef deny\n"),
		"f:9:1: found '10.0.0.9-10.0.0.1', expected the lower address first");
	refused(RULE("IpSourceAddr 10.0.0.1/8\nIpDestAddr all\nIpServiceRef "
			    "all\nIpGenericFilterActionRef deny\n"),
		"f:9:1: found '10.0.0.1/8', expected a prefix without host bits");
	refused(RULE("IpSourceAddr 10.0.0.1\nIpDestAddr ::1\nIpServiceRef "
			    "all\nIpGenericFilterActionRef deny\n"),
		"f:8:1: found source and destination of different families in IpFilterRule 'r', "
		"expected the same");
	refused(RULE("IpSourceAddr all\nIpDestAddr all\nIpServiceRef "
			    "all\nIpGenericFilterActionRef ipsec\n"),
		"f:8:1: found no IpManVpnActionRef and no IpDynVpnActionRef in IpFilterRule 'r', whose action is IpSec, "
		"expected one");
	refused(RULE("IpSourceAddr all\nIpDestAddr all\nIpServiceRef "
			    "all\nIpGenericFilterActionRef deny\nIpManVpnActionRef v\n"),
		"f:13:1: found IpManVpnActionRef in IpFilterRule 'r', expected it with "
		"IpFilterAction IpSec alone");
	refused(RULE("IpSourceAddr all\nIpDestAddr all\nIpServiceRef "
			    "all\nIpGenericFilterActionRef ipsec\nIpManVpnActionRef v\n"),
		"f:13:1: found IpManVpnActionRef 'v', expected the name of an IpManVpnAction "
		"statement in this file");
	refused(RULE("IpSourceAddr all\nIpDestAddr all\nIpService { Protocol "
			    "icmp\nSourcePortRange 7\n}\nIpGenericFilterActionRef deny\n"),
		"f:12:1: found SourcePortRange, expected it only with tcp, udp or sctp");
	refused(RULE("IpSourceAddr all\nIpDestAddr all\nIpService { Protocol tcp\nDirection "
			    "Outbound OutboundConnect\n}\nIpGenericFilterActionRef deny\n"),
		"f:12:1: found 'OutboundConnect', expected no connect qualifier: filters here do "
		"not look at TCP flags");
	refused(RULE("IpSourceAddr all\nIpDestAddr all\nIpService { Protocol "
			    "tcpx\n}\nIpGenericFilterActionRef deny\n"),
		"f:11:13: found 'tcpx', expected a protocol by name, 0 to 255, opaque or all");
	refused(RULE("IpSourceAddr all\nIpDestAddr all\nIpServiceRef all\nIpGenericFilterActionRef deny\nIpTimeConditionRef noon\n"),
		"f:13:1: found IpTimeConditionRef 'noon', expected the name of an IpTimeCondition statement in this file");
}
END_TEST

static const char good[] = ACTIONS
	"IpAddr host { Addr 10.0.0.1 }\n"
	"IpAddrSet net { Prefix 10.1.0.0/16 }\n"
	"IpAddrSet some { Range 10.2.0.5-10.2.0.9 }\n"
	"IpAddrGroup both { IpAddrRef host\n IpAddrSetRef net\n IpAddr { Addr 10.3.0.1 } }\n"
	"IpService web { Protocol tcp\n DestinationPortRange 80 443\n Direction Outbound }\n"
	"IpService ping { Protocol icmp\n Type 8\n Direction Inbound\n Routing Routed\n "
	"SecurityClass 5 }\n"
	"IpServiceGroup stuff { IpServiceRef web\n IpServiceRef ping }\n"
	"IpFilterRule second { IpSourceAddrGroupRef both\n IpDestAddrSetRef some\n "
	"IpServiceGroupRef stuff\n IpGenericFilterActionRef deny }\n"
	"IpFilterGroup last { IpFilterRule third { IpSourceAddr all\n IpDestAddr all\n "
	"IpServiceRef all\n IpGenericFilterActionRef permit } }\n"
	"IpFilterPolicy { PreDecap on\n"
	" IpFilterRule first { IpSourceAddr 10.0.0.1\n IpDestAddr 192.0.2.0/24\n IpServiceRef "
	"all\n IpGenericFilterActionRef permit }\n"
	" IpFilterRuleRef second\n IpFilterGroupRef last }\n";

START_TEST(too_many_simple_filters)
{
	char *text = xcalloc(1, 1 << 20);
	size_t at = (size_t)sprintf(text, "%s", ACTIONS "IpAddrGroup many {\n");
	for (unsigned i = 0; i < 400; i++)
		at += (size_t)sprintf(
			text + at, "IpAddr { Addr 10.0.%u.%u }\n", i / 200, i % 200 + 1);
	(void)sprintf(text + at, "}\nIpFilterPolicy { IpFilterRule r { IpSourceAddrGroupRef "
				 "many\nIpDestAddrGroupRef many\nIpServiceRef all\n"
				 "IpGenericFilterActionRef deny } }\n");
	refused(
		text, "f:409:18: found more than 65536 simple filters, expected at most so many");
	free(text);
}
END_TEST

START_TEST(a_rule_is_resolved_unsplit)
{
	struct ipsec_policy *p = accepted(good);
	const struct policy_rule *r = policy_rule_find(p, "second");
	char text[RANGE_TEXT_MAX];
	ck_assert(p->pre_decap && p->filter_logging && !p->allow_on_demand);
	ck_assert_uint_eq(p->n_rules, 3);
	ck_assert_ptr_eq(r, &p->rules[1]);
	ck_assert_ptr_null(policy_rule_find(p, "fourth"));
	ck_assert_uint_eq(r->n_sources, 3);
	ck_assert_str_eq(addr_range_text(&r->sources[1], text), "10.1.0.0/16");
	ck_assert_str_eq(addr_range_text(&r->sources[2], text), "10.3.0.1");
	ck_assert_uint_eq(r->n_dests, 1);
	ck_assert_str_eq(addr_range_text(&r->dests[0], text), "10.2.0.5-10.2.0.9");
	ck_assert_uint_eq(r->n_services, 2);
	ck_assert_str_eq(r->services[0].name, "web");
	ck_assert(!r->services[0].inbound && r->services[0].outbound && r->services[0].dest_lo == 80 && r->services[0].dest_hi == 443);
	ck_assert(r->services[1].inbound && r->services[1].source_lo == 8 && r->services[1].routing == POLICY_ROUTED &&
		  r->services[1].secclass == 5);
	ck_assert(r->action == POLICY_DENY && r->logging == POLICY_LOG_ALL && !r->vpn && !r->manual && !r->start);
	ck_assert_str_eq(p->rules[2].group, "last");
	ck_assert_str_eq(addr_range_text(&p->rules[2].sources[0], text), "All");
	ipsec_policy_free(p);
}
END_TEST

START_TEST(denied_in_silence_or_not)
{
	struct ipsec_policy *p = accepted("IpGenericFilterAction tell { IpFilterAction Deny\n DiscardAction ICMP }\n"
		"IpGenericFilterAction mute { IpFilterAction Deny\n IpFilterLogging Deny }\nIpService all { Protocol all }\n"
		"IpFilterPolicy { ImplicitDiscardAction ICMP\n FilterLogging Off\n AllowOnDemand Yes\n"
		" IpFilterRule a { IpSourceAddr all\n IpDestAddr all\n IpServiceRef all\n IpGenericFilterActionRef tell }\n"
		" IpFilterRule b { IpSourceAddr all\n IpDestAddr all\n IpServiceRef all\n IpGenericFilterActionRef mute } }\n");
	ck_assert(p->discard_icmp && !p->filter_logging && p->allow_on_demand && p->rules[0].discard_icmp && !p->rules[1].discard_icmp);
	ck_assert(p->rules[0].logging == POLICY_LOG_NONE && p->rules[1].logging == POLICY_LOG_DENY);
	ipsec_policy_free(p);
}
END_TEST

START_TEST(cut_off_anywhere_is_refused)
{
	cut_everywhere(good, strlen(good) - 1);
}
END_TEST

START_TEST(the_stack_file_wins_over_the_common_one)
{
	static const char common[] = ACTIONS "IpAddr a { Addr 10.0.0.1 }\nIpAddr b { Addr 10.0.0.2 }\n"
		"IpFilterPolicy { PreDecap On\n IpFilterRule c { IpSourceAddrRef a\n IpDestAddrRef b\n IpServiceRef all\n"
		" IpGenericFilterActionRef deny } }\n";
	struct ipsec_policy *p = accepted2("IpAddr b { Addr 10.0.0.9 }\n", common);
	char text[RANGE_TEXT_MAX];
	ck_assert(p->pre_decap);
	ck_assert_str_eq(addr_range_text(&p->rules[0].sources[0], text), "10.0.0.1");
	ck_assert_str_eq(addr_range_text(&p->rules[0].dests[0], text), "10.0.0.9");
	ipsec_policy_free(p);
	p = accepted2("IpFilterPolicy { IpFilterRule mine { IpSourceAddrRef a\n IpDestAddr all\n IpServiceRef all\n"
		      " IpGenericFilterActionRef permit } }\n", common);
	ck_assert(!p->pre_decap);
	ck_assert_uint_eq(p->n_rules, 1);
	ck_assert_str_eq(p->rules[0].name, "mine");
	ipsec_policy_free(p);
}
END_TEST

START_TEST(ranges_are_read_and_compared)
{
	static const struct {
		const char *text;
		int rc;
	} bad[] = {{"10.0.0.1/8", -EDOM}, {"10.0.0.9-10.0.0.1", -ERANGE}, {"10.0.0.1-::1", -EINVAL}, {"-10.0.0.1", -EINVAL},
		{"all5", -EINVAL}, {"All44", -EINVAL}, {"", -EINVAL}, {"10.0.0.0/33", -EINVAL}, {"10.0.0.1-", -EINVAL},
		{"0000:0000:0000:0000:0000:0000:0000:0000:0000:00000-::1", -EINVAL}};
	struct addr_range r, in;
	struct addr a;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(addr_range_parse(bad[i].text, &r) == bad[i].rc, "%s", bad[i].text);
	ck_assert_int_eq(addr_range_parse("10.1.0.0/16", &r), 0);
	ck_assert_int_eq(addr_range_parse("10.1.255.250-10.1.255.255", &in), 0);
	ck_assert(addr_range_contains(&r, &in) && !addr_range_contains(&in, &r) && !addr_range_single(&in));
	ck_assert_int_eq(addr_parse("10.2.0.0", &a), 0);
	ck_assert(!addr_range_covers(&r, &a));
	ck_assert_int_eq(addr_parse("a01::", &a), 0); /* the same first bytes in the other family */
	ck_assert(!addr_range_covers(&r, &a));
	ck_assert_int_eq(addr_range_parse("any", &in), 0);
	ck_assert(addr_range_covers(&in, &a) && addr_range_contains(&in, &r) && !addr_range_contains(&r, &in));
	ck_assert_int_eq(addr_range_parse("All6", &in), 0);
	ck_assert(addr_range_covers(&in, &a) && !addr_range_contains(&in, &r));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rule");
	TCase *t = tcase_create("rule");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, rules);
	tcase_add_test(t, too_many_simple_filters);
	tcase_add_test(t, denied_in_silence_or_not);
	tcase_add_test(t, cut_off_anywhere_is_refused);
	tcase_add_test(t, ranges_are_read_and_compared);
	tcase_add_test(t, a_rule_is_resolved_unsplit);
	tcase_add_test(t, the_stack_file_wins_over_the_common_one);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
