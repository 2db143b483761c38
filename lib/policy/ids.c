/* From IDS statements to rules: references, defaults, what fits together, order. */
#include "lib/policy/ids.h"
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"
#include <strings.h>

/* The object that a rule has inline or names; *@bad when it names none, or has both. */
static struct conf_node *object_of(struct build *b, struct conf_node *n, const char *kind, bool *bad)
{
	char ref[48];
	(void)snprintf(ref, sizeof(ref), "%.40sRef", kind);
	struct conf_node *inl = conf_child(n, kind), *named = conf_child(n, ref);
	if (inl && named) {
		*bad = conf_node_error(named, "found %s beside %s, expected one of both", ref, kind) < 0;
		return NULL;
	}
	if (named && !(inl = build_ref(b, named, kind)))
		*bad = true;
	return inl;
}

static uint32_t number(const struct conf_node *n, const char *stmt, const char *operand, uint32_t dflt)
{
	const struct conf_node *at = conf_child(n, stmt);
	return at ? (uint32_t)conf_uint(at, operand) : dflt;
}

static void port_bits(const struct conf_node *at, struct ids_ports **to)
{
	const struct conf_value *v = conf_get(at, "range");
	if (!*to)
		*to = xnew(struct ids_ports);
	for (uint64_t p = v->u; p <= v->u2; p++)
		(*to)->w[p / 64] |= 1ull << p % 64;
}

static int ports_of(struct build *b, struct conf_node *n, const char *side, struct ids_ports **to)
{
	char range[32], ref[32];
	int rc = 0;
	(void)snprintf(range, sizeof(range), "%.8sPortRange", side);
	(void)snprintf(ref, sizeof(ref), "%.8sPortGroupRef", side);
	for (struct conf_node *c = n->children; c; c = c->next) {
		if (!strcasecmp(c->stmt->name, range))
			port_bits(c, to);
		if (strcasecmp(c->stmt->name, ref))
			continue;
		struct conf_node *group = build_ref(b, c, "PortGroup");
		if (group && !group->children)
			rc = conf_node_error(group, "found PortGroup without a PortRange, expected one");
		for (struct conf_node *g = group ? group->children : NULL; g; g = g->next)
			port_bits(g, to);
		rc = group ? rc : -EINVAL;
	}
	return rc;
}

static int hosts_of(struct conf_node *n, struct ids_rule *r)
{
	struct ranges s = {0};
	int rc = 0;
	for (struct conf_node *c = n->children; c; c = c->next)
		if (!strcasecmp(c->stmt->name, "LocalHostAddr") && ranges_add_text(&s, c) < 0)
			rc = -EINVAL;
	r->hosts = s.v;
	r->n_hosts = s.n;
	return rc;
}

static int exclude(struct conf_node *at, struct ids_rule *r)
{
	struct ranges s = {0};
	const struct conf_value *ports = conf_get(at, "ports");
	if (r->n_excludes == IDS_EXCLUSIONS_MAX)
		return conf_node_error(at, "found more than %d exclusions in one rule, expected at most so many", IDS_EXCLUSIONS_MAX);
	if (ranges_add_text(&s, at) < 0)
		return -EINVAL;
	r->excludes = xrealloc(r->excludes, r->n_excludes + 1, sizeof(*r->excludes));
	r->excludes[r->n_excludes++] = (struct ids_exclusion){s.v[0], ports ? (uint16_t)ports->u : 0, ports ? (uint16_t)ports->u2 : 65535};
	free(s.v);
	return 0;
}

static int exclusions_of(struct build *b, struct conf_node *n, struct ids_rule *r)
{
	int rc = 0;
	for (struct conf_node *c = n->children; c; c = c->next) {
		bool ref = !strcasecmp(c->stmt->name, "IDSExclusionRef");
		if (!ref && strcasecmp(c->stmt->name, "IDSExclusion"))
			continue;
		struct conf_node *list = ref ? build_ref(b, c, "IDSExclusion") : c;
		rc = list ? rc : -EINVAL;
		for (struct conf_node *e = list ? list->children : NULL; e; e = e->next)
			rc = exclude(e, r) < 0 ? -EINVAL : rc;
	}
	return rc;
}

static void values_of(const struct conf_node *n, const char *stmt, struct ids_rule *r)
{
	for (const struct conf_node *c = n->children; c; c = c->next) {
		if (strcasecmp(c->stmt->name, stmt))
			continue;
		const struct conf_value *v = conf_get(c, "range");
		for (uint64_t i = v->u; i <= v->u2; i++)
			r->values.w[i / 64] |= 1ull << i % 64;
		r->any_values = true;
	}
}

/* A statement that the attack type does not look at would be a silent mistake. */
static int only_for(struct conf_node *n, const char *stmt, bool fits)
{
	struct conf_node *c = conf_child(n, stmt);
	return !c || fits ? 0 : conf_node_error(c, "found %s, which AttackType %s does not use", stmt, conf_str(conf_child(n, "AttackType"), "type"));
}

static int attack_build(struct build *b, struct conf_node *n, struct ids_rule *r)
{
	unsigned type = build_word(n, "AttackType", 0);
	r->attack = type == IDS_ATTACKS ? IDS_OPTION : type == IDS_ATTACKS + 1 ? IDS_PROTOCOL : (enum ids_attack)type;
	enum ids_attack a = r->attack;
	bool options = a == IDS_OPTION || a == IDS_HOP_OPTION || a == IDS_DEST_OPTION;
	bool protocols = a == IDS_PROTOCOL || a == IDS_NEXT_HEADER || a == IDS_OUTBOUND_RAW || a == IDS_OUTBOUND_RAW6;
	int rc = only_for(n, "ProtocolRange", protocols);
	rc = only_for(n, "RestrictedIpOptionRange", options) < 0 ? -EINVAL : rc;
	rc = only_for(n, "IfcFloodMinDiscard", a == IDS_FLOOD) < 0 ? -EINVAL : rc;
	rc = only_for(n, "IfcFloodPercentage", a == IDS_FLOOD) < 0 ? -EINVAL : rc;
	values_of(n, options ? "RestrictedIpOptionRange" : "ProtocolRange", r);
	for (unsigned i = 0; i < 4; i++) {
		static const char *const words[] = {"LocalPortRange", "LocalPortGroupRef", "RemotePortRange", "RemotePortGroupRef"};
		rc = only_for(n, words[i], a == IDS_ECHO) < 0 ? -EINVAL : rc;
	}
	rc = ports_of(b, n, "Local", &r->local) < 0 ? -EINVAL : rc;
	rc = ports_of(b, n, "Remote", &r->remote) < 0 ? -EINVAL : rc;
	if (a == IDS_ECHO && (!r->local || !r->remote) && !rc)
		rc = conf_node_error(n, "found PERPETUAL_ECHO without %s ports, expected LocalPortRange and RemotePortRange", r->local ? "remote" : "local");
	if ((options || protocols) && !r->any_values)
		rc = conf_node_error(n, "found %s without a range, expected %s", ids_attack_word(a), options ? "RestrictedIpOptionRange" : "ProtocolRange");
	r->flood_min = number(n, "IfcFloodMinDiscard", "packets", 1000);
	r->flood_percent = number(n, "IfcFloodPercentage", "percent", 10);
	return rc;
}

static int scan_build(struct conf_node *n, struct ids_rule *r)
{
	r->fast_min = number(n, "FSInterval", "minutes", 1);
	r->fast_threshold = number(n, "FSThreshold", "events", 5);
	r->slow_min = number(n, "SSInterval", "minutes", 120);
	r->slow_threshold = number(n, "SSThreshold", "events", 10);
	if (r->slow_min <= r->fast_min)
		return conf_node_error(n, "found SSInterval %u, expected more than FSInterval (%u)", r->slow_min, r->fast_min);
	return r->slow_threshold >= r->fast_threshold ? 0
		: conf_node_error(n, "found SSThreshold %u, expected at least FSThreshold (%u)", r->slow_threshold, r->fast_threshold);
}

static int traffic_build(struct build *b, struct conf_node *n, struct ids_rule *r)
{
	static const uint32_t sizes[] = {16, 256, 2048, 8192};
	static const char *const tcp_only[] = {"TotalConnections", "Percentage", "LimitScope"};
	int rc = hosts_of(n, r);
	r->protocol = (enum ids_protocol)build_word(n, "Protocol", 0);
	r->sensitivity = (enum ids_sensitivity)IDS_MEDIUM;
	if (r->condition == IDS_COND_SCAN_EVENT) {
		r->sensitivity = (enum ids_sensitivity)build_word(n, "Sensitivity", IDS_MEDIUM);
		if (r->protocol == IDS_ICMP && (conf_child(n, "LocalPortRange") || conf_child(n, "LocalPortGroupRef")))
			rc = conf_node_error(n, "found ports with Protocol ICMP, expected none");
	} else {
		r->total = number(n, "TotalConnections", "count", 65535);
		r->percentage = number(n, "Percentage", "percent", 100);
		r->per_instance = build_word(n, "LimitScope", 0);
		r->queue = sizes[build_word(n, "UDPQueueSize", 3) & 3];
		for (unsigned i = 0; i < 3; i++)
			if (r->protocol == IDS_UDP && conf_child(n, tcp_only[i]))
				rc = conf_node_error(conf_child(n, tcp_only[i]), "found %s with Protocol UDP, expected UDPQueueSize", tcp_only[i]);
		if (r->protocol == IDS_TCP && conf_child(n, "UDPQueueSize"))
			rc = conf_node_error(conf_child(n, "UDPQueueSize"), "found UDPQueueSize with Protocol TCP, expected TotalConnections");
	}
	return ports_of(b, n, "Local", &r->local) < 0 ? -EINVAL : rc;
}

static int report_build(struct build *b, struct conf_node *action, struct ids_report *r)
{
	bool bad = false;
	struct conf_node *n = object_of(b, action, "IDSReportSet", &bad);
	*r = (struct ids_report){.log = !n || !conf_child(n, "TypeActions"), .level = 4, .interval_min = 60, .console_max = 5};
	if (!n)
		return bad ? -EINVAL : 0;
	for (struct conf_node *t = conf_child(n, "TypeActions"); t; t = conf_next(t, "TypeActions"))
		for (const struct conf_value *v = conf_get(t, "type"); v; v = v->next) {
			r->log |= v->u == 0 || v->u == 4;
			r->console |= v->u == 1;
			r->statistics |= v->u == 2 || v->u == 3;
			r->exceptions |= v->u == 3;
		}
	r->level = (uint8_t)number(n, "LoggingLevel", "level", 4);
	r->interval_min = number(n, "StatInterval", "minutes", 60);
	r->exceptions |= build_word(n, "StatType", 0) == 1;
	r->console_max = number(n, "MaxEventMessage", "messages", 5);
	r->trace = (enum ids_trace)build_word(n, "TraceData", 0);
	struct conf_node *t = conf_child(n, "TraceData");
	const struct conf_value *size = t ? conf_get(t, "size") : NULL;
	if (t && (r->trace == IDS_TRACE_SIZE) != (size && size->given))
		return conf_node_error(t, r->trace == IDS_TRACE_SIZE ? "found RecordSize without a number, expected bytes" : "found a number, expected it after RecordSize only");
	r->trace_size = r->trace == IDS_TRACE_HEADER ? 128 : r->trace == IDS_TRACE_FULL ? IDS_TRACE_MAX : size ? (uint32_t)size->u : 0;
	r->trace_size = r->trace_size > IDS_TRACE_MAX ? IDS_TRACE_MAX : r->trace_size;
	return 0;
}

/* Which words each kind of action takes: the first two are alternatives, the first is the default. */
static int action_build(struct build *b, struct conf_node *n, struct ids_rule *r)
{
	static const int kinds[] = {0, -1, 2, 4}; /* index of the first word */
	static const char *const expected[] = {"discard or nodiscard", "nothing", "count or exclude", "limit or nolimit"};
	struct conf_node *t = conf_child(n, "ActionType");
	unsigned kind = (unsigned)conf_uint(t, "type");
	const struct conf_value *what = conf_get(t, "what");
	int first = kinds[r->condition], word = what && what->given ? (int)what->u : first;
	build_name(r->action, n);
	if (kind != (unsigned)r->condition)
		return conf_node_error(t, "found ActionType %s in the action of rule '%s', expected %s", conf_str(t, "type"), r->name,
			((const char *const[]){"ATTACK", "SCAN_GLOBAL", "SCAN_EVENT", "TR"})[r->condition]);
	if (first < 0 ? word >= 0 : word != first && word != first + 1)
		return conf_node_error(t, "found '%s', expected %s", what->s, expected[kind]);
	r->discard = r->limit = r->count = word == first;
	return report_build(b, n, &r->report);
}

static int rule_build(struct build *b, struct conf_node *n, struct ids_rule *r)
{
	static const char *const kinds[] = {"IDSAttackCondition", "IDSScanGlobalCondition", "IDSScanEventCondition", "IDSTRCondition"};
	bool bad = false;
	struct conf_node *cond = NULL, *action;
	int rc = 0;
	build_name(r->name, n);
	r->condition = (enum ids_condition)build_word(n, "ConditionType", 0);
	r->priority = number(n, "Priority", "priority", 0);
	for (unsigned i = 0; i < 4; i++) {
		struct conf_node *c = object_of(b, n, kinds[i], &bad);
		if (c && i != (unsigned)r->condition)
			rc = conf_node_error(c, "found %s in rule '%s', expected %s", kinds[i], r->name, kinds[r->condition]);
		else if (c)
			cond = c;
	}
	rc = whens_of_rule(b, n, &r->when) < 0 ? -EINVAL : rc;
	if (!cond && !bad && !rc)
		rc = conf_node_error(n, "found rule '%s' without a condition, expected %s", r->name, kinds[r->condition]);
	action = object_of(b, n, "IDSAction", &bad);
	if (!action && !bad)
		rc = conf_node_error(n, "found rule '%s' without an action, expected IDSAction or IDSActionRef", r->name);
	if (action && action_build(b, action, r) < 0)
		rc = -EINVAL;
	if (!cond)
		return -EINVAL;
	int one = r->condition == IDS_COND_ATTACK ? attack_build(b, cond, r) : r->condition == IDS_COND_SCAN_GLOBAL ? scan_build(cond, r) : traffic_build(b, cond, r);
	if (exclusions_of(b, cond, r) < 0 || one < 0)
		rc = -EINVAL;
	return bad ? -EINVAL : rc;
}

static int by_priority(const void *a, const void *b)
{
	const struct ids_rule *x = a, *y = b;
	return x->priority == y->priority ? strcmp(x->name, y->name) : x->priority < y->priority ? 1 : -1;
}

/* Which rule counts for what. */
void ids_choose(struct ids_policy *p)
{
	qsort(p->rules, p->n_rules, sizeof(*p->rules), by_priority);
	for (size_t i = p->n_rules; i--;) {
		const struct ids_rule *r = &p->rules[i];
		if (r->condition == IDS_COND_ATTACK)
			p->attacks[r->attack] = r;
		else if (r->condition == IDS_COND_SCAN_GLOBAL)
			p->scan = r;
		else if (r->condition == IDS_COND_SCAN_EVENT)
			p->scan_level[r->protocol] = r->count && r->sensitivity > p->scan_level[r->protocol] ? r->sensitivity : p->scan_level[r->protocol];
		else
			*(r->protocol == IDS_TCP ? &p->tr_tcp : &p->tr_udp) = true;
		for (unsigned w = 0; r->condition == IDS_COND_TR && r->protocol == IDS_TCP && w < 1024; w++)
			p->tr_ports.w[w] |= r->local ? r->local->w[w] : ~0ull;
	}
	for (unsigned i = 0; !p->scan && i < IDS_PROTOCOLS; i++)
		p->scan_level[i] = IDS_NOTHING;
}

/* One definition of what a scan is: a condition of another name after the first is an error. */
static int one_global(struct conf *c)
{
	struct conf_node *first = conf_top(c, "IDSScanGlobalCondition");
	int rc = 0;
	for (struct conf_node *n = first ? conf_next(first, "IDSScanGlobalCondition") : NULL; n; n = conf_next(n, "IDSScanGlobalCondition")) {
		const char *a = conf_str(first, "name"), *b = conf_str(n, "name");
		if (!a || !b || strcmp(a, b))
			rc = conf_node_error(n, "found a second IDSScanGlobalCondition, expected one (the first is in line %u)", first->line);
	}
	return rc;
}

int ids_policy_build(struct conf *c, struct ids_policy **ret)
{
	struct ids_policy *p = xnew(struct ids_policy);
	struct build b = {0};
	const struct conf_node *scan = NULL;
	struct policy_when unused; /* what no rule names is looked at, too */
	int rc = index_build(c, &b.file);
	rc = one_global(c) < 0 ? -EINVAL : rc;
	p->rules = xcalloc(IDS_RULES_MAX, sizeof(*p->rules));
	for (struct conf_node *n = conf_top(c, "IDSRule"); n; n = conf_next(n, "IDSRule")) {
		if (p->n_rules == IDS_RULES_MAX) {
			rc = conf_node_error(n, "found more than %d rules, expected at most so many", IDS_RULES_MAX);
			break;
		}
		struct ids_rule *r = &p->rules[p->n_rules++];
		rc = rule_build(&b, n, r) < 0 ? -EINVAL : rc;
		if (r->condition != IDS_COND_SCAN_GLOBAL)
			continue;
		if (scan)
			rc = conf_node_error(n, "found a second rule for ScanGlobal, expected one (the first is in line %u)", scan->line);
		scan = n;
	}
	for (struct conf_node *n = conf_top(c, "IpTimeCondition"); n; n = conf_next(n, "IpTimeCondition"))
		rc = when_build(n, &unused) < 0 ? -EINVAL : rc;
	free(b.file.v);
	if (rc < 0) {
		ids_policy_free(p);
		return -EINVAL;
	}
	ids_choose(p);
	*ret = p;
	return 0;
}

int ids_policy_load(const char *path, struct errbuf *err, struct ids_policy **ret)
{
	struct conf *c = NULL;
	int rc = conf_parse_file(&ids_policy_spec, path, &c);
	rc = rc ? rc : ids_policy_build(c, ret);
	if (rc)
		(void)err_set(err, EINVAL, "%.240s", conf_error_count(c) ? conf_error(c, 0) : "cannot be read");
	conf_free(c);
	return rc;
}

void ids_policy_free(struct ids_policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; !p->borrowed && i < p->n_rules; i++) {
		policy_whens_fini(&p->rules[i].when);
		free(p->rules[i].excludes);
		free(p->rules[i].local);
		free(p->rules[i].remote);
		free(p->rules[i].hosts);
	}
	free(p->rules);
	free(p);
}
