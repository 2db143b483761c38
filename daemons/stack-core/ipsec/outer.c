/* outer: tunnel headers.
 *
 * From the inner header: DSCP when the SA passes it on; ECN always (RFC 6040 normal mode, 4.1); DF
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

void outer_write(
	uint8_t *out, const struct sa *sa, const struct sa_path *path, const uint8_t *inner, uint32_t total, uint16_t id)
{
	uint8_t inner_tos = iphdr_tos(inner);
	uint8_t tos = sa->keep_dscp ? inner_tos : inner_tos & ECN_MASK;

	if (path->dst.family == 6) {
		put32(out, UINT32_C(6) << 28 | (uint32_t)tos << 20);
		put16(out + 4, (uint16_t)(total - IP_V6_LEN));
		out[6] = path->udp ? 17 : sa->proto;
		out[7] = TTL;
		memcpy(out + 8, path->src.b, 16);
		memcpy(out + 24, path->dst.b, 16);
		return;
	}
	bool df = dont_fragment(sa, inner);
	out[0] = 0x45;
	out[1] = tos;
	put16(out + 2, (uint16_t)total);
	put16(out + 4, df ? 0 : id); /* an atomic datagram needs none (RFC 6864) */
	put16(out + 6, df ? DF : 0);
	out[8] = TTL;
	out[9] = path->udp ? 17 : sa->proto;
	memcpy(out + 12, path->src.b, 4);
	memcpy(out + 16, path->dst.b, 4);
	iphdr_checksum(out, IP_V4_MIN);
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
