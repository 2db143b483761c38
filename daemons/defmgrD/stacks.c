/* stacks: which run. Each configured one is asked for a sign of life four times a second and its events are listened to, so that a restart
 * is seen at once; one that is new, or back, is given everything (install.c). */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <strings.h>

enum {
	PING_MS = 250, /* also how long a stack that is back may be without its filters, when its event was missed */
	PING_DEADLINE_MS = 900,
};

void dm_stack_event(struct dm_stack *s, const char *topic)
{
	Defmgr__StackEvent m = DEFMGR__STACK_EVENT__INIT;
	m.stack = s->conf.name;
	m.has_filters = true;
	m.filters = s->table.count;
	bus_publish(s->dm->daemon->bus, topic, &m.base);
}

void dm_stack_lost(struct dm_stack *s)
{
	if (s->running && dm_logs(s->dm, DM_LOG_STATES))
		log_notice("stack lost", "stack", s->conf.name);
	if (s->running)
		dm_stack_event(s, "defmgr.stack.lost");
	s->running = s->installed = s->syncing = false;
	s->boot_id = 0;
}

static void stack_seen(void *arg, uint64_t boot_id)
{
	struct dm_stack *s = arg;
	s->running = true;
	if (boot_id != s->boot_id) {
		s->boot_id = boot_id;
		s->refuses = false;
		dm_stack_install(s);
	} else if (!s->installed && !s->syncing && loop_now_ms() >= s->retry_ms) {
		dm_stack_install(s);
	}
}

static void stack_silent(void *arg)
{
	struct dm_stack *s = arg;
	if (s->running)
		dm_stack_lost(s);
}

static void on_event(void *arg, const struct bus_event_info *info, const void *body, size_t len)
{
	struct dm_stack *s = arg;
	s->heard_ms = loop_now_ms();
	if (body && !strncmp(info->topic, "stack.ids.", 10))
		dm_rules_event(s, body, len);
}

void dm_stacks_tick(void *arg)
{
	struct defmgr *dm = arg;
	for (unsigned i = 0; i < dm->nstacks; i++)
		bus_pulse_ask(dm->stacks[i]->pulse);
	dm_rules_tick(dm);
	if (dm->nretired && !dm->sent_first && !dm->open)
		dm_retired_free(dm);
	loop_timer_set(dm->tick, PING_MS);
}

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
	const struct bus_pulse_spec spec = {name, topics, PING_DEADLINE_MS, stack_seen, stack_silent, on_event, s};
	s->pulse = bus_pulse_new(dm->daemon->loop, &spec);
	s->client = bus_pulse_client(s->pulse);
	*ret = s;
	return 0;
}

static void disconnect(struct dm_stack *s)
{
	bus_pulse_free(s->pulse);
	s->pulse = NULL;
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
