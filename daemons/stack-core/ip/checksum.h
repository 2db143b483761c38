/* checksum: the Internet checksum (RFC 1071), its pseudo headers (RFC 793, RFC 8200 8.1) and its update when a field changes (RFC 1624).
 * Partial sums are in host terms of network-order 16-bit words: only csum_fold's result is written to a packet. */
#pragma once
#include "lib/base/addr.h"
#include <stddef.h>
#include <stdint.h>

uint64_t csum_add(uint64_t sum, const void *data, size_t len); /* @data starts at an even offset of what is summed */
uint16_t csum_fold(uint64_t sum);			       /* complemented, network order as a number in memory */
uint64_t csum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto, uint32_t len);
/* SCTP's (RFC 9260 appendix A), of a packet whose checksum field is zero: to be written with the lowest byte first. */
uint32_t csum_sctp(const uint8_t *data, size_t len);
/* New value of the checksum field at @field after a 16-bit word changed from @from to @to (all as in memory). */
void csum_update(uint8_t *field, uint16_t from, uint16_t to);
