/* What comes after the negotiation: renewal, collisions, dead peers, deletion, restarts, NATs, floods. */
#include "tests/unit/lib/ike/pair_check.h"

#define SHORT_DATA(life)                                                                                                             \
	"IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_CBC KeyLength 128\n HowToAuth ESP HMAC_SHA2_256_128\n"                   \
	"RefreshLifetimeProposed " life "\n RefreshLifetimeAccepted 1 1440\n}\n"
#define SHORT_OFFER(life)                                                                                                            \
	PAIR_OFFER("AES_CBC KeyLength 128", "SHA2_256", "PresharedKey", "Group19",                                                   \
		"RefreshLifetimeProposed " life "\n RefreshLifetimeAccepted 1 1440\n")

START_TEST(phase_2_renewed)
{
	struct pair_policy o = {.data = SHORT_DATA("10")};
	struct pair *n = begin(&o, &o);
	always_up(n, 1800);
	const struct ike_child_info *c = ike_child_next(n->peer[0].k, NULL);
	ck_assert_str_eq(c->child->tunnel_id, "Y1");
	ck_assert_uint_ge(c->child->generation, 3);
	ck_assert_ptr_null(ike_child_next(n->peer[0].k, "Y1"));
	pair_pass(n, 60 * PAIR_SECOND);
	ck_assert_uint_le(there(&n->peer[0]), 2);
	ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
	ck_assert_uint_ge(n->peer[0].events[IKE_P2_REFRESHED], 2);
	ck_assert_uint_eq(n->peer[0].events[IKE_P2_DOWN], 0);
	pair_free(n);
}
END_TEST

START_TEST(phase_1_renewed)
{
	struct pair_policy o = {.offers = SHORT_OFFER("10"), .data = SHORT_DATA("60")};
	struct pair *n = begin(&o, &o);
	always_up(n, 1500);
	const struct ike_p1_info *i = ike_p1_next(n->peer[0].k, NULL);
	ck_assert_str_eq(i->tunnel_id, "K1");
	ck_assert_uint_ge(i->generation, 3);
	ck_assert_uint_eq(i->children, 1);
	ck_assert_uint_ge(n->peer[1].events[IKE_P1_REFRESHED], 2);
	ck_assert_uint_eq(n->peer[1].events[IKE_P1_UP], 1);
	ck_assert_uint_eq(n->peer[0].children[0].removed, 0); /* the tunnel lived through it */
	pair_free(n);
}
END_TEST

START_TEST(both_renew_at_once)
{
	for (unsigned i = 0; i < 20; i++) {
		struct pair *n = begin(NULL, NULL);
		n->random += i * 7919;
		ck_assert_int_eq(ike_refresh(n->peer[0].k, "Y1", n->now), 0);
		ck_assert_int_eq(ike_refresh(n->peer[1].k, "Y1", n->now), 0);
		always_up(n, 120);
		ck_assert_uint_le(there(&n->peer[0]), 3); /* the old ones are still understood */
		ck_assert_uint_le(there(&n->peer[1]), 3);
		ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
		ck_assert_uint_eq(n->peer[0].events[IKE_P2_DOWN] + n->peer[1].events[IKE_P2_DOWN], 0);
		pair_free(n);
	}
}
END_TEST

START_TEST(both_renew_phase_1_at_once)
{
	/* In whatever order the two new ones come to be, both ends keep the same. */
	for (unsigned i = 0; i < 20; i++) {
		struct pair *n = begin(NULL, NULL);
		struct ike_stats s;
		n->random += i * 7919;
		n->fault = i % 3 ? FAULT_DROP : FAULT_NONE;
		n->fault_at = n->sent + i;
		ck_assert_int_eq(ike_refresh(n->peer[0].k, "K1", n->now), 0);
		ck_assert_int_eq(ike_refresh(n->peer[1].k, "K1", n->now), 0);
		always_up(n, 120);
		uint8_t cookie[IKE_COOKIE];
		for (unsigned k = 0; k < 2; k++) {
			const struct ike_p1_info *p = ike_p1_next(n->peer[k].k, NULL);
			ck_assert_msg(p && p->children == 1, "left:\n%sright:\n%s", n->peer[0].log, n->peer[1].log);
			if (k)
				ck_assert_mem_eq(p->icookie, cookie, IKE_COOKIE);
			memcpy(cookie, p->icookie, IKE_COOKIE);
			ike_stats(n->peer[k].k, &s);
			ck_assert_uint_eq(s.p1, 1);
		}
		pair_free(n);
	}
}
END_TEST

START_TEST(both_begin_at_once)
{
	char id[16];
	struct pair *n = pair_new(NULL, NULL, NULL, NULL);
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	ck_assert_int_eq(pair_activate(n, 1, id), 0);
	pair_pass(n, 2 * PAIR_SECOND);
	UP(n);
	always_up(n, 120);
	ck_assert_uint_le(there(&n->peer[0]), 2);
	ck_assert_uint_le(there(&n->peer[1]), 2);
	pair_free(n);
}
END_TEST

START_TEST(stack_limits)
{
	struct pair *n = begin(NULL, NULL);
	ike_stack_said(n->peer[0].k, "Y1", 1, IKE_SOFT, NULL, n->now);
	ike_stack_said(n->peer[0].k, "Y1", 1, IKE_SOFT, NULL, n->now);
	always_up(n, 60);
	ck_assert_uint_eq(ike_child_next(n->peer[0].k, NULL)->child->generation, 2);
	ike_stack_said(n->peer[0].k, "Y1", 1, IKE_HARD, NULL, n->now); /* of a generation that is gone */
	always_up(n, 2);
	ike_stack_said(n->peer[0].k, "Y1", 2, IKE_HARD, NULL, n->now);
	pair_pass(n, PAIR_SECOND);
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	SAYS(n, 1, "the peer deleted it");
	pair_free(n);
}
END_TEST

START_TEST(peer_dies)
{
	struct pair *n = begin(NULL, NULL);
	n->cut_off = true;
	uint64_t at = n->now;
	while (there(&n->peer[0]) && n->now < at + 300 * PAIR_SECOND)
		pair_pass(n, PAIR_SECOND);
	ck_assert_uint_ge(n->now - at, 60 * PAIR_SECOND);
	ck_assert_uint_le(n->now - at, 100 * PAIR_SECOND);
	SAYS(n, 0, "PEER_DEAD");
	pair_free(n);
}
END_TEST

START_TEST(idle_peer_lives)
{
	struct ike_stats s;
	struct pair *n = begin(NULL, NULL);
	always_up(n, 1000);
	ike_stats(n->peer[0].k, &s);
	ck_assert_uint_ge(s.dpd_sent, 10);
	ck_assert_uint_le(s.dpd_sent, 40);
	ck_assert_uint_eq(n->peer[0].events[IKE_PEER_DEAD], 0);
	/* Only some are lost: no reason to give up. */
	for (unsigned i = 0; i < 10; i++) {
		n->cut_off = true;
		pair_pass(n, 40 * PAIR_SECOND);
		n->cut_off = false;
		pair_pass(n, 40 * PAIR_SECOND);
	}
	UP(n);
	pair_free(n);
}
END_TEST

START_TEST(deleted)
{
	struct pair *n = begin(NULL, NULL);
	ck_assert_int_eq(ike_deactivate(n->peer[1].k, "Y9", false, n->now), -ENOENT);
	ck_assert_int_eq(ike_deactivate(n->peer[1].k, "K9", false, n->now), -ENOENT);
	ck_assert_int_eq(ike_deactivate(n->peer[1].k, "Y1", false, n->now), 0);
	pair_pass(n, PAIR_SECOND);
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	ck_assert_ptr_nonnull(ike_p1_next(n->peer[0].k, NULL));
	pair_free(n);

	n = begin(NULL, NULL); /* phase 1 alone: the tunnel goes on */
	ck_assert_int_eq(ike_deactivate(n->peer[0].k, "K1", false, n->now), 0);
	always_up(n, 10);
	ck_assert_ptr_null(ike_p1_next(n->peer[0].k, NULL));
	ck_assert_ptr_null(ike_p1_next(n->peer[1].k, NULL));
	/* and is renewed under a new one, without a gap */
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "Y1", n->now), 0);
	always_up(n, 60);
	ck_assert_uint_eq(ike_child_next(n->peer[1].k, NULL)->child->generation, 2);
	ck_assert_int_eq(ike_deactivate(n->peer[0].k, ike_p1_next(n->peer[0].k, NULL)->tunnel_id, true, n->now), 0);
	pair_pass(n, PAIR_SECOND);
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	pair_free(n);
}
END_TEST

/* A process that died comes back: with what the stack still has it goes on, and its peer loses nothing. */
static void restart(struct pair *n, unsigned who, bool resume)
{
	struct pair_peer *p = &n->peer[who];
	ike_free(p->k);
	pair_start(p, NULL);
	for (size_t i = 0; i < p->n_children; i++) {
		if (!resume)
			p->children[i].there = false;
		else if (p->children[i].there)
			ck_assert_int_eq(ike_resume(p->k, &p->children[i].c, n->now), 0);
	}
}

START_TEST(resumed)
{
	struct pair_policy o = {.data = SHORT_DATA("10")};
	struct pair *n = begin(&o, &o);
	restart(n, 0, true);
	always_up(n, 100);
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "Y1", n->now), 0);
	always_up(n, 1200);
	ck_assert_uint_eq(n->peer[1].events[IKE_P2_DOWN], 0);
	pair_free(n);
}
END_TEST

START_TEST(begins_anew)
{
	char id[16];
	struct pair *n = begin(NULL, NULL);
	restart(n, 0, false);
	n->peer[0].n_children = 0;
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, 2 * PAIR_SECOND);
	UP(n);
	SAYS(n, 1, "INITIAL-CONTACT");
	ck_assert_uint_eq(there(&n->peer[1]), 1);
	pair_free(n);
}
END_TEST

START_TEST(both_restarted)
{
	/* Ours goes on with what its stack has; the peer has lost everything and says so. */
	char id[16];
	struct pair *n = begin(NULL, NULL);
	restart(n, 0, true);
	restart(n, 1, false);
	n->peer[1].n_children = 0;
	ck_assert_int_eq(pair_activate(n, 1, id), 0);
	pair_run(n);
	UP(n);
	SAYS(n, 0, "phase 2 tunnel Y1 ended: the peer began anew (INITIAL-CONTACT)");
	ck_assert_uint_eq(there(&n->peer[0]), 1);
	always_up(n, 200);
	pair_free(n);
}
END_TEST

START_TEST(behind_nat)
{
	static const char *const modes[] = {"Main", "Aggressive"};
	struct pair_policy l = {.nat = "Yes", .initiate = modes[_i], .local_id = "Fqdn left.example"},
			   r = {.nat = "Yes", .remote_location = "192.0.2.77", .remote_id = "Fqdn left.example"};
	char id[16];
	struct pair *n = pair_new(&l, &r, NULL, NULL);
	n->nat = true;
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	const struct ike_p1_info *i = ike_p1_next(n->peer[1].k, NULL);
	ck_assert(i->nat_t && i->nat_remote && !i->nat_local);
	ck_assert_uint_eq(i->path.remote_port, 24500);
	ck_assert_uint_eq(i->path.local_port, 4500);
	i = ike_p1_next(n->peer[0].k, NULL);
	ck_assert(i->nat_t && i->nat_local && !i->nat_remote);
	ck_assert_uint_eq(i->path.remote_port, 4500);
	const struct ike_child *c = ike_child_next(n->peer[1].k, NULL)->child;
	ck_assert(c->udp && c->path.remote_port == 24500);
	/* The NAT gives it another port: the next message that proves good tells. */
	n->nat_shift = 30000;
	for (unsigned s = 0; s < 90; s++) {
		pair_pass(n, PAIR_SECOND);
		UP(n);
	}
	SAYS(n, 1, "PEER_MOVED");
	ck_assert_uint_eq(ike_p1_next(n->peer[1].k, NULL)->path.remote_port, 34500);
	/* Old messages from elsewhere do not move it back. */
	for (size_t k = 0; k < n->n_past; k++)
		if (n->past[k].to == 1 && n->past[k].path.remote_port == 24500)
			pair_again(n, &n->past[k]);
	pair_run(n);
	ck_assert_uint_eq(ike_p1_next(n->peer[1].k, NULL)->path.remote_port, 34500);
	ck_assert_uint_eq(n->peer[1].events[IKE_PEER_MOVED], 1);
	pair_free(n);
}
END_TEST

START_TEST(no_nat_no_float)
{
	struct pair_policy o = {.nat = "Yes"};
	struct pair *n = begin(&o, &o);
	const struct ike_p1_info *i = ike_p1_next(n->peer[1].k, NULL);
	ck_assert(i->nat_t && !i->nat_remote && !i->nat_local && i->path.remote_port == 500);
	ck_assert(!ike_child_next(n->peer[1].k, NULL)->child->udp);
	pair_free(n);
}
END_TEST

static uint64_t dice = UINT64_C(88172645463325252);
static uint32_t roll(void)
{
	dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
	return (uint32_t)(dice >> 16);
}

START_TEST(flooded)
{
	/* First messages of 100,000 invented sources, and then many of one source: a friend still gets in. */
	struct ike_stats s;
	char id[16];
	struct pair *n = begin(&(struct pair_policy){.remote_location = NULL}, NULL);
	struct pair_datagram first = n->past[0];
	uint8_t *copy = xcalloc(1, first.len);
	memcpy(copy, first.data, first.len);
	struct ipsec_policy *open = pair_policy(PAIR_RIGHT, PAIR_LEFT, PAIR_RIGHT_NET, PAIR_LEFT_NET,
		&(struct pair_policy){.remote_location = "All4", .remote_id = "IpAddr *"});
	ike_policy(n->peer[1].k, open, n->now);
	n->cut_off = true;
	for (unsigned i = 0; i < 100000; i++) {
		struct ike_path path = first.path;
		uint32_t a = i < 50000 ? roll() : 0x0a000001;
		memcpy(path.remote.b, &a, 4);
		a = roll() | 1;
		memcpy(copy, &a, 4);
		a = roll();
		memcpy(copy + 4, &a, 4);
		ike_input(n->peer[1].k, &path, copy, first.len, n->now, PAIR_WALL);
	}
	ike_stats(n->peer[1].k, &s);
	ck_assert_uint_le(s.half_open, 16384);
	ck_assert_uint_ge(s.half_open_refused, 49000);
	n->cut_off = false;
	pair_run(n);
	ck_assert_int_eq(ike_deactivate(n->peer[0].k, "K1", true, n->now), 0);
	pair_pass(n, PAIR_SECOND);
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	pair_pass(n, 100 * PAIR_SECOND);
	ike_stats(n->peer[1].k, &s);
	ck_assert_uint_eq(s.half_open, 0);
	free(copy);
	ipsec_policy_free(n->peer[1].policy);
	n->peer[1].policy = open;
	pair_free(n);
}
END_TEST

START_TEST(clear_notifies_do_nothing)
{
	struct pair *n = begin(NULL, NULL);
	/* Header of a live SA, not encrypted, with a delete of it. */
	uint8_t m[28 + 12 + 16] = {0};
	memcpy(m, n->past[2].data, 16);
	m[16] = 12, m[17] = 0x10, m[18] = 5, m[23] = 9, m[27] = sizeof(m);
	m[31] = 28, m[35] = 1, m[36] = 1, m[37] = 16, m[39] = 1;
	memcpy(m + 40, m, 16);
	for (unsigned who = 0; who < 2; who++) {
		struct ike_path path = {n->peer[who].addr, n->peer[!who].addr, 500, 500};
		ike_input(n->peer[who].k, &path, m, sizeof(m), n->now, PAIR_WALL);
		ck_assert_ptr_nonnull(ike_p1_next(n->peer[who].k, NULL));
	}
	always_up(n, 5);
	pair_free(n);
}
END_TEST

/* How many dynamic tunnels an IKE tunnel has, each once. */
static unsigned of_parent(struct pair *n, unsigned who, const char *parent)
{
	char at[16] = "";
	unsigned count = 0;
	for (const struct ike_child_info *c; count < 1000 && (c = ike_child_next_of(n->peer[who].k, parent, *at ? at : NULL)); count++)
		memcpy(at, c->child->tunnel_id, sizeof(at));
	return count;
}

/* The one that was replaced a moment ago goes with it. */
START_TEST(deleted_with_the_generation_before)
{
	struct ike_stats st;
	struct pair *n = begin(NULL, NULL);
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "K1", n->now), 0);
	pair_pass(n, PAIR_SECOND);
	ck_assert_uint_eq(ike_p1_next(n->peer[0].k, NULL)->generation, 2);
	ck_assert_int_eq(ike_deactivate(n->peer[0].k, "K1", true, n->now), 0);
	pair_pass(n, 5 * PAIR_SECOND);
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(n->peer[i].k, &st);
		ck_assert(!there(&n->peer[i]) && !st.children && !st.p1);
	}
	pair_free(n);
}
END_TEST

static bool lose_the_ninth(struct pair *n, struct pair_datagram *d, size_t number)
{
	(void)n, (void)d;
	return number < 8; /* main mode, and two of quick mode */
}

START_TEST(traffic_is_as_good_as_message_3)
{
	char id[16];
	struct pair *n = pair_new(NULL, NULL, NULL, NULL);
	n->fate = lose_the_ninth;
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, PAIR_SECOND);
	ck_assert(n->peer[0].children[0].out && there(&n->peer[1]) == 1 && !n->peer[1].children[0].out);
	ike_stack_said(n->peer[1].k, "Y1", 2, IKE_TRAFFIC, NULL, n->now); /* of another generation */
	ck_assert(!n->peer[1].children[0].out);
	ike_stack_said(n->peer[1].k, "Y1", 1, IKE_TRAFFIC, NULL, n->now);
	UP(n);
	n->fate = NULL;
	always_up(n, 300);
	ck_assert_uint_eq(n->peer[0].children[0].removed + n->peer[1].children[0].removed, 0);
	pair_free(n);
}
END_TEST

START_TEST(many)
{
	/* One peer, many tunnels: /32s within the rule's networks. */
	struct selector s = {pair_range(PAIR_LEFT_NET), pair_range(PAIR_RIGHT_NET), POLICY_PROTO_ALL, 0, 0};
	struct ike_stats st;
	struct pair *n = pair_new(NULL, NULL, NULL, NULL);
	for (unsigned i = 0; i < 40; i++) {
		char id[16];
		s.local.lo.b[3] = s.local.hi.b[3] = (uint8_t)(i + 1);
		s.remote.lo.b[3] = s.remote.hi.b[3] = (uint8_t)(i + 1);
		ck_assert_int_eq(pair_activate_sel(n, 0, &s, id), 0);
		ck_assert_int_eq(pair_activate_sel(n, 0, &s, id), -EALREADY);
	}
	pair_pass(n, PAIR_SECOND);
	UP(n);
	ike_stats(n->peer[1].k, &st);
	ck_assert_uint_eq(st.children, 40);
	ck_assert_uint_eq(st.p1, 1);
	ck_assert_uint_eq(of_parent(n, 1, "K1"), 40);
	ck_assert_uint_eq(of_parent(n, 1, "K2"), 0);
	ck_assert_uint_eq(of_parent(n, 1, "Y1"), 0);
	/* While it is being renewed, too. */
	n->cut_off = true;
	ck_assert_int_eq(ike_refresh(n->peer[1].k, "K1", n->now), 0);
	ck_assert_uint_eq(ike_p1_next(n->peer[1].k, NULL)->generation, 2);
	ck_assert_uint_eq(of_parent(n, 1, "K1"), 40);
	n->cut_off = false;
	pair_pass(n, 10 * PAIR_SECOND);
	ck_assert_uint_eq(of_parent(n, 1, "K1"), 40);
	ck_assert_int_eq(ike_deactivate(n->peer[1].k, "K1", true, n->now), 0);
	pair_pass(n, PAIR_SECOND);
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	pair_free(n);
}
END_TEST

START_TEST(key_pairs_are_made_ahead)
{
	/* Of the groups that the policy names, only so many, and none of what it does not name any more. */
	struct pair *n = pair_new(&(struct pair_policy){.pfs = "Group20", .pfs_ok = "Group20"}, &(struct pair_policy){.pfs_ok = "Group20 None"}, NULL, NULL);
	struct ike *k = n->peer[0].k;
	unsigned made = 0;
	char id[16];
	ck_assert(ike_unprepared(k));
	while (ike_prepare(k))
		made++;
	ck_assert_uint_eq(made, 2 * 128);
	ck_assert(!ike_unprepared(k));
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	ck_assert(ike_unprepared(k)); /* phase 1 took one, and PFS another */
	ck_assert(ike_prepare(k) && ike_prepare(k) && !ike_prepare(k));
	struct ipsec_policy *next = pair_policy(PAIR_LEFT, PAIR_RIGHT, PAIR_LEFT_NET, PAIR_RIGHT_NET, &(struct pair_policy){0}), *old = n->peer[0].policy;
	ike_policy(k, next, n->now);
	n->peer[0].policy = next;
	ipsec_policy_free(old);
	ck_assert(!ike_unprepared(k));
	pair_free(n);
}
END_TEST

START_TEST(renewal_is_tried_again)
{
	/* For a while the peer refuses: there is time until the SA expires. */
	struct pair_policy o = {.offers = SHORT_OFFER("60"), .data = SHORT_DATA("480")};
	struct pair *n = begin(&o, &o);
	struct pair_policy no = o;
	no.respond = "Aggressive";
	struct ipsec_policy *willing = n->peer[1].policy,
			    *refuses = pair_policy(PAIR_RIGHT, PAIR_LEFT, PAIR_RIGHT_NET, PAIR_LEFT_NET, &no);
	always_up(n, 49 * 60);
	ike_policy(n->peer[1].k, refuses, n->now);
	always_up(n, 6 * 60);
	ck_assert_uint_ge(n->peer[0].events[IKE_P1_FAILED] + n->peer[1].events[IKE_P1_FAILED], 1);
	ike_policy(n->peer[1].k, willing, n->now);
	always_up(n, 6 * 60);
	ck_assert_uint_eq(ike_p1_next(n->peer[0].k, NULL)->generation, 2);
	ck_assert_uint_eq(n->peer[0].events[IKE_P2_DOWN], 0);
	ipsec_policy_free(refuses);
	pair_free(n);
}
END_TEST

START_TEST(stack_answers_later)
{
	char id[16];
	struct pair *n = pair_new(NULL, NULL, NULL, NULL);
	n->peer[0].install_rc = n->peer[1].install_rc = -EINPROGRESS;
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, 5 * PAIR_SECOND);
	ck_assert_uint_eq(n->peer[0].n_children, 0); /* message 2 waits for the responder's stack */
	ck_assert_uint_eq(n->peer[1].n_children, 1);
	ike_installed(n->peer[1].k, "Y1", 7, 0, n->now); /* nobody's generation */
	ike_installed(n->peer[1].k, "Y1", 1, 0, n->now);
	pair_pass(n, 5 * PAIR_SECOND);
	ck_assert_uint_eq(n->peer[0].n_children, 1);
	ck_assert(!n->peer[1].children[0].out);
	ike_installed(n->peer[0].k, "Y1", 1, 0, n->now);
	pair_pass(n, 5 * PAIR_SECOND);
	UP(n);
	/* A renewal that the stack refuses leaves the old one. */
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "Y1", n->now), 0);
	pair_run(n);
	ike_installed(n->peer[1].k, "Y1", 2, -ENOSPC, n->now);
	n->peer[1].children[1].there = false;
	pair_pass(n, PAIR_SECOND);
	UP(n);
	SAYS(n, 0, "the peer refused: NO-PROPOSAL-CHOSEN");
	ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
	pair_free(n);
}
END_TEST

START_TEST(responder_lifetime)
{
	/* The initiator says nothing of a lifesize; the responder has one, and says so. */
	struct pair_policy r = {.data = "IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_CBC KeyLength 128\n HowToAuth ESP HMAC_SHA2_256_128\n"
					"RefreshLifesizeProposed 50000\n RefreshLifesizeAccepted 10000 100000\n}\n"};
	struct pair *n = begin(NULL, &r);
	ck_assert_uint_eq(ike_child_next(n->peer[1].k, NULL)->child->hard_bytes, 50000 * 1024);
	ck_assert_uint_eq(ike_child_next(n->peer[0].k, NULL)->child->hard_bytes, 50000 * 1024);
	ck_assert_uint_lt(ike_child_next(n->peer[0].k, NULL)->child->soft_bytes, ike_child_next(n->peer[0].k, NULL)->child->hard_bytes);
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.life");
	TCase *t = tcase_create("life");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, clear_notifies_do_nothing);
	tcase_add_test(t, phase_2_renewed);
	tcase_add_test(t, phase_1_renewed);
	tcase_add_test(t, both_renew_at_once);
	tcase_add_test(t, both_renew_phase_1_at_once);
	tcase_add_test(t, both_begin_at_once);
	tcase_add_test(t, stack_limits);
	tcase_add_test(t, peer_dies);
	tcase_add_test(t, idle_peer_lives);
	tcase_add_test(t, deleted);
	tcase_add_test(t, resumed);
	tcase_add_test(t, begins_anew);
	tcase_add_test(t, both_restarted);
	tcase_add_test(t, deleted_with_the_generation_before);
	tcase_add_test(t, traffic_is_as_good_as_message_3);
	tcase_add_test(t, many);
	tcase_add_test(t, key_pairs_are_made_ahead);
	tcase_add_test(t, renewal_is_tried_again);
	tcase_add_test(t, stack_answers_later);
	tcase_add_test(t, responder_lifetime);
	suite_add_tcase(s, t);
	t = tcase_create("nat");
	tcase_set_timeout(t, 300);
	tcase_add_loop_test(t, behind_nat, 0, 2);
	tcase_add_test(t, no_nat_no_float);
	suite_add_tcase(s, t);
	t = tcase_create("flood");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, flooded);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
