#include "lib/ike/engine.h"
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include <stdarg.h>
#include <stdio.h>

enum { HALF_TOTAL = 16384, HALF_SOURCE = 64, P1_TOTAL = 65536, CHILDREN = 131072, MESSAGE = 32768, PIECES = 32, RETRIES = 6, TTL_S = 30 };

uint64_t ike_digest(const struct ike *k, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = k->key[0] ^ len;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t w;
		memcpy(&w, p, 8);
		h = (h ^ w) * 0xff51afd7ed558ccdull;
		h ^= h >> 32 ^ k->key[1];
	}
	for (; len; p++, len--)
		h = (h ^ *p) * 0x100000001b3ull;
	h *= 0xc4ceb9fe1a85ec53ull;
	h ^= h >> 29;
	return h ? h : 1;
}

int ike_random(struct ike *k, void *out, size_t len)
{
	return k->c.ops->random(k->c.ctx, out, len);
}

void bytes_set(struct bytes *b, const void *p, size_t len)
{
	uint8_t *copy = xcalloc(1, len);

	if (len)
		memcpy(copy, p, len);
	bytes_free(b);
	*b = (struct bytes){copy, len};
}

void bytes_free(struct bytes *b)
{
	if (b->p)
		secret_wipe(b->p, b->len);
	free(b->p);
	*b = (struct bytes){NULL, 0};
}

#define DEFAULT(field, value) k->c.limits.field = k->c.limits.field ? k->c.limits.field : (value)

int ike_new(const struct ike_config *c, uint64_t now_us, struct ike **ret)
{
	struct ike *k = xnew(struct ike);

	k->c = *c;
	k->now = now_us;
	DEFAULT(half_open_total, HALF_TOTAL);
	DEFAULT(half_open_source, HALF_SOURCE);
	DEFAULT(p1_total, P1_TOTAL);
	DEFAULT(children_total, CHILDREN);
	DEFAULT(message_max, MESSAGE);
	DEFAULT(fragments_max, PIECES);
	DEFAULT(retries, RETRIES);
	DEFAULT(retry_first_us, 2 * IKE_SECOND);
	DEFAULT(dpd_idle_us, 30 * IKE_SECOND);
	DEFAULT(dpd_timeout_us, 60 * IKE_SECOND);
	if (k->c.limits.message_max > sizeof(k->in))
		k->c.limits.message_max = sizeof(k->in);
	TAILQ_INIT(&k->p1s);
	TAILQ_INIT(&k->half);
	TAILQ_INIT(&k->tunnels);
	TAILQ_INIT(&k->dead_p1);
	TAILQ_INIT(&k->dead_quick);
	TAILQ_INIT(&k->dead_tunnel);
	k->next_k = k->next_y = 1;
	if (c->ops->random(c->ctx, k->key, sizeof(k->key))) {
		free(k);
		return -EIO;
	}
	k->pool = dh_pool_new();
	ahead_policy(k);
	auth_load_cas(k);
	*ret = k;
	return 0;
}

void ike_reap(struct ike *k)
{
	struct quick *q;
	struct tunnel *t;
	struct p1 *p;

	while ((q = TAILQ_FIRST(&k->dead_quick))) {
		TAILQ_REMOVE(&k->dead_quick, q, entry);
		quick_free(q);
	}
	while ((t = TAILQ_FIRST(&k->dead_tunnel))) {
		TAILQ_REMOVE(&k->dead_tunnel, t, entry);
		tunnel_free(t);
	}
	while ((p = TAILQ_FIRST(&k->dead_p1))) {
		TAILQ_REMOVE(&k->dead_p1, p, entry);
		p1_free(p);
	}
}

void ike_free(struct ike *k)
{
	struct p1 *p;
	struct tunnel *t;

	if (!k)
		return;
	while ((t = TAILQ_FIRST(&k->tunnels))) {
		t->live = false;
		t->dead = true;
		if (t->quick)
			quick_end(t->quick);
		tunnel_attach(t, NULL);
		TAILQ_REMOVE(&k->tunnels, t, entry);
		LIST_REMOVE(t, hash);
		LIST_REMOVE(t, same);
		LIST_REMOVE(t, ends);
		TAILQ_INSERT_TAIL(&k->dead_tunnel, t, entry);
	}
	while ((p = TAILQ_FIRST(&k->p1s)))
		p1_end(p);
	ike_reap(k);
	auth_forget_cas(k);
	dh_pool_free(k->pool);
	free(k->timers.v);
	secret_wipe(k->in, sizeof(k->in));
	secret_wipe(k->out, sizeof(k->out));
	free(k);
}

struct tunnel *ike_tunnel_find(struct ike *k, const char *id)
{
	struct tunnel *t;

	LIST_FOREACH(t, &k->by_id[ike_digest(k, id, strlen(id)) % IKE_BUCKETS], hash)
		if (!strcmp(t->id, id))
			return t;
	return NULL;
}

void ike_event(struct ike *k, enum ike_event_kind kind, struct p1 *p, struct tunnel *t, const struct ike_path *path, const char *message,
	const char *fmt, ...)
{
	char text[400];
	va_list ap;
	struct ike_event e = {.kind = kind, .path = path ? path : p ? &p->path : t ? &t->child.path : NULL, .message = message, .text = text};

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (p)
		e.p1 = ike_p1_fill(k, p);
	if (t)
		e.child = ike_child_fill(k, t);
	if (k->c.ops->event)
		k->c.ops->event(k->c.ctx, &e);
}

void ike_enter(struct ike *k, uint64_t now_us, uint64_t wall_us)
{
	if (now_us > k->now)
		k->now = now_us;
	if (wall_us)
		k->wall = wall_us;
}

int ike_open(struct p1 *p, const struct isakmp_header *h, uint8_t *data, size_t len, uint8_t iv[IKE_BLOCK_MAX], struct isakmp_payloads *ret,
	struct ike_refusal *why)
{
	size_t body = len - ISAKMP_HEADER;

	if (!(h->flags & ISAKMP_ENCRYPTED))
		return isakmp_walk(h->next, data + ISAKMP_HEADER, body, 0, ret, why);
	if (!p->have_keys || !body || body % p->suite.block || ike_decrypt(&p->suite, p->keys.enc_key, iv, data + ISAKMP_HEADER, body)) {
		p->ike->stats.decrypt_failed++;
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "the message is not encrypted as agreed");
	}
	int r = isakmp_walk(h->next, data + ISAKMP_HEADER, body, body, ret, why);
	p->ike->stats.decrypt_failed += r < 0;
	return r;
}

static void dispatch(struct ike *k, const struct ike_path *path, const struct isakmp_header *h, uint8_t *data, size_t len)
{
	struct p1 *p = p1_find(k, h->icookie, h->rcookie);

	if (!p) {
		bool first = isakmp_cookie_zero(h->rcookie) && (h->exchange == ISAKMP_MAIN || h->exchange == ISAKMP_AGGRESSIVE) && h->id == 0 &&
			!(h->flags & ISAKMP_ENCRYPTED);
		if (first)
			p1_respond(k, path, h, data, len);
		else
			k->stats.cookie_refused++; /* an answer would help only who guesses */
		return;
	}
	if (h->exchange == ISAKMP_MAIN || h->exchange == ISAKMP_AGGRESSIVE) {
		p1_input(p, path, h, data, len);
	} else if (h->exchange == ISAKMP_QUICK) {
		quick_input(p, h, data, len);
	} else if (h->exchange == ISAKMP_INFORMATIONAL) {
		info_input(p, h, data, len);
	} else {
		k->stats.malformed++;
	}
}

/* A piece of a message: whole, it comes back here with its own header. */
static void fragment(struct ike *k, const struct ike_path *path, const struct isakmp_header *h, uint8_t *data, size_t len)
{
	struct p1 *p = p1_find(k, h->icookie, h->rcookie);
	struct frag_limits limits = {k->c.limits.fragments_max, k->c.limits.message_max};
	struct isakmp_payloads pl;
	struct isakmp_header whole;
	const uint8_t *message;
	size_t message_len;

	/* Pieces are kept only of who has seen our cookie: a forged source has not. We always say that we can fragment; whether the peer
	 * did stands perhaps in this very message (aggressive mode's second). */
	if (!p || isakmp_cookie_zero(h->rcookie) || h->flags & ISAKMP_ENCRYPTED ||
		isakmp_walk(h->next, data + ISAKMP_HEADER, len - ISAKMP_HEADER, 0, &pl, NULL) || pl.n != 1) {
		k->stats.malformed++;
		return;
	}
	if (!p->frag)
		p->frag = frag_new(&limits);
	int r = frag_add(p->frag, pl.at[0].body, pl.at[0].len, k->now, TTL_S * IKE_SECOND, &message, &message_len, NULL);
	if (r < 0 || (r == 0 && (message_len > k->c.limits.message_max || isakmp_header_read(message, message_len, &whole, NULL) ||
				       whole.next == ISAKMP_FRAGMENT || memcmp(whole.icookie, h->icookie, IKE_COOKIE)))) {
		k->stats.malformed++;
		return;
	}
	if (r)
		return;
	memcpy(k->in, message, message_len);
	dispatch(k, path, &whole, k->in, message_len);
}

void ike_input(struct ike *k, const struct ike_path *path, const void *data, size_t len, uint64_t now_us, uint64_t wall_us)
{
	struct isakmp_header h;
	struct ike_refusal why = {0, ""};

	ike_enter(k, now_us, wall_us);
	k->stats.in++;
	if (len > k->c.limits.message_max || isakmp_header_read(data, len, &h, &why)) {
		k->stats.malformed++;
		return;
	}
	memcpy(k->in, data, len);
	k->from = path;
	if (h.next == ISAKMP_FRAGMENT)
		fragment(k, path, &h, k->in, len);
	else
		dispatch(k, path, &h, k->in, len);
	k->from = NULL;
	ike_reap(k);
}

void ike_tick(struct ike *k, uint64_t now_us, uint64_t wall_us)
{
	struct timer *t;

	ike_enter(k, now_us, wall_us);
	while ((t = timer_due(k, k->now)))
		t->fn(k, t->arg);
	ike_reap(k);
}

void ike_installed(struct ike *k, const char *tunnel_id, uint32_t generation, int error, uint64_t now_us)
{
	struct tunnel *t = ike_tunnel_find(k, tunnel_id);
	struct quick *q = NULL;

	ike_enter(k, now_us, 0);
	if (t && t->p1)
		TAILQ_FOREACH(q, &t->p1->quicks, entry)
			if (q->tunnel == t && q->step == QUICK_WAIT_INSTALL && q->child.generation == generation)
				break;
	if (q)
		quick_installed(q, error);
	ike_reap(k);
}

void ike_policy(struct ike *k, const struct ipsec_policy *policy, uint64_t now_us)
{
	struct p1 *p, *next;
	struct tunnel *t, *tnext;

	ike_enter(k, now_us, 0);
	k->c.policy = policy;
	for (t = TAILQ_FIRST(&k->tunnels); t; t = tnext) {
		tnext = TAILQ_NEXT(t, entry);
		if (!allowed_tunnel(policy, t))
			tunnel_down(t, "the policy does not allow it any more", true);
	}
	for (p = TAILQ_FIRST(&k->p1s); p; p = next) {
		next = TAILQ_NEXT(p, entry);
		const struct kex_rule *r = allowed_p1(policy, p);
		if (r) {
			p->rule = r;
			continue;
		}
		ike_event(k, p->reported ? IKE_P1_DOWN : IKE_P1_FAILED, p, NULL, NULL, "EZD0995I", "the policy does not allow it any more");
		while ((t = LIST_FIRST(&p->tunnels))) /* while the peer can still be told */
			tunnel_down(t, "the policy does not allow its IKE tunnel any more", true);
		send_delete_p1(p);
		p1_end(p);
	}
	auth_load_cas(k);
	ahead_policy(k);
	ike_reap(k);
}

void ike_stack_said(struct ike *k, const char *tunnel_id, uint32_t generation, enum ike_stack_event what, const struct ike_path *path,
	uint64_t now_us)
{
	struct tunnel *t = tunnel_id ? ike_tunnel_find(k, tunnel_id) : NULL;
	struct p1 *p = path ? p1_between(k, &path->local, &path->remote) : NULL;

	ike_enter(k, now_us, 0);
	if (what == IKE_UNKNOWN_SPI && p && p->vids & VID_DPD && !p->dpd_since_us)
		p->heard_us = 0, info_dpd(k, p); /* does it know us still? */
	if (t && what == IKE_TRAFFIC && t->p1)
		info_heard(t->p1);
	if (t && what == IKE_TRAFFIC)
		quick_traffic(t, generation);
	if (t && what == IKE_SOFT && t->live && generation == t->child.generation && !t->quick)
		tunnel_negotiate(t);
	if (t && what == IKE_HARD && t->live && generation == t->child.generation)
		tunnel_down(t, "its lifetime or lifesize is used up", true);
	ike_reap(k);
}

int ike_resume(struct ike *k, const struct ike_child *c, uint64_t now_us)
{
	ike_enter(k, now_us, 0);
	struct tunnel *t = ike_tunnel_find(k, c->tunnel_id);
	if (t && t->child.generation >= c->generation)
		return -EEXIST;
	if (!policy_rule_find(k->c.policy, c->rule))
		return -ENOENT;
	if (!t) {
		t = tunnel_new(k, c);
		t->initiator = c->initiator;
	}
	tunnel_in_force(t, c);
	tunnel_resumed(t);
	return 0;
}
