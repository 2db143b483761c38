/* iphdr: where things are in an IP header, as ESP and AH need to know it, and the fields they
 * change. */
#pragma once
#include "lib/base/addr.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { IP_V4_MIN = 20, IP_V6_LEN = 40, IP_MAX = 65535 };

struct iphdr_layout {
	uint8_t family;
	uint8_t proto; /* what stands at hdr_len */
	bool fragment;
	uint32_t hdr_len;  /* IP header and the extension headers that stay in front */
	uint32_t next_off; /* of the byte that names proto */
	uint32_t total;	   /* length of the packet by its own account */
};

/* Where a transport-mode header would go: after IPv4 options, or after hop-by-hop, routing, and the
 * destination options that precede a routing header (RFC 4303 3.1.1). False: malformed, or @len is
 * less than the packet says. */
bool iphdr_outgoing(const uint8_t *d, uint32_t len, struct iphdr_layout *ret);
/* Walks to the ESP or AH header (or to whatever follows the extension headers). */
bool iphdr_incoming(const uint8_t *d, uint32_t len, struct iphdr_layout *ret);

/* Writes the length field; IPv4: and the checksum, so it comes last. */
void iphdr_set_total(uint8_t *d, const struct iphdr_layout *l, uint32_t total);
void iphdr_checksum(uint8_t *d, uint32_t hdr_len);
uint16_t iphdr_sum(
	const uint8_t *d, uint32_t len); /* ones' complement sum, not inverted (RFC 1071) */
void iphdr_set_tos(uint8_t *d, uint8_t tos); /* IPv4: updates the checksum */

static inline struct addr iphdr_address(const uint8_t *at, uint8_t family)
{
	struct addr a = {.family = family};

	if (family == 4)
		memcpy(a.b, at, 4);
	else
		memcpy(a.b, at, 16);
	return a;
}
static inline struct addr iphdr_src(const uint8_t *d)
{
	return d[0] >> 4 == 4 ? iphdr_address(d + 12, 4) : iphdr_address(d + 8, 6);
}
static inline struct addr iphdr_dst(const uint8_t *d)
{
	return d[0] >> 4 == 4 ? iphdr_address(d + 16, 4) : iphdr_address(d + 24, 6);
}
static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}
static inline void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}
static inline uint8_t iphdr_tos(const uint8_t *d)
{
	return (uint8_t)(d[0] >> 4 == 4 ? d[1] : (d[0] & 0x0f) << 4 | d[1] >> 4);
}
/* iphdr_outgoing and iphdr_incoming in one for the header that nearly every packet has: IPv4 without options. False: it is
 * another one, or malformed; ask them. */
static inline bool iphdr_plain(const uint8_t *d, uint32_t len, struct iphdr_layout *ret)
{
	if (len < IP_V4_MIN || d[0] != 0x45)
		return false;
	uint32_t total = get16(d + 2);
	if (total < IP_V4_MIN || total > len)
		return false;
	*ret = (struct iphdr_layout){.family = 4, .proto = d[9], .fragment = (get16(d + 6) & 0x3fff) != 0, .hdr_len = IP_V4_MIN,
		.next_off = 9, .total = total};
	return true;
}
