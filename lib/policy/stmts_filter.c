/* IpFilterPolicy, IpFilterRule and the generic action. */
#include "lib/policy/statements.h"

static const struct conf_operand discard_operands[] = {
	{"discard", CONF_WORD, .words = "Silent|ICMP", .help = "Whether the sender of a denied packet is told (ICMP: prohibited)."}, {0}};
static const struct conf_operand action_operands[] = {
	{"action", CONF_WORD, .words = "Permit|Deny|IpSec", .help = "Let it pass, discard it, or protect it."}, {0}};
static const struct conf_operand logging_operands[] = {
	{"logging", CONF_WORD, .words = "No|Yes|All|Permit|Deny", .help = "Which matches make a message."}, {0}};

const struct conf_stmt policy_action_children[] = {
	{"IpFilterAction", action_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "What happens to a match."},
	{"IpFilterLogging", logging_operands, .flags = CONF_ONCE, .help = "Default No."},
	{"DiscardAction", discard_operands, .flags = CONF_ONCE, .help = "Default Silent."}, {0}};

const struct conf_stmt policy_rule_children[] = {
	{"IpSourceAddr", policy_address_operands, .flags = CONF_ANYNUMBER,
		.help = "Source of the packet (of the outbound one, when bidirectional: the local side)."},
	{"IpSourceAddrSet", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "The same."},
	{"IpSourceAddrRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddr."},
	{"IpSourceAddrSetRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddrSet."},
	{"IpSourceAddrGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddrGroup."},
	{"IpDestAddr", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "Destination."},
	{"IpDestAddrSet", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "The same."},
	{"IpDestAddrRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddr."},
	{"IpDestAddrSetRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddrSet."},
	{"IpDestAddrGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddrGroup."},
	{"IpService", policy_inline_operands, policy_service_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A service, written here."},
	{"IpServiceRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpService."},
	{"IpServiceGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpServiceGroup."},
	{"IpGenericFilterActionRef", policy_name_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "What happens to a match."},
	{"IpManVpnActionRef", policy_name_operands, .flags = CONF_ONCE, .help = "The manual tunnel of an IpSec action."},
	{"IpDynVpnActionRef", policy_name_operands, .flags = CONF_ONCE,
		.help = "The negotiated tunnels of an IpSec action: the rule is an anchor."},
	{"IpLocalStartActionRef", policy_name_operands, .flags = CONF_ONCE,
		.help = "How this end starts tunnels of IpDynVpnActionRef."},
	POLICY_TIMES, {0}};

const struct conf_stmt policy_filter_group_children[] = {
	{"IpFilterRule", policy_name_operands, policy_rule_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A rule, written here."},
	{"IpFilterRuleRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpFilterRule."}, {0}};

const struct conf_stmt policy_filter_policy_children[] = {
	{"PreDecap", policy_on_operands, .flags = CONF_ONCE,
		.help = "Filter ESP and AH packets too before they are opened. Default Off."},
	{"FilterLogging", policy_on_operands, .flags = CONF_ONCE, .help = "Off: no rule makes messages. Default On."},
	{"ImplicitDiscardAction", discard_operands, .flags = CONF_ONCE, .help = "Default Silent."},
	{"AllowOnDemand", policy_yes_operands, .flags = CONF_ONCE,
		.help = "Outbound packets of an anchor without a tunnel start one. Default No."},
	{"IpFilterRule", policy_name_operands, policy_rule_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A rule, written here."},
	{"IpFilterRuleRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpFilterRule."},
	{"IpFilterGroup", policy_inline_operands, policy_filter_group_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "Rules, written here."},
	{"IpFilterGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpFilterGroup."}, {0}};
