/* natd: is there a NAT between us? (RFC 3947 section 3.2) Each end sends hashes of the addresses it
 * sees, with the ports; a hash that the other cannot find again was translated on the way. */
#pragma once
#include "lib/ike/crypto.h"
#include "lib/ike/isakmp.h"

/* HASH(CKY-I | CKY-R | IP | port) with the phase 1 hash. ike_hash_len(hash) bytes. 0, -EINVAL
 * (address unset), -EIO. */
int natd_hash(uint16_t hash, const uint8_t icookie[ISAKMP_COOKIE],
	const uint8_t rcookie[ISAKMP_COOKIE], const struct addr *a, uint16_t port, uint8_t *out);

struct natd_result {
	bool local, remote; /* behind a NAT */
};
/* Judges a peer's NAT-D payloads of @type: the first is about us (the remote end first, 3.2), all
 * others about itself, of which one must fit. -EPROTO: fewer than two (EZD1098I rsn 2), or one of
 * the wrong length (rsn 1). */
int natd_judge(uint16_t hash, const struct isakmp_header *h, const struct isakmp_payloads *p,
	uint8_t type, const struct addr *local, uint16_t local_port, const struct addr *remote,
	uint16_t remote_port, struct natd_result *ret, struct ike_refusal *why);
