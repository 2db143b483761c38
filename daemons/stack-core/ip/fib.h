/* fib: longest-prefix match. An immutable multi-bit trie with leaves pushed down: the first 16 bits in one step, then 8 at a time,
 * so that an IPv4 lookup reads at most three words and an IPv6 /64 at most seven. The control thread builds a new one for
 * every change and swaps it in under RCU. */
#pragma once
#include "lib/base/addr.h"
#include "lib/base/err.h"

enum fib_kind {
	FIB_NONE,      /* no route */
	FIB_LOCAL,     /* an address of ours on a NIC: the stack answers */
	FIB_HOST,      /* an address of ours on a TUN: the host's programs answer */
	FIB_LINK,      /* on that link: the next hop is the destination */
	FIB_GATEWAY,   /* through a router on that link */
	FIB_BROADCAST, /* IPv4 directed broadcast */
};
enum { FIB_ROUTES_MAX = 65535 };

struct fib_route {
	struct prefix dst;
	uint8_t kind;
	uint16_t link;
	struct addr gateway;
	uint32_t mtu; /* 0: the link's */
};

struct fib;
/* Among equal prefixes the first of @routes wins. -ENOSPC: more than FIB_ROUTES_MAX. */
int fib_new(const struct fib_route *routes, unsigned n, struct errbuf *e, struct fib **ret);
void fib_free(struct fib *f);
/* Index for fib_route(); 0 means no route (its kind is FIB_NONE). */
uint32_t fib_lookup(const struct fib *f, const struct addr *a);
const struct fib_route *fib_route(const struct fib *f, uint32_t index);
unsigned fib_count(const struct fib *f); /* indices go from 1 to this */
