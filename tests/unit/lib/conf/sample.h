/* Tables in the shape of dmd.conf, a policy file and a stack profile, shared by the tests of lib/conf. */
#pragma once
#include "lib/conf/conf.h"
#include "tests/support/check_main.h"
#include <stdbool.h>
#include <string.h>

static const struct conf_stmt dm_global[] = {
	{"SyslogLevel", (const struct conf_operand[]){{"mask", CONF_UINT, .dflt = "7", .max = 255, .help = "what is logged"}, {0}},
		.flags = CONF_ONCE, .help = "Mask of messages."},
	{"DefensiveFilterDirectory", (const struct conf_operand[]){{"path", CONF_STRING, .dflt = "/var/dm/filters"}, {0}},
		.help = "Where filters are kept."},
	{0},
};
static const struct conf_stmt dm_stack[] = {
	{"Mode", (const struct conf_operand[]){{"mode", CONF_WORD, .words = "Active|Simulate|Inactive", .dflt = "Active"}, {0}},
		.help = "What defensive filters do."},
	{"MaxLifetime", (const struct conf_operand[]){{"minutes", CONF_UINT, .dflt = "1440", .min = 1, .max = 20160}, {0}}},
	{"DefaultLogLimit", (const struct conf_operand[]){{"n", CONF_UINT, .dflt = "0", .max = 9999}, {0}}},
	{"Exclude", (const struct conf_operand[]){{"address", CONF_PREFIX}, {0}}, .flags = CONF_ANYNUMBER},
	{0},
};
static const struct conf_stmt dm_stmts[] = {
	{"DmConfig", NULL, dm_global, .flags = CONF_BLOCK | CONF_ONCE, .help = "The daemon."},
	{"DmStackConfig", (const struct conf_operand[]){{"stackname", CONF_NAME, .max = 8}, {0}}, dm_stack, .flags = CONF_BLOCK,
		.help = "One stack."},
	{0},
};
static const struct conf_spec dm_spec = {"dmd.conf", CONF_POLICY, dm_stmts};

static const struct conf_stmt service[] = {
	{"Protocol", (const struct conf_operand[]){{"protocol", CONF_WORD_OR_UINT, .words = "all|tcp|udp|icmp", .max = 255}, {0}}},
	{"SourcePortRange", (const struct conf_operand[]){{"ports", CONF_RANGE, .words = "*|all", .min = 1, .max = 65535}, {0}}},
	{"DestinationPortRange", (const struct conf_operand[]){{"ports", CONF_RANGE, .words = "*|all", .min = 1, .max = 65535}, {0}}},
	{"Direction", (const struct conf_operand[]){{"direction", CONF_WORD, .words = "Inbound|Outbound|BiDirectional"},
		{"connect", CONF_WORD, CONF_OPTIONAL, .words = "InboundConnect|OutboundConnect"}, {0}}},
	{0},
};
static const struct conf_stmt action[] = {
	{"PassthroughDF", (const struct conf_operand[]){{"pass", CONF_WORD, .words = "Yes|No", .dflt = "Yes"},
		{"df", CONF_WORD, CONF_OPTIONAL, .words = "Clear|Set"}, {0}}},
	{"AuthInboundSa", (const struct conf_operand[]){{"spi", CONF_UINT, .min = 256, .max = UINT32_MAX},
		{"key", CONF_HEX, CONF_SECRET, .max = 64}, {0}}},
	{0},
};
static const struct conf_stmt rule[] = {
	{"IpSourceAddr", (const struct conf_operand[]){{"addr", CONF_PREFIX, .words = "all"}, {0}}, .flags = CONF_REQUIRED},
	{"IpService", (const struct conf_operand[]){{"name", CONF_NAME, CONF_OPTIONAL, .max = 32}, {0}}, service, .flags = CONF_BLOCK},
	{"IpGenericFilterActionRef", (const struct conf_operand[]){{"name", CONF_NAME, .max = 32}, {0}}},
	{0},
};
static const struct conf_stmt deep[] = {
	{"Deep", NULL, deep, .flags = CONF_BLOCK},
	{0},
};
static const struct conf_stmt policy_stmts[] = {
	{"IpFilterRule", (const struct conf_operand[]){{"name", CONF_NAME, .max = 32}, {0}}, rule, .flags = CONF_BLOCK},
	{"IpService", (const struct conf_operand[]){{"name", CONF_NAME, .max = 32}, {0}}, service, .flags = CONF_BLOCK},
	{"IpManVpnAction", (const struct conf_operand[]){{"name", CONF_NAME, .max = 32}, {0}}, action, .flags = CONF_BLOCK},
	{"Deep", NULL, deep, .flags = CONF_BLOCK},
	{0},
};
static const struct conf_spec policy_spec = {"policy", CONF_POLICY, policy_stmts};

#define PORT_OPTIONS                                                                                              \
	{"SHAREPort", CONF_FLAG}, {"NOAUTOLog", CONF_FLAG}, {"BIND", CONF_ADDR, CONF_KEYWORD | CONF_OPTIONAL},    \
		{"SAF", CONF_NAME, CONF_KEYWORD | CONF_OPTIONAL, .max = 8}, {0}
static const struct conf_operand ipsec_rule[] = {
	{"src", CONF_PREFIX, .words = "*"}, {"dest", CONF_PREFIX, .words = "*"},
	{"log", CONF_FLAG, .words = "LOG|NOLOG", .dflt = "NOLOG"},
	{"PROTO", CONF_WORD_OR_UINT, CONF_KEYWORD, .words = "*|TCP|UDP|ICMP|OSPF", .max = 255},
	{"SRCPort", CONF_RANGE, CONF_KEYWORD, .words = "*", .dflt = "*", .min = 1, .max = 65535},
	{"DESTport", CONF_RANGE, CONF_KEYWORD, .words = "*", .dflt = "*", .min = 1, .max = 65535},
	{"ROUTING", CONF_WORD, CONF_KEYWORD, .words = "LOCAL|ROUTED|EITHER", .dflt = "LOCAL"},
	{0},
};
static const struct conf_stmt ipsec_block[] = {
	{"IPSECRule", ipsec_rule, .help = "Permits a pair of filters."},
	{0},
};
static const struct conf_stmt interface_block[] = {
	{"IPADDR", (const struct conf_operand[]){{"address", CONF_PREFIX, CONF_HOSTBITS}, {0}}},
	{"MTU", (const struct conf_operand[]){{"n", CONF_UINT, .min = 576, .max = 65535}, {0}}, .flags = CONF_ONCE},
	{0},
};
static const struct conf_stmt routes[] = {
	{"ROUTE", (const struct conf_operand[]){{"dest", CONF_PREFIX, .words = "DEFAULT|DEFAULT6"}, {"gateway", CONF_ADDR, .words = "="},
		{"link", CONF_NAME, .max = 16}, {"MTU", CONF_UINT, CONF_KEYWORD | CONF_OPTIONAL, .min = 576, .max = 65535}, {0}},
		.flags = CONF_ENTRIES},
	{0},
};
static const struct conf_stmt profile_stmts[] = {
	{"IPCONFIG", (const struct conf_operand[]){{"IPSECURITY", CONF_FLAG}, {"forward", CONF_FLAG,
		.words = "DATAGRAMFWD|NODATAGRAMFWD", .dflt = "DATAGRAMFWD"}, {0}}, .help = "IPv4."},
	{"PORT", (const struct conf_operand[]){{"num", CONF_UINT, .min = 1, .max = 65535}, {"proto", CONF_WORD, .words = "TCP|UDP"},
		{"jobname", CONF_NAME, .max = 8}, PORT_OPTIONS}, .flags = CONF_ENTRIES, .help = "Reserves ports."},
	{"PORT UNRSV", (const struct conf_operand[]){{"proto", CONF_WORD, .words = "TCP|UDP"}, {"jobname", CONF_NAME, .max = 8},
		{"DENY", CONF_FLAG}, {"SAF", CONF_NAME, CONF_KEYWORD | CONF_OPTIONAL, .max = 8},
		{"when", CONF_FLAG, .words = "WHENLISTEN|WHENBIND", .dflt = "WHENLISTEN"}, {0}}, .flags = CONF_ENTRIES},
	{"IPSEC", (const struct conf_operand[]){{"logging", CONF_FLAG, .words = "LOGENable|LOGDISable", .dflt = "LOGDISable"}, {0}},
		ipsec_block, "ENDIPSEC", CONF_BLOCK | CONF_ONCE, "Default filters."},
	{"BEGINROUTES", NULL, routes, "ENDROUTES", CONF_BLOCK},
	{"INTERFACE", (const struct conf_operand[]){{"name", CONF_NAME, .max = 16},
		{"DEFINE", CONF_WORD, CONF_KEYWORD, .words = "AFPACKET|TUN"}, {"DEVICE", CONF_STRING, CONF_KEYWORD, .max = 15},
		{"TAG", CONF_NAME, CONF_KEYWORD | CONF_OPTIONAL | CONF_REPEAT, .max = 8}, {0}}, interface_block, .flags = CONF_BLOCK},
	{"WORKERS", (const struct conf_operand[]){{"n", CONF_UINT, .min = 1, .max = 64}, {0}}, .flags = CONF_ONCE},
	{0},
};
static const struct conf_spec profile_spec = {"profile", CONF_PROFILE, profile_stmts};

static inline struct conf *parsed(const struct conf_spec *spec, const char *text)
{
	struct conf *c;
	int rc = conf_parse(spec, "f", text, strlen(text), &c);
	ck_assert_msg(!rc, "%s", conf_error(c, 0));
	return c;
}

/* @text is refused and error @i reads exactly @want. */
static inline void refused(const struct conf_spec *spec, const char *text, unsigned count, const char *want)
{
	struct conf *c;
	ck_assert_int_ne(conf_parse(spec, "f", text, strlen(text), &c), 0);
	ck_assert_str_eq(conf_error(c, 0), want);
	for (unsigned i = count; i < conf_error_count(c); i++)
		ck_abort_msg("unexpected error: %s", conf_error(c, i));
	ck_assert_uint_eq(conf_error_count(c), count);
	conf_free(c);
}
