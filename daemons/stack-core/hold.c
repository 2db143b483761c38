/* hold: see hold.h. A want is told once in HOLD_MS: as long as its packets may wait, and as often as ikeD may care to try. */
#include "daemons/stack-core/hold.h"
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/filter/hash.h"
#include "daemons/stack-core/worker.h"
#include "lib/base/ipproto.h"
#include "lib/base/xalloc.h"
#include <string.h>

enum { BUCKETS = 512 };

struct want {
	uint64_t key[5];
	const void *anchor; /* only compared */
	uint64_t told_ms;
	uint16_t packets, next; /* next: index + 1 in its bucket */
	bool used;
};

struct hold {
	struct pkt *first, **last;
	unsigned n, n_large;
	uint64_t untold;
	struct hash_key hash;
	struct want wants[HOLD_WANTS];
	unsigned turn; /* where the search for a free want begins */
	uint16_t bucket[BUCKETS];
	_Atomic uint32_t head __attribute__((aligned(64)));
	_Atomic uint32_t tail __attribute__((aligned(64)));
	struct hold_want ring[HOLD_RING];
};

struct hold *hold_new(void)
{
	struct hold *h = xcheck(aligned_alloc(64, (sizeof(*h) + 63) & ~(size_t)63));

	memset(h, 0, sizeof(*h));
	h->last = &h->first;
	hash_key_init(&h->hash);
	return h;
}

void hold_free(struct hold *h)
{
	free(h);
}

unsigned hold_waiting(const struct hold *h)
{
	return h->n;
}

/* What makes two packets want the same tunnel: the rule, and of the packet what the rule's start action takes from it. */
static void key_of(const struct pkt *p, const struct filter_spec *s, uint64_t k[5])
{
	uint64_t tail = 0;

	memset(k, 0, 5 * sizeof(*k));
	if (s->grain & FILTER_GRAIN_LOCAL_IP)
		memcpy(&k[0], p->src.b, 16);
	if (s->grain & FILTER_GRAIN_REMOTE_IP)
		memcpy(&k[2], p->dst.b, 16);
	if (s->grain & FILTER_GRAIN_PROTOCOL)
		tail |= (uint64_t)p->proto << 32 | UINT64_C(1) << 40;
	if (s->grain & FILTER_GRAIN_LOCAL_PORT)
		tail |= (uint64_t)p->sport << 16;
	if (s->grain & FILTER_GRAIN_REMOTE_PORT)
		tail |= p->dport;
	k[4] = tail;
}

static uint16_t *bucket_of(struct hold *h, const uint64_t k[5])
{
	return &h->bucket[hash_words(&h->hash, k, 5) % BUCKETS];
}

static bool over(const struct want *x, uint64_t now_ms)
{
	return !x->packets && now_ms >= x->told_ms + HOLD_MS;
}

static void forget(struct hold *h, struct want *x)
{
	uint16_t *at = bucket_of(h, x->key), me = (uint16_t)(x - h->wants + 1);

	while (*at != me)
		at = &h->wants[*at - 1].next;
	*at = x->next;
	x->used = false;
}

/* One that is free or over; a few are looked at, so that a full table costs little. */
static struct want *want_new(struct hold *h, uint64_t now_ms)
{
	for (unsigned i = 0; i < 16; i++) {
		struct want *x = &h->wants[h->turn++ % HOLD_WANTS];
		if (x->used && !over(x, now_ms))
			continue;
		if (x->used)
			forget(h, x);
		return x;
	}
	return NULL;
}

static struct want *want_get(struct hold *h, const struct pkt *p, const struct filter_rule *rule, uint64_t now_ms, bool *ret_tell)
{
	const struct filter_rule *anchor = filter_rule_anchor(rule) ? filter_rule_anchor(rule) : rule;
	uint64_t k[5];

	key_of(p, filter_rule_spec(anchor), k);
	uint16_t *head = bucket_of(h, k);
	for (uint16_t i = *head; i; i = h->wants[i - 1].next) {
		struct want *x = &h->wants[i - 1];
		if (x->anchor != anchor || memcmp(x->key, k, sizeof(k)))
			continue;
		*ret_tell = now_ms >= x->told_ms + HOLD_MS;
		return x;
	}
	struct want *x = want_new(h, now_ms);
	if (!x)
		return NULL;
	*x = (struct want){.anchor = anchor, .used = true, .next = *head};
	memcpy(x->key, k, sizeof(k));
	*head = (uint16_t)(x - h->wants + 1);
	*ret_tell = true;
	return x;
}

static bool tell(struct worker *w, const struct pkt *p, const struct filter_rule *rule, bool held)
{
	struct hold *h = w->hold;
	uint32_t head = atomic_load_explicit(&h->head, memory_order_relaxed);
	const struct filter_spec *s = filter_rule_spec(rule);

	if (head - atomic_load_explicit(&h->tail, memory_order_acquire) >= HOLD_RING) {
		h->untold++;
		return false;
	}
	struct hold_want *m = &h->ring[head % HOLD_RING];
	*m = (struct hold_want){.src = p->src, .dst = p->dst, .proto = p->proto, .sport = p->sport, .dport = p->dport,
		.ports = ipproto_ports(p->proto) && !pkt_hidden(p), .held = held, .suppressed = h->untold};
	memcpy(m->rule, s->name, sizeof(m->rule));
	memcpy(m->vpn, s->vpn, sizeof(m->vpn));
	h->untold = 0;
	atomic_store_explicit(&h->head, head + 1, memory_order_release);
	worker_poke(w);
	return true;
}

bool hold_take(struct hold *h, struct hold_want *ret)
{
	uint32_t tail = atomic_load_explicit(&h->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&h->head, memory_order_acquire))
		return false;
	*ret = h->ring[tail % HOLD_RING];
	atomic_store_explicit(&h->tail, tail + 1, memory_order_release);
	return true;
}

static bool append(struct hold *h, struct want *x, struct pkt *p)
{
	bool large = p->size != PKT_SMALL;

	if (x->packets >= HOLD_PACKETS_WANT || h->n >= HOLD_PACKETS || (large && h->n_large >= HOLD_LARGE))
		return false;
	p->next = NULL;
	*h->last = p;
	h->last = &p->next;
	h->n++;
	h->n_large += large;
	x->packets++;
	return true;
}

void hold_packet(struct worker *w, struct pkt *p, const struct pkt *asks, const struct filter_rule *rule)
{
	struct hold *h = w->hold;
	bool news = !p->held_ms, want_told = false;

	if (news)
		p->held_ms = w->now_ms;
	else if (w->now_ms >= p->held_ms + HOLD_MS) {
		filter_give_up(w->filter, rule, p);
		pipe_drop(w, p, DROP_FILTER_HOLD_TIME);
		return;
	}
	struct want *x = want_get(h, asks, rule, w->now_ms, &want_told);
	bool kept = x && append(h, x, p);
	if (!x)
		h->untold++;
	/* An older packet only waits; that its want has been told is long known. */
	if (x && want_told && (news || !x->told_ms) && tell(w, asks, rule, kept))
		x->told_ms = w->now_ms;
	if (!kept) {
		filter_give_up(w->filter, rule, p);
		pipe_drop(w, p, DROP_FILTER_HOLD_FULL);
		return;
	}
	count_add(&w->pass[PASS_HELD], news);
}

void hold_release(struct worker *w)
{
	struct hold *h = w->hold;
	struct pkt *list = h->first;

	h->first = NULL;
	h->last = &h->first;
	h->n = h->n_large = 0;
	for (unsigned i = 0; i < HOLD_WANTS; i++)
		h->wants[i].packets = 0;
	while (list) {
		struct pkt *p = list;
		list = p->next;
		p->next = NULL;
		p->nexthop = fib_lookup(w->fib, &p->dst);
		uint8_t kind = fib_route(w->fib, p->nexthop)->kind;
		if (kind == FIB_LINK || kind == FIB_GATEWAY)
			out_decide(w, p);
		else
			pipe_drop(w, p, DROP_IP_NO_ROUTE);
	}
}
