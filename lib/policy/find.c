/* Questions to a policy: which anchor protects this, which rule is for these two ends, is that the peer. */
#include "lib/base/ipproto.h"
#include "lib/policy/ipsec.h"
#include <string.h>

static bool port_within(uint16_t port, uint16_t lo, uint16_t hi)
{
	return port ? port >= lo && port <= hi : !lo && hi == UINT16_MAX;
}

static bool service_covers(const struct policy_service *s, const struct selector *sel)
{
	if (s->protocol == POLICY_PROTO_ALL)
		return true;
	if (s->protocol != sel->protocol)
		return false;
	if (!ipproto_ports(s->protocol)) /* IKEv1 does not negotiate types and codes: the filter goes on limiting them */
		return true;
	return port_within(sel->local_port, s->source_lo, s->source_hi) && port_within(sel->remote_port, s->dest_lo, s->dest_hi);
}

static bool one_contains(const struct addr_range *v, size_t n, const struct addr_range *inner)
{
	for (size_t i = 0; i < n; i++)
		if (addr_range_contains(&v[i], inner))
			return true;
	return false;
}

static bool rule_covers(const struct policy_rule *r, const struct selector *s)
{
	if (!one_contains(r->sources, r->n_sources, &s->local) || !one_contains(r->dests, r->n_dests, &s->remote))
		return false;
	for (size_t i = 0; i < r->n_services; i++)
		if (service_covers(&r->services[i], s))
			return true;
	return false;
}

const struct policy_rule *policy_anchor(const struct ipsec_policy *p, const struct selector *s)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].vpn && !p->rules[i].asleep && rule_covers(&p->rules[i], s))
			return &p->rules[i];
	return NULL;
}

const struct policy_rule *policy_rule_find(const struct ipsec_policy *p, const char *name)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (!p->rules[i].asleep && !strcmp(p->rules[i].name, name))
			return &p->rules[i];
	return NULL;
}

const struct local_vpn_rule *policy_local_rule(const struct ipsec_policy *p, const char *name)
{
	for (size_t i = 0; i < p->n_local_rules; i++)
		if (!strcmp(p->local_rules[i].name, name))
			return &p->local_rules[i];
	return NULL;
}

int policy_local_anchor(const struct ipsec_policy *p, const struct local_vpn_rule *r, const struct policy_rule **rule,
	struct selector *sel)
{
	struct selector s = {.local = r->local_ip, .remote = r->remote_ip, .protocol = r->protocol, .local_port = r->local_port,
		.remote_port = r->remote_port};
	const struct policy_rule *anchor = policy_anchor(p, &s);
	if (!anchor)
		return -ENOENT;
	*rule = anchor;
	*sel = s;
	return 0;
}

const struct kex_rule *policy_kex_rule(const struct ipsec_policy *p, const struct addr *local, const struct addr *remote, size_t *from)
{
	while (*from < p->n_kex_rules) {
		const struct kex_rule *r = &p->kex_rules[(*from)++];
		if (!r->asleep && addr_range_covers(&r->local.location, local) && addr_range_covers(&r->remote.location, remote))
			return r;
	}
	return NULL;
}

bool policy_identity_match(const struct ike_identity *want, uint8_t type, const void *data, size_t len)
{
	struct ident id;
	if (ident_from_wire(type, data, len, &id, NULL) < 0)
		return false;
	if (want->type == IKE_ID_NONE)
		return true;
	return want->pattern ? ident_pattern_match(want->pattern, &id) : ident_equal(&want->id, &id);
}
