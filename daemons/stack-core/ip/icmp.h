/* icmp: answers and errors the stack itself sends (RFC 792, RFC 1812 section 4.3, RFC 4443). */
#pragma once
#include "daemons/stack-core/pkt.h"

enum icmp_why {
	ICMP_NO_ROUTE, ICMP_HOST_DOWN, ICMP_PROTO, ICMP_PORT, ICMP_PROHIBITED, ICMP_TTL, ICMP_TOO_BIG,
};

/* How many errors go out: token buckets, one for all and one for each of ICMP_HOSTS places, which hosts share by a keyed hash: one that
 * provokes many does not take them from the others (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f). */
enum { ICMP_BURST = 100, ICMP_PER_SECOND = 100, ICMP_HOSTS = 256, ICMP_HOST_BURST = 50, ICMP_HOST_PER_SECOND = 50 };

struct icmp_bucket {
	uint64_t at_ms;
	unsigned tokens;
};
struct icmp_limits {
	struct icmp_bucket all, host[ICMP_HOSTS];
	uint64_t key[2];
};
void icmp_limits_init(struct icmp_limits *l);
/* 0: an error may go to @dst; else why not, an enum drop_reason. */
unsigned icmp_limit(struct icmp_limits *l, const struct addr *dst, uint64_t now_ms);

/* May an error be sent about @bad? Not about errors, later fragments, multicast, or what came from no single host. */
bool icmp_error_allowed(const struct pkt *bad);
/* A new packet about @bad, from @src, parsed; NULL: no buffer. @mtu for ICMP_TOO_BIG. */
struct pkt *icmp_error(struct pkt_pool *pool, const struct pkt *bad, const struct addr *src, enum icmp_why why, uint32_t mtu);
/* Turns an echo request into its reply, in place, and parses it; false: p->drop is set. */
bool icmp_echo(struct pkt *p);
bool icmp_is_echo(const struct pkt *p);
