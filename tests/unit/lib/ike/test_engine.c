/* Two engines negotiate: every suite, both modes, both kinds of proof, and what each refuses. */
#include "tests/unit/lib/ike/pair_check.h"

static struct pair *not_up(const struct pair_policy *l, const struct pair_policy *r)
{
	char id[16];
	struct pair *n = pair_new(l, r, NULL, NULL);
	(void)pair_activate(n, 0, id);
	pair_pass(n, 400 * PAIR_SECOND);
	ck_assert_msg(!pair_up(n), "traffic flows\nleft:\n%sright:\n%s", n->peer[0].log, n->peer[1].log);
	for (unsigned i = 0; i < 2; i++) {
		struct ike_stats s;
		ike_stats(n->peer[i].k, &s);
		ck_assert_uint_eq(s.children, 0);
		ck_assert_uint_eq(n->peer[i].twice, 0);
		for (size_t c = 0; c < n->peer[i].n_children; c++)
			ck_assert(!n->peer[i].children[c].there);
	}
	return n;
}

START_TEST(refuses_wrong_key)
{
	struct pair *n = not_up(NULL, &(struct pair_policy){.key = "another"});
	SAYS(n, 1, "P1_FAILED");
	SAYS(n, 1, "pre-shared keys are likely to differ");
	SAYS(n, 0, "an unauthenticated message says for the peer: PAYLOAD-MALFORMED");
	SAYS(n, 0, "P1_FAILED");
	SAYS(n, 0, "P2_FAILED");
	pair_free(n);
	n = not_up(&(struct pair_policy){.initiate = "Aggressive"}, &(struct pair_policy){.key = "another"});
	SAYS(n, 0, "pre-shared keys differ");
	pair_free(n);
}
END_TEST

START_TEST(refuses_other_algorithms)
{
	struct pair *n = not_up(
		NULL, &(struct pair_policy){.offers = PAIR_OFFER("AES_CBC KeyLength 256", "SHA2_256", "PresharedKey", "Group19", "")});
	SAYS(n, 1, "NO-PROPOSAL-CHOSEN");
	SAYS(n, 0, "an unauthenticated message says for the peer: NO-PROPOSAL-CHOSEN");
	SAYS(n, 0, "P1_FAILED");
	pair_free(n);
	n = not_up(NULL,
		&(struct pair_policy){
			.data = "IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_GCM_16 KeyLength 128\n HowToAuth ESP NULL\n}\n"});
	SAYS(n, 1, "P2_FAILED");
	SAYS(n, 1, "NO-PROPOSAL-CHOSEN");
	SAYS(n, 0, "P2_FAILED EZD0970I IKE PHASE 2 NEGOTIATION FAILED: the peer refused: NO-PROPOSAL-CHOSEN");
	pair_free(n);
}
END_TEST

START_TEST(refuses_other_identity)
{
	struct pair *n = not_up(NULL, &(struct pair_policy){.remote_id = "Fqdn left.example"});
	SAYS(n, 1, "no KeyExchangeRule has the peer's identity");
	SAYS(n, 1, "INVALID-ID-INFORMATION");
	SAYS(n, 0, "IKE PHASE 1 NEGOTIATION FAILED as initiator: the peer refused: INVALID-ID-INFORMATION");
	pair_free(n);
	n = not_up(NULL, &(struct pair_policy){.local_id = "Fqdn right.example"});
	SAYS(n, 0, "the peer's identity is not the one that the KeyExchangeRule names");
	SAYS(n, 1, "the peer says: INVALID-ID-INFORMATION"); /* it had ended phase 1: under its keys, so that it believes it */
	pair_free(n);
}
END_TEST

START_TEST(refuses_other_traffic)
{
	struct pair *n = not_up(NULL, &(struct pair_policy){.yours = "10.9.0.0/24"});
	SAYS(n, 1, "no rule of the policy protects that traffic (INVALID-ID-INFORMATION)");
	SAYS(n, 0, "the peer says: INVALID-ID-INFORMATION");
	pair_free(n);
	n = not_up(NULL, &(struct pair_policy){.initiation = "LocalOnly"});
	SAYS(n, 1, "LocalOnly");
	pair_free(n);
}
END_TEST

START_TEST(refuses_by_role)
{
	char id[16];
	struct pair *n = not_up(NULL, &(struct pair_policy){.respond = "Aggressive"});
	SAYS(n, 1, "no KeyExchangeRule answers main mode");
	pair_free(n);
	n = not_up(&(struct pair_policy){.initiate = "Aggressive"}, &(struct pair_policy){.respond = "Main"});
	SAYS(n, 1, "no KeyExchangeRule answers aggressive mode");
	pair_free(n);
	n = pair_new(&(struct pair_policy){.initiation = "RemoteOnly"}, NULL, NULL, NULL);
	ck_assert_int_eq(pair_activate(n, 0, id), -EPERM);
	pair_free(n);
	n = not_up(&(struct pair_policy){.initiate = "DoNot"}, NULL);
	pair_free(n);
	n = not_up(&(struct pair_policy){.pfs = "Group14"}, NULL);
	SAYS(n, 1, "NO-PROPOSAL-CHOSEN");
	pair_free(n);
}
END_TEST

START_TEST(stack_refuses)
{
	char id[16];
	for (unsigned who = 0; who < 2; who++) {
		struct pair *n = pair_new(NULL, NULL, NULL, NULL);
		n->peer[who].install_rc = -ENOSPC;
		ck_assert_int_eq(pair_activate(n, 0, id), 0);
		pair_pass(n, 400 * PAIR_SECOND);
		SAYS(n, who, "the stack does not take the SA");
		ck_assert(!pair_up(n));
		ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
		pair_free(n);
	}
}
END_TEST

START_TEST(main_psk)
{
	struct ike_stats s;
	struct pair *n = begin(NULL, NULL);
	const struct ike_p1_info *i = ike_p1_next(n->peer[0].k, NULL);
	ck_assert_ptr_nonnull(i);
	ck_assert_str_eq(i->tunnel_id, "K1");
	ck_assert_str_eq(i->rule, "gw");
	ck_assert_str_eq(i->local_id, PAIR_LEFT);
	ck_assert_str_eq(i->remote_id, PAIR_RIGHT);
	ck_assert(i->initiator && !i->aggressive && i->dpd && i->fragmentation && i->state == IKE_DONE && i->children == 1);
	ck_assert_ptr_null(ike_p1_next(n->peer[0].k, "K1"));
	const struct ike_child_info *c = ike_child_next(n->peer[1].k, NULL);
	ck_assert_ptr_nonnull(c);
	ck_assert(c->state == IKE_CHILD_DONE && c->child->esp == IPSEC_ESP_AES_CBC && c->child->auth == IPSEC_AUTH_SHA2_256);
	static const uint8_t zero[IKE_KEY_MAX];
	ck_assert_mem_eq(c->child->in.enc_key, zero, sizeof(zero)); /* the engine keeps no keys of what the stack has */
	ck_assert_mem_eq(c->child->out.auth_key, zero, sizeof(zero));
	ck_assert_uint_eq(n->sent, 9); /* six and three */
	for (unsigned k = 0; k < 2; k++) {
		ike_stats(n->peer[k].k, &s);
		ck_assert_uint_eq(s.p1_up, 1);
		ck_assert_uint_eq(s.p2_up, 1);
		ck_assert_uint_eq(s.half_open, 0);
		ck_assert_uint_eq(n->peer[k].events[IKE_P1_UP], 1);
		ck_assert_uint_eq(n->peer[k].events[IKE_P2_UP], 1);
		ck_assert_uint_eq(n->peer[k].twice, 0);
	}
	pair_free(n);
}
END_TEST

START_TEST(aggressive_psk)
{
	struct pair *n = begin(&(struct pair_policy){.initiate = "Aggressive"}, NULL);
	ck_assert_uint_eq(n->sent, 6);
	ck_assert(ike_p1_next(n->peer[1].k, NULL)->aggressive);
	pair_free(n);
}
END_TEST

/* All that the two ends can agree upon in phase 1. */
static const char *const p1_suites[] = {PAIR_OFFER("DES", "MD5", "PresharedKey", "Group1", ""),
	PAIR_OFFER("3DES", "SHA1", "PresharedKey", "Group2", ""), PAIR_OFFER("AES_CBC KeyLength 192", "SHA2_384", "PresharedKey", "Group5", ""),
	PAIR_OFFER("AES_CBC KeyLength 256", "SHA2_512", "PresharedKey", "Group14", ""),
	PAIR_OFFER("AES_CBC KeyLength 128", "SHA2_256", "PresharedKey", "Group20", ""),
	PAIR_OFFER("AES_CBC KeyLength 128", "SHA1", "PresharedKey", "Group21", ""),
	PAIR_OFFER("AES_CBC KeyLength 128", "SHA1", "PresharedKey", "Group24", ""),
	"KeyExchangeOffer { Suite VPN-A\n HowToAuthPeers PresharedKey\n}\n", "KeyExchangeOffer { Suite VPN-B\n HowToAuthPeers PresharedKey\n}\n"};

START_TEST(phase_1_suites)
{
	struct pair_policy o = {.offers = p1_suites[_i]};
	pair_free(begin(&o, &o));
	pair_free(begin(&(struct pair_policy){.offers = p1_suites[_i], .initiate = "Aggressive"}, &o));
}
END_TEST

#define DATA(encap, enc, auth, rest) "IpDataOffer { HowToEncap " encap "\n HowToEncrypt " enc "\n HowToAuth " auth "\n" rest "}\n"
static const char *const p2_suites[] = {DATA("Tunnel", "3DES", "ESP HMAC_SHA1", ""), DATA("Tunnel", "AES_CBC KeyLength 256", "ESP HMAC_SHA2_512_256", ""),
	DATA("Tunnel", "AES_GCM_16 KeyLength 128", "ESP NULL", ""), DATA("Tunnel", "AES_GCM_16 KeyLength 256", "ESP NULL", ""),
	DATA("Tunnel", "AES_CBC KeyLength 128", "ESP AES128_XCBC_96", ""), DATA("Tunnel", "DoNot", "AH HMAC_SHA2_256_128", ""),
	"IpDataOffer { HowToEncap Tunnel\n Suite VPN-A\n}\n"};

START_TEST(phase_2_suites)
{
	struct pair_policy o = {.data = p2_suites[_i]}, pfs = {.data = p2_suites[_i], .pfs = "Group19", .pfs_ok = "Group19"};
	if (!strstr(p2_suites[_i], "VPN-A")) {
		pair_free(begin(&o, &o));
		pair_free(begin(&pfs, &pfs));
	} else {
		struct pair_policy suite = {.data = p2_suites[_i], .pfs = "Group2", .pfs_ok = "Group2"};
		pair_free(begin(&suite, &suite));
	}
}
END_TEST

START_TEST(offers_in_order)
{
	/* The responder's order decides, and what both have. */
	struct pair *n = begin(&(struct pair_policy){.offers = PAIR_OFFER("3DES", "SHA1", "PresharedKey", "Group14", "") PAIR_PSK},
		&(struct pair_policy){.offers = PAIR_OFFER("AES_CBC KeyLength 256", "SHA1", "PresharedKey", "Group14", "") PAIR_PSK});
	ck_assert_uint_eq(ike_p1_next(n->peer[0].k, NULL)->offer.enc, IKE_ENC_AES);
	ck_assert_uint_eq(ike_p1_next(n->peer[1].k, NULL)->offer.group, 19);
	pair_free(n);
}
END_TEST

START_TEST(rule_is_replaced)
{
	/* Two rules for the same addresses: message 1 finds the first, message 5 the one of the identity. */
	static const char first[] =
		"KeyExchangeRule first { LocalSecurityEndpoint { Identity IpAddr " PAIR_RIGHT "\n Location " PAIR_RIGHT " }\n"
		" RemoteSecurityEndpoint { Identity Fqdn other.example\n Location " PAIR_LEFT " }\n"
		" KeyExchangeAction { " PAIR_PSK " }\n SharedKey Ascii both-know-it\n }\n";
	struct pair *n = begin(&(struct pair_policy){.local_id = "Fqdn left.example"},
		&(struct pair_policy){.more_rules = first, .remote_id = "Fqdn *.example"});
	SAYS(n, 1, "RULE_REPLACED EZD1785I Tentative KeyExchangeRule first replaced with final KeyExchangeRule gw");
	ck_assert_str_eq(ike_p1_next(n->peer[1].k, NULL)->rule, "gw");
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine");
	TCase *t = tcase_create("refusals");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, refuses_wrong_key);
	tcase_add_test(t, refuses_other_algorithms);
	tcase_add_test(t, refuses_other_identity);
	tcase_add_test(t, refuses_other_traffic);
	tcase_add_test(t, refuses_by_role);
	tcase_add_test(t, stack_refuses);
	suite_add_tcase(s, t);
	t = tcase_create("agreement");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, main_psk);
	tcase_add_test(t, aggressive_psk);
	tcase_add_loop_test(t, phase_1_suites, 0, sizeof(p1_suites) / sizeof(*p1_suites));
	tcase_add_loop_test(t, phase_2_suites, 0, sizeof(p2_suites) / sizeof(*p2_suites));
	tcase_add_test(t, offers_in_order);
	tcase_add_test(t, rule_is_replaced);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
