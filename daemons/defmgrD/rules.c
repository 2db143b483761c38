/* rules: DmDefenceRules at work. defmgrD hears the detections of each stack (stack.ids.*) as any subscriber does, by READ to
 * EZB.NETMGMT.{sysname}.{stack}.EVENTS. What a rule is for becomes an add of defmgrD's own SAF user, in the batch that requests use too; one
 * turn of the loop later the batch is flushed, so that a burst of detections is one transaction and one message to the stack.
 *
 * A source can be invented by whoever sends packets. So a rule has exclusions, a bound on its filters, and Simulate to try it; what does not
 * come from one address (floods) or comes from this host (raw packets) makes no filter, nor do addresses that no host has. */
#include "daemons/defmgrD/defmgr.h"
#include "daemons/defmgrD/seen.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <unistd.h>

enum { INDEXES = 2 * DM_STACKS_MAX, WARN_BURST = 5, WARN_MS = 60000, DEAF_MS = 5000 };

struct rule_state {
	char name[DM_RULE_NAME_MAX + 1];
	struct dm_rule_count counts[INDEXES]; /* by a stack's index */
	struct seen *seen; /* once a threshold asks for it */
	struct log_limit full;
};

struct dm_rules {
	struct rule_state states[DM_RULES_MAX];
	uint64_t events, unreadable, forgotten;
	char user[9];
};

static struct dm_rule_count *count_of(struct dm_rules *rs, unsigned rule, const struct dm_stack *s)
{
	struct dm_rule_count *c = &rs->states[rule].counts[s->index % INDEXES];
	if (strcmp(c->stack, s->conf.name)) {
		*c = (struct dm_rule_count){0};
		memcpy(c->stack, s->conf.name, sizeof(c->stack));
	}
	return c;
}

const struct dm_rule_count *dm_rules_count(const struct defmgr *dm, unsigned rule, const struct dm_stack *s)
{
	return count_of(dm->rules, rule, s);
}

void dm_rules_set(struct defmgr *dm)
{
	struct dm_rules *now = xnew(struct dm_rules), *old = dm->rules;
	struct saf_subject self;
	bool revoked;
	if (!saf_user_by_uid(dm->daemon->saf, geteuid(), &self, &revoked))
		(void)snprintf(now->user, sizeof(now->user), "%s", self.user);
	for (unsigned i = 0; i < dm->conf->nrules; i++) {
		struct rule_state *st = &now->states[i];
		for (unsigned k = 0; old && k < DM_RULES_MAX; k++)
			if (!strcmp(old->states[k].name, dm->conf->rules[i].name)) {
				*st = old->states[k];
				old->states[k].seen = NULL;
			}
		memcpy(st->name, dm->conf->rules[i].name, sizeof(st->name));
	}
	if (old) {
		now->events = old->events;
		now->unreadable = old->unreadable;
		now->forgotten = old->forgotten;
	}
	dm_rules_free(dm);
	dm->rules = now;
}

void dm_rules_free(struct defmgr *dm)
{
	for (unsigned i = 0; dm->rules && i < DM_RULES_MAX; i++)
		seen_free(dm->rules->states[i].seen);
	free(dm->rules);
	dm->rules = NULL;
}

static bool enough(struct dm_rules *rs, unsigned rule, const struct dm_rule_conf *r, unsigned stack, const struct addr *a)
{
	struct rule_state *st = &rs->states[rule];
	if (!st->seen)
		st->seen = seen_new();
	return seen_enough(st->seen, stack, a, r->threshold, r->interval_min * 60000ull, loop_now_ms(), &rs->forgotten);
}

static uint32_t filters_of(const struct table *t, const char *rule)
{
	uint32_t n = 0;
	for (const struct filter *f = t->by_rules; f; f = f->origin_older)
		n += !strcmp(f->origin->rule, rule);
	return n;
}

static void model(const struct dm_rule_conf *r, const char *source, Defmgr__Filter *m)
{
	defmgr__filter__init(m);
	m->source = (char *)source;
	m->has_direction = m->has_routing = m->has_mode = m->has_log = m->has_lifetime_min = true;
	m->direction = (Defmgr__Filter__Direction)r->direction;
	m->routing = (Defmgr__Filter__Routing)r->routing;
	m->mode = r->simulate ? DEFMGR__FILTER__MODE__SIMULATE : DEFMGR__FILTER__MODE__BLOCK;
	m->log = r->log;
	m->lifetime_min = r->lifetime_min;
	m->has_loglimit = r->loglimit >= 0;
	m->loglimit = (uint32_t)(r->loglimit >= 0 ? r->loglimit : 0);
}

static struct request *begin(struct dm_stack *s, const struct dm_rule_conf *r, enum op_kind kind, struct batch **ret)
{
	struct batch *b = batch_open(s->dm);
	if (!b) {
		log_error("filters cannot be stored", "error", store_error(s->dm->store));
		return NULL;
	}
	struct request *q = batch_request(b, NULL, kind, s, s->dm->rules->user);
	memcpy(q->rule, r->name, sizeof(q->rule));
	loop_timer_set(s->dm->rules_due, 0);
	*ret = b;
	return q;
}

/* The source has its filter, and was detected again. */
static bool repeat(struct dm_stack *s, const struct dm_rule_conf *r, struct filter *f, const struct filter_origin *origin)
{
	Defmgr__UpdateRequest u = DEFMGR__UPDATE_REQUEST__INIT;
	struct batch *b;
	if (r->repeat == DM_IGNORE)
		return true;
	struct request *q = begin(s, r, OP_UPDATE, &b);
	if (!q)
		return false;
	struct change c = {.batch = b, .request = q, .now = dm_now_us()};
	size_t from = b->nops;
	u.name = f->name;
	u.has_mode = u.has_log = u.has_lifetime_min = true;
	u.mode = r->simulate ? DEFMGR__FILTER__MODE__SIMULATE : DEFMGR__FILTER__MODE__BLOCK;
	u.log = r->log;
	u.lifetime_min = r->repeat == DM_DOUBLE ? f->lifetime_min * 2 : r->lifetime_min;
	if (u.lifetime_min > FILTER_LIFETIME_MAX)
		u.lifetime_min = FILTER_LIFETIME_MAX;
	change_update(&c, f, &u);
	memcpy(f->origin->event, origin->event, sizeof(f->origin->event));
	f->origin->events++;
	q->changed = 1;
	(void)batch_write(b, from);
	return true;
}

static bool install(struct dm_stack *s, const struct dm_rule_conf *r, const struct prefix *p, const struct filter_origin *origin)
{
	char source[PREFIX_TEXT_MAX];
	Defmgr__Filter m;
	struct errbuf e = {""};
	struct batch *b;
	struct request *q = begin(s, r, OP_ADD, &b);
	if (!q)
		return false;
	size_t from = b->nops;
	struct change c = {.batch = b, .request = q, .now = dm_now_us(), .tag = r->tag, .origin = origin};
	model(r, prefix_text(p, source), &m);
	if (change_add(&c, &m, &e) != BUS_OK) {
		batch_undo(b, from);
		log_error("defence rule could not add its filter", "stack", s->conf.name, "rule", r->name, "source", source, "error", e.text);
		return false;
	}
	(void)batch_write(b, from);
	return true;
}

static bool full(struct dm_stack *s, unsigned rule, const struct dm_rule_conf *r)
{
	uint32_t held;
	if (filters_of(&s->table, r->name) < r->max_filters)
		return false;
	if (log_limit_ok(&s->dm->rules->states[rule].full, loop_now_ms(), WARN_BURST, WARN_MS, &held))
		log_warning("defence rule has its MaxFilters", "stack", s->conf.name, "rule", r->name, "filters", log_u64(r->max_filters));
	return true;
}

static void apply(struct dm_stack *s, unsigned rule, const Stack__IdsEvent *m, const struct filter_origin *origin)
{
	struct dm_rules *rs = s->dm->rules;
	const struct dm_rule_conf *r = &s->dm->conf->rules[rule];
	struct dm_rule_count *n = count_of(rs, rule, s);
	char name[FILTER_NAME_MAX + 1];
	struct prefix p;
	n->matched++;
	n->last_us = dm_now_us();
	memcpy(n->last, origin->event, sizeof(n->last));
	if (!dm_rule_target(r, s, m, &p)) {
		n->excluded++;
		return;
	}
	if (r->threshold > 1 && !enough(rs, rule, r, s->index, &p.addr)) {
		n->below++;
		return;
	}
	filter_tag_name(r->tag, &p, name);
	struct filter *f = ftable_find(&s->table, name);
	if (f && f->origin && !strcmp(f->origin->rule, r->name)) {
		n->repeated++;
		n->failed += !repeat(s, r, f, origin);
		return;
	}
	if (!f && full(s, rule, r)) {
		n->limited++;
		return;
	}
	if (f || !install(s, r, &p, origin)) /* f: somebody's own, of that name; it stays */
		n->failed++;
}

static void origin_of(const Stack__IdsEvent *m, struct filter_origin *o)
{
	(void)snprintf(o->event, sizeof(o->event), "%s %s source=%.45s count=%llu probe=%08X correlator=%u", m->kind, m->type ? m->type : "TR",
		m->source ? m->source : "", (unsigned long long)m->count, m->probe_id, m->correlator);
	o->events = 1;
}

void dm_rules_event(struct dm_stack *s, const void *body, size_t len)
{
	struct dm_rules *rs = s->dm->rules;
	const struct dm_conf *c = s->dm->conf;
	if (!c->nrules || dm_stack_mode(s) == DM_INACTIVE)
		return;
	struct errbuf e;
	Stack__IdsEvent *m = (Stack__IdsEvent *)bus_unpack(&stack__ids_event__descriptor, body, len, &e);
	rs->events++;
	if (!m || !m->kind) {
		rs->unreadable++;
	} else {
		struct filter_origin o = {.events = 1};
		origin_of(m, &o);
		for (unsigned i = 0; i < c->nrules; i++) {
			if (!dm_rule_answers(&c->rules[i], s, m))
				continue;
			memset(o.rule, 0, sizeof(o.rule));
			memcpy(o.rule, c->rules[i].name, sizeof(c->rules[i].name));
			apply(s, i, m, &o);
		}
	}
	if (m)
		bus_unpack_free(&m->base);
}

/* A stack runs, and says nothing to us: most likely the permission is missing. Told once. */
void dm_rules_tick(struct defmgr *dm)
{
	for (unsigned i = 0; i < dm->nstacks; i++) {
		struct dm_stack *s = dm->stacks[i];
		bool wanted = false;
		for (unsigned k = 0; k < dm->conf->nrules; k++)
			wanted = wanted || dm_rule_for(&dm->conf->rules[k], s);
		if (!wanted || !s->running) {
			s->deaf_ms = 0;
		} else if (s->heard_ms && loop_now_ms() - s->heard_ms < DEAF_MS) {
			s->deaf_ms = 0;
		} else if (!s->deaf_ms) {
			s->deaf_ms = loop_now_ms();
		} else if (s->deaf_ms != UINT64_MAX && loop_now_ms() - s->deaf_ms > DEAF_MS) {
			s->deaf_ms = UINT64_MAX;
			log_error("defence rules hear nothing of the stack: READ to its EVENTS is missing", "stack", s->conf.name, "user", dm->rules->user);
		}
	}
}

void dm_rules_flush(void *defmgr)
{
	batch_flush(((struct defmgr *)defmgr)->daemon);
}

/* The batch with it is on the disk and in the stack, or is not. */
void dm_rules_done(struct defmgr *dm, const struct request *r, bool ok, const char *why)
{
	unsigned i = 0;
	while (i < dm->conf->nrules && strcmp(dm->conf->rules[i].name, r->rule))
		i++;
	if (!ok)
		log_error("defence rule could not add its filter", "stack", r->stack->conf.name, "rule", r->rule, "error", why);
	if (i == dm->conf->nrules)
		return;
	struct dm_rule_count *n = count_of(dm->rules, i, r->stack);
	n->failed += !ok;
	n->added += ok && r->kind == OP_ADD;
	if (ok && dm_logs(dm, DM_LOG_STATES))
		log_notice(r->kind == OP_ADD ? "defence rule added a filter" : "defence rule prolonged a filter", "stack", r->stack->conf.name,
			"rule", r->rule, "event", n->last);
}

void dm_rules_stats(const struct defmgr *dm, daemon_stat_fn fn, void *arg)
{
	struct dm_rule_count sum = {{0}};
	uint64_t filters = 0;
	for (unsigned i = 0; i < dm->conf->nrules; i++)
		for (unsigned k = 0; k < dm->nstacks; k++) {
			const struct dm_rule_count *c = dm_rules_count(dm, i, dm->stacks[k]);
			sum.matched += c->matched;
			sum.added += c->added;
			sum.repeated += c->repeated;
			sum.excluded += c->excluded;
			sum.limited += c->limited;
			sum.failed += c->failed;
		}
	for (unsigned k = 0; k < dm->nstacks; k++)
		filters += dm->stacks[k]->table.nby_rules;
	fn(arg, "defmgr_rules", "DmDefenceRules in force", dm->conf->nrules);
	fn(arg, "defmgr_rules_filters", "filters that rules made", filters);
	fn(arg, "defmgr_rules_events_total", "detections heard of stacks", dm->rules->events);
	fn(arg, "defmgr_rules_unreadable_total", "events that could not be read", dm->rules->unreadable);
	fn(arg, "defmgr_rules_matched_total", "detections that a rule is for", sum.matched);
	fn(arg, "defmgr_rules_added_total", "filters added by rules", sum.added);
	fn(arg, "defmgr_rules_repeated_total", "detections of a source that has its filter", sum.repeated);
	fn(arg, "defmgr_rules_excluded_total", "detections whose source is excluded or no host", sum.excluded);
	fn(arg, "defmgr_rules_limited_total", "detections left alone because of MaxFilters", sum.limited);
	fn(arg, "defmgr_rules_failed_total", "filters that a rule could not add", sum.failed);
	fn(arg, "defmgr_rules_sources_forgotten_total", "sources below a threshold forgotten for lack of room", dm->rules->forgotten);
}
