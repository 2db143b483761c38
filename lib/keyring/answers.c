/* find and list_cas are answered from the ring in memory, by a timer of 0 ms: never from inside the
 * call. */
#include "lib/base/xalloc.h"
#include "lib/keyring/local.h"
#include "lib/keyring/ring.h"
#include "lib/loop/loop.h"
#include <string.h>

static int find_now(
	struct local *l, const struct want *w, const struct keyring_cert **ret, struct errbuf *e)
{
	if (!w->has_label)
		return keyring_choose(
			l->ring, w->has_id ? &w->id : NULL, w->cas, w->n_cas, w->now, ret, e);
	const struct keyring_cert *c = keyring_find(l->ring, w->label);
	if (!c || !c->has_key || !c->is_trusted || c->usage == KEYRING_CERTAUTH)
		return err_set(e, ENOENT,
			"key ring %.74s has no trusted personal certificate with a key labelled "
			"%.32s",
			keyring_name(l->ring), w->label);
	*ret = c;
	return 0;
}

static void answer_find(struct local *l, struct signer_call *c)
{
	const struct keyring_cert *k = NULL;
	struct errbuf e = {""};
	struct signer_cert out = {.n_chain = 0};
	struct keyring *ring = keyring_ref(l->ring); /* the function may reload */
	int rc = find_now(l, c->want, &k, &e);
	if (!rc) {
		(void)snprintf(out.label, sizeof(out.label), "%s", k->label);
		memcpy(out.key, k->id, sizeof(out.key));
		memcpy(out.chain, k->chain, sizeof(out.chain));
		out.n_chain = k->n_chain;
		out.subject = k->subject;
	}
	l->base.n_failed += rc < 0;
	c->fn.cert(c->arg, rc, rc ? NULL : &out, e.text);
	keyring_unref(ring);
}

static void answer_refused(struct local *l, struct signer_call *c)
{
	const char *why = c->refused == -ENOBUFS ? "too many calls of the signer are outstanding"
						 : "no such mechanism, or no such length of a hash";
	l->base.n_failed++;
	if (c->kind == CALL_CAS)
		c->fn.cas(c->arg, c->refused, NULL, 0, why);
	else if (c->kind == CALL_FIND)
		c->fn.cert(c->arg, c->refused, NULL, why);
	else
		c->fn.sign(c->arg, c->refused, NULL, 0, why);
}

static void answer_cas(struct local *l, struct signer_call *c)
{
	struct keyring *ring = keyring_ref(l->ring); /* the function may reload */
	struct signer_ca *cas = xcalloc(keyring_count(ring), sizeof(*cas));
	struct verify_blob *crls = xcalloc(ring_crls(ring), sizeof(*crls));
	const struct keyring_cert *k;
	size_t n = 0;
	for (size_t i = 0; (k = keyring_at(ring, i)); i++) {
		if (k->usage != KEYRING_CERTAUTH || !k->is_trusted || !k->is_ca)
			continue;
		(void)snprintf(cas[n].label, sizeof(cas[n].label), "%s", k->label);
		cas[n].subject = k->subject;
		cas[n++].cert = k->chain[0];
	}
	ring_share_crls(ring, cas, n, crls);
	c->fn.cas(c->arg, 0, cas, n, "");
	keyring_unref(ring);
	free(crls);
	free(cas);
}

void answers_run(void *arg)
{
	struct local *l = arg;
	struct signer_call *c;
	for (int i = 0; i < 256 && (c = TAILQ_FIRST(&l->answers)); i++) {
		call_forget(l, c);
		if (c->refused)
			answer_refused(l, c);
		else if (c->kind == CALL_CAS)
			answer_cas(l, c);
		else
			answer_find(l, c);
		call_free(c);
	}
	if (!TAILQ_EMPTY(&l->answers))
		loop_timer_set(l->soon, 0);
}

static void answer_soon(struct local *l, struct signer_call *c)
{
	TAILQ_INSERT_TAIL(&l->answers, c, waiting);
	loop_timer_set(l->soon, 0);
}

struct signer_call *local_cas(struct signer *s, signer_cas_fn fn, void *arg)
{
	struct local *l = local_of(s);
	struct signer_call *c = call_new(l, CALL_CAS, arg);
	c->fn.cas = fn;
	if (!c->refused)
		answer_soon(l, c);
	return c;
}

struct signer_call *local_find(
	struct signer *s, const struct signer_want *want, signer_cert_fn fn, void *arg)
{
	struct local *l = local_of(s);
	struct signer_call *c = call_new(l, CALL_FIND, arg);
	c->fn.cert = fn;
	if (c->refused)
		return c;
	struct want *w = c->want = xnew(struct want);
	w->has_id = want->id;
	if (want->id)
		w->id = *want->id;
	w->has_label = want->label;
	(void)snprintf(w->label, sizeof(w->label), "%s", want->label ? want->label : "");
	w->now = want->now;
	for (size_t i = 0; i < want->n_cas && w->n_cas < CAS_MAX; i++) {
		uint8_t *copy = want->cas[i].len && want->cas[i].len <= 8192
					? xcheck(malloc(want->cas[i].len))
					: NULL;
		if (!copy)
			continue;
		memcpy(copy, want->cas[i].data, want->cas[i].len);
		w->cas[w->n_cas++] = (struct verify_blob){copy, want->cas[i].len};
	}
	l->base.n_finds++;
	answer_soon(l, c);
	return c;
}
