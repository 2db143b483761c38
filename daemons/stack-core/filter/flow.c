/* See flow.h. */
#include "daemons/stack-core/filter/flow.h"
#include "daemons/stack-core/filter/filter.h"
#include "lib/base/xalloc.h"
#include <stdatomic.h>

#define UNTIL_SHIFT 17

struct flow_set {
	uint16_t tag[FLOW_WAYS]; /* 0: empty */
};

struct flow_cache {
	uint64_t mask;	/* sets - 1 */
	uint64_t epoch; /* high half of the generation: entries know only the low half */
	uint64_t base;	/* what a time in an entry counts from */
	uint32_t turn;
	const _Atomic uint64_t *epochs;
	struct hash_key key;
	struct flow_set *sets;
	struct flow_entry *entries;
};

struct flow_cache *flow_cache_new(uint32_t entries)
{
	uint64_t sets = 1;
	while (sets * FLOW_WAYS < entries)
		sets *= 2;
	struct flow_cache *c = xnew(struct flow_cache);
	c->mask = sets - 1;
	hash_key_init(&c->key);
	c->sets = xcalloc(sets, sizeof(*c->sets));
	c->entries = xcheck(aligned_alloc(64, sets * FLOW_WAYS * sizeof(*c->entries)));
	return c;
}

void flow_cache_free(struct flow_cache *c)
{
	if (!c)
		return;
	free(c->sets);
	free(c->entries);
	free(c);
}

void flow_cache_epochs(struct flow_cache *c, const _Atomic uint64_t *epochs)
{
	c->epochs = epochs;
}

/* Both only grow, so that their sum is the same only while both are; the high half of the generation voids all. */
static uint32_t stamp(const struct flow_cache *c, uint64_t generation, uintptr_t bucket)
{
	return (uint32_t)(generation + (bucket && c->epochs ? atomic_load_explicit(&c->epochs[bucket], memory_order_acquire) : 0));
}

void flow_key(const struct pkt *p, struct flow_key *ret)
{
	bool typed = ipproto_typed(p->proto);
	uint64_t a = typed ? p->icmp_type : p->sport, b = typed ? p->icmp_code : p->dport;
	uint64_t flags = (uint64_t)p->inbound | (uint64_t)p->fragment << 1 |
			 (uint64_t)p->opaque << 2 | (uint64_t)(p->scope & 3) << 3 |
			 (uint64_t)(p->family == 6) << 5;
	memcpy(&ret->w[0], p->src.b, 16);
	memcpy(&ret->w[2], p->dst.b, 16);
	ret->w[4] =
		a << 48 | b << 32 | (uint64_t)p->proto << 16 | (uint64_t)p->secclass << 8 | flags;
}

uint64_t flow_hash(const struct flow_cache *c, const struct flow_key *k)
{
	return hash_words(&c->key, k->w, HASH_WORDS);
}

static uint16_t tag_of(uint64_t hash)
{
	return (uint16_t)(hash >> 48 | 1);
}

static bool same(const struct flow_key *a, const struct flow_key *b)
{
	uint64_t d = 0;
	for (unsigned i = 0; i < HASH_WORDS; i++)
		d |= a->w[i] ^ b->w[i];
	return !d;
}

const struct flow_entry *flow_find(struct flow_cache *c, const struct flow_key *k, uint64_t hash,
	uint64_t generation, uint64_t now_us)
{
	if (!c->base || now_us < c->base ||
		c->epoch != generation >> 32) { /* first use, or the clock was set back */
		memset(c->sets, 0, (c->mask + 1) * sizeof(*c->sets));
		c->base = now_us;
		c->epoch = generation >> 32;
	}
	uint64_t at = hash & c->mask;
	const struct flow_entry *e = c->entries + at * FLOW_WAYS;
	uint16_t tag = tag_of(hash);
	for (unsigned i = 0; i < FLOW_WAYS; i++, e++) {
		if (c->sets[at].tag[i] != tag || !same(&e->key, k))
			continue;
		if (e->generation != stamp(c, generation, e->rule >> 48))
			return NULL;
		return e->until == UINT32_MAX || (now_us - c->base) >> UNTIL_SHIFT < e->until
			       ? e
			       : NULL;
	}
	return NULL;
}

/* The way for a new entry: its own old one, an empty one, one of another generation, else they take
 * turns. */
static unsigned way_for(struct flow_cache *c, uint64_t at, uint16_t tag, const struct flow_key *k,
	uint64_t generation)
{
	const struct flow_entry *e = c->entries + at * FLOW_WAYS;
	unsigned spare = FLOW_WAYS;
	for (unsigned i = 0; i < FLOW_WAYS; i++) {
		uint16_t t = c->sets[at].tag[i];
		if (t == tag && same(&e[i].key, k))
			return i;
		if (spare == FLOW_WAYS && (!t || e[i].generation != stamp(c, generation, e[i].rule >> 48)))
			spare = i;
	}
	return spare < FLOW_WAYS ? spare : c->turn++ % FLOW_WAYS;
}

void flow_put(struct flow_cache *c, const struct flow_key *k, uint64_t hash, uint64_t generation, uint64_t epoch,
	uint64_t until_us, struct filter_rule *rule, uint16_t bucket, struct filter_rule *simulated)
{
	uint64_t at = hash & c->mask;
	uint16_t tag = tag_of(hash);
	unsigned way = way_for(c, at, tag, k, generation);
	uint64_t until = (until_us - c->base) >> UNTIL_SHIFT;
	c->sets[at].tag[way] = tag;
	c->entries[at * FLOW_WAYS + way] = (struct flow_entry){.key = *k,
		.rule = (uintptr_t)rule | (uintptr_t)bucket << 48,
		.simulated = simulated,
		.generation = (uint32_t)(generation + epoch),
		.until = !until_us	      ? UINT32_MAX
			 : until < UINT32_MAX ? (uint32_t)until
					      : UINT32_MAX - 1};
}
