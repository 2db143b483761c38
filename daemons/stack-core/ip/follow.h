/* follow: fragments of packets that pass through are decided like their first one (RFC 4301 sections 7.3 and 7.4: stateful
 * fragment checking). Only the first shows ports, or type and code; a later one would match other rules, and might leave in clear what has to be
 * protected, or pass where the packet may not. So ports of the first are kept for a while and told to those that follow;
 * what comes before its first waits for it.
 *
 * What strangers can make us keep is bounded: FOLLOW_SETS * FOLLOW_WAYS packets, places by a keyed hash, the oldest of a set gives way;
 * FOLLOW_HELD fragments that wait. One worker's: a packet's fragments come to the same. */
#pragma once
#include "daemons/stack-core/pkt.h"

enum { FOLLOW_SETS = 512, FOLLOW_WAYS = 4, FOLLOW_HELD = 128, FOLLOW_HELD_EACH = 16, FOLLOW_HELD_LARGE = 8 };
enum { FOLLOW_MS = 5000, FOLLOW_WAIT_MS = 1000 };

struct follow;
struct follow *follow_new(void);
void follow_free(struct follow *f); /* buffers belong to the pool */
/* Takes the parsed fragment @p. Those that may go on now, by ->next, the first of the packet in front; what is lost is counted in
 * @drops by its reason. */
struct pkt *follow_add(struct follow *f, struct pkt_pool *pool, struct pkt *p, uint64_t now_ms, uint64_t *drops);
unsigned follow_waiting(const struct follow *f); /* fragments */
/* Gives up what waited too long; how many. */
unsigned follow_expire(struct follow *f, struct pkt_pool *pool, uint64_t now_ms);
