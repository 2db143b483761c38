/* traces: from the workers' rings into a queue each. A trace ends when it has all that was asked for, when its time is over, or when
 * nobody reads it any more: a client that was killed leaves nothing behind. Audit (type 119, subtypes of our own): 240 a trace began,
 * 241 it ended. */
#include "daemons/stack-core/traces.h"
#include "daemons/stack-core/core.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { DRAIN_MAX = 65536, AUDIT_BEGAN = 240, AUDIT_ENDED = 241 };

struct core_traces {
	struct trace v[TRACES_MAX];
	uint64_t records, lost;
};

static struct core_traces *all_of(struct core *k)
{
	if (!k->traces)
		k->traces = xnew(struct core_traces);
	return k->traces;
}

static void prefix_field(struct json *j, const char *name, const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX];

	if (p->addr.family)
		json_kv_str(j, name, prefix_text(p, text));
}

static void audit_began(struct core *k, const struct trace *t, const struct tap_spec *s, unsigned count, unsigned seconds)
{
	struct json *j = audit_begin(k->daemon->audit, AUDIT_TCPIP, AUDIT_BEGAN, 0);

	json_kv_str(j, "stack", k->stack->name);
	json_kv_str(j, "user", t->user);
	json_kv_u64(j, "uid", t->uid);
	json_kv_u64(j, "trace", t->id);
	prefix_field(j, "source", &s->src);
	prefix_field(j, "destination", &s->dst);
	prefix_field(j, "host", &s->host);
	if (s->proto != TAP_PROTO_ANY)
		json_kv_u64(j, "protocol", s->proto);
	if (*s->tunnel)
		json_kv_str(j, "tunnel", s->tunnel);
	json_kv_u64(j, "stages", s->stages);
	json_kv_u64(j, "snaplen", s->snaplen);
	json_kv_bool(j, "cleartext", s->cleartext);
	json_kv_u64(j, "count", count);
	json_kv_u64(j, "seconds", seconds);
	(void)audit_commit(k->daemon->audit);
	log_notice("trace began", "stack", k->stack->name, "user", t->user, "uid", log_u64(t->uid), "bytes", log_u64(s->snaplen), "cleartext",
		s->cleartext ? "yes" : "no");
}

static void audit_ended(struct core *k, const struct trace *t)
{
	struct json *j = audit_begin(k->daemon->audit, AUDIT_TCPIP, AUDIT_ENDED, 0);

	json_kv_str(j, "stack", k->stack->name);
	json_kv_str(j, "user", t->user);
	json_kv_u64(j, "uid", t->uid);
	json_kv_u64(j, "trace", t->id);
	json_kv_str(j, "why", t->why);
	json_kv_u64(j, "records", t->records);
	json_kv_u64(j, "lost", traces_lost(k, t));
	(void)audit_commit(k->daemon->audit);
	log_notice("trace ended", "stack", k->stack->name, "user", t->user, "why", t->why, "records", log_u64(t->records));
}

static uint64_t new_id(struct core *k)
{
	uint64_t id = 0;

	while (!id || traces_find(k, id))
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			abort();
	return id;
}

struct trace *traces_start(struct core *k, const struct tap_spec *s, const struct saf_subject *who, unsigned count, unsigned seconds, struct errbuf *e)
{
	struct core_traces *all = all_of(k);
	struct trace *t = NULL;

	for (unsigned i = 0; i < TRACES_MAX && !t; i++)
		if (!all->v[i].id)
			t = &all->v[i];
	if (!t) {
		(void)err_set(e, ENOSPC, "%u traces are not read to their end yet", TRACES_MAX);
		return NULL;
	}
	uint64_t id = new_id(k), lost = taps_lost(k->stack->taps);
	int slot = taps_add(k->stack->taps, s, count, e);
	if (slot < 0)
		return NULL;
	*t = (struct trace){.id = id, .slot = slot, .uid = who->uid, .lost_before = lost, .read_ms = loop_now_ms()};
	t->ends_ms = t->read_ms + (uint64_t)seconds * 1000;
	memcpy(t->user, who->user, sizeof(t->user));
	audit_began(k, t, s, count, seconds);
	return t;
}

struct trace *traces_find(struct core *k, uint64_t id)
{
	struct core_traces *all = all_of(k);

	for (unsigned i = 0; id && i < TRACES_MAX; i++)
		if (all->v[i].id == id)
			return &all->v[i];
	return NULL;
}

static bool room_for(struct trace *t, size_t n)
{
	if (t->tail + n <= t->size)
		return true;
	if (t->head) {
		memmove(t->queue, t->queue + t->head, t->tail - t->head);
		t->tail -= t->head;
		t->head = 0;
	}
	if (t->tail + n <= t->size)
		return true;
	if (t->tail + n > TRACE_QUEUE)
		return false;
	size_t size = t->size ? t->size : 64 << 10;
	while (size < t->tail + n)
		size *= 2;
	t->queue = xrealloc(t->queue, size, 1);
	t->size = size;
	return true;
}

static void keep(void *arg, const struct tap_record *r)
{
	struct core_traces *all = ((struct core *)arg)->traces;

	for (unsigned i = 0; i < TRACES_MAX; i++) {
		struct trace *t = &all->v[i];
		if (!t->id || t->slot < 0 || !(r->sessions & 1u << t->slot))
			continue;
		if (!room_for(t, r->size)) {
			t->lost++;
			all->lost++;
			continue;
		}
		memcpy(t->queue + t->tail, r, r->size);
		t->tail += r->size;
		t->records++;
		all->records++;
	}
}

const struct tap_record *traces_next(const struct trace *t, size_t *at)
{
	size_t here = t->head + *at;

	if (here >= t->tail)
		return NULL;
	const struct tap_record *r = (const struct tap_record *)(const void *)(t->queue + here);
	*at += r->size;
	return r;
}

void traces_taken(struct trace *t, size_t at)
{
	t->head += at;
	if (t->head == t->tail)
		t->head = t->tail = 0;
}

uint64_t traces_lost(const struct core *k, const struct trace *t)
{
	return t->lost + taps_lost(k->stack->taps) - t->lost_before;
}

void traces_stop(struct core *k, struct trace *t, const char *why)
{
	if (t->slot < 0)
		return;
	taps_remove(k->stack->taps, (unsigned)t->slot);
	while (taps_drain(k->stack->taps, DRAIN_MAX, keep, k) == DRAIN_MAX)
		;
	t->slot = -1;
	t->why = why;
	audit_ended(k, t);
}

void traces_forget(struct trace *t)
{
	free(t->queue);
	*t = (struct trace){.slot = -1};
}

unsigned traces_count(const struct core *k)
{
	return taps_count(k->stack->taps);
}

static void look_after(struct core *k, struct trace *t, uint64_t now_ms)
{
	if (t->slot >= 0 && taps_used_up(k->stack->taps, (unsigned)t->slot))
		traces_stop(k, t, "count");
	if (now_ms >= t->ends_ms)
		traces_stop(k, t, "time");
	if (t->waits) {
		if (t->head < t->tail || t->slot < 0 || now_ms >= t->wait_ms)
			traces_answer(k, t);
	} else if (now_ms >= t->read_ms + TRACE_IDLE_MS) {
		traces_stop(k, t, "reader gone");
		traces_forget(t);
	}
}

void traces_control(struct core *k)
{
	uint64_t now_ms = loop_now_ms();

	if (!k->traces)
		return;
	(void)taps_drain(k->stack->taps, DRAIN_MAX, keep, k);
	for (unsigned i = 0; i < TRACES_MAX; i++)
		if (k->traces->v[i].id)
			look_after(k, &k->traces->v[i], now_ms);
}

void traces_free(struct core *k)
{
	for (unsigned i = 0; k->traces && i < TRACES_MAX; i++) {
		struct trace *t = &k->traces->v[i];
		if (t->id && t->slot >= 0)
			traces_stop(k, t, "stack ended");
		free(t->queue);
	}
	free(k->traces);
	k->traces = NULL;
}

void traces_stats(struct core *k, daemon_stat_fn fn, void *arg)
{
	fn(arg, "stack_traces", "traces and captures that run", traces_count(k));
	fn(arg, "stack_trace_records_total", "records that traces got", k->traces ? k->traces->records : 0);
	fn(arg, "stack_trace_records_lost_total", "records of traces lost because too many came",
		taps_lost(k->stack->taps) + (k->traces ? k->traces->lost : 0));
}
