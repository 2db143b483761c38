/* tunnel_old: make before break. The pair of SAs that was replaced goes on being understood until its own lifetime ends or the peer
 * deletes it, because when both ends renew at once they may use different ones for a while, and neither can know. */
#include "lib/base/xalloc.h"
#include "lib/ike/tunnel.h"

enum { OLD_MAX = 3, CROSSING_S = 10 };

void old_child_gone(struct ike *k, struct old_child *o, const char *why)
{
	struct old_child **at = &o->tunnel->old;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	timer_stop(k, &o->gone);
	k->c.ops->remove(k->c.ctx, &o->child, why);
	free(o);
}

static void old_over(struct ike *k, void *arg)
{
	old_child_gone(k, arg, "its lifetime is over");
}

/* The pair in force becomes one that is only understood still. */
void old_child_keep(struct tunnel *t)
{
	struct ike *k = t->ike;
	struct old_child *o = xnew(struct old_child);
	unsigned n = 1;

	*o = (struct old_child){.next = t->old, .tunnel = t, .child = t->child, .gone = {.fn = old_over, .arg = o}};
	t->old = o;
	timer_set(k, &o->gone, t->expires_us > k->now ? t->expires_us : k->now);
	for (struct old_child *i = o, *next; i; i = next) {
		next = i->next;
		if (n++ <= OLD_MAX)
			continue;
		if (t->p1 && t->p1->step == P1_DONE)
			send_delete_child(t->p1, &i->child);
		old_child_gone(k, i, "replaced more than once");
	}
}

/* The one that is understood still takes the place of the one that was in force. */
static void fall_back(struct tunnel *t)
{
	struct ike *k = t->ike;
	struct old_child *o = t->old;
	struct ike_child gone = t->child;

	t->child = o->child;
	t->expires_us = o->gone.due;
	t->old = o->next;
	timer_stop(k, &o->gone);
	free(o);
	k->c.ops->remove(k->c.ctx, &gone, "the peer deleted it");
	timer_set(k, &t->refresh, k->now); /* a new pair as soon as may be */
}

/* Of two protocols that stand together neither is of use without the other. */
static bool means(const struct ike_child *c, uint8_t protocol, uint32_t spi)
{
	return (c->proto == protocol && c->out.spi == spi) || (c->bundle && protocol == IPSEC_PROTO_AH && c->out_ah.spi == spi);
}

void tunnel_deleted(struct p1 *p, uint8_t protocol, uint32_t spi)
{
	struct ike *k = p->ike;
	struct tunnel *t, *next;

	for (t = LIST_FIRST(tunnels_at(k, &p->path)); t; t = next) {
		next = LIST_NEXT(t, ends);
		if (!tunnel_belongs(t, p))
			continue;
		for (struct old_child *o = t->old, *on; o; o = on) {
			on = o->next;
			if (means(&o->child, protocol, spi)) {
				old_child_gone(k, o, "the peer deleted it");
				return;
			}
		}
		if (!means(&t->child, protocol, spi))
			continue;
		/* Of two that crossed, the peer gives up one: the older is still good. Later, it means the tunnel. */
		if (t->old && k->now - t->established_us < CROSSING_S * IKE_SECOND)
			fall_back(t);
		else
			tunnel_down(t, "the peer deleted it", false);
		return;
	}
}

void old_children_free(struct tunnel *t)
{
	while (t->old) {
		struct old_child *o = t->old;
		t->old = o->next;
		timer_stop(t->ike, &o->gone);
		free(o);
	}
}
