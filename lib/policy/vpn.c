/* IpDynVpnAction and IpLocalStartAction: how tunnels behave, and how this end starts them. */
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"

static int acceptable(struct conf_node *at, uint16_t group, struct vpn_action *a)
{
	for (size_t i = 0; i < a->n_acceptable_pfs; i++)
		if (a->acceptable_pfs[i] == group)
			return 0;
	if (a->n_acceptable_pfs == sizeof(a->acceptable_pfs) / sizeof(*a->acceptable_pfs))
		return conf_node_error(at, "found too many groups, expected each once");
	a->acceptable_pfs[a->n_acceptable_pfs++] = group;
	return 0;
}

static int pfs(struct conf_node *n, struct vpn_action *a)
{
	struct conf_node *old = conf_child(n, "Pfs"), *initiate = conf_child(n, "InitiateWithPfs");
	int rc = 0;
	if (old && (initiate || conf_child(n, "AcceptablePfs")))
		return conf_node_error(old, "found Pfs beside InitiateWithPfs or AcceptablePfs, expected the older form or the newer");
	if (old || initiate)
		a->initiate_pfs = group_number(conf_str(old ? old : initiate, "group"));
	if (old)
		return acceptable(old, a->initiate_pfs, a);
	for (struct conf_node *at = conf_child(n, "AcceptablePfs"); at; at = conf_next(at, "AcceptablePfs"))
		for (const struct conf_value *v = conf_get(at, "group"); v; v = v->next)
			rc = acceptable(at, group_number(v->s), a) < 0 ? -EINVAL : rc;
	if (!rc && !a->n_acceptable_pfs)
		a->n_acceptable_pfs = 1; /* None */
	return rc;
}

/* RFC 4308 section 2: a Diffie-Hellman exchange in quick mode uses the suite's group. */
static int suite_groups(struct conf_node *n, const struct vpn_action *a)
{
	for (size_t i = 0; i < a->n_offers; i++) {
		uint16_t group = suite_group(a->offers[i].suite);
		if (group && a->initiate_pfs && a->initiate_pfs != group)
			return conf_node_error(n, "found InitiateWithPfs Group%u beside suite %s, expected None or Group%u", a->initiate_pfs,
				group == 2 ? "VPN-A" : "VPN-B", group);
	}
	return 0;
}

static int vpn_build(struct build *b, struct conf_node *n, struct vpn_action *a)
{
	static const enum vpn_df dfs[] = {VPN_DF_CLEAR, VPN_DF_SET};
	struct conf_node *df = conf_child(n, "PassthroughDF");
	build_name(a->name, n);
	a->initiation = (enum vpn_initiation)build_word(n, "Initiation", VPN_EITHER);
	a->vpn_life_s = build_word(n, "VpnLife", 1440) * 60;
	a->df = VPN_DF_PASS;
	if (df && conf_uint(df, "pass"))
		a->df = dfs[conf_uint(df, "else")];
	int rc = pfs(n, a);
	rc = policy_dscp_build(n, &a->dscp) < 0 ? -EINVAL : rc;
	rc = data_offers_build(b, n, a) < 0 ? -EINVAL : rc;
	return rc ? rc : suite_groups(n, a);
}

/* build_each gives two sorted runs, the stack file's and the common file's: by the first member, the name. */
static int by_name(const void *name, const void *object)
{
	return strcmp(name, object);
}

static const void *named(const void *v, size_t n, size_t run, size_t size, const char *name)
{
	const void *hit = bsearch(name, v, run, size, by_name);
	return hit ? hit : bsearch(name, (const char *)v + run * size, n - run, size, by_name);
}

const struct vpn_action *vpn_action_of(const struct build *b, const char *name)
{
	return named(b->p->vpn_actions, b->p->n_vpn_actions, b->vpn_run, sizeof(*b->p->vpn_actions), name);
}

const struct start_action *start_action_of(const struct build *b, const char *name)
{
	return named(b->p->start_actions + 1, b->p->n_start_actions - 1, b->start_run, sizeof(*b->p->start_actions), name);
}

int vpn_actions_build(struct build *b)
{
	struct ipsec_policy *p = b->p;
	struct conf_node *n;
	size_t at = 0, count = 0;
	int rc = 0;
	while (build_each(b, "IpDynVpnAction", &at))
		count++;
	p->vpn_actions = xcalloc(count, sizeof(*p->vpn_actions));
	for (at = 0; (n = build_each(b, "IpDynVpnAction", &at)); b->vpn_run += n->conf == b->file.conf)
		rc = vpn_build(b, n, &p->vpn_actions[p->n_vpn_actions++]) < 0 ? -EINVAL : rc;
	return rc;
}

static int endpoint(struct conf_node *n, const char *word, const char *other, struct addr *ret)
{
	struct conf_node *at = conf_child(n, word), *same = conf_child(n, other);
	if (at && same)
		return conf_node_error(same, "found %s beside %s, expected one of them", other, word);
	if (at || same)
		*ret = conf_get(at ? at : same, "address")->prefix.addr;
	return 0;
}

static int start_build(const struct build *b, struct conf_node *n, struct start_action *s)
{
	build_name(s->name, n);
	s->allow_on_demand = build_word(n, "AllowOnDemand", b->p->allow_on_demand);
	s->local_ip_packet = build_word(n, "LocalIpGranularity", 1);
	s->remote_ip_packet = build_word(n, "RemoteIpGranularity", 1);
	s->local_port_packet = build_word(n, "LocalPortGranularity", 0);
	s->remote_port_packet = build_word(n, "RemotePortGranularity", 0);
	s->protocol_packet = build_word(n, "ProtocolGranularity", 0);
	int rc = endpoint(n, "LocalSecurityEndpointAddr", "LocalSecurityEndpoint", &s->local_endpoint);
	if (endpoint(n, "RemoteSecurityEndpointAddr", "RemoteSecurityEndpoint", &s->remote_endpoint) < 0)
		rc = -EINVAL;
	if (!rc && s->local_endpoint.family && s->remote_endpoint.family && s->local_endpoint.family != s->remote_endpoint.family)
		rc = conf_node_error(n, "found endpoints of different families in IpLocalStartAction '%s', expected the same", s->name);
	return rc;
}

/* The first one, without a name, is what holds for rules that name none (zos.md section 6). */
int start_actions_build(struct build *b)
{
	struct ipsec_policy *p = b->p;
	struct conf_node *n;
	size_t at = 0, count = 1;
	int rc = 0;
	while (build_each(b, "IpLocalStartAction", &at))
		count++;
	p->start_actions = xcalloc(count, sizeof(*p->start_actions));
	p->start_actions[p->n_start_actions++] = (struct start_action){
		.allow_on_demand = p->allow_on_demand, .local_ip_packet = true, .remote_ip_packet = true};
	for (at = 0; (n = build_each(b, "IpLocalStartAction", &at)); b->start_run += n->conf == b->file.conf)
		rc = start_build(b, n, &p->start_actions[p->n_start_actions++]) < 0 ? -EINVAL : rc;
	return rc;
}
