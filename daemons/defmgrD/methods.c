/* The requests of proto/defmgr.proto. What changes filters goes into the open batch and is answered by batch.c. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include <strings.h>

static struct defmgr *dm_of(struct bus_call *call)
{
	return ((struct daemon *)bus_call_user(call))->state;
}

struct dm_stack *dm_call_stack(struct bus_call *call, const char *name)
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

static void add(struct bus_call *call, const Defmgr__AddRequest *q, struct dm_stack *s)
{
	struct batch *b = q->n_filters ? open_for(call) : NULL;
	if (!q->n_filters)
		bus_fail(call, BUS_INVALID, "filters: none given");
	if (!b)
		return;
	struct request *r = batch_request(b, call, OP_ADD, s, bus_call_subject(call)->user);
	size_t from = b->nops;
	struct change c = {.batch = b, .request = r, .now = dm_now_us(), .replace = q->has_replace && q->replace, .tag = q->tag};
	for (size_t i = 0; i < q->n_filters; i++) {
		struct errbuf e;
		enum bus_code code = change_add(&c, q->filters[i], &e);
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
	struct dm_stack *s = dm_call_stack(call, q->stack);
	if (s && takes_filters(call, s))
		add(call, q, s);
}

static void on_add_global(struct bus_call *call, const ProtobufCMessage *req)
{
	if (may_reach_all(call))
		add(call, (const Defmgr__AddRequest *)req, NULL);
}

/* --- update --- */

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
	struct request *r = batch_request(b, call, OP_UPDATE, s, bus_call_subject(call)->user);
	size_t from = b->nops;
	struct change c = {.batch = b, .request = r, .now = dm_now_us()};
	change_update(&c, f, q);
	r->changed = 1;
	(void)batch_write(b, from);
}

static void on_update(struct bus_call *call, const ProtobufCMessage *req)
{
	const Defmgr__UpdateRequest *q = (const Defmgr__UpdateRequest *)req;
	struct dm_stack *s = dm_call_stack(call, q->stack);
	if (s)
		update(call, q, s);
}

static void on_update_global(struct bus_call *call, const ProtobufCMessage *req)
{
	if (may_reach_all(call))
		update(call, (const Defmgr__UpdateRequest *)req, NULL);
}

/* --- delete --- */

/* All or nothing: the name of the first that is not there. */
static const char *missing_name(const struct table *t, const Defmgr__DeleteRequest *q)
{
	for (size_t i = 0; i < q->n_names; i++)
		if (!ftable_find(t, q->names[i]))
			return q->names[i];
	return NULL;
}

/* Is what the request names complete and sound? Else the call is answered. */
static bool delete_sound(struct bus_call *call, const Defmgr__DeleteRequest *q, struct dm_stack *s)
{
	bool all = q->has_all && q->all, tag = q->tag && *q->tag;
	struct prefix p;
	if ((q->n_names != 0) + (q->n_sources != 0) + all != 1 || (tag && q->n_names) || (!tag && q->n_sources)) {
		bus_fail(call, BUS_INVALID, "delete: allowed: names, all, or a tag with sources or all");
		return false;
	}
	if (tag && !filter_tag_ok(q->tag)) {
		bus_fail(call, BUS_INVALID, "tag: found '%.40s'; allowed: 1-32 letters, digits and @ $ _ . - (not first)", q->tag);
		return false;
	}
	for (size_t i = 0; i < q->n_sources; i++)
		if (prefix_parse(q->sources[i], &p)) {
			bus_fail(call, BUS_INVALID, "sources: found '%.60s'; allowed: address or address/prefixLength", q->sources[i]);
			return false;
		}
	const char *missing = missing_name(dm_table(dm_of(call), s), q);
	if (missing)
		bus_fail(call, BUS_NOT_FOUND, "filter %.32s is not in %s", missing, s ? s->conf.name : "the global filters");
	return !missing;
}

static void delete_all(const struct change *c, struct table *t, const char *tag)
{
	for (struct filter *f = t->newest, *next; f; f = next) {
		next = f->older;
		if (tag && *tag && !filter_tagged(f, tag))
			continue;
		change_delete(c, f);
		c->request->changed++;
	}
}

static void delete(struct bus_call *call, const Defmgr__DeleteRequest *q, struct dm_stack *s)
{
	struct table *t = dm_table(dm_of(call), s);
	struct batch *b = delete_sound(call, q, s) ? open_for(call) : NULL;
	if (!b)
		return;
	struct request *r = batch_request(b, call, OP_DELETE, s, bus_call_subject(call)->user);
	struct change c = {.batch = b, .request = r, .now = dm_now_us()};
	size_t from = b->nops;
	for (size_t i = 0; i < q->n_names + q->n_sources; i++) {
		char name[FILTER_NAME_MAX + 1];
		struct prefix p;
		if (q->n_sources && !prefix_parse(q->sources[i], &p))
			filter_tag_name(q->tag, &p, name);
		struct filter *f = ftable_find(t, q->n_sources ? name : q->names[i]);
		if (!f) /* given twice, or of a tag */
			continue;
		change_delete(&c, f);
		r->changed++;
	}
	if (q->has_all && q->all)
		delete_all(&c, t, q->tag);
	(void)batch_write(b, from);
}

static void on_delete(struct bus_call *call, const ProtobufCMessage *req)
{
	const Defmgr__DeleteRequest *q = (const Defmgr__DeleteRequest *)req;
	struct dm_stack *s = dm_call_stack(call, q->stack);
	if (s)
		delete(call, q, s);
}

static void on_delete_global(struct bus_call *call, const ProtobufCMessage *req)
{
	if (may_reach_all(call))
		delete(call, (const Defmgr__DeleteRequest *)req, NULL);
}

static void on_force_inactive(struct bus_call *call, const ProtobufCMessage *req)
{
	struct dm_stack *s = dm_call_stack(call, ((const Defmgr__ForceInactiveRequest *)req)->stack);
	struct batch *b = s ? open_for(call) : NULL;
	if (!b)
		return;
	struct request *r = batch_request(b, call, OP_DELETE, s, bus_call_subject(call)->user);
	struct change c = {.batch = b, .request = r, .now = dm_now_us()};
	size_t from = b->nops;
	delete_all(&c, &s->table, NULL);
	/* the globals come back with the next refresh, as to a stack that never had them */
	if (batch_write(b, from) || store_set_known(b->dm->store, s->conf.name, false))
		b->failed = true;
	s->forced = true;
	if (s->running)
		dm_stack_install(s);
	if (dm_logs(b->dm, DM_LOG_STATES))
		log_notice("stack forced inactive", "stack", s->conf.name, "user", bus_call_subject(call)->user);
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
	{"List", "SERVAUTH", STACK_DISPLAY, SAF_READ, &defmgr__list_request__descriptor, &defmgr__list_reply__descriptor, list_on_list},
	{"ListGlobal", "SERVAUTH", GLOBAL_DISPLAY, SAF_READ, &defmgr__list_request__descriptor, &defmgr__list_reply__descriptor,
		list_on_list_global},
	{"Stacks", "SERVAUTH", GLOBAL_DISPLAY, SAF_READ, &common__empty__descriptor, &defmgr__stacks_reply__descriptor, list_on_stacks},
	{"Rules", "SERVAUTH", GLOBAL_DISPLAY, SAF_READ, &common__empty__descriptor, &defmgr__rules_reply__descriptor, list_on_rules},
	{"DefaultStack", "SERVAUTH", "ANY", SAF_NONE, &common__empty__descriptor, &defmgr__stack_reply__descriptor,
		list_on_default_stack},
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
