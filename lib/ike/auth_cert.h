/* auth_cert: certificates of peers and the CAs they must come from; auth's other half. */
#pragma once
#include "lib/ike/engine.h"

/* The CAs that the negotiation's rule takes certificates of; NULL: the signer has not told yet. */
const struct verify_trust *auth_trust(const struct p1 *p);
/* The peer's chain, identity and signature over @hash (suite.prf_len bytes). */
int auth_check_signature(struct p1 *p, const uint8_t *hash, const struct isakmp_payload *sig, struct ike_refusal *why);
