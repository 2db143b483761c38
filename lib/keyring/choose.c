/* Which certificate to show, which CAs to trust, and how a chain goes up through a ring. */
#include "lib/keyring/dn.h"
#include "lib/keyring/ring.h"
#include "lib/keyring/signer.h"
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

static bool is_self_issued(const X509 *x)
{
	return X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;
}

static struct ring_entry *find_issuer(const struct keyring *k, X509 *cert)
{
	for (size_t i = 0; i < k->n; i++) {
		struct ring_entry *x = &k->entries[i];
		if (x->c.is_ca && x->c.is_trusted && x->x509 != cert &&
			X509_check_issued(x->x509, cert) == X509_V_OK)
			return x;
	}
	return NULL;
}

void ring_complete_chains(struct keyring *k)
{
	for (size_t i = 0; i < k->n; i++) {
		struct keyring_cert *c = &k->entries[i].c;
		X509 *last =
			trust_cert(c->chain[c->n_chain - 1].data, c->chain[c->n_chain - 1].len);
		X509 *at = last;
		while (c->has_key && at && c->n_chain < KEYRING_CHAIN_MAX && !is_self_issued(at)) {
			const struct ring_entry *up = find_issuer(k, at);
			if (!up || is_self_issued(up->x509))
				break;
			uint8_t *copy = malloc(up->c.chain[0].len);
			if (!copy)
				break;
			memcpy(copy, up->c.chain[0].data, up->c.chain[0].len);
			c->chain[c->n_chain++] = (struct verify_blob){copy, up->c.chain[0].len};
			at = up->x509;
		}
		X509_free(last);
	}
	ERR_clear_error();
}

static bool is_listed(const struct verify_blob *cas, size_t n, X509_NAME *name)
{
	bool found = false;
	for (size_t i = 0; !found && i < n; i++) {
		const unsigned char *p = cas[i].data;
		X509_NAME *x =
			cas[i].len <= 8192 ? d2i_X509_NAME(NULL, &p, (long)cas[i].len) : NULL;
		found = x && X509_NAME_cmp(x, name) == 0;
		X509_NAME_free(x);
	}
	return found;
}

static bool under_one_of(const struct keyring *k, const struct ring_entry *x,
	const struct verify_blob *cas, size_t n)
{
	bool found = n == 0 || is_listed(cas, n, X509_get_issuer_name(x->x509));
	for (size_t i = 1; !found && i < x->c.n_chain; i++) {
		X509 *up = trust_cert(x->c.chain[i].data, x->c.chain[i].len);
		found = up && (is_listed(cas, n, X509_get_issuer_name(up)) ||
				      is_listed(cas, n, X509_get_subject_name(up)));
		X509_free(up);
	}
	X509 *at = x->x509;
	for (int depth = 0; !found && depth < VERIFY_DEPTH_MAX; depth++) {
		const struct ring_entry *up = find_issuer(k, at);
		if (!up)
			break;
		at = up->x509;
		found = is_listed(cas, n, X509_get_issuer_name(at));
	}
	ERR_clear_error();
	return found;
}

static bool has_attribute(const struct dn_attr *list, bool *used, size_t n, const struct dn_attr *a)
{
	for (size_t i = 0; i < n; i++) {
		if (used[i] || OBJ_cmp(list[i].type, a->type) ||
			strcmp(list[i].value, a->value) != 0)
			continue;
		used[i] = true;
		return true;
	}
	return false;
}

/* The subject as policy names it, whichever order its attributes have: what is sent is the
 * certificate's own. */
static bool has_subject(const X509 *x, const struct ident *id)
{
	struct dn_attr have[DN_ATTRS_MAX], want[DN_ATTRS_MAX];
	bool used[DN_ATTRS_MAX] = {false};
	size_t n = 0, n_want = 0;
	X509_NAME *name = dn_from_der(id->data, id->len);
	bool same = name && dn_attrs(name, want, &n_want) == 0 &&
		    dn_attrs(X509_get_subject_name(x), have, &n) == 0 && n == n_want;
	for (size_t i = 0; same && i < n; i++)
		same = has_attribute(have, used, n, &want[i]);
	X509_NAME_free(name);
	return same;
}

/* Why no certificate fits, told by the last thing that was missing. */
enum missing { NO_KEY, NO_TRUST, NO_IDENTITY, NO_TIME, NO_CA };

static bool is_better(const struct keyring_cert *a, const struct keyring_cert *b)
{
	if (!b || a->is_default != b->is_default)
		return !b || a->is_default;
	return a->not_after > b->not_after;
}

static enum missing consider(const struct keyring *k, const struct ring_entry *x,
	const struct ident *id, const struct verify_blob *cas, size_t n_cas, int64_t now,
	const struct keyring_cert **best)
{
	if (x->c.usage == KEYRING_CERTAUTH || !x->c.has_key)
		return NO_KEY;
	if (!x->c.is_trusted)
		return NO_TRUST;
	if (id && !(id->type == IDENT_DN ? has_subject(x->x509, id)
					 : trust_identity(x->x509, id, NULL)))
		return NO_IDENTITY;
	if (now < x->c.not_before || now > x->c.not_after)
		return NO_TIME;
	if (under_one_of(k, x, cas, n_cas) && is_better(&x->c, *best))
		*best = &x->c;
	return NO_CA;
}

int keyring_choose(const struct keyring *k, const struct ident *id, const struct verify_blob *cas,
	size_t n_cas, int64_t now, const struct keyring_cert **ret, struct errbuf *e)
{
	static const char *const why[] = {"no personal certificate with a private key",
		"only certificates that are not trusted (NOTRUST)",
		"no certificate for that identity",
		"only certificates that are expired or not yet valid",
		"no certificate of a CA that the peer takes"};
	char text[IDENT_TEXT_MAX] = "the default";
	const struct keyring_cert *best = NULL;
	enum missing most = NO_KEY;
	for (size_t i = 0; i < k->n; i++) {
		enum missing m = consider(k, &k->entries[i], id, cas, n_cas, now, &best);
		most = m > most ? m : most;
	}
	if (!best)
		return err_set(e, ENOENT, "key ring %.74s has %s (wanted: %.80s)", k->name,
			why[most], id ? ident_text(id, text) : text);
	*ret = best;
	return 0;
}

static int add_ca(struct verify_trust *t, const struct keyring *k, const struct ring_entry *x,
	const char *label, struct errbuf *e)
{
	struct errbuf why;
	if (!x)
		return err_set(e, ENOENT, "key ring %.74s has no certificate labelled %.40s",
			k->name, label);
	if (!x->c.is_trusted || x->c.usage == KEYRING_PERSONAL)
		return err_set(e, ENOENT,
			"key ring %.74s: %.40s is no trusted CA certificate (usage %s%s)", k->name,
			x->c.label, keyring_usage_text(x->c.usage),
			x->c.is_trusted ? "" : ", NOTRUST");
	if (verify_trust_add_ca(t, x->c.chain[0].data, x->c.chain[0].len, &why))
		return err_set(e, ENOENT, "key ring %.74s: %.130s", k->name, why.text);
	return 0;
}

static int add_all(struct verify_trust *t, const struct keyring *k, struct errbuf *e)
{
	int rc = 0;
	for (size_t i = 0; !rc && i < k->n; i++)
		if (k->entries[i].c.usage == KEYRING_CERTAUTH && k->entries[i].c.is_trusted &&
			k->entries[i].c.is_ca)
			rc = add_ca(t, k, &k->entries[i], "", e);
	if (!rc && !verify_trust_cas(t))
		rc = err_set(e, ENOENT, "key ring %.74s has no CA certificate", k->name);
	return rc;
}

static int add_rest(struct verify_trust *t, const struct keyring *k, struct errbuf *e)
{
	struct errbuf why;
	int rc = 0;
	for (size_t i = 0; !rc && i < k->n; i++)
		if (k->entries[i].c.usage == KEYRING_CERTAUTH && k->entries[i].c.is_trusted)
			rc = verify_trust_add_intermediate(t, k->entries[i].c.chain[0].data,
				k->entries[i].c.chain[0].len, &why);
	for (size_t i = 0; !rc && i < k->n_crls; i++)
		rc = verify_trust_add_crl(t, k->crls[i].data, k->crls[i].len, &why);
	return rc ? err_set(e, -rc, "key ring %.74s: %.150s", k->name, why.text) : 0;
}

int keyring_trust(const struct keyring *k, const char *const *labels, size_t n_labels,
	struct verify_trust **ret, struct errbuf *e)
{
	struct verify_trust *t = verify_trust_new();
	int rc = labels && n_labels ? 0 : add_all(t, k, e);
	for (size_t i = 0; labels && !rc && i < n_labels; i++)
		rc = add_ca(t, k,
			(const struct ring_entry *)(const void *)keyring_find(k, labels[i]),
			labels[i], e);
	rc = rc ? rc : add_rest(t, k, e);
	if (rc) {
		verify_trust_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

size_t ring_crls(const struct keyring *k)
{
	return k->n_crls;
}

static size_t ca_of_crl(const struct signer_ca *cas, size_t n, const X509_CRL *crl)
{
	for (size_t i = 0; crl && i < n; i++) {
		const unsigned char *p = cas[i].subject.data;
		X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)cas[i].subject.len);
		bool same = name && X509_NAME_cmp(name, X509_CRL_get_issuer(crl)) == 0;
		X509_NAME_free(name);
		if (same)
			return i;
	}
	return 0;
}

void ring_share_crls(
	const struct keyring *k, struct signer_ca *cas, size_t n, struct verify_blob *room)
{
	size_t *owner = n && k->n_crls ? calloc(k->n_crls, sizeof(*owner)) : NULL;
	for (size_t i = 0; owner && i < k->n_crls; i++) {
		X509_CRL *crl = trust_crl(k->crls[i].data, k->crls[i].len);
		owner[i] = ca_of_crl(cas, n, crl);
		X509_CRL_free(crl);
	}
	for (size_t ca = 0; owner && ca < n; ca++) {
		cas[ca].crls = room;
		for (size_t i = 0; i < k->n_crls; i++)
			if (owner[i] == ca)
				room[cas[ca].n_crls++] = k->crls[i];
		room += cas[ca].n_crls;
	}
	free(owner);
}
