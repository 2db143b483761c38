#include "lib/ike/sa.h"
#include "lib/ike/payload.h"
#include <string.h>

enum { SUB_HEADER = 4, NEXT_PROPOSAL = 2, NEXT_TRANSFORM = 3, TRANSFORM_COUNT_AT = 7 };

/* One link of the inner chains: next, reserved, length. Sets @r to the inside and moves @chain on.
 */
static int take_link(
	struct rd *chain, uint8_t expect, bool *more, struct rd *inside, struct ike_refusal *why)
{
	uint8_t next = rd_u8(chain), reserved = rd_u8(chain);
	uint16_t length = rd_u16(chain);

	if (!rd_ok(chain) || length < SUB_HEADER || (size_t)length - SUB_HEADER > rd_left(chain))
		return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX,
			"a proposal or transform is longer than what holds it");
	if (reserved || (next && next != expect))
		return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX,
			"a proposal or transform with a wrong next payload or reserved byte");
	*more = next;
	*inside = rd_init(chain->p, (size_t)length - SUB_HEADER);
	(void)rd_bytes(chain, (size_t)length - SUB_HEADER);
	return 0;
}

static int read_transform(
	struct rd r, const struct sa_proposal *p, struct sa_list *ret, struct ike_refusal *why)
{
	struct ike_attr a;
	struct sa_transform t = {.proposal = p};
	int rc;

	t.number = rd_u8(&r);
	t.id = rd_u8(&r);
	uint16_t reserved = rd_u16(&r);
	if (!rd_ok(&r) || reserved)
		return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX, "a transform too short");
	t.attrs = r.p;
	t.attrs_len = rd_left(&r);
	while ((rc = attr_next(&r, &a)) > 0) {
	}
	if (rc)
		return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX, "attributes do not parse");
	if (ret->n_transforms == OFFER_TRANSFORMS_MAX)
		return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX, "too many transforms");
	ret->transforms[ret->n_transforms++] = t;
	return 0;
}

static int read_proposal(struct rd r, struct sa_list *ret, struct ike_refusal *why)
{
	struct sa_proposal *p = &ret->proposals[ret->n_proposals];
	struct rd inside;
	bool more = true;
	int rc = 0;

	p->number = rd_u8(&r);
	p->protocol = rd_u8(&r);
	p->spi_len = rd_u8(&r);
	p->bundled = false;
	uint8_t count = rd_u8(&r);
	p->spi = rd_bytes(&r, p->spi_len);
	if (!rd_ok(&r) || p->spi_len > IKE_SPI_MAX)
		return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX, "a proposal too short");
	for (size_t i = 0; i < ret->n_proposals; i++) {
		if (ret->proposals[i].number == p->number)
			ret->proposals[i].bundled = p->bundled = true;
	}
	ret->n_proposals++;
	for (unsigned i = 0; i < count && !rc; i++) {
		if (!more)
			return ike_refuse(
				why, NOTIFY_BAD_PROPOSAL_SYNTAX, "fewer transforms than stated");
		rc = take_link(&r, NEXT_TRANSFORM, &more, &inside, why);
		if (!rc)
			rc = read_transform(inside, p, ret, why);
	}
	if (!rc && (!count || more || rd_left(&r)))
		return ike_refuse(
			why, NOTIFY_BAD_PROPOSAL_SYNTAX, "not the number of transforms stated");
	return rc;
}

int sa_read(const void *body, size_t len, struct sa_list *ret, struct ike_refusal *why)
{
	struct rd r = rd_init(body, len), inside;
	uint32_t doi = rd_u32(&r), situation = rd_u32(&r);

	ret->n_proposals = ret->n_transforms = 0;
	if (!rd_ok(&r))
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "SA payload too short");
	if (doi != IKE_DOI_IPSEC)
		return ike_refuse(why, NOTIFY_DOI_NOT_SUPPORTED, "an SA payload of another DOI");
	if (situation != IKE_SIT_IDENTITY_ONLY)
		return ike_refuse(why, NOTIFY_SITUATION_NOT_SUPPORTED,
			"a situation other than identity only");
	for (bool more = true; more;) {
		if (ret->n_proposals == SA_PROPOSALS_MAX)
			return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX, "too many proposals");
		int rc = take_link(&r, NEXT_PROPOSAL, &more, &inside, why);
		if (!rc)
			rc = read_proposal(inside, ret, why);
		if (rc)
			return rc;
	}
	if (rd_left(&r))
		return ike_refuse(
			why, NOTIFY_BAD_PROPOSAL_SYNTAX, "bytes are left behind the proposals");
	return 0;
}

static void decode_life(struct sa_attrs *s, uint64_t type, uint64_t value)
{
	if (type == IKE_LIFE_SECONDS && !s->has_seconds) {
		s->has_seconds = true;
		s->seconds = value;
	} else if (type == IKE_LIFE_KBYTES && !s->has_kbytes) {
		s->has_kbytes = true;
		s->kbytes = value;
	} else {
		s->odd = true;
	}
}

void sa_decode(const void *attrs, size_t len, bool phase1, struct sa_attrs *ret)
{
	struct rd r = rd_init(attrs, len);
	uint16_t type_of_life = phase1 ? P1_LIFE_TYPE : P2_LIFE_TYPE;
	uint16_t life = phase1 ? P1_LIFE : P2_LIFE;
	uint64_t life_type = 0; /* stated, and its duration still to come */
	struct ike_attr a;

	memset(ret, 0, sizeof(*ret));
	while (attr_next(&r, &a) > 0) {
		uint64_t value = attr_number(&a);
		if (a.type == type_of_life) {
			ret->odd = ret->odd || life_type || !value;
			life_type = value;
		} else if (a.type == life) {
			decode_life(ret, life_type, value);
			life_type = 0;
		} else if (a.type >= SA_ATTRS || sa_has(ret, a.type)) {
			ret->odd = true;
		} else {
			ret->present |= (uint32_t)1 << a.type;
			ret->value[a.type] = value;
		}
	}
	ret->odd = ret->odd || life_type || !rd_ok(&r);
}

bool sa_attrs_equal(const struct sa_attrs *a, const struct sa_attrs *b)
{
	return !a->odd && !b->odd && a->present == b->present && a->has_seconds == b->has_seconds &&
	       a->has_kbytes == b->has_kbytes && a->seconds == b->seconds &&
	       a->kbytes == b->kbytes && memcmp(a->value, b->value, sizeof(a->value)) == 0;
}

static void fill_length(const struct sa_writer *s, uint8_t *header)
{
	if (!header || !wr_ok(s->w))
		return;
	size_t len = (size_t)(s->w->p - header);
	header[2] = (uint8_t)(len >> 8);
	header[3] = (uint8_t)len;
}

void sa_begin(struct sa_writer *s, struct wr *w)
{
	*s = (struct sa_writer){.w = w};
	wr_u32(w, IKE_DOI_IPSEC);
	wr_u32(w, IKE_SIT_IDENTITY_ONLY);
}

static uint8_t *add_link(struct sa_writer *s, uint8_t *last, uint8_t type)
{
	if (last && wr_ok(s->w))
		last[0] = type;
	uint8_t *header = wr_space(s->w, SUB_HEADER);
	if (header)
		memset(header, 0, SUB_HEADER);
	return header;
}

void sa_add_proposal(
	struct sa_writer *s, uint8_t number, uint8_t protocol, const void *spi, uint8_t spi_len)
{
	sa_end(s);
	s->proposal = add_link(s, s->proposal, NEXT_PROPOSAL);
	s->transform = NULL;
	wr_u8(s->w, number);
	wr_u8(s->w, protocol);
	wr_u8(s->w, spi_len);
	wr_u8(s->w, 0);
	wr_bytes(s->w, spi, spi_len);
}

void sa_add_transform(struct sa_writer *s, uint8_t number, uint8_t id)
{
	fill_length(s, s->transform);
	s->transform = add_link(s, s->transform, NEXT_TRANSFORM);
	if (s->transform && s->proposal)
		s->proposal[TRANSFORM_COUNT_AT]++;
	wr_u8(s->w, number);
	wr_u8(s->w, id);
	wr_u16(s->w, 0);
}

void sa_end(struct sa_writer *s)
{
	fill_length(s, s->transform);
	fill_length(s, s->proposal);
}

size_t sa_answer_all(uint8_t *out, size_t size, const struct sa_chosen *v, size_t n)
{
	struct wr w = wr_init(out, size);
	struct sa_writer s;

	sa_begin(&s, &w);
	for (size_t i = 0; i < n; i++) {
		const struct sa_transform *t = v[i].t;
		sa_add_proposal(&s, t->proposal->number, t->proposal->protocol,
			v[i].spi ? v[i].spi : t->proposal->spi, t->proposal->spi_len);
		sa_add_transform(&s, t->number, t->id);
		wr_bytes(&w, t->attrs, t->attrs_len);
	}
	sa_end(&s);
	return wr_ok(&w) ? wr_len(&w) : 0;
}

size_t sa_answer(uint8_t *out, size_t size, const struct sa_transform *t, const void *spi)
{
	return sa_answer_all(out, size, &(struct sa_chosen){t, spi}, 1);
}

/* Is @got what @t offered? */
static bool same_transform(const struct sa_transform *got, const struct sa_transform *t, bool phase1)
{
	struct sa_attrs a, b;

	if (t->id != got->id || t->proposal->protocol != got->proposal->protocol ||
		t->proposal->bundled != got->proposal->bundled)
		return false;
	sa_decode(got->attrs, got->attrs_len, phase1, &a);
	sa_decode(t->attrs, t->attrs_len, phase1, &b);
	return sa_attrs_equal(&a, &b);
}

/* One transform; or two, of different protocols in two proposals of one number. */
static bool well_chosen(const struct sa_list *answer, bool phase1)
{
	const struct sa_transform *t = answer->transforms;

	if (answer->n_transforms == 1)
		return answer->n_proposals == 1;
	return !phase1 && answer->n_transforms == 2 && answer->n_proposals == 2 && t[0].proposal != t[1].proposal &&
	       t[0].proposal->number == t[1].proposal->number && t[0].proposal->protocol != t[1].proposal->protocol;
}

int sa_answer_check(const struct sa_list *answer, const void *sent, size_t sent_len, bool phase1,
	struct ike_refusal *why)
{
	const struct sa_transform *got = answer->transforms;
	struct sa_list list;
	int rc = sa_read(sent, sent_len, &list, why);

	if (rc)
		return rc;
	if (!well_chosen(answer, phase1))
		return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX,
			"the answer does not choose one transform");
	for (size_t i = 0; i < list.n_transforms; i++) {
		const struct sa_transform *t = &list.transforms[i];
		if (!same_transform(got, t, phase1))
			continue;
		if (answer->n_transforms == 1)
			return 0;
		for (size_t k = 0; k < list.n_transforms; k++) {
			const struct sa_transform *o = &list.transforms[k];
			if (o->proposal->number == t->proposal->number && same_transform(got + 1, o, phase1))
				return 0;
		}
	}
	return ike_refuse(why, NOTIFY_BAD_PROPOSAL_SYNTAX, "the answer is not what was offered");
}
