/* A signer that knows only the CAs of SupportedCertAuth, in front of the real one. The statement narrows which certificates of peers are
 * taken, so it is applied where the list of CAs comes from; finding and signing pass through. */
#include "daemons/ikeD/iked.h"
#include "lib/base/xalloc.h"
#include <strings.h>

struct narrow {
	struct signer base;
	struct signer *inner;
	struct iked *iked;
};

/* The handle that the engine holds; .inner is the real one. */
struct call {
	struct narrow *n;
	struct signer_call *inner;
	union {
		signer_cas_fn cas;
		signer_cert_fn cert;
		signer_sign_fn sign;
	} fn;
	void *arg;
};

static struct call *call_new(struct signer *s, void *arg)
{
	struct call *c = xnew(struct call);
	c->n = (struct narrow *)s;
	c->arg = arg;
	s->outstanding++;
	return c;
}

static struct call call_end(struct call *c)
{
	struct call copy = *c;
	c->n->base.outstanding--;
	free(c);
	return copy;
}

static bool supported(const struct iked_conf *conf, const char *label)
{
	for (unsigned i = 0; i < conf->n_cas; i++)
		if (!strcasecmp(conf->cas[i], label))
			return true;
	return !conf->n_cas;
}

static void got_cas(void *arg, int rc, const struct signer_ca *cas, size_t n, const char *why)
{
	struct call c = call_end(arg);
	struct signer_ca *some = xcalloc(n, sizeof(*some));
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (supported(c.n->iked->conf, cas[i].label))
			some[kept++] = cas[i];
	c.fn.cas(c.arg, rc, some, kept, why);
	free(some);
}

static void got_cert(void *arg, int rc, const struct signer_cert *cert, const char *why)
{
	struct call c = call_end(arg);
	c.n->base.n_failed += rc < 0;
	c.fn.cert(c.arg, rc, cert, why);
}

static void got_signature(void *arg, int rc, const uint8_t *sig, size_t len, const char *why)
{
	struct call c = call_end(arg);
	c.n->base.n_failed += rc < 0;
	c.fn.sign(c.arg, rc, sig, len, why);
}

static struct signer_call *narrow_cas(struct signer *s, signer_cas_fn fn, void *arg)
{
	struct call *c = call_new(s, arg);
	c->fn.cas = fn;
	c->inner = signer_list_cas(c->n->inner, got_cas, c);
	return (struct signer_call *)c;
}

static struct signer_call *narrow_find(struct signer *s, const struct signer_want *want, signer_cert_fn fn, void *arg)
{
	struct call *c = call_new(s, arg);
	c->fn.cert = fn;
	s->n_finds++;
	c->inner = signer_find(c->n->inner, want, got_cert, c);
	return (struct signer_call *)c;
}

static struct signer_call *narrow_sign(struct signer *s, const uint8_t key[KEYRING_KEY_ID], enum sign_mech mech, const void *hash,
	size_t len, signer_sign_fn fn, void *arg)
{
	struct call *c = call_new(s, arg);
	c->fn.sign = fn;
	s->n_signs++;
	c->inner = signer_sign(c->n->inner, key, mech, hash, len, got_signature, c);
	return (struct signer_call *)c;
}

static void narrow_cancel(struct signer *s, struct signer_call *handle)
{
	struct call *c = (struct call *)handle;
	(void)s;
	signer_cancel(c->n->inner, c->inner);
	(void)call_end(c);
}

static int narrow_reload(struct signer *s, struct errbuf *e)
{
	return signer_reload(((struct narrow *)s)->inner, e);
}

static void narrow_free(struct signer *s)
{
	free(s);
}

struct signer *narrow_new(struct signer *inner, struct iked *k)
{
	static const struct signer_ops ops = {"narrow", narrow_cas, narrow_find, narrow_sign, narrow_cancel, narrow_reload, narrow_free};
	struct narrow *n = xnew(struct narrow);
	n->base.ops = &ops;
	n->inner = inner;
	n->iked = k;
	return &n->base;
}
