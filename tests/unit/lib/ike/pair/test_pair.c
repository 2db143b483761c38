/* Two engines, a network that behaves: what they agree on, and what becomes of it with time, commands and new policies. */
#include "tests/unit/lib/ike/pair/pair.h"

static void up(char id[16])
{
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	check_agreed();
}

START_TEST(nine_messages)
{
	char id[16] = "";
	struct ike_stats st;
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	ck_assert_uint_eq(net.sent, 9); /* main mode 6, quick mode 3 */
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(alive(i), 1);
		ck_assert_uint_eq(net.peer[i].events[IKE_P1_UP], 1);
		ck_assert_uint_eq(net.peer[i].events[IKE_P2_UP], 1);
		ike_stats(net.peer[i].ike, &st);
		ck_assert(st.p1 == 1 && st.children == 1 && st.half_open == 0 && st.p1_up == 1 && st.p2_up == 1);
		const struct ike_p1_info *k = ike_p1_next(net.peer[i].ike, NULL);
		ck_assert(k && k->state == IKE_DONE && k->initiator == !i && !k->aggressive && k->offer.group == 19 && k->offer.enc == IKE_ENC_AES);
		ck_assert_str_eq(k->rule, "k");
		ck_assert_ptr_null(ike_p1_next(net.peer[i].ike, k->tunnel_id));
		const struct ike_child_info *y = ike_child_next(net.peer[i].ike, NULL);
		ck_assert(y && y->state == IKE_CHILD_DONE && y->child->esp == IPSEC_ESP_AES_GCM_16);
	}
	ck_assert_str_eq(newest(0)->child.tunnel_id, id);
	ck_assert_str_eq(newest(0)->child.local_rule, "l");
	ck_assert_uint_eq(newest(0)->child.in.enc_key_len, 20); /* with salt */
	ck_assert_int_eq(activate(id), -EALREADY);
	pair_stop();
}
END_TEST

static const char *const kexes[] = {
	"KeyExchangeOffer { HowToEncrypt 3DES\n HowToAuthMsgs SHA1\n HowToAuthPeers PresharedKey\n DHGroup Group2 }\n",
	"KeyExchangeOffer { HowToEncrypt AES_CBC KeyLength 256\n HowToAuthMsgs SHA2_512\n HowToAuthPeers PresharedKey\n DHGroup Group14 }\n",
	"KeyExchangeOffer { HowToEncrypt AES_CBC KeyLength 192\n HowToAuthMsgs SHA2_384\n HowToAuthPeers PresharedKey\n DHGroup Group20 }\n",
	"KeyExchangeOffer { Suite VPN-A\n HowToAuthPeers PresharedKey }\n",
	"KeyExchangeOffer { Suite VPN-B\n HowToAuthPeers PresharedKey }\n",
};
static const char *const vpns[] = {
	"IpDataOffer { HowToEncap Tunnel\n HowToEncrypt 3DES\n HowToAuth ESP HMAC_SHA1 }\n",
	"InitiateWithPfs Group14\n AcceptablePfs Group14\n IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_CBC KeyLength 256\n HowToAuth ESP HMAC_SHA2_256_128 }\n",
	"InitiateWithPfs Group19\n AcceptablePfs Group19 None\n IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_GCM KeyLength 256\n ExtendedSequenceNumbers Yes }\n",
	"IpDataOffer { HowToEncap Tunnel\n Suite VPN-A }\n",
	"IpDataOffer { HowToEncap Tunnel\n Suite VPN-B }\n",
	"IpDataOffer { HowToEncap Tunnel\n HowToAuth AH HMAC_SHA2_256_128 }\n",
};

START_TEST(every_kind_of_offer)
{
	for (unsigned i = 0; i < 6; i++) {
		char id[16] = "";
		pair_simple(kexes[i % 5], vpns[i]);
		ck_assert_int_eq(activate(id), 0);
		pass(5 * SECOND);
		if (newest(0) && newest(0)->child.in.auth_key_len)
			ck_assert_int_ne(memcmp(newest(0)->child.in.auth_key, newest(0)->child.out.auth_key, newest(0)->child.in.auth_key_len), 0);
		ck_assert_msg(newest(0) && other_end(newest(0)), "offer %u: %s / %s", i, net.peer[0].last, net.peer[1].last);
		ck_assert_uint_eq(newest(0)->child.pfs_group, i == 1 ? 14 : i == 2 ? 19 : 0);
		ck_assert(newest(0)->child.esn == (i == 2));
		pair_stop();
	}
}
END_TEST

START_TEST(aggressive_mode)
{
	char id[16] = "";
	pair_simple("HowToInitiate Aggressive\n HowToRespond Aggressive\n" KEX_PSK, VPN_GCM);
	up(id);
	ck_assert_uint_eq(net.sent, 6);
	ck_assert(ike_p1_next(net.peer[1].ike, NULL)->aggressive);
	pair_stop();
	/* An end that allows main mode only does not answer it. */
	pair_start(end_policy(1, "geheim", "HowToInitiate Aggressive\n" KEX_PSK, VPN_GCM),
		end_policy(2, "geheim", "HowToRespond Main\n" KEX_PSK, VPN_GCM));
	ck_assert_int_eq(activate(id), 0);
	pass(600ull * SECOND);
	ck_assert(!alive(0) && !alive(1) && net.peer[0].events[IKE_P1_FAILED] == 1);
	pair_stop();
}
END_TEST

/* @a and @b will not agree: end 0 gives up with a reason, and nothing is left at either end. */
static void no_agreement(struct ipsec_policy *a, struct ipsec_policy *b, bool phase1)
{
	char id[16] = "";
	struct ike_stats st;
	pair_start(a, b);
	ck_assert_int_eq(activate(id), 0);
	pass(900ull * SECOND);
	ck_assert(!alive(0) && !alive(1));
	ck_assert_uint_ge(net.peer[0].events[phase1 ? IKE_P1_FAILED : IKE_P2_FAILED], 1);
	ck_assert_msg(*net.peer[0].last, "a failure without a reason");
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(net.peer[i].ike, &st);
		ck_assert_uint_eq(st.half_open, 0);
		ck_assert_uint_eq(st.children, 0);
		ck_assert_uint_eq(st.p1, phase1 ? 0 : st.p1);
	}
	pair_stop();
}

/* What the initiator finds wrong with message 6 the responder hears, and gives up what it thought it had. */
START_TEST(refused_at_the_last_message)
{
	char id[16] = "";
	struct ike_stats st;
	pair_start(policy_of("IpService all { Protocol all\n Routing Either }\nIpGenericFilterAction ipsec { IpFilterAction IpSec }\n"
			     "IpDynVpnAction v { " VPN_GCM "}\nIpLocalStartAction s { LocalSecurityEndpointAddr 192.0.2.1\n"
			     " RemoteSecurityEndpointAddr 192.0.2.2 }\nIpFilterPolicy { IpFilterRule net { IpSourceAddr 10.1.0.0/16\n"
			     " IpDestAddr 10.2.0.0/16\n IpServiceRef all\n IpGenericFilterActionRef ipsec\n IpDynVpnActionRef v\n"
			     " IpLocalStartActionRef s } }\nLocalDynVpnPolicy { LocalDynVpnRule l { LocalIp 10.1.0.0/16\n RemoteIp 10.2.0.0/16 } }\n"
			     "KeyExchangePolicy { KeyExchangeRule k { LocalSecurityEndpoint { Location 192.0.2.1 }\n"
			     " RemoteSecurityEndpoint { Identity Fqdn other.example.com\n Location 192.0.2.2 }\n"
			     " KeyExchangeAction { " KEX_PSK "}\n SharedKey Ascii geheim } }\n"),
		end_policy(2, "geheim", KEX_PSK, VPN_GCM));
	ck_assert_int_eq(activate(id), 0);
	pass(10 * SECOND);
	ck_assert_uint_eq(net.peer[0].events[IKE_P1_FAILED], 1);
	ck_assert_uint_eq(net.peer[1].events[IKE_P1_DOWN], 1);
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(net.peer[i].ike, &st);
		ck_assert(!st.p1 && !st.children && !st.half_open);
	}
	pair_stop();
}
END_TEST

START_TEST(no_agreement_leaves_nothing)
{
	no_agreement(end_policy(1, "geheim", KEX_PSK, VPN_GCM), end_policy(2, "anders", KEX_PSK, VPN_GCM), true);
	no_agreement(end_policy(1, "geheim", KEX_PSK, VPN_GCM), end_policy(2, "geheim", kexes[0], VPN_GCM), true);
	no_agreement(end_policy(1, "geheim", KEX_PSK, VPN_GCM), end_policy(2, "geheim", KEX_PSK, vpns[0]), false);
	no_agreement(end_policy(1, "geheim", KEX_PSK, VPN_GCM), end_policy(2, "geheim", KEX_PSK, "InitiateWithPfs Group14\nAcceptablePfs Group14\n" VPN_GCM),
		false);
	no_agreement(end_policy(1, "geheim", KEX_PSK, VPN_GCM), end_policy(2, "geheim", KEX_PSK, "Initiation LocalOnly\n" VPN_GCM), false);
	no_agreement(end_policy(1, "geheim", KEX_PSK, VPN_GCM), policy_of("IpFilterPolicy { }\n"), true);
}
END_TEST

START_TEST(rekeyed_before_it_ends)
{
	char id[16] = "";
	pair_simple(KEX_PSK, "VpnLife 1440\n IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_GCM\n RefreshLifetimeProposed 5\n"
			     " RefreshLifetimeAccepted 1 10 }\n");
	up(id);
	for (unsigned minute = 0; minute < 30; minute++) {
		pass(60ull * SECOND);
		ck_assert_uint_ge(alive(0), 1); /* at no moment without one */
		ck_assert_uint_ge(alive(1), 1);
		check_agreed();
	}
	ck_assert_uint_ge(newest(0)->child.generation, 5);
	ck_assert_str_eq(newest(0)->child.tunnel_id, id); /* the same tunnel all the time */
	ck_assert_uint_ge(net.peer[0].events[IKE_P2_REFRESHED], 4);
	ck_assert_uint_le(alive(0), 2);
	ck_assert_uint_le(alive(1), 2);
	pair_stop();
}
END_TEST

START_TEST(phase_1_is_renewed)
{
	char id[16] = "";
	struct ike_stats st;
	pair_simple("KeyExchangeOffer { HowToEncrypt AES_CBC\n HowToAuthMsgs SHA2_256\n HowToAuthPeers PresharedKey\n DHGroup Group19\n"
		    " RefreshLifetimeProposed 10\n RefreshLifetimeAccepted 5 20 }\n", VPN_GCM);
	up(id);
	for (unsigned minute = 0; minute < 60; minute++) {
		pass(60ull * SECOND);
		check_agreed();
	}
	ike_stats(net.peer[0].ike, &st);
	ck_assert_uint_le(st.p1, 2);
	ck_assert_uint_ge(net.peer[0].events[IKE_P1_REFRESHED] + net.peer[0].events[IKE_P1_UP] + net.peer[1].events[IKE_P1_REFRESHED], 3);
	ck_assert_uint_eq(net.peer[0].events[IKE_P2_DOWN], 0);
	pair_stop();
}
END_TEST

START_TEST(soft_limit_of_bytes)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	struct ike_path path = newest(0)->child.path;
	ike_stack_said(net.peer[0].ike, id, 1, IKE_SOFT, &path, net.now);
	pass(5 * SECOND);
	check_agreed();
	ck_assert_uint_eq(newest(0)->child.generation, 2);
	ck_assert_int_eq(ike_refresh(net.peer[0].ike, id, net.now), 0);
	pass(5 * SECOND);
	ck_assert_uint_eq(newest(0)->child.generation, 3);
	check_agreed();
	ck_assert_int_eq(ike_refresh(net.peer[0].ike, "Y999", net.now), -ENOENT);
	pair_stop();
}
END_TEST

START_TEST(deleted_at_both_ends)
{
	char id[16] = "", k[16];
	struct ike_stats st;
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	ck_assert_int_eq(ike_deactivate(net.peer[0].ike, "Y999", false, net.now), -ENOENT);
	ck_assert_int_eq(ike_deactivate(net.peer[0].ike, id, false, net.now), 0);
	pass(5 * SECOND);
	ck_assert(!alive(0) && !alive(1));
	ck_assert_int_eq(activate(id), 0); /* phase 1 is still there: three messages */
	unsigned before = net.sent;
	pass(5 * SECOND);
	check_agreed();
	ck_assert_uint_eq(net.sent - before, 3);
	(void)snprintf(k, sizeof(k), "%s", ike_p1_next(net.peer[1].ike, NULL)->tunnel_id);
	ck_assert_int_eq(ike_deactivate(net.peer[1].ike, k, true, net.now), 0); /* the other end, with all that hangs on it */
	pass(5 * SECOND);
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(net.peer[i].ike, &st);
		ck_assert(!alive(i) && !st.children && !st.p1);
	}
	pair_stop();
}
END_TEST

START_TEST(deleted_with_the_generation_before)
{
	char id[16] = "", k[16];
	struct ike_stats st;
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	(void)snprintf(k, sizeof(k), "%s", ike_p1_next(net.peer[0].ike, NULL)->tunnel_id);
	ck_assert_int_eq(ike_refresh(net.peer[0].ike, k, net.now), 0);
	pass(SECOND);
	ck_assert_uint_eq(ike_p1_next(net.peer[0].ike, NULL)->generation, 2);
	ck_assert_int_eq(ike_deactivate(net.peer[0].ike, k, true, net.now), 0);
	pass(5 * SECOND);
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(net.peer[i].ike, &st);
		ck_assert(!alive(i) && !st.children && !st.p1);
		ck_assert_ptr_null(ike_p1_next(net.peer[i].ike, NULL));
	}
	pair_stop();
}
END_TEST

START_TEST(a_dead_peer_is_found)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	ike_free(net.peer[1].ike);
	net.peer[1].ike = NULL;
	pass(1800ull * SECOND);
	ck_assert_uint_ge(net.peer[0].events[IKE_PEER_DEAD], 1);
	ck_assert_uint_eq(alive(0), 0);
	pair_stop();
}
END_TEST

START_TEST(a_living_peer_is_left_alone)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	pass(3600ull * SECOND);
	ck_assert_uint_eq(net.peer[0].events[IKE_PEER_DEAD] + net.peer[1].events[IKE_PEER_DEAD], 0);
	check_agreed();
	pair_stop();
}
END_TEST

START_TEST(a_new_policy_ends_what_it_does_not_allow)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	struct ipsec_policy *same = end_policy(1, "geheim", KEX_PSK, VPN_GCM), *none = policy_of("IpFilterPolicy { }\n");
	ike_policy(net.peer[0].ike, same, net.now);
	ipsec_policy_free(net.peer[0].policy);
	net.peer[0].policy = same;
	pass(5 * SECOND);
	check_agreed(); /* the same words: nothing happens */
	ck_assert_uint_eq(newest(0)->child.generation, 1);
	ike_policy(net.peer[0].ike, none, net.now);
	ipsec_policy_free(net.peer[0].policy);
	net.peer[0].policy = none;
	pass(5 * SECOND);
	ck_assert(!alive(0) && !alive(1));
	pair_stop();
}
END_TEST

/* A tunnel, then @next at end 0: does it live? */
static bool survives(struct ipsec_policy *next)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	ike_policy(net.peer[0].ike, next, net.now);
	ipsec_policy_free(net.peer[0].policy);
	net.peer[0].policy = next;
	pass(10 * SECOND);
	bool lives = alive(0) == 1 && alive(1) == 1;
	ck_assert_msg(lives || (!alive(0) && !alive(1)), "only one end has ended");
	if (lives)
		check_agreed();
	pair_stop();
	return lives;
}

START_TEST(what_changed_decides)
{
	ck_assert(survives(end_policy(1, "geheim", "HowToRespond Main\n" KEX_PSK, "VpnLife 60\n" VPN_GCM)));
	ck_assert(survives(end_policy(1, "geheim", "KeyExchangeOffer { Suite VPN-B\n HowToAuthPeers PresharedKey }\n" KEX_PSK, VPN_GCM)));
	ck_assert(!survives(end_policy(1, "anders", KEX_PSK, VPN_GCM)));
	ck_assert(!survives(end_policy(1, "geheim", "KeyExchangeOffer { Suite VPN-B\n HowToAuthPeers PresharedKey }\n", VPN_GCM)));
	ck_assert(!survives(end_policy(1, "geheim", KEX_PSK, "IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_GCM KeyLength 256 }\n")));
	ck_assert(!survives(end_policy(1, "geheim", KEX_PSK, "IpDataOffer { HowToEncap Transport\n HowToEncrypt AES_GCM KeyLength 128 }\n")));
	ck_assert(!survives(end_policy(2, "geheim", KEX_PSK, VPN_GCM))); /* other addresses */
}
END_TEST

START_TEST(owned_again_after_a_restart)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	up(id);
	struct ike_child c = newest(0)->child;
	memset(&c.in.enc_key, 0, sizeof(c.in.enc_key));
	memset(&c.out.enc_key, 0, sizeof(c.out.enc_key));
	ike_free(net.peer[0].ike);
	engine_start(0);
	ck_assert_int_eq(ike_resume(net.peer[0].ike, &c, net.now), 0);
	const struct ike_child_info *y = ike_child_next(net.peer[0].ike, NULL);
	ck_assert(y && !strcmp(y->child->tunnel_id, id));
	ck_assert_int_eq(ike_refresh(net.peer[0].ike, id, net.now), 0); /* with a new phase 1 */
	pass(10 * SECOND);
	struct kept *t = newest(0);
	ck_assert(t && t->child.generation >= 2 && other_end(t));
	ck_assert_str_eq(t->child.tunnel_id, id);
	pair_stop();
}
END_TEST

static bool lose_third(struct datagram *d, unsigned number)
{
	(void)d;
	return number < 8; /* main mode, and two of quick mode */
}

START_TEST(traffic_is_as_good_as_message_3)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	net.fate = lose_third;
	ck_assert_int_eq(activate(id), 0);
	pass(SECOND);
	ck_assert(alive(0) == 1 && !alive(1));
	struct kept *t = other_end(newest(0));
	ck_assert(t && !t->ready);
	struct ike_path path = t->child.path;
	ike_stack_said(net.peer[1].ike, t->child.tunnel_id, t->child.generation + 1, IKE_TRAFFIC, &path, net.now);
	ck_assert(!alive(1)); /* of another generation */
	ike_stack_said(net.peer[1].ike, t->child.tunnel_id, t->child.generation, IKE_TRAFFIC, &path, net.now);
	check_agreed();
	ck_assert_uint_eq(alive(1), 1);
	net.fate = NULL;
	pass(300ull * SECOND);
	ck_assert_uint_eq(net.peer[1].removed + net.peer[0].removed, 0);
	check_agreed();
	pair_stop();
}
END_TEST

START_TEST(both_begin_at_once)
{
	char id[16] = "";
	pair_simple(KEX_PSK, VPN_GCM);
	ck_assert_int_eq(activate(id), 0);
	struct ike_activate a = {0};
	const struct ipsec_policy *p = net.peer[1].policy;
	char other[16] = "";
	ck_assert_int_eq(policy_local_anchor(p, policy_local_rule(p, "l"), &a.rule, &a.sel), 0);
	a.local_endpoint = a.rule->start->local_endpoint;
	a.remote_endpoint = a.rule->start->remote_endpoint;
	ck_assert_int_eq(ike_activate(net.peer[1].ike, &a, net.now, NULL, other), 0);
	pass(30 * SECOND);
	check_agreed();
	pair_stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pair");
	TCase *t = tcase_create("pair");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, nine_messages);
	tcase_add_test(t, every_kind_of_offer);
	tcase_add_test(t, aggressive_mode);
	tcase_add_test(t, refused_at_the_last_message);
	tcase_add_test(t, no_agreement_leaves_nothing);
	tcase_add_test(t, rekeyed_before_it_ends);
	tcase_add_test(t, phase_1_is_renewed);
	tcase_add_test(t, soft_limit_of_bytes);
	tcase_add_test(t, deleted_at_both_ends);
	tcase_add_test(t, deleted_with_the_generation_before);
	tcase_add_test(t, a_dead_peer_is_found);
	tcase_add_test(t, a_living_peer_is_left_alone);
	tcase_add_test(t, a_new_policy_ends_what_it_does_not_allow);
	tcase_add_test(t, what_changed_decides);
	tcase_add_test(t, owned_again_after_a_restart);
	tcase_add_test(t, traffic_is_as_good_as_message_3);
	tcase_add_test(t, both_begin_at_once);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
