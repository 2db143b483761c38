/* pmtu: path MTU of tunnels (RFC 4301 section 8.2).
 *
 * A router between the gateways that cannot pass a protected packet says so to us, its sender: "fragmentation needed" (RFC 1191) or "packet
 * too big" (RFC 8201). Anybody can write such a message. What is returned in it must be a packet that we could have sent: our
 * address, a peer's, and the SPI of an SA of ours towards that peer, which nobody off the path knows; for ESP in UDP the
 * ports too. Then it is believed only downwards, down to what every path has to carry, and for ten minutes. */
#pragma once
#include "daemons/stack-core/ipsec/sa.h"
#include "daemons/stack-core/pkt.h"

enum { PMTU_LEAST4 = 576, PMTU_LEAST6 = 1280, PMTU_MS = 600000, PMTU_CHANGE_MS = 100 };

enum pmtu_heard {
	PMTU_FOREIGN,	  /* not about a protected packet: for whoever it is about */
	PMTU_STRANGER,	  /* about a protected packet that no SA of ours has made */
	PMTU_IMPLAUSIBLE, /* damaged, or a value that a router would not say */
	PMTU_KNOWN,	  /* nothing new, or too soon after the last change */
	PMTU_LEARNT,
};

/* An ICMP error for an address of ours, in clear, parsed. Workers. */
enum pmtu_heard pmtu_hear(struct sadb *db, const struct pkt *p, uint64_t now_ms);
/* The smaller of @mtu and what was learnt of the tunnel's path. Workers. */
uint32_t pmtu_limit(const struct tunnel *t, uint32_t mtu, uint64_t now_ms);
/* 0: none is known. */
uint32_t pmtu_known(const struct tunnel *t, uint64_t now_ms);
/* How long ago it was last told; 0 when none is known. */
uint64_t pmtu_age_ms(const struct tunnel *t, uint64_t now_ms);
