/* LocalDynVpnPolicy: what can be activated by name, or by itself. */
#include "lib/policy/statements.h"

static const struct conf_operand port_operands[] = {
	{"port", CONF_WORD_OR_UINT, .words = "All", .min = 0, .max = 65535, .help = "Port; 0 or All: every port."}, {0}};

const struct conf_stmt policy_local_rule_children[] = {
	{"LocalIp", policy_address_operands, .flags = CONF_ONCE, .help = "What the tunnel protects on this side."},
	{"LocalIpRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IpAddr."},
	{"LocalIpSetRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IpAddrSet."},
	{"RemoteIp", policy_address_operands, .flags = CONF_ONCE, .help = "What it protects on the other side."},
	{"RemoteIpRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IpAddr."},
	{"RemoteIpSetRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IpAddrSet."},
	{"LocalDataPort", port_operands, .flags = CONF_ONCE, .help = "tcp, udp, sctp. Default All."},
	{"RemoteDataPort", port_operands, .flags = CONF_ONCE, .help = "tcp, udp, sctp. Default All."},
	{"Protocol", policy_protocol_operands, .flags = CONF_ONCE, .help = "Default all."},
	{"AutoActivate", policy_yes_operands, .flags = CONF_ONCE,
		.help = "The tunnel is negotiated when the stack and ikeD are up. Default No."},
	{"LocalSecurityEndpointAddr", policy_endpoint_operands, .flags = CONF_ONCE,
		.help = "Local end of the tunnel. Default: the start action's, else LocalIp."},
	{"RemoteSecurityEndpointAddr", policy_endpoint_operands, .flags = CONF_ONCE,
		.help = "Remote end of the tunnel. Default: the start action's, else RemoteIp."},
	POLICY_TIMES, {0}};

const struct conf_stmt policy_local_group_children[] = {
	{"LocalDynVpnRule", policy_name_operands, policy_local_rule_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A rule, written here."},
	{"LocalDynVpnRuleRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "A LocalDynVpnRule."}, {0}};

const struct conf_stmt policy_local_policy_children[] = {
	{"LocalDynVpnRule", policy_name_operands, policy_local_rule_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A rule, written here."},
	{"LocalDynVpnRuleRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "A LocalDynVpnRule."},
	{"LocalDynVpnGroup", policy_inline_operands, policy_local_group_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "Rules, written here."},
	{"LocalDynVpnGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "A LocalDynVpnGroup."}, {0}};
