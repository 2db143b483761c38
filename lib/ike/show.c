/* What the engine shows of itself: phase 1 SAs, tunnels and counters. What it lends is good until the next call. */
#include "lib/ike/engine.h"
#include <stdio.h>

static enum ike_state shown(const struct p1 *p)
{
	if (p->step == P1_DONE)
		return IKE_DONE;
	return p->message <= 1 ? IKE_WAIT_SA : p->message <= 3 ? IKE_IN_KE : IKE_WAIT_KE;
}

const struct ike_p1_info *ike_p1_fill(struct ike *k, const struct p1 *p)
{
	struct ike_p1_info *i = &k->p1_info;
	char text[IDENT_TEXT_MAX];

	*i = (struct ike_p1_info){.generation = p->generation, .state = shown(p), .rule = p->rule ? p->rule->name : "",
		.action = p->rule ? p->rule->action.name : "", .path = p->path, .local_id_type = p->own.type, .remote_id_type = p->peer.type,
		.initiator = p->initiator, .aggressive = p->aggressive, .offer = p->offer, .life_s = p->offer.seconds.proposed,
		.life_kb = p->offer.kbytes.proposed, .bytes = p->bytes, .expires_us = p->expires_us, .refresh_us = p->refresh_us,
		.established_us = p->established_us, .children = p->n_tunnels, .nat_local = p->nat.local, .nat_remote = p->nat.remote,
		.nat_t = p->natt, .dpd = (p->vids & VID_DPD) != 0, .fragmentation = (p->vids & VID_FRAGMENTATION) != 0};
	(void)snprintf(i->tunnel_id, sizeof(i->tunnel_id), "%s", p->id);
	if (p->own.type)
		(void)snprintf(i->local_id, sizeof(i->local_id), "%.255s", ident_text(&p->own, text));
	if (p->peer.type)
		(void)snprintf(i->remote_id, sizeof(i->remote_id), "%.255s", ident_text(&p->peer, text));
	memcpy(i->icookie, p->icookie, IKE_COOKIE);
	memcpy(i->rcookie, p->rcookie, IKE_COOKIE);
	return i;
}

const struct ike_child_info *ike_child_fill(struct ike *k, const struct tunnel *t)
{
	k->child_info = (struct ike_child_info){.child = &t->child,
		.state = t->live ? IKE_CHILD_DONE : t->quick ? IKE_CHILD_NEGOTIATING : IKE_CHILD_INIT, .expires_us = t->expires_us,
		.refresh_us = t->refresh_us, .established_us = t->established_us};
	return &k->child_info;
}

const struct ike_p1_info *ike_p1_next(struct ike *k, const char *after_id)
{
	struct p1 *p = after_id ? p1_by_id(k, after_id) : NULL;

	if (after_id && !p)
		return NULL;
	p = p ? TAILQ_NEXT(p, entry) : TAILQ_FIRST(&k->p1s);
	while (p && (p->half_open || p1_by_id(k, p->id) != p))
		p = TAILQ_NEXT(p, entry);
	return p ? ike_p1_fill(k, p) : NULL;
}

const struct ike_child_info *ike_child_next(struct ike *k, const char *after_id)
{
	struct tunnel *t = after_id ? ike_tunnel_find(k, after_id) : NULL;

	if (after_id && !t)
		return NULL;
	t = t ? TAILQ_NEXT(t, entry) : TAILQ_FIRST(&k->tunnels);
	return t ? ike_child_fill(k, t) : NULL;
}

/* A number's generations, newest first: while one is renewed its tunnels hang on the older. */
static struct tunnel *first_of(struct p1 *p, uint32_t number)
{
	for (; p; p = LIST_NEXT(p, by_number))
		if (p->number == number && LIST_FIRST(&p->tunnels))
			return LIST_FIRST(&p->tunnels);
	return NULL;
}

const struct ike_child_info *ike_child_next_of(struct ike *k, const char *parent_id, const char *after_id)
{
	struct p1 *p = p1_by_id(k, parent_id);
	struct tunnel *t = after_id ? ike_tunnel_find(k, after_id) : NULL;

	if (!p || (after_id && (!t || !t->p1 || t->p1->number != p->number)))
		return NULL;
	if (!after_id)
		t = first_of(p, p->number);
	else
		t = LIST_NEXT(t, of_p1) ? LIST_NEXT(t, of_p1) : first_of(LIST_NEXT(t->p1, by_number), p->number);
	return t ? ike_child_fill(k, t) : NULL;
}

void ike_stats(const struct ike *k, struct ike_stats *ret)
{
	*ret = k->stats;
	ret->half_open = k->n_half;
	ret->p1 = k->n_p1 - k->n_half;
	ret->children = k->n_tunnels;
}
