/* change: what a request or a rule does to filters. Memory is changed at once and the ops of the batch remember it; the disk and the
 * stacks follow when the batch is flushed. A request has one scope, a stack or the globals; a global filter has a copy in each stack. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/xalloc.h"

/* A filter that ends within this of what is asked for has it already: lifetimes are in minutes. */
enum { SAME_LIFE_US = 60000000 };

static const struct filter_limits widest = {FILTER_LIFETIME_MAX, 0};

static struct filter *insert(const struct change *c, struct dm_stack *s, const struct filter *model)
{
	struct filter *f = xnew(struct filter);
	*f = *model;
	f->id = dm_new_id(c->batch->dm);
	if (c->origin) {
		f->origin = xnew(struct filter_origin);
		*f->origin = *c->origin;
	}
	ftable_insert(dm_table(c->batch->dm, s), f);
	(void)batch_op(c->batch, c->request, OP_ADD, s, f);
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

static enum bus_code add_global(const struct change *c, const Defmgr__Filter *m, struct filter *f, struct errbuf *e)
{
	struct defmgr *dm = c->batch->dm;
	enum bus_code code = room_for(dm, NULL, f, e);
	for (unsigned i = 0; i < dm->nstacks && code == BUS_OK; i++)
		if (!dm->stacks[i]->forced)
			code = room_for(dm, dm->stacks[i], f, e);
	if (code != BUS_OK)
		return code;
	f->global = true;
	(void)insert(c, NULL, f);
	for (unsigned i = 0; i < dm->nstacks; i++) {
		struct dm_stack *s = dm->stacks[i];
		if (s->forced) /* gets all globals when it is refreshed */
			continue;
		filter_limit(f, m, &s->conf.limits);
		(void)insert(c, s, f);
	}
	return BUS_OK;
}

static enum bus_code add_new(const struct change *c, const Defmgr__Filter *m, struct filter *f, struct errbuf *e)
{
	if (!c->request->stack)
		return add_global(c, m, f, e);
	enum bus_code code = room_for(c->batch->dm, c->request->stack, f, e);
	if (code == BUS_OK)
		(void)insert(c, c->request->stack, f);
	return code;
}

static bool has_all(const struct filter *f, const struct filter *want)
{
	uint64_t apart = f->expires_us > want->expires_us ? f->expires_us - want->expires_us : want->expires_us - f->expires_us;
	return f->mode == want->mode && f->log == want->log && f->loglimit == want->loglimit && apart <= SAME_LIFE_US;
}

/* There is a filter of that name, and that is no error. */
static enum bus_code replace(const struct change *c, struct filter *f, const Defmgr__Filter *m, struct filter *want, struct errbuf *e)
{
	if (f->global && c->request->stack) {
		(void)err_set(e, EEXIST, "filter %s of %s is the copy of a global one", f->name, c->request->stack->conf.name);
		return BUS_EXISTS;
	}
	if (!filter_same_match(f, want)) {
		change_delete(c, f);
		enum bus_code code = add_new(c, m, want, e);
		c->request->updated += code == BUS_OK;
		return code;
	}
	if (has_all(f, want)) {
		c->request->unchanged++;
		return BUS_OK;
	}
	Defmgr__UpdateRequest u = DEFMGR__UPDATE_REQUEST__INIT;
	u.has_mode = u.has_log = u.has_loglimit = u.has_lifetime_min = true;
	u.mode = (Defmgr__Filter__Mode)want->mode;
	u.log = want->log;
	u.loglimit = want->loglimit;
	u.lifetime_min = want->lifetime_min;
	change_update(c, f, &u);
	c->request->updated++;
	return BUS_OK;
}

static enum bus_code tagged(const struct change *c, const Defmgr__Filter *m, char name[FILTER_NAME_MAX + 1], struct errbuf *e)
{
	struct prefix p;
	if (!filter_tag_ok(c->tag)) {
		(void)err_set(e, EINVAL, "tag: found '%.40s'; allowed: 1-32 letters, digits and @ $ _ . - (not first)", c->tag);
		return BUS_INVALID;
	}
	if (!m->source || prefix_parse(m->source, &p)) {
		(void)err_set(e, EINVAL, "srcip: found '%.60s'; allowed with a tag: address or address/prefixLength", m->source ? m->source : "");
		return BUS_INVALID;
	}
	filter_tag_name(c->tag, &p, name);
	return BUS_OK;
}

enum bus_code change_add(const struct change *c, const Defmgr__Filter *m, struct errbuf *e)
{
	struct dm_stack *s = c->request->stack;
	char name[FILTER_NAME_MAX + 1];
	Defmgr__Filter named = *m;
	struct filter want;
	if (c->tag && *c->tag && !(m->name && *m->name)) {
		enum bus_code code = tagged(c, m, name, e);
		if (code != BUS_OK)
			return code;
		named.name = name;
	}
	if (filter_parse(&named, s ? &s->conf.limits : &widest, c->now, &want, e))
		return BUS_INVALID;
	(void)snprintf(want.user, sizeof(want.user), "%s", c->request->user);
	struct filter *f = c->replace ? ftable_find(dm_table(c->batch->dm, s), want.name) : NULL;
	if (f)
		return replace(c, f, &named, &want, e);
	enum bus_code code = add_new(c, &named, &want, e);
	c->request->changed += code == BUS_OK;
	return code;
}

/* --- update --- */

static void update_one(const struct change *c, struct dm_stack *s, struct filter *f, const Defmgr__UpdateRequest *q)
{
	(void)batch_op(c->batch, c->request, OP_UPDATE, s, f);
	filter_update(f, q, s ? &s->conf.limits : &widest, c->now);
	ftable_rearm(dm_table(c->batch->dm, s), f);
}

/* A copy follows its global in everything that an update can change, whatever was changed in the copy alone before. */
static void update_copies(const struct change *c, const struct filter *g, const Defmgr__UpdateRequest *q)
{
	Defmgr__UpdateRequest all = *q;
	all.has_mode = all.has_log = all.has_lifetime_min = true;
	all.mode = g->mode;
	all.log = g->log;
	all.lifetime_min = g->lifetime_min;
	for (unsigned i = 0; i < c->batch->dm->nstacks; i++) {
		struct dm_stack *s = c->batch->dm->stacks[i];
		struct filter *f = ftable_find(&s->table, g->name);
		if (f && f->global)
			update_one(c, s, f, &all);
	}
}

void change_update(const struct change *c, struct filter *f, const Defmgr__UpdateRequest *q)
{
	update_one(c, c->request->stack, f, q);
	if (!c->request->stack)
		update_copies(c, f, q);
}

/* --- delete --- */

static void delete_one(const struct change *c, struct dm_stack *s, struct filter *f)
{
	(void)batch_op(c->batch, c->request, OP_DELETE, s, f);
	if (s)
		dm_stack_unlinked(s, f);
	ftable_remove(dm_table(c->batch->dm, s), f);
}

void change_delete(const struct change *c, struct filter *f)
{
	struct defmgr *dm = c->batch->dm;
	delete_one(c, c->request->stack, f);
	for (unsigned i = 0; !c->request->stack && i < dm->nstacks; i++) {
		struct filter *copy = ftable_find(&dm->stacks[i]->table, f->name);
		if (copy && copy->global)
			delete_one(c, dm->stacks[i], copy);
	}
}
