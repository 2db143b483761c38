/* outer: the outer header of a tunnel (RFC 4301 section 5.1.2) and what the inner one learns from
 * it on the way out. */
#pragma once
#include "daemons/stack-core/ipsec/iphdr.h"
#include "daemons/stack-core/ipsec/sa.h"
#include <string.h>

enum { OUTER_DF = 0x4000, OUTER_ECN_MASK = 3 };

static inline uint32_t outer_len(const struct sa_path *path)
{
	return path->dst.family == 6 ? 40 : 20;
}
/* What is the same in each header. */
void outer_template(struct sa_path *path, uint8_t proto);
/* Writes the header in front of @inner at @out; @total counts it. @id goes into an IPv4 header that
 * may be fragmented. The header's TOS. */
uint8_t outer_write(
	uint8_t *out, const struct sa *sa, const struct sa_path *path, const uint8_t *inner, uint32_t total, uint16_t id);
static inline bool outer_df(const struct sa *sa, const uint8_t *inner)
{
	switch (sa->df) {
	case SA_DF_SET:
		return true;
	case SA_DF_CLEAR:
		return false;
	default:
		return inner[0] >> 4 == 6 || (get16(inner + 6) & OUTER_DF);
	}
}
static inline uint8_t outer_tos(const struct sa *sa, const uint8_t *inner)
{
	uint8_t tos = iphdr_tos(inner);

	if (sa->dscp)
		return (uint8_t)(sa->dscp[tos >> 2] << 2 | (tos & OUTER_ECN_MASK));
	return sa->keep_dscp ? tos : tos & OUTER_ECN_MASK;
}
/* outer_write for a header of IPv4. */
static inline uint8_t outer_write4(
	uint8_t *out, const struct sa *sa, const struct sa_path *path, const uint8_t *inner, uint32_t total, uint16_t id)
{
	uint8_t tos = outer_tos(sa, inner);
	bool df = outer_df(sa, inner);
	uint32_t flags = df ? OUTER_DF : 0;

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
/* RFC 6040 section 4.2: the ECN field of the decapsulated header. False: the packet has to be
 * dropped. */
bool outer_ecn(uint8_t outer_tos, uint8_t *inner);
