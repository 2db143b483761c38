/* quick: quick mode (RFC 2409 section 5.5), three messages that make one pair of phase 2 SAs.
 *
 * Nothing of a message counts before its hash proved good; then the exchange's IV moves on. A message that we have answered is
 * answered again, byte for byte. The inbound SA is installed before the other end can know its SPI in full (responder: before
 * message 2 leaves; initiator: before message 3), the outbound one is used when the other end surely has its inbound one. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/ike/engine.h"
#include <stdio.h>

enum { NONCE_LEN = 32, LINGER_S = 200, SPI_MIN = 256 };

static struct tunnel *tunnel_of(const struct quick *q)
{
	struct tunnel *t = ike_tunnel_find(q->p1->ike, q->child.tunnel_id);

	return t && !t->dead ? t : NULL;
}

void quick_end(struct quick *q)
{
	struct ike *k = q->p1->ike;
	struct tunnel *t = tunnel_of(q);

	if (q->dead)
		return;
	q->dead = true;
	if (q->step == QUICK_WAIT_INSTALL || (!q->initiator && q->step == QUICK_WAIT))
		k->c.ops->remove(k->c.ctx, &q->child, "its negotiation ended");
	if (t && t->quick == q)
		t->quick = NULL;
	timer_stop(k, &q->linger);
	timer_stop(k, &q->flight.retry);
	TAILQ_REMOVE(&q->p1->quicks, q, entry);
	LIST_REMOVE(q, hash);
	q->p1->n_quicks--;
	TAILQ_INSERT_TAIL(&k->dead_quick, q, entry);
}

void quick_free(struct quick *q)
{
	struct bytes *all[] = {&q->ni, &q->nr, &q->sa, &q->ids, &q->idci, &q->idcr};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bytes_free(all[i]);
	bytes_free(&q->flight.sent);
	dh_key_free(q->dh);
	secret_wipe(&q->child, sizeof(q->child));
	free(q);
}

/* The negotiation failed: a tunnel that waited for it hears why. */
static void failed(struct quick *q, const char *why)
{
	struct tunnel *t = tunnel_of(q);
	char text[200];

	(void)snprintf(text, sizeof(text), "%s", why);
	quick_end(q);
	if (t && (q->initiator || !t->live))
		tunnel_failed(t, "EZD0970I", "%s", text);
}

static void retry(struct ike *k, void *arg)
{
	struct quick *q = arg;

	struct p1 *p = q->p1;

	if (q->flight.tries < k->c.limits.retries) {
		/* Nothing heard since phase 1's last message: perhaps it was lost, and nobody asks for it again. */
		if (p->aggressive && p->initiator && p->heard_us == p->established_us)
			send_again(p, &p->flight);
		send_again(p, &q->flight);
	} else {
		/* A peer that began anew, and whom no DPD looks after, would not answer before the phase 1 SA's life is over. */
		bool deaf = q->initiator && p->heard_us < q->began_us;
		failed(q, q->initiator ? "the peer does not answer quick mode" : "the peer did not finish quick mode");
		if (deaf && !p->dead)
			p1_deaf(p);
	}
}

static void linger(struct ike *k, void *arg)
{
	(void)k;
	quick_end(arg);
}

static struct quick_list *message_bucket(struct p1 *p, uint32_t id)
{
	uint64_t key[2] = {(uint64_t)(uintptr_t)p, id};

	return &p->ike->by_message[ike_digest(p->ike, key, sizeof(key)) % IKE_BUCKETS];
}

static struct quick *quick_find(struct p1 *p, uint32_t id)
{
	struct quick *q;

	LIST_FOREACH(q, message_bucket(p, id), hash)
		if (q->p1 == p && q->id == id)
			return q;
	return NULL;
}

static struct quick *quick_new(struct p1 *p, uint32_t id, bool initiator)
{
	struct quick *q = xnew(struct quick);

	q->p1 = p;
	q->id = id;
	q->initiator = initiator;
	q->began_us = p->ike->now;
	q->flight.retry = (struct timer){.fn = retry, .arg = q};
	q->linger = (struct timer){.fn = linger, .arg = q};
	q->step = QUICK_DONE; /* nothing is installed, nothing is waited for */
	TAILQ_INSERT_TAIL(&p->quicks, q, entry);
	LIST_INSERT_HEAD(message_bucket(p, id), q, hash);
	p->n_quicks++;
	return q;
}

static int random_u32(struct ike *k, uint32_t least, uint32_t *ret)
{
	do {
		if (ike_random(k, ret, sizeof(*ret)))
			return -EIO;
	} while (*ret < least);
	return 0;
}

static bool natted(const struct p1 *p)
{
	return p->natt && (p->nat.local || p->nat.remote);
}

static void start(struct quick *q, struct isakmp_build *b)
{
	struct p1 *p = q->p1;
	struct isakmp_header h = {.version = ISAKMP_VERSION, .exchange = ISAKMP_QUICK, .flags = ISAKMP_ENCRYPTED, .id = q->id};

	memcpy(h.icookie, p->icookie, IKE_COOKIE);
	memcpy(h.rcookie, p->rcookie, IKE_COOKIE);
	isakmp_start(b, p->ike->out, sizeof(p->ike->out), &h);
}

/* Fills the hash over what follows it and sends. @ni: empty for message 1. */
static int finish(struct quick *q, struct isakmp_build *b, uint8_t *hash, struct ike_part ni, bool wants_answer)
{
	struct p1 *p = q->p1;
	const uint8_t *rest = hash ? hash + p->suite.prf_len : NULL, *end = isakmp_mark(b);

	if (!hash || ike_hash12(&p->suite, &p->keys, q->id, ni, IKE_PART(rest, (size_t)(end - rest)), hash))
		return -EIO;
	size_t len = isakmp_finish(b, p->suite.block);
	if (!len)
		return -EMSGSIZE;
	send_message(p, &q->flight, q->iv, p->ike->out, len, wants_answer);
	return 0;
}

static void add_ids(struct quick *q, struct isakmp_build *b, const struct selector *s)
{
	uint8_t family = q->child.path.local.family;
	const uint8_t *from = isakmp_mark(b);

	isakmp_open(b, ISAKMP_ID);
	ike_id_write_range(&b->w, &s->local, s->local.lo.family ? s->local.lo.family : family, s->protocol, s->local_port);
	isakmp_close(b);
	isakmp_open(b, ISAKMP_ID);
	ike_id_write_range(&b->w, &s->remote, s->remote.lo.family ? s->remote.lo.family : family, s->protocol, s->remote_port);
	isakmp_close(b);
	/* Kept without the first byte of each generic header, which names the next payload. */
	bytes_set(&q->ids, from, (size_t)(isakmp_mark(b) - from));
}

/* RFC 3947 section 5.2: in transport mode both ends say what addresses they see. */
static void add_nat_oa(struct quick *q, struct isakmp_build *b)
{
	const struct p1 *p = q->p1;
	const struct addr *i = q->initiator ? &p->path.local : &p->path.remote, *r = q->initiator ? &p->path.remote : &p->path.local;
	uint8_t type = p->natt_draft ? ISAKMP_NAT_OA_DRAFT : ISAKMP_NAT_OA;

	isakmp_open(b, type);
	ike_nat_oa_write(&b->w, i);
	isakmp_close(b);
	isakmp_open(b, type);
	ike_nat_oa_write(&b->w, r);
	isakmp_close(b);
}

static bool any_transport(const struct vpn_action *v)
{
	for (size_t i = 0; i < v->n_offers; i++)
		if (!v->offers[i].tunnel)
			return true;
	return false;
}

static int own_values(struct quick *q)
{
	uint8_t nonce[NONCE_LEN];
	struct ike *k = q->p1->ike;

	if (ike_random(k, nonce, sizeof(nonce)))
		return -EIO;
	bytes_set(q->initiator ? &q->ni : &q->nr, nonce, sizeof(nonce));
	return q->group ? dh_pool_take(k->pool, q->group, &q->dh) : 0;
}

static struct p2_terms terms_of(const struct quick *q, const uint16_t *groups, size_t n_groups)
{
	const struct p1 *p = q->p1;

	return (struct p2_terms){.nat = natted(p), .draft = p->natt_draft, .esn_allowed = p->ike->c.esn_allowed, .spi = q->child.in.spi,
		.groups = groups, .n_groups = n_groups};
}

static int message_1(struct quick *q, const struct vpn_action *v)
{
	struct p1 *p = q->p1;
	struct p2_terms terms = terms_of(q, &q->group, 1);
	struct isakmp_build b;

	start(q, &b);
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
	add_ids(q, &b, &q->child.sel);
	if (natted(p) && any_transport(v))
		add_nat_oa(q, &b);
	return finish(q, &b, hash, IKE_PART(NULL, 0), true);
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
		if (random_u32(k, 1, &id)) {
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
	memset(&q->child.in, 0, sizeof(q->child.in));
	memset(&q->child.out, 0, sizeof(q->child.out));
	q->child.generation = ++t->last_generation;
	q->child.path = p->path;
	q->child.initiator = true;
	q->group = r->vpn->initiate_pfs;
	t->quick = q;
	int rc = random_u32(k, SPI_MIN, &q->child.in.spi);
	if (!rc)
		rc = own_values(q);
	if (!rc)
		rc = ike_iv_exchange(&p->suite, p->iv, id, q->iv);
	if (!rc)
		rc = message_1(q, r->vpn);
	if (rc < 0)
		failed(q, "its offers cannot be made");
	else
		q->step = QUICK_WAIT;
}

/* KEYMAT of one direction, cut. */
static int half_keys(struct quick *q, struct ike_part gqm, struct ike_sa_half *h)
{
	struct p1 *p = q->p1;
	uint8_t keymat[2 * IKE_KEY_MAX];
	uint16_t enc, auth;
	int rc = ike_key_sizes(q->child.proto, q->child.esp, q->child.key_bits, q->child.auth, &enc, &auth);

	if (!rc && (enc > IKE_KEY_MAX || auth > IKE_KEY_MAX))
		rc = -EPROTONOSUPPORT;
	if (!rc)
		rc = ike_keymat(&p->suite, &p->keys, gqm, q->child.proto, h->spi, bytes_part(&q->ni), bytes_part(&q->nr), keymat,
			(size_t)enc + auth);
	if (!rc) {
		memcpy(h->enc_key, keymat, enc);
		memcpy(h->auth_key, keymat + enc, auth);
		h->enc_key_len = enc;
		h->auth_key_len = auth;
	}
	secret_wipe(keymat, sizeof(keymat));
	return rc;
}

static int keys(struct quick *q, const struct isakmp_payload *ke, struct ike_refusal *why)
{
	uint8_t shared[DH_SHARED_MAX];
	struct ike_part gqm = IKE_PART(NULL, 0);
	int rc = 0;

	if (q->dh) {
		rc = dh_shared(q->dh, ke->body, ke->len, shared, why);
		gqm = IKE_PART(shared, dh_shared_len(q->group));
	}
	if (!rc)
		rc = half_keys(q, gqm, &q->child.in);
	if (!rc)
		rc = half_keys(q, gqm, &q->child.out);
	secret_wipe(shared, sizeof(shared));
	return rc < 0 ? ike_refuse(why, why->notify, why->notify ? why->text : "its keys cannot be made") : 0;
}

/* When to renew: the one that began first, and not all tunnels of a morning at once. */
static uint64_t soft_of(struct quick *q, uint64_t hard)
{
	uint8_t dice = 0;

	(void)ike_random(q->p1->ike, &dice, 1);
	uint64_t percent = q->initiator ? 80 + dice % 10 : 92 + dice % 4;
	return hard * percent / 100;
}

/* What was agreed, as the stack is to have it. */
static void describe(struct quick *q, const struct policy_rule *r)
{
	const struct data_offer *o = &q->choice.agreed;
	struct ike_child *c = &q->child;
	struct p1 *p = q->p1;

	(void)snprintf(c->parent_id, sizeof(c->parent_id), "%s", p->id);
	(void)snprintf(c->rule, sizeof(c->rule), "%s", r->name);
	(void)snprintf(c->vpn_action, sizeof(c->vpn_action), "%s", r->vpn->name);
	c->path = p->path;
	c->tunnel = o->tunnel;
	c->udp = o->udp;
	c->esn = o->esn;
	c->initiator = q->initiator;
	c->proto = q->choice.proto;
	c->esp = o->esp;
	c->key_bits = o->key_bits;
	c->auth = o->auth;
	c->pfs_group = q->choice.group;
	c->out.spi = q->choice.spi;
	c->hard_s = o->seconds.proposed;
	c->hard_bytes = (uint64_t)o->kbytes.proposed * 1024;
	c->soft_s = soft_of(q, c->hard_s);
	c->soft_bytes = soft_of(q, c->hard_bytes);
	c->vpn_life_s = r->vpn->vpn_life_s;
	c->df = r->vpn->df;
	c->passthrough_dscp = r->vpn->passthrough_dscp;
	/* Whose it is: only that peer's phase 1 takes it over after a restart, or may delete it. */
	c->owner_data[0] = p->peer.type;
	memcpy(c->owner_data + 1, p->peer.data, p->peer.len);
	c->owner_len = (uint16_t)(1 + p->peer.len);
}

static int take_nat_oa(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	uint8_t type = q->p1->natt_draft ? ISAKMP_NAT_OA_DRAFT : ISAKMP_NAT_OA;
	const struct isakmp_payload *a = isakmp_find(pl, type, 0), *b = isakmp_find(pl, type, 1);
	struct addr i = {0}, r = {0};

	if (!natted(q->p1) || q->child.tunnel || !a)
		return 0;
	if (ike_nat_oa_read(a->body, a->len, &i, why) || (b && ike_nat_oa_read(b->body, b->len, &r, why)))
		return -EPROTO;
	q->child.nat_oa_local = q->initiator ? i : r;
	q->child.nat_oa_remote = q->initiator ? r : i;
	return 0;
}

/* The peer's value for this exchange: a KE payload if, and only if, a group was agreed. */
static int take_values(struct quick *q, const struct isakmp_payloads *pl, const struct isakmp_payload **ret_ke, struct ike_refusal *why)
{
	const struct isakmp_payload *nonce = isakmp_find(pl, ISAKMP_NONCE, 0);

	*ret_ke = isakmp_find(pl, ISAKMP_KE, 0);
	if (!nonce || isakmp_count(pl, ISAKMP_NONCE) != 1 || ike_nonce_check(nonce->len, why))
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "quick mode with no good nonce");
	if ((*ret_ke != NULL) != (q->group != 0) || isakmp_count(pl, ISAKMP_KE) > 1)
		return ike_refuse(why, NOTIFY_INVALID_KEY_INFORMATION, "the KE payload does not go with the group that was agreed");
	bytes_set(q->initiator ? &q->nr : &q->ni, nonce->body, nonce->len);
	return 0;
}

/* The identities that come back must be those that were sent. */
static bool same_ids(const struct quick *q, const struct isakmp_payloads *pl)
{
	const uint8_t *at = q->ids.p;
	size_t left = q->ids.len;

	for (size_t i = 0; i < 2; i++) {
		const struct isakmp_payload *id = isakmp_find(pl, ISAKMP_ID, i);
		if (!id || left < 4 || left - 4 < id->len || at[2] != (uint8_t)((id->len + 4) >> 8) || at[3] != (uint8_t)(id->len + 4) ||
			memcmp(at + 4, id->body, id->len))
			return false;
		at += id->len + 4;
		left -= id->len + 4;
	}
	return !left;
}

static void lifetime_notes(struct quick *q, const struct isakmp_payloads *pl)
{
	struct ike_notification n;
	uint64_t seconds = 0, kbytes = 0;

	for (size_t i = 0; i < isakmp_count(pl, ISAKMP_NOTIFY); i++) {
		const struct isakmp_payload *at = isakmp_find(pl, ISAKMP_NOTIFY, i);
		if (ike_notification_read(at->body, at->len, &n, NULL) || n.type != NOTIFY_RESPONDER_LIFETIME ||
			offer_lifetimes_read(n.data, n.len, false, &seconds, &kbytes))
			continue;
		if (seconds && seconds < q->choice.agreed.seconds.proposed)
			q->choice.agreed.seconds.proposed = (uint32_t)seconds;
		if (kbytes && kbytes < UINT32_MAX && (!q->choice.agreed.kbytes.proposed || kbytes < q->choice.agreed.kbytes.proposed))
			q->choice.agreed.kbytes.proposed = (uint32_t)kbytes;
	}
}

static void message_3(struct quick *q)
{
	struct p1 *p = q->p1;
	struct ike *k = p->ike;
	struct tunnel *t = tunnel_of(q);
	struct isakmp_build b;

	start(q, &b);
	uint8_t *hash = isakmp_add_hole(&b, ISAKMP_HASH, p->suite.prf_len);
	if (!hash || ike_hash3(&p->suite, &p->keys, q->id, bytes_part(&q->ni), bytes_part(&q->nr), hash)) {
		failed(q, "its last message cannot be made");
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
	secret_wipe(&q->child.in, sizeof(q->child.in));
	secret_wipe(&q->child.out, sizeof(q->child.out));
	dh_key_free(q->dh);
	q->dh = NULL;
	bytes_free(&q->sa);
	bytes_free(&q->ids);
	timer_set(k, &q->linger, k->now + LINGER_S * IKE_SECOND);
}

/* The peer left our lifetimes to us: they are told (RFC 2407 section 4.6.3.1). */
static void add_lifetimes(struct quick *q, struct isakmp_build *b)
{
	const struct data_offer *o = &q->choice.agreed;
	struct sa_list *list = xnew(struct sa_list);
	uint8_t attrs[64], spi[4];
	struct wr w = wr_init(attrs, sizeof(attrs)), s = wr_init(spi, sizeof(spi));
	struct sa_attrs said = {0};

	if (!sa_read(q->choice.answer, q->choice.answer_len, list, NULL) && list->n_transforms)
		sa_decode(list->transforms[0].attrs, list->transforms[0].attrs_len, false, &said);
	free(list);
	uint32_t seconds = said.has_seconds ? 0 : o->seconds.proposed, kbytes = said.has_kbytes ? 0 : o->kbytes.proposed;
	if (!seconds && !kbytes)
		return;
	offer_lifetimes_write(&w, false, seconds, kbytes);
	wr_u32(&s, q->child.in.spi);
	isakmp_open(b, ISAKMP_NOTIFY);
	ike_notification_write(&b->w, &(struct ike_notification){.doi = IKE_DOI_IPSEC, .protocol = q->choice.proto,
					      .type = NOTIFY_RESPONDER_LIFETIME, .spi = spi, .spi_len = sizeof(spi), .data = attrs,
					      .len = wr_len(&w)});
	isakmp_close(b);
}

static void message_2(struct quick *q)
{
	struct p1 *p = q->p1;
	struct isakmp_build b;

	start(q, &b);
	uint8_t *hash = isakmp_add_hole(&b, ISAKMP_HASH, p->suite.prf_len);
	isakmp_add(&b, ISAKMP_SA, q->choice.answer, q->choice.answer_len);
	isakmp_add(&b, ISAKMP_NONCE, q->nr.p, q->nr.len);
	if (q->dh)
		isakmp_add(&b, ISAKMP_KE, dh_key_public(q->dh), dh_public_len(q->group));
	if (q->has_ids) {
		isakmp_add(&b, ISAKMP_ID, q->idci.p, q->idci.len);
		isakmp_add(&b, ISAKMP_ID, q->idcr.p, q->idcr.len);
	}
	if (natted(p) && !q->child.tunnel)
		add_nat_oa(q, &b);
	add_lifetimes(q, &b);
	q->step = QUICK_WAIT;
	if (finish(q, &b, hash, bytes_part(&q->ni), true) < 0)
		failed(q, "its answer cannot be made");
}

void quick_installed(struct quick *q, int error)
{
	struct tunnel *t = tunnel_of(q);

	if (q->dead || q->step != QUICK_WAIT_INSTALL)
		return;
	if (error || !t) {
		uint8_t spi[4] = {(uint8_t)(q->choice.spi >> 24), (uint8_t)(q->choice.spi >> 16), (uint8_t)(q->choice.spi >> 8),
			(uint8_t)q->choice.spi};
		send_error(q->p1, NOTIFY_NO_PROPOSAL_CHOSEN, q->choice.proto, spi, sizeof(spi));
		if (error)
			q->step = QUICK_DONE; /* there is nothing to remove */
		failed(q, "the stack does not take the SA");
		return;
	}
	if (q->initiator)
		message_3(q);
	else
		message_2(q);
}

static void install(struct quick *q)
{
	struct ike *k = q->p1->ike;

	q->step = QUICK_WAIT_INSTALL;
	int rc = k->c.ops->install(k->c.ctx, &q->child);
	if (rc != -EINPROGRESS)
		quick_installed(q, rc);
}

static int take_message_2(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	struct ike *k = q->p1->ike;
	const struct policy_rule *r = policy_rule_find(k->c.policy, q->child.rule);
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0), *ke;
	struct p2_terms terms = terms_of(q, &q->group, 1);

	if (!r || !r->vpn)
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "the policy has changed");
	if (!sa || isakmp_count(pl, ISAKMP_SA) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "quick mode without one SA payload");
	if (offer_p2_check(q->sa.p, q->sa.len, sa->body, sa->len, r->vpn->offers, r->vpn->n_offers, &terms, &q->choice, why) ||
		take_values(q, pl, &ke, why))
		return -EPROTO;
	if (isakmp_count(pl, ISAKMP_ID) && !same_ids(q, pl))
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "the answer is for other traffic");
	lifetime_notes(q, pl);
	describe(q, r);
	if (take_nat_oa(q, pl, why) || keys(q, ke, why))
		return -EPROTO;
	timer_stop(k, &q->flight.retry);
	install(q);
	return 0;
}

/* The peer has its SAs: message 3 came, or traffic under them. Its id is remembered, nothing else is needed any more. */
static int confirmed(struct quick *q)
{
	struct ike *k = q->p1->ike;
	struct tunnel *t = tunnel_of(q);

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
			(void)confirmed(q);
			return;
		}
}

/* What a peer wants protected: two identities, or none, which means the two ends. */
static int read_selector(struct quick *q, const struct isakmp_payloads *pl, struct selector *s, struct ike_refusal *why)
{
	const struct isakmp_payload *i = isakmp_find(pl, ISAKMP_ID, 0), *r = isakmp_find(pl, ISAKMP_ID, 1);
	const struct ike_path *path = &q->p1->path;
	struct ike_id ci, cr;

	*s = (struct selector){{path->local, path->local}, {path->remote, path->remote}, POLICY_PROTO_ALL, 0, 0};
	if (!i && !r)
		return 0;
	if (!i || !r || isakmp_count(pl, ISAKMP_ID) != 2)
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "quick mode with one identity, or more than two");
	if (ike_id_read(i->body, i->len, &ci, why) || ike_id_read(r->body, r->len, &cr, why) || ike_id_range(&ci, &s->remote, why) ||
		ike_id_range(&cr, &s->local, why))
		return -EPROTO;
	if (ci.protocol != cr.protocol)
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "the two identities name different protocols");
	s->protocol = ci.protocol ? ci.protocol : POLICY_PROTO_ALL;
	s->remote_port = ci.port;
	s->local_port = cr.port;
	bytes_set(&q->idci, i->body, i->len);
	bytes_set(&q->idcr, r->body, r->len);
	q->has_ids = true;
	return 0;
}

static const struct policy_rule *anchor_of(struct quick *q, struct selector *s, struct ike_refusal *why)
{
	const struct ipsec_policy *policy = q->p1->ike->c.policy;
	const struct p1 *p = q->p1;
	const struct policy_rule *r = policy_anchor(policy, s);

	if (!r && natted(p)) { /* behind a NAT a host may call itself what it sees; we see the NAT (RFC 3947 section 5.2) */
		struct selector seen = *s;
		if (p->nat.remote && addr_range_single(&s->remote))
			seen.remote = (struct addr_range){p->path.remote, p->path.remote};
		if (p->nat.local && addr_range_single(&s->local))
			seen.local = (struct addr_range){p->path.local, p->path.local};
		if ((r = policy_anchor(policy, &seen)))
			*s = seen;
	}
	if (!r)
		(void)ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "no rule of the policy protects that traffic");
	else if (r->vpn->initiation == VPN_LOCAL_ONLY)
		(void)ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "its IpDynVpnAction says Initiation LocalOnly");
	else if (p->rule && p->rule->action.filter_by_identity &&
		 ((p->peer.type != IKE_ID_IPV4 && p->peer.type != IKE_ID_IPV6) || !addr_range_single(&s->remote) ||
			 memcmp(s->remote.lo.b, p->peer.data, p->peer.len < 16 ? p->peer.len : 16)))
		(void)ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, "FilterByIdentity: the peer's traffic is not its own");
	else
		return r;
	return NULL;
}

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

static int take_message_1(struct quick *q, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	struct p1 *p = q->p1;
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0), *ke;

	if (!sa || isakmp_count(pl, ISAKMP_SA) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "quick mode without one SA payload");
	if (read_selector(q, pl, &q->child.sel, why))
		return -EPROTO;
	const struct policy_rule *r = anchor_of(q, &q->child.sel, why);
	if (!r)
		return -EPROTO;
	if (random_u32(p->ike, SPI_MIN, &q->child.in.spi))
		return ike_refuse(why, NOTIFY_NONE, "no random numbers");
	struct p2_terms terms = terms_of(q, r->vpn->acceptable_pfs, r->vpn->n_acceptable_pfs);
	if (offer_p2_choose(sa->body, sa->len, r->vpn->offers, r->vpn->n_offers, &terms, &q->choice, why))
		return -EPROTO;
	q->group = q->choice.group;
	if (take_values(q, pl, &ke, why))
		return -EPROTO;
	if (own_values(q))
		return ike_refuse(why, NOTIFY_NONE, "no key for this exchange");
	lifetime_notes(q, pl);
	describe(q, r);
	if (take_nat_oa(q, pl, why) || keys(q, ke, why) || find_tunnel(q, why))
		return -EPROTO;
	install(q);
	return 0;
}

/* The SPI and protocol that the peer's first proposal names: an error that carries them says what it is about. */
static void answer_error(struct p1 *p, const struct isakmp_payloads *pl, uint16_t notify)
{
	const struct isakmp_payload *sa = isakmp_find(pl, ISAKMP_SA, 0);
	struct sa_list *list = xnew(struct sa_list);

	if (sa && !sa_read(sa->body, sa->len, list, NULL) && list->n_proposals && list->proposals[0].spi_len == 4)
		send_error(p, notify, list->proposals[0].protocol, list->proposals[0].spi, 4);
	else
		send_error(p, notify, IPSEC_PROTO_ESP, NULL, 0);
	free(list);
}

/* Hash first; everything behind it is covered. */
static bool authentic(struct quick *q, const struct isakmp_payloads *pl)
{
	struct p1 *p = q->p1;
	uint8_t want[IKE_PRF_MAX];
	int rc;

	if (!pl->n || pl->at[0].type != ISAKMP_HASH)
		return false;
	struct ike_part rest = IKE_PART(pl->at[0].body + pl->at[0].len, (size_t)(pl->end - pl->at[0].body) - pl->at[0].len);
	if (!q->initiator && q->nr.len)
		rc = ike_hash3(&p->suite, &p->keys, q->id, bytes_part(&q->ni), bytes_part(&q->nr), want);
	else
		rc = ike_hash12(&p->suite, &p->keys, q->id, q->initiator ? bytes_part(&q->ni) : IKE_PART(NULL, 0), rest, want);
	return !rc && ike_hash_equal(&p->suite, want, pl->at[0].body, pl->at[0].len);
}

static void respond(struct p1 *p, const struct isakmp_header *h, uint8_t *data, size_t len, uint64_t digest)
{
	struct ike *k = p->ike;
	struct isakmp_payloads pl;
	struct ike_refusal why = {0, ""};

	if (p1_id_used(p, h->id) || p->n_quicks >= IKE_EXCHANGES_MAX + p->n_tunnels) {
		k->stats.replayed++;
		return;
	}
	struct quick *q = quick_new(p, h->id, false);
	if (ike_iv_exchange(&p->suite, p->iv, h->id, q->iv) || ike_open(p, h, data, len, q->iv, &pl, &why) || !authentic(q, &pl)) {
		k->stats.malformed++;
		quick_end(q);
		return;
	}
	if (!p1_id_use(p, h->id)) {
		quick_end(q);
		return;
	}
	info_heard(p);
	p1_used(p, len - ISAKMP_HEADER);
	q->flight.answers = digest;
	if (!take_message_1(q, &pl, &why) || q->dead)
		return;
	k->stats.no_proposal += why.notify == NOTIFY_NO_PROPOSAL_CHOSEN;
	ike_event(k, IKE_P2_FAILED, p, NULL, NULL, "EZD0970I", "IKE PHASE 2 NEGOTIATION FAILED as responder: %s (%s)", why.text,
		notify_text(why.notify));
	if (why.notify)
		answer_error(p, &pl, why.notify);
	quick_end(q);
}

void quick_input(struct p1 *p, const struct isakmp_header *h, uint8_t *data, size_t len)
{
	struct ike *k = p->ike;
	struct isakmp_payloads pl;
	struct ike_refusal why = {0, ""};
	uint64_t digest = ike_digest(k, data, len);
	uint8_t iv[IKE_BLOCK_MAX];
	struct quick *q;

	if (p->step != P1_DONE || !(h->flags & ISAKMP_ENCRYPTED) || !h->id) {
		k->stats.malformed++;
		return;
	}
	q = quick_find(p, h->id);
	if (!q) {
		respond(p, h, data, len, digest);
		return;
	}
	if (digest == q->flight.answers || digest == q->flight.previous) {
		k->stats.replayed++;
		if (digest == q->flight.answers && q->flight.sent.len && (q->step == QUICK_DONE) == q->initiator)
			send_again(p, &q->flight);
		return;
	}
	memcpy(iv, q->iv, sizeof(iv));
	if (q->step != QUICK_WAIT || ike_open(p, h, data, len, iv, &pl, &why) || !authentic(q, &pl)) {
		k->stats.malformed++;
		return;
	}
	memcpy(q->iv, iv, sizeof(iv));
	q->flight.previous = q->flight.answers;
	q->flight.answers = digest;
	info_heard(p);
	p1_used(p, len - ISAKMP_HEADER);
	int rc = q->initiator ? take_message_2(q, &pl, &why) : confirmed(q);
	if (rc < 0 && !q->dead) {
		char text[200];
		(void)snprintf(text, sizeof(text), "%s (%s)", why.text, notify_text(why.notify));
		if (why.notify)
			answer_error(p, &pl, why.notify);
		failed(q, text);
	}
}

/* @spi: of our offer; 0: the peer did not say which, and it is clear only when there is just one. */
void quick_refused(struct p1 *p, uint32_t spi, const char *why)
{
	struct quick *q, *meant = NULL;
	unsigned n = 0;
	char text[200];

	TAILQ_FOREACH(q, &p->quicks, entry) {
		if (!q->initiator || q->step != QUICK_WAIT || (spi && q->child.in.spi != spi))
			continue;
		meant = q;
		n++;
	}
	if (n != 1)
		return;
	(void)snprintf(text, sizeof(text), "the peer refused: %s", why);
	failed(meant, text);
}
