/* See flow.h. */
#include "daemons/stack-core/filter/flow.h"
#include "daemons/stack-core/filter/filter.h"
#include "lib/base/xalloc.h"
#include <stdatomic.h>
#include <string.h>

#define UNTIL_SHIFT 17

enum { INBOUND = 1, FLAGS = 0xffff }; /* in the last word of a key */

/* A way's tag is 0 while it is empty; its bit in used says that it was hit since the hand passed. */
struct flow_set {
	uint16_t tag[FLOW_WAYS];
	uint8_t used, hand;
} __attribute__((aligned(32)));

struct flow_cache {
	uint64_t mask;	/* sets - 1 */
	uint64_t epoch; /* high half of the generation: entries know only the low half */
	uint64_t base;	/* what a time in an entry counts from */
	_Atomic uint64_t evicted;
	const _Atomic uint64_t *epochs;
	struct hash_key key;
	struct flow_set *sets;
	struct flow_entry *entries;
};

struct flow_cache *flow_cache_new(uint32_t entries)
{
	uint64_t sets = 2;
	while (sets * FLOW_WAYS < entries)
		sets *= 2;
	struct flow_cache *c = xnew(struct flow_cache);
	c->mask = sets - 1;
	hash_key_init(&c->key);
	c->sets = xcheck(aligned_alloc(64, sets * sizeof(*c->sets)));
	memset(c->sets, 0, sets * sizeof(*c->sets));
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

uint32_t flow_cache_entries(const struct flow_cache *c)
{
	return (uint32_t)((c->mask + 1) * FLOW_WAYS);
}

uint64_t flow_cache_evicted(const struct flow_cache *c)
{
	return atomic_load_explicit(&c->evicted, memory_order_relaxed);
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
			 (uint64_t)pkt_hidden(p) << 2 | (uint64_t)(p->scope & 3) << 3 |
			 (uint64_t)(p->family == 6) << 5;
	memcpy(&ret->w[0], p->src.b, 16);
	memcpy(&ret->w[2], p->dst.b, 16);
	ret->w[4] =
		a << 48 | b << 32 | (uint64_t)p->proto << 16 | (uint64_t)p->secclass << 8 | flags;
}

uint64_t flow_hash(const struct flow_cache *c, const struct flow_key *k)
{
	const uint64_t w[HASH_WORDS] = {k->w[0], k->w[1], k->w[2], k->w[3], k->w[4] & ~(uint64_t)FLAGS};
	return hash_words(&c->key, w, HASH_WORDS);
}

static uint64_t set_at(const struct flow_cache *c, const struct flow_key *k, uint64_t hash)
{
	return (hash ^ (k->w[4] & INBOUND)) & c->mask;
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

void flow_prefetch_set(const struct flow_cache *c, uint64_t hash)
{
	__builtin_prefetch(&c->sets[hash & c->mask], 1);
}

void flow_prefetch_entry(const struct flow_cache *c, uint64_t hash)
{
	uint16_t tag = tag_of(hash);
	for (unsigned side = 0; side < 2; side++) {
		uint64_t at = (hash ^ side) & c->mask;
		for (unsigned way = 0; way < FLOW_WAYS; way++)
			if (c->sets[at].tag[way] == tag)
				__builtin_prefetch(&c->entries[at * FLOW_WAYS + way]);
	}
}

const struct flow_entry *flow_find(struct flow_cache *c, const struct flow_key *k, uint64_t hash,
	uint64_t generation, uint64_t now_us)
{
	if (!c->base) {
		c->base = now_us;
		c->epoch = generation >> 32;
	}
	if (now_us < c->base || c->epoch != generation >> 32) { /* the clock was set back */
		memset(c->sets, 0, (c->mask + 1) * sizeof(*c->sets));
		c->base = now_us;
		c->epoch = generation >> 32;
	}
	uint64_t at = set_at(c, k, hash);
	struct flow_set *set = &c->sets[at];
	const struct flow_entry *e = c->entries + at * FLOW_WAYS;
	uint16_t tag = tag_of(hash);
	for (unsigned way = 0; way < FLOW_WAYS; way++, e++) {
		if (set->tag[way] != tag || !same(&e->key, k))
			continue;
		if (e->generation != stamp(c, generation, e->rule >> 48))
			return NULL;
		if (!(set->used >> way & 1))
			set->used |= (uint8_t)(1u << way);
		return e->until == UINT32_MAX || (now_us - c->base) >> UNTIL_SHIFT < e->until
			       ? e
			       : NULL;
	}
	return NULL;
}

/* A way of a full set whose entries all count: the first from the hand on that was not used since the hand passed it. */
static unsigned push_out(struct flow_cache *c, struct flow_set *s)
{
	atomic_store_explicit(&c->evicted, atomic_load_explicit(&c->evicted, memory_order_relaxed) + 1, memory_order_relaxed);
	while (s->used >> s->hand & 1) {
		s->used &= (uint8_t)~(1u << s->hand);
		s->hand = (uint8_t)((s->hand + 1) % FLOW_WAYS);
	}
	unsigned way = s->hand;
	s->hand = (uint8_t)((way + 1) % FLOW_WAYS);
	return way;
}

/* The way for a new entry: its own old one, an empty one, one of another generation, else one that is pushed out. */
static unsigned way_for(struct flow_cache *c, uint64_t at, uint16_t tag, const struct flow_key *k,
	uint64_t generation)
{
	const struct flow_entry *e = c->entries + at * FLOW_WAYS;
	struct flow_set *s = &c->sets[at];
	for (unsigned i = 0; i < FLOW_WAYS; i++)
		if (s->tag[i] == tag && same(&e[i].key, k))
			return i;
	for (unsigned i = 0; i < FLOW_WAYS; i++)
		if (!s->tag[i] || e[i].generation != stamp(c, generation, e[i].rule >> 48))
			return i;
	return push_out(c, s);
}

void flow_put(struct flow_cache *c, const struct flow_key *k, uint64_t hash, uint64_t generation, uint64_t epoch,
	uint64_t until_us, struct filter_rule *rule, uint16_t bucket, struct filter_rule *simulated)
{
	uint64_t at = set_at(c, k, hash);
	uint16_t tag = tag_of(hash);
	unsigned way = way_for(c, at, tag, k, generation);
	uint64_t until = (until_us - c->base) >> UNTIL_SHIFT;
	c->sets[at].tag[way] = tag;
	c->sets[at].used &= (uint8_t)~(1u << way);
	c->entries[at * FLOW_WAYS + way] = (struct flow_entry){.key = *k,
		.rule = (uintptr_t)rule | (uintptr_t)bucket << 48,
		.simulated = simulated,
		.generation = (uint32_t)(generation + epoch),
		.until = !until_us	      ? UINT32_MAX
			 : until < UINT32_MAX ? (uint32_t)until
					      : UINT32_MAX - 1};
}
