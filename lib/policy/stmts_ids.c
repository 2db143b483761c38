/* Intrusion detection: the whole file (zos.md section 5). */
#include "lib/policy/ids.h"
#include "lib/policy/statements.h"

#define ATTACK_WORDS                                                                                             \
	"MALFORMED_PACKET|FLOOD|OUTBOUND_RAW|ICMP_REDIRECT|PERPETUAL_ECHO|IP_FRAGMENT|RESTRICTED_IP_OPTIONS|"    \
	"RESTRICTED_IP_PROTOCOL|OUTBOUND_RAW_IPV6|RESTRICTED_IPV6_NEXT_HDR|RESTRICTED_IPV6_HOP_OPTIONS|"         \
	"RESTRICTED_IPV6_DST_OPTIONS|DATA_HIDING|IP_OPTIONS|IP_PROTOCOL"

static const struct conf_operand condition_operands[] = {
	{"type", CONF_WORD, .words = "Attack|ScanGlobal|ScanEvent|TR", .help = "What the rule's condition is."}, {0}};
static const struct conf_operand priority_operands[] = {
	{"priority", CONF_UINT, .min = 0, .max = 2000000000, .help = "The highest counts."}, {0}};
static const struct conf_operand minutes_operands[] = {{"minutes", CONF_UINT, .min = 1, .max = 1440, .help = "Minutes."}, {0}};
static const struct conf_operand threshold_operands[] = {
	{"events", CONF_UINT, .min = 1, .max = 64, .help = "Distinct probes of one source."}, {0}};
static const struct conf_operand protocol_operands[] = {{"protocol", CONF_WORD, .words = "TCP|UDP|ICMP", .help = "Protocol."}, {0}};
static const struct conf_operand tr_protocol_operands[] = {{"protocol", CONF_WORD, .words = "TCP|UDP", .help = "Protocol."}, {0}};
static const struct conf_operand sensitivity_operands[] = {
	{"sensitivity", CONF_WORD, .words = "None|Low|Medium|High",
		.help = "Low counts very suspicious events, Medium possibly suspicious ones too, High every one."},
	{0}};
static const struct conf_operand port_operands[] = {
	{"range", CONF_RANGE, .words = "all|*", .min = 1, .max = 65535, .help = "Port, or low and high."}, {0}};
static const struct conf_operand byte_operands[] = {{"range", CONF_RANGE, .min = 0, .max = 255, .help = "Number, or low and high."}, {0}};
static const struct conf_operand attack_operands[] = {
	{"type", CONF_WORD, .words = ATTACK_WORDS, .help = "IP_OPTIONS and IP_PROTOCOL mean the RESTRICTED_ ones."}, {0}};
static const struct conf_operand count_operands[] = {{"count", CONF_UINT, .min = 1, .max = 65535, .help = "Connections."}, {0}};
static const struct conf_operand min_operands[] = {{"packets", CONF_UINT, .min = 1, .max = 1000000000, .help = "Discards in a minute."}, {0}};
static const struct conf_operand percent_operands[] = {{"percent", CONF_UINT, .min = 0, .max = 100, .help = "Percent."}, {0}};
static const struct conf_operand scope_operands[] = {
	{"scope", CONF_WORD, .words = "PORT|PORT_INSTANCE", .help = "Addresses of a port share the pool, or each has its own."}, {0}};
static const struct conf_operand queue_operands[] = {
	{"size", CONF_WORD, .words = "VERY_SHORT|SHORT|LONG|VERY_LONG", .help = "16, 256, 2048 or 8192 datagrams."}, {0}};
static const struct conf_operand action_operands[] = {
	{"type", CONF_WORD, .words = "ATTACK|SCAN_GLOBAL|SCAN_EVENT|TR", .help = "Kind of rule it is for."},
	{"what", CONF_WORD, CONF_OPTIONAL, .words = "discard|nodiscard|count|exclude|limit|nolimit",
		.help = "ATTACK discard or nodiscard, SCAN_EVENT count or exclude, TR limit or nolimit."},
	{0}};
static const struct conf_operand types_operands[] = {
	{"type", CONF_WORD, CONF_REPEAT, .words = "LOG|CONSOLE|STATISTICS|EXCEPTSTATS|LOGGING", .help = "What is made of an event."}, {0}};
static const struct conf_operand level_operands[] = {{"level", CONF_UINT, .min = 0, .max = 7, .help = "Of syslog: 0 emergency .. 7 debug."}, {0}};
static const struct conf_operand stat_operands[] = {{"type", CONF_WORD, .words = "Normal|Exception", .help = "Exception: only of intervals with events."}, {0}};
static const struct conf_operand trace_operands[] = {
	{"data", CONF_WORD, .words = "None|Header|RecordSize|Full", .help = "How much of the packet is traced."},
	{"size", CONF_UINT, CONF_OPTIONAL, .min = 1, .max = 65535, .help = "RecordSize: bytes; at most 2048 are kept."},
	{0}};
static const struct conf_operand max_operands[] = {
	{"messages", CONF_UINT, .min = 0, .max = 65535, .help = "Console messages per type and five minutes; 0: no limit."}, {0}};
static const struct conf_operand excluded_operands[] = {
	{"address", CONF_STRING, .max = 96, .help = "Address, address/length, low-high, or All."},
	{"ports", CONF_RANGE, CONF_OPTIONAL, .min = 0, .max = 65535, .help = "Source ports; all when left out."},
	{0}};

static const struct conf_stmt exclusion_children[] = {
	{"ExcludedAddrPort", excluded_operands, .flags = CONF_ANYNUMBER, .help = "Packets of these sources make no event."}, {0}};
static const struct conf_stmt port_group_children[] = {
	{"PortRange", port_operands, .flags = CONF_ANYNUMBER, .help = "Ports."}, {0}};

#define EXCLUSION                                                                                                          \
	{"IDSExclusion", policy_inline_operands, exclusion_children, .flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "Written here."}, \
	{                                                                                                                  \
		"IDSExclusionRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IDSExclusion."               \
	}
#define PORTS(side)                                                                                  \
	{side "PortRange", port_operands, .flags = CONF_ANYNUMBER, .help = "Ports; all when left out."}, \
	{                                                                                            \
		side "PortGroupRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "A PortGroup." \
	}
#define HOSTS                                                                                                          \
	{                                                                                                              \
		"LocalHostAddr", policy_address_operands, .flags = CONF_ANYNUMBER, .help = "Destinations; all when left out." \
	}

static const struct conf_stmt global_children[] = {
	{"FSInterval", minutes_operands, .flags = CONF_ONCE, .help = "Fast scan: minutes. Default 1."},
	{"FSThreshold", threshold_operands, .flags = CONF_ONCE, .help = "Fast scan: events. Default 5."},
	{"SSInterval", minutes_operands, .flags = CONF_ONCE, .help = "Slow scan: minutes. Default 120."},
	{"SSThreshold", threshold_operands, .flags = CONF_ONCE, .help = "Slow scan: events. Default 10."}, EXCLUSION, {0}};
static const struct conf_stmt event_children[] = {
	{"Protocol", protocol_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "Which events."},
	{"Sensitivity", sensitivity_operands, .flags = CONF_ONCE, .help = "Default Medium."}, HOSTS, PORTS("Local"), EXCLUSION, {0}};
static const struct conf_stmt attack_children[] = {
	{"AttackType", attack_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "What is looked for."},
	{"ProtocolRange", byte_operands, .flags = CONF_ANYNUMBER,
		.help = "Restricted protocols or next headers; OUTBOUND_RAW: those that may be sent."},
	{"RestrictedIpOptionRange", byte_operands, .flags = CONF_ANYNUMBER, .help = "Restricted options (IPv6: option types)."},
	{"IfcFloodMinDiscard", min_operands, .flags = CONF_ONCE, .help = "FLOOD: discards in a minute. Default 1000."},
	{"IfcFloodPercentage", percent_operands, .flags = CONF_ONCE, .help = "FLOOD: of the packets received. Default 10."},
	PORTS("Local"), PORTS("Remote"), EXCLUSION, {0}};
static const struct conf_stmt tr_children[] = {
	{"Protocol", tr_protocol_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "What is regulated."}, HOSTS, PORTS("Local"),
	{"TotalConnections", count_operands, .flags = CONF_ONCE, .help = "TCP: the pool of a port. Default 65535."},
	{"Percentage", percent_operands, .flags = CONF_ONCE, .help = "TCP: what a host may hold of what is still free. Default 100."},
	{"LimitScope", scope_operands, .flags = CONF_ONCE, .help = "TCP. Default PORT."},
	{"UDPQueueSize", queue_operands, .flags = CONF_ONCE, .help = "UDP. Default VERY_LONG."}, EXCLUSION, {0}};
static const struct conf_stmt report_children[] = {
	{"TypeActions", types_operands, .flags = CONF_ANYNUMBER, .help = "Default LOG."},
	{"LoggingLevel", level_operands, .flags = CONF_ONCE, .help = "Default 4."},
	{"StatInterval", minutes_operands, .flags = CONF_ONCE, .help = "Default 60."},
	{"StatType", stat_operands, .flags = CONF_ONCE, .help = "Default Normal."},
	{"TraceData", trace_operands, .flags = CONF_ONCE, .help = "Default None."},
	{"MaxEventMessage", max_operands, .flags = CONF_ONCE, .help = "Default 5."}, {0}};
static const struct conf_stmt action_children[] = {
	{"ActionType", action_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "What happens."},
	{"IDSReportSet", policy_inline_operands, report_children, .flags = CONF_BLOCK | CONF_ONCE, .help = "Reports, written here."},
	{"IDSReportSetRef", policy_name_operands, .flags = CONF_ONCE, .help = "An IDSReportSet."}, {0}};

#define OBJECT(name, children, text)                                                                                        \
	{name, policy_inline_operands, children, .flags = CONF_BLOCK | CONF_ONCE, .help = text},                            \
	{                                                                                                                   \
		name "Ref", policy_name_operands, .flags = CONF_ONCE, .help = "The same, written elsewhere."                \
	}
static const struct conf_stmt rule_children[] = {
	{"ConditionType", condition_operands, .flags = CONF_ONCE | CONF_REQUIRED, .help = "Kind of condition."},
	{"Priority", priority_operands, .flags = CONF_ONCE, .help = "Default 0."},
	OBJECT("IDSAttackCondition", attack_children, "An attack."), OBJECT("IDSScanGlobalCondition", global_children, "What a scan is."),
	OBJECT("IDSScanEventCondition", event_children, "What counts for a scan."), OBJECT("IDSTRCondition", tr_children, "A limit."),
	OBJECT("IDSAction", action_children, "What happens."),
	POLICY_TIMES, {0}};

#define TOP(name, children, text)                                                                \
	{                                                                                        \
		name, policy_name_operands, children, .flags = CONF_BLOCK | CONF_ANYNUMBER, .help = text \
	}
static const struct conf_stmt statements[] = {
	TOP("IDSRule", rule_children, "A condition and an action."),
	TOP("IDSAttackCondition", attack_children, "An attack."),
	{"IDSScanGlobalCondition", policy_inline_operands, global_children, .flags = CONF_BLOCK | CONF_ANYNUMBER, .help = "What a scan is."},
	TOP("IDSScanEventCondition", event_children, "What counts for a scan."),
	TOP("IDSTRCondition", tr_children, "A limit of connections or of a queue."),
	TOP("IDSAction", action_children, "What happens, and what is reported."),
	TOP("IDSReportSet", report_children, "Reports."),
	TOP("IDSExclusion", exclusion_children, "Sources that make no event."),
	TOP("PortGroup", port_group_children, "Ports."),
	TOP("IpTimeCondition", policy_time_children, "Times at which rules are in force."),
	{0}};

const struct conf_spec ids_policy_spec = {"IDS policy", CONF_POLICY, statements};
