/* auth: who the peer is, and how each end proves it (RFC 2409 sections 5.1 and 5.4, RFC 4945):
 * pre-shared keys, or RSA signatures with certificates. Our key lies behind the signer; what it is
 * asked comes back later, outside of any entry, and phase 1 goes on where it stopped. */
#include "lib/base/xalloc.h"
#include "lib/ike/auth_cert.h"

enum { SIGN_TRIES = 3, PROTO_UDP = 17, REQUEST_MAX = 1024 /* a DER name */ };

static void resume(struct p1 *p)
{
	if (p->aggressive)
		aggressive_resume(p);
	else
		main_resume(p);
}

/* RFC 2407 section 4.6.2: in phase 1, protocol and port are zero (or UDP and 500). */
static int write_own_id(struct p1 *p, uint8_t type, const void *data, size_t len)
{
	uint8_t body[4 + IDENT_DATA_MAX];
	struct wr w = wr_init(body, sizeof(body));
	struct ike_id id = {.type = type, .data = data, .len = len};

	ike_id_write(&w, &id);
	if (!wr_ok(&w))
		return -EMSGSIZE;
	bytes_set(&p->x->own_id, body, wr_len(&w));
	return ident_from_wire(type, data, len, &p->own, NULL);
}

int auth_own_id(struct p1 *p)
{
	const struct ike_identity *i = &p->rule->local.identity;
	struct ident here;

	if (i->type != IKE_ID_NONE && i->id.len)
		return write_own_id(p, i->id.type, i->id.data, i->id.len);
	if (ident_from_addr(&p->path.local, &here))
		return -EINVAL;
	return write_own_id(p, here.type, here.data, here.len);
}

int auth_take_id(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	const struct isakmp_payload *body = isakmp_find(pl, ISAKMP_ID, 0);
	struct ident peer;
	struct ike_id id;

	if (!body || isakmp_count(pl, ISAKMP_ID) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "one ID payload is needed");
	if (ike_id_read(body->body, body->len, &id, why))
		return -EPROTO;
	if ((id.protocol && id.protocol != PROTO_UDP) ||
		(id.port && id.port != 500 && id.port != 4500))
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION,
			"the peer's identity has a protocol or port that is not IKE's");
	if (ident_from_wire(id.type, id.data, id.len, &peer, NULL))
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION,
			"the peer's identity is not of a type that names one peer");
	bytes_set(&p->x->peer_id, body->body, body->len);
	p->peer = peer;
	return 0;
}

static bool allows(const struct kex_rule *r, const struct p1 *p)
{
	if (!p1_answers(r, p->aggressive))
		return false;
	for (size_t i = 0; i < r->action.n_offers; i++) {
		const struct kex_offer *o = &r->action.offers[i];
		uint32_t life = p->offer.seconds.proposed;
		if (o->enc == p->offer.enc && o->hash == p->offer.hash &&
			o->auth == p->offer.auth && o->group == p->offer.group &&
			o->xcbc == p->offer.xcbc &&
			(o->enc != IKE_ENC_AES || o->key_bits == p->offer.key_bits) &&
			life >= o->seconds.lo && (!o->seconds.hi || life <= o->seconds.hi))
			return true;
	}
	return false;
}

/* The keys are made already of the tentative rule's pre-shared key: another key cannot prove
 * anything any more. */
static bool same_secret(const struct kex_rule *r, const struct p1 *p)
{
	if (p->offer.auth != IKE_AUTH_PSK || !p->have_keys)
		return true;
	return p->rule && r->shared_key_len == p->rule->shared_key_len &&
	       !memcmp(r->shared_key, p->rule->shared_key, r->shared_key_len);
}

int auth_final_rule(struct p1 *p, struct ike_refusal *why)
{
	const struct ipsec_policy *policy = p->ike->c.policy;
	const struct kex_rule *r;
	bool known = false;
	size_t from = 0;

	if (p->initiator) {
		if (policy_identity_match(
			    &p->rule->remote.identity, p->peer.type, p->peer.data, p->peer.len))
			return 0;
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION,
			"the peer's identity is not the one that the KeyExchangeRule names");
	}
	while ((r = policy_kex_rule(policy, &p->path.local, &p->path.remote, &from))) {
		if (!policy_identity_match(
			    &r->remote.identity, p->peer.type, p->peer.data, p->peer.len))
			continue;
		known = true;
		if (!allows(r, p) || !same_secret(r, p))
			continue;
		if (p->rule && r != p->rule)
			ike_event(p->ike, IKE_RULE_REPLACED, p, NULL, NULL, "EZD1785I",
				"Tentative KeyExchangeRule %s replaced with final KeyExchangeRule "
				"%s",
				p->rule->name, r->name);
		p->rule = r;
		return 0;
	}
	return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION,
		known ? "the KeyExchangeRule of the peer's identity does not allow what was agreed"
		      : "no KeyExchangeRule has the peer's identity");
}

static void take(
	struct bytes *list, unsigned *n, unsigned max, const struct ike_cert *c, size_t size_max)
{
	if (*n < max && c->len && c->len <= size_max)
		bytes_set(&list[(*n)++], c->data, c->len);
}

void auth_take_certs(struct p1 *p, const struct isakmp_payloads *pl)
{
	struct p1_kex *x = p->x;
	struct ike_cert c;

	for (size_t i = 0; i < pl->n; i++) {
		if (pl->at[i].type != ISAKMP_CERT ||
			ike_cert_read(pl->at[i].body, pl->at[i].len, &c, NULL))
			continue;
		if (c.encoding == IKE_CERT_X509_SIG)
			take(x->certs, &x->n_certs, VERIFY_CERTS_MAX, &c, VERIFY_CERT_MAX);
		else if (c.encoding == IKE_CERT_CRL)
			take(x->crls, &x->n_crls, VERIFY_CRLS_MAX, &c, VERIFY_CRL_MAX);
	}
}

void auth_take_requests(struct p1 *p, const struct isakmp_payloads *pl)
{
	struct ike_cert c;

	for (size_t i = 0; i < pl->n; i++) {
		if (pl->at[i].type == ISAKMP_CERTREQ &&
			!ike_cert_read(pl->at[i].body, pl->at[i].len, &c, NULL) &&
			c.encoding == IKE_CERT_X509_SIG)
			take(p->x->cr, &p->x->n_cr, IKE_CRS_MAX, &c, REQUEST_MAX);
	}
}

void auth_add_requests(struct p1 *p, struct isakmp_build *b)
{
	const struct verify_trust *trust = auth_trust(p);
	struct ike_cert any = {.encoding = IKE_CERT_X509_SIG};
	unsigned n = 0;

	if (p->offer.auth != IKE_AUTH_RSA_SIG)
		return;
	for (; trust && n < IKE_CRS_MAX && n < verify_trust_cas(trust); n++) {
		struct ike_cert c = {.encoding = IKE_CERT_X509_SIG};
		if (verify_trust_ca_name(trust, n, &c.data, &c.len))
			break;
		isakmp_open(b, ISAKMP_CERTREQ);
		ike_cert_write(&b->w, &c);
		isakmp_close(b);
	}
	if (n)
		return;
	isakmp_open(b, ISAKMP_CERTREQ);
	ike_cert_write(&b->w, &any);
	isakmp_close(b);
}

void auth_add_proof(struct p1 *p, struct isakmp_build *b)
{
	struct p1_kex *x = p->x;

	if (p->offer.auth == IKE_AUTH_PSK) {
		uint8_t hash[IKE_PRF_MAX];
		struct ike_kex v = p1_kex_of(p);
		if (!ike_auth_hash(
			    &p->suite, &p->keys, &v, p->initiator, bytes_part(&x->own_id), hash))
			isakmp_add(b, ISAKMP_HASH, hash, p->suite.prf_len);
		return;
	}
	for (unsigned i = 0; i < x->n_chain; i++) {
		struct ike_cert c = {.encoding = IKE_CERT_X509_SIG,
			.data = x->chain[i].p,
			.len = x->chain[i].len};
		isakmp_open(b, ISAKMP_CERT);
		ike_cert_write(&b->w, &c);
		isakmp_close(b);
	}
	isakmp_add(b, ISAKMP_SIG, x->signature.p, x->signature.len);
}

static void found(void *arg, int rc, const struct signer_cert *cert, const char *why)
{
	struct p1 *p = arg;
	struct p1_kex *x = p->x;

	x->call = NULL;
	if (rc < 0 || !cert->n_chain) {
		p1_failed(p, NOTIFY_CERTIFICATE_UNAVAILABLE, "EZD0965I",
			"no certificate of ours: %s", why ? why : "none fits");
		return;
	}
	for (unsigned i = 0; i < x->n_chain; i++)
		bytes_free(&x->chain[i]);
	for (x->n_chain = 0; x->n_chain < cert->n_chain && x->n_chain < KEYRING_CHAIN_MAX;
		x->n_chain++)
		bytes_set(&x->chain[x->n_chain], cert->chain[x->n_chain].data,
			cert->chain[x->n_chain].len);
	memcpy(x->key, cert->key, sizeof(x->key));
	/* The name goes out as the certificate has it, so that the peer finds the very same bytes.
	 */
	if (p->own.type == IDENT_DN &&
		write_own_id(p, IDENT_DN, cert->subject.data, cert->subject.len)) {
		p1_failed(p, NOTIFY_CERTIFICATE_UNAVAILABLE, "EZD0965I",
			"the subject name of our certificate is too long");
		return;
	}
	resume(p);
}

int auth_find(struct p1 *p)
{
	struct verify_blob cas[IKE_CRS_MAX];
	struct p1_kex *x = p->x;
	struct signer_want want = {.id = &p->own,
		.cas = cas,
		.n_cas = x->n_cr,
		.now = (int64_t)(p->ike->wall / IKE_SECOND)};

	if (!x->own_id.len && auth_own_id(p))
		return -EINVAL;
	if (p->offer.auth != IKE_AUTH_RSA_SIG)
		return 0;
	if (!p->ike->c.signer)
		return -ENOENT;
	for (unsigned i = 0; i < x->n_cr; i++)
		cas[i] = (struct verify_blob){x->cr[i].p, x->cr[i].len};
	x->call = signer_find(p->ike->c.signer, &want, found, p);
	return x->call ? 1 : -EIO;
}

static void signed_it(void *arg, int rc, const uint8_t *sig, size_t len, const char *why)
{
	struct p1 *p = arg;
	struct p1_kex *x = p->x;

	x->call = NULL;
	if (rc == 0) {
		bytes_set(&x->signature, sig, len);
		resume(p);
		return;
	}
	/* The ring was read anew, or the signer started anew: once more from the beginning, or with
	 * the same key. */
	if ((rc == -ENOENT || rc == -ECONNRESET) && ++x->sign_tries < SIGN_TRIES &&
		(rc == -ENOENT ? auth_find(p) : auth_sign(p)) == 1)
		return;
	p1_failed(p, NOTIFY_CERTIFICATE_UNAVAILABLE, "EZD0965I", "our key did not sign: %s",
		why ? why : "no reason given");
}

int auth_sign(struct p1 *p)
{
	uint8_t hash[IKE_PRF_MAX];
	struct ike_kex v = p1_kex_of(p);
	struct p1_kex *x = p->x;

	if (p->offer.auth != IKE_AUTH_RSA_SIG)
		return 0;
	if (!p->ike->c.signer ||
		ike_auth_hash(&p->suite, &p->keys, &v, p->initiator, bytes_part(&x->own_id), hash))
		return -EIO;
	x->call = signer_sign(
		p->ike->c.signer, x->key, SIGN_RSA_PKCS1_RAW, hash, p->suite.prf_len, signed_it, p);
	return x->call ? 1 : -EIO;
}

int auth_check(struct p1 *p, const struct isakmp_payloads *pl, struct ike_refusal *why)
{
	bool rsa = p->offer.auth == IKE_AUTH_RSA_SIG;
	uint8_t type = rsa ? ISAKMP_SIG : ISAKMP_HASH;
	const struct isakmp_payload *proof = isakmp_find(pl, type, 0);
	struct ike_kex v = p1_kex_of(p);
	uint8_t hash[IKE_PRF_MAX];

	if (!proof || isakmp_count(pl, type) != 1)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED,
			rsa ? "one SIG payload is needed" : "one HASH payload is needed");
	if (ike_auth_hash(&p->suite, &p->keys, &v, !p->initiator, bytes_part(&p->x->peer_id), hash))
		return ike_refuse(
			why, NOTIFY_AUTHENTICATION_FAILED, "the hash could not be computed");
	if (rsa)
		return auth_check_signature(p, hash, proof, why);
	if (!ike_hash_equal(&p->suite, hash, proof->body, proof->len))
		return ike_refuse(why, NOTIFY_AUTHENTICATION_FAILED,
			"the peer's hash is wrong: the pre-shared keys differ");
	return 0;
}
