/* NAT traversal as the drafts had it (draft-ietf-ipsec-nat-t-ike-02 and -03): their vendor ids, payload numbers and encapsulation modes,
 * when the peer does not say RFC 3947. The network makes such peers of ours: it spoils the newer vendor ids, which nothing proves. */
#include "tests/unit/lib/ike/pair_check.h"
#include "lib/ike/isakmp.h"

static const uint8_t rfc_3947[] = {0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45}, draft_03[] = {0x7d, 0x94, 0x19, 0xa6, 0x53, 0x10, 0xca, 0x6f};
static bool spoil_03;

static void spoil(struct pair_datagram *d, const uint8_t id[8])
{
	for (size_t i = ISAKMP_HEADER; i + 16 <= d->len; i++)
		if (!memcmp(d->data + i, id, 8))
			d->data[i] ^= 0x55;
}

static bool old_peer(struct pair *n, struct pair_datagram *d, size_t number)
{
	(void)n, (void)number;
	spoil(d, rfc_3947);
	if (spoil_03)
		spoil(d, draft_03);
	return true;
}

/* How many payloads of @type the datagrams in clear have. */
static unsigned payloads(const struct pair *n, uint8_t type)
{
	unsigned count = 0;
	for (size_t i = 0; i < n->n_past; i++) {
		struct isakmp_payloads pl;
		const uint8_t *m = n->past[i].data;
		if (m[19] & 1 || isakmp_walk(m[16], m + ISAKMP_HEADER, n->past[i].len - ISAKMP_HEADER, 0, &pl, NULL))
			continue;
		count += (unsigned)isakmp_count(&pl, type);
	}
	return count;
}

#define TRANSPORT "IpDataOffer { HowToEncap Transport\n HowToEncrypt AES_CBC KeyLength 128\n HowToAuth ESP HMAC_SHA1\n}\n"
#define OUTSIDE "192.0.2.77"

static struct pair *nat_pair(const char *mode, bool transport, bool draft)
{
	struct pair_policy l = {.nat = "Yes", .initiate = mode, .local_id = "Fqdn left.example"},
			   r = {.nat = "Yes", .remote_location = OUTSIDE, .remote_id = "Fqdn left.example"};
	struct selector s = {pair_range(PAIR_LEFT_NET), pair_range(PAIR_RIGHT_NET), POLICY_PROTO_ALL, 0, 0};
	char id[16];
	if (transport) {
		l.data = r.data = TRANSPORT;
		l.mine = PAIR_LEFT, l.yours = r.mine = PAIR_RIGHT, r.yours = OUTSIDE;
		s.local = (struct addr_range){pair_addr(PAIR_LEFT), pair_addr(PAIR_LEFT)};
		s.remote = (struct addr_range){pair_addr(PAIR_RIGHT), pair_addr(PAIR_RIGHT)};
	}
	struct pair *n = pair_new(&l, &r, NULL, NULL);
	n->nat = true;
	n->fate = draft ? old_peer : NULL;
	ck_assert_int_eq(pair_activate_sel(n, 0, &s, id), 0);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	return n;
}

/* _i: bit 0 aggressive mode, bit 1 transport, bit 2 draft 02 only */
START_TEST(drafts)
{
	spoil_03 = _i & 4;
	struct pair *n = nat_pair(_i & 1 ? "Aggressive" : "Main", _i & 2, true);
	for (unsigned who = 0; who < 2; who++) {
		const struct ike_p1_info *i = ike_p1_next(n->peer[who].k, NULL);
		ck_assert(i->nat_t && i->nat_local == !who && i->nat_remote == (who == 1));
		ck_assert_uint_eq(i->path.local_port, 4500);
		ck_assert_uint_eq(i->path.remote_port, who ? 24500 : 4500);
		const struct ike_child *c = ike_child_next(n->peer[who].k, NULL)->child;
		ck_assert(c->udp && c->tunnel == !(_i & 2));
		ck_assert_uint_eq(c->path.remote_port, who ? 24500 : 4500);
		if (_i & 2) { /* the addresses as the peer sees them */
			struct addr left = pair_addr(PAIR_LEFT), outside = pair_addr(OUTSIDE);
			ck_assert(addr_equal(who ? &c->nat_oa_remote : &c->nat_oa_local, who ? &left : &outside));
		}
	}
	ck_assert_uint_ge(payloads(n, ISAKMP_NAT_D_DRAFT), 2);
	ck_assert_uint_eq(payloads(n, ISAKMP_NAT_D), 0);
	always_up(n, 60);
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "Y1", n->now), 0);
	always_up(n, 5);
	ck_assert_uint_eq(ike_child_next(n->peer[1].k, NULL)->child->generation, 2);
	pair_free(n);
}
END_TEST

START_TEST(the_rfc_goes_first)
{
	struct pair *n = nat_pair("Main", _i, false);
	ck_assert_uint_eq(payloads(n, ISAKMP_NAT_D), 4);
	ck_assert_uint_eq(payloads(n, ISAKMP_NAT_D_DRAFT), 0);
	ck_assert(ike_child_next(n->peer[1].k, NULL)->child->udp);
	pair_free(n);
}
END_TEST

START_TEST(nothing_is_said_where_it_is_not_allowed)
{
	struct pair *n = begin(NULL, &(struct pair_policy){.nat = "Yes"});
	ck_assert_uint_eq(payloads(n, ISAKMP_NAT_D) + payloads(n, ISAKMP_NAT_D_DRAFT), 0);
	ck_assert(!ike_p1_next(n->peer[1].k, NULL)->nat_t);
	pair_free(n);
}
END_TEST

START_TEST(no_ah_through_a_nat)
{
	static const char ah[] = "IpDataOffer { HowToEncap Tunnel\n HowToEncrypt DoNot\n HowToAuth AH HMAC_SHA1\n}\n";
	struct pair_policy l = {.nat = "Yes", .local_id = "Fqdn left.example", .data = ah},
			   r = {.nat = "Yes", .remote_location = OUTSIDE, .remote_id = "Fqdn left.example", .data = ah};
	char id[16];
	struct pair *n = pair_new(&l, &r, NULL, NULL);
	n->nat = true;
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, 100 * PAIR_SECOND);
	ck_assert(!pair_up(n));
	SAYS(n, 0, "its offers cannot be made");
	ck_assert_uint_eq(n->peer[0].events[IKE_P1_UP], 1);
	pair_free(n);
}
END_TEST

/* A NAT where it is not allowed: no port 4500 and no UDP, whatever comes of it. */
START_TEST(not_allowed_not_crossed)
{
	struct pair_policy l = {.local_id = "Fqdn left.example"}, r = {.remote_location = OUTSIDE, .remote_id = "Fqdn left.example"};
	char id[16];
	struct pair *n = pair_new(&l, &r, NULL, NULL);
	n->nat = true;
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, 5 * PAIR_SECOND);
	for (size_t i = 0; i < n->peer[1].n_children; i++)
		ck_assert(!n->peer[1].children[i].c.udp);
	for (size_t i = 0; i < n->n_past; i++)
		ck_assert(n->past[i].path.local_port != 4500 && n->past[i].path.remote_port != 24500);
	pair_free(n);
}
END_TEST

/* The NAT has restarted, and quick mode is what comes first. */
START_TEST(a_nat_that_forgets)
{
	struct pair *n = nat_pair("Main", false, false);
	n->nat_shift = 30000;
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "Y1", n->now), 0);
	pair_pass(n, 5 * PAIR_SECOND);
	UP(n);
	const struct ike_child *c = ike_child_next(n->peer[1].k, NULL)->child;
	ck_assert(c->generation == 2 && c->path.remote_port == 34500);
	ck_assert_uint_eq(ike_p1_next(n->peer[1].k, NULL)->path.remote_port, 34500);
	ck_assert_uint_eq(n->peer[1].events[IKE_PEER_MOVED], 1);
	pair_free(n);
}
END_TEST

/* All of it again from another port, whole and damaged: nobody is followed without proof. */
START_TEST(nobody_is_followed_without_proof)
{
	struct pair *n = nat_pair("Main", false, false);
	for (size_t i = 0, past = n->n_past; i < past; i++) {
		struct pair_datagram d = n->past[i];
		if (d.to != 1)
			continue;
		d.path.remote_port = 6666;
		pair_again(n, &d);
		d.data[d.len - 1] ^= 1;
		pair_again(n, &d);
		d.data[d.len - 1] ^= 1;
	}
	pair_pass(n, 5 * PAIR_SECOND);
	ck_assert_uint_eq(ike_p1_next(n->peer[1].k, NULL)->path.remote_port, 24500);
	ck_assert_uint_eq(n->peer[1].events[IKE_PEER_MOVED], 0);
	UP(n);
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.natt");
	TCase *t = tcase_create("natt");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, nothing_is_said_where_it_is_not_allowed);
	tcase_add_test(t, not_allowed_not_crossed);
	tcase_add_test(t, no_ah_through_a_nat);
	tcase_add_test(t, nobody_is_followed_without_proof);
	tcase_add_test(t, a_nat_that_forgets);
	tcase_add_loop_test(t, drafts, 0, 8);
	tcase_add_loop_test(t, the_rfc_goes_first, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
