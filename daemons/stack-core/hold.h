/* hold: outbound packets that hit an anchor whose tunnel is not there yet. A worker keeps a few of them for a short time
 * and tells the control thread, once for each rule and kind of traffic, that a tunnel is wanted; when one comes
 * ready, the packets are decided anew. Everything is bounded: how many wait in all, for one want, how long, and how many wants are
 * known. Strangers' addresses index it, so it is hashed with a random key. */
#pragma once
#include "daemons/stack-core/filter/filter.h"
#include "daemons/stack-core/pkt.h"

enum { HOLD_PACKETS = 256, HOLD_PACKETS_WANT = 4, HOLD_LARGE = 8, HOLD_WANTS = 512, HOLD_MS = 5000, HOLD_RING = 128 };

struct worker;

/* For the control thread: a packet wants a tunnel. */
struct hold_want {
	char rule[FILTER_NAME_MAX], vpn[FILTER_NAME_MAX];
	struct addr src, dst;
	uint8_t proto;
	uint16_t sport, dport;
	bool ports; /* the packet shows them */
	bool held;
	uint64_t suppressed; /* packets of earlier wants that nobody was told of */
};

struct hold;
struct hold *hold_new(void);
void hold_free(struct hold *h); /* packets belong to the pool */
/* Takes @p. @rule is the anchor, or the dynamic filter whose tunnel is not ready; @asks what its tunnel would carry: @p, or what a first
 * tunnel makes of it. */
void hold_packet(struct worker *w, struct pkt *p, const struct pkt *asks, const struct filter_rule *rule);
/* Decides all that wait anew. */
void hold_release(struct worker *w);
unsigned hold_waiting(const struct hold *h);
bool hold_take(struct hold *h, struct hold_want *ret); /* control thread */
