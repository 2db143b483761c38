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

static bool known(const struct ipsec_policy *p, const char *name)
{
	return policy_local_rule(p, name) != NULL;
}

int local_rule_build(struct build *b, struct conf_node *rule, const char *group)
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
	if (!rc && known(p, r.name))
		rc = conf_node_error(rule, "found LocalDynVpnRule '%s' twice in LocalDynVpnPolicy, expected it once: commands name it", r.name);
	if (rc)
		return rc;
	if (!(p->n_local_rules & (p->n_local_rules - 1)))
		p->local_rules = xrealloc(p->local_rules, p->n_local_rules ? 2 * p->n_local_rules : 1, sizeof(*p->local_rules));
	p->local_rules[p->n_local_rules++] = r;
	return 0;
}
