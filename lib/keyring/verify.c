/* A peer's certificate (RFC 4945, RFC 5280). The bytes are a stranger's: numbers and sizes are
 * limited before anything is parsed, and the cheap checks come before the public-key ones. */
#include "lib/keyring/verify.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/dn.h"
#include "lib/keyring/trust.h"
#include <openssl/err.h>
#include <string.h>

const char *verify_outcome_text(int outcome)
{
	static const char *const texts[] = {"ok", "limit", "malformed", "untrusted", "time",
		"revoked", "purpose", "weak", "identity"};
	return outcome >= 0 && outcome < (int)(sizeof(texts) / sizeof(texts[0])) ? texts[outcome]
										 : "unknown";
}

/* One verification under way. */
struct job {
	const struct verify_trust *t;
	const struct verify_peer *p;
	X509 *cert;
	STACK_OF(X509) *
		others; /* of the peer, owned; and of the trust object, borrowed: see job_fini */
	X509_CRL *crls[VERIFY_CRLS_MAX];
	struct errbuf *e;
};

static enum verify_outcome no(struct job *j, enum verify_outcome o, const char *what)
{
	char name[160] = "certificate";
	if (j->cert)
		(void)dn_text(X509_get_subject_name(j->cert), name, sizeof(name));
	(void)err_set(j->e, EACCES, "%s: %s", name, what);
	return o;
}

static enum verify_outcome check_limits(struct job *j)
{
	if (!j->p->n_certs)
		return no(j, VERIFY_MALFORMED, "the peer sent none");
	if (j->p->n_certs > VERIFY_CERTS_MAX || j->p->n_crls > VERIFY_CRLS_MAX)
		return no(j, VERIFY_LIMIT, "too many certificates or CRLs from one peer");
	for (size_t i = 0; i < j->p->n_certs; i++)
		if (j->p->certs[i].len > VERIFY_CERT_MAX)
			return no(j, VERIFY_LIMIT, "longer than is taken from a peer");
	for (size_t i = 0; i < j->p->n_crls; i++)
		if (j->p->crls[i].len > VERIFY_CRL_MAX)
			return no(j, VERIFY_LIMIT, "a CRL longer than is taken from a peer");
	return VERIFY_OK;
}

static enum verify_outcome parse(struct job *j)
{
	j->cert = trust_cert(j->p->certs[0].data, j->p->certs[0].len);
	if (!j->cert)
		return no(j, VERIFY_MALFORMED, "not one DER certificate");
	for (size_t i = 1; i < j->p->n_certs; i++) {
		X509 *x = trust_cert(j->p->certs[i].data, j->p->certs[i].len);
		if (!x)
			return no(j, VERIFY_MALFORMED,
				"comes with another that is not one DER certificate");
		xcheck(sk_X509_push(j->others, x) ? x : NULL);
	}
	for (size_t i = 0; i < j->p->n_crls; i++) {
		j->crls[i] = trust_crl(j->p->crls[i].data, j->p->crls[i].len);
		if (!j->crls[i])
			return no(j, VERIFY_MALFORMED, "comes with a CRL that is not one DER CRL");
	}
	for (int i = 0; i < sk_X509_num(j->t->intermediates); i++) {
		X509 *x = sk_X509_value(j->t->intermediates, i);
		X509_up_ref(x);
		xcheck(sk_X509_push(j->others, x) ? x : NULL);
	}
	return VERIFY_OK;
}

/* RFC 4945 section 5.1.3.12: with an extended key usage, one of ours must be in it. ikeIntermediate
 * is what Windows and others wrote before RFC 4945 gave ipsecIKE. */
static bool eku_fits(X509 *cert)
{
	static const char *const ours[] = {
		"2.5.29.37.0", "1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.8.2.2"};
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	bool fits = !eku;
	for (int i = 0; !fits && i < sk_ASN1_OBJECT_num(eku); i++) {
		char oid[64] = "";
		(void)OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(eku, i), 1);
		for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++)
			fits = fits || strcmp(oid, ours[k]) == 0;
	}
	EXTENDED_KEY_USAGE_free(eku);
	return fits;
}

static enum verify_outcome check_purpose(struct job *j)
{
	uint32_t flags = X509_get_extension_flags(j->cert);
	if (flags & EXFLAG_INVALID)
		return no(j, VERIFY_MALFORMED, "an extension that cannot be read");
	if (!(X509_get_key_usage(j->cert) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)))
		return no(j, VERIFY_PURPOSE,
			"key usage has neither digitalSignature nor nonRepudiation");
	if ((flags & EXFLAG_XKUSAGE) && !(j->p->flags & VERIFY_ANY_EKU) && !eku_fits(j->cert))
		return no(j, VERIFY_PURPOSE,
			"extended key usage has none of ipsecIKE, ikeIntermediate, any");
	return VERIFY_OK;
}

static bool is_md5(const X509 *x)
{
	int md = NID_undef;
	return OBJ_find_sigid_algs(X509_get_signature_nid(x), &md, NULL) &&
	       (md == NID_md5 || md == NID_md4 || md == NID_md2);
}

static enum verify_outcome outcome_of(int err)
{
	switch (err) {
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
	case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
		return VERIFY_TIME;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return VERIFY_WEAK;
	case X509_V_ERR_INVALID_PURPOSE:
		return VERIFY_PURPOSE;
	default:
		return VERIFY_UNTRUSTED;
	}
}

static enum verify_outcome chain_failed(struct job *j, X509_STORE_CTX *ctx)
{
	char name[160] = "certificate";
	int err = X509_STORE_CTX_get_error(ctx);
	X509 *at = X509_STORE_CTX_get_current_cert(ctx);
	if (at || j->cert)
		(void)dn_text(X509_get_subject_name(at ? at : j->cert), name, sizeof(name));
	(void)err_set(j->e, EACCES, "%s: %s", name, X509_verify_cert_error_string(err));
	return outcome_of(err);
}

static enum verify_outcome check_chain(struct job *j, X509_STORE_CTX *ctx)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_STORE_CTX_set0_trusted_stack(ctx, j->t->cas);
	X509_VERIFY_PARAM_set_depth(param, VERIFY_DEPTH_MAX);
	X509_VERIFY_PARAM_set_time(param, (time_t)j->p->now);
	X509_VERIFY_PARAM_set_auth_level(param, j->p->flags & VERIFY_ALLOW_SHA1 ? 0 : 1);
	(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	if (X509_verify_cert(ctx) != 1)
		return chain_failed(j, ctx);
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
	for (int i = 0; i + 1 < sk_X509_num(chain); i++)
		if (is_md5(sk_X509_value(chain, i)))
			return no(j, VERIFY_WEAK, "signed with MD5, here or further up its chain");
	return trust_check_revoked(j->t, j->crls, j->p->n_crls, chain, j->p->now, j->e);
}

static enum verify_outcome run(struct job *j)
{
	enum verify_outcome o = check_limits(j);
	o = o ? o : parse(j);
	o = o ? o : check_purpose(j);
	EVP_PKEY *key = o ? NULL : X509_get0_pubkey(j->cert);
	if (!o && !key)
		return no(j, VERIFY_MALFORMED, "its public key cannot be read");
	o = o ? o : trust_check_key(key, j->e);
	if (o)
		return o;
	X509_STORE_CTX *ctx = xcheck(X509_STORE_CTX_new());
	if (X509_STORE_CTX_init(ctx, NULL, j->cert, j->others) == 1)
		o = check_chain(j, ctx);
	else
		o = no(j, VERIFY_MALFORMED, "cannot be verified");
	X509_STORE_CTX_free(ctx);
	if (o || (j->p->flags & VERIFY_NO_IDENTITY))
		return o;
	if (!j->p->id)
		return no(j, VERIFY_IDENTITY, "there is no identity to compare with");
	return trust_identity(j->cert, j->p->id, j->e) ? VERIFY_OK : VERIFY_IDENTITY;
}

enum verify_outcome verify_peer(const struct verify_trust *t, const struct verify_peer *p,
	struct peer_key **ret, struct errbuf *e)
{
	struct job j = {.t = t, .p = p, .others = xcheck(sk_X509_new_null()), .e = e};
	enum verify_outcome o = run(&j);
	if (!o)
		*ret = peer_key_new(j.cert, p->certs[0].data, p->certs[0].len);
	sk_X509_pop_free(j.others, X509_free);
	for (size_t i = 0; i < VERIFY_CRLS_MAX; i++)
		X509_CRL_free(j.crls[i]);
	X509_free(j.cert);
	ERR_clear_error();
	return o;
}
