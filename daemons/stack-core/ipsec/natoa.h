/* natoa: checksums behind a NAT (RFC 3948 section 3.1.2). In transport mode TCP and UDP were summed over the addresses that
 * their sender saw; a NAT changed the packet's addresses and could not reach the checksum inside ESP. IKE told us the
 * original addresses, so the checksum is corrected by the difference. */
#pragma once
#include "daemons/stack-core/ipsec/sa.h"

/* @d: the opened packet of @len bytes; its transport header of kind @next stands at @hdr_len. */
void natoa_fix(const struct sa_params *sa, uint8_t *d, uint32_t hdr_len, uint32_t len, uint8_t next);
