/* flow: what a worker decided lately. One worker's, so nothing is locked; fixed in size, so a flood
 * of new flows costs misses and nothing else; set-associative with the tags of a set in one word,
 * so that a hit touches three cache lines; keyed by a random hash, so that nobody can choose which
 * flows push each other out. An entry counts only for the generation of the filters in which it was
 * made and until the first of its rules expires. Inside filter/ only. */
#pragma once
#include "daemons/stack-core/filter/hash.h"
#include "daemons/stack-core/pkt.h"

enum { FLOW_WAYS = 4 };

struct filter_rule;
struct flow_cache;

struct flow_key {
	uint64_t w[HASH_WORDS];
};

struct flow_entry {
	struct flow_key key;
	struct filter_rule *rule, *simulated;
	uint32_t generation, until; /* until: in units of 131 ms, UINT32_MAX = for ever */
};

/* @entries is rounded up to a power of two, at least FLOW_WAYS. */
struct flow_cache *flow_cache_new(uint32_t entries);
void flow_cache_free(struct flow_cache *c); /* NULL allowed */
void flow_key(const struct pkt *p, struct flow_key *ret);
uint64_t flow_hash(const struct flow_cache *c, const struct flow_key *k);
const struct flow_entry *flow_find(struct flow_cache *c, const struct flow_key *k, uint64_t hash,
	uint64_t generation, uint64_t now_us);
/* @until_us 0: for ever. */
void flow_put(struct flow_cache *c, const struct flow_key *k, uint64_t hash, uint64_t generation,
	uint64_t until_us, struct filter_rule *rule, struct filter_rule *simulated);
