/* uaddr: netids and universal addresses (RFC 5665): "192.0.2.1.0.111", "2001:db8::1.0.111", a path for "local". */
#pragma once
#include "lib/base/addr.h"

enum netid { NETID_UDP, NETID_TCP, NETID_UDP6, NETID_TCP6, NETID_LOCAL, NETID_COUNT, NETID_NONE = NETID_COUNT };
enum { UADDR_MAX = 108, UADDR_TEXT_MAX = UADDR_MAX + 1 };

const char *netid_text(enum netid n);
enum netid netid_parse(const char *text); /* NETID_NONE: not one of ours */
static inline bool netid_is_udp(enum netid n)
{
	return n == NETID_UDP || n == NETID_UDP6;
}
static inline unsigned netid_family(enum netid n) /* 4, 6; 0 for local */
{
	return n == NETID_UDP || n == NETID_TCP ? 4 : n == NETID_UDP6 || n == NETID_TCP6 ? 6 : 0;
}

/* The address and port that @text names on @n: 0 or -EINVAL. A local one is a path without control characters: *@ret_addr unset. */
int uaddr_parse(enum netid n, const char *text, struct addr *ret_addr, uint16_t *ret_port);
const char *uaddr_text(const struct addr *a, uint16_t port, char out[UADDR_TEXT_MAX]);
bool addr_is_any(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
