/* pkt: one packet on its way through a worker. Buffers come from a per-worker LIFO pool that stays in cache; nothing here
 * is shared between workers. Data lies at buf + off with room in front for tunnel headers and behind for ESP trailers.
 * A super-packet (gso_size != 0) is at most 64 KiB of TCP or UDP segments and lives in a large buffer. */
#pragma once
#include "lib/base/addr.h"
#include <stdbool.h>
#include <stdint.h>

enum { PKT_HEADROOM = 128, PKT_TAILROOM = 64, PKT_SMALL = 2048, PKT_LARGE = 65536 + 768, PKT_BATCH = 256 };

/* gso_type, as in virtio_net_hdr; PKT_GSO_ECN is or'ed in. */
enum { PKT_GSO_TCP4 = 1, PKT_GSO_UDP = 3, PKT_GSO_TCP6 = 4, PKT_GSO_UDP_L4 = 5, PKT_GSO_ECN = 0x80 };

enum pkt_scope { PKT_LOCAL = 1, PKT_ROUTED = 2 };

struct pkt {
	uint8_t *buf;
	uint32_t size;	/* of buf */
	uint32_t off;	/* IP header starts at buf + off once the link stage has stripped its own */
	uint32_t len;	/* of the IP packet */
	/* set by the parse stage; the classifier reads nothing else */
	uint8_t family; /* 4 or 6 */
	uint8_t proto;	/* upper-layer protocol after IPv6 extension headers (the one filters match) */
	uint8_t icmp_type, icmp_code;
	uint16_t l4_off;	/* from the IP header */
	uint16_t sport, dport;	/* host order; 0 when not there */
	bool fragment;		/* any fragment */
	bool opaque;		/* upper-layer selectors not in this packet: later fragment, or encrypted */
	bool told;		/* though opaque: ports, type and code are those of the first fragment of its packet (ip/follow.c) */
	struct addr src, dst;
	/* context */
	bool inbound;
	uint8_t scope;	    /* enum pkt_scope */
	uint8_t secclass;
	uint8_t tos;
	uint16_t in_link, out_link;
	uint16_t gso_size, gso_type; /* virtio_net_hdr terms; 0: an ordinary packet */
	bool csum_partial;	     /* L4 checksum still to be filled in */
	uint16_t csum_start, csum_offset;
	uint32_t sa_in;		     /* index+1 of the SA that decapsulated it, 0: came in clear */
	bool encap;			     /* UDP that carries ESP (RFC 3948): set by the pipe, for ipsec_in */
	bool whole;			     /* put together of fragments: may be longer than the link it came by takes */
	bool sealed;			     /* a protected packet of ours: no ICMP error about it */
	bool unfiltered;		     /* the stack's own word about path MTU: see pipe_error */
	bool nested;			     /* opened out of one tunnel, to be opened out of another (nest.c) */
	struct sa *over;		     /* outbound: of the tunnel around its tunnel (nest.c) */
	bool vouched;			     /* an ICMP error that only the packet in it let in (filter/returned.c) */
	uint8_t about_scope;		     /* of the packet that an error of ours is about */
	uint32_t about_sa;		     /* its sa_in */
	struct addr next_hop;
	uint16_t drop;		     /* enum drop_reason, 0: alive */
	/* link layer */
	uint16_t ethertype;	     /* of the frame it came in */
	uint16_t vlan;		     /* VLAN id of that frame, 0: none */
	bool l2_group;		     /* the frame was a broadcast or multicast */
	uint8_t mac[6];		     /* in: the sender's; out: the next hop's */
	/* route stage */
	uint32_t nexthop;	     /* index into the route table's next hops */
	uint64_t since_ms;	     /* when it began to wait for its next hop's link address */
	uint64_t held_ms;	     /* or for a tunnel */
	uint32_t tap_packet;	     /* its number in traces, 0: none (tap.h) */
	uint8_t tap_marks;	     /* sessions that watch it */
	struct pkt *next;	     /* for the pool and for lists */
};

/* Nobody knows its ports, type or code. */
static inline bool pkt_hidden(const struct pkt *p)
{
	return p->opaque && !p->told;
}
static inline uint8_t *pkt_data(const struct pkt *p)
{
	return p->buf + p->off;
}
static inline uint32_t pkt_headroom(const struct pkt *p)
{
	return p->off;
}
static inline uint32_t pkt_tailroom(const struct pkt *p)
{
	return p->size - p->off - p->len;
}

/* The pool of one worker. pkt_alloc gives a packet whose fields are zero and whose off is PKT_HEADROOM; NULL: none left. */
struct pkt_pool;
struct pkt_pool *pkt_pool_new(unsigned small, unsigned large);
void pkt_pool_grow(struct pkt_pool *pool, unsigned large); /* so many large ones more; by its only user */
void pkt_pool_free(struct pkt_pool *pool);
struct pkt *pkt_alloc(struct pkt_pool *pool);
struct pkt *pkt_alloc_large(struct pkt_pool *pool);
/* @p in a large buffer, with all it says; @p is freed. NULL: none left, and @p is as it was. */
struct pkt *pkt_enlarge(struct pkt_pool *pool, struct pkt *p);
void pkt_free(struct pkt_pool *pool, struct pkt *p);
unsigned pkt_pool_available(const struct pkt_pool *pool); /* small ones */
