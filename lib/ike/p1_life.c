/* p1_life: how long a phase 1 SA lives, and what follows it: renewal ahead of its lifetime and its lifesize, succession, the peer that
 * moves or begins anew.
 *
 * Lifesize (RFC 2409 appendix A: life type 2): what the SA has protected since it was done, both ways: the encrypted bodies of the
 * messages sent, and of those received that proved good. What a stranger makes up under our cookies does not count, else anybody could
 * use an SA up; nor does a message sent again, which is the same bytes under the same key; nor the last messages of phase 1 itself: a
 * peer that asks for a kilobyte and sends a certificate chain would have an SA that is used up before it exists. */
#include "lib/ike/engine.h"

enum { GRACE_S = 20, KILOBYTE = 1024 };

static void over(struct p1 *p)
{
	send_delete_p1(p);
	tunnels_orphaned(p);
	tunnels_lost_p1(p, NULL);
	p1_end(p);
}

void p1_life(struct ike *k, void *arg)
{
	struct p1 *p = arg, *next;
	struct errbuf e;

	if (p->step != P1_DONE) { /* half-open for too long */
		if (!p->half_open)
			p1_failed(p, NOTIFY_NONE, "EZD0965I", "the exchange was not finished in time");
		else
			p1_end(p);
		return;
	}
	if (k->now < p->expires_us) {
		timer_set(k, &p->life, p->expires_us);
		/* Only who has tunnels, or began, cares that it goes on. */
		if (!p->refreshing && p->rule && (p->initiator || p->n_tunnels))
			(void)p1_initiate(k, &p->path, p->rule, p, &next, &e);
		return;
	}
	ike_event(k, IKE_P1_DOWN, p, NULL, NULL, "EZD0995I", "Phase 1 Security Association %s is expired", p->id);
	over(p);
}

void p1_deaf(struct p1 *p)
{
	ike_event(p->ike, IKE_P1_DOWN, p, NULL, NULL, "EZD0995I", "the peer answers nothing by it");
	over(p);
}

void p1_used(struct p1 *p, size_t bytes)
{
	struct ike *k = p->ike;

	if (p->step != P1_DONE || p->dead)
		return;
	p->bytes += bytes;
	if (p->bytes >= p->hard_bytes) {
		p->hard_bytes = p->soft_bytes = UINT64_MAX;
		p->expires_us = k->now;
		timer_set(k, &p->life, k->now);
	} else if (p->bytes >= p->soft_bytes) { /* renewed by the timer, as when its time comes: not in the middle of a message */
		p->soft_bytes = UINT64_MAX;
		timer_set(k, &p->life, k->now);
	}
}

void p1_moved(struct p1 *p, const struct ike_path *path)
{
	struct ike *k = p->ike;
	struct tunnel *t;

	LIST_REMOVE(p, pair);
	p->path = *path;
	LIST_INSERT_HEAD(p1_pairs(k, &path->local, &path->remote), p, pair);
	if (LIST_EMPTY(&p->tunnels))
		ike_event(k, IKE_PEER_MOVED, p, NULL, path, "EZD1087I", "the peer's address or port changed behind its NAT");
	LIST_FOREACH(t, &p->tunnels, of_p1)
		tunnel_moved(t, path);
}

void p1_add_contact(struct p1 *p, struct isakmp_build *b)
{
	uint8_t cookies[2 * IKE_COOKIE];

	if (!p->initiator || p->replaces || p1_between(p->ike, &p->path.local, &p->path.remote) || tunnels_between(p->ike, &p->path))
		return;
	memcpy(cookies, p->icookie, IKE_COOKIE);
	memcpy(cookies + IKE_COOKIE, p->rcookie, IKE_COOKIE);
	isakmp_open(b, ISAKMP_NOTIFY);
	ike_notification_write(&b->w, &(struct ike_notification){.doi = IKE_DOI_IPSEC, .protocol = IKE_PROTO_ISAKMP,
					      .type = NOTIFY_INITIAL_CONTACT, .spi = cookies, .spi_len = sizeof(cookies)});
	isakmp_close(b);
}

bool p1_says_contact(const struct isakmp_payloads *pl)
{
	struct ike_notification n;

	for (size_t i = 0; i < pl->n; i++)
		if (pl->at[i].type == ISAKMP_NOTIFY && !ike_notification_read(pl->at[i].body, pl->at[i].len, &n, NULL) &&
			n.type == NOTIFY_INITIAL_CONTACT)
			return true;
	return false;
}

/* The peer, which has proved who it is, knows nothing of what was between us: neither do we. */
void p1_take_contact(struct p1 *p, const struct isakmp_payloads *pl)
{
	struct p1 *old, *next;
	struct tunnel *t;

	if (!p1_says_contact(pl))
		return;
	for (old = LIST_FIRST(p1_pairs(p->ike, &p->path.local, &p->path.remote)); old; old = next) {
		next = LIST_NEXT(old, pair);
		if (old == p || old->step != P1_DONE || !addr_equal(&old->path.local, &p->path.local) ||
			!addr_equal(&old->path.remote, &p->path.remote) || !ident_equal(&old->peer, &p->peer))
			continue;
		ike_event(p->ike, IKE_P1_DOWN, old, NULL, NULL, "EZD0995I", "the peer began anew (INITIAL-CONTACT)");
		while ((t = LIST_FIRST(&old->tunnels)))
			tunnel_down(t, "the peer began anew (INITIAL-CONTACT)", false);
		p1_end(old);
	}
	tunnels_forget(p, "the peer began anew (INITIAL-CONTACT)");
}

/* The one before it, of the same peer: found by us (replaces), or the peer made the new one. */
static struct p1 *predecessor(struct p1 *p)
{
	struct p1 *o;

	if (p->replaces)
		return p->replaces;
	LIST_FOREACH(o, p1_pairs(p->ike, &p->path.local, &p->path.remote), pair)
		if (o != p && o->step == P1_DONE && addr_equal(&o->path.local, &p->path.local) && addr_equal(&o->path.remote, &p->path.remote) &&
			o->path.remote_port == p->path.remote_port && ident_equal(&o->peer, &p->peer) && o->rule == p->rule)
			return o;
	return NULL;
}

static void succeed(struct p1 *p, struct p1 *old)
{
	struct ike *k = p->ike;
	struct tunnel *t;

	if (!p->number)
		p1_number(p, old);
	while ((t = LIST_FIRST(&old->tunnels)))
		tunnel_attach(t, p);
	/* Both ends may renew at once: the attempt that is still under way replaces nothing any more. */
	if (old->successor && old->successor != p)
		old->successor->replaces = NULL;
	if (old->replaces)
		old->replaces->successor = NULL;
	old->replaces = NULL;
	old->successor = NULL;
	old->refreshing = true; /* is not refreshed again */
	if (k->now + GRACE_S * IKE_SECOND < old->expires_us)
		old->expires_us = k->now + GRACE_S * IKE_SECOND;
	timer_set(k, &old->life, old->expires_us);
	p->replaces = NULL;
}

/* Both ends began at once, so that each is about to see two new SAs, perhaps in different order: were the later one to succeed the earlier
 * at each end, both would be given up. Both ends see the same cookies: the greater stays. */
static bool gives_way(const struct p1 *p, const struct p1 *old)
{
	return p->initiator != old->initiator && p->ike->now - old->established_us < GRACE_S * IKE_SECOND &&
		memcmp(p->icookie, old->icookie, IKE_COOKIE) < 0;
}

static void give_way(struct p1 *p, struct p1 *old)
{
	struct tunnel *t;

	if (p->number)
		LIST_REMOVE(p, by_number);
	p->number = old->number;
	p->generation = old->generation;
	memcpy(p->id, old->id, sizeof(p->id));
	LIST_INSERT_AFTER(old, p, by_number);
	while ((t = LIST_FIRST(&p->tunnels)))
		tunnel_attach(t, old);
	if (p->replaces)
		p->replaces->successor = NULL;
	p->replaces = NULL;
	p->refreshing = true; /* nobody renews it */
	p->expires_us = p->ike->now + GRACE_S * IKE_SECOND;
	timer_set(p->ike, &p->life, p->expires_us);
}

void p1_done(struct p1 *p)
{
	struct ike *k = p->ike;
	uint64_t seconds = p->offer.seconds.proposed;
	struct p1 *old = predecessor(p);
	uint32_t spread = 0;

	p->step = P1_DONE;
	p1_not_half_open(p);
	p1_kex_free(p);
	k->stats.p1_up++;
	(void)ike_random(k, &spread, sizeof(spread));
	p->established_us = p->heard_us = k->now;
	p->expires_us = seconds ? k->now + seconds * IKE_SECOND : UINT64_MAX;
	/* Before it expires, and not at the same moment as the peer, or as all others: 85 to 95 %, the responder later. */
	uint64_t part = 850 + spread % 50 + (p->initiator ? 0 : 50);
	p->refresh_us = seconds ? k->now + seconds * IKE_SECOND / 1000 * part : UINT64_MAX;
	if (seconds)
		timer_set(k, &p->life, p->refresh_us);
	else
		timer_stop(k, &p->life);
	p->bytes = 0;
	p->hard_bytes = p->offer.kbytes.proposed ? (uint64_t)p->offer.kbytes.proposed * KILOBYTE : UINT64_MAX;
	p->soft_bytes = p->offer.kbytes.proposed ? p->hard_bytes / 1000 * part : UINT64_MAX;
	bool crossed = old && gives_way(p, old);
	if (crossed)
		give_way(p, old);
	else if (old)
		succeed(p, old);
	else if (!p->number)
		p1_number(p, NULL);
	if (p->paired)
		LIST_REMOVE(p, pair);
	if (crossed)
		LIST_INSERT_AFTER(old, p, pair);
	else
		LIST_INSERT_HEAD(p1_pairs(k, &p->path.local, &p->path.remote), p, pair);
	p->paired = true;
	p->reported = true;
	ike_event(k, old ? IKE_P1_REFRESHED : IKE_P1_UP, p, NULL, NULL, "EZD0942I", "Phase 1 Security Association %s generation %u is %s", p->id,
		p->generation, old ? "refreshed" : "established");
	if (p->vids & VID_DPD)
		timer_set(k, &p->dpd, k->now + k->c.limits.dpd_idle_us);
	tunnels_adopt(crossed ? old : p);
	tunnels_of_ready(crossed ? old : p);
}
