/* list: the displays of proto/defmgr.proto. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/xalloc.h"
#include "proto/common.pb-c.h"

/* HEARD_MS: a stack beats every second for those who may hear it. */
enum { LIST_DEFAULT = 500, LIST_MAX = 1000, HEARD_MS = 3500 };

static struct defmgr *dm_of(struct bus_call *call)
{
	return ((struct daemon *)bus_call_user(call))->state;
}

/* A page on its way: the counts come from the stack. */
struct list {
	struct bus_call *call;
	struct defmgr *dm;
	struct dm_stack *stack;
	char stack_name[DM_STACK_NAME_MAX + 1];
	struct filter **filters; /* a reference to each */
	size_t n;
	uint64_t next;
	uint32_t total;
	bool brief;
};

static void list_take(struct list *l, struct filter *f)
{
	l->filters[l->n++] = f;
	f->refs++;
}

static uint64_t matches_of(const Stack__DefenceMatchesReply *m, uint64_t id, size_t *hint, bool *ret_known)
{
	*ret_known = false;
	if (!m || m->n_ids != m->n_matches)
		return 0;
	for (size_t i = 0; i < m->n_ids; i++) {
		size_t at = (*hint + i) % m->n_ids;
		if (m->ids[at] == id) {
			*hint = at + 1;
			*ret_known = true;
			return m->matches[at];
		}
		if (i > 8 && *hint) /* the stack answers in the order it was asked; a filter it lacks is no reason to search all */
			break;
	}
	return 0;
}

static void list_excludes(const struct dm_stack *s, Defmgr__ListReply *reply, char texts[][PREFIX_TEXT_MAX], char **ptrs)
{
	reply->mode = (char *)dm_mode_text(dm_stack_mode(s));
	for (unsigned i = 0; i < s->conf.nexcludes; i++)
		ptrs[i] = (char *)prefix_text(&s->conf.excludes[i], texts[i]);
	reply->has_max_lifetime_min = true;
	reply->max_lifetime_min = s->conf.limits.max_lifetime;
	reply->n_excludes = s->conf.nexcludes;
	reply->excludes = ptrs;
}

static void list_answer(struct list *l, const Stack__DefenceMatchesReply *matches)
{
	Defmgr__ListReply reply = DEFMGR__LIST_REPLY__INIT;
	struct filter_view *views = xcalloc(l->n * FILTER_PARTS_MAX, sizeof(*views));
	reply.filters = xcalloc(l->n * FILTER_PARTS_MAX, sizeof(*reply.filters));
	char texts[DM_EXCLUDES_MAX][PREFIX_TEXT_MAX], *excludes[DM_EXCLUDES_MAX];
	size_t hint = 0;
	for (size_t i = 0; i < l->n; i++) {
		for (unsigned k = 0, parts = l->brief ? 1 : filter_parts(l->filters[i]); k < parts; k++) {
			struct filter_view *v = &views[reply.n_filters];
			bool known;
			filter_view(l->filters[i], l->brief ? FILTER_PARTS_MAX : k, l->stack_name[0] ? l->stack_name : NULL, v);
			v->msg.matches = matches_of(matches, v->msg.id, &hint, &known);
			v->msg.has_matches = known;
			reply.filters[reply.n_filters++] = &v->msg;
		}
		l->filters[i]->refs--;
		filter_unref(l->filters[i]);
	}
	struct dm_stack *s = l->stack_name[0] ? dm_stack_find(l->dm, l->stack_name) : NULL;
	if (s)
		list_excludes(s, &reply, texts, excludes);
	reply.has_next = l->next != 0;
	reply.next = l->next;
	reply.has_total = true;
	reply.total = l->total;
	bus_reply(l->call, &reply.base);
	free(reply.filters);
	free(views);
	free(l->filters);
	free(l);
}

static void list_counted(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	(void)text;
	list_answer(arg, code == BUS_OK ? (const Stack__DefenceMatchesReply *)reply : NULL);
}

static void list_count(struct list *l)
{
	Stack__DefenceMatchesRequest m = STACK__DEFENCE_MATCHES_REQUEST__INIT;
	m.ids = xcalloc(l->n * FILTER_PARTS_MAX, sizeof(*m.ids));
	for (size_t i = 0; i < l->n; i++)
		for (unsigned k = 0, parts = filter_parts(l->filters[i]); k < parts; k++)
			m.ids[m.n_ids++] = filter_part_id(l->filters[i], k);
	bus_client_call(l->stack->client, "stack.DefenceMatches", &m.base, &stack__defence_matches_reply__descriptor, DM_DEADLINE_MS,
		list_counted, l);
	free(m.ids);
}

static bool wanted(const struct filter *f, const Defmgr__ListRequest *q)
{
	if (q->tag && *q->tag && !filter_tagged(f, q->tag))
		return false;
	return !(q->rule && *q->rule) || (f->origin && !strcmp(f->origin->rule, q->rule));
}

static void list_pages(struct list *l, const struct table *t, const Defmgr__ListRequest *q, size_t limit)
{
	for (size_t i = 0; i < q->n_names && l->n < limit; i++) {
		struct filter *f = ftable_find(t, q->names[i]);
		if (f)
			list_take(l, f);
	}
	if (q->n_names)
		return;
	struct filter *f = ftable_below(t, q->has_after ? q->after : 0);
	for (; f && l->n < limit; f = f->older)
		if (wanted(f, q))
			list_take(l, f);
	if (f)
		l->next = l->filters[l->n - 1]->id;
}

static void list(struct bus_call *call, const Defmgr__ListRequest *q, struct dm_stack *s)
{
	struct defmgr *dm = dm_of(call);
	const struct table *t = dm_table(dm, s);
	size_t limit = q->has_limit && q->limit ? q->limit : LIST_DEFAULT;
	if (limit > LIST_MAX || q->n_names > LIST_MAX) {
		bus_fail(call, BUS_INVALID, "limit: allowed: 1-%d", LIST_MAX);
		return;
	}
	struct list *l = xnew(struct list);
	l->call = call;
	l->dm = dm;
	l->stack = s;
	if (s)
		memcpy(l->stack_name, s->conf.name, sizeof(l->stack_name));
	l->filters = xcalloc(q->n_names > limit ? q->n_names : limit, sizeof(struct filter *));
	l->total = t->parts;
	l->brief = q->has_brief && q->brief;
	list_pages(l, t, q, q->n_names ? LIST_MAX : limit);
	if (s && s->installed && l->n && !l->brief)
		list_count(l);
	else
		list_answer(l, NULL);
}

void list_on_list(struct bus_call *call, const ProtobufCMessage *req)
{
	const Defmgr__ListRequest *q = (const Defmgr__ListRequest *)req;
	struct dm_stack *s = dm_call_stack(call, q->stack);
	if (s)
		list(call, q, s);
}

void list_on_list_global(struct bus_call *call, const ProtobufCMessage *req)
{
	list(call, (const Defmgr__ListRequest *)req, NULL);
}

void list_on_stacks(struct bus_call *call, const ProtobufCMessage *req)
{
	struct defmgr *dm = dm_of(call);
	Defmgr__StacksReply reply = DEFMGR__STACKS_REPLY__INIT;
	Defmgr__StacksReply__Stack stacks[DM_STACKS_MAX], *ptrs[DM_STACKS_MAX];
	(void)req;
	for (unsigned i = 0; i < dm->nstacks; i++) {
		struct dm_stack *s = dm->stacks[i];
		defmgr__stacks_reply__stack__init(&stacks[i]);
		stacks[i].name = s->conf.name;
		stacks[i].mode = (char *)dm_mode_text(dm_stack_mode(s));
		stacks[i].has_running = stacks[i].has_installed = stacks[i].has_filters = true;
		stacks[i].running = s->running;
		stacks[i].installed = s->installed;
		stacks[i].filters = s->table.count;
		ptrs[i] = &stacks[i];
	}
	reply.n_stacks = dm->nstacks;
	reply.stacks = ptrs;
	bus_reply(call, &reply.base);
}

void list_on_default_stack(struct bus_call *call, const ProtobufCMessage *req)
{
	struct defmgr *dm = dm_of(call);
	Defmgr__StackReply reply = DEFMGR__STACK_REPLY__INIT;
	(void)req;
	if (!dm->nstacks) {
		bus_fail(call, BUS_NOT_FOUND, "no stack has a DmStackConfig");
		return;
	}
	reply.stack = dm->stacks[0]->conf.name;
	bus_reply(call, &reply.base);
}

/* One row. */
struct rule_row {
	Defmgr__RulesReply__Rule msg;
	char words[32][32], *events[32], excludes[DM_RULE_EXCLUDES_MAX][PREFIX_TEXT_MAX], *exclude_ptrs[DM_RULE_EXCLUDES_MAX];
};

static void rule_conf_row(struct rule_row *row, const struct dm_rule_conf *r)
{
	Defmgr__RulesReply__Rule *m = &row->msg;
	m->name = (char *)r->name;
	m->mode = r->simulate ? (char *)"Simulate" : (char *)"Block";
	m->repeat = (char *)dm_repeat_text(r->repeat);
	m->filter_name = (char *)r->tag;
	m->has_lifetime_min = m->has_source_prefix4 = m->has_source_prefix6 = m->has_max_filters = m->has_threshold = m->has_interval_min = true;
	m->lifetime_min = r->lifetime_min;
	m->source_prefix4 = r->prefix4;
	m->source_prefix6 = r->prefix6;
	m->max_filters = r->max_filters;
	m->threshold = r->threshold;
	m->interval_min = r->interval_min;
	m->events = row->events;
	for (unsigned i = 0; i < 32; i++)
		if (r->events & 1u << i && dm_rule_event_text(i, row->words[i]))
			row->events[m->n_events++] = row->words[i];
	m->excludes = row->exclude_ptrs;
	for (unsigned i = 0; i < r->nexcludes; i++)
		row->exclude_ptrs[m->n_excludes++] = (char *)prefix_text(&r->excludes[i], row->excludes[i]);
}

static void rule_counts(Defmgr__RulesReply__Rule *m, const struct dm_stack *s, const struct dm_rule_count *c)
{
	m->stack = (char *)s->conf.name;
	m->has_hears = m->has_filters = m->has_matched = m->has_added = m->has_repeated_events = m->has_excluded = m->has_below = true;
	m->has_limited = m->has_failed = true;
	m->hears = s->running && s->heard_ms && loop_now_ms() - s->heard_ms < HEARD_MS;
	for (const struct filter *f = s->table.by_rules; f; f = f->origin_older)
		m->filters += !strcmp(f->origin->rule, m->name);
	m->matched = c->matched;
	m->added = c->added;
	m->repeated_events = c->repeated;
	m->excluded = c->excluded;
	m->below = c->below;
	m->limited = c->limited;
	m->failed = c->failed;
	m->has_last_us = c->last_us != 0;
	m->last_us = c->last_us;
	m->last = c->last_us ? (char *)c->last : NULL;
}

void list_on_rules(struct bus_call *call, const ProtobufCMessage *req)
{
	struct defmgr *dm = dm_of(call);
	Defmgr__RulesReply reply = DEFMGR__RULES_REPLY__INIT;
	size_t most = (size_t)dm->conf->nrules * dm->nstacks;
	struct rule_row *rows = xcalloc(most, sizeof(*rows));
	(void)req;
	reply.rules = xcalloc(most, sizeof(*reply.rules));
	for (unsigned i = 0; i < dm->conf->nrules; i++)
		for (unsigned k = 0; k < dm->nstacks; k++) {
			if (!dm_rule_for(&dm->conf->rules[i], dm->stacks[k]))
				continue;
			struct rule_row *row = &rows[reply.n_rules];
			defmgr__rules_reply__rule__init(&row->msg);
			rule_conf_row(row, &dm->conf->rules[i]);
			rule_counts(&row->msg, dm->stacks[k], dm_rules_count(dm, i, dm->stacks[k]));
			reply.rules[reply.n_rules++] = &row->msg;
		}
	bus_reply(call, &reply.base);
	free(reply.rules);
	free(rows);
}
