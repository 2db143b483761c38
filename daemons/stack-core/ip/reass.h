/* reass: IPv4 and IPv6 reassembly (RFC 791, RFC 8200 4.5) for packets that somebody here has to understand whole: those for our
 * addresses (ESP, IKE with certificates, what filters decide by ports) and those of this host's programs. What is
 * forwarded stays in fragments.
 *
 * A stranger can begin as many as he likes: few are kept, the oldest gives way, each for a short time. Fragments that overlap make
 * the whole packet void (RFC 5722); one that comes twice is ignored. One worker's: a packet's fragments come to the same. */
#pragma once
#include "daemons/stack-core/pkt.h"

enum { REASS_PACKETS = 16, REASS_FRAGMENTS = 64, REASS_MS = 5000 };

struct reass;
struct reass *reass_new(void);
void reass_free(struct reass *r); /* buffers belong to the pool */
/* Takes the parsed fragment @p. The whole packet, to be parsed anew, or NULL: then *ret_drop says why @p is lost, 0: it waits. */
struct pkt *reass_add(struct reass *r, struct pkt_pool *pool, struct pkt *p, uint64_t now_ms, uint16_t *ret_drop);
unsigned reass_waiting(const struct reass *r);
/* Gives up what waits too long; how many packets. */
unsigned reass_expire(struct reass *r, struct pkt_pool *pool, uint64_t now_ms);
