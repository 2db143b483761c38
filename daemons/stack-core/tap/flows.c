#include "daemons/stack-core/tap/flows.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/link/link.h"
#include "daemons/stack-core/tap/meter.h"
#include "lib/base/ipproto.h"
#include <stdlib.h>
#include <string.h>

/* A second that passes counts so much; flows slower than QUIET packets a second are forgotten. */
static const double NEWEST = 0.5, QUIET = 0.05;

static uint32_t draw(struct flow_ring *r)
{
	r->random = r->random * 1664525u + 1013904223u;
	return r->random >> 16;
}

void flow_sample(struct flow_ring *r, struct pkt *const *pkts, unsigned n, bool ethernet)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	struct pkt p = *pkts[draw(r) % n];

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == FLOW_RING)
		return;
	if (p.drop || (ethernet && p.ethertype != ETHER_IP4 && p.ethertype != ETHER_IP6) || !ip_parse(&p))
		return;
	r->v[head % FLOW_RING] = (struct flow_sample){p.src, p.dst, p.sport, p.dport, p.in_link, p.proto, !p.opaque && ipproto_ports(p.proto),
		p.len, n * METER_SAMPLE};
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

static bool same(const struct flow_sample *a, const struct flow_sample *b)
{
	return a->sport == b->sport && a->dport == b->dport && a->proto == b->proto && a->link == b->link && addr_equal(&a->src, &b->src) &&
		addr_equal(&a->dst, &b->dst);
}

/* The flow's row; a new flow takes the place of the least busy one when there is no other. */
static struct flow_row *row_of(struct flows *f, const struct flow_sample *s)
{
	struct flow_row *least = NULL;

	for (unsigned i = 0; i < f->n; i++) {
		struct flow_row *r = &f->v[i];
		if (same(&r->flow, s))
			return r;
		if (!least || r->packets + (double)r->now_packets < least->packets + (double)least->now_packets)
			least = r;
	}
	if (f->n < FLOWS_MAX)
		least = &f->v[f->n++];
	*least = (struct flow_row){.flow = *s};
	return least;
}

void flows_take(struct flows *f, struct flow_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed), head = atomic_load_explicit(&r->head, memory_order_acquire);

	for (; tail != head; tail++) {
		const struct flow_sample *s = &r->v[tail % FLOW_RING];
		struct flow_row *row = row_of(f, s);
		row->now_packets += s->weight;
		row->now_bytes += (uint64_t)s->weight * s->len;
	}
	atomic_store_explicit(&r->tail, tail, memory_order_release);
}

void flows_tick(struct flows *f, uint64_t now_ms)
{
	double seconds = (double)(now_ms - f->second_ms) / 1000;

	if (seconds < 1)
		return;
	for (unsigned i = 0; i < f->n;) {
		struct flow_row *r = &f->v[i];
		r->packets += NEWEST * ((double)r->now_packets / seconds - r->packets);
		r->bytes += NEWEST * ((double)r->now_bytes / seconds - r->bytes);
		r->now_packets = r->now_bytes = 0;
		if (r->packets < QUIET)
			*r = f->v[--f->n];
		else
			i++;
	}
	f->second_ms = now_ms;
}

static int busier(const void *a, const void *b)
{
	const struct flow_row *x = *(const struct flow_row *const *)a, *y = *(const struct flow_row *const *)b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes) : 0;
}

unsigned flows_top(const struct flows *f, const struct flow_row **ret, unsigned max)
{
	const struct flow_row *all[FLOWS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < f->n; i++)
		if (f->v[i].packets > 0)
			all[n++] = &f->v[i];
	qsort(all, n, sizeof(all[0]), busier);
	n = n < max ? n : max;
	memcpy(ret, all, n * sizeof(all[0]));
	return n;
}
