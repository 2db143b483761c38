/* Two engines with a NAT between them: detection, port 4500, ESP in UDP, original addresses, and a NAT that forgets (RFC 3947, 3948). */
#include "tests/unit/lib/ike/pair/pair.h"

static uint16_t shift; /* of the NAT's ports */
static struct addr inside, outside;

/* End 0 is 192.0.2.1 inside and 203.0.113.1 outside. */
static void nat(unsigned from, struct ike_path *seen)
{
	if (!from) {
		seen->remote = outside;
		seen->remote_port = (uint16_t)(seen->remote_port + shift);
		return;
	}
	/* Back in only by the mapping that is there. */
	bool known = addr_equal(&seen->local, &outside) && (seen->local_port == 500 + shift || seen->local_port == 4500 + shift);
	seen->local = inside;
	seen->local_port = known ? (uint16_t)(seen->local_port - shift) : 9; /* 9: to nobody */
}

static bool to_nobody(struct datagram *d, unsigned number)
{
	(void)number;
	return d->path.local_port != 9;
}

static struct ipsec_policy *behind(unsigned end, const char *allow, const char *encap)
{
	char text[4096];
	const char *local = end ? "192.0.2.2" : "192.0.2.1", *seen = end ? "203.0.113.1" : "192.0.2.2", *id = end ? "192.0.2.1" : "192.0.2.2";
	bool tunnel = !strcmp(encap, "Tunnel");
	(void)snprintf(text, sizeof(text),
		"IpService all { Protocol all }\nIpGenericFilterAction ipsec { IpFilterAction IpSec }\n"
		"IpDynVpnAction v { IpDataOffer { HowToEncap %s\n HowToEncrypt AES_GCM } }\n"
		"IpLocalStartAction s { LocalSecurityEndpointAddr %s\n RemoteSecurityEndpointAddr %s }\n"
		"IpFilterPolicy { IpFilterRule net { IpSourceAddr %s\n IpDestAddr %s\n IpServiceRef all\n"
		" IpGenericFilterActionRef ipsec\n IpDynVpnActionRef v\n IpLocalStartActionRef s } }\n"
		"LocalDynVpnPolicy { LocalDynVpnRule l { LocalIp %s\n RemoteIp %s } }\n"
		"KeyExchangePolicy { AllowNat %s\n KeyExchangeRule k { LocalSecurityEndpoint { Location %s }\n"
		" RemoteSecurityEndpoint { Identity IpAddr %s\n Location %s }\n KeyExchangeAction { " KEX_PSK " }\nSharedKey Ascii geheim } }\n",
		encap, local, seen, tunnel ? end ? "10.2.0.0/16" : "10.1.0.0/16" : local, tunnel ? end ? "10.1.0.0/16" : "10.2.0.0/16" : seen,
		tunnel ? end ? "10.2.0.0/16" : "10.1.0.0/16" : local, tunnel ? end ? "10.1.0.0/16" : "10.2.0.0/16" : seen, allow, local, id, seen);
	return policy_of(text);
}

static void start(const char *allow, const char *encap)
{
	pair_start(behind(0, allow, encap), behind(1, allow, encap));
	ck_assert_int_eq(addr_parse("192.0.2.1", &inside) | addr_parse("203.0.113.1", &outside), 0);
	shift = 30000;
	net.nat = nat;
	net.fate = to_nobody;
}

START_TEST(found_and_crossed)
{
	char id[16] = "";
	start("Yes", "Tunnel");
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	check_agreed();
	ck_assert_uint_eq(net.sent, 9);
	const struct ike_child *a = &newest(0)->child, *b = &newest(1)->child;
	ck_assert(a->udp && b->udp && a->path.local_port == 4500 && a->path.remote_port == 4500 && b->path.remote_port == 34500);
	ck_assert(addr_equal(&b->path.remote, &outside));
	const struct ike_p1_info *k = ike_p1_next(net.peer[0].ike, NULL);
	ck_assert(k->nat_t && k->nat_local && !k->nat_remote);
	k = ike_p1_next(net.peer[1].ike, NULL);
	ck_assert(k->nat_t && !k->nat_local && k->nat_remote && k->path.remote_port == 34500);
	pair_stop();
}
END_TEST

START_TEST(not_allowed_not_crossed)
{
	char id[16] = "";
	start("No", "Tunnel");
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	const struct kept *t = newest(0);
	ck_assert(!t || (!t->child.udp && t->child.path.remote_port == 500)); /* no port 4500, no UDP, whatever comes of it */
	pair_stop();
}
END_TEST

START_TEST(no_nat_no_port_4500)
{
	char id[16] = "";
	pair_simple("AllowNat Yes\n" KEX_PSK, VPN_GCM);
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	check_agreed();
	ck_assert(!newest(0)->child.udp && newest(0)->child.path.remote_port == 500);
	const struct ike_p1_info *k = ike_p1_next(net.peer[0].ike, NULL);
	ck_assert(k->nat_t && !k->nat_local && !k->nat_remote);
	pair_stop();
}
END_TEST

START_TEST(transport_mode_knows_the_original_addresses)
{
	char id[16] = "";
	start("Yes", "Transport");
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	ck_assert_msg(newest(0) && newest(1), "%s / %s", net.peer[0].last, net.peer[1].last);
	const struct ike_child *a = &newest(0)->child, *b = &newest(1)->child;
	ck_assert(other_end(newest(0)) && a->udp && !a->tunnel && !b->tunnel);
	ck_assert(addr_equal(&b->nat_oa_remote, &inside)); /* what the peer calls itself */
	ck_assert(addr_equal(&a->nat_oa_local, &outside)); /* what the peer calls us */
	ck_assert(addr_equal(&b->sel.remote.lo, &outside)); /* the filter is about what is seen */
	pair_stop();
}
END_TEST

START_TEST(a_nat_that_forgets)
{
	char id[16] = "";
	start("Yes", "Tunnel");
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	check_agreed();
	shift = 20000; /* the NAT has restarted: another port */
	ck_assert_int_eq(ike_refresh(net.peer[0].ike, id, net.now), 0);
	pass(5 * SECOND);
	check_agreed();
	ck_assert_uint_eq(newest(0)->child.generation, 2);
	ck_assert_uint_eq(newest(1)->child.path.remote_port, 24500);
	ck_assert_uint_eq(ike_p1_next(net.peer[1].ike, NULL)->path.remote_port, 24500);
	ck_assert_uint_eq(net.peer[1].events[IKE_PEER_MOVED], 1);
	pair_stop();
}
END_TEST

START_TEST(nobody_is_followed_without_proof)
{
	char id[16] = "";
	start("Yes", "Tunnel");
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	check_agreed();
	for (unsigned i = 0; i < net.n_record; i++) { /* all of it again, from another port, whole and damaged */
		struct datagram d = net.record[i];
		if (d.to != 1)
			continue;
		d.path.remote_port = 6666;
		give(&d);
		d.data[d.len - 1] ^= 1;
		give(&d);
		d.data[d.len - 1] ^= 1;
	}
	pass(5 * SECOND);
	ck_assert_uint_eq(ike_p1_next(net.peer[1].ike, NULL)->path.remote_port, 34500);
	ck_assert_uint_eq(net.peer[1].events[IKE_PEER_MOVED], 0);
	check_agreed();
	pair_stop();
}
END_TEST

static unsigned swallowed;

/* The first answer to a question about life is lost. */
static bool lose_answers(struct datagram *d, unsigned number)
{
	(void)number;
	if (d->to == 0 && swallowed < 3) {
		swallowed++;
		return false;
	}
	return true;
}

START_TEST(lost_answers_are_given_again)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	check_agreed();
	net.fate = lose_answers;
	pass(600ull * SECOND);
	ck_assert_uint_eq(net.peer[0].events[IKE_PEER_DEAD], 0);
	check_agreed();
	pair_stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nat");
	TCase *t = tcase_create("nat");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, found_and_crossed);
	tcase_add_test(t, not_allowed_not_crossed);
	tcase_add_test(t, no_nat_no_port_4500);
	tcase_add_test(t, transport_mode_knows_the_original_addresses);
	tcase_add_test(t, a_nat_that_forgets);
	tcase_add_test(t, nobody_is_followed_without_proof);
	tcase_add_test(t, lost_answers_are_given_again);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
