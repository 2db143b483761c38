/* quick_initiator: messages 1 and 3 of quick mode, and the answer between them. */
#include "lib/ike/quick.h"

enum { LINGER_S = 200 };

static bool any_transport(const struct vpn_action *v)
{
	for (size_t i = 0; i < v->n_offers; i++)
		if (!v->offers[i].tunnel)
			return true;
	return false;
}

static int message_1(struct quick *q, const struct vpn_action *v)
{
	struct p1 *p = q->p1;
	struct p2_terms terms = quick_terms(q, &q->group, 1);
	struct isakmp_build b;

	quick_start(q, &b);
	uint8_t *hash = isakmp_add_hole(&b, ISAKMP_HASH, p->suite.prf_len);
	isakmp_open(&b, ISAKMP_SA);
	const uint8_t *sa = isakmp_mark(&b);
	if (!offer_p2_write(&b.w, v->offers, v->n_offers, &terms))
		return -EPROTONOSUPPORT;
	bytes_set(&q->sa, sa, (size_t)(isakmp_mark(&b) - sa));
	isakmp_close(&b);
	isakmp_add(&b, ISAKMP_NONCE, q->ni.p, q->ni.len);
	if (q->dh)
		isakmp_add(&b, ISAKMP_KE, dh_key_public(q->dh), dh_public_len(q->group));
	quick_add_ids(q, &b, &q->child.sel);
	if (quick_natted(p) && any_transport(v))
		quick_add_nat_oa(q, &b);
	return quick_finish(q, &b, hash, IKE_PART(NULL, 0), true);
}

void quick_begin(struct tunnel *t)
{
	struct p1 *p = t->p1;
	struct ike *k = p->ike;
	const struct policy_rule *r = policy_rule_find(k->c.policy, t->child.rule);
	uint32_t id;

	if (!r || !r->vpn) {
		tunnel_failed(t, "EZD0970I", "the policy has no rule %s with a dynamic VPN action", t->child.rule);
		return;
	}
	do {
		if (quick_random(k, 1, &id)) {
			tunnel_failed(t, "EZD0970I", "no random numbers");
			return;
		}
	} while (p1_id_used(p, id));
	if (!p1_id_use(p, id)) {
		tunnel_failed(t, "EZD0970I", "its IKE tunnel has used up its message ids");
		return;
	}
	struct quick *q = quick_new(p, id, true);
	q->tunnel = t;
	q->child = t->child;
	quick_forget_halves(&q->child);
	q->child.generation = ++t->last_generation;
	q->child.path = p->path;
	q->child.initiator = true;
	q->group = r->vpn->initiate_pfs;
	t->quick = q;
	int rc = quick_spis(q);
	if (!rc)
		rc = quick_own_values(q);
	if (!rc)
		rc = ike_iv_exchange(&p->suite, p->iv, id, q->iv);
	if (!rc)
		rc = message_1(q, r->vpn);
	if (rc < 0)
		quick_failed(q, "its offers cannot be made");
	else
		q->step = QUICK_WAIT;
}

int quick_take_2(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	struct ike *k = q->p1->ike;
	const struct policy_rule *r = policy_rule_find(k->c.policy, q->child.rule);
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0), *ke;
	struct p2_terms terms = quick_terms(q, &q->group, 1);

	if (!r || !r->vpn)
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "the policy has changed");
	if (!sa || isakmp_count(pl, ISAKMP_SA) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "quick mode without one SA payload");
	if (offer_p2_check(q->sa.p, q->sa.len, sa->body, sa->len, r->vpn->offers, r->vpn->n_offers, &terms, &q->choice, why) ||
		quick_take_values(q, pl, &ke, why))
		return -EPROTO;
	if (isakmp_count(pl, ISAKMP_ID) && !quick_same_ids(q, pl))
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "the answer is for other traffic");
	quick_take_lifetimes(q, pl);
	quick_describe(q, r);
	if (quick_take_nat_oa(q, pl, why) || quick_keys(q, ke, why))
		return -EPROTO;
	timer_stop(k, &q->flight.retry);
	quick_install(q);
	return 0;
}

void quick_message_3(struct quick *q)
{
	struct p1 *p = q->p1;
	struct ike *k = p->ike;
	struct tunnel *t = quick_tunnel(q);
	struct isakmp_build b;

	quick_start(q, &b);
	uint8_t *hash = isakmp_add_hole(&b, ISAKMP_HASH, p->suite.prf_len);
	if (!hash || ike_hash3(&p->suite, &p->keys, q->id, bytes_part(&q->ni), bytes_part(&q->nr), hash)) {
		quick_failed(q, "its last message cannot be made");
		return;
	}
	size_t len = isakmp_finish(&b, p->suite.block);
	send_message(p, &q->flight, q->iv, k->out, len, false);
	q->step = QUICK_DONE;
	if (t && t->quick == q)
		t->quick = NULL;
	k->c.ops->outbound_ready(k->c.ctx, &q->child);
	if (t)
		tunnel_in_force(t, &q->child);
	/* It stays to say message 3 again, and needs nothing else for that. */
	quick_forget_halves(&q->child);
	dh_key_free(q->dh);
	q->dh = NULL;
	bytes_free(&q->sa);
	bytes_free(&q->ids);
	timer_set(k, &q->linger, k->now + LINGER_S * IKE_SECOND);
}
