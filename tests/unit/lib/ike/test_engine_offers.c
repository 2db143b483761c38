/* What is asked for in phase 2, and how two engines agree on it: modes, AH, several offers, extended sequence numbers, identities. */
#include "tests/unit/lib/ike/pair_check.h"

#define DATA(encap, enc, auth, rest) "IpDataOffer { HowToEncap " encap "\n HowToEncrypt " enc "\n HowToAuth " auth "\n" rest "}\n"
#define ESN "ExtendedSequenceNumbers Yes\n"
#define CBC128 DATA("Tunnel", "AES_CBC KeyLength 128", "ESP HMAC_SHA1", "")
#define CBC256 DATA("Tunnel", "AES_CBC KeyLength 256", "ESP HMAC_SHA1", "")
#define GCM256 DATA("Tunnel", "AES_GCM KeyLength 256", "ESP NULL", "")

static const struct ike_child *child(struct pair *n, unsigned who)
{
	const struct ike_child_info *i = ike_child_next(n->peer[who].k, NULL);
	ck_assert_ptr_nonnull(i);
	return i->child;
}

static struct addr_range range(const char *lo, const char *hi)
{
	return (struct addr_range){pair_addr(lo), pair_addr(hi)};
}

/* The left end asks for just this. */
static struct pair *ask(const struct pair_policy *l, const struct pair_policy *r, const struct selector *s)
{
	char id[16];
	struct pair *n = pair_new(l, r, NULL, NULL);
	ck_assert_int_eq(pair_activate_sel(n, 0, s, id), 0);
	pair_pass(n, PAIR_SECOND);
	return n;
}

static void refused(const struct pair_policy *l, const struct pair_policy *r, const struct selector *s, const char *why)
{
	struct pair *n = ask(l, r, s);
	ck_assert(!pair_up(n));
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	SAYS(n, 1, why);
	SAYS(n, 0, "P2_FAILED");
	pair_free(n);
}

static bool same_range(const struct addr_range *a, const struct addr_range *b)
{
	return addr_equal(&a->lo, &b->lo) && addr_equal(&a->hi, &b->hi);
}

/* Both ends have exactly @s, seen from their side. */
static void agreed(const struct pair_policy *l, const struct pair_policy *r, const struct selector *s)
{
	struct pair *n = ask(l, r, s);
	UP(n);
	struct selector a = child(n, 0)->sel, b = child(n, 1)->sel;
	ck_assert(same_range(&a.local, &s->local) && same_range(&a.remote, &s->remote));
	ck_assert(same_range(&b.local, &s->remote) && same_range(&b.remote, &s->local));
	ck_assert(a.protocol == s->protocol && b.protocol == s->protocol);
	ck_assert(a.local_port == s->local_port && b.remote_port == s->local_port);
	ck_assert(a.remote_port == s->remote_port && b.local_port == s->remote_port);
	/* A renewal is of the same tunnel. */
	ck_assert_int_eq(ike_refresh(n->peer[1].k, "Y1", n->now), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	ck_assert_uint_eq(child(n, 0)->generation, 2);
	ck_assert_ptr_null(ike_child_next(n->peer[0].k, "Y1"));
	pair_free(n);
}

START_TEST(other_traffic_is_refused)
{
	struct selector s = {pair_range(PAIR_LEFT_NET), pair_range(PAIR_RIGHT_NET), POLICY_PROTO_ALL, 0, 0};
	struct pair_policy l = {.service = "Protocol tcp\n DestinationPortRange 443"}, r = {.service = "Protocol tcp\n SourcePortRange 443"};
	refused(&l, &r, &s, "no rule of the policy protects that traffic (INVALID-ID-INFORMATION)"); /* all of it */
	s.protocol = 17, s.remote_port = 443;
	refused(&l, &r, &s, "INVALID-ID-INFORMATION");
	s.protocol = 6, s.remote_port = 0;
	refused(&l, &r, &s, "INVALID-ID-INFORMATION");
	s.remote_port = 80;
	refused(&l, &r, &s, "INVALID-ID-INFORMATION");
	s.local_port = 443, s.remote_port = 0;
	refused(&l, &r, &s, "INVALID-ID-INFORMATION");
	s = (struct selector){range("10.1.0.250", "10.1.1.1"), pair_range(PAIR_RIGHT_NET), POLICY_PROTO_ALL, 0, 0};
	refused(NULL, NULL, &s, "INVALID-ID-INFORMATION"); /* the range leaves the network */
	s = (struct selector){pair_range(PAIR_LEFT_NET), range("10.1.255.255", "10.2.0.7"), POLICY_PROTO_ALL, 0, 0};
	refused(NULL, NULL, &s, "INVALID-ID-INFORMATION");
}
END_TEST

START_TEST(identities)
{
	struct pair_policy l = {.service = "Protocol tcp\n DestinationPortRange 443"}, r = {.service = "Protocol tcp\n SourcePortRange 443"},
			   six_l = {.mine = "2001:db8:1::/48", .yours = "2001:db8:2::/48"},
			   six_r = {.mine = "2001:db8:2::/48", .yours = "2001:db8:1::/48"};
	const struct selector all[] = {{pair_range(PAIR_LEFT_NET), pair_range(PAIR_RIGHT_NET), 6, 0, 443},
		{range("10.1.0.3", "10.1.0.9"), range("10.2.0.77", "10.2.0.78"), 6, 0, 443}};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		agreed(&l, &r, &all[i]);
	const struct selector any[] = {{range("10.1.0.3", "10.1.0.9"), pair_range(PAIR_RIGHT_NET), POLICY_PROTO_ALL, 0, 0},
		{range("10.1.0.3", "10.1.0.3"), range("10.2.0.0", "10.2.0.254"), 17, 0, 0}, {range("10.1.0.0", "10.1.0.127"), range("10.2.0.1", "10.2.0.1"), 1, 0, 0},
		{range("10.1.0.9", "10.1.0.9"), range("10.2.0.9", "10.2.0.9"), 17, 5060, 5060}};
	for (size_t i = 0; i < sizeof(any) / sizeof(*any); i++)
		agreed(NULL, NULL, &any[i]);
	const struct selector six[] = {{pair_range("2001:db8:1::/48"), pair_range("2001:db8:2::/48"), POLICY_PROTO_ALL, 0, 0},
		{range("2001:db8:1::3", "2001:db8:1::9"), range("2001:db8:2::1", "2001:db8:2::1"), 6, 0, 22}};
	for (size_t i = 0; i < sizeof(six) / sizeof(*six); i++)
		agreed(&six_l, &six_r, &six[i]);
}
END_TEST

/* Two tunnels of one rule are told apart by protocol and port. */
START_TEST(ports_make_tunnels)
{
	struct selector s = {pair_range(PAIR_LEFT_NET), pair_range(PAIR_RIGHT_NET), 6, 0, 443};
	struct pair *n = ask(NULL, NULL, &s);
	struct ike_stats st;
	char id[16];
	UP(n);
	ck_assert_int_eq(pair_activate_sel(n, 0, &s, id), -EALREADY);
	s.remote_port = 80;
	ck_assert_int_eq(pair_activate_sel(n, 0, &s, id), 0);
	s.protocol = 17;
	ck_assert_int_eq(pair_activate_sel(n, 0, &s, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(n->peer[i].k, &st);
		ck_assert_uint_eq(st.children, 3);
		ck_assert_uint_eq(st.p1, 1);
	}
	pair_free(n);
}
END_TEST

START_TEST(extended_sequence_numbers)
{
	struct pair_policy with = {.data = DATA("Tunnel", "AES_GCM KeyLength 128", "ESP NULL", ESN)},
			   without = {.data = DATA("Tunnel", "AES_GCM KeyLength 128", "ESP NULL", "")},
			   ah = {.data = DATA("Transport", "DoNot", "AH HMAC_SHA2_256_128", ESN)}; /* AH has them, too */
	const struct pair_policy *all[][2] = {{&with, &with}, {&with, &without}, {&without, &with}, {&without, &without}, {&ah, &ah}};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct pair *n = begin(all[i][0], all[i][1]);
		bool want = i == 0 || i == 4;
		ck_assert(child(n, 0)->esn == want && child(n, 1)->esn == want);
		ck_assert_int_eq(ike_refresh(n->peer[1].k, "Y1", n->now), 0); /* the other way round */
		pair_pass(n, PAIR_SECOND);
		UP(n);
		ck_assert(child(n, 0)->esn == want && child(n, 1)->esn == want && child(n, 1)->generation == 2);
		pair_free(n);
	}
}
END_TEST

/* A stack that cannot do them: both transforms are offered to it, and it takes the other one. */
START_TEST(extended_sequence_numbers_not_here)
{
	struct pair_policy with = {.data = DATA("Tunnel", "AES_GCM KeyLength 128", "ESP NULL", ESN)};
	for (unsigned who = 0; who < 2; who++) {
		char id[16];
		struct pair *n = pair_new(&with, &with, NULL, NULL);
		struct pair_peer *p = &n->peer[who];
		struct ike_config c = {.ops = &pair_ops, .ctx = p, .policy = p->policy, .esn_allowed = false};
		ike_free(p->k);
		ck_assert_int_eq(ike_new(&c, n->now, &p->k), 0);
		ck_assert_int_eq(pair_activate(n, 0, id), 0);
		pair_pass(n, PAIR_SECOND);
		UP(n);
		ck_assert(!child(n, 0)->esn && !child(n, 1)->esn);
		pair_free(n);
	}
}
END_TEST

START_TEST(transport_and_ah)
{
	static const struct {
		const char *data;
		bool tunnel, ah;
		uint16_t enc, auth;
	} all[] = {{DATA("Transport", "AES_GCM KeyLength 256", "ESP NULL", ""), false, false, 36, 0},
		{DATA("Transport", "3DES", "ESP HMAC_SHA1", ""), false, false, 24, 20},
		{DATA("Transport", "DoNot", "AH HMAC_SHA1", ""), false, true, 0, 20}, {DATA("Tunnel", "DoNot", "AH HMAC_MD5", ""), true, true, 0, 16},
		{DATA("Tunnel", "DoNot", "AH AES128_XCBC_96", ""), true, true, 0, 16},
		{DATA("Tunnel", "DoNot", "AH HMAC_SHA2_512_256", ""), true, true, 0, 64},
		{DATA("Transport", "DoNot", "ESP HMAC_SHA2_384_192", ""), false, false, 0, 48}};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct pair_policy o = {.data = all[i].data, .pfs = i % 2 ? "Group19" : NULL, .pfs_ok = i % 2 ? "Group19" : NULL};
		struct pair *n = begin(&o, &o);
		for (unsigned who = 0; who < 2; who++) {
			const struct ike_child *c = &n->peer[who].children[0].c;
			ck_assert(c->tunnel == all[i].tunnel && !c->udp && (c->proto == IPSEC_PROTO_AH) == all[i].ah);
			ck_assert(c->in.enc_key_len == all[i].enc && c->in.auth_key_len == all[i].auth);
			ck_assert(c->pfs_group == (i % 2 ? 19 : 0));
		}
		pair_free(n);
	}
}
END_TEST

START_TEST(modes_do_not_mix)
{
	struct selector s = {pair_range(PAIR_LEFT_NET), pair_range(PAIR_RIGHT_NET), POLICY_PROTO_ALL, 0, 0};
	struct pair_policy tunnel = {.data = GCM256}, transport = {.data = DATA("Transport", "AES_GCM KeyLength 256", "ESP NULL", "")},
			   ah = {.data = DATA("Tunnel", "DoNot", "AH HMAC_SHA1", "")}, null = {.data = DATA("Tunnel", "DoNot", "ESP HMAC_SHA1", "")},
			   both = {.data = DATA("Transport", "AES_GCM KeyLength 256", "ESP NULL", "") GCM256};
	refused(&tunnel, &transport, &s, "NO-PROPOSAL-CHOSEN");
	refused(&transport, &tunnel, &s, "NO-PROPOSAL-CHOSEN");
	refused(&ah, &null, &s, "NO-PROPOSAL-CHOSEN");
	refused(&null, &ah, &s, "NO-PROPOSAL-CHOSEN");
	struct pair *n = begin(&both, &tunnel);
	ck_assert(child(n, 0)->tunnel && child(n, 1)->tunnel);
	pair_free(n);
	n = begin(&both, &transport);
	ck_assert(!child(n, 0)->tunnel && !child(n, 1)->tunnel);
	pair_free(n);
}
END_TEST

START_TEST(several_offers_in_order)
{
	/* The responder takes its own first that the initiator has, whatever that one likes best. */
	static const struct {
		const char *l, *r;
		uint16_t esp, bits;
	} all[] = {{GCM256 CBC128, CBC256 CBC128 GCM256, IPSEC_ESP_AES_CBC, 128}, {CBC128 GCM256, CBC256 GCM256 CBC128, IPSEC_ESP_AES_GCM_16, 256},
		{CBC128 CBC256 GCM256, GCM256, IPSEC_ESP_AES_GCM_16, 256}, {CBC256, GCM256 CBC128 CBC256, IPSEC_ESP_AES_CBC, 256}};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct pair *n = begin(&(struct pair_policy){.data = all[i].l}, &(struct pair_policy){.data = all[i].r});
		ck_assert(child(n, 0)->esp == all[i].esp && child(n, 0)->key_bits == all[i].bits);
		ck_assert(child(n, 1)->esp == all[i].esp && child(n, 1)->key_bits == all[i].bits);
		pair_free(n);
	}
}
END_TEST

/* The commit bit (RFC 2408 section 3.1) of a peer that sets it in everything: nobody waits for its CONNECTED. */
static bool commit(struct pair *n, struct pair_datagram *d, size_t number)
{
	(void)n, (void)number;
	d->data[19] |= 2;
	return true;
}

START_TEST(commit_bit_is_tolerated)
{
	static const char *const modes[] = {"Main", "Aggressive"};
	for (unsigned i = 0; i < 2; i++) {
		char id[16];
		struct pair *n = pair_new(&(struct pair_policy){.initiate = modes[i]}, NULL, NULL, NULL);
		n->fate = commit;
		ck_assert_int_eq(pair_activate(n, 0, id), 0);
		pair_pass(n, PAIR_SECOND);
		UP(n);
		ck_assert_int_eq(ike_refresh(n->peer[1].k, "Y1", n->now), 0);
		always_up(n, 100);
		ck_assert_uint_eq(child(n, 0)->generation, 2);
		ck_assert_uint_eq(n->peer[0].events[IKE_PROTOCOL_ERROR] + n->peer[1].events[IKE_PROTOCOL_ERROR], 0);
		pair_free(n);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.offers");
	TCase *t = tcase_create("offers");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, other_traffic_is_refused);
	tcase_add_test(t, modes_do_not_mix);
	tcase_add_test(t, identities);
	tcase_add_test(t, ports_make_tunnels);
	tcase_add_test(t, extended_sequence_numbers);
	tcase_add_test(t, extended_sequence_numbers_not_here);
	tcase_add_test(t, transport_and_ah);
	tcase_add_test(t, several_offers_in_order);
	tcase_add_test(t, commit_bit_is_tolerated);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
