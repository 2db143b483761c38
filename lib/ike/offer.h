/* offer: SA payloads (RFC 2408 sections 3.4 to 3.6, RFC 2407 section 4.5, RFC 2409 appendix A)
 * against what policy offers.
 *
 * Initiator: write what we offer; later check that the answer is one of these, unchanged (RFC 2409
 * section 5: an answer whose attributes are others ends the exchange). Responder: choose; the
 * answer is the peer's own transform, byte for byte. Our order of preference decides: the first of
 * our offers that any of the peer's transforms fits.
 *
 * Lifetimes: a peer's value must lie in the offer's accepted range (0: no limit there), else the
 * transform does not fit. A peer that states none gets ours, but phase 2's default of 28,800
 * seconds when that is shorter (RFC 2407 section 4.5).
 *
 * AH and ESP for one tunnel are two proposal payloads of one number (RFC 2408 section 4.2: AND), each
 * with an SPI of its own; the answer has one transform for each. Both name the mode of the tunnel,
 * which is ESP's: AH stands behind ESP's outer header (a peer may say transport of it). Extended
 * sequence numbers are AH's, ESP has none. Other AND'ed protocols (with IPCOMP, twice the same,
 * three) are never chosen. */
#pragma once
#include "lib/base/wr.h"
#include "lib/ike/notify.h"
#include "lib/policy/ipsec.h"

enum { OFFER_TRANSFORMS_MAX = 256, OFFER_ANSWER_MAX = 256 };

/* Phase 1. */
struct p1_choice {
	size_t index;			  /* of our offers */
	struct kex_offer agreed;	  /* our offer, with the agreed lifetimes as "proposed" */
	uint8_t proposal, transform;	  /* their numbers */
	uint8_t answer[OFFER_ANSWER_MAX]; /* body of the SA payload to answer with */
	size_t answer_len;
};
/* Body of the SA payload: one proposal, a transform per offer (those that ike_suite_of
 * refuses are left out). Aggressive mode can offer only the first offer's group (RFC 2409
 * section 5.2): pass only these. The count of transforms; 0: nothing to offer. */
size_t offer_p1_write(struct wr *w, const struct kex_offer *offers, size_t n);
/* Responder. 0, or -EPROTO with NO-PROPOSAL-CHOSEN or what is malformed. */
int offer_p1_choose(const void *body, size_t len, const struct kex_offer *offers, size_t n,
	struct p1_choice *ret, struct ike_refusal *why);
/* Initiator: @body is the answer to the @sent body written from @offers. */
int offer_p1_check(const void *sent, size_t sent_len, const void *body, size_t len,
	const struct kex_offer *offers, size_t n, struct p1_choice *ret, struct ike_refusal *why);

/* Phase 2. */
enum ike_encap {
	ENCAP_TUNNEL = 1,
	ENCAP_TRANSPORT = 2,
	ENCAP_UDP_TUNNEL = 3,
	ENCAP_UDP_TRANSPORT = 4,
	ENCAP_UDP_TUNNEL_DRAFT = 61443,
	ENCAP_UDP_TRANSPORT_DRAFT = 61444
};

/* What both ends know before the SA payload. */
struct p2_terms {
	bool nat;   /* NAT found: UDP modes are offered, AH is not, and only UDP modes (either
		       numbers) are accepted */
	bool draft; /* the peer speaks draft-ietf-ipsec-nat-t-ike-02/03 only: 61443, 61444 */
	bool esn_allowed;
	uint32_t spi;		/* ours */
	uint32_t ah_spi;	/* ours, of an AH that stands over ESP */
	const uint16_t *groups; /* responder: acceptable PFS groups, 0 among them: none; initiator:
				   exactly one */
	size_t n_groups;
};
struct p2_choice {
	size_t index;		  /* of our offers */
	struct data_offer agreed; /* our offer, with the agreed lifetimes as "proposed", esn, udp
				     and tunnel as agreed */
	uint16_t encap, group;	  /* as agreed; group 0: no PFS */
	uint8_t proto;		  /* IPSEC_PROTO_ESP or _AH; ESP with AH over it: ESP */
	uint32_t spi;		  /* the peer's */
	uint32_t ah_spi;	  /* the peer's, of the AH over the ESP; 0: there is none */
	uint8_t proposal, transform;
	uint8_t answer[OFFER_ANSWER_MAX]; /* with our SPI */
	size_t answer_len;
};
/* One proposal per offer (two of one number for both protocols), numbered from 1, all with our SPI: an
 * offer with esn gives two transforms, with and without. The count of numbers. */
size_t offer_p2_write(
	struct wr *w, const struct data_offer *offers, size_t n, const struct p2_terms *t);
/* May be called with each anchor's offers in turn. */
int offer_p2_choose(const void *body, size_t len, const struct data_offer *offers, size_t n,
	const struct p2_terms *t, struct p2_choice *ret, struct ike_refusal *why);
int offer_p2_check(const void *sent, size_t sent_len, const void *body, size_t len,
	const struct data_offer *offers, size_t n, const struct p2_terms *t, struct p2_choice *ret,
	struct ike_refusal *why);

/* Is the body a well-formed SA payload of our DOI and situation? For messages that are only stored
 * or logged. */
int offer_sa_check(const void *body, size_t len, struct ike_refusal *why);
/* RESPONDER-LIFETIME and the like: life attributes (phase 1 or 2 numbers) of @len bytes; 0 what is
 * not stated. */
int offer_lifetimes_read(
	const void *attrs, size_t len, bool phase1, uint64_t *ret_seconds, uint64_t *ret_kbytes);
void offer_lifetimes_write(struct wr *w, bool phase1, uint32_t seconds, uint32_t kbytes);
