/* The requests of proto/defmgr.proto. What changes filters goes into the open batch and is answered by batch.c. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include <strings.h>

enum { LIST_DEFAULT = 500, LIST_MAX = 1000 };

static struct defmgr *dm_of(struct bus_call *call)
{
	return ((struct daemon *)bus_call_user(call))->state;
}

/* The configured stack, or the call is answered. */
static struct dm_stack *stack_of(struct bus_call *call, const char *name)
{
	struct dm_stack *s = name && *name ? dm_stack_find(dm_of(call), name) : NULL;
	if (!s)
		bus_fail(call, BUS_NOT_FOUND, "stack %.8s has no DmStackConfig", name ? name : "");
	return s;
}

/* Whether the stack takes filters now, else the call is answered. */
static bool takes_filters(struct bus_call *call, const struct dm_stack *s)
{
	if (dm_stack_mode(s) == DM_INACTIVE)
		bus_fail(call, BUS_CONFLICT, "stack %s is %s for defensive filters", s->conf.name,
			s->forced ? "forced inactive" : "Inactive");
	else if (s->refuses)
		bus_fail(call, BUS_CONFLICT, "stack %s is not configured for IP security", s->conf.name);
	else
		return true;
	return false;
}

/* A global command needs the authority over each stack that it reaches. */
static bool may_reach_all(struct bus_call *call)
{
	struct defmgr *dm = dm_of(call);
	for (unsigned i = 0; i < dm->nstacks; i++) {
		char resource[64];
		(void)snprintf(resource, sizeof(resource), "EZB.IPSECCMD.%s.%s.CONTROL", dm->daemon->sysname, dm->stacks[i]->conf.name);
		if (!bus_call_check(call, "SERVAUTH", resource, SAF_READ))
			return false;
	}
	return true;
}

static struct batch *open_for(struct bus_call *call)
{
	struct batch *b = batch_open(dm_of(call));
	if (!b) {
		log_error("filters cannot be stored", "error", store_error(dm_of(call)->store));
		bus_fail(call, BUS_INTERNAL, "the filters could not be stored; nothing was changed");
	}
	return b;
}

/* --- add --- */

static struct filter *insert(struct batch *b, struct request *r, struct dm_stack *s, const struct filter *model)
{
	struct filter *f = xnew(struct filter);
	*f = *model;
	f->id = dm_new_id(b->dm);
	ftable_insert(dm_table(b->dm, s), f);
	(void)batch_op(b, r, OP_ADD, s, f);
	return f;
}

/* Room and no filter of that name in the scope? */
static enum bus_code room_for(struct defmgr *dm, struct dm_stack *s, const struct filter *f, struct errbuf *e)
{
	const struct table *t = dm_table(dm, s);
	if (ftable_find(t, f->name)) {
		(void)err_set(e, EEXIST, "filter %s exists already in %s", f->name, s ? s->conf.name : "the global filters");
		return BUS_EXISTS;
	}
	if (!ftable_room(t, f)) {
		(void)err_set(e, ENOSPC, "%s is full: at most %d filters, of at most %d directions and families",
			s ? s->conf.name : "the global set", TABLE_MAX, TABLE_PARTS_MAX);
		return BUS_LIMIT;
	}
	return BUS_OK;
}

static enum bus_code add_global(struct batch *b, struct request *r, const Defmgr__Filter *m, struct filter *f, struct errbuf *e)
{
	struct defmgr *dm = b->dm;
	enum bus_code code = room_for(dm, NULL, f, e);
	for (unsigned i = 0; i < dm->nstacks && code == BUS_OK; i++)
		if (!dm->stacks[i]->forced)
			code = room_for(dm, dm->stacks[i], f, e);
	if (code != BUS_OK)
		return code;
	f->global = true;
	(void)insert(b, r, NULL, f);
	for (unsigned i = 0; i < dm->nstacks; i++) {
		struct dm_stack *s = dm->stacks[i];
		if (s->forced) /* gets all globals when it is refreshed */
			continue;
		filter_limit(f, m, &s->conf.limits);
		(void)insert(b, r, s, f);
	}
	return BUS_OK;
}

static enum bus_code add_one(struct batch *b, struct request *r, const Defmgr__Filter *m, uint64_t now, struct errbuf *e)
{
	static const struct filter_limits widest = {FILTER_LIFETIME_MAX, 0};
	struct filter f;
	if (filter_parse(m, r->stack ? &r->stack->conf.limits : &widest, now, &f, e))
		return BUS_INVALID;
	(void)snprintf(f.user, sizeof(f.user), "%s", bus_call_subject(r->call)->user);
	r->changed++;
	if (!r->stack)
		return add_global(b, r, m, &f, e);
	enum bus_code code = room_for(b->dm, r->stack, &f, e);
	if (code == BUS_OK)
		(void)insert(b, r, r->stack, &f);
	return code;
}

static void add(struct bus_call *call, const Defmgr__AddRequest *q, struct dm_stack *s)
{
	struct batch *b = q->n_filters ? open_for(call) : NULL;
	if (!q->n_filters)
		bus_fail(call, BUS_INVALID, "filters: none given");
	if (!b)
		return;
	struct request *r = batch_request(b, call, OP_ADD, s);
	size_t from = b->nops;
	uint64_t now = dm_now_us();
	for (size_t i = 0; i < q->n_filters; i++) {
		struct errbuf e;
		enum bus_code code = add_one(b, r, q->filters[i], now, &e);
		if (code != BUS_OK) {
			batch_undo(b, from);
			dm_of(call)->counters.refused++;
			if (q->n_filters == 1)
				bus_fail(call, code, "%s", e.text);
			else
				bus_fail(call, code, "filter %zu (%.32s): %s", i + 1,
					q->filters[i]->name ? q->filters[i]->name : "", e.text);
			return;
		}
	}
	(void)batch_write(b, from);
}

static void on_add(struct bus_call *call, const ProtobufCMessage *req)
{
	const Defmgr__AddRequest *q = (const Defmgr__AddRequest *)req;
	struct dm_stack *s = stack_of(call, q->stack);
	if (s && takes_filters(call, s))
		add(call, q, s);
}

static void on_add_global(struct bus_call *call, const ProtobufCMessage *req)
{
	if (may_reach_all(call))
		add(call, (const Defmgr__AddRequest *)req, NULL);
}

/* --- update --- */

static void update_one(struct batch *b, struct request *r, struct dm_stack *s, struct filter *f, const Defmgr__UpdateRequest *q,
	uint64_t now)
{
	static const struct filter_limits widest = {FILTER_LIFETIME_MAX, 0};
	(void)batch_op(b, r, OP_UPDATE, s, f);
	filter_update(f, q, s ? &s->conf.limits : &widest, now);
	ftable_rearm(dm_table(b->dm, s), f);
}

/* A copy follows its global in everything that an update can change, whatever was changed in the copy alone before. */
static void update_copies(struct batch *b, struct request *r, const struct filter *g, const Defmgr__UpdateRequest *q, uint64_t now)
{
	Defmgr__UpdateRequest all = *q;
	all.has_mode = all.has_log = all.has_lifetime_min = true;
	all.mode = g->mode;
	all.log = g->log;
	all.lifetime_min = g->lifetime_min;
	for (unsigned i = 0; i < b->dm->nstacks; i++) {
		struct dm_stack *s = b->dm->stacks[i];
		struct filter *f = ftable_find(&s->table, g->name);
		if (f && f->global)
			update_one(b, r, s, f, &all, now);
	}
}

static void update(struct bus_call *call, const Defmgr__UpdateRequest *q, struct dm_stack *s)
{
	struct defmgr *dm = dm_of(call);
	struct errbuf e;
	if (filter_update_check(q, &e)) {
		bus_fail(call, BUS_INVALID, "%s", e.text);
		return;
	}
	struct filter *f = ftable_find(dm_table(dm, s), q->name);
	if (!f) {
		bus_fail(call, BUS_NOT_FOUND, "filter %s is not in %s", q->name, s ? s->conf.name : "the global filters");
		return;
	}
	struct batch *b = open_for(call);
	if (!b)
		return;
	struct request *r = batch_request(b, call, OP_UPDATE, s);
	size_t from = b->nops;
	uint64_t now = dm_now_us();
	update_one(b, r, s, f, q, now);
	if (!s)
		update_copies(b, r, f, q, now);
	r->changed = 1;
	(void)batch_write(b, from);
}

static void on_update(struct bus_call *call, const ProtobufCMessage *req)
{
	const Defmgr__UpdateRequest *q = (const Defmgr__UpdateRequest *)req;
	struct dm_stack *s = stack_of(call, q->stack);
	if (s)
		update(call, q, s);
}

static void on_update_global(struct bus_call *call, const ProtobufCMessage *req)
{
	if (may_reach_all(call))
		update(call, (const Defmgr__UpdateRequest *)req, NULL);
}

/* --- delete --- */

static void delete_one(struct batch *b, struct request *r, struct dm_stack *s, struct filter *f)
{
	(void)batch_op(b, r, OP_DELETE, s, f);
	if (s)
		dm_stack_unlinked(s, f);
	ftable_remove(dm_table(b->dm, s), f);
}

/* With the copies, when it is a global. */
static void delete_whole(struct batch *b, struct request *r, struct filter *f)
{
	r->changed++;
	delete_one(b, r, r->stack, f);
	for (unsigned i = 0; !r->stack && i < b->dm->nstacks; i++) {
		struct filter *copy = ftable_find(&b->dm->stacks[i]->table, f->name);
		if (copy && copy->global)
			delete_one(b, r, b->dm->stacks[i], copy);
	}
}

/* All or nothing: the name of the first that is not there. */
static const char *missing_name(const struct table *t, const Defmgr__DeleteRequest *q)
{
	for (size_t i = 0; i < q->n_names; i++)
		if (!ftable_find(t, q->names[i]))
			return q->names[i];
	return NULL;
}

static void delete(struct bus_call *call, const Defmgr__DeleteRequest *q, struct dm_stack *s)
{
	struct defmgr *dm = dm_of(call);
	struct table *t = dm_table(dm, s);
	if ((q->n_names != 0) == (q->has_all && q->all)) {
		bus_fail(call, BUS_INVALID, "delete: allowed: names, or all");
		return;
	}
	const char *missing = missing_name(t, q);
	if (missing) {
		bus_fail(call, BUS_NOT_FOUND, "filter %.32s is not in %s", missing, s ? s->conf.name : "the global filters");
		return;
	}
	struct batch *b = open_for(call);
	if (!b)
		return;
	struct request *r = batch_request(b, call, OP_DELETE, s);
	size_t from = b->nops;
	for (size_t i = 0; i < q->n_names; i++) {
		struct filter *f = ftable_find(t, q->names[i]);
		if (f) /* else the name was given twice */
			delete_whole(b, r, f);
	}
	while (!q->n_names && t->newest)
		delete_whole(b, r, t->newest);
	(void)batch_write(b, from);
}

static void on_delete(struct bus_call *call, const ProtobufCMessage *req)
{
	const Defmgr__DeleteRequest *q = (const Defmgr__DeleteRequest *)req;
	struct dm_stack *s = stack_of(call, q->stack);
	if (s)
		delete (call, q, s);
}

static void on_delete_global(struct bus_call *call, const ProtobufCMessage *req)
{
	if (may_reach_all(call))
		delete (call, (const Defmgr__DeleteRequest *)req, NULL);
}

static void on_force_inactive(struct bus_call *call, const ProtobufCMessage *req)
{
	struct dm_stack *s = stack_of(call, ((const Defmgr__ForceInactiveRequest *)req)->stack);
	struct batch *b = s ? open_for(call) : NULL;
	if (!b)
		return;
	struct request *r = batch_request(b, call, OP_DELETE, s);
	size_t from = b->nops;
	while (s->table.newest)
		delete_whole(b, r, s->table.newest);
	/* the globals come back with the next refresh, as to a stack that never had them */
	if (batch_write(b, from) || store_set_known(b->dm->store, s->conf.name, false))
		b->failed = true;
	s->forced = true;
	if (s->running)
		dm_stack_install(s);
	if (dm_logs(b->dm, DM_LOG_STATES))
		log_notice("stack forced inactive", "stack", s->conf.name, "user", bus_call_subject(call)->user);
}

/* --- list --- */

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
		for (unsigned k = 0, parts = filter_parts(l->filters[i]); k < parts; k++) {
			struct filter_view *v = &views[reply.n_filters];
			bool known;
			filter_view(l->filters[i], k, l->stack_name[0] ? l->stack_name : NULL, v);
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
	list_pages(l, t, q, q->n_names ? LIST_MAX : limit);
	if (s && s->installed && l->n)
		list_count(l);
	else
		list_answer(l, NULL);
}

static void on_list(struct bus_call *call, const ProtobufCMessage *req)
{
	const Defmgr__ListRequest *q = (const Defmgr__ListRequest *)req;
	struct dm_stack *s = stack_of(call, q->stack);
	if (s)
		list(call, q, s);
}

static void on_list_global(struct bus_call *call, const ProtobufCMessage *req)
{
	list(call, (const Defmgr__ListRequest *)req, NULL);
}

static void on_stacks(struct bus_call *call, const ProtobufCMessage *req)
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

static void on_default_stack(struct bus_call *call, const ProtobufCMessage *req)
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

#define STACK_CONTROL "EZB.IPSECCMD.{sysname}.{stack}.CONTROL"
#define STACK_DISPLAY "EZB.IPSECCMD.{sysname}.{stack}.DISPLAY"
#define GLOBAL_CONTROL "EZB.IPSECCMD.{sysname}.DMD_GLOBAL.CONTROL"
#define GLOBAL_DISPLAY "EZB.IPSECCMD.{sysname}.DMD_GLOBAL.DISPLAY"

const struct bus_method dm_methods[] = {
	{"Add", "SERVAUTH", STACK_CONTROL, SAF_READ, &defmgr__add_request__descriptor, &defmgr__add_reply__descriptor, on_add},
	{"AddGlobal", "SERVAUTH", GLOBAL_CONTROL, SAF_READ, &defmgr__add_request__descriptor, &defmgr__add_reply__descriptor,
		on_add_global},
	{"Update", "SERVAUTH", STACK_CONTROL, SAF_READ, &defmgr__update_request__descriptor, &defmgr__change_reply__descriptor,
		on_update},
	{"UpdateGlobal", "SERVAUTH", GLOBAL_CONTROL, SAF_READ, &defmgr__update_request__descriptor,
		&defmgr__change_reply__descriptor, on_update_global},
	{"Delete", "SERVAUTH", STACK_CONTROL, SAF_READ, &defmgr__delete_request__descriptor, &defmgr__change_reply__descriptor,
		on_delete},
	{"DeleteGlobal", "SERVAUTH", GLOBAL_CONTROL, SAF_READ, &defmgr__delete_request__descriptor,
		&defmgr__change_reply__descriptor, on_delete_global},
	{"List", "SERVAUTH", STACK_DISPLAY, SAF_READ, &defmgr__list_request__descriptor, &defmgr__list_reply__descriptor, on_list},
	{"ListGlobal", "SERVAUTH", GLOBAL_DISPLAY, SAF_READ, &defmgr__list_request__descriptor, &defmgr__list_reply__descriptor,
		on_list_global},
	{"Stacks", "SERVAUTH", GLOBAL_DISPLAY, SAF_READ, &common__empty__descriptor, &defmgr__stacks_reply__descriptor, on_stacks},
	{"DefaultStack", "SERVAUTH", "ANY", SAF_NONE, &common__empty__descriptor, &defmgr__stack_reply__descriptor,
		on_default_stack},
	{"ForceInactive", "SERVAUTH", STACK_CONTROL, SAF_READ, &defmgr__force_inactive_request__descriptor,
		&defmgr__change_reply__descriptor, on_force_inactive},
	{NULL}};

#define EVENTS_RESOURCE "EZB.NETMGMT.{sysname}.DEFMGRD.EVENTS"

const struct bus_event dm_events[] = {
	{"defmgr.filter.added", &defmgr__filter_event__descriptor, "SERVAUTH", EVENTS_RESOURCE},
	{"defmgr.filter.updated", &defmgr__filter_event__descriptor, "SERVAUTH", EVENTS_RESOURCE},
	{"defmgr.filter.deleted", &defmgr__filter_event__descriptor, "SERVAUTH", EVENTS_RESOURCE},
	{"defmgr.filter.expired", &defmgr__filter_event__descriptor, "SERVAUTH", EVENTS_RESOURCE},
	{"defmgr.stack.installed", &defmgr__stack_event__descriptor, "SERVAUTH", EVENTS_RESOURCE},
	{"defmgr.stack.lost", &defmgr__stack_event__descriptor, "SERVAUTH", EVENTS_RESOURCE},
	{NULL}};
