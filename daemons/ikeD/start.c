/* Who starts a negotiation: a packet that met an anchor without a tunnel (on demand), a LocalDynVpnRule with AutoActivate, an operator.
 * What it is to protect follows z/OS (zos.md section 6): an IpLocalStartAction says for each of addresses, ports and protocol whether the packet
 * or the rule decides; lib/policy says what holds for a rule that has none. */
#include "daemons/ikeD/iked.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"

enum { AUTO_FIRST_US = 2000000, AUTO_MAX_US = 60000000 };

static struct addr_range single(const struct addr *a)
{
	return (struct addr_range){*a, *a};
}

/* The rule's range that holds the address. */
static struct addr_range rule_range(const struct addr_range *r, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_range_covers(&r[i], a))
			return r[i];
	return single(a);
}

/* The rule's service that the packet belongs to; NULL: none names its protocol, so the packet decides. */
static const struct policy_service *service_of(const struct policy_rule *r, uint16_t protocol, uint16_t sport, uint16_t dport)
{
	for (size_t i = 0; i < r->n_services; i++) {
		const struct policy_service *v = &r->services[i];
		bool ported = protocol == 6 || protocol == 17;
		bool ports = !ported || ((!v->source_hi || (sport >= v->source_lo && sport <= v->source_hi)) &&
						(!v->dest_hi || (dport >= v->dest_lo && dport <= v->dest_hi)));
		if (v->protocol == POLICY_PROTO_ALL || (v->protocol == protocol && ports))
			return v;
	}
	return NULL;
}

/* IKEv1 can name one port or all of them (RFC 2407 section 4.6.2). */
static uint16_t rule_port(uint16_t lo, uint16_t hi)
{
	return lo == hi ? lo : 0;
}

void start_selector(const struct policy_rule *r, const Stack__Acquire *a, const struct addr *src, const struct addr *dst,
	struct selector *ret)
{
	const struct start_action *g = r->start;
	uint16_t protocol = (uint16_t)a->protocol, sport = (uint16_t)a->source_port, dport = (uint16_t)a->dest_port;
	const struct policy_service *v = service_of(r, protocol, sport, dport);
	ret->local = !g || g->local_ip_packet ? single(src) : rule_range(r->sources, r->n_sources, src);
	ret->remote = !g || g->remote_ip_packet ? single(dst) : rule_range(r->dests, r->n_dests, dst);
	ret->protocol = (g && g->protocol_packet) || !v ? protocol : v->protocol;
	ret->local_port = ret->remote_port = 0;
	if (ret->protocol == POLICY_PROTO_ALL)
		return;
	ret->local_port = (g && g->local_port_packet) || !v ? sport : rule_port(v->source_lo, v->source_hi);
	ret->remote_port = (g && g->remote_port_packet) || !v ? dport : rule_port(v->dest_lo, v->dest_hi);
}

static bool allows_on_demand(const struct policy_rule *r)
{
	return r->vpn && r->start && r->start->allow_on_demand;
}

void start_acquire(struct iked_stack *s, const Stack__Acquire *m)
{
	struct iked_counters *c = &s->iked->counters;
	struct addr src, dst;
	struct errbuf e = {""};
	char id[16] = "";
	const struct policy_rule *r = m->rule ? policy_rule_find(s->conf.policy, m->rule) : NULL;
	c->acquires++;
	if (!r || !m->source || !m->destination || addr_parse(m->source, &src) || addr_parse(m->destination, &dst) || !allows_on_demand(r)) {
		c->acquires_refused++;
		return;
	}
	struct ike_activate a = {.rule = r};
	start_selector(r, m, &src, &dst, &a.sel);
	a.local_endpoint = r->start && r->start->local_endpoint.family ? r->start->local_endpoint : src;
	a.remote_endpoint = r->start && r->start->remote_endpoint.family ? r->start->remote_endpoint : dst;
	int rc = ike_activate(s->engine, &a, iked_now_us(), &e, id);
	if (rc && rc != -EALREADY) {
		c->acquires_refused++;
		log_notice("on-demand activation refused", "stack", s->conf.name, "rule", m->rule, "source", m->source, "destination",
			m->destination, "reason", e.text);
	}
}

int start_local(struct iked_stack *s, const struct local_vpn_rule *l, struct errbuf *e, char id[16])
{
	struct ike_activate a = {.local_rule = l->name};
	if (l->asleep)
		return err_set(e, EPERM, "LocalDynVpnRule %.64s: none of its time conditions holds now", l->name);
	if (policy_local_anchor(s->conf.policy, l, &a.rule, &a.sel))
		return err_set(e, ENOENT, "LocalDynVpnRule %.64s: no filter rule with a dynamic VPN action covers it", l->name);
	const struct start_action *g = a.rule->start;
	a.local_endpoint = l->local_endpoint.family ? l->local_endpoint : g && g->local_endpoint.family ? g->local_endpoint : a.sel.local.lo;
	a.remote_endpoint = l->remote_endpoint.family ? l->remote_endpoint : g && g->remote_endpoint.family ? g->remote_endpoint :
													       a.sel.remote.lo;
	if (!a.local_endpoint.family || !a.remote_endpoint.family)
		return err_set(e, EINVAL, "LocalDynVpnRule %.64s: no security endpoints; an IpLocalStartAction names them", l->name);
	return ike_activate(s->engine, &a, iked_now_us(), e, id);
}

void start_autos_reset(struct iked_stack *s)
{
	free(s->autos);
	s->autos = s->conf.policy->n_local_rules ? xcalloc(s->conf.policy->n_local_rules, sizeof(*s->autos)) : NULL;
}

/* Which of them have a tunnel, or one under way. */
static void mark_autos(struct iked_stack *s)
{
	const struct ipsec_policy *p = s->conf.policy;
	const struct ike_child_info *c;
	char after[16] = "";
	for (size_t i = 0; i < p->n_local_rules; i++)
		s->autos[i].there = false;
	while ((c = ike_child_next(s->engine, after[0] ? after : NULL))) {
		(void)snprintf(after, sizeof(after), "%s", c->child->tunnel_id);
		for (size_t i = 0; c->child->local_rule[0] && c->state != IKE_CHILD_EXPIRED && i < p->n_local_rules; i++)
			if (!strcmp(p->local_rules[i].name, c->child->local_rule)) {
				s->autos[i].there = true;
				if (c->state == IKE_CHILD_DONE)
					s->autos[i].backoff_us = 0;
			}
	}
}

/* Looked at each second: a rule that has no tunnel is started again, at first soon and then less often. */
void start_autos(struct iked_stack *s, uint64_t now_us)
{
	const struct ipsec_policy *p = s->conf.policy;
	bool any = false;
	for (size_t i = 0; i < p->n_local_rules && !any; i++)
		any = p->local_rules[i].auto_activate && !p->local_rules[i].asleep;
	if (!any || !s->ready || !s->n_sockets)
		return;
	mark_autos(s);
	for (size_t i = 0; i < p->n_local_rules; i++) {
		struct iked_auto *a = &s->autos[i];
		struct errbuf e = {""};
		char id[16] = "";
		if (!p->local_rules[i].auto_activate || p->local_rules[i].asleep || a->there || now_us < a->retry_us)
			continue;
		s->iked->counters.autos++;
		int rc = start_local(s, &p->local_rules[i], &e, id);
		if (rc && rc != -EALREADY)
			log_warning("auto-activation refused", "stack", s->conf.name, "rule", p->local_rules[i].name, "reason", e.text);
		a->backoff_us = !a->backoff_us ? AUTO_FIRST_US : 2 * a->backoff_us > AUTO_MAX_US ? AUTO_MAX_US : 2 * a->backoff_us;
		a->retry_us = now_us + a->backoff_us;
	}
}
