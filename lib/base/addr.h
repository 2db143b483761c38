/* IP addresses and prefixes, IPv4 and IPv6 alike. Text forms: RFC 4291 and dotted decimal, prefix "addr/len". */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDR_TEXT_MAX = 46, PREFIX_TEXT_MAX = 50 };

struct addr {
	uint8_t family; /* 0 unset, 4 or 6 */
	uint8_t b[16];	/* network order; the first 4 bytes for IPv4, the rest zero */
};

struct prefix {
	struct addr addr; /* host bits are zero */
	uint8_t len;	  /* 0..32 or 0..128 */
};

static inline size_t addr_len(const struct addr *a)
{
	return a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
}
struct addr addr_v4(const void *four);
struct addr addr_v6(const void *sixteen);
bool addr_equal(const struct addr *a, const struct addr *b);
int addr_parse(const char *text, struct addr *ret); /* 0 or -EINVAL */
/* Writes at most ADDR_TEXT_MAX bytes into @out and returns @out; "-" for an unset address. */
const char *addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);

/* "a/len", or "a" for a host prefix. -EINVAL: no such form; -ERANGE: length too long; -EDOM: host bits are set. */
int prefix_parse(const char *text, struct prefix *ret);
const char *prefix_text(const struct prefix *p, char out[PREFIX_TEXT_MAX]);
bool prefix_covers(const struct prefix *p, const struct addr *a);
void prefix_mask(struct prefix *p); /* clears the host bits */
