/* parse: header walk with every length checked against what is really there. Nothing is read past p->len; the caller may hand
 * over any bytes at all. */
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/checksum.h"
#include <string.h>

static bool drop(struct pkt *p, enum drop_reason why)
{
	p->drop = (uint16_t)why;
	return false;
}

bool ip_is_unspecified(const struct addr *a)
{
	static const uint8_t zero[16];
	return !memcmp(a->b, zero, sizeof(zero));
}

/* Ports, ICMP type and code. @left: bytes of the transport header present; @first: a first fragment, which may hold a part only. */
static bool parse_l4(struct pkt *p, const uint8_t *l4, uint32_t left, bool first)
{
	switch (p->proto) {
	case IP_TCP:
		if (left < (first ? 16 : 20))
			return drop(p, first ? DROP_IP_TINY_FRAGMENT : DROP_IP_L4_SHORT);
		break;
	case IP_UDP:
	case IPPROTO_IP_ICMP:
		if (left < 8)
			return drop(p, first ? DROP_IP_TINY_FRAGMENT : DROP_IP_L4_SHORT);
		break;
	case IP_ICMP6:
		if (left < 4)
			return drop(p, first ? DROP_IP_TINY_FRAGMENT : DROP_IP_L4_SHORT);
		break;
	case IP_ESP:
		p->opaque = true;
		return true;
	default:
		return true;
	}
	if (p->proto == IP_TCP || p->proto == IP_UDP) {
		p->sport = ip_get16(l4);
		p->dport = ip_get16(l4 + 2);
	} else {
		p->icmp_type = l4[0];
		p->icmp_code = l4[1];
	}
	return true;
}

/* @off: byte offset of the fragment, @left: its payload bytes. */
static bool parse_fragment(struct pkt *p, uint32_t off, bool more, uint32_t left)
{
	p->fragment = true;
	if (off + left > 65535 || (more && left % 8) || !left)
		return drop(p, DROP_IP_FRAGMENT);
	if (off == 8 && p->proto == IP_TCP)
		return drop(p, DROP_IP_TINY_FRAGMENT);
	if (off)
		p->opaque = true;
	return true;
}

/* ::/96 (IPv4-compatible, with the loopback) and ::ffff:0:0/96 (IPv4-mapped): for sockets, never for a wire (RFC 4291, RFC 6890). */
static bool embedded4(const uint8_t *a)
{
	static const uint8_t zero[10];
	return !memcmp(a, zero, 10) && ((!a[10] && !a[11]) || (a[10] == 0xff && a[11] == 0xff));
}

/* What RFC 1812 section 5.3.7 and RFC 6890 say no wire carries, whoever owns the networks. */
static bool addresses_ok(struct pkt *p)
{
	const uint8_t *s = p->src.b, *d = p->dst.b;

	if (p->family == 4) {
		if ((s[0] & 0xf0) == 0xe0 || s[0] >= 240)
			return drop(p, DROP_IP_SOURCE);
		if (s[0] == 0 || s[0] == 127 || d[0] == 0 || d[0] == 127 || (d[0] >= 240 && ip_get32(d) != UINT32_MAX))
			return drop(p, DROP_IP_MARTIAN);
		return true;
	}
	if (s[0] == 0xff)
		return drop(p, DROP_IP_SOURCE);
	if ((embedded4(s) && !ip_is_unspecified(&p->src)) || embedded4(d) || (d[0] == 0xff && (d[1] & 15) < 2))
		return drop(p, DROP_IP_MARTIAN);
	return true;
}

/* Source routes let a sender choose the path past filters: refused (RFC 7126 section 4.3). */
static bool options_ok(struct pkt *p, const uint8_t *h, uint32_t header)
{
	for (uint32_t i = IP4_HEADER; i < header;) {
		uint8_t type = h[i];
		if (type == 0)
			return true;
		if (type == 1) {
			i++;
			continue;
		}
		if (i + 1 >= header || h[i + 1] < 2 || i + h[i + 1] > header)
			return drop(p, DROP_IP_HEADER);
		if (type == 131 || type == 137)
			return drop(p, DROP_IP_SOURCE_ROUTE);
		i += h[i + 1];
	}
	return true;
}

static bool parse4(struct pkt *p, const uint8_t *h)
{
	if (p->len < IP4_HEADER)
		return drop(p, DROP_IP_SHORT);
	uint32_t header = (h[0] & 15u) * 4, total = ip_get16(h + 2);
	if (header < IP4_HEADER)
		return drop(p, DROP_IP_HEADER);
	if (total < header || total > p->len)
		return drop(p, DROP_IP_SHORT);
	if (csum_fold(csum_add(0, h, header)))
		return drop(p, DROP_IP_CHECKSUM);
	p->len = total;
	p->proto = h[9];
	p->tos = h[1];
	p->l4_off = (uint16_t)header;
	p->src = addr_v4(h + 12);
	p->dst = addr_v4(h + 16);
	if (!addresses_ok(p) || (header > IP4_HEADER && !options_ok(p, h, header)))
		return false;
	uint16_t frag = ip_get16(h + 6);
	uint32_t off = (frag & 0x1fffu) * 8;
	bool more = frag & 0x2000;
	if ((off || more) && !parse_fragment(p, off, more, total - header))
		return false;
	return off ? true : parse_l4(p, h + header, total - header, more);
}

/* One extension header at @at; moves on. 1: done (upper layer reached), 0: another follows, -1: dropped. */
static int walk6(struct pkt *p, const uint8_t *h, uint32_t *at, uint8_t *next, uint32_t *frag_off, bool *more)
{
	uint32_t left = p->len - *at, size;

	switch (*next) {
	case 0:
	case 43:
	case 60:
		if (left < 8 || (size = (h[*at + 1] + 1u) * 8) > left)
			return drop(p, DROP_IP_EXTENSION) - 1;
		if (*next == 43 && h[*at + 2] == 0)
			return drop(p, DROP_IP_SOURCE_ROUTE) - 1;
		if (*next == 0 && *at != IP6_HEADER)
			return drop(p, DROP_IP_EXTENSION) - 1;
		break;
	case 44:
		size = 8;
		if (left < 8 || p->fragment)
			return drop(p, DROP_IP_EXTENSION) - 1;
		*frag_off = ip_get16(h + *at + 2) & 0xfff8u;
		*more = h[*at + 3] & 1;
		p->fragment = *frag_off || *more;
		break;
	default:
		return 1;
	}
	*next = h[*at];
	*at += size;
	return *frag_off ? 1 : 0; /* what follows in a later fragment is payload */
}

static bool parse6(struct pkt *p, const uint8_t *h)
{
	if (p->len < IP6_HEADER)
		return drop(p, DROP_IP_SHORT);
	uint32_t total = IP6_HEADER + (uint32_t)ip_get16(h + 4);
	if (total > p->len)
		return drop(p, DROP_IP_SHORT);
	p->len = total;
	p->tos = (uint8_t)(ip_get16(h) >> 4);
	p->src = addr_v6(h + 8);
	p->dst = addr_v6(h + 24);
	if (!addresses_ok(p))
		return false;
	uint32_t at = IP6_HEADER, frag_off = 0;
	uint8_t next = h[6];
	bool more = false;
	int done = 0;
	for (unsigned i = 0; i < IP6_EXT_MAX && !done; i++)
		done = walk6(p, h, &at, &next, &frag_off, &more);
	if (done < 0)
		return false;
	if (!done)
		return drop(p, DROP_IP_EXTENSION);
	p->proto = next;
	p->l4_off = (uint16_t)at;
	if (p->fragment && !parse_fragment(p, frag_off, more, total - at))
		return false;
	/* A header chain that goes on in the next fragment hides the transport header (RFC 7112). */
	return frag_off ? true : parse_l4(p, h + at, total - at, more);
}

bool ip_parse(struct pkt *p)
{
	const uint8_t *h = pkt_data(p);

	p->proto = p->icmp_type = p->icmp_code = 0;
	p->sport = p->dport = 0;
	p->fragment = p->opaque = p->told = false;
	if (!p->len)
		return drop(p, DROP_IP_SHORT);
	p->family = h[0] >> 4;
	if (p->family == 4)
		return parse4(p, h);
	if (p->family == 6)
		return parse6(p, h);
	return drop(p, DROP_IP_VERSION);
}

void ip4_checksum(uint8_t *h)
{
	memset(h + 10, 0, 2);
	uint16_t sum = csum_fold(csum_add(0, h, (h[0] & 15u) * 4));
	memcpy(h + 10, &sum, 2);
}

void ip4_write(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t proto, uint8_t ttl, uint8_t tos,
	uint32_t total, uint16_t id, bool df)
{
	h[0] = 0x45;
	h[1] = tos;
	ip_put16(h + 2, total);
	ip_put16(h + 4, id);
	ip_put16(h + 6, df ? 0x4000 : 0);
	h[8] = ttl;
	h[9] = proto;
	memcpy(h + 12, src->b, 4);
	memcpy(h + 16, dst->b, 4);
	ip4_checksum(h);
}

void ip6_write(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t next, uint8_t hops, uint8_t tos, uint32_t payload)
{
	ip_put32(h, 0x60000000u | (uint32_t)tos << 20);
	ip_put16(h + 4, payload);
	h[6] = next;
	h[7] = hops;
	memcpy(h + 8, src->b, 16);
	memcpy(h + 24, dst->b, 16);
}
