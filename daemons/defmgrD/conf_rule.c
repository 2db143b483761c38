/* DmDefenceRule of dmd.conf: our own, z/OS leaves it to automation outside. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/policy/ids.h"
#include <string.h>

/* What rules may answer, by bit: scans, refusals of traffic regulation, and attacks that have a source other than this host: floods are
 * of nobody in particular, and raw packets are sent from here. */
#define RULE_EVENTS "SCAN_FAST|SCAN_SLOW|TR_TCP|TR_UDP|ATTACK|"                                                                  \
	"MALFORMED_PACKET|ICMP_REDIRECT|PERPETUAL_ECHO|IP_FRAGMENT|RESTRICTED_IP_OPTIONS|RESTRICTED_IP_PROTOCOL|"               \
	"RESTRICTED_IPV6_NEXT_HDR|RESTRICTED_IPV6_HOP_OPTIONS|RESTRICTED_IPV6_DST_OPTIONS|DATA_HIDING"
enum { BIT_SCAN_FAST, BIT_SCAN_SLOW, BIT_TR_TCP, BIT_TR_UDP, BIT_ATTACK, NO_BIT = 32 };

static const struct conf_operand event_ops[] = {
	{"detection", CONF_WORD, 0, RULE_EVENTS, NULL, 0, 0, "what the stack detects; ATTACK: each of the attack types that follow it"},
	{.type = CONF_END}};
static const struct conf_operand ids_rule_ops[] = {
	{"name", CONF_NAME, 0, NULL, NULL, 0, 32, "name of an IDSRule: only what that rule tells"}, {.type = CONF_END}};
static const struct conf_operand sensitivity_ops[] = {
	{"word", CONF_WORD, 0, "Low|Medium|High", "High", 0, 0,
		"of scans, the probe that completed it: Low very suspicious ones alone, Medium possibly suspicious ones too, High all"},
	{.type = CONF_END}};
static const struct conf_operand severity_ops[] = {
	{"level", CONF_UINT, 0, NULL, "7", 0, 7, "LoggingLevel of the IDSReportSet: this one and graver ones (lower numbers)"},
	{.type = CONF_END}};
static const struct conf_operand stack_ops[] = {
	{"name", CONF_NAME, 0, NULL, NULL, 0, DM_STACK_NAME_MAX, "a stack that the rule is for; none named: all that have a DmStackConfig"},
	{.type = CONF_END}};
static const struct conf_operand mode_ops[] = {
	{"mode", CONF_WORD, 0, "Block|Simulate", "Block", 0, 0, "of the filter; Simulate: it only logs"}, {.type = CONF_END}};
static const struct conf_operand lifetime_ops[] = {
	{"minutes", CONF_UINT, 0, NULL, "30", 1, FILTER_LIFETIME_MAX, "life of the filter"}, {.type = CONF_END}};
static const struct conf_operand repeat_ops[] = {
	{"word", CONF_WORD, 0, "Extend|Double|Ignore", "Extend", 0, 0,
		"detected again: Extend: the life begins anew; Double: and is twice as long each time; Ignore: nothing"},
	{.type = CONF_END}};
static const struct conf_operand threshold_ops[] = {
	{"n", CONF_UINT, 0, NULL, "1", 1, 1000, "detections of one source before it gets a filter"}, {.type = CONF_END}};
static const struct conf_operand interval_ops[] = {
	{"minutes", CONF_UINT, 0, NULL, "5", 1, 1440, "within which Threshold is to be reached"}, {.type = CONF_END}};
static const struct conf_operand prefix4_ops[] = {
	{"length", CONF_UINT, 0, NULL, "32", 8, 32, "what of an IPv4 source is blocked with it; 32: the host alone"}, {.type = CONF_END}};
static const struct conf_operand prefix6_ops[] = {
	{"length", CONF_UINT, 0, NULL, "128", 16, 128, "what of an IPv6 source is blocked with it; 128: the host alone"}, {.type = CONF_END}};
static const struct conf_operand direction_ops[] = {
	{"word", CONF_WORD, 0, "Inbound|Bidirectional", "Bidirectional", 0, 0, "Bidirectional: what is sent to the source is stopped too"},
	{.type = CONF_END}};
static const struct conf_operand routing_ops[] = {
	{"word", CONF_WORD, 0, "Local|Routed|Either", "Either", 0, 0, "packets for this host, those for hosts behind it, or both"},
	{.type = CONF_END}};
static const struct conf_operand max_ops[] = {
	{"n", CONF_UINT, 0, NULL, "1000", 1, TABLE_MAX, "most filters of this rule in a stack; further sources are told in the log"},
	{.type = CONF_END}};
static const struct conf_operand tag_ops[] = {
	{"word", CONF_NAME, 0, NULL, NULL, 0, DM_RULE_NAME_MAX, "what the filters' names begin with; default: the rule's name"},
	{.type = CONF_END}};
static const struct conf_operand log_ops[] = {
	{"word", CONF_WORD, 0, "Yes|No", "Yes", 0, 0, "whether the filter's matches are logged"}, {.type = CONF_END}};
static const struct conf_operand loglimit_ops[] = {
	{"n", CONF_UINT, 0, NULL, NULL, 0, FILTER_LOGLIMIT_MAX, "messages in 5 minutes of one filter; default: the stack's DefaultLogLimit"},
	{.type = CONF_END}};
static const struct conf_operand exclude_ops[] = {
	{"address", CONF_PREFIX, 0, NULL, NULL, 0, 0, "a source in it gets no filter, and no filter covers it"}, {.type = CONF_END}};

const struct conf_operand dm_rule_ops[] = {
	{"name", CONF_NAME, 0, NULL, NULL, 0, DM_RULE_NAME_MAX, "name of the rule"}, {.type = CONF_END}};
const struct conf_stmt dm_rule_children[] = {
	{"Event", event_ops, NULL, NULL, CONF_REQUIRED | CONF_ANYNUMBER, "a detection that the rule answers"},
	{"IDSRule", ids_rule_ops, NULL, NULL, CONF_ANYNUMBER, "up to 8; none: whatever rule tells it"},
	{"Sensitivity", sensitivity_ops, NULL, NULL, CONF_ONCE, "which scans"},
	{"Severity", severity_ops, NULL, NULL, CONF_ONCE, "how grave"},
	{"Stack", stack_ops, NULL, NULL, CONF_ANYNUMBER, "where"},
	{"Mode", mode_ops, NULL, NULL, CONF_ONCE, "what the filter does"},
	{"Lifetime", lifetime_ops, NULL, NULL, CONF_ONCE, "how long; cut to the stack's MaxLifetime"},
	{"Repeat", repeat_ops, NULL, NULL, CONF_ONCE, "what happens when a source that has its filter is detected again"},
	{"Threshold", threshold_ops, NULL, NULL, CONF_ONCE, "how often"},
	{"Interval", interval_ops, NULL, NULL, CONF_ONCE, "in which time"},
	{"SourcePrefix", prefix4_ops, NULL, NULL, CONF_ONCE, "the width of the filter, IPv4"},
	{"SourcePrefix6", prefix6_ops, NULL, NULL, CONF_ONCE, "the width of the filter, IPv6"},
	{"Direction", direction_ops, NULL, NULL, CONF_ONCE, "of the filter"},
	{"Routing", routing_ops, NULL, NULL, CONF_ONCE, "of the filter"},
	{"MaxFilters", max_ops, NULL, NULL, CONF_ONCE, "a bound, as sources can be invented"},
	{"FilterName", tag_ops, NULL, NULL, CONF_ONCE, "letters, digits and @ $ _ . -"},
	{"Log", log_ops, NULL, NULL, CONF_ONCE, "of the filter"},
	{"LogLimit", loglimit_ops, NULL, NULL, CONF_ONCE, "of the filter"},
	{"Exclude", exclude_ops, NULL, NULL, CONF_ANYNUMBER, "address or prefix that the rule never blocks, up to 64"},
	{NULL}};

const char *dm_rule_event_text(unsigned bit, char out[32])
{
	const char *p = RULE_EVENTS;
	while (bit-- && (p = strchr(p, '|')))
		p++;
	if (p)
		(void)snprintf(out, 32, "%.*s", (int)strcspn(p, "|"), p);
	return p ? out : NULL;
}

const char *dm_repeat_text(enum dm_repeat r)
{
	static const char *const text[] = {"Extend", "Double", "Ignore"};
	return text[r];
}

/* Attacks come with the type that messages show. */
static const char *attack_word(const char *type)
{
	static const char *const pairs[][2] = {
#define PAIR(name, word, text) {text, word},
		IDS_ATTACK_TYPES(PAIR)
#undef PAIR
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		if (!strcmp(pairs[i][0], type))
			return pairs[i][1];
	return "";
}

unsigned dm_rule_event_bit(const char *kind, const char *type, unsigned protocol)
{
	char text[32];
	if (!strcmp(kind, "scan"))
		return strcmp(type, "Fast") ? BIT_SCAN_SLOW : BIT_SCAN_FAST;
	if (!strcmp(kind, "refused"))
		return protocol == 17 ? BIT_TR_UDP : BIT_TR_TCP;
	if (strcmp(kind, "attack"))
		return NO_BIT;
	const char *word = attack_word(type);
	for (unsigned i = BIT_ATTACK + 1; dm_rule_event_text(i, text); i++)
		if (!strcmp(text, word))
			return i;
	return NO_BIT;
}

static uint64_t number(struct conf_node *n, const char *stmt, const char *operand, uint64_t otherwise)
{
	struct conf_node *p = conf_find(n->children, stmt);
	return p ? conf_uint(p, operand) : otherwise;
}

static int build_events(struct conf_node *n, struct dm_rule_conf *r)
{
	for (struct conf_node *p = conf_find(n->children, "Event"); p; p = conf_next(p, "Event")) {
		unsigned bit = (unsigned)conf_uint(p, "detection");
		char text[32];
		r->events |= 1u << bit;
		for (unsigned i = BIT_ATTACK + 1; bit == BIT_ATTACK && dm_rule_event_text(i, text); i++)
			r->events |= 1u << i;
	}
	for (struct conf_node *p = conf_find(n->children, "IDSRule"); p; p = conf_next(p, "IDSRule")) {
		if (r->nids_rules == DM_RULE_IDS_MAX)
			return conf_node_error(p, "found an IDSRule too many, expected at most %d in a rule", DM_RULE_IDS_MAX);
		(void)snprintf(r->ids_rules[r->nids_rules++], sizeof(r->ids_rules[0]), "%s", conf_str(p, "name"));
	}
	return 0;
}

/* A stack's DmStackConfig may come later in the file: the name alone is judged here, and rules of no stack do nothing. */
static int build_stacks(struct conf_node *n, struct dm_rule_conf *r)
{
	for (struct conf_node *p = conf_find(n->children, "Stack"); p; p = conf_next(p, "Stack")) {
		if (r->nstacks == DM_STACKS_MAX)
			return conf_node_error(p, "found a Stack too many, expected at most %d in a rule", DM_STACKS_MAX);
		(void)snprintf(r->stacks[r->nstacks++], sizeof(r->stacks[0]), "%s", conf_str(p, "name"));
	}
	return 0;
}

static int build_excludes(struct conf_node *n, struct dm_rule_conf *r)
{
	for (struct conf_node *p = conf_find(n->children, "Exclude"); p; p = conf_next(p, "Exclude")) {
		const struct conf_value *v = conf_get(p, "address");
		if (r->nexcludes == DM_RULE_EXCLUDES_MAX)
			return conf_node_error(p, "found an Exclude too many, expected at most %d in a rule", DM_RULE_EXCLUDES_MAX);
		if (!v || !v->prefix.addr.family)
			return conf_node_error(p, "found no address, expected address or address/prefixLength");
		r->excludes[r->nexcludes++] = v->prefix;
	}
	return 0;
}

static int build_tag(struct conf_node *n, const struct dm_conf *c, struct dm_rule_conf *r)
{
	struct conf_node *p = conf_find(n->children, "FilterName");
	memcpy(r->tag, r->name, sizeof(r->tag));
	if (p)
		(void)snprintf(r->tag, sizeof(r->tag), "%s", conf_str(p, "word"));
	if (!filter_tag_ok(r->tag))
		return conf_node_error(p ? p : n, "found '%s', expected letters, digits and @ $ _ . - (not first)", r->tag);
	for (unsigned i = 0; i < c->nrules; i++)
		if (!strcmp(c->rules[i].tag, r->tag))
			return conf_node_error(p ? p : n, "found FilterName '%s' again, expected one rule of that name", r->tag);
	return 0;
}

int dm_rule_build(struct conf_node *n, struct dm_conf *c)
{
	struct dm_rule_conf *r = &c->rules[c->nrules];
	if (c->nrules == DM_RULES_MAX)
		return conf_node_error(n, "found a DmDefenceRule too many, expected at most %d", DM_RULES_MAX);
	*r = (struct dm_rule_conf){.loglimit = -1};
	(void)snprintf(r->name, sizeof(r->name), "%s", conf_str(n, "name"));
	for (unsigned i = 0; i < c->nrules; i++)
		if (!strcmp(c->rules[i].name, r->name))
			return conf_node_error(n, "found '%s' again, expected one DmDefenceRule of a name", r->name);
	r->sensitivity = (unsigned)number(n, "Sensitivity", "word", 2) + 1;
	r->severity = (unsigned)number(n, "Severity", "level", 7);
	r->simulate = number(n, "Mode", "mode", 0) == 1;
	r->lifetime_min = (uint32_t)number(n, "Lifetime", "minutes", FILTER_LIFETIME_DEFAULT);
	r->repeat = (enum dm_repeat)number(n, "Repeat", "word", DM_EXTEND);
	r->threshold = (uint32_t)number(n, "Threshold", "n", 1);
	r->interval_min = (uint32_t)number(n, "Interval", "minutes", 5);
	r->prefix4 = (uint8_t)number(n, "SourcePrefix", "length", 32);
	r->prefix6 = (uint8_t)number(n, "SourcePrefix6", "length", 128);
	r->direction = number(n, "Direction", "word", 1) ? DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL : DEFMGR__FILTER__DIRECTION__INBOUND;
	r->routing = (uint8_t)(number(n, "Routing", "word", 2) + DEFMGR__FILTER__ROUTING__LOCAL);
	r->max_filters = (uint32_t)number(n, "MaxFilters", "n", 1000);
	r->log = number(n, "Log", "word", 0) == 0;
	struct conf_node *p = conf_find(n->children, "LogLimit");
	if (p)
		r->loglimit = (int)conf_uint(p, "n");
	if (build_tag(n, c, r) || build_events(n, r) || build_stacks(n, r) || build_excludes(n, r))
		return -EINVAL;
	c->nrules++;
	return 0;
}
