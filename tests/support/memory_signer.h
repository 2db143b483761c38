/* A signer (lib/keyring/signer.h) of certificates and keys in memory, for tests without a loop and
 * without a process: answers wait until memory_signer_run. What is given is copied or
 * referenced. */
#pragma once
#include "lib/base/xalloc.h"
#include "lib/keyring/mech.h"
#include "lib/keyring/signer.h"
#include <openssl/x509.h>
#include <time.h>

enum { MEMORY_CERTS = 8 };

struct memory_entry {
	char label[SIGNER_LABEL_MAX];
	X509 *x509;
	EVP_PKEY *key; /* NULL: a CA */
	struct verify_blob chain[KEYRING_CHAIN_MAX];
	size_t n_chain;
};

struct signer_call {
	struct signer_call *next;
	enum { MEMORY_CAS, MEMORY_FIND, MEMORY_SIGN } kind;
	signer_cas_fn cas;
	signer_cert_fn cert;
	signer_sign_fn sign;
	void *arg;
	int rc; /* of the answer; worked out when the call was made */
	size_t entry, len;
	uint8_t sig[SIGN_SIGNATURE_MAX];
	char why[200];
};

struct memory_signer {
	struct signer base; /* first */
	struct memory_entry entries[MEMORY_CERTS];
	size_t n;
	struct signer_call *first;
	int next_rc; /* the next signature fails with it */
};

static inline struct memory_signer *memory_of(struct signer *s)
{
	return (struct memory_signer *)(void *)s;
}

static inline struct verify_blob memory_der(const X509 *x)
{
	uint8_t *der = NULL;
	int n = i2d_X509(x, &der);
	uint8_t *copy = xcheck(n > 0 ? malloc((size_t)n) : NULL);
	memcpy(copy, der, (size_t)n);
	OPENSSL_free(der);
	return (struct verify_blob){copy, (size_t)n};
}

/* @key NULL: a CA whose certificates are taken. @issuer (NULL allowed) is sent along with the
 * certificate. */
static inline void memory_signer_add(
	struct signer *s, const char *label, X509 *x509, EVP_PKEY *key, const X509 *issuer)
{
	struct memory_signer *m = memory_of(s);
	struct memory_entry *e = &m->entries[m->n++];
	(void)snprintf(e->label, sizeof(e->label), "%s", label);
	X509_up_ref(x509);
	e->x509 = x509;
	if (key)
		EVP_PKEY_up_ref(key);
	e->key = key;
	e->chain[e->n_chain++] = memory_der(x509);
	if (issuer)
		e->chain[e->n_chain++] = memory_der(issuer);
}

static inline struct signer_call *memory_call(struct signer *s, struct signer_call c)
{
	struct signer_call *copy = xnew(struct signer_call), **at = &memory_of(s)->first;
	*copy = c;
	while (*at)
		at = &(*at)->next;
	*at = copy;
	s->outstanding++;
	return copy;
}

static inline struct signer_call *memory_cas(struct signer *s, signer_cas_fn fn, void *arg)
{
	return memory_call(s, (struct signer_call){.kind = MEMORY_CAS, .cas = fn, .arg = arg});
}

static inline bool memory_issued_by(const struct memory_entry *e, const struct signer_want *w)
{
	const uint8_t *der;
	size_t len;
	for (size_t i = 0; i < w->n_cas; i++)
		if (X509_NAME_get0_der(X509_get_issuer_name(e->x509), &der, &len) &&
			len == w->cas[i].len && memcmp(der, w->cas[i].data, len) == 0)
			return true;
	return w->n_cas == 0;
}

static inline struct signer_call *memory_find(
	struct signer *s, const struct signer_want *w, signer_cert_fn fn, void *arg)
{
	struct memory_signer *m = memory_of(s);
	struct signer_call c = {.kind = MEMORY_FIND,
		.cert = fn,
		.arg = arg,
		.rc = -ENOENT,
		.why = "no certificate fits"};
	for (size_t i = 0; i < m->n && c.rc; i++) {
		const struct memory_entry *e = &m->entries[i];
		if (!e->key || (w->label && strcmp(w->label, e->label) != 0) ||
			!memory_issued_by(e, w))
			continue;
		if (w->id && !verify_identity(e->chain[0].data, e->chain[0].len, w->id, NULL))
			continue;
		c.entry = i;
		c.rc = 0;
	}
	s->n_finds++;
	return memory_call(s, c);
}

/* The handle is the number of the entry. */
static inline struct signer_call *memory_sign(struct signer *s, const uint8_t key[KEYRING_KEY_ID],
	enum sign_mech mech, const void *hash, size_t len, signer_sign_fn fn, void *arg)
{
	struct memory_signer *m = memory_of(s);
	struct signer_call c = {.kind = MEMORY_SIGN,
		.sign = fn,
		.arg = arg,
		.rc = m->next_rc,
		.len = sizeof(c.sig),
		.why = "made to fail"};
	EVP_PKEY *k = key[0] < m->n ? m->entries[key[0]].key : NULL;
	const struct mech *how = mech_find((int)mech);
	EVP_PKEY_CTX *ctx = k ? EVP_PKEY_CTX_new(k, NULL) : NULL;
	if (!c.rc)
		c.rc = !k ? -ENOENT : !how || !mech_fits(how, k, len) ? -EINVAL : 0;
	if (!c.rc && (EVP_PKEY_sign_init(ctx) <= 0 || mech_apply(how, ctx) ||
			     EVP_PKEY_sign(ctx, c.sig, &c.len, hash, len) <= 0))
		c.rc = -EIO;
	EVP_PKEY_CTX_free(ctx);
	m->next_rc = 0;
	s->n_signs++;
	s->n_failed += c.rc < 0;
	return memory_call(s, c);
}

static inline void memory_unlink(struct signer *s, struct signer_call *c)
{
	struct signer_call **at = &memory_of(s)->first;
	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		*at = c->next;
	s->outstanding--;
}

static inline void memory_cancel(struct signer *s, struct signer_call *c)
{
	memory_unlink(s, c);
	free(c);
}

static inline void memory_answer_cas(struct memory_signer *m, const struct signer_call *c)
{
	struct signer_ca cas[MEMORY_CERTS] = {0};
	size_t n = 0;
	for (size_t i = 0; i < m->n; i++) {
		if (m->entries[i].key)
			continue;
		memcpy(cas[n].label, m->entries[i].label, sizeof(cas[n].label));
		(void)X509_NAME_get0_der(X509_get_subject_name(m->entries[i].x509),
			&cas[n].subject.data, &cas[n].subject.len);
		cas[n++].cert = m->entries[i].chain[0];
	}
	c->cas(c->arg, 0, cas, n, "");
}

static inline void memory_answer_find(struct memory_signer *m, const struct signer_call *c)
{
	const struct memory_entry *e = &m->entries[c->entry];
	struct signer_cert out = {.n_chain = e->n_chain};
	memcpy(out.label, e->label, sizeof(out.label));
	memcpy(out.chain, e->chain, sizeof(out.chain));
	out.key[0] = (uint8_t)c->entry;
	(void)X509_NAME_get0_der(
		X509_get_subject_name(e->x509), &out.subject.data, &out.subject.len);
	c->cert(c->arg, c->rc, c->rc ? NULL : &out, c->rc ? c->why : "");
}

/* Gives the answers of all calls made so far; those made by their functions wait for the next run.
 * Returns how many. */
static inline unsigned memory_signer_run(struct signer *s)
{
	unsigned n = 0;
	for (unsigned waiting = s->outstanding; n < waiting && memory_of(s)->first; n++) {
		struct signer_call *c = memory_of(s)->first;
		memory_unlink(s, c);
		if (c->kind == MEMORY_CAS)
			memory_answer_cas(memory_of(s), c);
		else if (c->kind == MEMORY_FIND)
			memory_answer_find(memory_of(s), c);
		else
			c->sign(c->arg, c->rc, c->rc ? NULL : c->sig, c->rc ? 0 : c->len,
				c->rc ? c->why : "");
		free(c);
	}
	return n;
}

/* The next signature fails, as when the signer died under it. */
static inline void memory_signer_fail(struct signer *s, int rc)
{
	memory_of(s)->next_rc = rc;
}

static inline int memory_reload(struct signer *s, struct errbuf *e)
{
	(void)s, (void)e;
	return 0;
}

static inline void memory_free(struct signer *s)
{
	struct memory_signer *m = memory_of(s);
	while (m->first)
		memory_cancel(s, m->first);
	for (size_t i = 0; i < m->n; i++) {
		for (size_t k = 0; k < m->entries[i].n_chain; k++)
			free((void *)(uintptr_t)m->entries[i].chain[k].data);
		X509_free(m->entries[i].x509);
		EVP_PKEY_free(m->entries[i].key);
	}
	free(m);
}

static inline struct signer *memory_signer_new(void)
{
	static const struct signer_ops ops = {"memory", memory_cas, memory_find, memory_sign,
		memory_cancel, memory_reload, memory_free};
	struct memory_signer *m = xnew(struct memory_signer);
	m->base.ops = &ops;
	return &m->base;
}
