/* quick_message: what quick mode's messages are made of (RFC 2409 section 5.5): the hash in front, nonces and KE, what both ends know
 * before the SA payload, the addresses that a NAT hides (RFC 3947 section 5.2), lifetimes. */
#include "lib/base/xalloc.h"
#include "lib/ike/quick.h"

enum { NONCE_LEN = 32, SPI_MIN = 256 };

int quick_random(struct ike *k, uint32_t least, uint32_t *ret)
{
	do {
		if (ike_random(k, ret, sizeof(*ret)))
			return -EIO;
	} while (*ret < least);
	return 0;
}

int quick_spis(struct quick *q)
{
	int rc = quick_random(q->p1->ike, SPI_MIN, &q->child.in.spi);

	return rc ? rc : quick_random(q->p1->ike, SPI_MIN, &q->child.in_ah.spi);
}

bool quick_natted(const struct p1 *p)
{
	return p->natt && (p->nat.local || p->nat.remote);
}

void quick_start(struct quick *q, struct isakmp_build *b)
{
	struct p1 *p = q->p1;
	struct isakmp_header h = {.version = ISAKMP_VERSION, .exchange = ISAKMP_QUICK, .flags = ISAKMP_ENCRYPTED, .id = q->id};

	memcpy(h.icookie, p->icookie, IKE_COOKIE);
	memcpy(h.rcookie, p->rcookie, IKE_COOKIE);
	isakmp_start(b, p->ike->out, sizeof(p->ike->out), &h);
}

/* Fills the hash over what follows it and sends. @ni: empty for message 1. */
int quick_finish(struct quick *q, struct isakmp_build *b, uint8_t *hash, struct ike_part ni, bool wants_answer)
{
	struct p1 *p = q->p1;
	const uint8_t *rest = hash ? hash + p->suite.prf_len : NULL, *end = isakmp_mark(b);

	if (!hash || ike_hash12(&p->suite, &p->keys, q->id, ni, IKE_PART(rest, (size_t)(end - rest)), hash))
		return -EIO;
	size_t len = isakmp_finish(b, p->suite.block);
	if (!len)
		return -EMSGSIZE;
	send_message(p, &q->flight, q->iv, p->ike->out, len, wants_answer);
	return 0;
}

int quick_own_values(struct quick *q)
{
	uint8_t nonce[NONCE_LEN];
	struct ike *k = q->p1->ike;

	if (ike_random(k, nonce, sizeof(nonce)))
		return -EIO;
	bytes_set(q->initiator ? &q->ni : &q->nr, nonce, sizeof(nonce));
	return q->group ? dh_pool_take(k->pool, q->group, &q->dh) : 0;
}

/* The peer's value for this exchange: a KE payload if, and only if, a group was agreed. */
int quick_take_values(struct quick *q, const struct isakmp_payloads *pl, const struct isakmp_payload **ret_ke, struct ike_refusal *why)
{
	const struct isakmp_payload *nonce = isakmp_find(pl, ISAKMP_NONCE, 0);

	*ret_ke = isakmp_find(pl, ISAKMP_KE, 0);
	if (!nonce || isakmp_count(pl, ISAKMP_NONCE) != 1 || ike_nonce_check(nonce->len, why))
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "quick mode with no good nonce");
	if ((*ret_ke != NULL) != (q->group != 0) || isakmp_count(pl, ISAKMP_KE) > 1)
		return ike_refuse(why, NOTIFY_INVALID_KEY_INFORMATION, "the KE payload does not go with the group that was agreed");
	bytes_set(q->initiator ? &q->nr : &q->ni, nonce->body, nonce->len);
	return 0;
}

struct p2_terms quick_terms(const struct quick *q, const uint16_t *groups, size_t n_groups)
{
	const struct p1 *p = q->p1;

	return (struct p2_terms){.nat = quick_natted(p), .draft = p->natt_draft, .esn_allowed = p->ike->c.esn_allowed, .spi = q->child.in.spi,
		.ah_spi = q->child.in_ah.spi, .groups = groups, .n_groups = n_groups};
}

/* RFC 3947 section 5.2: in transport mode both ends say what addresses they see. */
void quick_add_nat_oa(struct quick *q, struct isakmp_build *b)
{
	const struct p1 *p = q->p1;
	const struct addr *i = q->initiator ? &p->path.local : &p->path.remote, *r = q->initiator ? &p->path.remote : &p->path.local;
	uint8_t type = p->natt_draft ? ISAKMP_NAT_OA_DRAFT : ISAKMP_NAT_OA;

	isakmp_open(b, type);
	ike_nat_oa_write(&b->w, i);
	isakmp_close(b);
	isakmp_open(b, type);
	ike_nat_oa_write(&b->w, r);
	isakmp_close(b);
}

int quick_take_nat_oa(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	uint8_t type = q->p1->natt_draft ? ISAKMP_NAT_OA_DRAFT : ISAKMP_NAT_OA;
	const struct isakmp_payload *a = isakmp_find(pl, type, 0), *b = isakmp_find(pl, type, 1);
	struct addr i = {0}, r = {0};

	if (!quick_natted(q->p1) || q->child.tunnel || !a)
		return 0;
	if (ike_nat_oa_read(a->body, a->len, &i, why) || (b && ike_nat_oa_read(b->body, b->len, &r, why)))
		return -EPROTO;
	q->child.nat_oa_local = q->initiator ? i : r;
	q->child.nat_oa_remote = q->initiator ? r : i;
	return 0;
}

/* The peer left our lifetimes to us: they are told (RFC 2407 section 4.6.3.1). */
void quick_add_lifetimes(struct quick *q, struct isakmp_build *b)
{
	const struct data_offer *o = &q->choice.agreed;
	struct sa_list *list = xnew(struct sa_list);
	uint8_t attrs[64], spi[4];
	struct wr w = wr_init(attrs, sizeof(attrs)), s = wr_init(spi, sizeof(spi));
	struct sa_attrs said = {0};

	if (!sa_read(q->choice.answer, q->choice.answer_len, list, NULL) && list->n_transforms)
		sa_decode(list->transforms[0].attrs, list->transforms[0].attrs_len, false, &said);
	free(list);
	uint32_t seconds = said.has_seconds ? 0 : o->seconds.proposed, kbytes = said.has_kbytes ? 0 : o->kbytes.proposed;
	if (!seconds && !kbytes)
		return;
	offer_lifetimes_write(&w, false, seconds, kbytes);
	wr_u32(&s, q->child.in.spi);
	isakmp_open(b, ISAKMP_NOTIFY);
	ike_notification_write(&b->w, &(struct ike_notification){.doi = IKE_DOI_IPSEC, .protocol = q->choice.proto,
					      .type = NOTIFY_RESPONDER_LIFETIME, .spi = spi, .spi_len = sizeof(spi), .data = attrs,
					      .len = wr_len(&w)});
	isakmp_close(b);
}

void quick_take_lifetimes(struct quick *q, const struct isakmp_payloads *pl)
{
	struct ike_notification n;
	uint64_t seconds = 0, kbytes = 0;

	for (size_t i = 0; i < isakmp_count(pl, ISAKMP_NOTIFY); i++) {
		const struct isakmp_payload *at = isakmp_find(pl, ISAKMP_NOTIFY, i);
		if (ike_notification_read(at->body, at->len, &n, NULL) || n.type != NOTIFY_RESPONDER_LIFETIME ||
			offer_lifetimes_read(n.data, n.len, false, &seconds, &kbytes))
			continue;
		if (seconds && seconds < q->choice.agreed.seconds.proposed)
			q->choice.agreed.seconds.proposed = (uint32_t)seconds;
		if (kbytes && kbytes < UINT32_MAX && (!q->choice.agreed.kbytes.proposed || kbytes < q->choice.agreed.kbytes.proposed))
			q->choice.agreed.kbytes.proposed = (uint32_t)kbytes;
	}
}
