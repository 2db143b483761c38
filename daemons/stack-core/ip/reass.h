/* reass: IPv4 and IPv6 reassembly (RFC 791, RFC 8200 4.5) for packets that somebody here has to understand whole: those for our
 * addresses (ESP, IKE with certificates, what filters decide by ports) and those of this host's programs. What is
 * forwarded stays in fragments, which follow their first (follow.h).
 *
 * A stranger can begin as many as he likes: few are kept, the oldest gives way, each for a short time. Fragments that overlap make
 * the whole packet void (RFC 5722); one that comes twice is ignored. One worker's: a packet's fragments come to the same. */
#pragma once
#include "daemons/stack-core/pkt.h"

enum { REASS_PACKETS = 16, REASS_FRAGMENTS = 64, REASS_MS = 5000 };

/* What a fragment is of its packet. */
struct fragment {
	uint32_t id, off, head; /* head: bytes in front of the payload, fragment header left out */
	uint32_t skip;		/* of the IPv6 fragment header: where it begins; 0 for IPv4 */
	uint32_t at, len;	/* payload in the packet */
	uint8_t proto;		/* IPv6: what the fragment header names */
	uint32_t names;		/* IPv6: offset of the byte that names the fragment header */
	bool more;
};
bool fragment_read(const struct pkt *p, struct fragment *ret); /* @p is parsed */

struct reass;
struct reass *reass_new(void);
void reass_free(struct reass *r); /* buffers belong to the pool */
/* Takes the parsed fragment @p. The whole packet, to be parsed anew, or NULL: then *ret_drop says why @p is lost, 0: it waits. */
struct pkt *reass_add(struct reass *r, struct pkt_pool *pool, struct pkt *p, uint64_t now_ms, uint16_t *ret_drop);
/* For a fragment that stays one: see follow_add. */
struct pkt *reass_follow(struct reass *r, struct pkt_pool *pool, struct pkt *p, uint64_t now_ms, uint64_t *drops);
unsigned reass_waiting(const struct reass *r);
/* Gives up what waits too long; how many packets. */
unsigned reass_expire(struct reass *r, struct pkt_pool *pool, uint64_t now_ms);
