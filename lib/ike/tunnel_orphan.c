/* tunnel_orphan: living tunnels without a phase 1. Which of them a new one takes over, and how one is begun for them (engine.h:
 * tunnels_orphaned). */
#include "lib/ike/tunnel.h"

enum { ADOPT_SPREAD_S = 3, ADOPT_AGAIN_S = 300 };

void tunnels_adopt(struct p1 *p)
{
	struct tunnel *t;

	LIST_FOREACH(t, tunnels_at(p->ike, &p->path), ends)
		if (!t->p1 && tunnel_belongs(t, p))
			tunnel_attach(t, p);
}

void tunnels_forget(struct p1 *p, const char *why)
{
	struct tunnel *t, *next;

	for (t = LIST_FIRST(tunnels_at(p->ike, &p->path)); t; t = next) {
		next = LIST_NEXT(t, ends);
		if (!t->p1 && tunnel_belongs(t, p))
			tunnel_down(t, why, false);
	}
}

/* A living tunnel without a phase 1 gets one. After a restart the peer still has one that we know nothing of, and would take us for
 * dead; and when it expired, or the peer deleted it, nothing asks any more whether the peer lives. */
void tunnel_adopt(struct ike *k, void *arg)
{
	struct tunnel *t = arg;
	struct errbuf e;
	struct p1 *p = t->p1 ? t->p1 : p1_between(k, &t->child.path.local, &t->child.path.remote);

	if (p && !t->p1 && tunnel_belongs(t, p))
		tunnel_attach(t, p);
	else if (!p && !p1_under_way(k, &t->child.path) && !tunnel_begin_p1(t, &e)) /* the policy does not let us: it may change */
		timer_set(k, &t->adopt, k->now + ADOPT_AGAIN_S * IKE_SECOND);
}

static void orphan(struct tunnel *t, uint64_t after_us)
{
	uint32_t spread = 0;

	(void)ike_random(t->ike, &spread, sizeof(spread));
	t->orphan = true;
	timer_set(t->ike, &t->adopt, t->ike->now + after_us + spread % (ADOPT_SPREAD_S * IKE_SECOND));
}

void tunnel_resumed(struct tunnel *t)
{
	orphan(t, 0);
}

void tunnels_orphaned(struct p1 *p)
{
	struct tunnel *t;
	uint64_t idle = p->ike->c.limits.dpd_idle_us;

	if (!(p->vids & VID_DPD))
		return;
	LIST_FOREACH(t, &p->tunnels, of_p1) /* who began the tunnel begins, so that not both do */
		if (t->live)
			orphan(t, t->initiator ? idle : idle + 2 * ADOPT_SPREAD_S * IKE_SECOND);
}

void tunnels_unproved(struct p1 *p, bool dead)
{
	struct ike *k = p->ike;
	struct tunnel *t, *next;
	bool said = false;

	for (t = LIST_FIRST(tunnels_at(k, &p->path)); t; t = next) {
		next = LIST_NEXT(t, ends);
		if (!t->live || !t->orphan || (t->p1 && t->p1 != p) || !tunnel_ends_equal(&t->child.path, &p->path))
			continue;
		if (!dead) {
			timer_set(k, &t->adopt, k->now + ADOPT_AGAIN_S * IKE_SECOND);
			continue;
		}
		if (!said)
			ike_event(k, IKE_PEER_DEAD, p, NULL, NULL, "EZD1100I", "the peer does not answer: it is taken for dead");
		said = true;
		tunnel_down(t, "the peer is dead", false);
	}
}
