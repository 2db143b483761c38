/* LocalDynVpnRule: tunnels that this end starts by name. */
#include "lib/base/ipproto.h"
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"

static uint16_t port_of(const struct conf_node *at)
{
	return at && !at->values[0].is_word ? (uint16_t)at->values[0].u : 0;
}

static int ports(struct conf_node *n, struct local_vpn_rule *r)
{
	struct conf_node *proto = conf_child(n, "Protocol"), *local = conf_child(n, "LocalDataPort"),
			 *remote = conf_child(n, "RemoteDataPort");
	r->protocol = POLICY_PROTO_ALL;
	if (proto && ipproto_parse(conf_str(proto, "protocol"), &r->protocol) < 0)
		return conf_node_error(proto, "found '%s', expected a protocol by name, 0 to 255, or all", conf_str(proto, "protocol"));
	r->local_port = port_of(local);
	r->remote_port = port_of(remote);
	if ((r->local_port || r->remote_port) && !ipproto_ports(r->protocol))
		return conf_node_error(r->local_port ? local : remote, "found a port, expected none but with Protocol tcp, udp or sctp");
	return 0;
}

static int sides(struct build *b, struct conf_node *n, struct local_vpn_rule *r)
{
	static const char *const words[] = {"LocalIp", "RemoteIp"};
	struct addr_range *const out[] = {&r->local_ip, &r->remote_ip};
	int rc = 0;
	for (unsigned i = 0; i < 2; i++) {
		bool given;
		if (range_of_child(b, n, words[i], out[i], &given) < 0)
			rc = -EINVAL;
		else if (!given || !out[i]->lo.family)
			rc = conf_node_error(n, "found no %s in LocalDynVpnRule '%s', expected an address, prefix or range of one family",
				words[i], r->name);
	}
	if (!rc && r->local_ip.lo.family != r->remote_ip.lo.family)
		rc = conf_node_error(n, "found LocalIp and RemoteIp of different families in LocalDynVpnRule '%s', expected the same", r->name);
	return rc;
}

static int local_rule_build(struct build *b, struct conf_node *rule, const char *group)
{
	struct ipsec_policy *p = b->p;
	struct local_vpn_rule r = {.protocol = POLICY_PROTO_ALL};
	struct conf_node *at;
	(void)group;
	if (p->n_local_rules == POLICY_RULES_MAX) {
		(void)conf_node_error(rule, "found more than %d rules, expected at most so many", POLICY_RULES_MAX);
		return -E2BIG;
	}
	build_name(r.name, rule);
	int rc = sides(b, rule, &r);
	rc = ports(rule, &r) < 0 ? -EINVAL : rc;
	r.auto_activate = build_word(rule, "AutoActivate", 0);
	if ((at = conf_child(rule, "LocalSecurityEndpointAddr")))
		r.local_endpoint = conf_get(at, "address")->prefix.addr;
	if ((at = conf_child(rule, "RemoteSecurityEndpointAddr")))
		r.remote_endpoint = conf_get(at, "address")->prefix.addr;
	rc = whens_of_rule(b, rule, &r.when) < 0 ? -EINVAL : rc;
	if (rc) {
		policy_whens_fini(&r.when);
		return rc;
	}
	if (!(p->n_local_rules & (p->n_local_rules - 1))) {
		size_t room = p->n_local_rules ? 2 * p->n_local_rules : 1;
		p->local_rules = xrealloc(p->local_rules, room, sizeof(*p->local_rules));
		b->local = xrealloc(b->local, room, sizeof(struct conf_node *));
	}
	b->local[p->n_local_rules] = rule;
	p->local_rules[p->n_local_rules++] = r;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct conf_node *x = *(struct conf_node *const *)a, *y = *(struct conf_node *const *)b;
	int rc = strcmp(conf_str(x, "name"), conf_str(y, "name"));
	return rc ? rc : (x->line > y->line) - (x->line < y->line);
}

int local_policy_build(struct build *b)
{
	struct conf_node *top = build_block(b, "LocalDynVpnPolicy");
	int rc = top && build_members(b, top, "LocalDynVpn", local_rule_build) < 0 ? -EINVAL : 0;
	if (b->local)
		qsort(b->local, b->p->n_local_rules, sizeof(struct conf_node *), by_name);
	for (size_t i = 1; i < b->p->n_local_rules; i++)
		if (!strcmp(conf_str(b->local[i - 1], "name"), conf_str(b->local[i], "name")))
			rc = conf_node_error(b->local[i],
				"found LocalDynVpnRule '%s' twice in LocalDynVpnPolicy, expected it once: commands name it",
				conf_str(b->local[i], "name"));
	free(b->local);
	b->local = NULL;
	return rc;
}
