#include "lib/ike/auth_cert.h"
#include "lib/base/xalloc.h"
#include <strings.h>

static bool wanted(const struct kex_rule *r, const char *label)
{
	for (size_t i = 0; r && i < r->remote.n_ca_labels; i++) {
		if (strcasecmp(r->remote.ca_labels[i], label) == 0)
			return true;
	}
	return !r || !r->remote.n_ca_labels;
}

const struct verify_trust *auth_trust(const struct p1 *p)
{
	const struct kex_rule *r = p->rule && p->rule->remote.n_ca_labels ? p->rule : NULL;

	for (size_t i = 0; i < p->ike->n_trusts; i++) {
		if (p->ike->trusts[i].rule == r)
			return p->ike->trusts[i].trust;
	}
	return NULL;
}

/* Who signed the peer's certificates, in the words of the log. */
static int refused(
	struct p1 *p, enum verify_outcome o, const struct errbuf *e, struct ike_refusal *why)
{
	bool authority = o == VERIFY_UNTRUSTED;

	ike_event(p->ike, IKE_PROTOCOL_ERROR, p, NULL, NULL, "EZD0970I",
		"the peer's certificate is refused: %s: %s", verify_outcome_text(o), e->text);
	if (o == VERIFY_IDENTITY)
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION,
			"the peer's certificate is not of the identity it states");
	return ike_refuse(why,
		authority ? NOTIFY_INVALID_CERT_AUTHORITY : NOTIFY_INVALID_CERTIFICATE,
		authority ? "the peer's certificate comes from no CA that the rule trusts"
			  : "the peer's certificate is not good");
}

int auth_check_signature(struct p1 *p, const uint8_t *hash, const struct isakmp_payload *sig,
	struct ike_refusal *why)
{
	const struct p1_kex *x = p->x;
	struct verify_peer peer = {.n_certs = x->n_certs,
		.n_crls = x->n_crls,
		.id = &p->peer,
		.now = (int64_t)(p->ike->wall / IKE_SECOND),
		.flags = VERIFY_ALLOW_SHA1 | VERIFY_ANY_EKU};
	struct errbuf e = {""};
	struct peer_key *key = NULL;

	const struct verify_trust *trust = auth_trust(p);
	if (!trust)
		return ike_refuse(why, NOTIFY_INVALID_CERT_AUTHORITY,
			"the signer has not told its CAs (yet)");
	if (!x->n_certs)
		return ike_refuse(
			why, NOTIFY_CERTIFICATE_UNAVAILABLE, "the peer sent no certificate");
	for (unsigned i = 0; i < x->n_certs; i++)
		peer.certs[i] = (struct verify_blob){x->certs[i].p, x->certs[i].len};
	for (unsigned i = 0; i < x->n_crls; i++)
		peer.crls[i] = (struct verify_blob){x->crls[i].p, x->crls[i].len};
	enum verify_outcome o = verify_peer(trust, &peer, &key, &e);
	if (o)
		return refused(p, o, &e, why);
	int rc = peer_key_verify(
		key, SIGN_RSA_PKCS1_RAW, hash, p->suite.prf_len, sig->body, sig->len);
	peer_key_free(key);
	return rc ? ike_refuse(why, NOTIFY_INVALID_SIGNATURE, "the peer's signature is wrong") : 0;
}

static void free_trusts(struct ike *k)
{
	for (size_t i = 0; i < k->n_trusts; i++)
		verify_trust_free(k->trusts[i].trust);
	free(k->trusts);
	k->trusts = NULL;
	k->n_trusts = 0;
}

/* One for all CAs, and one for each rule that names its own: parsed once, used by every
 * negotiation. */
static void add_trust(
	struct ike *k, const struct kex_rule *r, const struct signer_ca *cas, size_t n)
{
	struct verify_trust *t = verify_trust_new();

	for (size_t i = 0; i < n; i++) {
		if (cas[i].cert.len && wanted(r, cas[i].label))
			(void)verify_trust_add_ca(t, cas[i].cert.data, cas[i].cert.len, NULL);
	}
	k->trusts = xrealloc(k->trusts, k->n_trusts + 1, sizeof(*k->trusts));
	k->trusts[k->n_trusts].rule = r;
	k->trusts[k->n_trusts++].trust = t;
}

static void listed(void *arg, int rc, const struct signer_ca *cas, size_t n, const char *why)
{
	struct ike *k = arg;
	const struct ipsec_policy *policy = k->c.policy;

	(void)why; /* the signer's shell tells; until it has an answer, certificates are refused */
	k->cas_call = NULL;
	if (rc < 0)
		return;
	free_trusts(k);
	add_trust(k, NULL, cas, n);
	for (size_t i = 0; policy && i < policy->n_kex_rules; i++) {
		if (policy->kex_rules[i].remote.n_ca_labels)
			add_trust(k, &policy->kex_rules[i], cas, n);
	}
}

/* The old ones go at once: they are found by the address of rules that may be gone. */
void auth_load_cas(struct ike *k)
{
	auth_forget_cas(k);
	if (k->c.signer)
		k->cas_call = signer_list_cas(k->c.signer, listed, k);
}

void auth_forget_cas(struct ike *k)
{
	if (k->cas_call)
		signer_cancel(k->c.signer, k->cas_call);
	k->cas_call = NULL;
	free_trusts(k);
}
