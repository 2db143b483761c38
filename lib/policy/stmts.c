/* The whole file. */
#include "lib/policy/ipsec.h"
#include "lib/policy/statements.h"

#define OBJECT(name, children, text)                                                                          \
	{                                                                                                     \
		name, policy_name_operands, children, .flags = CONF_BLOCK | CONF_ANYNUMBER, .help = text      \
	}

static const struct conf_stmt statements[] = {
	{"IpFilterPolicy", .children = policy_filter_policy_children, .flags = CONF_BLOCK | CONF_ONCE,
		.help = "The rules in order of search; the first match decides, no match denies. Required."},
	{"KeyExchangePolicy", .children = policy_kex_policy_children, .flags = CONF_BLOCK,
		.help = "How phase 1 is negotiated; the last one of a file counts."},
	{"LocalDynVpnPolicy", .children = policy_local_policy_children, .flags = CONF_BLOCK,
		.help = "Tunnels that this end starts by command or by itself; the last one of a file counts."},
	OBJECT("IpFilterGroup", policy_filter_group_children, "Rules in order."),
	OBJECT("IpFilterRule", policy_rule_children, "Which packets, and what happens."),
	OBJECT("IpService", policy_service_children, "Kind of traffic."),
	OBJECT("IpServiceGroup", policy_service_group_children, "Several services."),
	OBJECT("IpAddr", policy_addr_children, "An address."),
	OBJECT("IpAddrSet", policy_addr_set_children, "A prefix or range."),
	OBJECT("IpAddrGroup", policy_addr_group_children, "Several addresses and sets."),
	OBJECT("IpGenericFilterAction", policy_action_children, "What happens to a match."),
	{"IpManVpnAction", manual_operands, manual_children, .flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "A manual tunnel."},
	OBJECT("IpDynVpnAction", policy_vpn_children, "Negotiated tunnels."),
	OBJECT("IpDataOffer", policy_data_offer_children, "Algorithms and lifetimes of a tunnel."),
	OBJECT("IpLocalStartAction", policy_start_children, "How this end starts tunnels."),
	OBJECT("IpTimeCondition", policy_time_children, "Times at which rules are in force."),
	OBJECT("LocalDynVpnRule", policy_local_rule_children, "A tunnel that can be activated by name."),
	OBJECT("LocalDynVpnGroup", policy_local_group_children, "Several of them."),
	OBJECT("KeyExchangeRule", policy_kex_rule_children, "Two ends, and how they negotiate."),
	OBJECT("KeyExchangeGroup", policy_kex_group_children, "Rules in order."),
	OBJECT("KeyExchangeAction", policy_kex_action_children, "How to negotiate."),
	OBJECT("KeyExchangeOffer", policy_kex_offer_children, "Algorithms and lifetimes of an exchange."),
	OBJECT("LocalSecurityEndpoint", policy_local_end_children, "This end."),
	OBJECT("RemoteSecurityEndpoint", policy_remote_end_children, "A peer, or several."),
	{0}};

const struct conf_spec ipsec_policy_spec = {"IPSec policy", CONF_POLICY, statements};
