/* quote: a stranger wrote it, and it is cut short: every length is checked against what is there, and not against what the header says
 * of the whole packet. */
#include "daemons/stack-core/ip/quote.h"
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

/* Later fragments do not show what they were, and hosts are not told about them (RFC 1122 section 3.2.2). Returns the length of
 * the header, 0: not good. */
static uint32_t header4(const uint8_t *d, uint32_t len, struct quote *q)
{
	uint32_t header = len < IP4_HEADER ? 0u : (d[0] & 15u) * 4;

	if (header < IP4_HEADER || d[0] >> 4 != 4 || len < header + RETURNED)
		return 0;
	uint16_t flags = ip_get16(d + 6);
	q->total = ip_get16(d + 2);
	if (q->total < header || (flags & 0x1fff))
		return 0;
	q->proto = d[9];
	q->fragment = flags & 0x2000;
	q->df = flags & 0x4000;
	q->src = addr_v4(d + 12);
	q->dst = addr_v4(d + 16);
	return header;
}

static uint32_t header6(const uint8_t *d, uint32_t len, struct quote *q)
{
	uint32_t at = IP6_HEADER;
	uint8_t next;

	if (len < IP6_HEADER || d[0] >> 4 != 6)
		return 0;
	q->total = IP6_HEADER + (uint32_t)ip_get16(d + 4);
	q->df = true;
	q->src = addr_v6(d + 8);
	q->dst = addr_v6(d + 24);
	next = d[6];
	for (unsigned i = 0; i <= IP6_EXT_MAX; i++) {
		if (next != 0 && next != 43 && next != 60 && next != 44) {
			q->proto = next;
			return at <= q->total ? at : 0;
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

bool quote_read(const struct pkt *p, struct quote *ret)
{
	uint32_t before = p->l4_off + (uint32_t)ERROR_HEADER, len = p->len > before ? p->len - before : 0;
	const uint8_t *d = pkt_data(p) + before;

	*ret = (struct quote){0};
	uint32_t header = !len ? 0 : p->family == 4 ? header4(d, len, ret) : header6(d, len, ret);
	ret->l4 = d + header;
	ret->left = len - header;
	return header != 0;
}

static bool upper(const struct quote *q, struct pkt *ret)
{
	switch (q->proto) {
	case IP_TCP:
	case IP_UDP:
		if (q->left < PORTS)
			return false;
		ret->dport = ip_get16(q->l4);
		ret->sport = ip_get16(q->l4 + 2);
		return true;
	case IPPROTO_IP_ICMP:
	case IP_ICMP6:
		if (q->left < PORTS || is_error(ret->family, q->proto, q->l4[0]))
			return false; /* nobody answers an error with an error */
		ret->icmp_type = q->l4[0];
		ret->icmp_code = q->l4[1];
		return true;
	case IP_ESP:
		ret->opaque = true;
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
	struct quote q;

	*ret = (struct pkt){.family = p->family, .inbound = p->inbound, .scope = p->scope, .secclass = p->secclass, .sa_in = p->sa_in,
		.in_link = p->in_link, .out_link = p->out_link};
	if (!quote_read(p, &q) || !upper(&q, ret) || !is_host(&q.src) || !is_host(&q.dst))
		return false;
	ret->proto = q.proto;
	ret->fragment = q.fragment;
	ret->src = q.dst;
	ret->dst = q.src;
	return addr_equal(&q.src, &p->dst); /* errors go to who sent the packet */
}
