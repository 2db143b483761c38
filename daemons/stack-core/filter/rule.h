/* rule: a simple filter as the classifier and the counters know it. Inside filter/ only. */
#pragma once
#include "daemons/stack-core/filter/filter.h"
#include <stdatomic.h>
#include <urcu/urcu-qsbr.h>

struct classifier;
struct cls_node;

struct filter_rule {
	uint64_t prio;		 /* larger wins; never 0 */
	uint32_t slot;		 /* of its counter in each worker */
	uint8_t kind;		 /* enum filter_kind */
	bool log_on;		 /* spec.log and what the whole source says */
	bool needs_l4;		 /* limits ports, type or code: cannot match an opaque packet */
	uint16_t bucket;	 /* anchors and dynamic filters: of their change counter (set.h) */
	_Atomic uint32_t tunnel; /* index + 1, 0: none */
	struct filter_spec spec;
	const struct filter_rule *anchor; /* of a dynamic filter: has to match too */
	struct filter_rule *sibling;	  /* dynamic: the next one of the same tunnel */
	/* log limit (GCRA): when the bucket is full again; messages held back since the last report
	 */
	_Atomic uint64_t tat_us, suppressed;
	/* control thread */
	uint64_t base; /* counters' sum when the slot was taken */
	uint32_t heap_at;
	struct cls_node *nodes;
	struct filter_rule *newer, *older; /* defences in order of age */
	struct filter_rule *first;	   /* anchor: the newest dynamic filter in front of it */
	struct filter_rule *next, **at;	   /* dynamic: in that list, and what points to it */
	struct classifier *in;		   /* dynamic */
	uint32_t turn;			   /* anchor: how many were ever in front */
	bool natt;
	struct filter_set *set;
	struct rcu_head rcu;
};

void rule_init(
	struct filter_rule *r, const struct filter_spec *s, enum filter_kind kind, uint64_t prio);
/* The fields that the classifier's key does not settle. */
bool rule_match(const struct filter_rule *r, const struct pkt *p, uint64_t now_us);
bool rule_expired(const struct filter_rule *r, uint64_t now_us);
/* The two numbers behind the protocol: ports, or type and code; 0 when the packet does not show
 * them. */
static inline void rule_packet_l4(const struct pkt *p, uint16_t *a, uint16_t *b)
{
	bool typed = ipproto_typed(p->proto);
	*a = pkt_hidden(p) ? 0 : typed ? p->icmp_type : p->sport;
	*b = pkt_hidden(p) ? 0 : typed ? p->icmp_code : p->dport;
}
