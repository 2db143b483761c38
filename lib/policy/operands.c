/* Operands that many statements share. */
#include "lib/policy/statements.h"

const struct conf_operand policy_name_operands[] = {{"name", CONF_NAME, .max = 32, .help = "Name of the object."}, {0}};
const struct conf_operand policy_inline_operands[] = {
	{"name", CONF_NAME, CONF_OPTIONAL, .max = 32, .help = "Name; none is needed inside another statement."}, {0}};
const struct conf_operand policy_address_operands[] = {
	{"address", CONF_STRING, .max = 96, .help = "Address, address/length, low-high, or All, All4, All6."}, {0}};
const struct conf_operand policy_endpoint_operands[] = {{"address", CONF_ADDR, .help = "One IPv4 or IPv6 address."}, {0}};
const struct conf_operand policy_protocol_operands[] = {
	{"protocol", CONF_STRING, .max = 16,
		.help = "Number, tcp, udp, icmp, icmpv6, ospf, igmp, esp, ah, ip, ipip, mipv6, sctp, opaque or all."},
	{0}};
const struct conf_operand policy_yes_operands[] = {{"value", CONF_WORD, .words = "No|Yes", .help = "No or Yes."}, {0}};
const struct conf_operand policy_on_operands[] = {{"value", CONF_WORD, .words = "Off|On", .help = "On or Off."}, {0}};

const struct conf_operand policy_life_operands[] = {{"minutes", CONF_UINT, .min = 1, .max = 525600, .help = "Minutes."}, {0}};
const struct conf_operand policy_life_range_operands[] = {
	{"minutes", CONF_RANGE, .min = 1, .max = 525600, .help = "Least and most minutes that a peer may ask for."}, {0}};
const struct conf_operand policy_size_operands[] = {
	{"kilobytes", CONF_WORD_OR_UINT, .words = "None", .min = 1, .max = 4194304, .help = "Kilobytes, or None."}, {0}};
const struct conf_operand policy_size_range_operands[] = {
	{"kilobytes", CONF_RANGE, .words = "None", .min = 1, .max = 4194304,
		.help = "Least and most kilobytes that a peer may ask for, or None: any."},
	{0}};
const struct conf_operand policy_suite_operands[] = {
	{"suite", CONF_WORD, .words = "VPN-A|VPN-B", .help = "Suite of RFC 4308."}, {0}};
const struct conf_operand policy_df_operands[] = {
	{"pass", CONF_WORD, .words = "Yes|No", .help = "Copy the Don't Fragment bit to the outer header."},
	{"else", CONF_WORD, CONF_OPTIONAL, "Clear|Set", .help = "What No puts there; Clear when left out."}, {0}};
