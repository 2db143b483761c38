/* attr: data attributes (RFC 2408 section 3.3): type and value, either "basic" (16 bits, in place
 * of the length) or of variable length. Many values may come in both forms; equal numbers are equal
 * whatever form they came in. */
#pragma once
#include "lib/base/rd.h"
#include "lib/base/wr.h"

enum ike_p1_attr {
	P1_ENC = 1,
	P1_HASH = 2,
	P1_AUTH = 3,
	P1_GROUP = 4,
	P1_LIFE_TYPE = 11,
	P1_LIFE = 12,
	P1_PRF = 13,
	P1_KEY_LENGTH = 14
};
enum ike_p2_attr {
	P2_LIFE_TYPE = 1,
	P2_LIFE = 2,
	P2_GROUP = 3,
	P2_ENCAP = 4,
	P2_AUTH = 5,
	P2_KEY_LENGTH = 6,
	P2_KEY_ROUNDS = 7,
	P2_ESN = 11
};
enum { IKE_LIFE_SECONDS = 1, IKE_LIFE_KBYTES = 2 };

/* There are no negotiable prfs in IANA's registry of IKEv1 (RFC 2409 appendix A); VPN-B of RFC 4308
 * needs one. Among peers who agree, the private range serves: 65000 + IKEv2's number of
 * PRF_AES128_XCBC. A peer that does not know it refuses the transform. The hash of such a suite
 * (IVs, NAT-D) stays what the hash attribute says. */
enum { P1_PRF_AES128_XCBC = 65004 };

struct ike_attr {
	uint16_t type;
	bool basic;
	const uint8_t *data; /* 2 bytes when basic */
	size_t len;
};
/* 1: an attribute; 0: no more; -EPROTO: does not parse. */
int attr_next(struct rd *r, struct ike_attr *ret);
/* The value as number, saturating at UINT64_MAX (a lifetime of 20 bytes is "very long"). */
uint64_t attr_number(const struct ike_attr *a);
void attr_write(struct wr *w, uint16_t type, uint16_t value);
void attr_write_u32(
	struct wr *w, uint16_t type, uint32_t value); /* basic when it fits, 4 bytes otherwise */
