/* quick_responder: message 2 of quick mode, and what came before and after it. */
#include "lib/ike/quick.h"
#include <stdio.h>

/* The tunnel that this makes or renews. */
static int find_tunnel(struct quick *q, struct ike_refusal *why)
{
	struct ike *k = q->p1->ike;
	struct tunnel *t = tunnel_same(k, &q->child);

	if (!t && k->n_tunnels >= k->c.limits.children_total)
		return ike_refuse(why, NOTIFY_NO_PROPOSAL_CHOSEN, "as many tunnels as the limit allows");
	if (!t)
		t = tunnel_new(k, &q->child);
	if (!t->p1 || !t->waiting)
		tunnel_attach(t, q->p1);
	q->tunnel = t;
	(void)snprintf(q->child.tunnel_id, sizeof(q->child.tunnel_id), "%s", t->id);
	(void)snprintf(q->child.local_rule, sizeof(q->child.local_rule), "%s", t->child.local_rule);
	q->child.generation = ++t->last_generation;
	return 0;
}

int quick_take_1(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0), *ke;

	if (!sa || isakmp_count(pl, ISAKMP_SA) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "quick mode without one SA payload");
	if (quick_read_selector(q, pl, &q->child.sel, why))
		return -EPROTO;
	const struct policy_rule *r = quick_anchor(q, &q->child.sel, why);
	if (!r)
		return -EPROTO;
	if (quick_spis(q))
		return ike_refuse(why, NOTIFY_NONE, "no random numbers");
	struct p2_terms terms = quick_terms(q, r->vpn->acceptable_pfs, r->vpn->n_acceptable_pfs);
	if (offer_p2_choose(sa->body, sa->len, r->vpn->offers, r->vpn->n_offers, &terms, &q->choice, why))
		return -EPROTO;
	q->group = q->choice.group;
	if (quick_take_values(q, pl, &ke, why))
		return -EPROTO;
	if (quick_own_values(q))
		return ike_refuse(why, NOTIFY_NONE, "no key for this exchange");
	quick_take_lifetimes(q, pl);
	quick_describe(q, r);
	if (quick_take_nat_oa(q, pl, why) || quick_keys(q, ke, why) || find_tunnel(q, why))
		return -EPROTO;
	quick_install(q);
	return 0;
}

void quick_message_2(struct quick *q)
{
	struct p1 *p = q->p1;
	struct isakmp_build b;

	quick_start(q, &b);
	uint8_t *hash = isakmp_add_hole(&b, ISAKMP_HASH, p->suite.prf_len);
	isakmp_add(&b, ISAKMP_SA, q->choice.answer, q->choice.answer_len);
	isakmp_add(&b, ISAKMP_NONCE, q->nr.p, q->nr.len);
	if (q->dh)
		isakmp_add(&b, ISAKMP_KE, dh_key_public(q->dh), dh_public_len(q->group));
	if (q->has_ids) {
		isakmp_add(&b, ISAKMP_ID, q->idci.p, q->idci.len);
		isakmp_add(&b, ISAKMP_ID, q->idcr.p, q->idcr.len);
	}
	if (quick_natted(p) && !q->child.tunnel)
		quick_add_nat_oa(q, &b);
	quick_add_lifetimes(q, &b);
	q->step = QUICK_WAIT;
	if (quick_finish(q, &b, hash, bytes_part(&q->ni), true) < 0)
		quick_failed(q, "its answer cannot be made");
}

/* The peer has its SAs: message 3 came, or traffic under them. Its id is remembered, nothing else is needed any more. */
int quick_confirmed(struct quick *q)
{
	struct ike *k = q->p1->ike;
	struct tunnel *t = quick_tunnel(q);

	if (t) {
		q->step = QUICK_DONE;
		k->c.ops->outbound_ready(k->c.ctx, &q->child);
		tunnel_in_force(t, &q->child);
	}
	quick_end(q);
	return 0;
}

void quick_traffic(struct tunnel *t, uint32_t generation)
{
	struct quick *q;

	if (!t->p1)
		return;
	TAILQ_FOREACH(q, &t->p1->quicks, entry)
		if (!q->initiator && q->step == QUICK_WAIT && q->tunnel == t && q->child.generation == generation) {
			(void)quick_confirmed(q);
			return;
		}
}
