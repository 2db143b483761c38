/* Default filters: the profile's IPSEC block (policy.h). Every rule permits, and makes an outbound
 * filter and its mirror. */
#include "daemons/stack-core/filter/build.h"
#include "lib/base/xalloc.h"
#include <string.h>
#include <strings.h>

const struct conf_operand profile_ipsec_operands[] = {
	{"DVIPsec", CONF_FLAG, CONF_OPTIONAL,
		.help = "Accepted: distribution of dynamic VIPAs comes with them."},
	{"logging", CONF_FLAG, CONF_OPTIONAL, "LOGDISable|LOGENable", "LOGDISable",
		.help = "Whether any filter makes messages."},
	{"implicit", CONF_FLAG, CONF_OPTIONAL, "NOLOGImplicit|LOGImplicit", "NOLOGImplicit",
		.help = "Whether the implicit deny does."},
	{0}};

static const struct conf_operand rule_operands[] = {
	{"source", CONF_STRING, .max = 96, .help = "Address, address/length or *."},
	{"destination", CONF_STRING, .max = 96, .help = "Address, address/length or *."},
	{"log", CONF_FLAG, CONF_OPTIONAL, "NOLOG|LOG", "NOLOG",
		.help = "Whether a match makes a message."},
	{"PROTOcol", CONF_STRING, CONF_KEYWORD, .max = 16,
		.help = "*, a number, TCP, UDP, ICMP, ICMPV6, OSPF, IGMP, ESP, AH, ..."},
	{"SRCPort", CONF_RANGE, CONF_KEYWORD | CONF_OPTIONAL, "*", .min = 1, .max = 65535,
		.help = "TCP and UDP."},
	{"DESTport", CONF_RANGE, CONF_KEYWORD | CONF_OPTIONAL, "*", .min = 1, .max = 65535,
		.help = "TCP and UDP."},
	{"TYPE", CONF_RANGE, CONF_KEYWORD | CONF_OPTIONAL, "*", .min = 0, .max = 255,
		.help = "ICMP, ICMPv6, OSPF."},
	{"CODE", CONF_RANGE, CONF_KEYWORD | CONF_OPTIONAL, "*", .min = 0, .max = 255,
		.help = "ICMP, ICMPv6."},
	{"ROUTING", CONF_WORD, CONF_KEYWORD | CONF_OPTIONAL, "LOCAL|ROUTED|EITHER", "LOCAL",
		.help = "Traffic of this host, through it, or both."},
	{"SECCLASS", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, NULL, "0", 0, 255,
		"Security class of the interface; 0: any."},
	{0}};

const struct conf_stmt profile_ipsec_children[] = {
	{"IPSECRule", rule_operands, .flags = CONF_ANYNUMBER,
		.help = "Permits IPv4 traffic, in both directions."},
	{"IPSEC6Rule", rule_operands, .flags = CONF_ANYNUMBER,
		.help = "Permits IPv6 traffic, in both directions."},
	{0}};

static int side_of(
	struct conf_node *n, const char *operand, uint8_t family, struct addr *lo, struct addr *hi)
{
	struct prefix p = {.addr.family = family};
	const char *text = conf_str(n, operand);
	struct filter_spec f;
	int rc = strcmp(text, "*") ? prefix_parse(text, &p) : 0;
	if (rc == -EDOM)
		return conf_node_error(n, "found '%s', expected a prefix without host bits", text);
	if (rc || p.addr.family != family)
		return conf_node_error(n, "found '%s', expected an %s address, address/length or *",
			text, family == 4 ? "IPv4" : "IPv6");
	filter_spec_init(&f, family, false);
	filter_spec_source(&f, &p);
	*lo = f.src_lo;
	*hi = f.src_hi;
	return 0;
}

/* Ports (or type and code) of an operand; NULL is all. */
static struct filter_range range_of(const struct conf_value *v)
{
	if (!v || v->is_word)
		return (struct filter_range){0, UINT16_MAX};
	return (struct filter_range){(uint16_t)v->u, (uint16_t)v->u2};
}

static int add(struct specs *out, const struct filter_spec *s, struct conf_node *n)
{
	struct errbuf e;
	return specs_add(out, s, &e) < 0 ? conf_node_error(n, "%s", e.text) : 0;
}

static int selectors_of(struct conf_node *n, struct filter_spec *s)
{
	static const char *const words[] = {"SRCPort", "DESTport", "TYPE", "CODE"};
	const char *proto = conf_str(n, "PROTOcol");
	if (ipproto_parse(proto, &s->proto) < 0)
		return conf_node_error(
			n, "found PROTO '%s', expected *, a protocol by name, or 0 to 255", proto);
	bool typed = ipproto_typed(s->proto), ports = ipproto_ports(s->proto);
	for (unsigned i = 0; i < 4; i++)
		if (conf_get(n, words[i]) && (i < 2 ? !ports : !typed))
			return conf_node_error(n,
				"found %s with PROTO %s, expected it only with %s", words[i], proto,
				i < 2 ? "TCP, UDP or SCTP" : "ICMP, ICMPV6, OSPF or MIPV6");
	s->a = range_of(conf_get(n, typed ? "TYPE" : "SRCPort"));
	s->b = range_of(conf_get(n, typed ? "CODE" : "DESTport"));
	return 0;
}

static int rule_of(struct conf_node *n, unsigned number, struct specs *out)
{
	static const uint8_t scopes[] = {PKT_LOCAL, PKT_ROUTED, PKT_LOCAL | PKT_ROUTED};
	struct filter_spec s, m;
	filter_spec_init(&s, strcasecmp(n->stmt->name, "IPSEC6Rule") ? 4 : 6, false);
	(void)snprintf(s.name, sizeof(s.name), "SYSDEFAULTRULE.%u", number);
	s.action = FILTER_PERMIT;
	s.log = conf_uint(n, "log");
	s.scope = scopes[conf_uint(n, "ROUTING")];
	s.secclass = (uint8_t)conf_uint(n, "SECCLASS");
	s.ext = 1;
	int rc = side_of(n, "source", s.family, &s.src_lo, &s.src_hi);
	rc = side_of(n, "destination", s.family, &s.dst_lo, &s.dst_hi) < 0 ? -EINVAL : rc;
	rc = selectors_of(n, &s) < 0 ? -EINVAL : rc;
	if (rc || (rc = add(out, &s, n)))
		return rc;
	filter_spec_mirror(&s, &m);
	m.ext = 2;
	return add(out, &m, n);
}

int profile_filters_build(struct conf_node *node, struct profile_filters *ret)
{
	struct specs out = {0};
	unsigned number = 0;
	int rc = 0;
	*ret = (struct profile_filters){0};
	if (!node)
		return 0;
	for (struct conf_node *n = node->children; n; n = n->next)
		if (rule_of(n, ++number, &out) < 0)
			rc = -EINVAL;
	if (rc) {
		free(out.v);
		return rc;
	}
	ret->rules = out.v;
	ret->n = out.n;
	ret->dvipsec = conf_uint(node, "DVIPsec");
	ret->logging = conf_uint(node, "logging");
	ret->log_implicit = conf_uint(node, "implicit");
	return 0;
}

void profile_filters_fini(struct profile_filters *f)
{
	free(f->rules);
	*f = (struct profile_filters){0};
}
