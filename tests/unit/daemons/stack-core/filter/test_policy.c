/* Filters from profile and policy files: what is refused, with its place, and what is made of a
 * good one. */
#include "daemons/stack-core/filter/policy.h"
#include "lib/base/xalloc.h"
#include "tests/unit/daemons/stack-core/filter/support.h"

static const struct conf_stmt profile_stmts[] = {
	{"IPSEC", profile_ipsec_operands, profile_ipsec_children, "ENDIPSEC", CONF_BLOCK}, {0}};
static const struct conf_spec profile_spec = {"profile", CONF_PROFILE, profile_stmts};

#define ACTIONS                                                                                    \
	"IpGenericFilterAction permit { IpFilterAction Permit }\n"                                 \
	"IpGenericFilterAction deny { IpFilterAction Deny\n IpFilterLogging Yes }\n"               \
	"IpGenericFilterAction ipsec { IpFilterAction IpSec }\n"                                   \
	"IpService all { Protocol all\n Routing Either }\n"

static int load(const struct conf_spec *spec, const char *text, struct conf **c)
{
	return conf_parse(spec, "f", text, strlen(text), c);
}

/* Reads and builds; @ret is NULL when that failed, and the errors are in *@c, which is to be freed then. */
static struct ipsec_policy *built(const char *text, size_t len, struct policy *ret, struct conf **c)
{
	struct ipsec_policy *p = NULL;
	if (conf_parse(&ipsec_policy_spec, "f", text, len, c) || ipsec_policy_build(*c, NULL, &p))
		return NULL;
	ck_assert_int_eq(policy_build(p, ret), 0);
	return p;
}

static void refused_profile(const char *text, const char *message)
{
	struct conf *c;
	struct profile_filters p;
	ck_assert_int_eq(load(&profile_spec, text, &c), 0);
	ck_assert_int_eq(profile_filters_build(conf_top(c, "IPSEC"), &p), -EINVAL);
	ck_assert_str_eq(conf_error(c, 0), message);
	conf_free(c);
}

START_TEST(profile_refusals)
{
	refused_profile("IPSEC\nIPSECRULE 10.0.0.1/8 * PROTO *\nENDIPSEC\n",
		"f:2:1: found '10.0.0.1/8', expected a prefix without host bits");
	refused_profile("IPSEC\nIPSECRULE * ::1 PROTO *\nENDIPSEC\n",
		"f:2:1: found '::1', expected an IPv4 address, address/length or *");
	refused_profile("IPSEC\nIPSEC6RULE 10.0.0.1 * PROTO *\nENDIPSEC\n",
		"f:2:1: found '10.0.0.1', expected an IPv6 address, address/length or *");
	refused_profile("IPSEC\nIPSECRULE * * PROTO TCPX\nENDIPSEC\n",
		"f:2:1: found PROTO 'TCPX', expected *, a protocol by name, or 0 to 255");
	refused_profile("IPSEC\nIPSECRULE * * PROTO ICMP SRCPORT 7\nENDIPSEC\n",
		"f:2:1: found SRCPort with PROTO ICMP, expected it only with TCP, UDP or SCTP");
	refused_profile("IPSEC\nIPSECRULE * * PROTO TCP TYPE 7\nENDIPSEC\n",
		"f:2:1: found TYPE with PROTO TCP, expected it only with ICMP, ICMPV6, OSPF or "
		"MIPV6");
}
END_TEST

START_TEST(profile_rules_are_pairs)
{
	struct conf *c;
	struct profile_filters p;
	char text[2 * ADDR_TEXT_MAX];
	ck_assert_int_eq(load(&profile_spec,
				 "IPSEC LOGENABLE\n IPSECRule * * NOLOG PROTO OSPF\n IPSECRule * * "
				 "NOLOG PROTO UDP SRCPort * DESTport 53\n"
				 " IPSECRule * 9.1.1.2 LOG PROTO * ROUTING EITHER SECCLASS 9\n "
				 "IPSEC6Rule 2001:db8::/32 * PROTO ICMPV6 TYPE 128\nENDIPSEC\n",
				 &c),
		0);
	ck_assert_int_eq(profile_filters_build(conf_top(c, "IPSEC"), &p), 0);
	ck_assert(p.logging && !p.log_implicit);
	ck_assert_uint_eq(p.n, 8);
	ck_assert_str_eq(p.rules[2].name, "SYSDEFAULTRULE.2");
	ck_assert(!p.rules[2].inbound && p.rules[3].inbound);
	ck_assert_uint_eq(p.rules[2].b.lo, 53);
	ck_assert_uint_eq(p.rules[3].a.hi, 53); /* answers come from 53 */
	ck_assert_uint_eq(p.rules[3].b.hi, 65535);
	ck_assert_uint_eq(p.rules[2].scope, PKT_LOCAL);
	ck_assert_str_eq(
		filter_addrs_text(&p.rules[4].dst_lo, &p.rules[4].dst_hi, text), "9.1.1.2/32");
	ck_assert_str_eq(
		filter_addrs_text(&p.rules[5].src_lo, &p.rules[5].src_hi, text), "9.1.1.2/32");
	ck_assert(p.rules[4].log && p.rules[4].scope == 3 && p.rules[4].secclass == 9);
	ck_assert_uint_eq(p.rules[6].family, 6);
	ck_assert_uint_eq(p.rules[7].a.lo, 128); /* a type is no port: not swapped */
	for (size_t i = 0; i < p.n; i++)
		ck_assert_int_eq(p.rules[i].action, FILTER_PERMIT);
	profile_filters_fini(&p);
	conf_free(c);
	ck_assert_int_eq(profile_filters_build(NULL, &p), 0);
	ck_assert_uint_eq(p.n, 0);
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

START_TEST(anchors_say_how_tunnels_start)
{
	static const char text[] = ACTIONS
		"IpDataOffer aes { HowToEncap Tunnel\n HowToEncrypt AES_CBC\n HowToAuth ESP HMAC_SHA1 }\n"
		"IpDynVpnAction any { IpDataOfferRef aes }\n"
		"IpDynVpnAction answer { Initiation RemoteOnly\n IpDataOfferRef aes }\n"
		"IpLocalStartAction whole { AllowOnDemand No\n LocalIpGranularity Rule\n RemotePortGranularity Packet }\n"
		"IpFilterPolicy { AllowOnDemand Yes\n"
		"IpFilterGroup g { IpFilterRule a { IpSourceAddr 10.1.0.0/16\n IpDestAddr 10.2.0.0/16\n IpServiceRef all\n"
		" IpGenericFilterActionRef ipsec\n IpDynVpnActionRef any } }\n"
		"IpFilterRule b { IpSourceAddr 10.1.0.0/16\n IpDestAddr 10.3.0.0/16\n IpServiceRef all\n"
		" IpGenericFilterActionRef ipsec\n IpDynVpnActionRef any\n IpLocalStartActionRef whole }\n"
		"IpFilterRule c { IpSourceAddr 10.1.0.0/16\n IpDestAddr 10.4.0.0/16\n IpServiceRef all\n"
		" IpGenericFilterActionRef ipsec\n IpDynVpnActionRef answer }\n}\n";
	struct conf *c;
	struct policy p;
	struct ipsec_policy *from = built(text, sizeof(text) - 1, &p, &c);
	ck_assert_msg(from != NULL, "%s", conf_error_count(c) ? conf_error(c, 0) : "");
	ck_assert_uint_eq(p.n, 6);
	for (size_t i = 0; i < p.n; i++)
		ck_assert(p.rules[i].anchor && p.rules[i].action == FILTER_IPSEC && p.rules[i].inbound == (i % 2 == 1));
	ck_assert_str_eq(p.rules[0].vpn, "any");
	ck_assert_str_eq(p.rules[0].group, "g");
	ck_assert_str_eq(p.rules[0].start, "");
	ck_assert(p.rules[0].on_demand && p.rules[1].on_demand);
	ck_assert_uint_eq(p.rules[0].grain, FILTER_GRAIN_LOCAL_IP | FILTER_GRAIN_REMOTE_IP);
	ck_assert_str_eq(p.rules[2].start, "whole");
	ck_assert(!p.rules[2].on_demand);
	ck_assert_uint_eq(p.rules[2].grain, FILTER_GRAIN_REMOTE_IP | FILTER_GRAIN_REMOTE_PORT);
	ck_assert(!p.rules[4].on_demand); /* only the peer may start */
	policy_fini(&p);
	ipsec_policy_free(from);
}
END_TEST

START_TEST(a_complex_policy_is_split_in_order)
{
	struct conf *c;
	struct policy p;
	char text[2 * ADDR_TEXT_MAX];
	struct ipsec_policy *from = built(good, sizeof(good) - 1, &p, &c);
	ck_assert_msg(from != NULL, "%s", conf_error_count(c) ? conf_error(c, 0) : "");
	ck_assert(p.loaded && p.logging && p.predecap);
	ck_assert_uint_eq(p.n, 2 + 3 * 1 * 2 + 4);
	ck_assert_str_eq(p.rules[0].name, "first");
	ck_assert_uint_eq(p.rules[0].ext, 1);
	ck_assert_uint_eq(p.rules[1].ext, 2);
	ck_assert(p.rules[1].inbound);
	ck_assert_str_eq(
		filter_addrs_text(&p.rules[1].dst_lo, &p.rules[1].dst_hi, text), "10.0.0.1/32");
	const struct filter_spec *s = &p.rules[2];
	ck_assert_str_eq(s[0].name, "second");
	for (uint32_t i = 0; i < 6; i++)
		ck_assert_uint_eq(s[i].ext, i + 1);
	ck_assert(!s[0].inbound && s[0].proto == 6 && s[0].b.lo == 80 && s[0].b.hi == 443 &&
		  s[0].action == FILTER_DENY && s[0].log);
	ck_assert(s[1].inbound && s[1].proto == 1 && s[1].a.lo == 8 && s[1].a.hi == 8 &&
		  s[1].scope == PKT_ROUTED && s[1].secclass == 5);
	ck_assert_str_eq(filter_addrs_text(&s[2].src_lo, &s[2].src_hi, text), "10.1.0.0/16");
	ck_assert_str_eq(filter_addrs_text(&s[2].dst_lo, &s[2].dst_hi, text), "10.2.0.5-10.2.0.9");
	ck_assert_str_eq(filter_addrs_text(&s[4].src_lo, &s[4].src_hi, text), "10.3.0.1/32");
	ck_assert_str_eq(p.rules[8].name, "third");
	ck_assert(p.rules[8].family == 4 && p.rules[10].family == 6);
	policy_fini(&p);
	ipsec_policy_free(from);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("policy");
	TCase *t = tcase_create("policy");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, profile_refusals);
	tcase_add_test(t, profile_rules_are_pairs);
	tcase_add_test(t, anchors_say_how_tunnels_start);
	tcase_add_test(t, a_complex_policy_is_split_in_order);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
