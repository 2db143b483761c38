/* The stacks. Each configured one is asked for a sign of life four times a second (common.Ping, whose boot id tells one run from the
 * next) and its events are listened to, so that a restart is seen at once. A stack that is new, or back, is given everything:
 * the first message forgets what it holds, the following ones add in chunks. Changes made meanwhile go the ordinary way: the
 * stack sees messages in the order they were sent, and an id that it has already is replaced. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include <strings.h>

enum {
	CHUNK_PARTS = 4000, /* filters of one direction and family in one message: under a megabyte in any case */
	CHUNK_REMOVES = 40000,
	INSTALL_DEADLINE_MS = 5000,
	PING_MS = 250, /* also how long a stack that is back may be without its filters, when its event was missed */
	PING_DEADLINE_MS = 900,
	RETRY_REFUSED_MS = 10000,
};

/* stack.Defend under construction. */
struct defend {
	Stack__DefendRequest msg;
	struct filter_part *parts;
	Stack__Defence **add;
	uint64_t *remove;
};

static void defend_clear(struct defend *d)
{
	stack__defend_request__init(&d->msg);
	d->msg.add = d->add;
	d->msg.remove = d->remove;
}

static void defend_init(struct defend *d)
{
	d->parts = xcalloc(CHUNK_PARTS, sizeof(*d->parts));
	d->add = xcalloc(CHUNK_PARTS, sizeof(*d->add));
	d->remove = xcalloc(CHUNK_REMOVES, sizeof(*d->remove));
	defend_clear(d);
}

static void defend_fini(struct defend *d)
{
	free(d->parts);
	free(d->add);
	free(d->remove);
}

static bool defend_full(const struct defend *d)
{
	return d->msg.n_add + FILTER_PARTS_MAX > CHUNK_PARTS || d->msg.n_remove + FILTER_PARTS_MAX > CHUNK_REMOVES;
}

static void defend_add(struct defend *d, const struct dm_stack *s, const struct filter *f)
{
	struct filter_part *p = &d->parts[d->msg.n_add];
	unsigned n = filter_expand(f, dm_stack_mode(s) == DM_SIMULATE, p);
	for (unsigned i = 0; i < n; i++)
		d->msg.add[d->msg.n_add++] = &p[i].msg;
}

static void defend_remove(struct defend *d, const struct filter *f)
{
	for (unsigned i = 0, n = filter_parts(f); i < n; i++)
		d->msg.remove[d->msg.n_remove++] = filter_part_id(f, i);
}

static void stack_event(struct dm_stack *s, const char *topic)
{
	Defmgr__StackEvent m = DEFMGR__STACK_EVENT__INIT;
	m.stack = s->conf.name;
	m.has_filters = true;
	m.filters = s->table.count;
	bus_publish(s->dm->daemon->bus, topic, &m.base);
}

static void stack_lost(struct dm_stack *s)
{
	if (s->running && dm_logs(s->dm, DM_LOG_STATES))
		log_notice("stack lost", "stack", s->conf.name);
	if (s->running)
		stack_event(s, "defmgr.stack.lost");
	s->running = s->installed = s->syncing = false;
	s->boot_id = 0;
}

static void stack_refused(struct dm_stack *s, enum bus_code code, const char *text)
{
	s->installed = s->syncing = false;
	s->refuses = code == BUS_CONFLICT;
	s->retry_ms = loop_now_ms() + RETRY_REFUSED_MS;
	s->dm->counters.push_failures++;
	log_error("stack refuses defensive filters", "stack", s->conf.name, "reason", text ? text : "");
}

/* --- everything, in chunks --- */

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
	stack_event(s, "defmgr.stack.installed");
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
		stack_lost(s);
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

/* --- what a batch changed --- */

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
			stack_lost(s);
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

/* --- who runs --- */

static void stack_seen(struct dm_stack *s, uint64_t boot_id)
{
	s->running = true;
	if (boot_id != s->boot_id) {
		s->boot_id = boot_id;
		s->refuses = false;
		dm_stack_install(s);
	} else if (!s->installed && !s->syncing && loop_now_ms() >= s->retry_ms) {
		dm_stack_install(s);
	}
}

static void ping_answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct dm_stack *s = arg;
	(void)text;
	s->pinging = false;
	if (code == BUS_OK)
		stack_seen(s, ((const Common__PingReply *)reply)->boot_id);
	else if (code == BUS_UNAVAILABLE && s->running)
		stack_lost(s);
}

static void ping(struct dm_stack *s)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	if (s->pinging)
		return;
	s->pinging = true;
	bus_client_call(s->client, "common.Ping", &m.base, &common__ping_reply__descriptor, PING_DEADLINE_MS, ping_answered, s);
}

static void on_event(void *arg, const struct bus_event_info *info, const void *body, size_t len)
{
	struct dm_stack *s = arg;
	s->heard_ms = loop_now_ms();
	if (info->boot_id)
		stack_seen(s, info->boot_id);
	if (body && !strncmp(info->topic, "stack.ids.", 10))
		dm_rules_event(s, body, len);
}

void dm_stacks_tick(void *arg)
{
	struct defmgr *dm = arg;
	for (unsigned i = 0; i < dm->nstacks; i++)
		ping(dm->stacks[i]);
	dm_rules_tick(dm);
	if (dm->nretired && !dm->sent_first && !dm->open)
		dm_retired_free(dm);
	loop_timer_set(dm->tick, PING_MS);
}

/* --- one stack's life --- */

struct load {
	struct table *table;
	uint64_t now;
	const char *scope;
	unsigned dropped;
};

static void load_one(void *arg, const struct filter *f)
{
	struct load *l = arg;
	if (f->expires_us <= l->now || !ftable_room(l->table, f) || ftable_find(l->table, f->name)) {
		l->dropped++;
		return;
	}
	struct filter *copy = xnew(struct filter);
	*copy = *f;
	if (f->origin) {
		copy->origin = xnew(struct filter_origin);
		*copy->origin = *f->origin;
	}
	ftable_insert(l->table, copy);
}

int dm_load(struct defmgr *dm, struct dm_stack *s, struct errbuf *e)
{
	struct load l = {dm_table(dm, s), dm_now_us(), dm_scope(s), 0};
	unsigned bad = 0;
	if (store_load(dm->store, l.scope, load_one, &l, &bad))
		return err_set(e, EIO, "filters of %s cannot be read: %s", l.scope, store_error(dm->store));
	if (bad)
		log_error("stored filters that cannot be read were left out", "scope", l.scope, "count", log_u64(bad));
	return 0;
}

/* A stack that never had the globals gets them all, cut to what it allows. */
int dm_stack_copy_globals(struct dm_stack *s)
{
	struct defmgr *dm = s->dm;
	if (store_known(dm->store, s->conf.name))
		return 0;
	int rc = store_begin(dm->store);
	for (struct filter *g = dm->globals.oldest; g && !rc; g = g->newer) {
		if (ftable_find(&s->table, g->name) || !ftable_room(&s->table, g))
			continue;
		struct filter *f = xnew(struct filter);
		*f = *g;
		f->refs = 0;
		f->id = dm_new_id(dm);
		uint64_t latest = f->updated_us + s->conf.limits.max_lifetime * 60000000ull;
		if (f->expires_us > latest)
			f->expires_us = latest;
		if (!f->loglimit)
			f->loglimit = s->conf.limits.default_loglimit;
		ftable_insert(&s->table, f);
		rc = store_put(dm->store, s->conf.name, f);
	}
	if (!rc)
		rc = store_set_known(dm->store, s->conf.name, true);
	return rc ? rc : store_commit(dm->store);
}

static unsigned free_index(const struct defmgr *dm)
{
	uint32_t used = 0; /* 32 bits are enough: as many retired as configured ones, at most */
	for (unsigned i = 0; i < dm->nstacks; i++)
		used |= 1u << dm->stacks[i]->index;
	for (unsigned i = 0; i < dm->nretired; i++)
		used |= 1u << dm->retired[i]->index;
	unsigned n = 0;
	while (used & 1u << n)
		n++;
	return n;
}

int dm_stack_new(struct defmgr *dm, const struct dm_stack_conf *c, struct dm_stack **ret, struct errbuf *e)
{
	static const char *const topics[] = {"stack.started", "stack.heartbeat", "stack.ids.", NULL};
	struct dm_stack *s = xnew(struct dm_stack);
	char name[BUS_NAME_MAX];
	s->dm = dm;
	s->conf = *c;
	s->index = free_index(dm);
	ftable_init(&s->table);
	int rc = dm_load(dm, s, e);
	if (!rc && dm_stack_copy_globals(s))
		rc = err_set(e, EIO, "global filters cannot be stored for %s: %s", c->name, store_error(dm->store));
	if (rc) {
		ftable_fini(&s->table);
		free(s);
		return rc;
	}
	(void)snprintf(name, sizeof(name), "stack-core@%s", c->name);
	s->client = bus_client_new(dm->daemon->loop, name);
	s->events = bus_subscriber_new(dm->daemon->loop, name, topics, on_event, s);
	*ret = s;
	return 0;
}

static void disconnect(struct dm_stack *s)
{
	bus_subscriber_free(s->events);
	if (s->client)
		bus_client_free(s->client);
	s->events = NULL;
	s->client = NULL;
}

void dm_stack_retire(struct dm_stack *s)
{
	struct defmgr *dm = s->dm;
	if (s->running) {
		Stack__DefendRequest m = STACK__DEFEND_REQUEST__INIT;
		ProtobufCMessage *reply = NULL;
		m.has_reset = m.reset = true;
		(void)bus_client_call_sync(s->client, "stack.Defend", &m.base, &stack__defend_reply__descriptor, 500, &reply, NULL);
		if (reply)
			protobuf_c_message_free_unpacked(reply, NULL);
	}
	disconnect(s);
	dm->retired[dm->nretired++] = s;
}

void dm_stack_free(struct dm_stack *s)
{
	disconnect(s);
	ftable_fini(&s->table);
	free(s);
}

void dm_retired_free(struct defmgr *dm)
{
	while (dm->nretired)
		dm_stack_free(dm->retired[--dm->nretired]);
}
