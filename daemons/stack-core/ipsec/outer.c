/* outer: tunnel headers.
 *
 * From the inner header: DSCP when the SA passes it on, or what its map makes of it; ECN always (RFC 6040 normal mode, 4.1); DF
 * as the SA says, and for an inner IPv6 header "copy" means set, since IPv6 packets are not
 * fragmented on their way. TTL is the SA's own (64): the inner one was lowered by forwarding, if it
 * was forwarded. */
#include "daemons/stack-core/ipsec/outer.h"

enum { TTL = 64, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

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
	if (path->dst.family != 6)
		return outer_write4(out, sa, path, inner, total, id);
	uint8_t tos = outer_tos(sa, inner);
	memcpy(out, path->head, IP_V6_LEN);
	put32(out, UINT32_C(6) << 28 | (uint32_t)tos << 20);
	put16(out + 4, (uint16_t)(total - IP_V6_LEN));
	return tos;
}

bool outer_ecn(uint8_t outer_tos, uint8_t *inner)
{
	uint8_t outer = outer_tos & OUTER_ECN_MASK;

	if (outer != ECN_CE && outer != ECN_ECT1)
		return true;
	uint8_t tos = iphdr_tos(inner), ecn = tos & OUTER_ECN_MASK;
	if (ecn == 0) /* not ECN capable: a mark would be lost, so the packet is */
		return outer != ECN_CE;
	if (ecn == ECN_CE || ecn == outer)
		return true;
	if (outer == ECN_ECT1 && ecn != ECN_ECT0)
		return true;
	iphdr_set_tos(inner, (uint8_t)((tos & ~OUTER_ECN_MASK) | outer));
	return true;
}
