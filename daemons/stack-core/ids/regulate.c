/* regulate: traffic regulation of TCP connections and UDP queues (zos.md section 5), the workers' part.
 *
 * TCP. A port has a pool of TotalConnections. A host that holds h of them may open one more when h is less than Percentage of what is
 * still available; a host without one always may while any is free. Pools, hosts and connections are in tables that workers share without
 * locks: a connection takes its place with one compare and swap and gives it back when both ends have said FIN, when either resets, or,
 * after a minute, when this host has no socket for it (sockets.c). Two SYNs of one host at the same moment on two workers are counted one
 * after the other; the pool is exact too. A table that is full leaves a connection unregulated, and counts it.
 *
 * UDP. The control thread reads how much waits in each regulated port's sockets; here what came since is added to it. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ids/regulate.h"
#include "daemons/stack-core/ip/parse.h"

enum { CONSTRAINED = 90 };

static uint32_t now_s(const struct ids_worker *w)
{
	return (uint32_t)(w->now_ms / 1000);
}

static bool record(struct ids_worker *w, const struct pkt *p, enum ids_kind kind, bool discard, uint32_t available, uint32_t total, uint32_t percent,
	uint32_t current)
{
	atomic_int *left = &w->ids->tr->left;
	struct ids_event *e;
	if (atomic_load_explicit(left, memory_order_relaxed) <= 0 || atomic_fetch_sub_explicit(left, 1, memory_order_relaxed) <= 0)
		return false;
	if (!(e = post_next(w, p, kind, kind == IDS_EV_TR_TCP ? IDS_PROBE_TR_TCP : IDS_PROBE_TR_UDP)))
		return false;
	e->protocol = kind == IDS_EV_TR_TCP ? IDS_TCP : IDS_UDP;
	e->discarded = discard;
	e->available = available;
	e->total = total;
	e->percent = percent;
	e->current = current;
	post_commit(w);
	w->told = true;
	return true;
}

static struct pool *pool_of(struct ids_worker *w, const struct ids_rule *r, const struct pkt *p, uint32_t *ret_index)
{
	struct addr any = {0};
	const struct addr *a = r->per_instance ? &p->dst : &any;
	uint64_t tag = session_hash(w->ids, a, p->dport, a, 1) | 1;
	for (uint32_t i = 0; i < POOLS; i++) {
		uint32_t at = (uint32_t)((tag >> 8) + i) % POOLS;
		struct pool *o = &w->ids->tr->pools[at];
		uint64_t was = atomic_load_explicit(&o->tag, memory_order_acquire);
		*ret_index = at;
		if (was == tag)
			return o;
		if (was || !atomic_compare_exchange_strong(&o->tag, &was, tag)) {
			if (was == tag)
				return o;
			continue;
		}
		o->addr = *a;
		o->seen = p->dst;
		o->port = p->dport;
		return o;
	}
	return NULL;
}

/* The host's word: its own, else a free one of its bucket; NULL: none. */
static _Atomic uint64_t *host_of(struct regulation *g, uint64_t tag, uint64_t *ret_value)
{
	_Atomic uint64_t *set = &g->hosts[(tag >> 16) % (HOSTS / TR_WAYS) * TR_WAYS], *empty = NULL;
	for (unsigned i = 0; i < TR_WAYS; i++) {
		uint64_t v = atomic_load_explicit(&set[i], memory_order_relaxed);
		if ((v & 0xffff) && v >> 16 == tag >> 16) {
			*ret_value = v;
			return &set[i];
		}
		if (!(v & 0xffff))
			empty = &set[i];
	}
	*ret_value = empty ? atomic_load_explicit(empty, memory_order_relaxed) : 0;
	return empty;
}

/* One more connection of a host, if the rule allows: 1 taken, 0 refused, -1 no room. */
static int host_take(struct regulation *g, const struct ids_rule *r, uint64_t tag, uint32_t available, struct conn *c, uint32_t *ret_current)
{
	for (unsigned tries = 0; tries < 64; tries++) {
		uint64_t v;
		_Atomic uint64_t *at = host_of(g, tag, &v);
		if (!at)
			return -1;
		uint32_t n = v >> 16 == tag >> 16 ? (uint32_t)(v & 0xffff) : 0;
		*ret_current = n;
		if (n == 0xffff || (r->limit && n && (uint64_t)n * 100 >= (uint64_t)r->percentage * available))
			return 0;
		if (!atomic_compare_exchange_strong(at, &v, (tag >> 16 << 16) | (n + 1)))
			continue;
		c->host = (uint32_t)(at - g->hosts);
		c->host_tag = tag;
		return 1;
	}
	return -1;
}

static void host_give(struct regulation *g, const struct conn *c)
{
	_Atomic uint64_t *at = &g->hosts[c->host];
	uint64_t v = atomic_load_explicit(at, memory_order_relaxed);
	while ((v & 0xffff) && v >> 16 == c->host_tag >> 16 && !atomic_compare_exchange_weak(at, &v, v - 1))
		;
}

static struct conn *conn_find(struct regulation *g, uint64_t tag, struct conn **ret_empty)
{
	struct conn *set = &g->conns[(tag >> 8) % (CONNS / TR_WAYS) * TR_WAYS];
	for (unsigned i = 0; i < TR_WAYS; i++) {
		uint64_t v = atomic_load_explicit(&set[i].tag, memory_order_acquire);
		if (v == tag)
			return &set[i];
		if (!v && ret_empty)
			*ret_empty = &set[i];
	}
	return NULL;
}

void tr_release(struct regulation *g, struct conn *c)
{
	struct conn copy = *c;
	uint64_t tag = copy.tag;
	if (!tag || !atomic_compare_exchange_strong(&c->tag, &tag, 0))
		return;
	host_give(g, &copy);
	atomic_fetch_sub(&g->pools[copy.pool].used, 1);
}

static bool refuse(struct ids_worker *w, struct pkt *p, const struct ids_rule *r, struct pool *o, uint32_t used, uint32_t current, struct ids_answer *ret)
{
	uint32_t available = used < r->total ? r->total - used : 0;
	atomic_fetch_add_explicit(&o->refused, 1, memory_order_relaxed);
	record(w, p, IDS_EV_TR_TCP, r->limit, available, r->total, r->percentage, current);
	if (!r->limit)
		return true;
	*ret = (struct ids_answer){true, TCP_RST | TCP_ACK, 0, ip_get32(pkt_data(p) + p->l4_off + 4) + 1};
	p->drop = DROP_IDS_TR_TCP;
	return false;
}

static bool would_refuse(const struct ids_rule *r, uint32_t used, uint32_t current)
{
	return used >= r->total || (current && (uint64_t)current * 100 >= (uint64_t)r->percentage * (r->total - used));
}

bool tr_open(struct ids_worker *w, struct pkt *p, struct ids_answer *ret)
{
	struct regulation *g = w->ids->tr;
	const struct ids_rule *r = g ? ids_tr_rule(w->policy, IDS_TCP, &p->dst, p->dport) : NULL;
	uint64_t tag = r ? session_hash(w->ids, &p->src, p->sport, &p->dst, p->dport) | 1 : 0;
	struct conn *c = NULL, mine = {.port = p->dport};
	if (!r || ids_excluded(r, &p->src, p->sport) || conn_find(g, tag, &c))
		return true;
	struct pool *o = pool_of(w, r, p, &mine.pool);
	if (!o || !c) {
		bump(&g->untracked);
		return true;
	}
	uint32_t used = atomic_fetch_add(&o->used, 1), current = 0;
	if (r->limit && used >= r->total) {
		atomic_fetch_sub(&o->used, 1);
		return refuse(w, p, r, o, used, current, ret);
	}
	uint64_t host = session_hash(w->ids, &p->src, 2, &o->addr, p->dport) | 1;
	int took = host_take(g, r, host, r->total > used ? r->total - used : 0, &mine, &current);
	uint64_t zero = 0;
	if (took > 0 && atomic_compare_exchange_strong(&c->tag, &zero, UINT64_MAX)) {
		c->pool = mine.pool;
		c->host = mine.host;
		c->host_tag = mine.host_tag;
		c->port = mine.port;
		atomic_store_explicit(&c->fins, 0, memory_order_relaxed);
		atomic_store_explicit(&c->since_s, now_s(w), memory_order_relaxed);
		atomic_store_explicit(&c->tag, tag, memory_order_release);
		return r->limit || !would_refuse(r, used, current) ? true : refuse(w, p, r, o, used, current, ret);
	}
	if (took > 0)
		host_give(g, &mine);
	atomic_fetch_sub(&o->used, 1);
	if (!took)
		return refuse(w, p, r, o, used, current, ret);
	bump(&g->untracked);
	return true;
}

void tr_close(struct ids_worker *w, const struct addr *client, uint16_t cport, const struct addr *server, uint16_t port, uint8_t flags, bool by_client)
{
	struct regulation *g = w->ids->tr;
	struct conn *c = g ? conn_find(g, session_hash(w->ids, client, cport, server, port) | 1, NULL) : NULL;
	if (!c)
		return;
	uint32_t bit = by_client ? 1 : 2, had = flags & TCP_FIN ? atomic_fetch_or(&c->fins, bit) | bit : 0;
	if ((flags & TCP_RST) || had == 3)
		tr_release(g, c);
}

bool tr_datagram(struct ids_worker *w, struct pkt *p)
{
	struct regulation *g = w->ids->tr;
	uint8_t slot = g ? atomic_load_explicit(&g->slot[p->dport], memory_order_relaxed) : 0;
	if (!slot)
		return true;
	struct queue *q = &g->queues[slot - 1];
	uint32_t n = atomic_load_explicit(&q->queued, memory_order_relaxed) + atomic_fetch_add_explicit(&q->since, 1, memory_order_relaxed);
	uint32_t limit = atomic_load_explicit(&q->limit, memory_order_relaxed);
	if ((uint64_t)n * 100 < (uint64_t)limit * CONSTRAINED)
		return true;
	bool discard = atomic_load_explicit(&q->discards, memory_order_relaxed);
	bool first = !atomic_exchange_explicit(&q->over, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&q->refused, 1, memory_order_relaxed);
	if (first)
		record(w, p, IDS_EV_TR_UDP, discard, n < limit ? limit - n : 0, limit, CONSTRAINED, n);
	if (!discard)
		return true;
	atomic_fetch_sub_explicit(&q->since, 1, memory_order_relaxed);
	p->drop = DROP_IDS_TR_UDP;
	return false;
}

const struct ids_rule *tr_rule_of(const struct ids_policy *p, const struct pool *o)
{
	return p ? ids_tr_rule(p, IDS_TCP, o->addr.family ? &o->addr : &o->seen, o->port) : NULL;
}
