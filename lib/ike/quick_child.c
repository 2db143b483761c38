/* quick_child: the pair of phase 2 SAs that quick mode makes: its keys (RFC 2409 section 5.5), its description, and the moment at
 * which the stack gets it. The inbound SA is installed before the other end can know its SPI in full (responder: before message 2
 * leaves; initiator: before message 3), the outbound one is used when the other end surely has its inbound one. */
#include "lib/base/secret.h"
#include "lib/ike/quick.h"
#include <stdio.h>

/* KEYMAT of one direction of one protocol, cut: each SPI has its own (RFC 2409 section 5.5). */
static int half_keys(struct quick *q, struct ike_part gqm, bool ah, struct ike_sa_half *h)
{
	const struct ike_child *c = &q->child;
	struct p1 *p = q->p1;
	uint8_t keymat[2 * IKE_KEY_MAX], proto = ah ? IPSEC_PROTO_AH : IPSEC_PROTO_ESP;
	uint16_t enc, auth;
	int rc = ah ? ike_key_sizes(proto, 0, 0, c->auth, &enc, &auth) :
		      ike_key_sizes(proto, c->esp, c->key_bits, c->bundle ? IPSEC_AUTH_NONE : c->auth, &enc, &auth);

	if (!rc && (enc > IKE_KEY_MAX || auth > IKE_KEY_MAX))
		rc = -EPROTONOSUPPORT;
	if (!rc)
		rc = ike_keymat(&p->suite, &p->keys, gqm, proto, h->spi, bytes_part(&q->ni), bytes_part(&q->nr), keymat,
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

int quick_keys(struct quick *q, const struct isakmp_payload *ke, struct ike_refusal *why)
{
	uint8_t shared[DH_SHARED_MAX];
	struct ike_part gqm = IKE_PART(NULL, 0);
	struct ike_child *c = &q->child;
	bool ah = c->proto == IPSEC_PROTO_AH;
	int rc = 0;

	if (q->dh) {
		rc = dh_shared(q->dh, ke->body, ke->len, shared, why);
		gqm = IKE_PART(shared, dh_shared_len(q->group));
	}
	if (!rc)
		rc = half_keys(q, gqm, ah, &c->in);
	if (!rc)
		rc = half_keys(q, gqm, ah, &c->out);
	if (!rc && c->bundle)
		rc = half_keys(q, gqm, true, &c->in_ah);
	if (!rc && c->bundle)
		rc = half_keys(q, gqm, true, &c->out_ah);
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
void quick_describe(struct quick *q, const struct policy_rule *r)
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
	c->bundle = q->choice.ah_spi != 0;
	c->out_ah.spi = q->choice.ah_spi;
	if (!c->bundle)
		c->in_ah.spi = 0;
	c->hard_s = o->seconds.proposed;
	c->hard_bytes = (uint64_t)o->kbytes.proposed * 1024;
	c->soft_s = soft_of(q, c->hard_s);
	c->soft_bytes = soft_of(q, c->hard_bytes);
	c->vpn_life_s = r->vpn->vpn_life_s;
	c->df = r->vpn->df;
	c->dscp = r->vpn->dscp;
	/* Whose it is: only that peer's phase 1 takes it over after a restart, or may delete it. */
	c->owner_data[0] = p->peer.type;
	memcpy(c->owner_data + 1, p->peer.data, p->peer.len);
	c->owner_len = (uint16_t)(1 + p->peer.len);
}

void quick_forget_halves(struct ike_child *c)
{
	secret_wipe(&c->in, sizeof(c->in));
	secret_wipe(&c->out, sizeof(c->out));
	secret_wipe(&c->in_ah, sizeof(c->in_ah));
	secret_wipe(&c->out_ah, sizeof(c->out_ah));
}

void quick_install(struct quick *q)
{
	struct ike *k = q->p1->ike;

	q->step = QUICK_WAIT_INSTALL;
	int rc = k->c.ops->install(k->c.ctx, &q->child);
	if (rc != -EINPROGRESS)
		quick_installed(q, rc);
}

void quick_installed(struct quick *q, int error)
{
	struct tunnel *t = quick_tunnel(q);

	if (q->dead || q->step != QUICK_WAIT_INSTALL)
		return;
	if (error || !t) {
		uint8_t spi[4] = {(uint8_t)(q->choice.spi >> 24), (uint8_t)(q->choice.spi >> 16), (uint8_t)(q->choice.spi >> 8),
			(uint8_t)q->choice.spi};
		send_error(q->p1, NOTIFY_NO_PROPOSAL_CHOSEN, q->choice.proto, spi, sizeof(spi));
		if (error)
			q->step = QUICK_DONE; /* there is nothing to remove */
		quick_failed(q, "the stack does not take the SA");
		return;
	}
	if (q->initiator)
		quick_message_3(q);
	else
		quick_message_2(q);
}
