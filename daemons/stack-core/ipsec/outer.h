/* outer: the outer header of a tunnel (RFC 4301 section 5.1.2) and what the inner one learns from
 * it on the way out. */
#pragma once
#include "daemons/stack-core/ipsec/sa.h"

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
/* RFC 6040 section 4.2: the ECN field of the decapsulated header. False: the packet has to be
 * dropped. */
bool outer_ecn(uint8_t outer_tos, uint8_t *inner);
