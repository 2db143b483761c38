/* set: all filters of a stack. Inside filter/ only. */
#pragma once
#include "daemons/stack-core/filter/classifier.h"
#include "daemons/stack-core/filter/flow.h"
#include "daemons/stack-core/filter/ring.h"
#include <pthread.h>

enum { FILTER_SIDES = 4, FILTER_SLOTS = 1 << 20 };

static inline unsigned filter_side(uint8_t family, bool inbound)
{
	return (family == 6 ? 2u : 0u) + (inbound ? 1u : 0u);
}

/* The filters of one source; immutable but for counters and tunnels. */
struct rule_set {
	struct classifier side[FILTER_SIDES];
	struct filter_rule *rules;
	size_t n;
	struct filter_rule **anchors; /* by name, then in order of search */
	size_t n_anchors;
	struct filter_rule implicit[FILTER_SIDES];
	bool loaded, predecap, nests, logging;
	struct filter_set *set;
	struct rcu_head rcu;
};

struct exclude_list {
	size_t n;
	struct prefix prefix[FILTER_EXCLUDES_MAX];
	struct rcu_head rcu;
};

/* Dynamic filters come and go thousands of times a second, and void only what is known about their anchor: an
 * anchor has one of these counters, and a flow cache's entry counts for one value of it. */
enum { FILTER_BUCKETS = 65536 }; /* 0: of rules that are no anchors; never changes */

struct filter_set {
	/* read by workers */
	_Atomic uint64_t generation; /* changes after every change: what a flow cache knows from
					before is void */
	_Atomic(struct rule_set *) in_force;
	_Atomic(struct exclude_list *) excludes;
	atomic_uint mode;
	atomic_bool trusts_icmp4, trusts_icmp6; /* filter_set_returned, the other way round */
	_Atomic uint64_t *epochs;	 /* by bucket */
	_Atomic uint64_t dynamic_change; /* counts them all, before the epoch does */
	_Atomic(struct filter_rule *) *of_tunnel; /* dynamic filters by index of their tunnel */
	struct sadb *sadb;
	struct classifier block[FILTER_SIDES], simulate[FILTER_SIDES];
	/* control thread */
	struct rule_set *source[2];
	enum filter_source want;
	struct filter_dynamic *dynamics;
	unsigned n_unready;
	uint16_t last_bucket;
	struct filter_rule *newest, *oldest; /* defences */
	uint32_t n_defences;
	uint64_t last_prio;
	void *by_id;		   /* tsearch tree of defences */
	struct filter_rule **heap; /* those that expire, the next one first */
	uint32_t n_heap, heap_size;
	struct filter_worker *worker[FILTER_WORKERS_MAX];
	_Atomic unsigned n_workers;
	uint64_t report_us;	    /* when the five-minute interval ends */
	struct filter_log *pending; /* reports of defences that went */
	size_t n_pending;
	/* counter slots, given back by RCU callbacks */
	pthread_mutex_t slot_lock;
	uint32_t *free_slots, n_free, next_slot;
};

struct filter_worker {
	struct filter_set *set;
	uint64_t now_us;
	struct flow_cache *flows;
	_Atomic(struct flow_cache *) larger; /* from the control thread: takes the place of flows */
	_Atomic(struct flow_cache *) outgrown; /* back to it */
	_Atomic uint32_t entries; /* of flows */
	uint64_t evicted;	  /* of those it had before */
	_Atomic uint64_t pressed; /* evicted of all */
	uint64_t pressed_before;  /* control thread: when it last looked */
	_Atomic uint64_t *matches; /* by slot */
	_Atomic uint64_t hits, misses, permitted, denied, ipsec, simulated;
	struct log_ring ring;
};

/* Single writer: no locked instruction. */
static inline void filter_count(_Atomic uint64_t *c)
{
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + 1, memory_order_relaxed);
}

struct found {
	struct filter_rule *rule, *simulated;
};

/* check.c: which rule a packet meets, and what the rule says of it. */
void filter_look_up(struct filter_worker *w, const struct pkt *p, struct found *f, bool *ret_cached);
enum filter_msg filter_apply(const struct filter_worker *w, const struct filter_rule *r, struct pkt *p, struct filter_verdict *v);
/* returned.c: @p is an ICMP error about which its rule says @msg and @v: what the packet in it says. */
enum filter_msg filter_returned(struct filter_worker *w, struct pkt *p, struct found *f, struct filter_verdict *v, enum filter_msg msg);

void filter_changed(struct filter_set *fs); /* bumps the generation */
void filter_slot_take(struct filter_set *fs, struct filter_rule *r);
void filter_slot_give(struct filter_set *fs, uint32_t slot); /* any thread, after a grace period */
void filter_defences_fini(struct filter_set *fs);
/* anchor.c: the anchors of a new rule set; its dynamic filters, before it is in force; those of the old one, after. */
void filter_anchors_init(struct filter_set *fs, struct rule_set *s);
struct filter_rule *filter_dynamics_place(struct filter_set *fs, struct rule_set *s);
void filter_dynamics_bury(struct filter_set *fs, struct filter_rule *old);
void filter_dynamics_fini(struct filter_set *fs);
/* Keeps a report about what @r held back, if it did; for a defence that goes. */
void filter_log_pending(struct filter_set *fs, struct filter_rule *r, uint64_t now_us);
/* Log a packet on behalf of @r, if it may. */
void filter_log_packet(
	struct filter_worker *w, struct filter_rule *r, const struct pkt *p, enum filter_msg msg);
