/* IpFilterRule: addresses, services and what happens to a match. */
#include "lib/base/ipproto.h"
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"
#include <strings.h>

static enum policy_logging logging_of(const struct conf_node *action)
{
	static const enum policy_logging words[] = {
		POLICY_LOG_NONE, POLICY_LOG_ALL, POLICY_LOG_ALL, POLICY_LOG_PERMIT, POLICY_LOG_DENY};
	return words[build_word(action, "IpFilterLogging", 0)];
}

static int tunnel_of(struct build *b, struct conf_node *rule, struct policy_rule *r)
{
	struct conf_node *man = conf_child(rule, "IpManVpnActionRef"), *dyn = conf_child(rule, "IpDynVpnActionRef"),
			 *start = conf_child(rule, "IpLocalStartActionRef"), *ref = man ? man : dyn;
	if (man && dyn)
		return conf_node_error(dyn, "found IpDynVpnActionRef beside IpManVpnActionRef in IpFilterRule '%s', expected one of them",
			r->name);
	if (ref && r->action != POLICY_IPSEC)
		return conf_node_error(ref, "found %s in IpFilterRule '%s', expected it with IpFilterAction IpSec alone", ref->stmt->name,
			r->name);
	if (!ref && r->action == POLICY_IPSEC)
		return conf_node_error(rule,
			"found no IpManVpnActionRef and no IpDynVpnActionRef in IpFilterRule '%s', whose action is IpSec, expected one", r->name);
	if (start && !dyn)
		return conf_node_error(start, "found IpLocalStartActionRef in IpFilterRule '%s', expected it with IpDynVpnActionRef alone",
			r->name);
	if (!ref)
		return 0;
	struct conf_node *object = build_ref(b, ref, man ? "IpManVpnAction" : "IpDynVpnAction");
	if (!object)
		return -EINVAL;
	if (man) {
		r->manual = conf_str(object, "name");
		return 0;
	}
	r->vpn = vpn_action_of(b, conf_str(object, "name"));
	r->start = &b->p->start_actions[0];
	if (start && !(object = build_ref(b, start, "IpLocalStartAction")))
		return -EINVAL;
	if (start)
		r->start = start_action_of(b, conf_str(object, "name"));
	return 0;
}

static int action_of(struct build *b, struct conf_node *rule, struct policy_rule *r)
{
	struct conf_node *ref = conf_child(rule, "IpGenericFilterActionRef");
	struct conf_node *action = ref ? build_ref(b, ref, "IpGenericFilterAction") : NULL;
	if (!action)
		return -EINVAL;
	r->action = (enum policy_action)build_word(action, "IpFilterAction", 0);
	r->logging = logging_of(action);
	r->discard_icmp = build_word(action, "DiscardAction", 0);
	return tunnel_of(b, rule, r);
}

static bool one_or_all(uint16_t lo, uint16_t hi)
{
	return lo == hi || (!lo && hi == UINT16_MAX);
}

/* What IKEv1 can negotiate: both directions, selectors that a packet shows, a port or all of them. */
static int anchor_check(struct conf_node *rule, const struct policy_rule *r)
{
	for (size_t i = 0; i < r->n_services; i++) {
		const struct policy_service *s = &r->services[i];
		if (!s->inbound || !s->outbound)
			return conf_node_error(rule, "found a service of one direction in IpFilterRule '%s', expected BiDirectional: tunnels are "
						     "negotiated for both", r->name);
		if (s->protocol == POLICY_PROTO_OPAQUE || s->fragments_only)
			return conf_node_error(rule, "found a service for opaque packets or fragments in IpFilterRule '%s', expected none: IKEv1 "
						     "cannot negotiate it", r->name);
		if (!ipproto_ports(s->protocol))
			continue;
		if ((!r->start->local_port_packet && !one_or_all(s->source_lo, s->source_hi)) ||
			(!r->start->remote_port_packet && !one_or_all(s->dest_lo, s->dest_hi)))
			return conf_node_error(rule, "found a range of ports in IpFilterRule '%s', expected one port or all of them, or port "
						     "granularity Packet in an IpLocalStartAction: IKEv1 cannot negotiate it", r->name);
	}
	return 0;
}

static unsigned family_of(const struct addr_range *r)
{
	return r->lo.family == 6 ? 2 : r->lo.family == 4 ? 1 : 0;
}

/* How many simple filters the rule makes, each of one family and direction. */
static int count(struct build *b, struct conf_node *rule, const struct policy_rule *r)
{
	size_t fam[2][3] = {{0}}, dirs = 0; /* of sources and destinations: all, IPv4, IPv6 */
	for (size_t i = 0; i < r->n_sources; i++)
		fam[0][family_of(&r->sources[i])]++;
	for (size_t i = 0; i < r->n_dests; i++)
		fam[1][family_of(&r->dests[i])]++;
	for (size_t i = 0; i < r->n_services; i++)
		dirs += (size_t)r->services[i].inbound + r->services[i].outbound;
	/* "All" is a filter of each family, but one that meets an address is of that address's. */
	size_t pairs = 2 * fam[0][0] * fam[1][0];
	for (unsigned f = 1; f < 3; f++)
		pairs += fam[0][0] * fam[1][f] + fam[0][f] * fam[1][0] + fam[0][f] * fam[1][f];
	if (!pairs)
		return conf_node_error(rule, "found source and destination of different families in IpFilterRule '%s', expected the same",
			r->name);
	b->filters += pairs * dirs;
	b->entries += r->n_sources + r->n_dests + r->n_services;
	if (b->filters <= POLICY_FILTERS_MAX && b->entries <= BUILD_TOTAL_MAX)
		return 0;
	(void)conf_node_error(rule, "found more than %d simple filters, expected at most so many", POLICY_FILTERS_MAX);
	return -E2BIG;
}

static struct policy_rule *rule_new(struct ipsec_policy *p)
{
	if (!(p->n_rules & (p->n_rules - 1)))
		p->rules = xrealloc(p->rules, p->n_rules ? 2 * p->n_rules : 1, sizeof(*p->rules));
	struct policy_rule *r = &p->rules[p->n_rules++];
	memset(r, 0, sizeof(*r));
	return r;
}

int filter_rule_build(struct build *b, struct conf_node *rule, const char *group)
{
	struct ranges src = {0}, dst = {0};
	if (b->p->n_rules == POLICY_RULES_MAX) {
		(void)conf_node_error(rule, "found more than %d rules, expected at most so many", POLICY_RULES_MAX);
		return -E2BIG;
	}
	struct policy_rule *r = rule_new(b->p);
	build_name(r->name, rule);
	(void)snprintf(r->group, sizeof(r->group), "%s", group);
	/* All are looked at, so that one run shows every mistake. */
	int rc = action_of(b, rule, r);
	rc = ranges_of_rule(b, rule, "Source", &src) < 0 ? -EINVAL : rc;
	rc = ranges_of_rule(b, rule, "Dest", &dst) < 0 ? -EINVAL : rc;
	rc = services_of_rule(b, rule, r) < 0 ? -EINVAL : rc;
	rc = whens_of_rule(b, rule, &r->when) < 0 ? -EINVAL : rc;
	r->sources = src.v;
	r->n_sources = src.n;
	r->dests = dst.v;
	r->n_dests = dst.n;
	if (!rc && r->vpn)
		rc = anchor_check(rule, r);
	return rc ? rc : count(b, rule, r);
}
