/* The order of things, and the daemon's declaration. */
#include "daemons/ravelin-bouncer/bouncer.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include "proto/defmgr.pb-c.h"
#include <sys/random.h>
#include <time.h>

enum { DEADLINE_MS = 5000, PAGE = 1000, BACKOFF_MAX_MS = 300000, SWEEP_MS = 30000, DRAIN_MS = 200, QUIET_MS = 10000, DOUBT_MS = 300000 };

uint64_t bouncer_now_us(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

static void tell(struct bouncer *b, const char *topic)
{
	Bouncer__FeedEvent m = BOUNCER__FEED_EVENT__INIT;
	m.stack = b->stack;
	m.has_filters = true;
	m.filters = b->mirror.count;
	m.why = b->why[0] ? b->why : NULL;
	bus_publish(b->daemon->bus, topic, &m.base);
}

/* A quarter more or less, so that many bouncers do not ask at once. */
static uint64_t backoff(const struct bouncer *b)
{
	uint64_t ms = b->conf->interval_s * 1000ull;
	uint32_t r = 0;
	for (unsigned i = 0; i < b->fails && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = 0;
	return b->fails ? ms * 3 / 4 + r % (ms / 2 + 1) : ms;
}

void bouncer_failed(struct bouncer *b, const char *what, const char *why)
{
	(void)snprintf(b->why, sizeof(b->why), "%s: %s", what, why);
	if (!b->fails)
		log_error("decisions are not followed", "reason", b->why);
	if (b->synced)
		tell(b, "bouncer.feed.lost");
	b->fails++;
	b->synced = b->asking = false;
	push_drop(b->push);
	loop_timer_set(b->poll, backoff(b));
}

/* --- what is held --- */

static void ask(struct bouncer *b, bool whole)
{
	b->asking = true;
	b->whole = whole;
	b->n.polls++;
	lapi_ask(b->lapi, whole);
}

static void list(struct bouncer *b);

static void listed(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct bouncer *b = arg;
	if (!b->asking) /* a reload or a failure came between */
		return;
	if (code != BUS_OK) {
		bouncer_failed(b, "defmgrD", text ? text : "no answer");
		return;
	}
	const Defmgr__ListReply *r = (const Defmgr__ListReply *)reply;
	if (r->max_lifetime_min)
		b->max_life_us = r->max_lifetime_min * 60000000ull;
	for (size_t i = 0; i < r->n_filters; i++) {
		struct prefix p;
		if (r->filters[i]->source && !prefix_parse(r->filters[i]->source, &p) && !r->filters[i]->global)
			mirror_held(b, &p, r->filters[i]->expires_us);
	}
	b->list_after = r->has_next ? r->next : 0;
	if (b->list_after)
		list(b);
	else
		ask(b, true);
}

static void list(struct bouncer *b)
{
	Defmgr__ListRequest m = DEFMGR__LIST_REQUEST__INIT;
	m.stack = b->stack;
	m.tag = b->conf->tag;
	m.has_brief = m.brief = m.has_limit = true;
	m.limit = PAGE;
	m.has_after = b->list_after != 0;
	m.after = b->list_after;
	bus_client_call(b->defmgr, "defmgr.List", &m.base, &defmgr__list_reply__descriptor, DEADLINE_MS, listed, b);
}

static void compare_all(struct bouncer *b)
{
	ftable_fini(&b->mirror);
	ftable_init(&b->mirror);
	b->generation = 0;
	b->list_after = 0;
	b->full_until_ms = 0;
	b->asking = true;
	b->n.resyncs++;
	list(b);
}

static void stack_known(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct bouncer *b = arg;
	if (!b->asking)
		return;
	const char *name = code == BUS_OK ? ((const Defmgr__StackReply *)reply)->stack : NULL;
	if (!name) {
		bouncer_failed(b, "defmgrD", text ? text : "no default stack");
		return;
	}
	(void)snprintf(b->stack, sizeof(b->stack), "%s", name);
	compare_all(b);
}

static void start_over(struct bouncer *b)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	if (b->stack[0]) {
		compare_all(b);
		return;
	}
	b->asking = true;
	bus_client_call(b->defmgr, "defmgr.DefaultStack", &m.base, &defmgr__stack_reply__descriptor, DEADLINE_MS, stack_known, b);
}

/* --- decisions --- */

static void on_answer(void *arg, const struct decisions *d, const char *why)
{
	struct bouncer *b = arg;
	if (!d) {
		b->n.poll_failures++;
		bouncer_failed(b, "CrowdSec", why);
		return;
	}
	b->asking = false;
	if (b->whole) {
		b->whole_ms = loop_now_ms();
		b->doubtful = false;
	} else if (d->added.n) {
		b->change_ms = loop_now_ms();
		b->doubtful = true;
	}
	mirror_apply(b, d, b->whole);
	if (!push_busy(b->push))
		bouncer_drained(b);
}

void bouncer_drained(struct bouncer *b)
{
	if (b->asking)
		return;
	if (!b->synced) {
		b->synced = true;
		b->synced_ms = loop_now_ms();
		b->why[0] = 0;
		log_notice("decisions are followed", "stack", b->stack, "filters", log_u64(b->mirror.count));
		tell(b, "bouncer.feed.synced");
	}
	b->fails = 0;
	loop_timer_set(b->poll, b->conf->interval_s * 1000ull);
}

/* The API tells as changes what was made since it was asked last, by the clock of the making: of many that are made at once, as by an import,
 * it leaves out those that were made before and are there only after. So after changes the whole list is asked for once more: when there have
 * been none for a while, or after five minutes. */
static bool doubt(const struct bouncer *b)
{
	uint64_t now = loop_now_ms();
	return b->doubtful && (now - b->change_ms > QUIET_MS || now - b->whole_ms > DOUBT_MS);
}

static void on_poll(void *arg)
{
	struct bouncer *b = arg;
	if (b->asking || push_busy(b->push))
		loop_timer_set(b->poll, DRAIN_MS);
	else if (!b->synced || loop_now_ms() - b->synced_ms > b->conf->resync_min * 60000ull) {
		b->synced_ms = loop_now_ms();
		start_over(b);
	} else
		ask(b, doubt(b));
}

static void on_sweep(void *arg)
{
	struct bouncer *b = arg;
	if (b->synced && !b->asking && !push_busy(b->push))
		mirror_sweep(b);
	loop_timer_set(b->sweep, SWEEP_MS);
}

/* --- the daemon --- */

static int start(struct daemon *d, void *built, struct errbuf *e)
{
	struct bouncer *b = d->state;
	b->daemon = d;
	b->conf = built;
	ftable_init(&b->mirror);
	int rc = keyfile_read(b->conf->key_file, &b->key, e);
	if (rc)
		return rc;
	(void)snprintf(b->stack, sizeof(b->stack), "%s", b->conf->stack);
	b->max_life_us = 1440 * 60000000ull;
	b->defmgr = bus_client_new(d->loop, "defmgrD");
	b->push = push_new(b);
	b->lapi = lapi_new(d->loop, b->conf, b->key, on_answer, b);
	b->poll = loop_timer_new(d->loop, on_poll, b);
	b->sweep = loop_timer_new(d->loop, on_sweep, b);
	loop_timer_set(b->poll, 1);
	loop_timer_set(b->sweep, SWEEP_MS);
	return 0;
}

static int reload(struct daemon *d, void *built, struct errbuf *e)
{
	struct bouncer *b = d->state;
	struct bouncer_conf *c = built;
	struct secret *key = NULL;
	int rc = 0;
	if (strcmp(c->tag, b->conf->tag) || strcmp(c->stack, b->conf->stack))
		rc = err_set(e, EINVAL, "Stack, FilterName: they cannot change while the daemon runs");
	if (!rc)
		rc = keyfile_read(c->key_file, &key, e);
	if (rc) {
		free(built);
		return rc;
	}
	lapi_free(b->lapi);
	push_drop(b->push);
	b->asking = false;
	bus_client_free(b->defmgr); /* what was on its way ends, and is heeded no more */
	b->defmgr = bus_client_new(d->loop, "defmgrD");
	secret_free(b->key);
	free(b->conf);
	b->conf = c;
	b->key = key;
	b->lapi = lapi_new(d->loop, c, key, on_answer, b);
	b->synced = false;
	b->fails = 0;
	loop_timer_set(b->poll, 1);
	return 0;
}

static void stop(struct daemon *d)
{
	struct bouncer *b = d->state;
	lapi_free(b->lapi);
	if (b->push)
		push_drop(b->push);
	if (b->defmgr)
		bus_client_free(b->defmgr); /* ends the calls on their way */
	push_free(b->push);
	if (b->poll) {
		loop_timer_free(b->poll);
		loop_timer_free(b->sweep);
	}
	ftable_fini(&b->mirror);
	secret_free(b->key);
	free(b->conf);
}

static void stats(struct daemon *d, daemon_stat_fn fn, void *arg)
{
	const struct bouncer *b = d->state;
	const struct bouncer_counts *n = &b->n;
	fn(arg, "bouncer_synced", "1 when the list is followed", b->synced);
	fn(arg, "bouncer_filters", "sources that are blocked", b->mirror.count);
	fn(arg, "bouncer_polls_total", "questions to the API", n->polls);
	fn(arg, "bouncer_poll_failures_total", "questions that got no good answer", n->poll_failures);
	fn(arg, "bouncer_resyncs_total", "comparisons of everything", n->resyncs);
	fn(arg, "bouncer_decisions_total", "decisions that ban an address or range", n->decisions);
	fn(arg, "bouncer_deletions_total", "such decisions that ended", n->deletions);
	fn(arg, "bouncer_ignored_scope_total", "decisions of another scope", n->other_scope);
	fn(arg, "bouncer_ignored_type_total", "decisions of another type than ban", n->other_type);
	fn(arg, "bouncer_unreadable_total", "decisions whose address or duration cannot be read", n->unreadable);
	fn(arg, "bouncer_excluded_total", "decisions that an exclusion forbids", n->excluded);
	fn(arg, "bouncer_too_wide_total", "decisions for a range that is too wide", n->too_wide);
	fn(arg, "bouncer_over_limit_total", "decisions over MaxFilters", n->over_limit);
	fn(arg, "bouncer_filters_added_total", "filters added", n->added);
	fn(arg, "bouncer_filters_updated_total", "filters prolonged or shortened", n->updated);
	fn(arg, "bouncer_filters_unchanged_total", "filters that were there as they should", n->unchanged);
	fn(arg, "bouncer_filters_deleted_total", "filters deleted", n->deleted);
	fn(arg, "bouncer_batches_total", "requests that defmgrD took", n->batches);
	fn(arg, "bouncer_push_failures_total", "requests that defmgrD did not answer or allow", n->push_failures);
	fn(arg, "bouncer_refused_total", "filters that defmgrD refused", n->refused);
}

static void on_status(struct bus_call *call, const ProtobufCMessage *req)
{
	const struct bouncer *b = ((struct daemon *)bus_call_user(call))->state;
	Bouncer__StatusReply m = BOUNCER__STATUS_REPLY__INIT;
	(void)req;
	m.url = b->conf->url;
	m.stack = (char *)b->stack;
	m.has_synced = m.has_filters = m.has_fails = true;
	m.synced = b->synced;
	m.filters = b->mirror.count;
	m.fails = b->fails;
	m.why = b->why[0] ? (char *)b->why : NULL;
	bus_reply(call, &m.base);
}

static const struct bus_method methods[] = {
	{"Status", "SERVAUTH", "EZB.NETSTAT.{sysname}.{name}.STATS", SAF_READ, &common__empty__descriptor, &bouncer__status_reply__descriptor, on_status},
	{NULL}};
static const struct bus_event events[] = {
	{"bouncer.feed.synced", &bouncer__feed_event__descriptor, "SERVAUTH", "EZB.NETMGMT.{sysname}.{name}.EVENTS"},
	{"bouncer.feed.lost", &bouncer__feed_event__descriptor, "SERVAUTH", "EZB.NETMGMT.{sysname}.{name}.EVENTS"},
	{NULL}};

const struct daemon_spec bouncer_spec = {
	.name = "ravelin-bouncer",
	.package = "bouncer",
	.summary = "CrowdSec's decisions as defensive filters",
	.conf = &bouncer_conf_spec,
	.conf_path = "bouncer.conf",
	.service = &bouncer__bouncer__descriptor,
	.methods = methods,
	.events = events,
	.size = sizeof(struct bouncer),
	.build = bouncer_conf_build,
	.built_free = free,
	.start = start,
	.reload = reload,
	.stop = stop,
	.stats = stats,
};
