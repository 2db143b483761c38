/* The policy file: its statements, and from them the list of simple filters and the manual tunnels
 * (policy.h). */
#include "daemons/stack-core/filter/build.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <string.h>
#include <strings.h>

static const struct conf_operand on_operands[] = {
	{"value", CONF_WORD, .words = "Off|On", .help = "On or Off."}, {0}};
static const struct conf_operand yes_operands[] = {
	{"value", CONF_WORD, .words = "No|Yes", .help = "No or Yes."}, {0}};
static const struct conf_operand discard_operands[] = {
	{"discard", CONF_WORD, .words = "Silent",
		.help = "Denied packets are discarded without an answer."},
	{0}};
static const struct conf_operand action_operands[] = {
	{"action", CONF_WORD, .words = "Permit|Deny|IpSec",
		.help = "Let it pass, discard it, or protect it."},
	{0}};
static const struct conf_operand logging_operands[] = {
	{"logging", CONF_WORD, .words = "No|Yes|All|Permit|Deny",
		.help = "Which matches make a message."},
	{0}};

static const struct conf_stmt action_children[] = {
	{"IpFilterAction", action_operands, .flags = CONF_ONCE | CONF_REQUIRED,
		.help = "What happens to a match."},
	{"IpFilterLogging", logging_operands, .flags = CONF_ONCE, .help = "Default No."},
	{"DiscardAction", discard_operands, .flags = CONF_ONCE, .help = "Default Silent."}, {0}};

static const struct conf_stmt addr_children[] = {
	{"Addr", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "An address."}, {0}};
static const struct conf_stmt set_children[] = {
	{"Prefix", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "Address/length."},
	{"Range", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "Low-high."}, {0}};
static const struct conf_stmt addr_group_children[] = {
	{"IpAddr", policy_inline_operands, addr_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "Addresses, written here."},
	{"IpAddrRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddr."},
	{"IpAddrSet", policy_inline_operands, set_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "Sets, written here."},
	{"IpAddrSetRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddrSet."},
	{0}};

static const struct conf_stmt service_group_children[] = {
	{"IpService", policy_inline_operands, policy_service_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "A service, written here."},
	{"IpServiceRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpService."},
	{0}};

static const struct conf_stmt group_children[] = {
	{"IpFilterRule", policy_name_operands, policy_rule_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "A rule, written here."},
	{"IpFilterRuleRef", policy_name_operands, .flags = CONF_ANYNUMBER,
		.help = "An IpFilterRule."},
	{0}};

static const struct conf_stmt filter_policy_children[] = {
	{"PreDecap", on_operands, .flags = CONF_ONCE,
		.help = "Filter ESP and AH packets too before they are opened. Default Off."},
	{"FilterLogging", on_operands, .flags = CONF_ONCE,
		.help = "Off: no rule makes messages. Default On."},
	{"ImplicitDiscardAction", discard_operands, .flags = CONF_ONCE, .help = "Default Silent."},
	{"AllowOnDemand", yes_operands, .flags = CONF_ONCE,
		.help = "Dynamic tunnels only: nothing here uses it. Default No."},
	{"IpFilterRule", policy_name_operands, policy_rule_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "A rule, written here."},
	{"IpFilterRuleRef", policy_name_operands, .flags = CONF_ANYNUMBER,
		.help = "An IpFilterRule."},
	{"IpFilterGroup", policy_inline_operands, group_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "Rules, written here."},
	{"IpFilterGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER,
		.help = "An IpFilterGroup."},
	{0}};

static const struct conf_stmt policy_stmts[] = {
	{"IpFilterPolicy", .children = filter_policy_children,
		.flags = CONF_BLOCK | CONF_ONCE | CONF_REQUIRED,
		.help = "The rules in order of search; the first match decides, no match denies."},
	{"IpFilterGroup", policy_name_operands, group_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "Rules in order."},
	{"IpFilterRule", policy_name_operands, policy_rule_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "Which packets, and what happens."},
	{"IpService", policy_name_operands, policy_service_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "Kind of traffic."},
	{"IpServiceGroup", policy_name_operands, service_group_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "Several services."},
	{"IpAddr", policy_name_operands, addr_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "An address."},
	{"IpAddrSet", policy_name_operands, set_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A prefix or range."},
	{"IpAddrGroup", policy_name_operands, addr_group_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "Several addresses and sets."},
	{"IpGenericFilterAction", policy_name_operands, action_children,
		.flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "What happens to a match."},
	{"IpManVpnAction", manual_operands, manual_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A manual tunnel."},
	{0}};

const struct conf_spec policy_spec = {"IPSec policy", CONF_POLICY, policy_stmts};

static int build_rules(
	const struct index *x, struct conf_node *parent, bool groups, struct specs *out)
{
	int rc = 0;
	for (struct conf_node *n = parent->children; n; n = n->next) {
		const char *word = n->stmt->name;
		struct conf_node *object = n;
		int one = 0;
		if (!strcasecmp(word, "IpFilterRule"))
			one = rule_build(x, n, out);
		else if (!strcasecmp(word, "IpFilterRuleRef"))
			one = (object = index_get(x, n, "IpFilterRule"))
				      ? rule_build(x, object, out)
				      : -EINVAL;
		else if (groups && !strcasecmp(word, "IpFilterGroup"))
			one = build_rules(x, n, false, out);
		else if (groups && !strcasecmp(word, "IpFilterGroupRef"))
			one = (object = index_get(x, n, "IpFilterGroup"))
				      ? build_rules(x, object, false, out)
				      : -EINVAL;
		rc = one < 0 ? one : rc;
	}
	return rc;
}

static int build_tunnels(struct conf *c, struct policy *p)
{
	int rc = 0;
	size_t n = 0;
	for (struct conf_node *m = conf_top(c, "IpManVpnAction"); m;
		m = conf_next(m, "IpManVpnAction"))
		n++;
	p->tunnels = xcalloc(n, sizeof(*p->tunnels));
	for (struct conf_node *m = conf_top(c, "IpManVpnAction"); m;
		m = conf_next(m, "IpManVpnAction")) {
		if (manual_build(m, &p->tunnels[p->n_tunnels]) < 0)
			rc = -EINVAL;
		else
			p->n_tunnels++;
	}
	return rc;
}

int policy_build(struct conf *c, struct policy *ret)
{
	struct policy p = {.loaded = true};
	struct index x;
	struct specs out = {0};
	struct conf_node *top = conf_top(c, "IpFilterPolicy");
	int rc = index_build(c, &x);
	if (!top)
		rc = conf_file_error(c, "found no IpFilterPolicy, expected one");
	else if (build_rules(&x, top, true, &out) < 0)
		rc = -EINVAL;
	if (build_tunnels(c, &p) < 0)
		rc = -EINVAL;
	if (top) {
		struct conf_node *log = conf_child(top, "FilterLogging"),
				 *pre = conf_child(top, "PreDecap");
		p.logging = !log || conf_uint(log, "value");
		p.predecap = pre && conf_uint(pre, "value");
	}
	p.rules = out.v;
	p.n = out.n;
	free(x.v);
	if (rc)
		policy_fini(&p);
	else
		*ret = p;
	return rc;
}

void policy_fini(struct policy *p)
{
	free(p->rules);
	if (p->tunnels)
		secret_wipe(p->tunnels, p->n_tunnels * sizeof(*p->tunnels));
	free(p->tunnels);
	*p = (struct policy){0};
}
