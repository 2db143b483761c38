/* p1_values: what the two ends of a phase 1 agree on and tell each other: the rule and its offer, vendor ids, KE and NONCE, the keys that
 * come of them, and NAT discovery. */
#include "lib/base/secret.h"
#include "lib/ike/engine.h"

enum { NONCE_LEN = 32 };

unsigned p1_own_vids(const struct p1 *p)
{
	bool nat = p->rule ? p->rule->action.allow_nat : false;

	return VID_DPD | VID_FRAGMENTATION | VID_RAVELIN | (nat ? VID_NATT_RFC | VID_NATT_DRAFT_03 | VID_NATT_DRAFT_02 : 0);
}

void p1_take_vids(struct p1 *p, const struct isakmp_payloads *pl)
{
	p->vids |= vids_of(pl);
}

bool p1_answers(const struct kex_rule *r, bool aggressive)
{
	return r->action.respond == IKE_MODE_EITHER || r->action.respond == (aggressive ? IKE_MODE_AGGRESSIVE : IKE_MODE_MAIN);
}

int p1_choose(struct p1 *p, const struct isakmp_payload *sa, struct p1_choice *c, struct ike_refusal *why)
{
	const struct kex_rule *r;
	size_t from = 0;
	bool any = false;

	while ((r = policy_kex_rule(p->ike->c.policy, &p->path.local, &p->path.remote, &from))) {
		if (!p1_answers(r, p->aggressive))
			continue;
		if (p->aggressive && r->remote.identity.pattern && !ident_pattern_match(r->remote.identity.pattern, &p->peer))
			continue;
		any = true;
		if (!offer_p1_choose(sa->body, sa->len, r->action.offers, r->action.n_offers, c, why)) {
			p->rule = r;
			return 0;
		}
	}
	if (any)
		return -EPROTO;
	return ike_refuse(why, NOTIFY_NO_PROPOSAL_CHOSEN,
		p->aggressive ? "no KeyExchangeRule answers aggressive mode of this identity between these addresses"
			      : "no KeyExchangeRule answers main mode between these addresses");
}

int p1_set_offer(struct p1 *p, const struct p1_choice *c)
{
	p->offer = c->agreed;
	if (ike_suite_of(&p->offer, &p->suite))
		return -EPROTONOSUPPORT;
	bool allowed = p->rule && p->rule->action.allow_nat;
	p->natt = allowed && p->vids & (VID_NATT_RFC | VID_NATT_DRAFT_03 | VID_NATT_DRAFT_02);
	p->natt_draft = p->natt && !(p->vids & VID_NATT_RFC);
	return 0;
}

int p1_own_values(struct p1 *p)
{
	struct p1_kex *x = p->x;
	uint8_t nonce[NONCE_LEN];

	if (!x->dh && dh_pool_take(p->ike->pool, p->offer.group, &x->dh))
		return -EIO;
	if (ike_random(p->ike, nonce, sizeof(nonce)))
		return -EIO;
	bytes_set(p->initiator ? &x->ni : &x->nr, nonce, sizeof(nonce));
	bytes_set(p->initiator ? &x->gxi : &x->gxr, dh_key_public(x->dh), dh_public_len(p->offer.group));
	return 0;
}

int p1_take_values(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	const struct isakmp_payload *ke = isakmp_find(pl, ISAKMP_KE, 0), *nonce = isakmp_find(pl, ISAKMP_NONCE, 0);
	struct p1_kex *x = p->x;

	if (!ke || !nonce || isakmp_count(pl, ISAKMP_KE) != 1 || isakmp_count(pl, ISAKMP_NONCE) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "one KE and one NONCE payload are needed");
	if (ike_nonce_check(nonce->len, why))
		return -EPROTO;
	if (ke->len != dh_public_len(p->offer.group))
		return ike_refuse(why, NOTIFY_INVALID_KEY_INFORMATION, "the KE payload's length is not the group's");
	bytes_set(p->initiator ? &x->gxr : &x->gxi, ke->body, ke->len);
	bytes_set(p->initiator ? &x->nr : &x->ni, nonce->body, nonce->len);
	return 0;
}

int p1_shared(struct p1 *p, struct ike_refusal *why)
{
	struct p1_kex *x = p->x;
	const struct bytes *peer = p->initiator ? &x->gxr : &x->gxi;
	uint8_t secret[DH_SHARED_MAX];
	int r = dh_shared(x->dh, peer->p, peer->len, secret, why);

	if (!r)
		bytes_set(&x->gxy, secret, dh_shared_len(p->offer.group));
	secret_wipe(secret, sizeof(secret));
	return r;
}

struct ike_kex p1_kex_of(const struct p1 *p)
{
	const struct p1_kex *x = p->x;
	struct ike_kex v = {.ni = bytes_part(&x->ni), .nr = bytes_part(&x->nr), .gxi = bytes_part(&x->gxi), .gxr = bytes_part(&x->gxr),
		.gxy = bytes_part(&x->gxy), .sai = bytes_part(&x->sai)};

	memcpy(v.icookie, p->icookie, IKE_COOKIE);
	memcpy(v.rcookie, p->rcookie, IKE_COOKIE);
	if (p->offer.auth == IKE_AUTH_PSK && p->rule)
		v.psk = IKE_PART(p->rule->shared_key, p->rule->shared_key_len);
	return v;
}

int p1_keys(struct p1 *p)
{
	struct ike_kex v = p1_kex_of(p);

	if (ike_skeys_derive(&p->suite, &v, &p->keys) || ike_iv_phase1(&p->suite, &v, p->iv))
		return -EIO;
	p->have_keys = true;
	bytes_free(&p->x->gxy);
	return 0;
}

void p1_add_nat(struct p1 *p, struct isakmp_build *b)
{
	uint8_t hash[IKE_HASH_MAX];
	size_t len = ike_hash_len(p->suite.hash);
	uint8_t type = p->natt_draft ? ISAKMP_NAT_D_DRAFT : ISAKMP_NAT_D;

	if (!p->natt)
		return;
	if (!natd_hash(p->suite.hash, p->icookie, p->rcookie, &p->path.remote, p->path.remote_port, hash))
		isakmp_add(b, type, hash, len);
	if (!natd_hash(p->suite.hash, p->icookie, p->rcookie, &p->path.local, p->path.local_port, hash))
		isakmp_add(b, type, hash, len);
}

int p1_take_nat(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	uint8_t type = p->natt_draft ? ISAKMP_NAT_D_DRAFT : ISAKMP_NAT_D;

	if (!p->natt)
		return 0;
	if (!isakmp_count(pl, type)) { /* said it could and does not: without NAT traversal, then */
		p->natt = false;
		ike_event(p->ike, IKE_PROTOCOL_ERROR, p, NULL, NULL, "EZD1098I",
			"Protocol error encountered during phase 1 message processing rsn=2 - negotiation continues");
		return 0;
	}
	return natd_judge(p->suite.hash, h, pl, type, &p->path.local, p->path.local_port, &p->path.remote, p->path.remote_port, &p->nat, why);
}
