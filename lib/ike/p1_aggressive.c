/* p1_aggressive: aggressive mode (RFC 2409 section 5): 1 offer, values and identity; 2 the same with the responder's proof; 3 the
 * initiator's proof. One group only, as the values go out with the offer. */
#include "lib/base/xalloc.h"
#include "lib/ike/engine.h"

/* The offers of the first one's group: others cannot be had. Caller frees. */
static struct kex_offer *of_group(const struct kex_action *a, size_t *ret_n)
{
	struct kex_offer *v = xcalloc(a->n_offers, sizeof(*v));

	*ret_n = 0;
	for (size_t i = 0; i < a->n_offers; i++)
		if (a->offers[i].group == a->offers[0].group)
			v[(*ret_n)++] = a->offers[i];
	return v;
}

int aggressive_begin(struct p1 *p)
{
	struct isakmp_build b;
	size_t n;
	struct kex_offer *offers = of_group(&p->rule->action, &n);

	p1_start_message(p, &b, false);
	uint8_t *sa = b.w.p;
	isakmp_open(&b, ISAKMP_SA);
	size_t written = n ? offer_p1_write(&b.w, offers, n) : 0;
	isakmp_close(&b);
	bytes_set(&p->x->sai, sa + 4, (size_t)(b.w.p - sa) - 4);
	p->offer = n ? offers[0] : (struct kex_offer){.name = ""};
	free(offers);
	if (!written || p1_own_values(p) || auth_own_id(p))
		return -ENOENT;
	isakmp_add(&b, ISAKMP_KE, p->x->gxi.p, p->x->gxi.len);
	isakmp_add(&b, ISAKMP_NONCE, p->x->ni.p, p->x->ni.len);
	isakmp_add(&b, ISAKMP_ID, p->x->own_id.p, p->x->own_id.len);
	auth_add_requests(p, &b);
	vid_add(&b, p1_own_vids(p));
	p->message = 1;
	p1_send(p, &b, false, true);
	return 0;
}

int aggressive_respond(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0);
	struct p1_choice c;

	(void)h;
	if (!sa || isakmp_count(pl, ISAKMP_SA) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "one SA payload is needed");
	if (auth_take_id(p, pl, why) || p1_choose(p, sa, &c, why))
		return -EPROTO;
	if (p1_set_offer(p, &c))
		return ike_refuse(why, NOTIFY_NO_PROPOSAL_CHOSEN, "the algorithms are not available");
	bytes_set(&p->x->sai, sa->body, sa->len);
	bytes_set(&p->x->answer, c.answer, c.answer_len);
	auth_take_requests(p, pl);
	if (p1_take_values(p, pl, why) || p1_own_values(p) || p1_shared(p, why) || p1_keys(p))
		return -EPROTO;
	aggressive_resume(p);
	return 0;
}

static void second(struct p1 *p)
{
	struct isakmp_build b;
	struct p1_kex *x = p->x;

	p1_start_message(p, &b, false);
	isakmp_add(&b, ISAKMP_SA, x->answer.p, x->answer.len);
	isakmp_add(&b, ISAKMP_KE, x->gxr.p, x->gxr.len);
	isakmp_add(&b, ISAKMP_NONCE, x->nr.p, x->nr.len);
	isakmp_add(&b, ISAKMP_ID, x->own_id.p, x->own_id.len);
	auth_add_requests(p, &b);
	auth_add_proof(p, &b);
	p1_add_nat(p, &b);
	vid_add(&b, p1_own_vids(p));
	p->message = 2;
	p->step = P1_WAIT;
	p1_send(p, &b, false, false);
}

static void third(struct p1 *p)
{
	struct isakmp_build b;

	p1_start_message(p, &b, true);
	auth_add_proof(p, &b);
	p1_add_nat(p, &b);
	p1_add_contact(p, &b);
	p->message = 3;
	p->step = P1_WAIT;
	p1_send(p, &b, true, false);
	p1_done(p);
}

/* What is missing is asked of the signer; then the next message goes out. */
void aggressive_resume(struct p1 *p)
{
	int r = 0;

	p->step = P1_WAIT;
	if (!p->x->own_id.len || (p->offer.auth == IKE_AUTH_RSA_SIG && !p->x->n_chain))
		r = auth_find(p);
	else if (p->offer.auth == IKE_AUTH_RSA_SIG && !p->x->signature.len)
		r = auth_sign(p);
	if (r > 0)
		p->step = P1_SIGNER;
	else if (r < 0)
		p1_failed(p, NOTIFY_AUTHENTICATION_FAILED, "EZD0965I", "our own certificate or key cannot be used");
	else if (p->initiator)
		third(p);
	else
		second(p);
}

static int take_second(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0);
	struct p1_choice c;
	size_t n;

	if (!sa)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "an SA payload is needed");
	struct kex_offer *offers = of_group(&p->rule->action, &n);
	int r = offer_p1_check(p->x->sai.p, p->x->sai.len, sa->body, sa->len, offers, n, &c, why);
	free(offers);
	if (r || p1_set_offer(p, &c))
		return r ? r : ike_refuse(why, NOTIFY_NO_PROPOSAL_CHOSEN, "the algorithms are not available");
	auth_take_certs(p, pl);
	auth_take_requests(p, pl);
	if (p1_take_values(p, pl, why) || p1_take_nat(p, h, pl, why) || p1_shared(p, why) || p1_keys(p) || auth_take_id(p, pl, why) ||
		auth_final_rule(p, why) || auth_check(p, pl, why))
		return -EPROTO;
	if (p->nat.local || p->nat.remote)
		p->path.local_port = p->path.remote_port = 4500;
	aggressive_resume(p);
	return 0;
}

static int take_third(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	auth_take_certs(p, pl);
	if (p1_take_nat(p, h, pl, why) || auth_check(p, pl, why))
		return -EPROTO;
	p1_take_contact(p, pl);
	p->message = 3;
	p1_done(p);
	return 0;
}

int aggressive_message(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	if (p->message == 1 && p->initiator && !(h->flags & ISAKMP_ENCRYPTED))
		return take_second(p, h, pl, why);
	if (p->message == 2 && !p->initiator)
		return take_third(p, h, pl, why);
	return ike_refuse(why, NOTIFY_NONE, "out of turn");
}
