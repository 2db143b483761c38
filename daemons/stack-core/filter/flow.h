/* flow: what a worker decided lately. One worker's, so nothing is locked; bounded in size, so a flood of new flows costs misses and
 * nothing else; set-associative with the tags of a set in one cache line, so that a hit touches three lines however many flows
 * there are; keyed by a random hash, so that nobody can choose which flows push each other out. Who is pushed out of a full set is one
 * that was not used since the last time around (a clock in each set): flows that live outlast a flood of flows of one packet.
 * An entry counts only for the generation of the filters in which it was made (and of the dynamic filters in front of its rule,
 * set.h) and until the first of its rules expires. Inside filter/ only. */
#pragma once
#include "daemons/stack-core/filter/hash.h"
#include "daemons/stack-core/pkt.h"
#include <stdatomic.h>

enum { FLOW_WAYS = 8 };

struct filter_rule;
struct flow_cache;

struct flow_key {
	uint64_t w[HASH_WORDS];
};

struct flow_entry {
	struct flow_key key;
	uintptr_t rule; /* 48 bits of address below 16 bits of its bucket */
	struct filter_rule *simulated;
	uint32_t generation, until; /* until: in units of 131 ms, UINT32_MAX = for ever */
};

/* @entries is rounded up to a power of two, at least FLOW_WAYS. */
struct flow_cache *flow_cache_new(uint32_t entries);
void flow_cache_free(struct flow_cache *c); /* NULL allowed */
uint32_t flow_cache_entries(const struct flow_cache *c);
/* How many entries that still counted were pushed out: flows that the cache was too small for. Any thread. */
uint64_t flow_cache_evicted(const struct flow_cache *c);
void flow_key(const struct pkt *p, struct flow_key *ret);
/* Of the addresses, ports and protocol: both directions of the filters' look at one packet are in one cache line of sets. */
uint64_t flow_hash(const struct flow_cache *c, const struct flow_key *k);
/* Begins to bring what flow_find will read of a large cache: the set first, and when that may be there, the entry. */
void flow_prefetch_set(const struct flow_cache *c, uint64_t hash);
void flow_prefetch_entry(const struct flow_cache *c, uint64_t hash);
const struct flow_entry *flow_find(struct flow_cache *c, const struct flow_key *k, uint64_t hash,
	uint64_t generation, uint64_t now_us);
static inline struct filter_rule *flow_rule(const struct flow_entry *e)
{
	return (struct filter_rule *)(e->rule << 16 >> 16);
}
/* Counters by bucket: an entry counts for one value of its rule's. Before the first use; without, none change. */
void flow_cache_epochs(struct flow_cache *c, const _Atomic uint64_t *epochs);
/* @until_us 0: for ever; @epoch: of @bucket, read after the rule was found. */
void flow_put(struct flow_cache *c, const struct flow_key *k, uint64_t hash, uint64_t generation, uint64_t epoch,
	uint64_t until_us, struct filter_rule *rule, uint16_t bucket, struct filter_rule *simulated);
