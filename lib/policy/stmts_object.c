/* Reusable objects of filters: addresses and services. */
#include "lib/policy/statements.h"

static const struct conf_operand port_operands[] = {
	{"range", CONF_RANGE, .words = "all|*", .min = 0, .max = 65535, .help = "Port, low high, 0 or all."}, {0}};
static const struct conf_operand type_operands[] = {
	{"range", CONF_RANGE, .words = "all|any|*", .min = 0, .max = 255, .help = "Number, low high, or all."}, {0}};
static const struct conf_operand direction_operands[] = {
	{"direction", CONF_WORD, .words = "BiDirectional|Inbound|Outbound",
		.help = "BiDirectional makes an outbound filter and its inbound mirror."},
	{"connect", CONF_WORD, CONF_OPTIONAL, .words = "InboundConnect|OutboundConnect",
		.help = "Who may open a connection: not supported."},
	{0}};
static const struct conf_operand routing_operands[] = {
	{"routing", CONF_WORD, .words = "Local|Routed|Either", .help = "Traffic of this host, through it, or both."}, {0}};
static const struct conf_operand class_operands[] = {
	{"class", CONF_UINT, .min = 0, .max = 255, .help = "Security class of the interface; 0: any."}, {0}};

const struct conf_stmt policy_service_children[] = {
	{"Protocol", policy_protocol_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "Upper-layer protocol."},
	{"SourcePortRange", port_operands, .flags = CONF_ONCE, .help = "TCP, UDP, SCTP. Default all."},
	{"DestinationPortRange", port_operands, .flags = CONF_ONCE, .help = "TCP, UDP, SCTP. Default all."},
	{"Type", type_operands, .flags = CONF_ONCE, .help = "ICMP, ICMPv6, OSPF, MIPv6. Default all."},
	{"Code", type_operands, .flags = CONF_ONCE, .help = "ICMP, ICMPv6. Default all."},
	{"Direction", direction_operands, .flags = CONF_ONCE, .help = "Default BiDirectional."},
	{"Routing", routing_operands, .flags = CONF_ONCE, .help = "Default Local."},
	{"SecurityClass", class_operands, .flags = CONF_ONCE, .help = "Default 0."},
	{"FragmentsOnly", policy_yes_operands, .flags = CONF_ONCE, .help = "Default No."}, {0}};

const struct conf_stmt policy_service_group_children[] = {
	{"IpService", policy_inline_operands, policy_service_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "A service, written here."},
	{"IpServiceRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpService."}, {0}};

const struct conf_stmt policy_addr_children[] = {
	{"Addr", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "An address."}, {0}};
const struct conf_stmt policy_addr_set_children[] = {
	{"Prefix", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "Address/length."},
	{"Range", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "Low-high."}, {0}};
const struct conf_stmt policy_addr_group_children[] = {
	{"IpAddr", policy_inline_operands, policy_addr_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "Addresses, written here."},
	{"IpAddrRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddr."},
	{"IpAddrSet", policy_inline_operands, policy_addr_set_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,
		.help = "Sets, written here."},
	{"IpAddrSetRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpAddrSet."}, {0}};
