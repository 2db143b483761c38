/* classifier: the most important rule that a packet matches, by tuple space search (Srinivasan,
 * Suri, Varghese 1999). Inside filter/ only.
 *
 * Rules of one shape, say "source /32, protocol exact, destination port exact", share a tuple: a
 * mask and one hash table keyed by the masked packet. A lookup probes each tuple once, whatever the
 * number of rules in it; a tuple whose best rule cannot beat what was found already is skipped. So
 * that a set of many shapes stays quick, shapes are few: address lengths are rounded down to a
 * ladder, a range is given the longest step of the ladder at which it covers at most 4 blocks, a
 * port range counts as "one port", "one high byte" or "any". What the key does not settle is
 * compared in the rule itself. From 8 tuples on, those whose address lengths the packet cannot
 * match are left out before they are probed (presence.h).
 *
 * What remains linear: rules that differ in nothing but wide port ranges share one key, and are
 * compared one after the other. */
#pragma once
#include "daemons/stack-core/filter/presence.h"
#include "daemons/stack-core/filter/rule.h"
#include "daemons/stack-core/filter/table.h"

struct cls_tuple;

struct cls_list {
	struct rcu_head rcu;
	unsigned n;
	uint32_t src_steps, dst_steps; /* address lengths of its tuples, a bit each */
	struct cls_place {
		struct cls_tuple *tuple;
		uint8_t src, dst; /* steps of its mask */
	} at[];
};

struct classifier {
	unsigned words; /* of a key: 2 for IPv4, 5 for IPv6 */
	struct hash_key key;
	struct presence presence;
	_Atomic(struct cls_list *) list;
};

struct cls_key {
	uint64_t w[HASH_WORDS];
};

void classifier_init(struct classifier *c, uint8_t family);
void classifier_fini(struct classifier *c); /* no reader is left; rules live on */
void classifier_add(struct classifier *c, struct filter_rule *r);
void classifier_remove(struct classifier *c,
	struct filter_rule *r); /* @r itself is freed by the caller after a grace period */
void classifier_key(const struct pkt *p, struct cls_key *ret);
/* Only rules more important than @floor count. */
struct filter_rule *classifier_find(const struct classifier *c, const struct cls_key *k,
	const struct pkt *p, uint64_t now_us, uint64_t floor);
unsigned classifier_tuples(const struct classifier *c);
