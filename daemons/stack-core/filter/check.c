/* The decision over one packet: flow cache, else defences, filters in force and the implicit deny,
 * in this order. */
#include "daemons/stack-core/ip/quote.h"
#include "daemons/stack-core/filter/set.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ipsec/sa.h"
#include "lib/base/xalloc.h"

struct filter_worker *filter_worker_new(struct filter_set *fs, uint32_t cache_entries)
{
	unsigned n = atomic_load(&fs->n_workers);
	if (n == FILTER_WORKERS_MAX)
		return NULL;
	struct filter_worker *w = xcheck(aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64));
	memset(w, 0, sizeof(*w));
	w->set = fs;
	w->flows = cache_entries ? flow_cache_new(cache_entries) : NULL;
	if (w->flows) {
		flow_cache_epochs(w->flows, fs->epochs);
		atomic_store(&w->entries, flow_cache_entries(w->flows));
	}
	w->matches = xcalloc(FILTER_SLOTS, sizeof(*w->matches));
	log_ring_init(&w->ring);
	fs->worker[n] = w;
	atomic_store(&fs->n_workers, n + 1);
	return w;
}

void filter_grow(struct filter_set *fs)
{
	for (unsigned i = 0; i < atomic_load(&fs->n_workers); i++) {
		struct filter_worker *w = fs->worker[i];
		uint32_t entries = atomic_load(&w->entries);
		uint64_t pressed = atomic_load_explicit(&w->pressed, memory_order_relaxed), more = pressed - w->pressed_before;
		w->pressed_before = pressed;
		flow_cache_free(atomic_exchange(&w->outgrown, NULL));
		if (!entries || entries >= FILTER_CACHE_MAX || more < entries / 32 || atomic_load(&w->larger))
			continue;
		struct flow_cache *c = flow_cache_new(entries * 2);
		flow_cache_epochs(c, fs->epochs);
		atomic_store_explicit(&w->larger, c, memory_order_release);
	}
}

/* The new one is empty: what the old one knew is looked up again. */
static void take_larger(struct filter_worker *w)
{
	struct flow_cache *c = atomic_exchange_explicit(&w->larger, NULL, memory_order_acquire);
	if (!c)
		return;
	w->evicted += flow_cache_evicted(w->flows);
	flow_cache_free(atomic_exchange(&w->outgrown, w->flows)); /* in practice NULL: freed by the control thread long since */
	w->flows = c;
	atomic_store(&w->entries, flow_cache_entries(c));
}

void filter_worker_now(struct filter_worker *w, uint64_t now_us)
{
	w->now_us = now_us;
	if (!w->flows)
		return;
	if (atomic_load_explicit(&w->larger, memory_order_relaxed))
		take_larger(w);
	atomic_store_explicit(&w->pressed, w->evicted + flow_cache_evicted(w->flows), memory_order_relaxed);
}

static bool excluded(const struct filter_set *fs, const struct pkt *p)
{
	const struct exclude_list *l = atomic_load_explicit(&fs->excludes, memory_order_acquire);
	for (size_t i = 0; i < l->n; i++)
		if (prefix_covers(&l->prefix[i], &p->src) || prefix_covers(&l->prefix[i], &p->dst))
			return true;
	return false;
}

/* One list in order of age, kept as two: the newest block filter, and the newest simulating one
 * above it. */
static void defences(const struct filter_worker *w, const struct pkt *p, const struct cls_key *k,
	struct found *ret)
{
	struct filter_set *fs = w->set;
	unsigned side = filter_side(p->family, p->inbound);
	unsigned mode = atomic_load_explicit(&fs->mode, memory_order_relaxed);
	if (mode == FILTER_MODE_INACTIVE || excluded(fs, p))
		return;
	struct filter_rule *block = classifier_find(&fs->block[side], k, p, w->now_us, 0);
	ret->simulated =
		classifier_find(&fs->simulate[side], k, p, w->now_us, block ? block->prio : 0);
	if (mode == FILTER_MODE_ACTIVE)
		ret->rule = block;
	else if (!ret->simulated)
		ret->simulated = block;
}

static void classify(const struct filter_worker *w, const struct pkt *p, struct found *ret)
{
	struct cls_key k;
	classifier_key(p, &k);
	defences(w, p, &k, ret);
	if (ret->rule)
		return;
	struct rule_set *s = atomic_load_explicit(&w->set->in_force, memory_order_acquire);
	unsigned side = filter_side(p->family, p->inbound);
	ret->rule = classifier_find(&s->side[side], &k, p, w->now_us, 0);
	if (!ret->rule)
		ret->rule = &s->implicit[side];
}

/* When the first of the rules expires; 0: none does. */
static uint64_t expiry(const struct found *f)
{
	uint64_t a = f->rule->spec.expires_us, b = f->simulated ? f->simulated->spec.expires_us : 0;
	return !a || (b && b < a) ? b : a;
}

void filter_look_up(struct filter_worker *w, const struct pkt *p, struct found *f, bool *ret_cached)
{
	/* Read before anything that it vouches for: a change in between makes this entry void. */
	uint64_t generation = atomic_load_explicit(&w->set->generation, memory_order_acquire);
	if (!w->flows) {
		filter_count(&w->misses);
		classify(w, p, f);
		return;
	}
	struct flow_key k;
	flow_key(p, &k);
	uint64_t hash = flow_hash(w->flows, &k);
	const struct flow_entry *e = flow_find(w->flows, &k, hash, generation, w->now_us);
	if (e) {
		filter_count(&w->hits);
		*f = (struct found){flow_rule(e), e->simulated};
		*ret_cached = true;
		return;
	}
	filter_count(&w->misses);
	/* A dynamic filter changes what was found before it changes its anchor's epoch, and this counter in between: a
	 * stale find never gets the new epoch. */
	uint64_t change = atomic_load_explicit(&w->set->dynamic_change, memory_order_acquire);
	classify(w, p, f);
	uint16_t bucket = f->rule->bucket;
	uint64_t epoch = bucket ? atomic_load_explicit(&w->set->epochs[bucket], memory_order_acquire) : 0;
	if (atomic_load_explicit(&w->set->dynamic_change, memory_order_acquire) == change)
		flow_put(w->flows, &k, hash, generation, epoch, expiry(f), f->rule, bucket, f->simulated);
}

enum { PREFETCH_FROM = 2 * FILTER_CACHE_DEFAULT, PREFETCH_CHUNK = 32 };

void filter_prefetch(const struct filter_worker *w, struct pkt *const *pkts, unsigned n)
{
	uint64_t hash[PREFETCH_CHUNK];
	struct flow_key k;
	if (!w->flows || flow_cache_entries(w->flows) < PREFETCH_FROM)
		return;
	for (unsigned at = 0; at < n; at += PREFETCH_CHUNK) {
		unsigned m = n - at < PREFETCH_CHUNK ? n - at : PREFETCH_CHUNK;
		for (unsigned i = 0; i < m; i++) {
			flow_key(pkts[at + i], &k);
			hash[i] = flow_hash(w->flows, &k);
			flow_prefetch_set(w->flows, hash[i]);
		}
		for (unsigned i = 0; i < m; i++)
			flow_prefetch_entry(w->flows, hash[i]);
	}
}

static void deny(struct pkt *p, struct filter_verdict *v, enum drop_reason why)
{
	v->action = FILTER_DENY;
	v->drop = (uint16_t)why;
	p->drop = (uint16_t)why;
}

static bool own_tunnel(const struct filter_worker *w, const struct filter_rule *anchor, const struct pkt *p)
{
	const struct filter_rule *r = p->sa_in > SADB_TUNNELS_MAX ? NULL
		: atomic_load_explicit(&w->set->of_tunnel[p->sa_in - 1], memory_order_acquire);

	for (; r; r = r->sibling)
		if (r->spec.inbound && r->spec.family == p->family && r->anchor == anchor && rule_match(r, p, w->now_us))
			return true;
	return false;
}

/* An anchor, or a filter in front of it, matched. Inbound: two tunnels may have one selector (both ends began at once), so what
 * counts is whether the packet is one that its own tunnel was negotiated for, under this rule. */
static enum filter_msg negotiated_in(
	const struct filter_worker *w, const struct filter_rule *r, struct pkt *p, struct filter_verdict *v)
{
	if (!p->sa_in || !own_tunnel(w, r->anchor ? r->anchor : r, p)) {
		deny(p, v, p->sa_in ? DROP_FILTER_TUNNEL : DROP_FILTER_CLEAR);
		return FILTER_MSG_MISMATCH;
	}
	v->action = FILTER_IPSEC;
	v->tunnel = p->sa_in - 1;
	return FILTER_MSG_PERMITTED;
}

static enum filter_msg negotiated_out(
	const struct filter_worker *w, const struct filter_rule *r, struct pkt *p, struct filter_verdict *v)
{
	uint32_t tunnel = atomic_load_explicit(&r->tunnel, memory_order_relaxed);
	struct tunnel *t = tunnel && w->set->sadb ? sadb_tunnel(w->set->sadb, tunnel - 1) : NULL;

	if (t)
		v->sa = rcu_dereference(t->out);
	if (tunnel && (v->sa || !w->set->sadb)) {
		v->action = FILTER_IPSEC;
		v->tunnel = tunnel - 1;
		return FILTER_MSG_PERMITTED;
	}
	/* Later fragments cannot say what they belong to. */
	if ((r->anchor ? r->anchor : r)->spec.on_demand && !(p->fragment && pkt_hidden(p))) {
		v->action = FILTER_HOLD;
		return 0;
	}
	deny(p, v, tunnel ? DROP_FILTER_INACTIVE : DROP_FILTER_NO_TUNNEL);
	return tunnel ? FILTER_MSG_INACTIVE : FILTER_MSG_NO_TUNNEL;
}

/* The SA of a manual tunnel. */
static enum filter_msg manual_out(const struct filter_worker *w, uint32_t tunnel, struct pkt *p, struct filter_verdict *v)
{
	struct tunnel *t = w->set->sadb ? sadb_tunnel(w->set->sadb, tunnel) : NULL;

	if (t && !atomic_load_explicit(&t->active, memory_order_relaxed)) {
		deny(p, v, DROP_FILTER_INACTIVE);
		return FILTER_MSG_INACTIVE;
	}
	if (w->set->sadb && !t) {
		deny(p, v, DROP_FILTER_NO_TUNNEL);
		return FILTER_MSG_NO_TUNNEL;
	}
	v->sa = t ? rcu_dereference(t->out) : NULL;
	return FILTER_MSG_PERMITTED;
}

/* The rule's action, with RFC 4301 section 5.2: traffic must have come the way its rule says. */
enum filter_msg filter_apply(const struct filter_worker *w, const struct filter_rule *r, struct pkt *p, struct filter_verdict *v)
{
	uint32_t tunnel =
		atomic_load_explicit(&r->tunnel, memory_order_relaxed); /* + 1, like p->sa_in */
	bool ipsec = r->spec.action == FILTER_IPSEC;
	if (r->kind == FILTER_DEFENSIVE) {
		deny(p, v, DROP_FILTER_DEFENSIVE);
		return FILTER_MSG_DEFENCE;
	}
	if (r->spec.action != FILTER_PERMIT && !ipsec) {
		deny(p, v, r->kind == FILTER_IMPLICIT ? DROP_FILTER_IMPLICIT : DROP_FILTER_DENY);
		return FILTER_MSG_DENIED;
	}
	if (r->spec.anchor || r->anchor)
		return p->inbound ? negotiated_in(w, r, p, v) : negotiated_out(w, r, p, v);
	if (ipsec && !tunnel) {
		deny(p, v, DROP_FILTER_NO_TUNNEL);
		return FILTER_MSG_NO_TUNNEL;
	}
	if (p->inbound && p->sa_in != (ipsec ? tunnel : 0)) {
		deny(p, v, p->sa_in ? DROP_FILTER_TUNNEL : DROP_FILTER_CLEAR);
		return FILTER_MSG_MISMATCH;
	}
	v->action = ipsec ? FILTER_IPSEC : FILTER_PERMIT;
	v->tunnel = ipsec ? tunnel - 1 : UINT32_MAX;
	return ipsec && !p->inbound ? manual_out(w, tunnel - 1, p, v) : FILTER_MSG_PERMITTED;
}

void filter_check(struct filter_worker *w, struct pkt *p, struct filter_verdict *ret)
{
	struct found f = {0};
	*ret = (struct filter_verdict){.action = FILTER_DENY, .tunnel = UINT32_MAX};
	filter_look_up(w, p, &f, &ret->cached);
	ret->rule = f.rule;
	ret->simulated = f.simulated;
	if (f.simulated) {
		filter_count(&w->matches[f.simulated->slot]);
		filter_count(&w->simulated);
		filter_log_packet(w, f.simulated, p, FILTER_MSG_SIMULATED);
	}
	enum filter_msg msg = filter_apply(w, f.rule, p, ret);
	if (quote_is_error(p)) {
		msg = filter_returned(w, p, &f, ret, msg);
		ret->rule = f.rule;
	}
	filter_count(&w->matches[f.rule->slot]);
	if (ret->action == FILTER_HOLD)
		return;
	filter_count(ret->action == FILTER_PERMIT  ? &w->permitted
		     : ret->action == FILTER_IPSEC ? &w->ipsec
						   : &w->denied);
	if (f.rule->log_on)
		filter_log_packet(w, f.rule, p, msg);
}

void filter_give_up(struct filter_worker *w, const struct filter_rule *r, const struct pkt *p)
{
	filter_count(&w->denied);
	if (r->log_on)
		filter_log_packet(w, (struct filter_rule *)(uintptr_t)r, p, FILTER_MSG_NO_TUNNEL);
}

void filter_worker_stats(const struct filter_worker *w, struct filter_worker_stats *ret)
{
	*ret = (struct filter_worker_stats){
		.hits = atomic_load_explicit(&w->hits, memory_order_relaxed),
		.misses = atomic_load_explicit(&w->misses, memory_order_relaxed),
		.permitted = atomic_load_explicit(&w->permitted, memory_order_relaxed),
		.denied = atomic_load_explicit(&w->denied, memory_order_relaxed),
		.ipsec = atomic_load_explicit(&w->ipsec, memory_order_relaxed),
		.simulated = atomic_load_explicit(&w->simulated, memory_order_relaxed),
		.log_lost = atomic_load_explicit(&w->ring.lost, memory_order_relaxed),
		.cache_entries = atomic_load_explicit(&w->entries, memory_order_relaxed),
	};
}
