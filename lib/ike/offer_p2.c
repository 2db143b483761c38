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

/* An offer of both protocols as what each of them has to do; else @o itself. The AH comes first. How many. */
static size_t parts_of(const struct data_offer *o, struct data_offer parts[2])
{
	parts[0] = parts[1] = *o;
	if (!o->ah || !o->esp)
		return 1;
	parts[0].esp = parts[0].key_bits = 0;
	parts[1].ah = parts[1].esn = false;
	parts[1].auth = IPSEC_AUTH_NONE;
	return 2;
}

/* Can this offer be sent or accepted under these terms at all? */
static bool usable(const struct data_offer *o, const struct p2_terms *t)
{
	struct data_offer parts[2];
	size_t n = parts_of(o, parts);
	uint16_t enc, auth;

	if (o->ah && (t->nat || o->udp))
		return false;
	for (size_t i = 0; i < n; i++)
		if (ike_key_sizes(parts[i].ah ? IPSEC_PROTO_AH : IPSEC_PROTO_ESP, parts[i].esp, parts[i].key_bits,
			    parts[i].auth, &enc, &auth))
			return false;
	return true;
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

static void write_proposal(struct sa_writer *s, uint8_t number, const struct data_offer *o, const struct p2_terms *t, uint32_t spi)
{
	struct wr w = wr_init((uint8_t[SPI_LEN]){0}, SPI_LEN);
	uint8_t transform = 1;

	wr_u32(&w, spi);
	sa_add_proposal(s, number, o->ah ? IPSEC_PROTO_AH : IPSEC_PROTO_ESP, w.start, SPI_LEN);
	if (o->esn && t->esn_allowed)
		write_transform(s, transform++, o, t, true);
	write_transform(s, transform, o, t, false);
}

size_t offer_p2_write(
	struct wr *w, const struct data_offer *offers, size_t n, const struct p2_terms *t)
{
	struct sa_writer s;
	size_t written = 0, proposals = 0;

	sa_begin(&s, w);
	for (size_t i = 0; i < n; i++) {
		struct data_offer parts[2];
		size_t n_parts = parts_of(&offers[i], parts);
		if (!usable(&offers[i], t) || proposals + n_parts > SA_PROPOSALS_MAX)
			continue;
		proposals += n_parts;
		written++;
		for (size_t k = 0; k < n_parts; k++)
			write_proposal(&s, (uint8_t)written, &parts[k], t, n_parts == 2 && !k ? t->ah_spi : t->spi);
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

/* All but the mode and the question of extended sequence numbers. */
static bool fits(const struct data_offer *o, const struct p2_terms *t, const struct sa_transform *x,
	const struct sa_attrs *a)
{
	const uint32_t may =
		BIT(P2_GROUP) | BIT(P2_ENCAP) | BIT(P2_AUTH) | BIT(P2_KEY_LENGTH) | BIT(P2_ESN);

	return !a->odd && !(a->present & ~may) &&
	       x->proposal->spi_len == SPI_LEN && algorithm_fits(o, x, a) &&
	       group_fits(t, a->value[P2_GROUP]) &&
	       life_fits(&o->seconds, a->has_seconds, a->seconds) &&
	       life_fits(&o->kbytes, a->has_kbytes, a->kbytes);
}

static uint32_t life_agreed(const struct life *l, bool stated, uint64_t value, uint32_t otherwise)
{
	if (stated)
		return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
	return otherwise && (!l->proposed || l->proposed > otherwise) ? otherwise : l->proposed;
}

static uint32_t spi_of(const struct sa_transform *x)
{
	struct rd spi = rd_init(x->proposal->spi, SPI_LEN);

	return rd_u32(&spi);
}

/* Has it the numbers that the offer allows? @notify: what to say if nothing else fits either. */
static bool esn_fits(const struct data_offer *o, const struct p2_terms *t, const struct sa_attrs *a, uint16_t *notify)
{
	if (!sa_has(a, P2_ESN) || (a->value[P2_ESN] == ESN_64 && o->esn && t->esn_allowed))
		return true;
	*notify = NOTIFY_ATTRIBUTES_NOT_SUPPORTED;
	return false;
}

static void agree(const struct data_offer *o, const struct sa_transform *x,
	const struct sa_attrs *a, struct p2_choice *c)
{
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
	c->spi = spi_of(x);
	c->proposal = x->proposal->number;
	c->transform = x->number;
}

static const uint8_t *spi_bytes(uint32_t spi, uint8_t out[SPI_LEN])
{
	struct wr w = wr_init(out, SPI_LEN);

	wr_u32(&w, spi);
	return out;
}

/* One protocol. */
static bool choose_one(const struct sa_list *list, const struct data_offer *o, const struct p2_terms *t, struct p2_choice *c,
	uint16_t *notify)
{
	uint8_t spi[SPI_LEN];
	struct sa_attrs a;

	for (size_t k = 0; k < list->n_transforms; k++) {
		const struct sa_transform *x = &list->transforms[k];
		if (x->proposal->bundled)
			continue;
		sa_decode(x->attrs, x->attrs_len, false, &a);
		if (!fits(o, t, x, &a) || !encap_fits(o, t, a.value[P2_ENCAP]) || !esn_fits(o, t, &a, notify))
			continue;
		agree(o, x, &a, c);
		c->answer_len = sa_answer(c->answer, sizeof(c->answer), x, spi_bytes(t->spi, spi));
		if (c->spi >= SPI_LOWEST && c->answer_len)
			return true;
	}
	return false;
}

/* The one proposal that is AND'ed with @p; NULL: none, or several. */
static const struct sa_proposal *partner(const struct sa_list *list, const struct sa_proposal *p)
{
	const struct sa_proposal *found = NULL;

	for (size_t i = 0; i < list->n_proposals; i++) {
		const struct sa_proposal *o = &list->proposals[i];
		if (o == p || o->number != p->number)
			continue;
		if (found)
			return NULL;
		found = o;
	}
	return found;
}

/* @c has what was agreed of the ESP; the AH's @x may shorten the pair's life. */
static void agree_over(const struct data_offer *o, const struct sa_transform *x, const struct sa_attrs *a, struct p2_choice *c)
{
	uint32_t s = life_agreed(&o->seconds, a->has_seconds, a->seconds, LIFE_DEFAULT),
		 kb = life_agreed(&o->kbytes, a->has_kbytes, a->kbytes, 0);

	c->agreed.ah = true;
	c->agreed.auth = o->auth;
	c->agreed.esn = sa_has(a, P2_ESN);
	if (s && (!c->agreed.seconds.proposed || s < c->agreed.seconds.proposed))
		c->agreed.seconds.proposed = s;
	if (kb && (!c->agreed.kbytes.proposed || kb < c->agreed.kbytes.proposed))
		c->agreed.kbytes.proposed = kb;
	c->ah_spi = spi_of(x);
}

/* The ESP that goes with the AH of @over, if there is one. */
static bool choose_under(const struct sa_list *list, const struct data_offer parts[2], const struct p2_terms *t,
	const struct sa_transform *over, const struct sa_attrs *oa, struct p2_choice *c, uint16_t *notify)
{
	const struct sa_proposal *with = partner(list, over->proposal);
	uint8_t ah_spi[SPI_LEN], spi[SPI_LEN];
	struct sa_attrs a;

	for (size_t k = 0; with && k < list->n_transforms; k++) {
		const struct sa_transform *x = &list->transforms[k];
		if (x->proposal != with)
			continue;
		sa_decode(x->attrs, x->attrs_len, false, &a);
		if (!fits(&parts[1], t, x, &a) || !encap_fits(&parts[1], t, a.value[P2_ENCAP]) ||
			(oa->value[P2_ENCAP] != a.value[P2_ENCAP] && oa->value[P2_ENCAP] != ENCAP_TRANSPORT) ||
			oa->value[P2_GROUP] != a.value[P2_GROUP] || !esn_fits(&parts[1], t, &a, notify))
			continue;
		agree(&parts[1], x, &a, c);
		agree_over(&parts[0], over, oa, c);
		const struct sa_chosen ah = {over, spi_bytes(t->ah_spi, ah_spi)}, esp = {x, spi_bytes(t->spi, spi)};
		bool ah_first = over->proposal < with;
		c->answer_len = sa_answer_all(c->answer, sizeof(c->answer), (struct sa_chosen[]){ah_first ? ah : esp, ah_first ? esp : ah}, 2);
		if (c->spi >= SPI_LOWEST && c->ah_spi >= SPI_LOWEST && c->answer_len)
			return true;
	}
	return false;
}

static bool choose_both(const struct sa_list *list, const struct data_offer parts[2], const struct p2_terms *t, struct p2_choice *c,
	uint16_t *notify)
{
	struct sa_attrs a;

	for (size_t k = 0; k < list->n_transforms; k++) {
		const struct sa_transform *x = &list->transforms[k];
		sa_decode(x->attrs, x->attrs_len, false, &a);
		if (x->proposal->bundled && fits(&parts[0], t, x, &a) && esn_fits(&parts[0], t, &a, notify) &&
			choose_under(list, parts, t, x, &a, c, notify))
			return true;
	}
	return false;
}

static int choose(const struct sa_list *list, const struct data_offer *offers, size_t n,
	const struct p2_terms *t, struct p2_choice *ret, struct ike_refusal *why)
{
	uint16_t notify = NOTIFY_NO_PROPOSAL_CHOSEN;
	struct data_offer parts[2];

	for (size_t i = 0; i < n; i++) {
		struct p2_choice c = {.index = i};
		if (!usable(&offers[i], t))
			continue;
		if (parts_of(&offers[i], parts) == 1 ? choose_one(list, &offers[i], t, &c, &notify) :
						       choose_both(list, parts, t, &c, &notify)) {
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
