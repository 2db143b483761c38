/* flows: the busiest flows of a stack, estimated. Of each batch that is timed (meter.h) one packet, taken at random, stands for all
 * packets of METER_SAMPLE batches like it; no other packet pays anything. A ring takes the samples to the control thread, which keeps the
 * busiest of them: a table of fixed size in which the least busy flow gives way, so that any number of flows costs the same. */
#pragma once
#include "daemons/stack-core/pkt.h"
#include <stdatomic.h>

enum { FLOW_RING = 128, FLOWS_MAX = 256 };

struct flow_sample {
	struct addr src, dst;
	uint16_t sport, dport, link;
	uint8_t proto;
	bool ports;
	uint32_t len, weight; /* it stands for so many packets */
};

struct flow_ring {
	_Atomic uint32_t head __attribute__((aligned(64))); /* written by the worker */
	_Atomic uint32_t tail __attribute__((aligned(64))); /* by the control thread */
	uint32_t random; /* the worker's */
	struct flow_sample v[FLOW_RING];
};

/* Worker: a batch as it was received, not parsed yet. @ethernet: its packets have an ethertype. */
void flow_sample(struct flow_ring *r, struct pkt *const *pkts, unsigned n, bool ethernet);

/* Control thread. */
struct flow_row {
	struct flow_sample flow;
	double packets, bytes; /* a second, lately */
	uint64_t now_packets, now_bytes; /* in this second */
};
struct flows {
	struct flow_row v[FLOWS_MAX];
	unsigned n;
	uint64_t second_ms;
};
void flows_take(struct flows *f, struct flow_ring *r);
void flows_tick(struct flows *f, uint64_t now_ms); /* often */
/* The busiest first, at most @max; how many. */
unsigned flows_top(const struct flows *f, const struct flow_row **ret, unsigned max);
