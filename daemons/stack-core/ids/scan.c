/* scan: who probes how much (zos.md section 5). Control thread only.
 *
 * A bounded table of sources, eight to a bucket that a keyed hash chooses, so that no stranger can fill one at will. Of each source the
 * last 64 distinct probes (destination and port) are kept exactly with their times: thresholds go no higher. Beyond 64 a bitmap of 512
 * (linear counting) estimates how many there were. When a bucket is full, the source with the fewest probes goes, the oldest of those
 * first, and is counted as forgotten.
 *
 * What is lost under a flood of spoofed sources, each with one probe: a real scanner's first probe may be forgotten before its second
 * (at a million sources a minute after about a second); from two probes on it outlives all of them. So fast scans are found as ever, and
 * slow ones only once the flood ends. */
#include "daemons/stack-core/ids/worker.h"
#include "lib/base/xalloc.h"
#include <math.h>

enum { BUCKETS = 2048, WAYS = 8, EXACT = 64, SKETCH = 512 };

struct probe {
	uint32_t hash, s;
};
struct source {
	struct addr addr; /* family 0: free */
	uint32_t last_s, reported_s, sketch_s;
	uint32_t n;
	struct probe v[EXACT];
	uint64_t sketch[SKETCH / 64];
};
struct scan_table {
	struct source v[BUCKETS][WAYS];
	uint64_t evicted;
	uint32_t used;
};

struct scan_table *scan_new(void)
{
	return xnew(struct scan_table);
}

void scan_free(struct scan_table *t)
{
	free(t);
}

uint64_t scan_evicted(const struct scan_table *t, uint32_t *ret_sources)
{
	*ret_sources = t->used;
	return t->evicted;
}

static uint32_t within(const struct source *x, uint32_t now_s, uint32_t minutes)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < x->n; i++)
		n += now_s - x->v[i].s < minutes * 60;
	return n;
}

static struct source *source_of(struct ids *ids, const struct addr *a)
{
	struct scan_table *t = ids->scan;
	struct source *set = t->v[session_hash(ids, a, 0, a, 0) % BUCKETS], *worst = set;
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].addr.family && addr_equal(&set[i].addr, a))
			return &set[i];
		if (!worst->addr.family)
			continue;
		if (!set[i].addr.family || set[i].n < worst->n || (set[i].n == worst->n && set[i].last_s < worst->last_s))
			worst = &set[i];
	}
	t->evicted += worst->addr.family != 0;
	t->used += worst->addr.family == 0;
	memset(worst, 0, sizeof(*worst));
	worst->addr = *a;
	return worst;
}

static void remember(struct source *x, uint32_t hash, uint32_t now_s)
{
	struct probe *oldest = x->v;
	for (uint32_t i = 0; i < x->n; i++) {
		if (x->v[i].hash == hash) {
			x->v[i].s = now_s;
			return;
		}
		if (x->v[i].s < oldest->s)
			oldest = &x->v[i];
	}
	if (x->n < EXACT)
		oldest = &x->v[x->n++];
	*oldest = (struct probe){hash, now_s};
}

/* Linear counting: with z of m bits still zero there were about m * ln(m / z) distinct ones. */
static uint32_t estimate(const struct source *x)
{
	unsigned ones = 0;
	for (unsigned i = 0; i < SKETCH / 64; i++)
		ones += (unsigned)__builtin_popcountll(x->sketch[i]);
	return ones >= SKETCH - 1 ? 3200 : (uint32_t)(SKETCH * log((double)SKETCH / (SKETCH - ones)) + 0.5);
}

static void sketch(struct source *x, uint32_t hash, uint32_t now_s, uint32_t minutes)
{
	if (now_s - x->sketch_s >= minutes * 60) {
		memset(x->sketch, 0, sizeof(x->sketch));
		x->sketch_s = now_s;
		for (uint32_t i = 0; i < x->n; i++)
			if (now_s - x->v[i].s < minutes * 60)
				x->sketch[x->v[i].hash % SKETCH / 64] |= 1ull << x->v[i].hash % 64;
	}
	x->sketch[hash % SKETCH / 64] |= 1ull << hash % 64;
}

static uint32_t shown(const struct source *x, uint32_t exact)
{
	uint32_t about = exact < EXACT ? 0 : estimate(x);
	return about > exact ? about : exact;
}

/* The keyed hash of neighbouring ports goes in even steps; linear counting wants them scattered. */
static uint32_t mixed(uint64_t h)
{
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdull;
	return (uint32_t)(h >> 32);
}

bool scan_add(struct ids *ids, const struct ids_event *e, uint32_t now_s, struct scan_found *ret)
{
	const struct ids_policy *p = ids->policy;
	const struct ids_rule *g = p ? p->scan : NULL, *r = g ? ids_scan_rule(p, (enum ids_protocol)e->protocol, &e->dst, e->dport) : NULL;
	if (!r || !r->count || !ids_sensitive(r->sensitivity, (enum ids_class)e->what) || ids_excluded(r, &e->src, e->sport) ||
		ids_excluded(g, &e->src, e->sport))
		return false;
	ids->scan_events++;
	struct source *x = source_of(ids, &e->src);
	uint32_t hash = mixed(session_hash(ids, &e->dst, e->dport, &e->src, e->protocol));
	x->last_s = now_s;
	remember(x, hash, now_s);
	sketch(x, hash, now_s, g->slow_min);
	uint32_t fast = within(x, now_s, g->fast_min), slow = within(x, now_s, g->slow_min);
	if ((fast < g->fast_threshold && slow < g->slow_threshold) || (x->reported_s && now_s - x->reported_s < g->fast_min * 60))
		return false;
	x->reported_s = now_s ? now_s : 1;
	*ret = (struct scan_found){shown(x, fast), shown(x, slow), fast >= g->fast_threshold};
	*(ret->is_fast ? &ids->scans_fast : &ids->scans_slow) += 1;
	return true;
}

static int busiest(const void *a, const void *b)
{
	const struct ids_scanner *x = a, *y = b;
	return x->slow == y->slow ? 0 : x->slow < y->slow ? 1 : -1;
}

unsigned ids_scanners(const struct ids *ids, uint64_t now_ms, struct ids_scanner *ret, unsigned max)
{
	const struct ids_rule *g = ids->policy ? ids->policy->scan : NULL;
	const struct scan_table *t = ids->scan;
	struct ids_scanner *all = xcalloc(t->used, sizeof(*all));
	uint32_t n = 0, now_s = (uint32_t)(now_ms / 1000);
	for (unsigned b = 0; g && b < BUCKETS; b++)
		for (unsigned i = 0; i < WAYS; i++) {
			const struct source *x = &t->v[b][i];
			uint32_t slow = x->addr.family ? within(x, now_s, g->slow_min) : 0;
			if (slow && n < t->used)
				all[n++] = (struct ids_scanner){x->addr, shown(x, within(x, now_s, g->fast_min)), shown(x, slow), x->reported_s != 0};
		}
	qsort(all, n, sizeof(*all), busiest);
	n = n < max ? n : max;
	memcpy(ret, all, n * sizeof(*all));
	free(all);
	return n;
}
