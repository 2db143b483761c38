/* sa: the inside of an SA payload as lists (RFC 2408 sections 3.4 to 3.6): proposals, each with
 * transforms, each with attributes. Read strictly once, then compared with policy by offer. Borrows
 * from the payload. */
#pragma once
#include "lib/ike/attr.h"
#include "lib/ike/notify.h"
#include "lib/ike/offer.h"

enum { SA_PROPOSALS_MAX = 64, SA_ATTRS = 16 };

struct sa_proposal {
	uint8_t number, protocol, spi_len;
	bool bundled; /* another proposal payload has the same number: AND */
	const uint8_t *spi;
};
struct sa_transform {
	const struct sa_proposal *proposal;
	uint8_t number, id;
	const uint8_t *attrs;
	size_t attrs_len;
};
struct sa_list {
	size_t n_proposals, n_transforms;
	struct sa_proposal proposals[SA_PROPOSALS_MAX];
	struct sa_transform transforms[OFFER_TRANSFORMS_MAX]; /* of all proposals, in order */
};
/* 0 or -EPROTO. Attributes parse, too. */
int sa_read(const void *body, size_t len, struct sa_list *ret, struct ike_refusal *why);

/* A transform's attributes as numbers. */
struct sa_attrs {
	uint32_t
		present; /* bit per attribute type below SA_ATTRS, but for life type and duration */
	uint64_t value[SA_ATTRS];
	bool has_seconds, has_kbytes;
	uint64_t seconds, kbytes;
	bool odd; /* unknown, repeated or life attributes out of order: fits nothing */
};
void sa_decode(const void *attrs, size_t len, bool phase1, struct sa_attrs *ret);
bool sa_attrs_equal(const struct sa_attrs *a, const struct sa_attrs *b);
static inline bool sa_has(const struct sa_attrs *a, unsigned type)
{
	return a->present >> type & 1;
}

/* Writing: DOI and situation; a proposal with @n transforms, of which each is opened and closed by
 * lengths filled in later. */
struct sa_writer {
	struct wr *w;
	uint8_t *proposal, *transform; /* the last ones' generic headers; NULL: none yet */
};
void sa_begin(struct sa_writer *s, struct wr *w);
void sa_add_proposal(
	struct sa_writer *s, uint8_t number, uint8_t protocol, const void *spi, uint8_t spi_len);
void sa_add_transform(struct sa_writer *s, uint8_t number, uint8_t id);
/* Attributes go to s->w now. */
void sa_end(struct sa_writer *s);
/* The answer that chooses @t: its own bytes, with @spi (length as the peer's) in place of the
 * peer's; NULL: the peer's. */
size_t sa_answer(uint8_t *out, size_t size, const struct sa_transform *t, const void *spi);
/* The same of @n that are chosen together: a proposal for each. */
struct sa_chosen {
	const struct sa_transform *t;
	const void *spi;
};
size_t sa_answer_all(uint8_t *out, size_t size, const struct sa_chosen *v, size_t n);

/* Is @answer (exactly one transform, in phase 2 one of each of two AND'ed protocols) one of what was
 * @sent, with equal attributes? Numbers of proposals and transforms may differ: some peers count anew.
 * 0 or -EPROTO. */
int sa_answer_check(const struct sa_list *answer, const void *sent, size_t sent_len, bool phase1,
	struct ike_refusal *why);
