/* allowed: what a new policy still has of what the old one let us agree on. What it does not have ends at once; the rest lives on. */
#include "lib/ike/engine.h"

static bool has_kex_offer(const struct kex_action *a, const struct kex_offer *o)
{
	for (size_t i = 0; i < a->n_offers; i++) {
		const struct kex_offer *n = &a->offers[i];
		if (n->enc == o->enc && n->key_bits == o->key_bits && n->hash == o->hash && n->xcbc == o->xcbc && n->auth == o->auth &&
			n->group == o->group)
			return true;
	}
	return false;
}

/* @p->rule is of the old policy. */
static bool kex_allows(const struct kex_rule *r, const struct p1 *p)
{
	const struct kex_rule *old = p->rule;

	if (!addr_range_covers(&r->local.location, &p->path.local) || !addr_range_covers(&r->remote.location, &p->path.remote))
		return false;
	if (p->step != P1_DONE) /* what is under way goes on only under the same words */
		return r->action.n_offers == old->action.n_offers && r->shared_key_len == old->shared_key_len &&
		       !memcmp(r->shared_key, old->shared_key, r->shared_key_len);
	if (!has_kex_offer(&r->action, &p->offer))
		return false;
	if (p->offer.auth == IKE_AUTH_PSK && (r->shared_key_len != old->shared_key_len ||
						     memcmp(r->shared_key, old->shared_key, r->shared_key_len)))
		return false;
	return policy_identity_match(&r->remote.identity, p->peer.type, p->peer.data, p->peer.len);
}

const struct kex_rule *allowed_p1(const struct ipsec_policy *policy, const struct p1 *p)
{
	for (size_t i = 0; p->rule && i < policy->n_kex_rules; i++)
		if (!policy->kex_rules[i].asleep && !strcmp(policy->kex_rules[i].name, p->rule->name) && kex_allows(&policy->kex_rules[i], p))
			return &policy->kex_rules[i];
	return NULL;
}

bool allowed_tunnel(const struct ipsec_policy *policy, const struct tunnel *t)
{
	const struct ike_child *c = &t->child;
	const struct policy_rule *r = policy_anchor(policy, &c->sel);

	if (!r || strcmp(r->name, c->rule) || strcmp(r->vpn->name, c->vpn_action))
		return false;
	for (size_t i = 0; t->live && i < r->vpn->n_offers; i++) {
		const struct data_offer *o = &r->vpn->offers[i];
		if (o->tunnel == c->tunnel && o->ah == (c->bundle || c->proto == IPSEC_PROTO_AH) && o->esp == c->esp && o->key_bits == c->key_bits &&
			o->auth == c->auth)
			return true;
	}
	return !t->live;
}
