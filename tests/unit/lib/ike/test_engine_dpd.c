/* Whether the peer lives (RFC 3706), and who asks when the phase 1 under which it was asked is gone. */
#include "tests/unit/lib/ike/pair_check.h"

#define MINUTES(life)                                                                                                                \
	PAIR_OFFER("AES_CBC KeyLength 128", "SHA2_256", "PresharedKey", "Group19",                                                   \
		"RefreshLifetimeProposed " life "\n RefreshLifetimeAccepted 1 1440\n")

/* Seconds until the tunnel of @who is gone, at most @most. */
static unsigned gone_after(struct pair *n, unsigned who, unsigned most)
{
	unsigned s = 0;
	for (; s < most && there(&n->peer[who]); s++)
		pair_pass(n, PAIR_SECOND);
	return s;
}

/* The peer deletes its IKE tunnel, and lets the dynamic one be. */
static struct pair *without_phase_1(const struct pair_policy *l, const struct pair_policy *r)
{
	struct pair *n = begin(l, r);
	ck_assert_int_eq(ike_deactivate(n->peer[1].k, "K1", false, n->now), 0);
	always_up(n, 5);
	ck_assert_ptr_null(ike_p1_next(n->peer[0].k, NULL));
	ck_assert_ptr_null(ike_p1_next(n->peer[1].k, NULL));
	return n;
}

START_TEST(who_does_not_answer_is_dead)
{
	struct pair *n = without_phase_1(NULL, NULL);
	n->cut_off = true;
	unsigned s = gone_after(n, 0, 1000);
	ck_assert_uint_gt(s, 60);
	ck_assert_uint_lt(s, 400);
	SAYS(n, 0, "PEER_DEAD EZD1100I");
	SAYS(n, 0, "phase 2 tunnel Y1 ended: the peer is dead");
	ck_assert_uint_eq(n->peer[0].events[IKE_PEER_DEAD], 1);
	ck_assert_uint_eq(n->peer[0].twice, 0);
	pair_free(n);
}
END_TEST

START_TEST(who_answers_lives)
{
	struct pair *n = without_phase_1(NULL, NULL);
	always_up(n, 600);
	ck_assert_uint_eq(n->peer[0].events[IKE_P1_UP], 2);
	ck_assert_uint_eq(n->peer[1].events[IKE_P1_UP], 2);
	ck_assert_uint_eq(ike_p1_next(n->peer[0].k, NULL)->children, 1);
	ck_assert_uint_eq(ike_p1_next(n->peer[1].k, NULL)->children, 1);
	ck_assert_uint_eq(n->peer[0].events[IKE_P2_DOWN] + n->peer[1].events[IKE_P2_DOWN], 0);
	/* and is asked again, and found when it dies */
	n->cut_off = true;
	ck_assert_uint_lt(gone_after(n, 0, 300), 120);
	ck_assert_uint_eq(n->peer[0].events[IKE_PEER_DEAD], 1);
	pair_free(n);
}
END_TEST

START_TEST(who_refuses_lives)
{
	/* A refusal in clear proves nothing, but that somebody is there. */
	struct pair *n = without_phase_1(NULL, &(struct pair_policy){.initiate = "DoNot"});
	struct ipsec_policy *willing = n->peer[1].policy, *other = pair_policy(PAIR_RIGHT, PAIR_LEFT, PAIR_RIGHT_NET, PAIR_LEFT_NET,
		&(struct pair_policy){.initiate = "DoNot", .respond = "Aggressive"});
	ike_policy(n->peer[1].k, other, n->now);
	always_up(n, 1200);
	ck_assert_uint_ge(n->peer[0].events[IKE_P1_FAILED], 2);
	ck_assert_uint_eq(n->peer[0].events[IKE_PEER_DEAD] + n->peer[0].events[IKE_P2_DOWN], 0);
	ike_policy(n->peer[1].k, willing, n->now);
	always_up(n, 600);
	ck_assert_ptr_nonnull(ike_p1_next(n->peer[0].k, NULL));
	ipsec_policy_free(other);
	pair_free(n);
}
END_TEST

START_TEST(expired_unrenewed)
{
	/* Only the peer may renew, and has died: the phase 1 of ours is found dead before it can expire; with the detection that slow,
	 * it expires first. */
	struct pair_policy l = {.offers = MINUTES("10")}, r = {.offers = MINUTES("10")};
	struct pair *n = begin(&l, &r);
	struct ike_limits slow = {.dpd_idle_us = 3000 * PAIR_SECOND, .dpd_timeout_us = 6000 * PAIR_SECOND, .retries = 3};
	pair_free(n);
	n = pair_new(&l, &r, NULL, NULL);
	ike_free(n->peer[0].k);
	pair_start(&n->peer[0], &slow);
	char id[16];
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	n->cut_off = true;
	pair_pass(n, 601 * PAIR_SECOND);
	SAYS(n, 0, "K1 is expired");
	ck_assert_uint_eq(there(&n->peer[0]), 1);
	ck_assert_uint_eq(n->peer[0].events[IKE_PEER_DEAD], 0);
	unsigned s = gone_after(n, 0, 5000);
	ck_assert_uint_ge(s, 2990);
	ck_assert_uint_lt(s, 3400);
	SAYS(n, 0, "PEER_DEAD");
	pair_free(n);
}
END_TEST

START_TEST(a_command_is_obeyed)
{
	/* Who took the phase 1 away is not given it back. */
	struct pair *n = begin(NULL, &(struct pair_policy){.initiate = "DoNot"});
	ck_assert_int_eq(ike_deactivate(n->peer[0].k, "K1", false, n->now), 0);
	always_up(n, 600);
	ck_assert_ptr_null(ike_p1_next(n->peer[0].k, NULL));
	ck_assert_uint_eq(n->peer[0].events[IKE_P1_FAILED], 0);
	pair_free(n);
}
END_TEST

START_TEST(restarted_while_the_peer_was_dead)
{
	struct pair *n = begin(NULL, NULL);
	n->cut_off = true;
	ike_free(n->peer[0].k);
	pair_start(&n->peer[0], NULL);
	ck_assert_int_eq(ike_resume(n->peer[0].k, &n->peer[0].children[0].c, n->now), 0);
	ck_assert_uint_lt(gone_after(n, 0, 1000), 400);
	SAYS(n, 0, "PEER_DEAD");
	pair_free(n);
}
END_TEST

static unsigned swallowed;

static bool lose_answers(struct pair *n, struct pair_datagram *d, size_t number)
{
	(void)n, (void)number;
	return d->to || swallowed++ >= 3;
}

START_TEST(lost_answers_are_given_again)
{
	struct pair *n = begin(NULL, NULL);
	n->fate = lose_answers;
	always_up(n, 600);
	ck_assert_uint_ge(swallowed, 4);
	ck_assert_uint_eq(n->peer[0].events[IKE_PEER_DEAD], 0);
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.dpd");
	TCase *t = tcase_create("orphans");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, who_refuses_lives);
	tcase_add_test(t, who_does_not_answer_is_dead);
	tcase_add_test(t, who_answers_lives);
	tcase_add_test(t, lost_answers_are_given_again);
	tcase_add_test(t, expired_unrenewed);
	tcase_add_test(t, a_command_is_obeyed);
	tcase_add_test(t, restarted_while_the_peer_was_dead);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
