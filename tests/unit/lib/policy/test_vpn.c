/* IpDynVpnAction, IpDataOffer, IpLocalStartAction, LocalDynVpnRule, and anchors: what is refused and what is resolved. */
#include "tests/unit/lib/policy/support.h"

#define OFFER "IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_CBC\n HowToAuth ESP HMAC_SHA1 }\n"
#define VPN(body) EMPTY "IpDynVpnAction v {\n" body "}\n"
#define DATA(body) VPN("IpDataOffer { HowToEncap Tunnel\n" body "}\n")
#define ANCHOR(more) ACTIONS "IpDynVpnAction v { " OFFER "}\nIpFilterPolicy { IpFilterRule r {\n IpSourceAddr 10.1.0.0/16\n" \
	" IpDestAddr 10.2.0.0/16\n IpGenericFilterActionRef ipsec\n IpDynVpnActionRef v\n" more "}\n}\n"
#define LOCAL(body) EMPTY "LocalDynVpnPolicy { LocalDynVpnRule l {\n" body "}\n}\n"

START_TEST(refused_actions)
{
	refused(VPN(""), "f:2:1: found no IpDataOffer in IpDynVpnAction 'v', expected one or a reference");
	refused(VPN("IpDataOfferRef nix\n"),
		"f:3:1: found IpDataOfferRef 'nix', expected the name of an IpDataOffer statement in this file");
	refused(VPN(OFFER "Pfs Group2\nInitiateWithPfs Group2\n"),
		"f:6:1: found Pfs beside InitiateWithPfs or AcceptablePfs, expected the older form or the newer");
	refused(VPN(OFFER "InitiateWithPfs Group3\n"),
		"f:6:17: found 'Group3', expected group: None, Group1, Group2, Group5, Group14, Group15, Group16, Group19, Group20, Group21 or Group24");
	refused(VPN("InitiateWithPfs Group5\nIpDataOffer { HowToEncap Tunnel\n Suite VPN-A }\n"),
		"f:2:1: found InitiateWithPfs Group5 beside suite VPN-A, expected None or Group2");
	refused(VPN(OFFER "PassthroughDF No Maybe\n"), "f:6:18: found 'Maybe', expected else: Clear or Set");
}
END_TEST

START_TEST(refused_offers)
{
	refused(VPN("IpDataOffer { HowToEncrypt 3DES\n HowToAuth ESP HMAC_SHA1 }\n"),
		"f:3:1: found no HowToEncap in IpDataOffer, expected one");
	refused(DATA("HowToAuth ESP HMAC_SHA1\n"), "f:3:1: found no HowToEncrypt in IpDataOffer, expected one (DoNot for none) or a Suite");
	refused(DATA("HowToEncrypt 3DES\n"),
		"f:3:1: found no algorithm of HowToAuth, expected one: a tunnel without integrity check is refused");
	refused(DATA("HowToEncrypt DoNot\nHowToAuth ESP NULL\n"),
		"f:5:1: found no algorithm of HowToAuth, expected one: a tunnel without integrity check is refused");
	refused(DATA("HowToEncrypt AES_GCM\nHowToAuth ESP HMAC_SHA1\n"),
		"f:5:1: found HowToAuth beside AES_GCM, expected ESP NULL: it authenticates by itself");
	refused(DATA("HowToEncrypt AES_GCM\nHowToAuth AH NULL\n"),
		"f:5:1: found no algorithm of HowToAuth, expected one: a tunnel without integrity check is refused");
	refused(DATA("HowToEncrypt AES_CBC\nHowToAuth AH HMAC_SHA1\nUdpEncapsulation Yes\n"),
		"f:3:1: found UdpEncapsulation with AH, expected ESP (RFC 3948)");
	refused(DATA("HowToEncrypt 3DES KeyLength 128\nHowToAuth ESP HMAC_SHA1\n"),
		"f:4:1: found KeyLength 128, expected none: it belongs to AES");
	refused(DATA("HowToAuth AH HMAC_SHA1\nUdpEncapsulation Yes\n"),
		"f:3:1: found UdpEncapsulation with AH, expected ESP (RFC 3948)");
	refused(DATA("Suite VPN-B\nHowToAuth ESP AES128_XCBC_96\n"),
		"f:5:1: found HowToAuth beside Suite VPN-B, expected one of them: the suite says it");
}
END_TEST

START_TEST(refused_anchors)
{
	refused(ANCHOR(" IpServiceRef all\n IpManVpnActionRef m\n"),
		"f:15:2: found IpDynVpnActionRef beside IpManVpnActionRef in IpFilterRule 'r', expected one of them");
	refused(ANCHOR(" IpServiceRef all\n IpLocalStartActionRef nix\n"),
		"f:17:2: found IpLocalStartActionRef 'nix', expected the name of an IpLocalStartAction statement in this file");
	refused(ANCHOR(" IpService { Protocol all\n Direction Outbound }\n"),
		"f:11:18: found a service of one direction in IpFilterRule 'r', expected BiDirectional: tunnels are negotiated for both");
	refused(ANCHOR(" IpService { Protocol opaque }\n"),
		"f:11:18: found a service for opaque packets or fragments in IpFilterRule 'r', expected none: IKEv1 cannot negotiate it");
	refused(ANCHOR(" IpService { Protocol tcp\n DestinationPortRange 80 90 }\n"),
		"f:11:18: found a range of ports in IpFilterRule 'r', expected one port or all of them, or port granularity Packet in an "
		"IpLocalStartAction: IKEv1 cannot negotiate it");
	refused(ACTIONS "IpFilterPolicy { IpFilterRule r { IpSourceAddr all\n IpDestAddr all\n IpServiceRef all\n"
			" IpGenericFilterActionRef permit\n IpLocalStartActionRef x } }\n",
		"f:11:2: found IpLocalStartActionRef in IpFilterRule 'r', expected it with IpDynVpnActionRef alone");
	refused(EMPTY "IpLocalStartAction s { LocalSecurityEndpoint 192.0.2.1\n LocalSecurityEndpointAddr 192.0.2.1 }\n",
		"f:2:24: found LocalSecurityEndpoint beside LocalSecurityEndpointAddr, expected one of them");
	refused(EMPTY "IpLocalStartAction s { LocalSecurityEndpoint 192.0.2.1\n RemoteSecurityEndpoint ::2 }\n",
		"f:2:1: found endpoints of different families in IpLocalStartAction 's', expected the same");
}
END_TEST

START_TEST(refused_local_rules)
{
	refused(LOCAL("RemoteIp 10.2.0.0/16\n"),
		"f:2:21: found no LocalIp in LocalDynVpnRule 'l', expected an address, prefix or range of one family");
	refused(LOCAL("LocalIp All\nRemoteIp 10.2.0.0/16\n"),
		"f:2:21: found no LocalIp in LocalDynVpnRule 'l', expected an address, prefix or range of one family");
	refused(LOCAL("LocalIp ::1\nRemoteIp 10.2.0.0/16\n"),
		"f:2:21: found LocalIp and RemoteIp of different families in LocalDynVpnRule 'l', expected the same");
	refused(LOCAL("LocalIp 10.1.0.1\nLocalIpRef x\nRemoteIp 10.2.0.0/16\n"),
		"f:4:1: found LocalIpRef 'x', expected the name of an IpAddr statement in this file");
	refused(LOCAL("LocalIp 10.1.0.1\nRemoteIp 10.2.0.0/16\nLocalDataPort 80\n"),
		"f:5:1: found a port, expected none but with Protocol tcp, udp or sctp");
	refused(LOCAL("LocalIp 10.1.0.1\nRemoteIp 10.2.0.0/16\nProtocol opaque\n"),
		"f:5:1: found 'opaque', expected a protocol by name, 0 to 255, or all");
	refused(EMPTY "IpAddr two { Addr 10.1.0.1\n Addr 10.1.0.2 }\nLocalDynVpnPolicy { LocalDynVpnRule l { LocalIpRef two\n"
		      "RemoteIp 10.2.0.1 } }\n",
		"f:4:41: found 2 addresses for LocalIp, expected one address, prefix or range");
	refused(EMPTY "LocalDynVpnRule a { LocalIp 10.0.0.1\n RemoteIp 10.0.0.2 }\n"
		      "LocalDynVpnPolicy { LocalDynVpnRuleRef a\n LocalDynVpnRuleRef a }\n",
		"f:2:1: found LocalDynVpnRule 'a' twice in LocalDynVpnPolicy, expected it once: commands name it");
	refused(EMPTY "LocalDynVpnPolicy { LocalDynVpnGroupRef x }\n",
		"f:2:21: found LocalDynVpnGroupRef 'x', expected the name of a LocalDynVpnGroup statement in this file");
}
END_TEST

START_TEST(actions_and_their_defaults)
{
	struct ipsec_policy *p = accepted(VPN(OFFER) "IpDynVpnAction w { Initiation RemoteOnly\n InitiateWithPfs Group21\n"
		" AcceptablePfs Group21 Group24\n AcceptablePfs None\n VpnLife 10\n PassthroughDF No Set\n PassthroughDSCP No\n"
		" HowToEncapIKEv2 Either\n" OFFER OFFER "}\nIpDynVpnAction x { Pfs Group2\n PassthroughDF No\n" OFFER "}\n");
	const struct vpn_action *v = p->vpn_actions;
	ck_assert_uint_eq(p->n_vpn_actions, 3);
	ck_assert(v->initiation == VPN_EITHER && !v->initiate_pfs && v->n_acceptable_pfs == 1 && !v->acceptable_pfs[0]);
	ck_assert(v->vpn_life_s == 86400 && v->df == VPN_DF_PASS && v->dscp.pass && v->n_offers == 1);
	const struct data_offer *o = v->offers;
	ck_assert(o->tunnel && o->esp == IPSEC_ESP_AES_CBC && o->key_bits == 128 && o->auth == IPSEC_AUTH_SHA1 && !o->ah && !o->esn && !o->udp);
	ck_assert(o->seconds.proposed == 240 * 60 && o->seconds.lo == 120 * 60 && o->seconds.hi == 480 * 60 && !o->kbytes.hi);
	v++;
	ck_assert(v->initiation == VPN_REMOTE_ONLY && v->initiate_pfs == 21 && v->n_acceptable_pfs == 3);
	ck_assert(v->acceptable_pfs[0] == 21 && v->acceptable_pfs[1] == 24 && !v->acceptable_pfs[2]);
	ck_assert(v->vpn_life_s == 600 && v->df == VPN_DF_SET && !v->dscp.pass && v->n_offers == 2);
	v++;
	ck_assert(v->initiate_pfs == 2 && v->n_acceptable_pfs == 1 && v->acceptable_pfs[0] == 2 && v->df == VPN_DF_CLEAR);
	ipsec_policy_free(p);
}
END_TEST

START_TEST(dscps)
{
	static const char *const bad[] = {"OuterDSCP 64\n", "OuterDSCP\n", "OuterDSCP x\n", "OuterDSCP 1 Inner 64\n", "OuterDSCP 1 Inner 5 4\n",
		"OuterDSCP 1 Inner 4\nOuterDSCP 2 Inner 3 5\n", "OuterDSCP 1\nOuterDSCP 1\n"};
	char text[1024];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct conf *c, *common;
		(void)snprintf(text, sizeof(text), EMPTY "IpDynVpnAction w { %s" OFFER "}\n", bad[i]);
		ck_assert_msg(!built2(text, NULL, &c, &common), "%s", bad[i]);
		ck_assert_uint_gt(conf_error_count(c), 0);
		conf_free(c);
	}
	struct ipsec_policy *p = accepted(EMPTY "IpDynVpnAction a { OuterDSCP 10\n" OFFER "}\nIpDynVpnAction b { PassthroughDSCP No\n"
		"OuterDSCP 46 Inner 32 47\nOuterDSCP 8 Inner 8\n" OFFER "}\nIpDynVpnAction c { OuterDSCP 0 Inner 63\n" OFFER "}\n");
	static const char *const want[] = {"10<0-63", "8<8 46<32-47", "0<63"};
	char out[POLICY_DSCP_TEXT];
	for (unsigned i = 0; i < 3; i++)
		ck_assert_str_eq(policy_dscp_text(&p->vpn_actions[i].dscp, out), want[i]);
	const struct policy_dscp *b = &p->vpn_actions[1].dscp, *c = &p->vpn_actions[2].dscp;
	ck_assert(b->outer[32] == 46 && b->outer[47] == 46 && !b->outer[48] && b->outer[8] == 8 && !b->outer[9] && !b->outer[63]);
	ck_assert(c->outer[62] == 62 && !c->outer[63] && c->outer[1] == 1);
	ipsec_policy_free(p);
}
END_TEST

START_TEST(every_transform_has_its_number)
{
	static const struct {
		const char *text;
		struct data_offer want;
	} all[] = {
		{"HowToEncrypt DES\nHowToAuth ESP HMAC_MD5\n", {.esp = 2, .auth = 1}},
		{"HowToEncrypt 3DES\nHowToAuth ESP Hmac_Sha\n", {.esp = 3, .auth = 2}},
		{"HowToEncrypt DoNot\nHowToAuth ESP HMAC_SHA2_256_128\n", {.esp = 11, .auth = 5}},
		{"HowToEncrypt AES KeyLength 192\nHowToAuth ESP HMAC_SHA2_384_192\n", {.esp = 12, .key_bits = 192, .auth = 6}},
		{"HowToEncrypt AES_CBC KeyLength 256\nHowToAuth ESP HMAC_SHA2_512_256\n", {.esp = 12, .key_bits = 256, .auth = 7}},
		{"HowToEncrypt AES_GCM_16 KeyLength 256\nHowToAuth ESP NULL\n", {.esp = 20, .key_bits = 256}},
		{"HowToEncrypt AES_GCM\n", {.esp = 20, .key_bits = 128}},
		{"HowToAuth AH AES128_XCBC_96\n", {.auth = 9, .ah = true}},
		{"HowToEncrypt 3DES\nHowToAuth AH HMAC_SHA1\n", {.esp = 3, .auth = 2, .ah = true}},
		{"HowToEncrypt AES_GCM KeyLength 256\nHowToAuth AH HMAC_SHA2_256_128\n", {.esp = 20, .key_bits = 256, .auth = 5, .ah = true}},
		{"HowToEncrypt DoNot\nHowToAuth AH HMAC_SHA1\nExtendedSequenceNumbers Yes\n", {.auth = 2, .ah = true, .esn = true}},
		{"HowToEncrypt AES_GCM\nUdpEncapsulation Yes\n", {.esp = 20, .key_bits = 128, .udp = true}},
		{"Suite VPN-A\n", {.esp = 3, .auth = 2}},
		{"Suite VPN-B\n", {.esp = 12, .key_bits = 128, .auth = 9}},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		char text[512];
		const struct data_offer *w = &all[i].want;
		(void)snprintf(text, sizeof(text), DATA("%s"), all[i].text);
		struct ipsec_policy *p = accepted(text);
		const struct data_offer *o = p->vpn_actions[0].offers;
		ck_assert_msg(o->esp == w->esp && o->key_bits == w->key_bits && o->auth == w->auth && o->ah == w->ah && o->esn == w->esn &&
				      o->udp == w->udp, "%s", all[i].text);
		ck_assert_uint_eq(o->seconds.proposed, o->suite ? 28800 : 240 * 60);
		ipsec_policy_free(p);
	}
}
END_TEST

static const char whole[] = ACTIONS
	"IpDynVpnAction v { " OFFER "}\n"
	"IpLocalStartAction s { AllowOnDemand Yes\n LocalIpGranularity Rule\n LocalPortGranularity Packet\n RemotePortGranularity Packet\n"
	" ProtocolGranularity Packet\n LocalSecurityEndpointAddr 192.0.2.1\n RemoteSecurityEndpoint 192.0.2.2 }\n"
	"IpFilterPolicy {\n"
	" IpFilterRule plain { IpSourceAddr 10.1.0.0/16\n IpDestAddr 10.2.0.0/16\n IpService { Protocol icmp }\n"
	"  IpGenericFilterActionRef permit }\n"
	" IpFilterRule web { IpSourceAddr 10.1.0.0/16\n IpDestAddr 10.2.0.0/16\n IpService { Protocol tcp\n DestinationPortRange 80 90 }\n"
	"  IpGenericFilterActionRef ipsec\n IpDynVpnActionRef v\n IpLocalStartActionRef s }\n"
	" IpFilterRule net { IpSourceAddr 10.1.0.0/16\n IpSourceAddr 10.9.0.1\n IpDestAddr 10.2.0.0/16\n IpServiceRef all\n"
	"  IpGenericFilterActionRef ipsec\n IpDynVpnActionRef v }\n}\n"
	"LocalDynVpnPolicy { LocalDynVpnGroup { LocalDynVpnRule a { LocalIp 10.1.0.0/16\n RemoteIp 10.2.3.0/24\n AutoActivate Yes } }\n"
	" LocalDynVpnRule b { LocalIp 10.1.0.7\n RemoteIp 10.2.3.4\n Protocol tcp\n RemoteDataPort 85\n LocalDataPort All\n"
	"  LocalSecurityEndpointAddr 192.0.2.9\n RemoteSecurityEndpointAddr 192.0.2.8 }\n"
	" LocalDynVpnRule c { LocalIp 10.0.0.0/15\n RemoteIp 10.2.0.1 } }\n";

START_TEST(anchors_answer_for_what_they_cover)
{
	struct ipsec_policy *p = accepted(whole);
	const struct policy_rule *web = policy_rule_find(p, "web"), *net = policy_rule_find(p, "net"), *rule = NULL;
	const struct local_vpn_rule *b = policy_local_rule(p, "b");
	struct selector s;
	ck_assert(web->start == &p->start_actions[1] && net->start == &p->start_actions[0] && web->vpn == p->vpn_actions);
	ck_assert(web->start->allow_on_demand && !web->start->local_ip_packet && web->start->remote_ip_packet &&
		  web->start->protocol_packet && web->start->local_port_packet && web->start->local_endpoint.family == 4);
	ck_assert(!net->start->allow_on_demand && net->start->local_ip_packet && !net->start->protocol_packet && !*net->start->name);
	ck_assert_uint_eq(p->n_local_rules, 3);
	ck_assert_ptr_null(policy_local_rule(p, "d"));
	ck_assert(p->local_rules[0].auto_activate && !b->auto_activate);
	ck_assert_int_eq(policy_local_anchor(p, &p->local_rules[0], &rule, &s), 0);
	ck_assert_ptr_eq(rule, net); /* all protocols: web covers TCP only */
	ck_assert_int_eq(policy_local_anchor(p, b, &rule, &s), 0);
	ck_assert_ptr_eq(rule, web);
	ck_assert(s.protocol == 6 && s.remote_port == 85 && !s.local_port && b->local_endpoint.b[3] == 9);
	ck_assert_int_eq(policy_local_anchor(p, &p->local_rules[2], &rule, &s), -ENOENT);
	s.remote_port = 91;
	ck_assert_ptr_eq(policy_anchor(p, &s), net);
	s.remote_port = 0; /* every port: wider than web's range */
	ck_assert_ptr_eq(policy_anchor(p, &s), net);
	ck_assert_int_eq(addr_range_parse("10.9.0.1", &s.local), 0);
	ck_assert_ptr_eq(policy_anchor(p, &s), net);
	ck_assert_int_eq(addr_range_parse("10.9.0.1-10.9.0.2", &s.local), 0);
	ck_assert_ptr_null(policy_anchor(p, &s));
	s.local = (struct addr_range){{0}, {0}}; /* everything is not covered by something */
	ck_assert_ptr_null(policy_anchor(p, &s));
	ipsec_policy_free(p);
}
END_TEST

START_TEST(cut_off_anywhere_is_refused)
{
	cut_everywhere(whole, (size_t)(strstr(whole, "LocalDynVpnPolicy") - whole) - 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vpn");
	TCase *t = tcase_create("vpn");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, refused_actions);
	tcase_add_test(t, refused_offers);
	tcase_add_test(t, refused_anchors);
	tcase_add_test(t, refused_local_rules);
	tcase_add_test(t, actions_and_their_defaults);
	tcase_add_test(t, dscps);
	tcase_add_test(t, every_transform_has_its_number);
	tcase_add_test(t, anchors_answer_for_what_they_cover);
	tcase_add_test(t, cut_off_anywhere_is_refused);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
