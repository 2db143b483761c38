#include "lib/ike/keymat.h"
#include "lib/ike/payload.h"
#include "lib/ike/sa.h"

enum { SPI_LEN = 4, SPI_LOWEST = 256, AES_DEFAULT_BITS = 128, LIFE_DEFAULT = 28800, ESN_64 = 1 };
#define BIT(n) ((uint32_t)1 << (n))

/* AH's transforms are numbered otherwise than the authentication attribute (RFC 2407 sections 4.4.3
 * and 4.5). */
static uint8_t ah_transform(uint16_t auth)
{
	return (uint8_t)(auth == IPSEC_AUTH_MD5 || auth == IPSEC_AUTH_SHA1 ? auth + 1 : auth);
}

/* Can this offer be sent or accepted under these terms at all? */
static bool usable(const struct data_offer *o, const struct p2_terms *t)
{
	uint16_t enc, auth;

	if (o->ah && (o->esp || t->nat || o->udp))
		return false;
	return ike_key_sizes(o->ah ? IPSEC_PROTO_AH : IPSEC_PROTO_ESP, o->esp, o->key_bits, o->auth,
		       &enc, &auth) == 0;
}

static bool has_key_length(uint16_t esp)
{
	return esp == IPSEC_ESP_AES_CBC || esp == IPSEC_ESP_AES_CTR ||
	       esp == IPSEC_ESP_AES_CCM_16 || esp == IPSEC_ESP_AES_GCM_16 ||
	       esp == IPSEC_ESP_AES_GMAC;
}

static uint16_t encap_of(const struct data_offer *o, const struct p2_terms *t)
{
	if (!t->nat && !o->udp)
		return o->tunnel ? ENCAP_TUNNEL : ENCAP_TRANSPORT;
	if (t->draft)
		return o->tunnel ? ENCAP_UDP_TUNNEL_DRAFT : ENCAP_UDP_TRANSPORT_DRAFT;
	return o->tunnel ? ENCAP_UDP_TUNNEL : ENCAP_UDP_TRANSPORT;
}

static void write_transform(struct sa_writer *s, uint8_t number, const struct data_offer *o,
	const struct p2_terms *t, bool esn)
{
	struct wr *w = s->w;

	sa_add_transform(s, number, o->ah ? ah_transform(o->auth) : (uint8_t)o->esp);
	offer_lifetimes_write(w, false, o->seconds.proposed, o->kbytes.proposed);
	if (t->n_groups && t->groups[0])
		attr_write(w, P2_GROUP, t->groups[0]);
	attr_write(w, P2_ENCAP, encap_of(o, t));
	if (o->auth)
		attr_write(w, P2_AUTH, o->auth);
	if (!o->ah && has_key_length(o->esp))
		attr_write(w, P2_KEY_LENGTH, o->key_bits ? o->key_bits : AES_DEFAULT_BITS);
	if (esn)
		attr_write(w, P2_ESN, ESN_64);
}

size_t offer_p2_write(
	struct wr *w, const struct data_offer *offers, size_t n, const struct p2_terms *t)
{
	struct wr spi = wr_init((uint8_t[SPI_LEN]){0}, SPI_LEN);
	struct sa_writer s;
	size_t written = 0;

	wr_u32(&spi, t->spi);
	sa_begin(&s, w);
	for (size_t i = 0; i < n && written < SA_PROPOSALS_MAX; i++) {
		uint8_t number = 1;
		if (!usable(&offers[i], t))
			continue;
		sa_add_proposal(&s, (uint8_t)++written,
			offers[i].ah ? IPSEC_PROTO_AH : IPSEC_PROTO_ESP, spi.start, SPI_LEN);
		if (offers[i].esn && t->esn_allowed)
			write_transform(&s, number++, &offers[i], t, true);
		write_transform(&s, number, &offers[i], t, false);
	}
	sa_end(&s);
	return written;
}

static bool group_fits(const struct p2_terms *t, uint64_t group)
{
	for (size_t i = 0; i < t->n_groups; i++) {
		if (t->groups[i] == group)
			return true;
	}
	return !t->n_groups && !group;
}

static bool encap_fits(const struct data_offer *o, const struct p2_terms *t, uint64_t encap)
{
	struct p2_terms other = *t;

	other.draft = !t->draft;
	return encap == encap_of(o, t) || encap == encap_of(o, &other);
}

static bool life_fits(const struct life *l, bool stated, uint64_t value)
{
	return !stated || (value && value >= l->lo && (!l->hi || value <= l->hi));
}

static bool algorithm_fits(
	const struct data_offer *o, const struct sa_transform *t, const struct sa_attrs *a)
{
	uint64_t bits = sa_has(a, P2_KEY_LENGTH) ? a->value[P2_KEY_LENGTH] : AES_DEFAULT_BITS;
	uint16_t want_bits = o->key_bits ? o->key_bits : AES_DEFAULT_BITS;

	if (t->proposal->protocol != (o->ah ? IPSEC_PROTO_AH : IPSEC_PROTO_ESP))
		return false;
	if (o->ah)
		return t->id == ah_transform(o->auth) && a->value[P2_AUTH] == o->auth &&
		       !sa_has(a, P2_KEY_LENGTH);
	if (t->id != o->esp || a->value[P2_AUTH] != o->auth)
		return false;
	return has_key_length(o->esp) ? bits == want_bits : !sa_has(a, P2_KEY_LENGTH);
}

/* All but the question of extended sequence numbers. */
static bool fits(const struct data_offer *o, const struct p2_terms *t, const struct sa_transform *x,
	const struct sa_attrs *a)
{
	const uint32_t may =
		BIT(P2_GROUP) | BIT(P2_ENCAP) | BIT(P2_AUTH) | BIT(P2_KEY_LENGTH) | BIT(P2_ESN);

	return !a->odd && !(a->present & ~may) && !x->proposal->bundled &&
	       x->proposal->spi_len == SPI_LEN && algorithm_fits(o, x, a) &&
	       encap_fits(o, t, a->value[P2_ENCAP]) && group_fits(t, a->value[P2_GROUP]) &&
	       life_fits(&o->seconds, a->has_seconds, a->seconds) &&
	       life_fits(&o->kbytes, a->has_kbytes, a->kbytes);
}

static uint32_t life_agreed(const struct life *l, bool stated, uint64_t value, uint32_t otherwise)
{
	if (stated)
		return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
	return otherwise && (!l->proposed || l->proposed > otherwise) ? otherwise : l->proposed;
}

static void agree(const struct data_offer *o, const struct sa_transform *x,
	const struct sa_attrs *a, struct p2_choice *c)
{
	struct rd spi = rd_init(x->proposal->spi, SPI_LEN);

	c->agreed = *o;
	c->agreed.seconds.proposed =
		life_agreed(&o->seconds, a->has_seconds, a->seconds, LIFE_DEFAULT);
	c->agreed.kbytes.proposed = life_agreed(&o->kbytes, a->has_kbytes, a->kbytes, 0);
	c->encap = (uint16_t)a->value[P2_ENCAP];
	c->agreed.udp = c->encap != ENCAP_TUNNEL && c->encap != ENCAP_TRANSPORT;
	c->agreed.esn = sa_has(a, P2_ESN);
	if (!o->ah && has_key_length(o->esp) && !o->key_bits)
		c->agreed.key_bits = AES_DEFAULT_BITS;
	c->group = (uint16_t)a->value[P2_GROUP];
	c->proto = x->proposal->protocol;
	c->spi = rd_u32(&spi);
	c->proposal = x->proposal->number;
	c->transform = x->number;
}

static int choose(const struct sa_list *list, const struct data_offer *offers, size_t n,
	const struct p2_terms *t, struct p2_choice *ret, struct ike_refusal *why)
{
	uint8_t our_spi[SPI_LEN] = {(uint8_t)(t->spi >> 24), (uint8_t)(t->spi >> 16),
		(uint8_t)(t->spi >> 8), (uint8_t)t->spi};
	uint16_t notify = NOTIFY_NO_PROPOSAL_CHOSEN;
	struct sa_attrs a;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < list->n_transforms && usable(&offers[i], t); k++) {
			const struct sa_transform *x = &list->transforms[k];
			struct p2_choice c = {.index = i};
			sa_decode(x->attrs, x->attrs_len, false, &a);
			if (!fits(&offers[i], t, x, &a))
				continue;
			if (sa_has(&a, P2_ESN) &&
				(a.value[P2_ESN] != ESN_64 || !offers[i].esn || !t->esn_allowed)) {
				notify = NOTIFY_ATTRIBUTES_NOT_SUPPORTED;
				continue;
			}
			agree(&offers[i], x, &a, &c);
			c.answer_len = sa_answer(c.answer, sizeof(c.answer), x, our_spi);
			if (c.spi < SPI_LOWEST || !c.answer_len)
				continue;
			*ret = c;
			return 0;
		}
	}
	return ike_refuse(why, notify, "none of the peer's transforms is offered by policy");
}

int offer_p2_choose(const void *body, size_t len, const struct data_offer *offers, size_t n,
	const struct p2_terms *t, struct p2_choice *ret, struct ike_refusal *why)
{
	struct sa_list list;
	int rc = sa_read(body, len, &list, why);
	return rc ? rc : choose(&list, offers, n, t, ret, why);
}

int offer_p2_check(const void *sent, size_t sent_len, const void *body, size_t len,
	const struct data_offer *offers, size_t n, const struct p2_terms *t, struct p2_choice *ret,
	struct ike_refusal *why)
{
	struct sa_list list;
	int rc = sa_read(body, len, &list, why);

	if (!rc)
		rc = sa_answer_check(&list, sent, sent_len, false, why);
	return rc ? rc : choose(&list, offers, n, t, ret, why);
}
