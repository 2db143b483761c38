/* See ids.h: making, changing, counting. */
#include "daemons/stack-core/ids/regulate.h"
#include "lib/base/xalloc.h"
#include <urcu-qsbr.h>

struct ids *ids_new(unsigned workers)
{
	struct ids *ids = xcheck(aligned_alloc(64, (sizeof(struct ids) + 63) & ~(size_t)63));
	memset(ids, 0, sizeof(*ids));
	hash_key_init(&ids->key);
	session_init(ids);
	ids->scan = scan_new();
	ids->n_workers = workers < IDS_WORKERS_MAX ? workers : IDS_WORKERS_MAX;
	for (unsigned i = 0; i < IDS_ATTACKS; i++) {
		atomic_store(&ids->log_left[i], IDS_LOGS);
		atomic_store(&ids->trace_left[i], IDS_TRACES);
	}
	for (unsigned i = 0; i < ids->n_workers; i++) {
		struct ids_worker *w = xcheck(aligned_alloc(64, (sizeof(struct ids_worker) + 63) & ~(size_t)63));
		memset(w, 0, sizeof(*w));
		w->ids = ids;
		w->index = i;
		post_init(w);
		ids->workers[i] = w;
	}
	return ids;
}

void ids_free(struct ids *ids)
{
	if (!ids)
		return;
	for (unsigned i = 0; i < ids->n_workers; i++) {
		post_fini(ids->workers[i]);
		free(ids->workers[i]);
	}
	trace_close(ids);
	session_fini(ids);
	scan_free(ids->scan);
	free(ids->tr);
	free(ids);
}

struct ids_worker *ids_worker(struct ids *ids, unsigned index)
{
	return ids->workers[index];
}

const struct ids_policy *ids_policy_of(const struct ids *ids)
{
	return ids->policy;
}

void ids_apply(struct ids *ids, const struct ids_policy *p)
{
	const struct ids_policy *old = ids->policy;
	if (p && (p->tr_tcp || p->tr_udp) && !ids->tr) {
		ids->tr = xcheck(aligned_alloc(64, (sizeof(struct regulation) + 63) & ~(size_t)63));
		memset(ids->tr, 0, sizeof(*ids->tr));
		atomic_store(&ids->tr->left, IDS_LOGS);
	}
	rcu_assign_pointer(ids->policy, (struct ids_policy *)p);
	if (old)
		synchronize_rcu();
}

void ids_worker_now(struct ids_worker *w, uint64_t now_ms, uint64_t now_us)
{
	w->now_ms = now_ms;
	w->now_us = now_us;
	w->policy = rcu_dereference(w->ids->policy);
}

bool ids_worker_told(struct ids_worker *w)
{
	bool told = w->told;
	w->told = false;
	return told;
}

bool ids_waiting(const struct ids *ids)
{
	for (unsigned i = 0; i < ids->n_workers; i++)
		if (atomic_load(&ids->workers[i]->events.head) != atomic_load(&ids->workers[i]->events.tail))
			return true;
	return false;
}

void ids_counts(const struct ids *ids, struct ids_counts *ret)
{
	*ret = (struct ids_counts){.traced = ids->traced, .scan_events = ids->scan_events, .scans_fast = ids->scans_fast, .scans_slow = ids->scans_slow};
	ret->evicted = scan_evicted(ids->scan, &ret->sources);
	for (unsigned i = 0; i < ids->n_workers; i++) {
		const struct ids_worker *w = ids->workers[i];
		for (unsigned a = 0; a < IDS_ATTACKS; a++) {
			ret->detected[a] += atomic_load_explicit(&w->detected[a], memory_order_relaxed);
			ret->discarded[a] += atomic_load_explicit(&w->discarded[a], memory_order_relaxed);
		}
		ret->challenged += atomic_load_explicit(&w->challenged, memory_order_relaxed);
		ret->proven += atomic_load_explicit(&w->proven, memory_order_relaxed);
		ret->lost += atomic_load_explicit(&w->events.lost, memory_order_relaxed);
		ret->trace_lost += atomic_load_explicit(&w->traces.lost, memory_order_relaxed);
	}
	for (unsigned i = 0; ids->tr && i < POOLS; i++)
		ret->refused += atomic_load_explicit(&ids->tr->pools[i].refused, memory_order_relaxed);
	for (unsigned i = 0; ids->tr && i < ids->tr->n_queues; i++)
		ret->refused += atomic_load_explicit(&ids->tr->queues[i].refused, memory_order_relaxed);
	for (unsigned a = 0; a < IDS_ATTACKS; a++) {
		ret->logged[a] = ids->types[a].logged;
		ret->suppressed[a] = ids->types[a].suppressed;
	}
}

unsigned ids_pools(const struct ids *ids, struct ids_pool *ret, unsigned max)
{
	const struct regulation *g = ids->tr;
	unsigned n = 0;
	for (unsigned i = 0; g && i < POOLS && n < max; i++) {
		const struct pool *o = &g->pools[i];
		const struct ids_rule *r = atomic_load(&o->tag) ? tr_rule_of(ids->policy, o) : NULL;
		if (r)
			ret[n++] = (struct ids_pool){IDS_TCP, o->addr, o->port, r->name, r->total, atomic_load(&o->used), r->percentage, o->constrained,
				r->limit, atomic_load(&o->refused)};
	}
	for (unsigned i = 0; g && i < g->n_queues && n < max; i++) {
		const struct queue *q = &g->queues[i];
		ret[n++] = (struct ids_pool){IDS_UDP, q->addr, q->port, q->rule, atomic_load(&q->limit), atomic_load(&q->queued), 0, q->constrained,
			atomic_load(&q->discards), atomic_load(&q->refused)};
	}
	return n;
}

void ids_discarded(struct ids_worker *w, const struct pkt *p)
{
	bump(&w->link_discarded[p->in_link % IDS_LINKS_MAX]);
}

const char *ids_probe_text(unsigned probe)
{
	switch (probe) {
#define PROBE(name, number, what) \
	case number:              \
		return what;
		IDS_PROBES(PROBE)
#undef PROBE
	default:
		return "unknown";
	}
}
