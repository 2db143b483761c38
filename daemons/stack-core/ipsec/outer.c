/* outer: tunnel headers.
 *
 * From the inner header: DSCP when the SA passes it on, or what its map makes of it; ECN always (RFC 6040 normal mode, 4.1); DF
 * as the SA says, and for an inner IPv6 header "copy" means set, since IPv6 packets are not
 * fragmented on their way. TTL is the SA's own (64): the inner one was lowered by forwarding, if it
 * was forwarded. */
#include "daemons/stack-core/ipsec/outer.h"
#include "daemons/stack-core/ipsec/iphdr.h"
#include <string.h>

enum { TTL = 64, DF = 0x4000, ECN_MASK = 3, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

static bool dont_fragment(const struct sa *sa, const uint8_t *inner)
{
	switch (sa->df) {
	case SA_DF_SET:
		return true;
	case SA_DF_CLEAR:
		return false;
	default:
		return inner[0] >> 4 == 6 || (get16(inner + 6) & DF);
	}
}

void outer_template(struct sa_path *path, uint8_t proto)
{
	uint8_t *h = path->head;

	memset(h, 0, sizeof(path->head));
	if (path->udp)
		proto = 17;
	if (path->dst.family == 6) {
		h[0] = 0x60;
		h[6] = proto;
		h[7] = TTL;
		memcpy(h + 8, path->src.b, 16);
		memcpy(h + 24, path->dst.b, 16);
		return;
	}
	h[0] = 0x45;
	h[8] = TTL;
	h[9] = proto;
	memcpy(h + 12, path->src.b, 4);
	memcpy(h + 16, path->dst.b, 4);
	path->sum = iphdr_sum(h, IP_V4_MIN);
}

uint8_t outer_write(
	uint8_t *out, const struct sa *sa, const struct sa_path *path, const uint8_t *inner, uint32_t total, uint16_t id)
{
	uint8_t inner_tos = iphdr_tos(inner);
	uint8_t tos = sa->keep_dscp ? inner_tos : inner_tos & ECN_MASK;
	if (sa->dscp)
		tos = (uint8_t)(sa->dscp[inner_tos >> 2] << 2 | (inner_tos & ECN_MASK));

	if (path->dst.family == 6) {
		memcpy(out, path->head, IP_V6_LEN);
		put32(out, UINT32_C(6) << 28 | (uint32_t)tos << 20);
		put16(out + 4, (uint16_t)(total - IP_V6_LEN));
		return tos;
	}
	bool df = dont_fragment(sa, inner);
	uint32_t flags = df ? DF : 0;
	if (df)
		id = 0; /* an atomic datagram needs none (RFC 6864) */
	uint32_t sum = path->sum + tos + total + id + flags;
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	memcpy(out, path->head, IP_V4_MIN);
	out[1] = tos;
	put16(out + 2, (uint16_t)total);
	put32(out + 4, (uint32_t)id << 16 | flags);
	put16(out + 10, (uint16_t)~sum);
	return tos;
}

bool outer_ecn(uint8_t outer_tos, uint8_t *inner)
{
	uint8_t outer = outer_tos & ECN_MASK;

	if (outer != ECN_CE && outer != ECN_ECT1)
		return true;
	uint8_t tos = iphdr_tos(inner), ecn = tos & ECN_MASK;
	if (ecn == 0) /* not ECN capable: a mark would be lost, so the packet is */
		return outer != ECN_CE;
	if (ecn == ECN_CE || ecn == outer)
		return true;
	if (outer == ECN_ECT1 && ecn != ECN_ECT0)
		return true;
	iphdr_set_tos(inner, (uint8_t)((tos & ~ECN_MASK) | outer));
	return true;
}
