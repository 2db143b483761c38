/* IpService: kinds of traffic. */
#include "lib/base/ipproto.h"
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"
#include <strings.h>

struct limits {
	uint16_t lo, hi;
};

static struct limits limits_of(const struct conf_node *at)
{
	const struct conf_value *v = at ? conf_get(at, "range") : NULL;
	if (!v || v->is_word)
		return (struct limits){0, UINT16_MAX};
	return (struct limits){(uint16_t)v->u, (uint16_t)v->u2};
}

/* Ports, or type and code, as the protocol wants them. */
static int set_ranges(struct conf_node *n, struct policy_service *s)
{
	static const char *const words[] = {"SourcePortRange", "DestinationPortRange", "Type", "Code"};
	struct limits r[4];
	bool typed = ipproto_typed(s->protocol), ports = ipproto_ports(s->protocol);
	for (unsigned i = 0; i < 4; i++) {
		struct conf_node *at = conf_child(n, words[i]);
		r[i] = limits_of(at);
		if (i < 2 && !r[i].lo && !r[i].hi)
			r[i].hi = UINT16_MAX; /* port 0 is all of them */
		if (at && (i < 2 ? !ports : !typed))
			return conf_node_error(at, "found %s, expected it only with %s", words[i],
				i < 2 ? "tcp, udp or sctp" : "icmp, icmpv6, ospf or mipv6");
	}
	struct limits a = typed ? r[2] : r[0], z = typed ? r[3] : r[1];
	s->source_lo = a.lo;
	s->source_hi = a.hi;
	s->dest_lo = z.lo;
	s->dest_hi = z.hi;
	return 0;
}

static int set_protocol(struct conf_node *n, struct policy_service *s)
{
	struct conf_node *at = conf_child(n, "Protocol");
	const char *text = at ? conf_str(at, "protocol") : "all";
	s->protocol = POLICY_PROTO_OPAQUE;
	if (strcasecmp(text, "opaque") && ipproto_parse(text, &s->protocol) < 0)
		return conf_node_error(at, "found '%s', expected a protocol by name, 0 to 255, opaque or all", text);
	return 0;
}

static int service_build(struct conf_node *n, struct policy_service *s)
{
	static const enum policy_routing routings[] = {POLICY_LOCAL, POLICY_ROUTED, POLICY_EITHER};
	struct conf_node *dir = conf_child(n, "Direction");
	*s = (struct policy_service){.protocol = 0};
	build_name(s->name, n);
	if (set_protocol(n, s) < 0)
		return -EINVAL;
	if (dir && conf_get(dir, "connect"))
		return conf_node_error(dir, "found '%s', expected no connect qualifier: filters here do not look at TCP flags",
			conf_str(dir, "connect"));
	unsigned direction = build_word(n, "Direction", 0);
	s->inbound = direction != 2;
	s->outbound = direction != 1;
	s->routing = routings[build_word(n, "Routing", 0)];
	s->secclass = (uint8_t)build_word(n, "SecurityClass", 0);
	s->fragments_only = build_word(n, "FragmentsOnly", 0);
	return set_ranges(n, s);
}

static int service_add(struct policy_rule *r, struct conf_node *n)
{
	struct policy_service one;
	if (service_build(n, &one) < 0)
		return -EINVAL;
	if (r->n_services == BUILD_ENTRIES_MAX)
		return conf_node_error(n, "found more than %d services in one rule, expected at most so many", BUILD_ENTRIES_MAX);
	if (!(r->n_services & (r->n_services - 1)))
		r->services = xrealloc(r->services, r->n_services ? 2 * r->n_services : 1, sizeof(*r->services));
	r->services[r->n_services++] = one;
	return 0;
}

/* Services of a rule or of a group (which holds the same statements). */
static int services_of(struct build *b, struct conf_node *parent, bool groups, struct policy_rule *r)
{
	int rc = 0;
	for (struct conf_node *n = parent->children; n; n = n->next) {
		struct conf_node *object = n;
		int one = 0;
		if (!strcasecmp(n->stmt->name, "IpService"))
			one = service_add(r, n);
		else if (!strcasecmp(n->stmt->name, "IpServiceRef"))
			one = (object = build_ref(b, n, "IpService")) ? service_add(r, object) : -EINVAL;
		else if (groups && !strcasecmp(n->stmt->name, "IpServiceGroupRef"))
			one = (object = build_ref(b, n, "IpServiceGroup")) ? services_of(b, object, false, r) : -EINVAL;
		rc = one < 0 ? one : rc;
	}
	return rc;
}

int services_of_rule(struct build *b, struct conf_node *rule, struct policy_rule *r)
{
	int rc = services_of(b, rule, true, r);
	if (!rc && !r->n_services)
		return conf_node_error(rule, "found no IpService in IpFilterRule '%s', expected one or a reference",
			conf_str(rule, "name"));
	return rc;
}
