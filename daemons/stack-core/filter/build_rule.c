/* One IpFilterRule: its services, its action, and the simple filters that they make with its
 * addresses. */
#include "daemons/stack-core/filter/build.h"
#include "lib/base/xalloc.h"
#include <string.h>
#include <strings.h>

static const struct conf_operand protocol_operands[] = {
	{"protocol", CONF_STRING, .max = 16,
		.help = "Number, tcp, udp, icmp, icmpv6, ospf, igmp, esp, ah, ip, ipip, mipv6, "
			"sctp, opaque or all."},
	{0}};
static const struct conf_operand port_operands[] = {
	{"range", CONF_RANGE, .words = "all|*", .min = 0, .max = 65535,
		.help = "Port, low high, 0 or all."},
	{0}};
static const struct conf_operand type_operands[] = {
	{"range", CONF_RANGE, .words = "all|any|*", .min = 0, .max = 255,
		.help = "Number, low high, or all."},
	{0}};
static const struct conf_operand direction_operands[] = {
	{"direction", CONF_WORD, .words = "BiDirectional|Inbound|Outbound",
		.help = "BiDirectional makes an outbound filter and its inbound mirror."},
	{"connect", CONF_WORD, CONF_OPTIONAL, .words = "InboundConnect|OutboundConnect",
		.help = "Who may open a connection: not supported."},
	{0}};
static const struct conf_operand routing_operands[] = {
	{"routing", CONF_WORD, .words = "Local|Routed|Either",
		.help = "Traffic of this host, through it, or both."},
	{0}};
static const struct conf_operand class_operands[] = {
	{"class", CONF_UINT, .min = 0, .max = 255,
		.help = "Security class of the interface; 0: any."},
	{0}};
static const struct conf_operand yes_operands[] = {
	{"value", CONF_WORD, .words = "No|Yes", .help = "No or Yes."}, {0}};

const struct conf_stmt policy_service_children[] = {
	{"Protocol", protocol_operands, .flags = CONF_ONCE | CONF_REQUIRED,
		.help = "Upper-layer protocol."},
	{"SourcePortRange", port_operands, .flags = CONF_ONCE,
		.help = "TCP, UDP, SCTP. Default all."},
	{"DestinationPortRange", port_operands, .flags = CONF_ONCE,
		.help = "TCP, UDP, SCTP. Default all."},
	{"Type", type_operands, .flags = CONF_ONCE,
		.help = "ICMP, ICMPv6, OSPF, MIPv6. Default all."},
	{"Code", type_operands, .flags = CONF_ONCE, .help = "ICMP, ICMPv6. Default all."},
	{"Direction", direction_operands, .flags = CONF_ONCE, .help = "Default BiDirectional."},
	{"Routing", routing_operands, .flags = CONF_ONCE, .help = "Default Local."},
	{"SecurityClass", class_operands, .flags = CONF_ONCE, .help = "Default 0."},
	{"FragmentsOnly", yes_operands, .flags = CONF_ONCE, .help = "Default No."}, {0}};

const struct conf_stmt policy_rule_children[] = {
	{"IpSourceAddr", policy_address_operands, .flags = CONF_ANYNUMBER,
		.help = "Source of the packet (of the outbound one, when bidirectional)."},
	{"IpSourceAddrSet", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "The same."},
	{"IpSourceAddrRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddr."},
	{"IpSourceAddrSetRef", policy_name_operands, .flags = CONF_ANYNUMBER,
		.help = "An IpAddrSet."},
	{"IpSourceAddrGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER,
		.help = "An IpAddrGroup."},
	{"IpDestAddr", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "Destination."},
	{"IpDestAddrSet", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "The same."},
	{"IpDestAddrRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddr."},
	{"IpDestAddrSetRef", policy_name_operands, .flags = CONF_ANYNUMBER,
		.help = "An IpAddrSet."},
	{"IpDestAddrGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER,
		.help = "An IpAddrGroup."},
	{"IpService", policy_inline_operands, policy_service_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "A service, written here."},
	{"IpServiceRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpService."},
	{"IpServiceGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER,
		.help = "An IpServiceGroup."},
	{"IpGenericFilterActionRef", policy_name_operands, .flags = CONF_ONCE | CONF_REQUIRED,
		.help = "What happens to a match."},
	{"IpManVpnActionRef", policy_name_operands, .flags = CONF_ONCE,
		.help = "The manual tunnel of an IpSec action."},
	{0}};

/* Ports, or type and code, as the protocol wants them. */
static int service_ranges(struct conf_node *n, struct service *s)
{
	static const char *const words[] = {
		"SourcePortRange", "DestinationPortRange", "Type", "Code"};
	struct filter_range r[4];
	bool typed = ipproto_typed(s->proto), ports = ipproto_ports(s->proto);
	for (unsigned i = 0; i < 4; i++) {
		struct conf_node *at = conf_child(n, words[i]);
		const struct conf_value *v = at ? conf_get(at, "range") : NULL;
		r[i] = range_of(v);
		if (i < 2 && !r[i].lo && !r[i].hi)
			r[i].hi = UINT16_MAX; /* port 0 is all of them */
		if (at && (i < 2 ? !ports : !typed))
			return conf_node_error(at, "found %s, expected it only with %s", words[i],
				i < 2 ? "tcp, udp or sctp" : "icmp, icmpv6, ospf or mipv6");
	}
	s->a = typed ? r[2] : r[0];
	s->b = typed ? r[3] : r[1];
	return 0;
}

static unsigned word_of(const struct conf_node *n, const char *stmt, const char *operand)
{
	const struct conf_node *at = conf_child(n, stmt);
	return at ? (unsigned)conf_uint(at, operand) : 0;
}

static int service_build(struct conf_node *n, struct service *s)
{
	static const uint8_t scopes[] = {PKT_LOCAL, PKT_ROUTED, PKT_LOCAL | PKT_ROUTED};
	struct conf_node *proto = conf_child(n, "Protocol"), *dir = conf_child(n, "Direction");
	const char *text = proto ? conf_str(proto, "protocol") : "all";
	*s = (struct service){.proto = FILTER_PROTO_ANY, .opaque = !strcasecmp(text, "opaque")};
	if (!s->opaque && ipproto_parse(text, &s->proto) < 0)
		return conf_node_error(proto,
			"found '%s', expected a protocol by name, 0 to 255, opaque or all", text);
	if (dir && conf_get(dir, "connect"))
		return conf_node_error(dir,
			"found '%s', expected no connect qualifier: filters here do not look at "
			"TCP flags",
			conf_str(dir, "connect"));
	unsigned direction = word_of(n, "Direction", "direction");
	s->in = direction != 2;
	s->out = direction != 1;
	s->scope = scopes[word_of(n, "Routing", "routing")];
	s->secclass = (uint8_t)word_of(n, "SecurityClass", "class");
	s->fragments_only = word_of(n, "FragmentsOnly", "value");
	return service_ranges(n, s);
}

static int service_add(struct services *s, struct conf_node *n)
{
	struct service one;
	int rc = service_build(n, &one);
	if (rc)
		return rc;
	if (s->n == BUILD_MAX)
		return conf_node_error(n,
			"found more than %d services in one rule, expected at most so many",
			BUILD_MAX);
	s->v = xrealloc(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = one;
	return 0;
}

/* Services of a rule or of a group (which holds the same statements). */
static int services_of(
	const struct index *x, struct conf_node *parent, bool groups, struct services *ret)
{
	int rc = 0;
	for (struct conf_node *n = parent->children; n; n = n->next) {
		struct conf_node *object = n;
		int one = 0;
		if (!strcasecmp(n->stmt->name, "IpService"))
			one = service_add(ret, n);
		else if (!strcasecmp(n->stmt->name, "IpServiceRef"))
			one = (object = index_get(x, n, "IpService")) ? service_add(ret, object)
								      : -EINVAL;
		else if (groups && !strcasecmp(n->stmt->name, "IpServiceGroupRef"))
			one = (object = index_get(x, n, "IpServiceGroup"))
				      ? services_of(x, object, false, ret)
				      : -EINVAL;
		rc = one < 0 ? one : rc;
	}
	return rc;
}

int services_of_rule(const struct index *x, struct conf_node *rule, struct services *ret)
{
	int rc = services_of(x, rule, true, ret);
	if (!rc && !ret->n)
		return conf_node_error(rule,
			"found no IpService in IpFilterRule '%s', expected one or a reference",
			conf_str(rule, "name"));
	return rc;
}

/* What a match means: action, logging, tunnel. */
static int action_of(const struct index *x, struct conf_node *rule, struct filter_spec *ret)
{
	static const uint8_t actions[] = {FILTER_PERMIT, FILTER_DENY, FILTER_IPSEC};
	struct conf_node *ref = conf_child(rule, "IpGenericFilterActionRef"),
			 *vpn = conf_child(rule, "IpManVpnActionRef");
	struct conf_node *action = ref ? index_get(x, ref, "IpGenericFilterAction") : NULL;
	if (!action)
		return -EINVAL;
	ret->action = actions[word_of(action, "IpFilterAction", "action")];
	unsigned logging =
		word_of(action, "IpFilterLogging", "logging"); /* No Yes All Permit Deny */
	ret->log = logging == 1 || logging == 2 || (logging == 3 && ret->action != FILTER_DENY) ||
		   (logging == 4 && ret->action == FILTER_DENY);
	if ((ret->action == FILTER_IPSEC) != (vpn != NULL))
		return conf_node_error(vpn ? vpn : rule,
			vpn ? "found IpManVpnActionRef in IpFilterRule '%s', expected it with "
			      "IpFilterAction IpSec alone"
			    : "found no IpManVpnActionRef in IpFilterRule '%s', whose action is "
			      "IpSec, expected one",
			conf_str(rule, "name"));
	if (!vpn)
		return 0;
	if (!index_get(x, vpn, "IpManVpnAction"))
		return -EINVAL;
	(void)snprintf(ret->vpn, sizeof(ret->vpn), "%s", conf_str(vpn, "name"));
	return 0;
}

/* The filters of one source, one destination and one service: both directions, where it has both.
 */
static int pair_build(struct conf_node *rule, const struct filter_spec *base,
	const struct span *src, const struct span *dst, const struct service *s, struct specs *out,
	uint32_t *ext)
{
	struct filter_spec f = *base, m;
	f.family = src->lo.family;
	f.inbound = !s->out;
	f.src_lo = src->lo;
	f.src_hi = src->hi;
	f.dst_lo = dst->lo;
	f.dst_hi = dst->hi;
	f.proto = s->proto;
	f.a = s->a;
	f.b = s->b;
	f.opaque = s->opaque;
	f.fragments_only = s->fragments_only;
	f.scope = s->scope;
	f.secclass = s->secclass;
	f.ext = ++*ext;
	int rc = specs_add(out, &f, rule);
	if (rc || !s->in || !s->out)
		return rc;
	filter_spec_mirror(&f, &m);
	m.ext = ++*ext;
	return specs_add(out, &m, rule);
}

static int cross(struct conf_node *rule, const struct filter_spec *base, const struct spans *src,
	const struct spans *dst, const struct services *svc, struct specs *out)
{
	uint32_t ext = 0;
	for (size_t i = 0; i < src->n; i++)
		for (size_t k = 0; k < dst->n; k++)
			for (size_t s = 0; s < svc->n && src->v[i].lo.family == dst->v[k].lo.family;
				s++) {
				int rc = pair_build(
					rule, base, &src->v[i], &dst->v[k], &svc->v[s], out, &ext);
				if (rc)
					return rc;
			}
	return ext ? 0
		   : conf_node_error(rule,
			     "found source and destination of different families in IpFilterRule "
			     "'%s', expected the same",
			     conf_str(rule, "name"));
}

int rule_build(const struct index *x, struct conf_node *rule, struct specs *out)
{
	struct spans src = {0}, dst = {0};
	struct services svc = {0};
	struct filter_spec base;
	filter_spec_init(&base, 4, false);
	(void)snprintf(base.name, sizeof(base.name), "%s", conf_str(rule, "name"));
	/* All are looked at, so that one run shows every mistake. */
	int rc = action_of(x, rule, &base);
	rc = spans_of_rule(x, rule, "Source", &src) < 0 ? -EINVAL : rc;
	rc = spans_of_rule(x, rule, "Dest", &dst) < 0 ? -EINVAL : rc;
	rc = services_of_rule(x, rule, &svc) < 0 ? -EINVAL : rc;
	if (!rc)
		rc = cross(rule, &base, &src, &dst, &svc, out);
	free(src.v);
	free(dst.v);
	free(svc.v);
	return rc;
}
