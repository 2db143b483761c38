/* presence: which tuples a packet need not try. Inside filter/ only.
 *
 * A counting Bloom filter of the source blocks, and one of the destination blocks, that any rule of
 * a classifier has: a packet whose source is in no block of some length skips all tuples of that
 * source length (the pruning of Srinivasan, Suri and Varghese, section 5). A few probes so replace
 * hundreds when the rules have every shape. A false "present" costs a probe and nothing else. */
#pragma once
#include "daemons/stack-core/filter/hash.h"
#include <stdatomic.h>

enum { PRESENCE_STEPS = 10, PRESENCE_SOURCE = 0, PRESENCE_DEST = 1 };

struct presence {
	uint8_t family;
	struct hash_key key;
	_Atomic uint8_t *count[2]; /* by side; one that is full stays full */
};

/* Address lengths in use, longest first. */
extern const uint8_t presence_ladder4[6], presence_ladder6[PRESENCE_STEPS];

void presence_init(struct presence *p, uint8_t family);
void presence_fini(struct presence *p);
/* @key: a node's or a packet's words, as classifier.c puts them. */
void presence_add(struct presence *p, unsigned side, const uint64_t *key, unsigned step);
void presence_remove(struct presence *p, unsigned side, const uint64_t *key, unsigned step);
/* Those of @steps (a bit each) at which a block of the packet's address may exist. */
uint32_t presence_of(const struct presence *p, unsigned side, const uint64_t *key, uint32_t steps);
