/* Tunnels of both protocols, AH over ESP, between two engines: what does not become one first; keys and SPIs of each, renewals, deletes of
 * either, the end of a life, restarts. */
#include "lib/ike/engine.h"
#include "tests/unit/lib/ike/pair_check.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define DATA(encap, enc, auth, rest) "IpDataOffer { HowToEncap " encap "\n HowToEncrypt " enc "\n HowToAuth " auth "\n" rest "}\n"
#define BOTH DATA("Tunnel", "AES_CBC KeyLength 128", "AH HMAC_SHA1", "")
#define ESP_ONLY DATA("Tunnel", "AES_CBC KeyLength 128", "ESP HMAC_SHA1", "")
#define AH_ONLY DATA("Tunnel", "DoNot", "AH HMAC_SHA1", "")

static const struct ike_child *child(struct pair *n, unsigned who)
{
	const struct ike_child_info *i = ike_child_next(n->peer[who].k, NULL);
	ck_assert_ptr_nonnull(i);
	return i->child;
}

START_TEST(one_is_not_both)
{
	static const char *const others[] = {ESP_ONLY, AH_ONLY, ESP_ONLY AH_ONLY, DATA("Tunnel", "AES_CBC KeyLength 128", "AH HMAC_MD5", ""),
		DATA("Tunnel", "AES_CBC KeyLength 256", "AH HMAC_SHA1", ""), DATA("Transport", "AES_CBC KeyLength 128", "AH HMAC_SHA1", ""),
		DATA("Tunnel", "AES_GCM KeyLength 128", "AH HMAC_SHA1", "")};
	for (unsigned i = 0; i < 2 * sizeof(others) / sizeof(*others); i++) {
		struct pair_policy a = {.data = BOTH}, b = {.data = others[i / 2]};
		struct pair *n = i % 2 ? pair_new(&a, &b, NULL, NULL) : pair_new(&b, &a, NULL, NULL);
		char id[16];
		ck_assert_int_eq(pair_activate(n, 0, id), 0);
		pair_pass(n, PAIR_SECOND);
		ck_assert(!pair_up(n));
		ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
		SAYS(n, 1, "NO-PROPOSAL-CHOSEN");
		SAYS(n, 0, "the peer refused: NO-PROPOSAL-CHOSEN");
		pair_free(n);
	}
}
END_TEST

START_TEST(behind_a_nat)
{
	struct pair_policy o = {.data = BOTH, .nat = "Yes", .remote_location = "192.0.2.0/24", .remote_id = "IpAddr 192.0.2.1"},
			   l = {.data = BOTH, .nat = "Yes"};
	struct pair *n = pair_new(&l, &o, NULL, NULL);
	char id[16];
	n->nat = true;
	(void)pair_activate(n, 0, id);
	pair_pass(n, 2 * PAIR_SECOND);
	ck_assert(!pair_up(n));
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	pair_free(n);
}
END_TEST

/* What is installed is of one shape at both ends, and each of four SPIs has keys of its own. */
START_TEST(kinds)
{
	static const struct {
		const char *data;
		bool tunnel, esn;
		uint16_t enc, auth;
	} all[] = {{BOTH, true, false, 16, 20}, {DATA("Transport", "3DES", "AH HMAC_MD5", ""), false, false, 24, 16},
		{DATA("Tunnel", "AES_GCM KeyLength 256", "AH HMAC_SHA2_512_256", "ExtendedSequenceNumbers Yes\n"), true, true, 36, 64},
		{DATA("Tunnel", "AES_CBC KeyLength 256", "AH AES128_XCBC_96", "ExtendedSequenceNumbers Yes\n"), true, true, 32, 16},
		{ESP_ONLY BOTH, true, false, 16, 20}};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct pair_policy o = {.data = all[i].data, .pfs = i % 2 ? "Group19" : NULL, .pfs_ok = i % 2 ? "Group19" : NULL},
				   r = {.data = i == 4 ? BOTH ESP_ONLY : all[i].data, .pfs_ok = o.pfs_ok};
		struct pair *n = begin(&o, &r);
		for (unsigned who = 0; who < 2; who++) {
			const struct ike_child *c = &n->peer[who].children[0].c;
			ck_assert(c->bundle && c->proto == IPSEC_PROTO_ESP && c->tunnel == all[i].tunnel && c->esn == all[i].esn && !c->udp);
			ck_assert(c->in.enc_key_len == all[i].enc && !c->in.auth_key_len);
			ck_assert(!c->in_ah.enc_key_len && c->in_ah.auth_key_len == all[i].auth);
			ck_assert(c->in.spi >= 256 && c->in_ah.spi >= 256 && c->in.spi != c->in_ah.spi);
			ck_assert(memcmp(c->in_ah.auth_key, c->out_ah.auth_key, 16) && memcmp(c->in.enc_key, c->in_ah.auth_key, 16));
		}
		pair_free(n);
	}
}
END_TEST

/* KEYMAT = prf(SKEYID_d, protocol | SPI | Ni_b | Nr_b), computed here (RFC 2409 section 5.5). */
static void keymat(const struct p1 *p, const struct quick *q, uint8_t protocol, uint32_t spi, uint8_t out[32])
{
	uint8_t text[256] = {protocol, (uint8_t)(spi >> 24), (uint8_t)(spi >> 16), (uint8_t)(spi >> 8), (uint8_t)spi};
	unsigned len = 32;

	ck_assert_uint_le(5 + q->ni.len + q->nr.len, sizeof(text));
	memcpy(text + 5, q->ni.p, q->ni.len);
	memcpy(text + 5 + q->ni.len, q->nr.p, q->nr.len);
	ck_assert_ptr_nonnull(HMAC(EVP_sha256(), p->keys.d, 32, text, 5 + q->ni.len + q->nr.len, out, &len));
}

START_TEST(keys_of_each)
{
	struct pair_policy o = {.data = BOTH};
	struct pair *n = begin(&o, &o);
	const struct p1 *p = TAILQ_FIRST(&n->peer[0].k->p1s);
	const struct quick *q = TAILQ_FIRST(&p->quicks);
	const struct ike_child *c = &n->peer[0].children[0].c;
	uint8_t want[32];

	ck_assert(q && q->ni.len && q->nr.len && p->suite.prf_len == 32);
	keymat(p, q, IPSEC_PROTO_ESP, c->in.spi, want);
	ck_assert_mem_eq(c->in.enc_key, want, 16);
	keymat(p, q, IPSEC_PROTO_AH, c->in_ah.spi, want);
	ck_assert_mem_eq(c->in_ah.auth_key, want, 20);
	keymat(p, q, IPSEC_PROTO_ESP, c->out.spi, want);
	ck_assert_mem_eq(c->out.enc_key, want, 16);
	keymat(p, q, IPSEC_PROTO_AH, c->out_ah.spi, want);
	ck_assert_mem_eq(c->out_ah.auth_key, want, 20);
	/* nothing of them stays in the engine */
	ck_assert_uint_eq(child(n, 0)->in_ah.spi, c->in_ah.spi);
	for (size_t i = 0; i < 20; i++)
		ck_assert_uint_eq(child(n, 0)->in_ah.auth_key[i] | child(n, 1)->out_ah.auth_key[i] | q->child.in_ah.auth_key[i], 0);
	pair_free(n);
}
END_TEST

START_TEST(renewed_and_over)
{
	struct pair_policy o = {.data = DATA("Tunnel", "AES_CBC KeyLength 128", "AH HMAC_SHA1",
				    "RefreshLifetimeProposed 10\n RefreshLifetimeAccepted 1 480\n")};
	struct pair *n = begin(&o, &o);
	uint32_t spi = child(n, 0)->in_ah.spi;
	always_up(n, 1500); /* two lives */
	ck_assert(child(n, 0)->generation >= 3 && child(n, 0)->bundle && child(n, 0)->in_ah.spi != spi);
	ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
	for (unsigned who = 0; who < 2; who++) /* the first pair went at its time, once */
		ck_assert(!n->peer[who].children[0].there && n->peer[who].children[0].removed == 1);
	n->cut_off = true; /* no renewal: it ends */
	pair_pass(n, 700 * PAIR_SECOND);
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	pair_free(n);
}
END_TEST

/* Either end deletes: one message, both SPIs. */
START_TEST(deleted)
{
	struct pair_policy o = {.data = BOTH};
	for (unsigned who = 0; who < 2; who++) {
		struct pair *n = begin(&o, &o);
		size_t sent = n->sent;
		ck_assert_int_eq(ike_deactivate(n->peer[who].k, "Y1", false, n->now), 0);
		ck_assert_uint_eq(n->sent, sent + 1);
		pair_pass(n, PAIR_SECOND);
		ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
		ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
		SAYS(n, !who, "the peer deleted it");
		ck_assert_ptr_null(ike_child_next(n->peer[!who].k, NULL));
		pair_free(n);
	}
}
END_TEST

/* A peer that names one of the two only: neither is of use without the other. And one that nobody has changes nothing. */
START_TEST(deleted_by_halves)
{
	struct pair_policy o = {.data = BOTH};
	for (unsigned i = 0; i < 4; i++) {
		struct pair *n = begin(&o, &o);
		struct p1 *p = TAILQ_FIRST(&n->peer[0].k->p1s);
		const struct ike_child *c = child(n, 0);
		const uint32_t spis[] = {c->out.spi, c->out_ah.spi, c->out.spi, c->out_ah.spi};
		const uint8_t protocols[] = {IPSEC_PROTO_ESP, IPSEC_PROTO_AH, IPSEC_PROTO_AH, IPSEC_PROTO_ESP};
		tunnel_deleted(p, protocols[i], spis[i]);
		ike_tick(n->peer[0].k, n->now, PAIR_WALL + n->now); /* reaps */
		ck_assert_uint_eq(there(&n->peer[0]), i < 2 ? 0 : 1);
		ck_assert_uint_eq(n->peer[0].twice, 0);
		pair_free(n);
	}
}
END_TEST

START_TEST(crossed)
{
	struct pair_policy o = {.data = BOTH};
	struct pair *n = begin(&o, &o);
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "Y1", n->now), 0);
	ck_assert_int_eq(ike_refresh(n->peer[1].k, "Y1", n->now), 0);
	always_up(n, 30);
	ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
	pair_free(n);
}
END_TEST

START_TEST(peer_dies)
{
	struct pair_policy o = {.data = BOTH};
	struct pair *n = begin(&o, &o);
	n->cut_off = true;
	pair_pass(n, 400 * PAIR_SECOND);
	SAYS(n, 0, "taken for dead");
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	pair_free(n);
}
END_TEST

/* An engine that begins anew takes over what its stack has; the other end's delete finds both. */
START_TEST(resumed)
{
	struct pair_policy o = {.data = BOTH};
	struct pair *n = begin(&o, &o);
	struct pair_peer *p = &n->peer[0];
	struct ike_child c = p->children[0].c;
	ike_free(p->k);
	pair_start(p, NULL);
	ck_assert_int_eq(ike_resume(p->k, &c, n->now), 0);
	pair_pass(n, 10 * PAIR_SECOND);
	UP(n);
	ck_assert(child(n, 0)->bundle && child(n, 0)->out_ah.spi == c.out_ah.spi);
	ck_assert_int_eq(ike_deactivate(n->peer[1].k, "Y1", false, n->now), 0);
	pair_pass(n, PAIR_SECOND);
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	pair_free(n);
}
END_TEST

/* A policy that has only one of the two left does not allow it any more. */
START_TEST(policy_changes)
{
	struct pair_policy o = {.data = BOTH}, same = {.data = ESP_ONLY BOTH}, less = {.data = ESP_ONLY AH_ONLY};
	struct ipsec_policy *with = pair_policy(PAIR_LEFT, PAIR_RIGHT, PAIR_LEFT_NET, PAIR_RIGHT_NET, &same),
			    *without = pair_policy(PAIR_LEFT, PAIR_RIGHT, PAIR_LEFT_NET, PAIR_RIGHT_NET, &less);
	struct pair *n = begin(&o, &o);
	ike_policy(n->peer[0].k, with, n->now);
	pair_pass(n, PAIR_SECOND);
	UP(n);
	ike_policy(n->peer[0].k, without, n->now);
	pair_pass(n, PAIR_SECOND);
	ck_assert_uint_eq(there(&n->peer[0]) + there(&n->peer[1]), 0);
	pair_free(n);
	ipsec_policy_free(with);
	ipsec_policy_free(without);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.both");
	TCase *t = tcase_create("both");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, one_is_not_both);
	tcase_add_test(t, behind_a_nat);
	tcase_add_test(t, kinds);
	tcase_add_test(t, keys_of_each);
	tcase_add_test(t, renewed_and_over);
	tcase_add_test(t, deleted);
	tcase_add_test(t, deleted_by_halves);
	tcase_add_test(t, crossed);
	tcase_add_test(t, peer_dies);
	tcase_add_test(t, resumed);
	tcase_add_test(t, policy_changes);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
