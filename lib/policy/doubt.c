/* What a policy says that is no mistake and yet will hardly be meant. */
#include "lib/policy/ipsec.h"

struct doubts {
	const struct ipsec_policy *p;
	policy_doubt_fn fn;
	void *arg;
	size_t n;
};

static void __attribute__((format(printf, 2, 3))) doubt(struct doubts *d, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->n++;
	d->fn(d->arg, text);
}

enum { CHECKED_MAX = 1000 }; /* each is held against every rule */

static void local_rules(struct doubts *d)
{
	if (d->p->n_local_rules > CHECKED_MAX)
		doubt(d, "of %zu rules of LocalDynVpnPolicy only the first %d were checked for an anchor", d->p->n_local_rules, CHECKED_MAX);
	for (size_t i = 0; i < d->p->n_local_rules && i < CHECKED_MAX; i++) {
		const struct policy_rule *rule;
		struct selector s;
		if (policy_local_anchor(d->p, &d->p->local_rules[i], &rule, &s) < 0)
			doubt(d, "LocalDynVpnRule '%s': no anchor rule covers all of it, so it cannot be activated", d->p->local_rules[i].name);
	}
}

/* IKE itself needs a rule in front of the anchor that would protect it (zos.md section 6). */
static bool permits_ike(const struct policy_rule *r)
{
	if (r->action != POLICY_PERMIT)
		return false;
	for (size_t i = 0; i < r->n_services; i++) {
		const struct policy_service *s = &r->services[i];
		if ((s->protocol == POLICY_PROTO_ALL || s->protocol == 17) && s->source_lo <= 500 && s->source_hi >= 500 && s->inbound &&
			s->outbound && s->routing & POLICY_LOCAL)
			return true;
	}
	return false;
}

static void anchors(struct doubts *d)
{
	bool anchor = false, ike = false;
	for (size_t i = 0; i < d->p->n_rules; i++) {
		anchor = anchor || d->p->rules[i].vpn;
		ike = ike || permits_ike(&d->p->rules[i]);
	}
	if (!anchor)
		return;
	if (!ike)
		doubt(d, "no rule permits IKE (UDP 500, both directions, local) in the clear: no tunnel can be negotiated");
	if (!d->p->n_kex_rules)
		doubt(d, "anchor rules, and no KeyExchangeRule: no tunnel can be negotiated unless another file has one");
}

static void weak_kex(struct doubts *d, const struct kex_rule *r)
{
	for (size_t i = 0; i < r->action.n_offers; i++) {
		const struct kex_offer *o = &r->action.offers[i];
		if (o->enc == IKE_ENC_DES || o->hash == IKE_HASH_MD5 || o->group == 1)
			doubt(d, "KeyExchangeRule '%s', offer %zu: DES, MD5 and Group1 can be broken", r->name, i + 1);
	}
}

/* RFC 2409 section 5.4: in main mode the key is chosen by address, before the identity is known. */
static void psk_by_name(struct doubts *d, const struct kex_rule *r)
{
	bool psk = false, by_address = r->remote.identity.type == IKE_ID_IPV4 || r->remote.identity.type == IKE_ID_IPV6;
	for (size_t i = 0; i < r->action.n_offers; i++)
		psk = psk || r->action.offers[i].auth == IKE_AUTH_PSK;
	if (psk && !by_address && r->action.respond != IKE_MODE_AGGRESSIVE && !addr_range_single(&r->remote.location))
		doubt(d, "KeyExchangeRule '%s': in main mode a preshared key is chosen by address alone, so give the peer a Location of one "
			 "address", r->name);
}

static void weak_data(struct doubts *d, const struct vpn_action *a)
{
	for (size_t i = 0; i < a->n_offers; i++) {
		const struct data_offer *o = &a->offers[i];
		if (o->esp == IPSEC_ESP_DES || o->auth == IPSEC_AUTH_MD5)
			doubt(d, "IpDynVpnAction '%s', offer %zu: DES and MD5 can be broken", a->name, i + 1);
	}
}

size_t policy_doubts(const struct ipsec_policy *p, policy_doubt_fn fn, void *arg)
{
	struct doubts d = {p, fn, arg, 0};
	anchors(&d);
	local_rules(&d);
	for (size_t i = 0; i < p->n_kex_rules; i++) {
		weak_kex(&d, &p->kex_rules[i]);
		psk_by_name(&d, &p->kex_rules[i]);
	}
	for (size_t i = 0; i < p->n_vpn_actions; i++)
		weak_data(&d, &p->vpn_actions[i]);
	return d.n;
}
