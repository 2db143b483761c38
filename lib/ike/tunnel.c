/* tunnel: phase 2 tunnels ("Y7") and their generations. One lives from its first negotiation, or from an activation, to its end;
 * a renewal gives it another pair of SAs, and the one before is kept for a while (tunnel_old.c). */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/ike/tunnel.h"
#include <stdarg.h>
#include <stdio.h>

enum { TRY_AGAIN_S = 30 };

static const struct policy_rule *rule_of(const struct tunnel *t)
{
	const struct policy_rule *r = policy_rule_find(t->ike->c.policy, t->child.rule);

	return r && r->vpn ? r : NULL;
}

static bool life_over(const struct tunnel *t)
{
	return t->child.vpn_life_s && t->ike->now >= t->established_us + t->child.vpn_life_s * IKE_SECOND;
}

/* Refresh, or the end. */
static void refresh(struct ike *k, void *arg)
{
	struct tunnel *t = arg;
	const struct policy_rule *r = rule_of(t);

	if (k->now >= t->expires_us) {
		tunnel_down(t, life_over(t) ? "its VpnLife is over" : "its lifetime is over", true);
		return;
	}
	bool may = r && !life_over(t) && (t->initiator || r->vpn->initiation != VPN_REMOTE_ONLY);
	timer_set(k, &t->refresh, t->expires_us);
	if (may)
		tunnel_negotiate(t);
}

static void without_keys(struct ike_child *c)
{
	struct ike_sa_half *halves[] = {&c->in, &c->out, &c->in_ah, &c->out_ah};

	for (size_t i = 0; i < sizeof(halves) / sizeof(*halves); i++) {
		secret_wipe(halves[i]->enc_key, sizeof(halves[i]->enc_key));
		secret_wipe(halves[i]->auth_key, sizeof(halves[i]->auth_key));
	}
}

struct tunnel *tunnel_new(struct ike *k, const struct ike_child *what)
{
	struct tunnel *t = xnew(struct tunnel);
	unsigned number = 0;

	t->ike = k;
	t->child = *what;
	if (*what->tunnel_id && sscanf(what->tunnel_id, "Y%u", &number) == 1 && number >= k->next_y)
		k->next_y = number + 1;
	t->number = number ? number : k->next_y++;
	(void)snprintf(t->id, sizeof(t->id), "Y%u", t->number);
	memcpy(t->child.tunnel_id, t->id, sizeof(t->id));
	t->last_generation = what->generation;
	t->refresh = (struct timer){.fn = refresh, .arg = t};
	t->adopt = (struct timer){.fn = tunnel_adopt, .arg = t};
	without_keys(&t->child);
	TAILQ_INSERT_TAIL(&k->tunnels, t, entry);
	LIST_INSERT_HEAD(&k->by_id[ike_digest(k, t->id, strlen(t->id)) % IKE_BUCKETS], t, hash);
	tunnel_link(t);
	k->n_tunnels++;
	return t;
}

void tunnel_attach(struct tunnel *t, struct p1 *p)
{
	if (t->p1 == p)
		return;
	if (t->p1) {
		LIST_REMOVE(t, of_p1);
		t->p1->n_tunnels--;
	}
	t->p1 = p;
	if (!p)
		return;
	LIST_INSERT_HEAD(&p->tunnels, t, of_p1);
	p->n_tunnels++;
	if (p->step == P1_DONE) { /* it asks from now on */
		t->orphan = false;
		timer_stop(p->ike, &t->adopt);
	}
	(void)snprintf(t->child.parent_id, sizeof(t->child.parent_id), "%s", p->id);
}

void tunnel_in_force(struct tunnel *t, const struct ike_child *c)
{
	struct ike *k = t->ike;
	bool renewed = t->live;

	if (t->live)
		old_child_keep(t);
	else
		t->established_us = k->now;
	tunnel_unlink(t);
	t->child = *c;
	without_keys(&t->child);
	tunnel_link(t);
	if (c->generation > t->last_generation)
		t->last_generation = c->generation;
	t->live = true;
	t->waiting = false;
	t->refresh_us = k->now + c->soft_s * IKE_SECOND;
	t->expires_us = k->now + c->hard_s * IKE_SECOND;
	if (c->hard_s)
		timer_set(k, &t->refresh, t->refresh_us);
	k->stats.p2_up++;
	ike_event(k, renewed ? IKE_P2_REFRESHED : IKE_P2_UP, t->p1, t, NULL, "EZD0971I", "phase 2 tunnel %s is %s", t->id,
		renewed ? "refreshed" : "established");
}

void tunnel_moved(struct tunnel *t, const struct ike_path *path)
{
	struct ike *k = t->ike;

	tunnel_unlink(t);
	t->child.path = *path;
	for (struct old_child *o = t->old; o; o = o->next)
		o->child.path = *path;
	tunnel_link(t);
	if (t->live)
		ike_event(k, IKE_PEER_MOVED, t->p1, t, path, "EZD1087I", "the peer's address or port changed behind its NAT");
}

static void forget(struct tunnel *t)
{
	struct ike *k = t->ike;

	t->dead = true;
	t->live = false;
	if (t->quick)
		quick_end(t->quick);
	tunnel_attach(t, NULL);
	timer_stop(k, &t->refresh);
	TAILQ_REMOVE(&k->tunnels, t, entry);
	LIST_REMOVE(t, hash);
	tunnel_unlink(t);
	timer_stop(k, &t->adopt);
	k->n_tunnels--;
	TAILQ_INSERT_TAIL(&k->dead_tunnel, t, entry);
}

void tunnel_down(struct tunnel *t, const char *why, bool tell_peer)
{
	struct ike *k = t->ike;
	struct p1 *p = t->p1 && t->p1->step == P1_DONE ? t->p1 : p1_between(k, &t->child.path.local, &t->child.path.remote);

	if (t->dead)
		return;
	tell_peer = tell_peer && p && !p->dead;
	if (t->live) {
		if (tell_peer)
			send_delete_child(p, &t->child);
		k->c.ops->remove(k->c.ctx, &t->child, why);
	}
	while (t->old) {
		if (tell_peer)
			send_delete_child(p, &t->old->child);
		old_child_gone(k, t->old, why);
	}
	ike_event(k, t->live ? IKE_P2_DOWN : IKE_P2_FAILED, t->p1, t, NULL, "EZD0972I", "phase 2 tunnel %s ended: %s", t->id, why);
	forget(t);
}

void tunnel_failed(struct tunnel *t, const char *message, const char *fmt, ...)
{
	struct ike *k = t->ike;
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (t->dead)
		return;
	t->waiting = false;
	ike_event(k, IKE_P2_FAILED, t->p1, t, NULL, message, "IKE PHASE 2 NEGOTIATION FAILED: %s", text);
	if (!t->live) {
		forget(t);
		return;
	}
	if (t->p1 && t->p1->step != P1_DONE)
		tunnel_attach(t, NULL);
	uint64_t again = k->now + TRY_AGAIN_S * IKE_SECOND;
	timer_set(k, &t->refresh, again < t->expires_us ? again : t->expires_us);
}

struct p1 *tunnel_begin_p1(struct tunnel *t, struct errbuf *e)
{
	struct ike *k = t->ike;
	struct ike_path path = t->child.path;
	const struct kex_rule *r;
	struct p1 *p = NULL;
	size_t from = 0;

	/* A NAT's port is only good for the SA that it was seen with, and to reach who is behind it there is no other. */
	if (!t->live || !t->child.udp)
		path.local_port = path.remote_port = 500;
	else
		path.local_port = 4500;
	while ((r = policy_kex_rule(k->c.policy, &path.local, &path.remote, &from)) && r->action.initiate == IKE_MODE_DONOT)
		;
	if (!r) {
		(void)err_set(e, ENOENT, "no KeyExchangeRule lets us begin with this peer");
		return NULL;
	}
	return p1_initiate(k, &path, r, NULL, &p, e) ? NULL : p;
}

void tunnel_negotiate(struct tunnel *t)
{
	struct ike *k = t->ike;
	const struct ike_path *path = &t->child.path;
	struct errbuf e = {"no phase 1"};

	if (t->dead || t->quick || t->waiting)
		return;
	struct p1 *p = p1_between(k, &path->local, &path->remote);
	if (p) {
		tunnel_attach(t, p);
		quick_begin(t);
		return;
	}
	p = p1_under_way(k, path);
	if (!p)
		p = tunnel_begin_p1(t, &e);
	if (!p) {
		tunnel_failed(t, "EZD0970I", "%s", e.text);
		return;
	}
	t->waiting = true;
	tunnel_attach(t, p);
}

void tunnels_of_ready(struct p1 *p)
{
	struct tunnel *t, *next;

	for (t = LIST_FIRST(&p->tunnels); t; t = next) {
		next = LIST_NEXT(t, of_p1);
		if (!t->waiting)
			continue;
		t->waiting = false;
		quick_begin(t);
	}
}

void tunnels_lost_p1(struct p1 *p, const char *why)
{
	struct tunnel *t;

	while ((t = LIST_FIRST(&p->tunnels))) {
		bool waiting = t->waiting;
		tunnel_attach(t, NULL);
		t->waiting = false;
		if (waiting)
			tunnel_failed(t, "EZD0970I", "%s", why ? why : "its IKE tunnel ended");
		else if (why)
			tunnel_down(t, why, false);
		else if (!t->live && !t->quick)
			tunnel_failed(t, "EZD0970I", "its IKE tunnel ended");
	}
}

void tunnel_free(struct tunnel *t)
{
	old_children_free(t);
	timer_stop(t->ike, &t->refresh);
	free(t);
}
