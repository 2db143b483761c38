/* icmp: answers and errors the stack itself sends (RFC 792, RFC 1812 section 4.3, RFC 4443). */
#pragma once
#include "daemons/stack-core/pkt.h"

enum icmp_why {
	ICMP_NO_ROUTE, ICMP_HOST_DOWN, ICMP_PROTO, ICMP_PORT, ICMP_PROHIBITED, ICMP_TTL, ICMP_TOO_BIG,
};

/* May an error be sent about @bad? Not about errors, later fragments, multicast, or what came from no single host. */
bool icmp_error_allowed(const struct pkt *bad);
/* A new packet about @bad, from @src, parsed; NULL: no buffer. @mtu for ICMP_TOO_BIG. */
struct pkt *icmp_error(struct pkt_pool *pool, const struct pkt *bad, const struct addr *src, enum icmp_why why, uint32_t mtu);
/* Turns an echo request into its reply, in place, and parses it; false: p->drop is set. */
bool icmp_echo(struct pkt *p);
bool icmp_is_echo(const struct pkt *p);
