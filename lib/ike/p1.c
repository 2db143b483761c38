/* p1: phase 1 SAs: beginning and failing, and what becomes of a message. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/ike/engine.h"
#include <stdarg.h>
#include <stdio.h>

enum { FIRST_MAX = 8192, HALF_LIFE_S = 30, AGAIN_S = 30 };

static void retry(struct ike *k, void *arg)
{
	struct p1 *p = arg;

	if (p->flight.tries < k->c.limits.retries) {
		send_again(p, &p->flight);
		return;
	}
	p1_failed(p, NOTIFY_NONE, "EZD0965I", "the peer does not answer");
}

struct p1 *p1_new(struct ike *k, const struct ike_path *path, bool initiator)
{
	struct p1 *p = xnew(struct p1);

	p->ike = k;
	p->path = *path;
	p->initiator = initiator;
	p->x = xnew(struct p1_kex);
	p->flight.retry = (struct timer){.fn = retry, .arg = p};
	p->life = (struct timer){.fn = p1_life, .arg = p};
	p->dpd = (struct timer){.fn = info_dpd, .arg = p};
	LIST_INIT(&p->tunnels);
	TAILQ_INIT(&p->quicks);
	TAILQ_INSERT_TAIL(&k->p1s, p, entry);
	k->n_p1++;
	return p;
}

void p1_kex_free(struct p1 *p)
{
	struct p1_kex *x = p->x;

	if (!x)
		return;
	if (x->call)
		signer_cancel(p->ike->c.signer, x->call);
	dh_key_free(x->dh);
	struct bytes *all[] = {&x->ni, &x->nr, &x->gxi, &x->gxr, &x->gxy, &x->sai, &x->answer, &x->own_id, &x->peer_id, &x->signature};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		bytes_free(all[i]);
	for (unsigned i = 0; i < x->n_cr; i++)
		bytes_free(&x->cr[i]);
	for (unsigned i = 0; i < x->n_certs; i++)
		bytes_free(&x->certs[i]);
	for (unsigned i = 0; i < x->n_crls; i++)
		bytes_free(&x->crls[i]);
	for (unsigned i = 0; i < x->n_chain; i++)
		bytes_free(&x->chain[i]);
	free(x);
	p->x = NULL;
}

void p1_end(struct p1 *p)
{
	struct ike *k = p->ike;

	if (p->dead)
		return;
	p->dead = true;
	while (!TAILQ_EMPTY(&p->quicks))
		quick_end(TAILQ_FIRST(&p->quicks));
	while (!LIST_EMPTY(&p->tunnels))
		tunnel_attach(LIST_FIRST(&p->tunnels), NULL);
	p1_not_half_open(p);
	timer_stop(k, &p->life);
	timer_stop(k, &p->dpd);
	timer_stop(k, &p->flight.retry);
	if (p->x && p->x->call) {
		signer_cancel(k->c.signer, p->x->call);
		p->x->call = NULL;
	}
	if (p->replaces) {
		p->replaces->refreshing = false;
		p->replaces->successor = NULL;
	}
	if (p->successor)
		p->successor->replaces = NULL;
	if (p->paired)
		LIST_REMOVE(p, pair);
	if (p->number)
		LIST_REMOVE(p, by_number);
	LIST_REMOVE(p, hash);
	TAILQ_REMOVE(&k->p1s, p, entry);
	k->n_p1--;
	TAILQ_INSERT_TAIL(&k->dead_p1, p, entry);
}

void p1_free(struct p1 *p)
{
	p1_kex_free(p);
	flight_free(p->ike, &p->flight);
	frag_free(p->frag);
	ike_skeys_wipe(&p->keys);
	free(p->ids);
	free(p);
}

static int new_cookie(struct p1 *p, uint8_t cookie[IKE_COOKIE])
{
	do {
		if (ike_random(p->ike, cookie, IKE_COOKIE))
			return -EIO;
	} while (isakmp_cookie_zero(cookie));
	return 0;
}

void p1_number(struct p1 *p, const struct p1 *replaces)
{
	p->number = replaces ? replaces->number : p->ike->next_k++;
	p->generation = replaces ? replaces->generation + 1 : 1;
	(void)snprintf(p->id, sizeof(p->id), "K%u", p->number);
	LIST_INSERT_HEAD(&p->ike->by_number[p->number % IKE_BUCKETS], p, by_number); /* the newest first */
}

int p1_initiate(struct ike *k, const struct ike_path *path, const struct kex_rule *rule, struct p1 *replaces, struct p1 **ret,
	struct errbuf *err)
{
	enum ike_mode mode = rule->action.initiate;

	if (k->n_p1 - k->n_half >= k->c.limits.p1_total)
		return err_set(err, ENOSPC, "as many IKE tunnels as the limit allows");
	if (mode == IKE_MODE_DONOT)
		return err_set(err, EPERM, "KeyExchangeAction %s says HowToInitiate DoNot", rule->action.name);
	struct p1 *p = p1_new(k, path, true);
	p->rule = rule;
	p->aggressive = mode == IKE_MODE_AGGRESSIVE;
	p1_number(p, replaces);
	if (new_cookie(p, p->icookie)) {
		LIST_INSERT_HEAD(p1_cookies(k, p->icookie), p, hash);
		p1_end(p);
		return err_set(err, EIO, "no random numbers");
	}
	LIST_INSERT_HEAD(p1_cookies(k, p->icookie), p, hash);
	LIST_INSERT_HEAD(p1_pairs(k, &path->local, &path->remote), p, pair);
	p->paired = true;
	p->replaces = replaces;
	if (replaces) {
		replaces->refreshing = true;
		replaces->successor = p;
	}
	timer_set(k, &p->life, k->now + 10 * HALF_LIFE_S * IKE_SECOND);
	p->step = P1_WAIT;
	*ret = p;
	int r = p->aggressive ? aggressive_begin(p) : main_begin(p);
	if (r < 0) {
		p1_end(p);
		return err_set(err, -r, "KeyExchangeRule %s: its offers cannot be made", rule->name);
	}
	return 0;
}

void p1_respond(struct ike *k, const struct ike_path *path, const struct isakmp_header *h, const uint8_t *data, size_t len)
{
	struct isakmp_payloads pl;
	struct ike_refusal why = {0, ""};

	/* What is kept of a first message may come from a forged source: two hundred transforms fit in FIRST_MAX. */
	if (len > FIRST_MAX || isakmp_walk(h->next, data + ISAKMP_HEADER, len - ISAKMP_HEADER, 0, &pl, &why)) {
		k->stats.malformed++;
		return;
	}
	if (!p1_admit(k, path))
		return;
	struct p1 *p = p1_new(k, path, false);
	memcpy(p->icookie, h->icookie, IKE_COOKIE);
	LIST_INSERT_HEAD(p1_cookies(k, p->icookie), p, hash);
	p1_half_open(p);
	p->aggressive = h->exchange == ISAKMP_AGGRESSIVE;
	p->step = P1_WAIT;
	timer_set(k, &p->life, k->now + HALF_LIFE_S * IKE_SECOND);
	p1_take_vids(p, &pl);
	p->flight.answers = ike_digest(k, data, len);
	int r = new_cookie(p, p->rcookie);
	if (!r)
		r = p->aggressive ? aggressive_respond(p, h, &pl, &why) : main_respond(p, &pl, &why);
	if (r < 0) {
		k->stats.no_proposal += why.notify == NOTIFY_NO_PROPOSAL_CHOSEN;
		k->stats.malformed += why.notify != NOTIFY_NO_PROPOSAL_CHOSEN;
		ike_event(k, IKE_P1_FAILED, NULL, NULL, path, "EZD0965I", "IKE PHASE 1 NEGOTIATION FAILED as responder: %s (%s)", why.text,
			notify_text(why.notify));
		if (why.notify)
			send_plain_error(k, path, h, why.notify);
		p1_end(p);
	}
}

void p1_failed(struct p1 *p, uint16_t notify, const char *message, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ike_event(p->ike, IKE_P1_FAILED, p, NULL, NULL, message, "IKE PHASE 1 NEGOTIATION FAILED as %s: %s", p->initiator ? "initiator" : "responder",
		text);
	if (notify) {
		struct ike_notification n = {.doi = IKE_DOI_IPSEC, .protocol = IKE_PROTO_ISAKMP, .type = notify};
		send_notify(p, &n);
	}
	send_delete_p1(p); /* goes out only when the peer believes that it has one */
	struct p1 *old = p->replaces;
	if (!old && p->initiator)
		tunnels_unproved(p, !p->answered);
	if (!old)
		tunnels_lost_p1(p, text);
	else if (p->ike->now + 2 * AGAIN_S * IKE_SECOND < old->expires_us) /* there is time for another attempt */
		timer_set(p->ike, &old->life, p->ike->now + AGAIN_S * IKE_SECOND);
	p1_end(p);
}

/* A message of phase 1. A message that we have answered is answered again; what does not prove good changes nothing. */
void p1_input(struct p1 *p, const struct ike_path *path, const struct isakmp_header *h, uint8_t *data, size_t len)
{
	struct ike *k = p->ike;
	struct isakmp_payloads pl;
	struct ike_refusal why = {0, ""};
	uint8_t iv[IKE_BLOCK_MAX];
	uint64_t digest = ike_digest(k, data, len);

	p->answered = true;
	if (digest == p->flight.answers || digest == p->flight.previous) {
		k->stats.replayed++;
		/* Who waits has a timer, and who had the last word heard has nothing to say again: else two ends repeat for ever. */
		bool heard_last = p->step == P1_DONE && p->initiator != p->aggressive;
		if (digest == p->flight.answers && !p->flight.wants_answer && !heard_last)
			send_again(p, &p->flight);
		return;
	}
	if (p->step != P1_WAIT || h->exchange != (p->aggressive ? ISAKMP_AGGRESSIVE : ISAKMP_MAIN) || h->id) {
		k->stats.replayed++;
		return;
	}
	if (!addr_equal(&p->path.local, &path->local) || !addr_equal(&p->path.remote, &path->remote)) {
		k->stats.malformed++; /* nobody moves in the middle of phase 1 */
		return;
	}
	memcpy(iv, p->iv, sizeof(iv));
	if (ike_open(p, h, data, len, iv, &pl, &why)) {
		/* A wrong pre-shared key shows here: the message is not what it should be once it is decrypted. */
		k->stats.malformed++;
		if (h->flags & ISAKMP_ENCRYPTED) {
			k->stats.auth_failed++;
			p->have_keys = false; /* the peer has others: it could not read what we say under ours */
			p1_failed(p, NOTIFY_PAYLOAD_MALFORMED, "EZD0965I", "%s: %s", why.text,
				p->offer.auth == IKE_AUTH_PSK ? "the pre-shared keys are likely to differ" : "the keys differ");
		}
		return;
	}
	if (p->initiator && isakmp_cookie_zero(p->rcookie)) {
		if (isakmp_cookie_zero(h->rcookie)) {
			k->stats.malformed++;
			return;
		}
		memcpy(p->rcookie, h->rcookie, IKE_COOKIE);
	}
	if (!p->initiator) { /* port 4500, or what a NAT makes of it */
		p->path.local_port = path->local_port;
		p->path.remote_port = path->remote_port;
	}
	p1_take_vids(p, &pl);
	p->flight.previous = p->flight.answers;
	p->flight.answers = digest;
	if (h->flags & ISAKMP_ENCRYPTED)
		memcpy(p->iv, iv, sizeof(iv));
	int r = p->aggressive ? aggressive_message(p, h, &pl, &why) : main_message(p, h, &pl, &why);
	if (r < 0 && !p->dead) {
		k->stats.auth_failed += why.notify == NOTIFY_AUTHENTICATION_FAILED || why.notify == NOTIFY_INVALID_HASH_INFORMATION ||
			why.notify == NOTIFY_INVALID_SIGNATURE || why.notify == NOTIFY_INVALID_ID_INFORMATION;
		k->stats.no_proposal += why.notify == NOTIFY_NO_PROPOSAL_CHOSEN;
		p1_failed(p, why.notify, "EZD0965I", "%s (%s)", why.text, notify_text(why.notify));
		return;
	}
	if (!p->dead && p->half_open && p->message >= 3)
		p1_not_half_open(p);
}

void p1_start_message(struct p1 *p, struct isakmp_build *b, bool encrypted)
{
	struct isakmp_header h = {.version = ISAKMP_VERSION, .exchange = p->aggressive ? ISAKMP_AGGRESSIVE : ISAKMP_MAIN,
		.flags = encrypted ? ISAKMP_ENCRYPTED : 0};

	memcpy(h.icookie, p->icookie, IKE_COOKIE);
	memcpy(h.rcookie, p->rcookie, IKE_COOKIE);
	isakmp_start(b, p->ike->out, sizeof(p->ike->out), &h);
}

void p1_send(struct p1 *p, struct isakmp_build *b, bool encrypted, bool wants_answer)
{
	size_t len = isakmp_finish(b, encrypted ? p->suite.block : 1);

	if (len)
		send_message(p, &p->flight, encrypted ? p->iv : NULL, p->ike->out, len, wants_answer);
}
