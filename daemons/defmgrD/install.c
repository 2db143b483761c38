/* install: what a stack is sent. A stack that is new, or back, is given everything: the first message forgets what it holds, the following
 * ones add in chunks. Changes made meanwhile go the ordinary way: the stack sees messages in the order they were sent, and an id that
 * it has already is replaced. */
#include "daemons/defmgrD/defend.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"

enum { INSTALL_DEADLINE_MS = 5000, RETRY_REFUSED_MS = 10000 };

static void stack_refused(struct dm_stack *s, enum bus_code code, const char *text)
{
	s->installed = s->syncing = false;
	s->refuses = code == BUS_CONFLICT;
	s->retry_ms = loop_now_ms() + RETRY_REFUSED_MS;
	s->dm->counters.push_failures++;
	log_error("stack refuses defensive filters", "stack", s->conf.name, "reason", text ? text : "");
}

struct sync_call {
	struct dm_stack *stack;
	uint64_t id;
};

static void send_chunk(struct dm_stack *s, bool first);

static void installed(struct dm_stack *s)
{
	s->syncing = false;
	s->installed = true;
	s->dm->counters.installs++;
	dm_stack_event(s, "defmgr.stack.installed");
	if (dm_logs(s->dm, DM_LOG_STATES))
		log_notice("stack installed", "stack", s->conf.name, "mode", dm_mode_text(dm_stack_mode(s)), "filters",
			log_u64(s->table.count));
}

static void chunk_answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct sync_call *c = arg;
	struct dm_stack *s = c->stack;
	bool current = s->syncing && s->sync_id == c->id;
	(void)reply;
	free(c);
	if (!current)
		return;
	if (code == BUS_UNAVAILABLE)
		dm_stack_lost(s);
	else if (code != BUS_OK)
		stack_refused(s, code, text);
	else if (s->sync_next)
		send_chunk(s, false);
	else
		installed(s);
}

static void send_chunk(struct dm_stack *s, bool first)
{
	char texts[DM_EXCLUDES_MAX][PREFIX_TEXT_MAX], *excludes[DM_EXCLUDES_MAX];
	struct defend d;
	uint64_t now = dm_now_us();
	defend_init(&d);
	for (; s->sync_next && !defend_full(&d); s->sync_next = s->sync_next->newer)
		if (s->sync_next->expires_us > now)
			defend_add(&d, s, s->sync_next);
	if (first) {
		d.msg.has_reset = d.msg.reset = d.msg.has_set_excludes = d.msg.set_excludes = true;
		for (unsigned i = 0; i < s->conf.nexcludes; i++)
			excludes[i] = (char *)prefix_text(&s->conf.excludes[i], texts[i]);
		d.msg.n_excludes = s->conf.nexcludes;
		d.msg.excludes = excludes;
	}
	struct sync_call *c = xnew(struct sync_call);
	*c = (struct sync_call){s, s->sync_id};
	bus_client_call(s->client, "stack.Defend", &d.msg.base, &stack__defend_reply__descriptor, INSTALL_DEADLINE_MS,
		chunk_answered, c);
	defend_fini(&d);
}

void dm_stack_install(struct dm_stack *s)
{
	s->syncing = true;
	s->installed = false;
	s->sync_id++;
	s->sync_next = dm_stack_mode(s) == DM_INACTIVE ? NULL : s->table.oldest;
	send_chunk(s, true);
}

void dm_stack_unlinked(struct dm_stack *s, const struct filter *f)
{
	if (s->sync_next == f)
		s->sync_next = f->newer;
}

struct push {
	struct batch *batch;
	struct dm_stack *stack;
	uint64_t sync_id;
};

static void push_answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct push *p = arg;
	struct dm_stack *s = p->stack;
	(void)reply;
	/* a newer installation has been started since: its answer counts, not this one */
	if (p->sync_id == s->sync_id) {
		if (code == BUS_UNAVAILABLE)
			dm_stack_lost(s);
		else if (code != BUS_OK)
			stack_refused(s, code, text);
	}
	batch_answered(p->batch, s, code, text);
	free(p);
}

static void push_send(struct dm_stack *s, struct batch *b, struct defend *d)
{
	if (!d->msg.n_add && !d->msg.n_remove)
		return;
	struct push *p = xnew(struct push);
	*p = (struct push){b, s, s->sync_id};
	b->waiting++;
	s->dm->counters.pushes++;
	bus_client_call(s->client, "stack.Defend", &d->msg.base, &stack__defend_reply__descriptor, DM_DEADLINE_MS, push_answered, p);
	defend_clear(d);
}

void dm_stack_push(struct dm_stack *s, struct batch *b)
{
	bool concerned = false;
	for (size_t i = 0; i < b->nops && !concerned; i++)
		concerned = b->ops[i].stack == s;
	if (!concerned || dm_stack_mode(s) == DM_INACTIVE)
		return;
	if (!s->installed && !s->syncing) {
		b->pending |= 1u << s->index;
		return;
	}
	struct defend d;
	uint64_t stamp = ++s->dm->stamp;
	defend_init(&d);
	for (size_t i = 0; i < b->nops; i++) {
		struct filter *f = b->ops[i].filter;
		if (b->ops[i].stack != s || f->stamp == stamp)
			continue;
		f->stamp = stamp;
		if (f->dead)
			defend_remove(&d, f);
		else
			defend_add(&d, s, f);
		if (defend_full(&d))
			push_send(s, b, &d);
	}
	push_send(s, b, &d);
	defend_fini(&d);
}
