/* quote: the header of a packet that came back in an error. A stranger wrote it, and it is cut short: every length is checked against
 * what is there, and not against what the header says of the whole packet. */
#include "daemons/stack-core/filter/quote.h"
#include "daemons/stack-core/ip/parse.h"
#include <string.h>

enum { ERROR_HEADER = 8, PORTS = 4, RETURNED = 8 /* RFC 792: the header and 64 bits */ };

static bool is_error(uint8_t family, uint8_t proto, uint8_t type)
{
	if (family == 4)
		return proto == IPPROTO_IP_ICMP && (type == 3 || type == 11 || type == 12);
	return proto == IP_ICMP6 && type >= 1 && type <= 4;
}

bool quote_is_error(const struct pkt *p)
{
	return !p->opaque && is_error(p->family, p->proto, p->icmp_type);
}

/* Later fragments do not show what they were, and hosts are not told about them (RFC 1122 section 3.2.2). */
static uint32_t header4(const uint8_t *d, uint32_t len, struct pkt *q)
{
	uint32_t header = len < IP4_HEADER ? 0u : (d[0] & 15u) * 4;

	if (header < IP4_HEADER || d[0] >> 4 != 4 || header > len || ip_get16(d + 2) < header || (ip_get16(d + 6) & 0x1fff))
		return 0;
	q->proto = d[9];
	q->fragment = ip_get16(d + 6) & 0x2000;
	q->dst = addr_v4(d + 12);
	q->src = addr_v4(d + 16);
	return header;
}

static uint32_t header6(const uint8_t *d, uint32_t len, struct pkt *q)
{
	uint32_t at = IP6_HEADER;
	uint8_t next;

	if (len < IP6_HEADER || d[0] >> 4 != 6)
		return 0;
	q->dst = addr_v6(d + 8);
	q->src = addr_v6(d + 24);
	next = d[6];
	for (unsigned i = 0; i <= IP6_EXT_MAX; i++) {
		if (next != 0 && next != 43 && next != 60 && next != 44) {
			q->proto = next;
			return at;
		}
		if (len - at < 8 || (next == 44 && (ip_get16(d + at + 2) & 0xfff8)))
			return 0;
		uint32_t size = next == 44 ? 8u : (d[at + 1] + 1u) * 8;
		q->fragment |= next == 44 && (d[at + 3] & 1);
		if (size > len - at)
			return 0;
		next = d[at];
		at += size;
	}
	return 0;
}

static bool upper(const uint8_t *l4, uint32_t left, struct pkt *q)
{
	if (q->family == 4 && left < RETURNED)
		return false;
	switch (q->proto) {
	case IP_TCP:
	case IP_UDP:
		if (left < PORTS)
			return false;
		q->dport = ip_get16(l4);
		q->sport = ip_get16(l4 + 2);
		return true;
	case IPPROTO_IP_ICMP:
	case IP_ICMP6:
		if (left < PORTS || is_error(q->family, q->proto, l4[0]))
			return false; /* nobody answers an error with an error */
		q->icmp_type = l4[0];
		q->icmp_code = l4[1];
		return true;
	case IP_ESP:
		q->opaque = true;
		return true;
	default:
		return true;
	}
}

static bool is_host(const struct addr *a)
{
	static const uint8_t zero[16];
	return !ip_is_multicast(a) && memcmp(a->b, zero, sizeof(zero)) != 0;
}

bool quote_reversed(const struct pkt *p, struct pkt *ret)
{
	uint32_t before = p->l4_off + (uint32_t)ERROR_HEADER, len = p->len > before ? p->len - before : 0;
	const uint8_t *d = pkt_data(p) + before;

	*ret = (struct pkt){.family = p->family, .inbound = p->inbound, .scope = p->scope, .secclass = p->secclass, .sa_in = p->sa_in,
		.in_link = p->in_link, .out_link = p->out_link};
	uint32_t header = !len ? 0 : p->family == 4 ? header4(d, len, ret) : header6(d, len, ret);
	if (!header || !upper(d + header, len - header, ret) || !is_host(&ret->src) || !is_host(&ret->dst))
		return false;
	return addr_equal(&ret->dst, &p->dst); /* errors go to who sent the packet */
}
