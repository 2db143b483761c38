/* meters: how workers are loaded, for stackctl top and whoever draws curves. */
#include "daemons/stack-core/core.h"
#include "daemons/stack-core/traces.h"
#include "daemons/stack-core/worker.h"
#include "lib/base/xalloc.h"
#include "proto/stack.pb-c.h"

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

struct row {
	Stack__WorkerMeter m;
	uint64_t batch[METER_BATCH], time[METER_TIME];
};

static uint64_t get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static void fill(struct row *row, const struct worker *w)
{
	const struct meter *m = &w->meter;

	stack__worker_meter__init(&row->m);
	SET(row->m, worker, w->index);
	SET(row->m, batches, get(&m->batches));
	SET(row->m, packets, get(&m->packets));
	SET(row->m, busy_ns, get(&m->busy_ns));
	SET(row->m, sampled, get(&m->sampled));
	SET(row->m, sampled_ns, get(&m->sampled_ns));
	struct filter_worker_stats f;
	filter_worker_stats(w->filter, &f);
	SET(row->m, cache_entries, f.cache_entries);
	SET(row->m, cache_hits, f.hits);
	SET(row->m, cache_misses, f.misses);
	for (unsigned i = 0; i < METER_BATCH; i++)
		row->batch[i] = get(&m->batch[i]);
	for (unsigned i = 0; i < METER_TIME; i++)
		row->time[i] = get(&m->time[i]);
	row->m.n_batch = METER_BATCH;
	row->m.batch = row->batch;
	row->m.n_time_ns = METER_TIME;
	row->m.time_ns = row->time;
}

void method_meters(struct bus_call *call, const ProtobufCMessage *request)
{
	struct core *k = ((struct daemon *)bus_call_user(call))->state;
	struct row *rows = xcalloc(k->stack->n_workers, sizeof(*rows));
	Stack__WorkerMeter *list[LINK_WORKERS_MAX];
	Stack__MetersReply reply = STACK__METERS_REPLY__INIT;

	(void)request;
	for (unsigned i = 0; i < k->stack->n_workers; i++) {
		fill(&rows[i], k->stack->workers[i]);
		list[i] = &rows[i].m;
	}
	SET(reply, now_us, core_now_us());
	reply.n_workers = k->stack->n_workers;
	reply.workers = list;
	SET(reply, traces, traces_count(k));
	bus_reply(call, &reply.base);
	free(rows);
}

enum { FLOWS_SHOWN = 50 };

struct shown {
	Stack__Flow m;
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
};

static void show(const struct stack *s, struct shown *out, const struct flow_row *r)
{
	stack__flow__init(&out->m);
	out->m.source = (char *)addr_text(&r->flow.src, out->src);
	out->m.destination = (char *)addr_text(&r->flow.dst, out->dst);
	out->m.link = r->flow.link < s->n_links ? (char *)(uintptr_t)s->links[r->flow.link].name : NULL;
	SET(out->m, protocol, r->flow.proto);
	if (r->flow.ports) {
		SET(out->m, source_port, r->flow.sport);
		SET(out->m, dest_port, r->flow.dport);
	}
	SET(out->m, packets_per_second, (uint64_t)(r->packets + 0.5));
	SET(out->m, bits_per_second, (uint64_t)(r->bytes * 8 + 0.5));
}

void method_flows(struct bus_call *call, const ProtobufCMessage *request)
{
	const struct stack *s = ((struct core *)((struct daemon *)bus_call_user(call))->state)->stack;
	const struct flow_row *top[FLOWS_SHOWN];
	struct shown rows[FLOWS_SHOWN];
	Stack__Flow *list[FLOWS_SHOWN];
	Stack__FlowsReply reply = STACK__FLOWS_REPLY__INIT;

	(void)request;
	reply.n_flows = flows_top(s->flows, top, FLOWS_SHOWN);
	for (size_t i = 0; i < reply.n_flows; i++) {
		show(s, &rows[i], top[i]);
		list[i] = &rows[i].m;
	}
	reply.flows = list;
	bus_reply(call, &reply.base);
}

/* A bucket counts all that is not more than its bound, as the buckets of a histogram do. */
static void histogram(const uint64_t *v, unsigned n, const char *name, const char *help, daemon_stat_fn fn, void *arg)
{
	char text[64];
	uint64_t all = 0;

	for (unsigned i = 0; i + 1 < n; i++) {
		all += v[i];
		(void)snprintf(text, sizeof(text), name, 1u << i);
		fn(arg, text, help, all);
	}
}

void meters_stats(struct core *k, daemon_stat_fn fn, void *arg)
{
	uint64_t busy = 0, batches = 0, packets = 0, sampled = 0, ns = 0, batch[METER_BATCH] = {0}, time[METER_TIME] = {0};

	for (unsigned i = 0; i < k->stack->n_workers; i++) {
		const struct meter *m = &k->stack->workers[i]->meter;
		busy += get(&m->busy_ns);
		batches += get(&m->batches);
		packets += get(&m->packets);
		sampled += get(&m->sampled);
		ns += get(&m->sampled_ns);
		for (unsigned b = 0; b < METER_BATCH; b++)
			batch[b] += get(&m->batch[b]);
		for (unsigned b = 0; b < METER_TIME; b++)
			time[b] += get(&m->time[b]);
	}
	fn(arg, "stack_worker_busy_milliseconds_total", "time that workers had packets to handle", busy / 1000000);
	struct filter_worker_stats cache = {0}, one;
	for (unsigned i = 0; i < k->stack->n_workers; i++) {
		filter_worker_stats(k->stack->workers[i]->filter, &one);
		cache.hits += one.hits;
		cache.misses += one.misses;
		cache.cache_entries += one.cache_entries;
	}
	fn(arg, "stack_flow_cache_entries", "flows that the workers' caches have room for", cache.cache_entries);
	fn(arg, "stack_flow_cache_hits_total", "packets whose flow a worker remembered", cache.hits);
	fn(arg, "stack_flow_cache_misses_total", "packets whose flow had to be classified", cache.misses);
	fn(arg, "stack_batches_total", "batches of packets that workers took from links", batches);
	fn(arg, "stack_batch_packets_total", "packets in them", packets);
	fn(arg, "stack_time_sampled_packets_total", "packets whose time in the stack was measured, of one batch in 16", sampled);
	fn(arg, "stack_time_sampled_microseconds_total", "their time in the stack", ns / 1000);
	histogram(batch, METER_BATCH, "stack_batches_to_%u_total", "batches of at most so many packets", fn, arg);
	histogram(time, METER_TIME, "stack_time_to_%u_ns_total", "sampled packets that stayed at most so long", fn, arg);
}
