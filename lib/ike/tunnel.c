/* tunnel: phase 2 tunnels ("Y7") and their generations. One lives from its first negotiation, or from an activation, to its end;
 * a renewal gives it another pair of SAs.
 *
 * Make before break: the pair that was replaced goes on being understood until its own lifetime ends or the peer deletes it, because
 * when both ends renew at once they may use different ones for a while, and neither can know. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/ike/engine.h"
#include <stdarg.h>
#include <stdio.h>

enum { OLD_MAX = 3, TRY_AGAIN_S = 30, CROSSING_S = 10, ADOPT_SPREAD_S = 3, ADOPT_AGAIN_S = 300 };

static void put(uint8_t **at, const void *p, size_t len)
{
	memcpy(*at, p, len);
	*at += len;
}

static struct tunnel_list *same_bucket(struct ike *k, const struct ike_child *c)
{
	uint8_t key[6 * sizeof(struct addr) + 6], *at = key;
	const struct addr *all[] = {&c->path.local, &c->path.remote, &c->sel.local.lo, &c->sel.local.hi, &c->sel.remote.lo, &c->sel.remote.hi};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		put(&at, all[i], sizeof(struct addr));
	put(&at, &c->sel.protocol, 2);
	put(&at, &c->sel.local_port, 2);
	put(&at, &c->sel.remote_port, 2);
	return &k->by_same[ike_digest(k, key, (size_t)(at - key)) % IKE_BUCKETS];
}

static struct tunnel_list *ends_bucket(struct ike *k, const struct ike_path *path)
{
	uint8_t key[2 * sizeof(struct addr)], *at = key;

	put(&at, &path->local, sizeof(path->local));
	put(&at, &path->remote, sizeof(path->remote));
	return &k->by_ends[ike_digest(k, key, sizeof(key)) % IKE_BUCKETS];
}

static bool ends_equal(const struct ike_path *a, const struct ike_path *b)
{
	return addr_equal(&a->local, &b->local) && addr_equal(&a->remote, &b->remote);
}

bool tunnels_between(struct ike *k, const struct ike_path *path)
{
	struct tunnel *t;

	LIST_FOREACH(t, ends_bucket(k, path), ends)
		if (t->live && ends_equal(&t->child.path, path))
			return true;
	return false;
}

static bool belongs(const struct tunnel *t, const struct p1 *p)
{
	const struct ike_child *c = &t->child;

	return t->live && ends_equal(&c->path, &p->path) && c->owner_len == 1 + p->peer.len && c->owner_data[0] == p->peer.type &&
		!memcmp(c->owner_data + 1, p->peer.data, p->peer.len);
}

void tunnels_adopt(struct p1 *p)
{
	struct tunnel *t;

	LIST_FOREACH(t, ends_bucket(p->ike, &p->path), ends)
		if (!t->p1 && belongs(t, p))
			tunnel_attach(t, p);
}

void tunnels_forget(struct p1 *p, const char *why)
{
	struct tunnel *t, *next;

	for (t = LIST_FIRST(ends_bucket(p->ike, &p->path)); t; t = next) {
		next = LIST_NEXT(t, ends);
		if (!t->p1 && belongs(t, p))
			tunnel_down(t, why, false);
	}
}

static bool range_equal(const struct addr_range *a, const struct addr_range *b)
{
	return addr_equal(&a->lo, &b->lo) && addr_equal(&a->hi, &b->hi);
}

struct tunnel *tunnel_same(struct ike *k, const struct ike_child *c)
{
	struct tunnel *t;

	LIST_FOREACH(t, same_bucket(k, c), same) {
		const struct ike_child *o = &t->child;
		if (!t->dead && addr_equal(&o->path.local, &c->path.local) && addr_equal(&o->path.remote, &c->path.remote) &&
			range_equal(&o->sel.local, &c->sel.local) && range_equal(&o->sel.remote, &c->sel.remote) &&
			o->sel.protocol == c->sel.protocol && o->sel.local_port == c->sel.local_port &&
			o->sel.remote_port == c->sel.remote_port)
			return t;
	}
	return NULL;
}

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

static void adopt(struct ike *k, void *arg);

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
	t->adopt = (struct timer){.fn = adopt, .arg = t};
	secret_wipe(&t->child.in.enc_key, sizeof(t->child.in.enc_key));
	secret_wipe(&t->child.in.auth_key, sizeof(t->child.in.auth_key));
	secret_wipe(&t->child.out.enc_key, sizeof(t->child.out.enc_key));
	secret_wipe(&t->child.out.auth_key, sizeof(t->child.out.auth_key));
	TAILQ_INSERT_TAIL(&k->tunnels, t, entry);
	LIST_INSERT_HEAD(&k->by_id[ike_digest(k, t->id, strlen(t->id)) % IKE_BUCKETS], t, hash);
	LIST_INSERT_HEAD(same_bucket(k, &t->child), t, same);
	LIST_INSERT_HEAD(ends_bucket(k, &t->child.path), t, ends);
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

static void old_gone(struct ike *k, struct old_child *o, const char *why)
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
	old_gone(k, arg, "its lifetime is over");
}

/* The pair in force becomes one that is only understood still. */
static void keep_old(struct tunnel *t)
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
		old_gone(k, i, "replaced more than once");
	}
}

static void without_keys(struct ike_child *c)
{
	struct ike_sa_half *halves[] = {&c->in, &c->out};

	for (size_t i = 0; i < 2; i++) {
		secret_wipe(halves[i]->enc_key, sizeof(halves[i]->enc_key));
		secret_wipe(halves[i]->auth_key, sizeof(halves[i]->auth_key));
	}
}

void tunnel_in_force(struct tunnel *t, const struct ike_child *c)
{
	struct ike *k = t->ike;
	bool renewed = t->live;

	if (t->live)
		keep_old(t);
	else
		t->established_us = k->now;
	LIST_REMOVE(t, same);
	LIST_REMOVE(t, ends);
	t->child = *c;
	without_keys(&t->child);
	LIST_INSERT_HEAD(same_bucket(k, &t->child), t, same);
	LIST_INSERT_HEAD(ends_bucket(k, &t->child.path), t, ends);
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

	LIST_REMOVE(t, same);
	LIST_REMOVE(t, ends);
	t->child.path = *path;
	for (struct old_child *o = t->old; o; o = o->next)
		o->child.path = *path;
	LIST_INSERT_HEAD(same_bucket(k, &t->child), t, same);
	LIST_INSERT_HEAD(ends_bucket(k, path), t, ends);
	if (t->live)
		ike_event(k, IKE_PEER_MOVED, t->p1, t, path, "EZD1087I", "the peer's address or port changed behind its NAT");
}

static void unlink_tunnel(struct tunnel *t)
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
	LIST_REMOVE(t, same);
	LIST_REMOVE(t, ends);
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
		old_gone(k, t->old, why);
	}
	ike_event(k, t->live ? IKE_P2_DOWN : IKE_P2_FAILED, t->p1, t, NULL, "EZD0972I", "phase 2 tunnel %s ended: %s", t->id, why);
	unlink_tunnel(t);
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
		unlink_tunnel(t);
		return;
	}
	if (t->p1 && t->p1->step != P1_DONE)
		tunnel_attach(t, NULL);
	uint64_t again = k->now + TRY_AGAIN_S * IKE_SECOND;
	timer_set(k, &t->refresh, again < t->expires_us ? again : t->expires_us);
}

/* By the first KeyExchangeRule of the two ends that lets us begin. */
static struct p1 *begin_p1(struct tunnel *t, struct errbuf *e)
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

/* A living tunnel without a phase 1 gets one. After a restart the peer still has one that we know nothing of, and would take us for
 * dead; and when it expired, or the peer deleted it, nothing asks any more whether the peer lives. */
static void adopt(struct ike *k, void *arg)
{
	struct tunnel *t = arg;
	struct errbuf e;
	struct p1 *p = t->p1 ? t->p1 : p1_between(k, &t->child.path.local, &t->child.path.remote);

	if (p && !t->p1 && belongs(t, p))
		tunnel_attach(t, p);
	else if (!p && !p1_under_way(k, &t->child.path) && !begin_p1(t, &e)) /* the policy does not let us: it may change */
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

	for (t = LIST_FIRST(ends_bucket(k, &p->path)); t; t = next) {
		next = LIST_NEXT(t, ends);
		if (!t->live || !t->orphan || (t->p1 && t->p1 != p) || !ends_equal(&t->child.path, &p->path))
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
		p = begin_p1(t, &e);
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
	while (t->old) {
		struct old_child *o = t->old;
		t->old = o->next;
		timer_stop(t->ike, &o->gone);
		free(o);
	}
	timer_stop(t->ike, &t->refresh);
	free(t);
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

void tunnel_deleted(struct p1 *p, uint8_t protocol, uint32_t spi)
{
	struct ike *k = p->ike;
	struct tunnel *t, *next;

	for (t = LIST_FIRST(ends_bucket(k, &p->path)); t; t = next) {
		next = LIST_NEXT(t, ends);
		if (t->child.proto != protocol || !belongs(t, p))
			continue;
		for (struct old_child *o = t->old, *on; o; o = on) {
			on = o->next;
			if (o->child.out.spi == spi) {
				old_gone(k, o, "the peer deleted it");
				return;
			}
		}
		if (t->child.out.spi != spi)
			continue;
		/* Of two that crossed, the peer gives up one: the older is still good. Later, it means the tunnel. */
		if (t->old && k->now - t->established_us < CROSSING_S * IKE_SECOND)
			fall_back(t);
		else
			tunnel_down(t, "the peer deleted it", false);
		return;
	}
}
