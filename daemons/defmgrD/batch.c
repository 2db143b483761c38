/* A burst of requests is one transaction (group commit) and one message a stack. The stacks are told before the disk is waited
 * for, so that a filter is in force as soon as it can be and the answer waits for the slower of the two, not for both in turn: should
 * the disk say no, the stacks are installed anew, and should we be killed between, the next start does that. Memory is changed as each request is looked at,
 * so that later ones of the burst see it; the ops remember how to take it back when the disk says no. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"

struct batch *batch_open(struct defmgr *dm)
{
	if (dm->open)
		return dm->open;
	if (store_begin(dm->store))
		return NULL;
	struct batch *b = xnew(struct batch);
	b->dm = dm;
	b->last = &b->first;
	dm->open = b;
	return b;
}

struct request *batch_request(struct batch *b, struct bus_call *call, enum op_kind kind, struct dm_stack *s, const char *user)
{
	struct request *r = xnew(struct request);
	r->call = call;
	r->kind = kind;
	r->stack = s;
	r->global = !s;
	(void)snprintf(r->user, sizeof(r->user), "%s", user);
	*b->last = r;
	b->last = &r->next;
	return r;
}

/* The last request of the batch was refused: nothing of it remains. */
static void drop_last_request(struct batch *b)
{
	struct request **p = &b->first;
	while (*p && (*p)->next)
		p = &(*p)->next;
	free(*p);
	*p = NULL;
	b->last = p;
}

struct op *batch_op(struct batch *b, struct request *r, enum op_kind kind, struct dm_stack *s, struct filter *f)
{
	if (b->nops == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 64;
		b->ops = xrealloc(b->ops, b->cap, sizeof(*b->ops));
	}
	struct op *op = &b->ops[b->nops++];
	*op = (struct op){.kind = kind, .stack = s, .filter = f, .request = r};
	if (kind == OP_UPDATE)
		op->old = *f;
	f->refs++;
	if (s)
		r->stacks |= 1u << s->index;
	return op;
}

static void undo_one(struct defmgr *dm, struct op *op)
{
	struct table *t = dm_table(dm, op->stack);
	struct filter *f = op->filter;
	f->refs--;
	switch (op->kind) {
	case OP_ADD:
		if (op->stack)
			dm_stack_unlinked(op->stack, f);
		ftable_remove(t, f);
		filter_unref(f);
		break;
	case OP_UPDATE:
		f->mode = op->old.mode;
		f->log = op->old.log;
		f->loglimit = op->old.loglimit;
		f->lifetime_min = op->old.lifetime_min;
		f->updated_us = op->old.updated_us;
		f->expires_us = op->old.expires_us;
		ftable_rearm(t, f);
		break;
	case OP_DELETE:
		ftable_restore(t, f);
		break;
	}
}

void batch_undo(struct batch *b, size_t from)
{
	while (b->nops > from)
		undo_one(b->dm, &b->ops[--b->nops]);
	drop_last_request(b);
}

int batch_write(struct batch *b, size_t from)
{
	struct store *st = b->dm->store;
	int rc = 0;
	for (size_t i = from; i < b->nops && !rc; i++) {
		struct op *op = &b->ops[i];
		rc = op->kind == OP_DELETE ? store_delete(st, op->filter->id) : store_put(st, dm_scope(op->stack), op->filter);
	}
	if (rc)
		b->failed = true;
	return rc;
}

static void free_batch(struct batch *b)
{
	for (size_t i = 0; i < b->nops; i++) {
		b->ops[i].filter->refs--;
		filter_unref(b->ops[i].filter);
	}
	for (struct request *r = b->first, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	free(b->ops);
	free(b);
}

/* The disk refused: as if nothing had been asked. */
static void fail_batch(struct batch *b)
{
	struct defmgr *dm = b->dm;
	uint32_t told = 0;
	for (size_t i = 0; i < b->nops; i++)
		told |= b->ops[i].stack ? 1u << b->ops[i].stack->index : 0;
	while (b->nops)
		undo_one(dm, &b->ops[--b->nops]);
	dm->counters.commit_failures++;
	log_error("filters could not be stored", "error", store_error(dm->store));
	for (struct request *r = b->first; r; r = r->next) {
		if (r->call)
			bus_fail(r->call, BUS_INTERNAL, "the filters could not be stored; nothing was changed");
		else
			dm_rules_done(dm, r, false, "the filter could not be stored");
	}
	for (unsigned i = 0; i < dm->nstacks; i++)
		if (told & 1u << dm->stacks[i]->index && dm->stacks[i]->running)
			dm_stack_install(dm->stacks[i]);
	if (!b->waiting) /* else the last answer frees it */
		free_batch(b);
}

/* Names of the stacks in @mask. */
static size_t stack_names(struct defmgr *dm, uint32_t mask, char *out[DM_STACKS_MAX])
{
	size_t n = 0;
	for (unsigned i = 0; i < dm->nstacks; i++)
		if (mask & 1u << dm->stacks[i]->index)
			out[n++] = dm->stacks[i]->conf.name;
	return n;
}

static void answer(struct batch *b, struct request *r)
{
	char *installed[DM_STACKS_MAX], *pending[DM_STACKS_MAX];
	if (!r->call) {
		dm_rules_done(b->dm, r, true, NULL);
		return;
	}
	uint32_t late = r->stacks & (b->pending | b->refused);
	size_t npending = stack_names(b->dm, late, pending), ninstalled = stack_names(b->dm, r->stacks & ~late, installed);
	if (r->kind == OP_ADD) {
		Defmgr__AddReply m = DEFMGR__ADD_REPLY__INIT;
		m.has_added = true;
		m.added = r->changed;
		m.has_updated = m.has_unchanged = r->updated || r->unchanged;
		m.updated = r->updated;
		m.unchanged = r->unchanged;
		m.n_stacks = ninstalled;
		m.stacks = installed;
		m.n_pending = npending;
		m.pending = pending;
		bus_reply(r->call, &m.base);
		return;
	}
	Defmgr__ChangeReply m = DEFMGR__CHANGE_REPLY__INIT;
	m.has_changed = true;
	m.changed = r->changed;
	m.n_pending = npending;
	m.pending = pending;
	bus_reply(r->call, &m.base);
}

/* A stack said no to filters that were meant for it alone: the add fails, and they go again. */
static void take_back(struct batch *b)
{
	struct defmgr *dm = b->dm;
	bool own = !store_active(dm->store);
	if (store_begin(dm->store))
		return;
	for (size_t i = 0; i < b->nops; i++) {
		struct op *op = &b->ops[i];
		if (op->kind != OP_ADD || op->request->global || op->filter->dead || !(b->refused & 1u << op->stack->index))
			continue;
		dm_stack_unlinked(op->stack, op->filter);
		ftable_remove(&op->stack->table, op->filter);
		(void)store_delete(dm->store, op->filter->id);
	}
	if (own && store_commit(dm->store))
		log_error("refused filters could not be deleted", "error", store_error(dm->store));
}

static void publish(struct batch *b)
{
	static const enum filter_message messages[] = {FILTER_ADDED, FILTER_UPDATED, FILTER_DELETED};
	for (size_t i = 0; i < b->nops; i++) {
		struct op *op = &b->ops[i];
		if (op->kind == OP_ADD && op->stack && !op->request->global && b->refused & 1u << op->stack->index)
			continue;
		/* of a global command the global filter tells; its copies would only repeat it */
		if (op->request->global && op->stack)
			continue;
		dm_filter_event(b->dm, op->stack, op->filter, messages[op->kind], op->request->user);
	}
}

static void finish(struct batch *b)
{
	if (b->refused)
		take_back(b);
	for (struct request *r = b->first; r; r = r->next) {
		if (r->kind == OP_ADD && !r->global && b->refused & r->stacks) {
			b->dm->counters.refused++;
			if (r->call)
				bus_fail(r->call, BUS_CONFLICT, "stack %s refused the filters: %s", r->stack->conf.name, b->why);
			else
				dm_rules_done(b->dm, r, false, b->why);
			continue;
		}
		uint64_t *counter = r->kind == OP_ADD ? &b->dm->counters.added :
			r->kind == OP_UPDATE	      ? &b->dm->counters.updated :
							&b->dm->counters.deleted;
		*counter += r->changed;
		b->dm->counters.updated += r->updated;
		answer(b, r);
	}
	publish(b);
	free_batch(b);
}

/* Answers go out in the order of the requests, so only from the head. */
static void finish_ready(struct defmgr *dm)
{
	while (dm->sent_first && !dm->sent_first->waiting) {
		struct batch *b = dm->sent_first;
		dm->sent_first = b->next;
		if (!b->next)
			dm->sent_last = &dm->sent_first;
		finish(b);
	}
}

void batch_answered(struct batch *b, struct dm_stack *s, enum bus_code code, const char *text)
{
	if (code == BUS_UNAVAILABLE)
		b->pending |= 1u << s->index;
	else if (code != BUS_OK) {
		b->refused |= 1u << s->index;
		(void)snprintf(b->why, sizeof(b->why), "%s", text ? text : "no reason given");
	}
	b->waiting--;
	if (b->failed && !b->waiting && b->sent)
		free_batch(b);
	else if (b->sent)
		finish_ready(b->dm);
}

void batch_flush(void *daemon)
{
	struct defmgr *dm = ((struct daemon *)daemon)->state;
	struct batch *b = dm->open;
	if (!b)
		return;
	dm->open = NULL;
	for (unsigned i = 0; i < dm->nstacks && !b->failed; i++)
		dm_stack_push(dm->stacks[i], b);
	b->sent = true;
	if (b->failed)
		store_rollback(dm->store);
	if (b->failed || store_commit(dm->store)) {
		b->failed = true;
		fail_batch(b);
		return;
	}
	dm->counters.commits++;
	dm_expiry_arm(dm);
	*dm->sent_last = b;
	dm->sent_last = &b->next;
	finish_ready(dm);
}
