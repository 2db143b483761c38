/* p1_main: main mode (RFC 2409 section 5): 1, 2 offers; 3, 4 values; 5, 6 identities and proofs, encrypted. Odd messages are the
 * initiator's. The responder agrees in message 2 under a tentative rule, chosen by addresses, and looks again in message 5. */
#include "lib/ike/engine.h"

int main_begin(struct p1 *p)
{
	struct isakmp_build b;
	const struct kex_action *a = &p->rule->action;

	p1_start_message(p, &b, false);
	uint8_t *sa = b.w.p;
	isakmp_open(&b, ISAKMP_SA);
	if (!offer_p1_write(&b.w, a->offers, a->n_offers))
		return -ENOENT;
	isakmp_close(&b);
	bytes_set(&p->x->sai, sa + 4, (size_t)(b.w.p - sa) - 4);
	vid_add(&b, p1_own_vids(p));
	p->message = 1;
	p1_send(p, &b, false, true);
	return 0;
}

int main_respond(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0);
	struct p1_choice c;
	struct isakmp_build b;

	if (!sa || isakmp_count(pl, ISAKMP_SA) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "one SA payload is needed");
	if (p1_choose(p, sa, &c, why))
		return -EPROTO;
	if (p1_set_offer(p, &c))
		return ike_refuse(why, NOTIFY_NO_PROPOSAL_CHOSEN, "the algorithms are not available");
	bytes_set(&p->x->sai, sa->body, sa->len);
	p1_start_message(p, &b, false);
	isakmp_add(&b, ISAKMP_SA, c.answer, c.answer_len);
	vid_add(&b, p1_own_vids(p) & ~(unsigned)(p->natt && !p->natt_draft ? VID_NATT_DRAFT_02 | VID_NATT_DRAFT_03 : 0));
	p->message = 2;
	p1_send(p, &b, false, false);
	return 0;
}

static void values(struct p1 *p, unsigned message, bool wants_answer)
{
	struct isakmp_build b;
	const struct p1_kex *x = p->x;
	const struct bytes *ke = p->initiator ? &x->gxi : &x->gxr, *nonce = p->initiator ? &x->ni : &x->nr;

	p1_start_message(p, &b, false);
	isakmp_add(&b, ISAKMP_KE, ke->p, ke->len);
	isakmp_add(&b, ISAKMP_NONCE, nonce->p, nonce->len);
	auth_add_requests(p, &b);
	p1_add_nat(p, &b);
	p->message = (uint8_t)message;
	p1_send(p, &b, false, wants_answer);
}

static int second(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0);
	struct p1_choice c;

	if (!sa)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "an SA payload is needed");
	if (offer_p1_check(p->x->sai.p, p->x->sai.len, sa->body, sa->len, p->rule->action.offers, p->rule->action.n_offers, &c, why))
		return -EPROTO;
	if (p1_set_offer(p, &c) || p1_own_values(p))
		return ike_refuse(why, NOTIFY_NO_PROPOSAL_CHOSEN, "the algorithms are not available");
	values(p, 3, true);
	return 0;
}

static int third(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	if (p1_take_values(p, pl, why) || p1_take_nat(p, h, pl, why))
		return -EPROTO;
	auth_take_requests(p, pl);
	if (p1_own_values(p))
		return ike_refuse(why, NOTIFY_NONE, "no random numbers");
	values(p, 4, false);
	/* Now, while the peer works on it: 5 finds the keys ready. */
	if (p1_shared(p, why) || p1_keys(p))
		return ike_refuse(why, NOTIFY_INVALID_KEY_INFORMATION, "the shared secret cannot be made");
	return 0;
}

/* Identity and proof: message 5 or 6. */
static void identity(struct p1 *p)
{
	struct isakmp_build b;

	p1_start_message(p, &b, true);
	isakmp_add(&b, ISAKMP_ID, p->x->own_id.p, p->x->own_id.len);
	auth_add_proof(p, &b);
	p1_add_contact(p, &b);
	p->message = p->initiator ? 5 : 6;
	p->step = P1_WAIT;
	p1_send(p, &b, true, p->initiator);
	if (!p->initiator)
		p1_done(p);
}

static void ready(struct p1 *p, int r)
{
	if (r > 0)
		p->step = P1_SIGNER;
	else if (r < 0)
		p1_failed(p, NOTIFY_AUTHENTICATION_FAILED, "EZD0965I", "our own certificate or key cannot be used");
	else
		identity(p);
}

static int fourth(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	if (p1_take_values(p, pl, why) || p1_take_nat(p, h, pl, why) || p1_shared(p, why))
		return -EPROTO;
	auth_take_requests(p, pl);
	if (p1_keys(p))
		return ike_refuse(why, NOTIFY_NONE, "the keys cannot be made");
	if (p->nat.local || p->nat.remote)
		p->path.local_port = p->path.remote_port = 4500; /* RFC 3947 section 4 */
	ready(p, auth_find(p));
	return 0;
}

static int fifth(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	auth_take_certs(p, pl);
	auth_take_requests(p, pl);
	if (auth_take_id(p, pl, why) || auth_final_rule(p, why) || auth_check(p, pl, why))
		return -EPROTO;
	p1_take_contact(p, pl);
	ready(p, auth_find(p));
	return 0;
}

static int sixth(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	p->message = 6; /* whatever we think of it, the peer is done */
	auth_take_certs(p, pl);
	if (auth_take_id(p, pl, why) || auth_final_rule(p, why) || auth_check(p, pl, why))
		return -EPROTO;
	timer_stop(p->ike, &p->flight.retry);
	p->flight.wants_answer = false;
	bytes_free(&p->flight.sent); /* ours was heard: it is not asked for again */
	p1_done(p);
	return 0;
}

void main_resume(struct p1 *p)
{
	p->step = P1_WAIT;
	if (!p->x->n_chain || !p->x->signature.len)
		ready(p, auth_sign(p));
	else
		identity(p);
}

int main_message(struct p1 *p, const struct isakmp_header *h, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	bool encrypted = h->flags & ISAKMP_ENCRYPTED;

	if (encrypted != (p->message >= 4))
		return ike_refuse(why, NOTIFY_INVALID_FLAGS, "a message in clear or encrypted out of turn");
	switch (p->message) {
	case 1:
		return second(p, pl, why);
	case 2:
		return third(p, h, pl, why);
	case 3:
		return fourth(p, h, pl, why);
	case 4:
		return fifth(p, pl, why);
	case 5:
		return sixth(p, pl, why);
	default:
		return ike_refuse(why, NOTIFY_NONE, "out of turn");
	}
}
