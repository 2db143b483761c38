/* quick: quick mode (RFC 2409 section 5.5), three messages that make one pair of phase 2 SAs: the exchange itself. Which message
 * means what is in quick_initiator.c and quick_responder.c, what they are made of in quick_message.c and quick_ids.c, the pair of SAs in
 * quick_child.c.
 *
 * Nothing of a message counts before its hash proved good; then the exchange's IV moves on. A message that we have answered is
 * answered again, byte for byte. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/ike/quick.h"
#include <stdio.h>

struct tunnel *quick_tunnel(const struct quick *q)
{
	struct tunnel *t = ike_tunnel_find(q->p1->ike, q->child.tunnel_id);

	return t && !t->dead ? t : NULL;
}

void quick_end(struct quick *q)
{
	struct ike *k = q->p1->ike;
	struct tunnel *t = quick_tunnel(q);

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
void quick_failed(struct quick *q, const char *why)
{
	struct tunnel *t = quick_tunnel(q);
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
		quick_failed(q, q->initiator ? "the peer does not answer quick mode" : "the peer did not finish quick mode");
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

struct quick *quick_new(struct p1 *p, uint32_t id, bool initiator)
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
	if (!quick_take_1(q, &pl, &why) || q->dead)
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
	int rc = q->initiator ? quick_take_2(q, &pl, &why) : quick_confirmed(q);
	if (rc < 0 && !q->dead) {
		char text[200];
		(void)snprintf(text, sizeof(text), "%s (%s)", why.text, notify_text(why.notify));
		if (why.notify)
			answer_error(p, &pl, why.notify);
		quick_failed(q, text);
	}
}

/* @spi: of our offer; 0: the peer did not say which, and it is clear only when there is just one. */
void quick_refused(struct p1 *p, uint32_t spi, const char *why)
{
	struct quick *q, *meant = NULL;
	unsigned n = 0;
	char text[200];

	TAILQ_FOREACH(q, &p->quicks, entry) {
		if (!q->initiator || q->step != QUICK_WAIT || (spi && q->child.in.spi != spi && q->child.in_ah.spi != spi))
			continue;
		meant = q;
		n++;
	}
	if (n != 1)
		return;
	(void)snprintf(text, sizeof(text), "the peer refused: %s", why);
	quick_failed(meant, text);
}
