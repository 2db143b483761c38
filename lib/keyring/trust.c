/* Trust objects: CAs, certificates that help, CRLs. */
#include "lib/keyring/trust.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/dn.h"
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>
#include <time.h>

X509 *trust_cert(const void *der, size_t len)
{
	const unsigned char *p = der;
	X509 *x = len && len <= VERIFY_CERT_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;
	if (x && p != (const unsigned char *)der + len) {
		X509_free(x);
		x = NULL;
	}
	ERR_clear_error();
	return x;
}

X509_CRL *trust_crl(const void *der, size_t len)
{
	const unsigned char *p = der;
	X509_CRL *x = len && len <= VERIFY_TRUST_CRL_MAX ? d2i_X509_CRL(NULL, &p, (long)len) : NULL;
	if (x && p != (const unsigned char *)der + len) {
		X509_CRL_free(x);
		x = NULL;
	}
	ERR_clear_error();
	return x;
}

bool trust_crl_is_plain(const X509_CRL *crl)
{
	return X509_CRL_get_ext_by_critical(crl, 1, -1) < 0;
}

bool trust_may_sign_crls(X509 *ca)
{
	return X509_get_key_usage(ca) &
	       KU_CRL_SIGN; /* all bits are set when there is no such extension */
}

int64_t trust_time(const ASN1_TIME *t)
{
	struct tm tm;
	return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) : 0;
}

struct verify_trust *verify_trust_new(void)
{
	struct verify_trust *t = xnew(struct verify_trust);
	t->cas = xcheck(sk_X509_new_null());
	t->intermediates = xcheck(sk_X509_new_null());
	return t;
}

void verify_trust_free(struct verify_trust *t)
{
	if (!t)
		return;
	sk_X509_pop_free(t->cas, X509_free);
	sk_X509_pop_free(t->intermediates, X509_free);
	for (size_t i = 0; i < t->n_crls; i++) {
		X509_CRL_free(t->crls[i].crl);
		EVP_PKEY_free(t->crls[i].checked);
	}
	free(t->crls);
	free(t);
}

static int add(STACK_OF(X509) * to, X509 *x, struct errbuf *e)
{
	if (sk_X509_num(to) >= VERIFY_CAS_MAX) {
		X509_free(x);
		return err_set(e, ENOSPC, "more than %d CA certificates", VERIFY_CAS_MAX);
	}
	xcheck(sk_X509_push(to, x) ? to : NULL);
	return 0;
}

int verify_trust_add_ca(struct verify_trust *t, const void *der, size_t len, struct errbuf *e)
{
	X509 *x = trust_cert(der, len);
	if (!x)
		return err_set(
			e, EINVAL, "not one DER certificate of at most %d bytes", VERIFY_CERT_MAX);
	if (!X509_check_ca(x)) {
		char name[160];
		int rc = err_set(e, EINVAL,
			"%s is not the certificate of a CA (basicConstraints, keyUsage)",
			dn_text(X509_get_subject_name(x), name, sizeof(name)));
		X509_free(x);
		return rc;
	}
	return add(t->cas, x, e);
}

int verify_trust_add_intermediate(
	struct verify_trust *t, const void *der, size_t len, struct errbuf *e)
{
	X509 *x = trust_cert(der, len);
	return x ? add(t->intermediates, x, e)
		 : err_set(e, EINVAL, "not one DER certificate of at most %d bytes",
			   VERIFY_CERT_MAX);
}

/* The key among @certs that signed @crl; *@ret_named says whether any certificate has the issuer's
 * name. */
static EVP_PKEY *crl_signer(STACK_OF(X509) * certs, X509_CRL *crl, bool *ret_named)
{
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *ca = sk_X509_value(certs, i);
		EVP_PKEY *key = X509_get0_pubkey(ca);
		if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) != 0)
			continue;
		*ret_named = true;
		if (key && trust_may_sign_crls(ca) && X509_CRL_verify(crl, key) == 1)
			return key;
	}
	ERR_clear_error();
	return NULL;
}

int verify_trust_add_crl(struct verify_trust *t, const void *der, size_t len, struct errbuf *e)
{
	char name[160];
	bool named = false;
	X509_CRL *crl = trust_crl(der, len);
	if (!crl)
		return err_set(
			e, EINVAL, "not one DER CRL of at most %d bytes", VERIFY_TRUST_CRL_MAX);
	(void)dn_text(X509_CRL_get_issuer(crl), name, sizeof(name));
	if (!trust_crl_is_plain(crl)) {
		X509_CRL_free(crl);
		return err_set(e, EINVAL,
			"CRL of %s: a critical extension (partitioned, indirect or delta CRLs are "
			"not supported)",
			name);
	}
	EVP_PKEY *key = crl_signer(t->cas, crl, &named);
	key = key ? key : crl_signer(t->intermediates, crl, &named);
	if (!key && named) {
		X509_CRL_free(crl);
		return err_set(e, EINVAL, "CRL of %s: its signature is not that of the CA", name);
	}
	if (key)
		EVP_PKEY_up_ref(key);
	t->crls = xrealloc(t->crls, t->n_crls + 1, sizeof(*t->crls));
	t->crls[t->n_crls++] = (struct trust_crl){crl, key};
	return 0;
}

size_t verify_trust_cas(const struct verify_trust *t)
{
	return (size_t)sk_X509_num(t->cas);
}

int verify_trust_ca_name(
	const struct verify_trust *t, size_t n, const uint8_t **ret_der, size_t *ret_len)
{
	if (n >= verify_trust_cas(t) ||
		!X509_NAME_get0_der(
			X509_get_subject_name(sk_X509_value(t->cas, (int)n)), ret_der, ret_len))
		return -ENOENT;
	return 0;
}

struct crl_check {
	X509 *cert;
	EVP_PKEY *issuer_key;
	bool issuer_signs_crls;
	int64_t now;
	bool covered, current; /* a CRL of the ring speaks about it; one that is not out of date */
};

static bool crl_applies(const struct crl_check *c, X509_CRL *crl, EVP_PKEY *checked)
{
	if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(c->cert)) != 0 ||
		!c->issuer_signs_crls)
		return false;
	if (checked && EVP_PKEY_eq(checked, c->issuer_key) == 1)
		return true;
	bool good = trust_crl_is_plain(crl) && X509_CRL_verify(crl, c->issuer_key) == 1;
	ERR_clear_error();
	return good;
}

static bool is_on(X509_CRL *crl, X509 *cert)
{
	X509_REVOKED *entry = NULL;
	return X509_CRL_get0_by_cert(crl, &entry, cert) == 1;
}

static bool is_current(const X509_CRL *crl, int64_t now)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	return trust_time(X509_CRL_get0_lastUpdate(crl)) <= now &&
	       (!next || now < trust_time(next));
}

static enum verify_outcome check_one(const struct verify_trust *t, X509_CRL *const *extra,
	size_t n_extra, struct crl_check *c, struct errbuf *e)
{
	char name[160];
	bool revoked = false;
	for (size_t i = 0; i < t->n_crls; i++) {
		if (!crl_applies(c, t->crls[i].crl, t->crls[i].checked))
			continue;
		c->covered = true;
		c->current = c->current || is_current(t->crls[i].crl, c->now);
		revoked = revoked || is_on(t->crls[i].crl, c->cert);
	}
	for (size_t i = 0; i < n_extra; i++)
		revoked = revoked || (crl_applies(c, extra[i], NULL) && is_on(extra[i], c->cert));
	(void)dn_text(revoked ? X509_get_subject_name(c->cert) : X509_get_issuer_name(c->cert),
		name, sizeof(name));
	if (revoked)
		(void)err_set(e, EACCES, "%s: the certificate is revoked", name);
	else if (c->covered && !c->current)
		(void)err_set(e, EACCES, "%s: the CRL in the key ring is out of date", name);
	return revoked || (c->covered && !c->current) ? VERIFY_REVOKED : VERIFY_OK;
}

enum verify_outcome trust_check_revoked(const struct verify_trust *t, X509_CRL *const *extra,
	size_t n_extra, STACK_OF(X509) * chain, int64_t now, struct errbuf *e)
{
	enum verify_outcome o = VERIFY_OK;
	for (int i = 0; !o && i + 1 < sk_X509_num(chain); i++) {
		X509 *issuer = sk_X509_value(chain, i + 1);
		struct crl_check c = {sk_X509_value(chain, i), X509_get0_pubkey(issuer),
			trust_may_sign_crls(issuer), now, false, false};
		o = check_one(t, extra, n_extra, &c, e);
	}
	return o;
}
