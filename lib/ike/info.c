/* info: informational exchanges: notifies, deletes, dead peer detection (RFC 2408 4.8, RFC 3706). What is not encrypted and proved by
 * its hash is a hint for the log and changes nothing. */
#include "lib/ike/engine.h"
#include <stdio.h>

enum { SEQ_LEN = 4, DPD_TRIES = 4 };

void info_heard(struct p1 *p)
{
	const struct ike_path *from = p->ike->from;

	p->heard_us = p->ike->now;
	/* Only who is behind a NAT may turn up elsewhere (RFC 3947 section 7). */
	if (from && p->step == P1_DONE && p->natt && p->nat.remote && (!addr_equal(&from->remote, &p->path.remote) ||
		from->remote_port != p->path.remote_port) && addr_equal(&from->local, &p->path.local))
		p1_moved(p, from);
	if (p->dpd_since_us) {
		p->dpd_since_us = 0;
		timer_set(p->ike, &p->dpd, p->ike->now + p->ike->c.limits.dpd_idle_us);
	}
}

static void say_dpd(struct p1 *p, uint16_t type, uint32_t seq)
{
	uint8_t cookies[2 * IKE_COOKIE], data[SEQ_LEN];
	struct wr w = wr_init(data, sizeof(data));

	wr_u32(&w, seq);
	memcpy(cookies, p->icookie, IKE_COOKIE);
	memcpy(cookies + IKE_COOKIE, p->rcookie, IKE_COOKIE);
	send_notify(p, &(struct ike_notification){.doi = IKE_DOI_IPSEC, .protocol = IKE_PROTO_ISAKMP, .type = type, .spi = cookies,
			       .spi_len = sizeof(cookies), .data = data, .len = sizeof(data)});
}

/* Idle: are you there? Unanswered for the set time: dead, and everything with it. */
void info_dpd(struct ike *k, void *arg)
{
	struct p1 *p = arg;
	struct tunnel *t;

	if (p->step != P1_DONE || !(p->vids & VID_DPD))
		return;
	if (!p->dpd_since_us && p->heard_us + k->c.limits.dpd_idle_us > k->now) { /* heard meanwhile */
		timer_set(k, &p->dpd, p->heard_us + k->c.limits.dpd_idle_us);
		return;
	}
	if (p->dpd_since_us && k->now >= p->dpd_since_us + k->c.limits.dpd_timeout_us) {
		ike_event(k, IKE_PEER_DEAD, p, NULL, NULL, "EZD1100I", "the peer does not answer: it is taken for dead");
		while ((t = LIST_FIRST(&p->tunnels)))
			tunnel_down(t, "the peer is dead", false);
		p1_end(p);
		return;
	}
	if (!p->dpd_since_us) {
		p->dpd_since_us = k->now;
		if (!p->dpd_out && ike_random(k, &p->dpd_out, sizeof(p->dpd_out)))
			return;
		p->dpd_out &= 0x7fffffff;
	}
	k->stats.dpd_sent++;
	say_dpd(p, NOTIFY_R_U_THERE, ++p->dpd_out);
	timer_set(k, &p->dpd, k->now + k->c.limits.dpd_timeout_us / DPD_TRIES);
}

static void take_dpd(struct p1 *p, const struct ike_notification *n, uint32_t id)
{
	struct rd r = rd_init(n->data, n->len);
	uint32_t seq = rd_u32(&r);

	if (!rd_ok(&r) || n->len != SEQ_LEN)
		return;
	if (n->type == NOTIFY_R_U_THERE) {
		/* The last one again: our answer was lost (RFC 3706 section 5.5). An older one: replayed. */
		if (p->dpd_in && seq < p->dpd_in && p->dpd_in - seq < 0x40000000) {
			p->ike->stats.replayed++;
			return;
		}
		p->dpd_in = seq;
		p->dpd_id = id;
		p->dpd_acked_us = p->ike->now;
		say_dpd(p, NOTIFY_R_U_THERE_ACK, seq);
	}
	info_heard(p);
}

static void take_notify(struct p1 *p, const struct ike_notification *n, uint32_t id)
{
	struct rd r = rd_init(n->spi, n->spi_len == 4 ? 4 : 0);
	uint32_t spi = n->spi_len == 4 ? rd_u32(&r) : 0;
	char text[80];

	info_heard(p);
	if (n->type == NOTIFY_R_U_THERE || n->type == NOTIFY_R_U_THERE_ACK) {
		take_dpd(p, n, id);
		return;
	}
	if (n->type >= NOTIFY_CONNECTED)
		return; /* status; RESPONDER-LIFETIME only shortens what the peer will end by itself */
	(void)snprintf(text, sizeof(text), "%s (%u)", notify_text(n->type), n->type);
	ike_event(p->ike, IKE_PROTOCOL_ERROR, p, NULL, NULL, "EZD1101I", "the peer says: %s", text);
	quick_refused(p, spi, text);
}

/* Some peers (racoon) say INITIAL-CONTACT only after phase 1: tunnels that are older than it were taken over by then, and are gone there. */
static void take_contact(struct p1 *p, const struct isakmp_payloads *pl)
{
	struct tunnel *t, *next;

	if (!p1_says_contact(pl))
		return;
	for (t = LIST_FIRST(&p->tunnels); t; t = next) {
		next = LIST_NEXT(t, of_p1);
		if (t->live && t->established_us < p->established_us)
			tunnel_down(t, "the peer began anew (INITIAL-CONTACT)", false);
	}
	p1_take_contact(p, pl);
}

static void take_delete(struct p1 *p, const struct ike_deletion *d)
{
	struct rd r = rd_init(d->spis, (size_t)d->n * d->spi_len);
	uint8_t cookies[2 * IKE_COOKIE];

	info_heard(p);
	if (d->protocol != IKE_PROTO_ISAKMP) {
		for (unsigned i = 0; i < d->n && !p->dead; i++)
			tunnel_deleted(p, d->protocol, rd_u32(&r));
		return;
	}
	memcpy(cookies, p->icookie, IKE_COOKIE);
	memcpy(cookies + IKE_COOKIE, p->rcookie, IKE_COOKIE);
	if (memcmp(d->spis, cookies, sizeof(cookies)))
		return; /* another SA's: that one's own exchange says it */
	ike_event(p->ike, IKE_P1_DOWN, p, NULL, NULL, "EZD0995I", "the peer deleted it");
	tunnels_orphaned(p);
	tunnels_lost_p1(p, NULL);
	p1_end(p);
}

/* In clear: the peer may be saying why it goes no further; so may anybody. */
static void hint(struct p1 *p, const struct isakmp_payloads *pl)
{
	struct ike_notification n;

	for (size_t i = 0; i < pl->n; i++)
		if (pl->at[i].type == ISAKMP_NOTIFY && !ike_notification_read(pl->at[i].body, pl->at[i].len, &n, NULL) && p->step != P1_DONE &&
			n.type < NOTIFY_CONNECTED)
			ike_event(p->ike, IKE_PROTOCOL_ERROR, p, NULL, NULL, "EZD1101I", "an unauthenticated message says for the peer: %s",
				notify_text(n.type));
}

/* The answer to our last message of phase 1 is an error, under its keys: the peer goes no further. */
static void refused(struct p1 *p, const struct isakmp_payloads *pl)
{
	struct ike_notification n;

	for (size_t i = 1; i < pl->n; i++)
		if (pl->at[i].type == ISAKMP_NOTIFY && !ike_notification_read(pl->at[i].body, pl->at[i].len, &n, NULL) &&
			n.type < NOTIFY_CONNECTED) {
			p1_failed(p, NOTIFY_NONE, "EZD0965I", "the peer refused: %s", notify_text(n.type));
			return;
		}
}

void info_input(struct p1 *p, const struct isakmp_header *h, uint8_t *data, size_t len)
{
	struct ike *k = p->ike;
	struct isakmp_payloads pl;
	struct ike_refusal why = {0, ""};
	struct ike_notification n;
	struct ike_deletion d;
	uint8_t iv[IKE_BLOCK_MAX], hash[IKE_PRF_MAX];

	p->answered = true;
	if (!(h->flags & ISAKMP_ENCRYPTED)) {
		if (isakmp_walk(h->next, data + ISAKMP_HEADER, len - ISAKMP_HEADER, 0, &pl, &why))
			k->stats.malformed++;
		else
			hint(p, &pl);
		return;
	}
	if (p->step == P1_DONE && p1_id_used(p, h->id)) {
		k->stats.replayed++;
		/* The question as it was: our answer may be lost. Who replays it gets no more than one a second. */
		if (h->id && h->id == p->dpd_id && k->now >= p->dpd_acked_us + IKE_SECOND) {
			p->dpd_acked_us = k->now;
			say_dpd(p, NOTIFY_R_U_THERE_ACK, p->dpd_in);
		}
		return;
	}
	bool done = p->step == P1_DONE, ending = p->have_keys && p->initiator && !p->aggressive && p->message == 5;
	if ((!done && !ending) || !h->id || ike_iv_exchange(&p->suite, p->iv, h->id, iv) || ike_open(p, h, data, len, iv, &pl, &why)) {
		k->stats.malformed++;
		return;
	}
	if (!pl.n || pl.at[0].type != ISAKMP_HASH || pl.at[0].len != p->suite.prf_len) {
		k->stats.auth_failed++;
		return;
	}
	const uint8_t *rest = pl.at[0].body + pl.at[0].len;
	if (ike_hash12(&p->suite, &p->keys, h->id, IKE_PART(NULL, 0), IKE_PART(rest, (size_t)(pl.end - rest)), hash) ||
		!ike_hash_equal(&p->suite, hash, pl.at[0].body, pl.at[0].len)) {
		k->stats.auth_failed++;
		return;
	}
	if (!p1_id_use(p, h->id))
		return;
	if (!done) {
		refused(p, &pl);
		return;
	}
	p1_used(p, len - ISAKMP_HEADER);
	take_contact(p, &pl);
	for (size_t i = 1; i < pl.n && !p->dead; i++) {
		if (pl.at[i].type == ISAKMP_NOTIFY && !ike_notification_read(pl.at[i].body, pl.at[i].len, &n, NULL))
			take_notify(p, &n, h->id);
		else if (pl.at[i].type == ISAKMP_DELETE && !ike_deletion_read(pl.at[i].body, pl.at[i].len, &d, NULL))
			take_delete(p, &d);
	}
}
