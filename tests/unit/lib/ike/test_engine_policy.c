/* A new policy under living negotiations and tunnels: what it does not allow ends at both ends, the rest lives on. */
#include "tests/unit/lib/ike/pair_check.h"

static struct ipsec_policy *nothing(void)
{
	static const char none[] = "IpFilterPolicy { }\n";
	struct conf *c = NULL;
	struct ipsec_policy *empty = NULL;
	ck_assert_int_eq(conf_parse(&ipsec_policy_spec, "f", none, strlen(none), &c), 0);
	ck_assert_int_eq(ipsec_policy_build(c, NULL, &empty), 0);
	return empty;
}

static struct ipsec_policy *left_says(const struct pair_policy *o)
{
	return pair_policy(PAIR_LEFT, PAIR_RIGHT, PAIR_LEFT_NET, PAIR_RIGHT_NET, o);
}

START_TEST(policy_changes)
{
	struct pair *n = begin(NULL, NULL);
	struct ipsec_policy *same = pair_policy(PAIR_LEFT, PAIR_RIGHT, PAIR_LEFT_NET, PAIR_RIGHT_NET, &(struct pair_policy){0}),
			    *old = n->peer[0].policy;
	ike_policy(n->peer[0].k, same, n->now);
	ipsec_policy_free(old);
	n->peer[0].policy = same;
	always_up(n, 10);
	struct ipsec_policy *empty = nothing();
	ike_policy(n->peer[0].k, empty, n->now);
	ipsec_policy_free(same);
	n->peer[0].policy = empty;
	pair_pass(n, PAIR_SECOND);
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	ck_assert_ptr_null(ike_p1_next(n->peer[0].k, NULL));
	pair_free(n);
}
END_TEST

/* A tunnel, then @next at the left end: does it live? */
static bool survives(struct ipsec_policy *next)
{
	struct pair *n = begin(NULL, NULL);
	ike_policy(n->peer[0].k, next, n->now);
	ipsec_policy_free(n->peer[0].policy);
	n->peer[0].policy = next;
	pair_pass(n, 10 * PAIR_SECOND);
	bool lives = pair_up(n);
	ck_assert_msg(lives || !(there(&n->peer[0]) + there(&n->peer[1])), "only one end has ended");
	pair_free(n);
	return lives;
}

#define VPN_B "KeyExchangeOffer { Suite VPN-B\n HowToAuthPeers PresharedKey\n}\n"
#define DATA(encap, bits) "IpDataOffer { HowToEncap " encap "\n HowToEncrypt AES_CBC KeyLength " bits "\n HowToAuth ESP HMAC_SHA2_256_128\n}\n"

START_TEST(what_changed_decides)
{
	ck_assert(survives(left_says(&(struct pair_policy){.respond = "Main", .vpn = "VpnLife 60\n"})));
	ck_assert(survives(left_says(&(struct pair_policy){.offers = VPN_B PAIR_PSK})));
	ck_assert(survives(left_says(&(struct pair_policy){.data = DATA("Tunnel", "256") DATA("Tunnel", "128")})));
	ck_assert(!survives(left_says(&(struct pair_policy){.key = "another"})));
	ck_assert(!survives(left_says(&(struct pair_policy){.offers = VPN_B})));
	ck_assert(!survives(left_says(&(struct pair_policy){.data = DATA("Tunnel", "256")})));
	ck_assert(!survives(left_says(&(struct pair_policy){.data = DATA("Transport", "128")})));
	ck_assert(!survives(left_says(&(struct pair_policy){.mine = "10.9.0.0/24"})));
	ck_assert(!survives(pair_policy(PAIR_RIGHT, PAIR_LEFT, PAIR_RIGHT_NET, PAIR_LEFT_NET, &(struct pair_policy){0}))); /* other addresses */
}
END_TEST

/* Who has no policy for us answers nothing, and keeps nothing. */
START_TEST(a_stranger_to_the_peer)
{
	struct ike_stats st;
	char id[16];
	struct pair *n = pair_new(NULL, NULL, NULL, NULL);
	struct ipsec_policy *empty = nothing();
	ike_policy(n->peer[1].k, empty, n->now);
	ipsec_policy_free(n->peer[1].policy);
	n->peer[1].policy = empty;
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, 900 * PAIR_SECOND);
	ck_assert_uint_eq(n->peer[0].events[IKE_P1_FAILED], 1);
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(n->peer[i].k, &st);
		ck_assert(!st.p1 && !st.children && !st.half_open && !there(&n->peer[i]));
	}
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.policy");
	TCase *t = tcase_create("policy");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_stranger_to_the_peer);
	tcase_add_test(t, policy_changes);
	tcase_add_test(t, what_changed_decides);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
