/* vid: vendor ids, by which IKEv1 peers tell what they can beyond the RFCs. */
#pragma once
#include "lib/ike/isakmp.h"

enum vid {
	VID_NATT_RFC = 1,      /* RFC 3947 */
	VID_NATT_DRAFT_03 = 2, /* draft-ietf-ipsec-nat-t-ike-03: payloads 130, 131; port 4500 */
	VID_NATT_DRAFT_02 = 4, /* -02, in both spellings: the same */
	VID_DPD = 8,	       /* RFC 3706, version 1.x */
	VID_FRAGMENTATION =
		16,	/* Windows', Cisco's and strongSwan's, with or without capability word */
	VID_XAUTH = 32, /* recognised only */
	VID_UNITY = 64,
	VID_RAVELIN = 128 /* ours */
};
/* One of enum vid; 0: unknown. */
unsigned vid_of(const void *body, size_t len);
/* All of a message's, or'ed. */
unsigned vids_of(const struct isakmp_payloads *p);
/* Adds a payload for every bit of @vids. */
void vid_add(struct isakmp_build *b, unsigned vids);
const char *vid_text(unsigned vid);
