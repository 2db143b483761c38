/* post: what a worker hands to the control thread: records and copies of packets. One writer, one reader, no lock; a full ring loses
 * the newest and counts it. */
#include "daemons/stack-core/ids/worker.h"
#include "lib/base/xalloc.h"

void post_init(struct ids_worker *w)
{
	w->events.v = xcalloc(EVENT_RING, sizeof(struct ids_event));
	w->traces.v = xcalloc(TRACE_RING, sizeof(struct trace_record));
}

void post_fini(struct ids_worker *w)
{
	free(w->events.v);
	free(w->traces.v);
}

struct ids_event *post_next(struct ids_worker *w, const struct pkt *p, enum ids_kind kind, unsigned probe)
{
	struct event_ring *r = &w->events;
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == EVENT_RING) {
		bump(&r->lost);
		return NULL;
	}
	struct ids_event *e = &r->v[head % EVENT_RING];
	*e = (struct ids_event){.time_us = w->now_us, .kind = (uint8_t)kind, .proto = p->proto, .probe = (uint16_t)probe, .sport = p->sport,
		.dport = p->dport, .link = p->in_link, .len = p->len, .correlator = (w->index + 1) << 24 | (++w->correlator & 0xffffff),
		.src = p->src, .dst = p->dst};
	return e;
}

void post_commit(struct ids_worker *w)
{
	uint32_t head = atomic_load_explicit(&w->events.head, memory_order_relaxed);
	atomic_store_explicit(&w->events.head, head + 1, memory_order_release);
}

bool post_take(struct ids_worker *w, struct ids_event *ret)
{
	struct event_ring *r = &w->events;
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return false;
	*ret = r->v[tail % EVENT_RING];
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

void post_trace(struct ids_worker *w, const struct pkt *p, uint32_t correlator, unsigned probe, uint32_t size)
{
	struct trace_ring *r = &w->traces;
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == TRACE_RING) {
		bump(&r->lost);
		return;
	}
	struct trace_record *t = &r->v[head % TRACE_RING];
	t->time_us = w->now_us;
	t->correlator = correlator;
	t->probe = (uint16_t)probe;
	t->link = p->in_link;
	t->len = p->len;
	t->kept = p->len < size ? p->len : size;
	memcpy(t->data, pkt_data(p), t->kept);
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

const struct trace_record *trace_peek(struct ids_worker *w)
{
	struct trace_ring *r = &w->traces;
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	return tail == atomic_load_explicit(&r->head, memory_order_acquire) ? NULL : &r->v[tail % TRACE_RING];
}

void trace_done(struct ids_worker *w)
{
	uint32_t tail = atomic_load_explicit(&w->traces.tail, memory_order_relaxed);
	atomic_store_explicit(&w->traces.tail, tail + 1, memory_order_release);
}
