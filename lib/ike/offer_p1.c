#include "lib/ike/crypto.h"
#include "lib/ike/payload.h"
#include "lib/ike/sa.h"

enum { KEY_IKE = 1, AES_DEFAULT_BITS = 128 };
#define BIT(n) ((uint32_t)1 << (n))

static void write_life(struct wr *w, bool phase1, uint16_t what, uint32_t value)
{
	if (!value)
		return;
	attr_write(w, phase1 ? P1_LIFE_TYPE : P2_LIFE_TYPE, what);
	attr_write_u32(w, phase1 ? P1_LIFE : P2_LIFE, value);
}

void offer_lifetimes_write(struct wr *w, bool phase1, uint32_t seconds, uint32_t kbytes)
{
	write_life(w, phase1, IKE_LIFE_SECONDS, seconds);
	write_life(w, phase1, IKE_LIFE_KBYTES, kbytes);
}

int offer_lifetimes_read(
	const void *attrs, size_t len, bool phase1, uint64_t *ret_seconds, uint64_t *ret_kbytes)
{
	struct sa_attrs a;

	sa_decode(attrs, len, phase1, &a);
	if (a.odd)
		return -EPROTO;
	*ret_seconds = a.seconds;
	*ret_kbytes = a.kbytes;
	return 0;
}

int offer_sa_check(const void *body, size_t len, struct ike_refusal *why)
{
	struct sa_list list;
	return sa_read(body, len, &list, why);
}

size_t offer_p1_write(struct wr *w, const struct kex_offer *offers, size_t n)
{
	struct ike_suite suite;
	struct sa_writer s;
	uint8_t number = 0;

	sa_begin(&s, w);
	sa_add_proposal(&s, 1, IKE_PROTO_ISAKMP, NULL, 0);
	for (size_t i = 0; i < n && number < UINT8_MAX; i++) {
		const struct kex_offer *o = &offers[i];
		if (ike_suite_of(o, &suite))
			continue;
		sa_add_transform(&s, ++number, KEY_IKE);
		attr_write(w, P1_ENC, o->enc);
		if (o->enc == IKE_ENC_AES)
			attr_write(w, P1_KEY_LENGTH, o->key_bits);
		attr_write(w, P1_HASH, o->hash);
		attr_write(w, P1_AUTH, o->auth);
		attr_write(w, P1_GROUP, o->group);
		if (o->xcbc)
			attr_write(w, P1_PRF, P1_PRF_AES128_XCBC);
		offer_lifetimes_write(w, true, o->seconds.proposed, o->kbytes.proposed);
	}
	sa_end(&s);
	return number;
}

static bool life_fits(const struct life *l, bool stated, uint64_t value)
{
	return !stated || (value && value >= l->lo && (!l->hi || value <= l->hi));
}

static uint32_t life_agreed(const struct life *l, bool stated, uint64_t value)
{
	return !stated ? l->proposed : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static bool fits(const struct kex_offer *o, const struct sa_attrs *a)
{
	const uint32_t must = BIT(P1_ENC) | BIT(P1_HASH) | BIT(P1_AUTH) | BIT(P1_GROUP);
	const uint32_t may = must | BIT(P1_KEY_LENGTH) | BIT(P1_PRF);
	uint64_t bits = sa_has(a, P1_KEY_LENGTH) ? a->value[P1_KEY_LENGTH] : AES_DEFAULT_BITS;

	if (a->odd || (a->present & must) != must || a->present & ~may)
		return false;
	if (o->enc == IKE_ENC_AES ? bits != o->key_bits : sa_has(a, P1_KEY_LENGTH))
		return false;
	if (o->xcbc != sa_has(a, P1_PRF) || (o->xcbc && a->value[P1_PRF] != P1_PRF_AES128_XCBC))
		return false;
	return a->value[P1_ENC] == o->enc && a->value[P1_HASH] == o->hash &&
	       a->value[P1_AUTH] == o->auth && a->value[P1_GROUP] == o->group &&
	       life_fits(&o->seconds, a->has_seconds, a->seconds) &&
	       life_fits(&o->kbytes, a->has_kbytes, a->kbytes);
}

static int choose(const struct sa_list *list, const struct kex_offer *offers, size_t n,
	struct p1_choice *ret, struct ike_refusal *why)
{
	struct ike_suite suite;
	struct sa_attrs a;

	for (size_t i = 0; i < n; i++) {
		if (ike_suite_of(&offers[i], &suite))
			continue;
		for (size_t k = 0; k < list->n_transforms; k++) {
			const struct sa_transform *t = &list->transforms[k];
			if (t->proposal->protocol != IKE_PROTO_ISAKMP || t->proposal->bundled ||
				t->id != KEY_IKE)
				continue;
			sa_decode(t->attrs, t->attrs_len, true, &a);
			if (!fits(&offers[i], &a))
				continue;
			struct p1_choice c = {.index = i,
				.agreed = offers[i],
				.proposal = t->proposal->number,
				.transform = t->number};
			c.answer_len = sa_answer(c.answer, sizeof(c.answer), t, NULL);
			if (!c.answer_len)
				continue;
			c.agreed.seconds.proposed =
				life_agreed(&offers[i].seconds, a.has_seconds, a.seconds);
			c.agreed.kbytes.proposed =
				life_agreed(&offers[i].kbytes, a.has_kbytes, a.kbytes);
			*ret = c;
			return 0;
		}
	}
	return ike_refuse(why, NOTIFY_NO_PROPOSAL_CHOSEN,
		"none of the peer's transforms is offered by policy");
}

int offer_p1_choose(const void *body, size_t len, const struct kex_offer *offers, size_t n,
	struct p1_choice *ret, struct ike_refusal *why)
{
	struct sa_list list;
	int rc = sa_read(body, len, &list, why);
	return rc ? rc : choose(&list, offers, n, ret, why);
}

int offer_p1_check(const void *sent, size_t sent_len, const void *body, size_t len,
	const struct kex_offer *offers, size_t n, struct p1_choice *ret, struct ike_refusal *why)
{
	struct sa_list list;
	int rc = sa_read(body, len, &list, why);

	if (!rc)
		rc = sa_answer_check(&list, sent, sent_len, true, why);
	return rc ? rc : choose(&list, offers, n, ret, why);
}
