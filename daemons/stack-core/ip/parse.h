/* parse: is this an IP packet, and what do filters and routes need to know of it? The one place that walks headers of packets
 * from the wire (RFC 791, RFC 8200, RFC 1858, RFC 3128, RFC 7112). */
#pragma once
#include "daemons/stack-core/pkt.h"

enum { IPPROTO_IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ESP = 50, IP_AH = 51, IP_ICMP6 = 58, IP_NONEXT = 59, IP_SCTP = 132 };
enum { IP4_HEADER = 20, IP6_HEADER = 40, IP6_EXT_MAX = 8 };

/* Fills the parse fields of @p from its bytes, trims link padding, and returns true; or sets p->drop and returns false. */
bool ip_parse(struct pkt *p);

static inline uint16_t ip_get16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}
static inline void ip_put16(uint8_t *b, uint32_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}
static inline uint32_t ip_get32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}
static inline void ip_put32(uint8_t *b, uint32_t v)
{
	ip_put16(b, v >> 16);
	ip_put16(b + 2, v & 0xffff);
}
static inline bool ip_is_sealed(uint8_t proto)
{
	return proto == IP_ESP || proto == IP_AH;
}
static inline bool ip_is_multicast(const struct addr *a)
{
	return a->family == 4 ? (a->b[0] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}
static inline bool ip_is_link_local6(const struct addr *a)
{
	return a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}
/* Of either family (RFC 3927, RFC 4291): not beyond its link. */
static inline bool ip_is_link_local(const struct addr *a)
{
	return a->family == 4 ? a->b[0] == 169 && a->b[1] == 254 : ip_is_link_local6(a);
}
bool ip_is_unspecified(const struct addr *a);
/* An IPv4 header without options at @h (20 bytes, with checksum); total = header and payload. */
void ip4_write(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t proto, uint8_t ttl, uint8_t tos,
	uint32_t total, uint16_t id, bool df);
void ip6_write(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t next, uint8_t hops, uint8_t tos, uint32_t payload);
void ip4_checksum(uint8_t *h); /* computes it anew, options included */
