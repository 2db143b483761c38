/* What all of defmgrD shares, and its life: start, refresh, end. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <strings.h>
#include <time.h>

uint64_t dm_now_us(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

/* The time in microseconds, or one more than the last: ids of later runs are higher without being stored anywhere else. */
uint64_t dm_new_id(struct defmgr *dm)
{
	uint64_t now = dm_now_us();
	dm->last_id = now > dm->last_id ? now : dm->last_id + 1;
	return dm->last_id;
}

bool dm_logs(const struct defmgr *dm, unsigned bit)
{
	return dm->conf->log_level & bit;
}

struct table *dm_table(struct defmgr *dm, struct dm_stack *s)
{
	return s ? &s->table : &dm->globals;
}

const char *dm_scope(const struct dm_stack *s)
{
	return s ? s->conf.name : STORE_GLOBAL;
}

enum dm_mode dm_stack_mode(const struct dm_stack *s)
{
	return s->forced ? DM_INACTIVE : s->conf.mode;
}

struct dm_stack *dm_stack_find(struct defmgr *dm, const char *name)
{
	for (unsigned i = 0; i < dm->nstacks; i++)
		if (!strcasecmp(dm->stacks[i]->conf.name, name))
			return dm->stacks[i];
	return NULL;
}

void dm_filter_event(struct defmgr *dm, const struct dm_stack *s, const struct filter *f, enum filter_message msg, const char *by)
{
	static const char *const topics[] = {
		"defmgr.filter.added", "defmgr.filter.updated", "defmgr.filter.deleted", "defmgr.filter.expired"};
	struct filter_view v;
	Defmgr__FilterEvent m = DEFMGR__FILTER_EVENT__INIT;
	filter_view(f, FILTER_PARTS_MAX, s ? s->conf.name : NULL, &v);
	m.filter = &v.msg;
	m.by = (char *)by;
	bus_publish(dm->daemon->bus, topics[msg - FILTER_ADDED], &m.base);
	if (!dm_logs(dm, DM_LOG_FILTERS))
		return;
	char text[FILTER_LOG_TEXT_MAX];
	for (unsigned i = 0, n = filter_parts(f); i < n; i++)
		log_line(LOG_L_INFO, filter_log_text(f, i, msg, text), "stack", s ? s->conf.name : "*ALL*", (char *)0);
}

static int add_stacks(struct defmgr *dm, struct errbuf *e)
{
	for (unsigned i = 0; i < dm->conf->nstacks; i++) {
		struct dm_stack *s;
		int rc = dm_stack_new(dm, &dm->conf->stacks[i], &s, e);
		if (rc)
			return rc;
		dm->stacks[dm->nstacks++] = s;
	}
	return 0;
}

static int dm_start(struct daemon *d, void *built, struct errbuf *e)
{
	struct defmgr *dm = d->state;
	dm->daemon = d;
	dm->conf = built;
	dm->sent_last = &dm->sent_first;
	ftable_init(&dm->globals);
	int rc = store_open(dm->conf->directory, &dm->store, e);
	if (rc)
		return rc;
	dm->last_id = store_last_id(dm->store);
	if (store_purge(dm->store, dm_now_us()))
		return err_set(e, EIO, "%s: %s", dm->conf->directory, store_error(dm->store));
	rc = dm_load(dm, NULL, e);
	if (!rc)
		rc = add_stacks(dm, e);
	if (rc)
		return rc;
	dm->expiry = loop_timer_new(d->loop, dm_expire, dm);
	dm->tick = loop_timer_new(d->loop, dm_stacks_tick, dm);
	dm->rules_due = loop_timer_new(d->loop, dm_rules_flush, dm);
	dm_rules_set(dm);
	dm_expiry_arm(dm);
	dm_stacks_tick(dm);
	log_notice("EZD1622I DEFENSE MANAGER DAEMON CONFIGURATION PROCESSING IS COMPLETE", "stacks", log_u64(dm->nstacks), "directory",
		dm->conf->directory, "rules", log_u64(dm->conf->nrules));
	return 0;
}

/* The stack of that name among the old ones, taken out of them. */
static struct dm_stack *take(struct dm_stack **old, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (old[i] && !strcmp(old[i]->conf.name, name)) {
			struct dm_stack *s = old[i];
			old[i] = NULL;
			return s;
		}
	return NULL;
}

/* A stack that stays: the new configuration, and everything anew, for its mode or its exclusions may be other ones now. */
static void refresh_stack(struct dm_stack *s, const struct dm_stack_conf *c)
{
	s->conf = *c;
	s->forced = false;
	if (dm_stack_copy_globals(s))
		log_error("global filters cannot be stored", "stack", c->name, "error", store_error(s->dm->store));
	if (s->running)
		dm_stack_install(s);
}

/* New ones take their place in the order of the file, which decides what the default stack is. */
static void add_new_stacks(struct defmgr *dm)
{
	for (unsigned i = 0; i < dm->conf->nstacks; i++) {
		struct dm_stack *s;
		struct errbuf why;
		if (dm_stack_find(dm, dm->conf->stacks[i].name))
			continue;
		if (dm_stack_new(dm, &dm->conf->stacks[i], &s, &why)) {
			log_error("stack cannot be added", "stack", dm->conf->stacks[i].name, "error", why.text);
			continue;
		}
		unsigned at = i < dm->nstacks ? i : dm->nstacks;
		memmove(&dm->stacks[at + 1], &dm->stacks[at], (dm->nstacks - at) * sizeof(*dm->stacks));
		dm->stacks[at] = s;
		dm->nstacks++;
	}
}

static int check_reload(const struct defmgr *dm, const struct dm_conf *c, struct errbuf *e)
{
	if (strcmp(c->directory, dm->conf->directory))
		return err_set(e, EINVAL, "DefensiveFilterDirectory: found '%.80s', expected '%.80s': it cannot change while the "
			"daemon runs", c->directory, dm->conf->directory);
	if (dm->nretired)
		return err_set(e, EBUSY, "an earlier refresh is not finished yet");
	return 0;
}

/* MODIFY REFRESH: the new file replaces the old one completely. Takes @built whatever it answers. */
static int dm_reload(struct daemon *d, void *built, struct errbuf *e)
{
	struct defmgr *dm = d->state;
	struct dm_stack *old[DM_STACKS_MAX];
	unsigned nold = dm->nstacks;
	int rc = check_reload(dm, built, e);
	if (rc) {
		free(built);
		return rc;
	}
	memcpy(old, dm->stacks, sizeof(old));
	free(dm->conf);
	dm->conf = built;
	dm->nstacks = 0;
	for (unsigned i = 0; i < dm->conf->nstacks; i++) {
		struct dm_stack *s = take(old, nold, dm->conf->stacks[i].name);
		if (!s)
			continue;
		dm->stacks[dm->nstacks++] = s;
		refresh_stack(s, &dm->conf->stacks[i]);
	}
	for (unsigned i = 0; i < nold; i++)
		if (old[i])
			dm_stack_retire(old[i]);
	add_new_stacks(dm);
	dm_rules_set(dm);
	dm_expiry_arm(dm);
	dm_stacks_tick(dm);
	log_notice("EZD1622I DEFENSE MANAGER DAEMON CONFIGURATION PROCESSING IS COMPLETE", "stacks", log_u64(dm->nstacks), "rules",
		log_u64(dm->conf->nrules));
	return 0;
}

static void dm_stop(struct daemon *d)
{
	struct defmgr *dm = d->state;
	batch_flush(d);
	/* the end of its connection ends what still waits for a stack */
	for (unsigned i = 0; i < dm->nstacks; i++) {
		bus_client_free(dm->stacks[i]->client);
		dm->stacks[i]->client = NULL;
	}
	while (dm->nstacks)
		dm_stack_free(dm->stacks[--dm->nstacks]);
	dm_retired_free(dm);
	if (dm->globals.buckets)
		ftable_fini(&dm->globals);
	if (dm->tick) {
		loop_timer_free(dm->expiry);
		loop_timer_free(dm->tick);
		loop_timer_free(dm->rules_due);
	}
	dm_rules_free(dm);
	store_close(dm->store);
	free(dm->conf);
	dm->store = NULL;
	dm->conf = NULL;
}

static void dm_stats(struct daemon *d, daemon_stat_fn fn, void *arg)
{
	const struct defmgr *dm = d->state;
	const struct dm_counters *c = &dm->counters;
	uint64_t held = 0, running = 0, installed = 0;
	for (unsigned i = 0; i < dm->nstacks; i++) {
		held += dm->stacks[i]->table.count;
		running += dm->stacks[i]->running;
		installed += dm->stacks[i]->installed;
	}
	fn(arg, "defmgr_filters", "filters held for the stacks", held);
	fn(arg, "defmgr_filters_global", "global filters held", dm->globals.count);
	fn(arg, "defmgr_stacks", "stacks configured", dm->nstacks);
	fn(arg, "defmgr_stacks_running", "stacks that run", running);
	fn(arg, "defmgr_stacks_installed", "stacks that have all their filters", installed);
	fn(arg, "defmgr_filters_added_total", "filters added", c->added);
	fn(arg, "defmgr_filters_updated_total", "filters updated", c->updated);
	fn(arg, "defmgr_filters_deleted_total", "filters deleted", c->deleted);
	fn(arg, "defmgr_filters_expired_total", "filters expired", c->expired);
	fn(arg, "defmgr_requests_refused_total", "adds refused as invalid, existing, or by the stack", c->refused);
	fn(arg, "defmgr_commits_total", "transactions committed", c->commits);
	fn(arg, "defmgr_commit_failures_total", "transactions that the disk refused", c->commit_failures);
	fn(arg, "defmgr_installs_total", "complete installations into a stack", c->installs);
	fn(arg, "defmgr_pushes_total", "changes sent to a stack", c->pushes);
	fn(arg, "defmgr_push_failures_total", "changes that a stack refused", c->push_failures);
	dm_rules_stats(dm, fn, arg);
}

const struct daemon_spec dm_spec = {
	.name = "defmgrD",
	.package = "defmgr",
	.summary = "Defense Manager: defensive filters of all stacks of this host",
	.conf = &dm_conf_spec,
	.conf_path = "dmd.conf",
	.conf_env = "DMD_FILE",
	.service = &defmgr__defense_manager__descriptor,
	.methods = dm_methods,
	.events = dm_events,
	.size = sizeof(struct defmgr),
	.build = dm_conf_build,
	.built_free = dm_conf_free,
	.start = dm_start,
	.reload = dm_reload,
	.stop = dm_stop,
	.flush = batch_flush,
	.stats = dm_stats,
};
