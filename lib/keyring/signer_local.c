/* The local signer. Calls live in a table of slots; the number that goes over the wire is slot and generation, so that a late answer
 * to a cancelled call finds nobody. find and list_cas are answered from the ring in memory, by a timer of 0 ms: never from inside the call. */
#include "lib/keyring/signer_local.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/child.h"
#include "lib/keyring/ring.h"
#include "lib/log/log.h"
#include "lib/loop/loop.h"
#include <string.h>
#include <sys/queue.h>

enum { READY_MS = 10000, TIMEOUT_MS = 10000, BACKOFF_MIN_MS = 100, BACKOFF_MAX_MS = 5000, CAS_MAX = 64, DRAINING_MAX = 8 };
enum kind { CALL_FREE, CALL_CAS, CALL_FIND, CALL_SIGN };

struct want {
	struct ident id;
	bool has_id, has_label;
	char label[SIGNER_LABEL_MAX];
	struct verify_blob cas[CAS_MAX];
	size_t n_cas;
	int64_t now;
};

struct signer_call {
	enum kind kind;
	int refused; /* answered like CAS and FIND, with this error; in no slot */
	uint32_t slot, generation;
	void *arg;
	union {
		signer_cas_fn cas;
		signer_cert_fn cert;
		signer_sign_fn sign;
	} fn;
	struct want *want;   /* FIND */
	struct wire_msg *msg; /* SIGN, until sent */
	struct child *child; /* SIGN, since sent */
	uint64_t deadline_ms;
	TAILQ_ENTRY(signer_call) by_time; /* SIGN: all of them, oldest first */
	TAILQ_ENTRY(signer_call) waiting; /* SIGN: not sent; CAS, FIND: not answered */
};
TAILQ_HEAD(calls, signer_call);

struct local {
	struct signer base; /* first */
	struct loop *loop;
	struct signer_local_spec spec;
	char *name, *user, *dir, *program;
	struct keyring *ring;
	struct child *child;
	struct child *draining[DRAINING_MAX]; /* before a reload, with calls under way */
	struct loop_timer *soon, *restart, *expiry;
	uint64_t backoff_ms;
	struct calls by_time, outbox, answers;
	struct signer_call *slots[SIGNER_OUTSTANDING_MAX];
	uint32_t free_slots[SIGNER_OUTSTANDING_MAX], n_free;
	uint32_t generation;
	char why[256]; /* there is no signer process now */
};

static struct local *local_of(struct signer *s)
{
	return (struct local *)(void *)s;
}

/* Out of every list; the caller then runs its function. */
static void forget(struct local *l, struct signer_call *c)
{
	if (c->refused) {
		TAILQ_REMOVE(&l->answers, c, waiting);
		return;
	}
	if (c->kind == CALL_SIGN) {
		TAILQ_REMOVE(&l->by_time, c, by_time);
		if (!c->child)
			TAILQ_REMOVE(&l->outbox, c, waiting);
	} else {
		TAILQ_REMOVE(&l->answers, c, waiting);
	}
	l->slots[c->slot] = NULL;
	l->free_slots[l->n_free++] = c->slot;
	l->base.outstanding--;
}

static void call_free(struct signer_call *c)
{
	for (size_t i = 0; c->want && i < c->want->n_cas; i++)
		free((void *)c->want->cas[i].data);
	free(c->want);
	free(c->msg);
	free(c);
}

static struct signer_call *call_refused(struct local *l, enum kind kind, int refused, void *arg)
{
	struct signer_call *c = xnew(struct signer_call);
	c->kind = kind;
	c->refused = refused;
	c->arg = arg;
	TAILQ_INSERT_TAIL(&l->answers, c, waiting);
	loop_timer_set(l->soon, 0);
	return c;
}

/* The caller fills .fn in, and queues it unless it is .refused: the table is full. */
static struct signer_call *call_new(struct local *l, enum kind kind, void *arg)
{
	if (!l->n_free)
		return call_refused(l, kind, -ENOBUFS, arg);
	struct signer_call *c = xnew(struct signer_call);
	c->kind = kind;
	c->slot = l->free_slots[--l->n_free];
	c->generation = ++l->generation;
	c->arg = arg;
	c->deadline_ms = loop_now_ms() + l->spec.timeout_ms;
	l->slots[c->slot] = c;
	l->base.outstanding++;
	return c;
}

static void finish_sign(struct local *l, struct signer_call *c, int rc, const uint8_t *sig, size_t len, const char *why)
{
	signer_sign_fn fn = c->fn.sign;
	void *arg = c->arg;
	forget(l, c);
	l->base.n_failed += rc < 0;
	fn(arg, rc, sig, len, why);
	call_free(c);
}

static void arm_expiry(struct local *l)
{
	const struct signer_call *c = TAILQ_FIRST(&l->by_time);
	uint64_t now = loop_now_ms();
	if (c)
		loop_timer_set(l->expiry, c->deadline_ms > now ? c->deadline_ms - now : 0);
	else
		loop_timer_stop(l->expiry);
}

static void on_expiry(void *arg)
{
	struct local *l = arg;
	struct signer_call *c;
	char why[320];
	while ((c = TAILQ_FIRST(&l->by_time)) && c->deadline_ms <= loop_now_ms()) {
		(void)snprintf(why, sizeof(why), "no signature in %u ms%s%s", l->spec.timeout_ms, l->why[0] ? ": " : "", l->why);
		finish_sign(l, c, -ETIMEDOUT, NULL, 0, why);
	}
	arm_expiry(l);
}

static void flush(struct local *l)
{
	struct signer_call *c;
	while (l->child && child_is_ready(l->child) && (c = TAILQ_FIRST(&l->outbox))) {
		if (child_send(l->child, c->msg))
			break; /* full: .writable; broken: .gone */
		TAILQ_REMOVE(&l->outbox, c, waiting);
		c->child = l->child;
		free(c->msg);
		c->msg = NULL;
	}
}

static uint32_t calls_in(const struct local *l, const struct child *child)
{
	const struct signer_call *c;
	uint32_t n = 0;
	TAILQ_FOREACH(c, &l->by_time, by_time)
		n += c->child == child;
	return n;
}

static void drained(struct local *l, struct child *child)
{
	if (child != l->child && !calls_in(l, child))
		child_close(child);
}

static void on_message(void *arg, struct child *child, const struct wire_msg *m)
{
	struct local *l = arg;
	if (m->op == WIRE_READY) {
		l->why[0] = 0;
		flush(l);
		return;
	}
	struct signer_call *c = l->slots[m->id % SIGNER_OUTSTANDING_MAX];
	l->backoff_ms = 0;
	if (!c || c->kind != CALL_SIGN || c->child != child || c->generation != m->id / SIGNER_OUTSTANDING_MAX)
		return; /* cancelled, or too late */
	char why[256] = "";
	if (m->status)
		(void)snprintf(why, sizeof(why), "%.*s", m->len > 240 ? 240 : (int)m->len, (const char *)m->data);
	int rc = !m->status ? 0 : m->status < 4096 ? -(int)m->status : -EIO;
	finish_sign(l, c, rc, rc ? NULL : m->data, rc ? 0 : m->len, why);
	if (child != l->child)
		drained(l, child);
	arm_expiry(l);
}

static void on_writable(void *arg, struct child *child)
{
	struct local *l = arg;
	if (child == l->child)
		flush(l);
}

/* Which calls is noted first: their functions may sign again, or cancel others, at once. */
static void fail_calls(struct local *l, const struct child *child, const char *why)
{
	size_t n = 0, n_in = calls_in(l, child);
	struct signer_call *c;
	struct {
		uint32_t slot, generation;
	} *failed = xcalloc(n_in, sizeof(*failed));
	TAILQ_FOREACH(c, &l->by_time, by_time) {
		if (c->child != child)
			continue;
		failed[n].slot = c->slot;
		failed[n++].generation = c->generation;
	}
	for (size_t i = 0; i < n; i++) {
		c = l->slots[failed[i].slot];
		if (c && c->generation == failed[i].generation)
			finish_sign(l, c, -ECONNRESET, NULL, 0, why);
	}
	free(failed);
	arm_expiry(l);
}

static void schedule_restart(struct local *l)
{
	loop_timer_set(l->restart, l->backoff_ms);
	l->backoff_ms = l->backoff_ms ? l->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (l->backoff_ms > BACKOFF_MAX_MS)
		l->backoff_ms = BACKOFF_MAX_MS;
}

static void on_gone(void *arg, struct child *child, const char *why)
{
	struct local *l = arg;
	char text[256];
	(void)snprintf(text, sizeof(text), "%s", why);
	if (child == l->child) {
		log_warning("signer process gone, starting another", "reason", text, "ring", keyring_name(l->ring), "after_ms", log_u64(l->backoff_ms));
		l->child = NULL;
		(void)snprintf(l->why, sizeof(l->why), "%s", text);
		schedule_restart(l);
	}
	for (int i = 0; i < DRAINING_MAX; i++)
		if (l->draining[i] == child)
			l->draining[i] = NULL;
	fail_calls(l, child, text);
	child_free(child);
}

static const struct child_ops child_ops = {on_message, on_writable, on_gone};

static void on_restart(void *arg)
{
	struct local *l = arg;
	struct errbuf e;
	l->base.n_restarts++;
	if (child_start(l->loop, &l->spec, &child_ops, l, &l->child, &e) == 0)
		return;
	log_error("signer process cannot be started", "reason", e.text);
	(void)snprintf(l->why, sizeof(l->why), "%s", e.text);
	schedule_restart(l);
}

static int find_now(struct local *l, const struct want *w, const struct keyring_cert **ret, struct errbuf *e)
{
	if (!w->has_label)
		return keyring_choose(l->ring, w->has_id ? &w->id : NULL, w->cas, w->n_cas, w->now, ret, e);
	const struct keyring_cert *c = keyring_find(l->ring, w->label);
	if (!c || !c->has_key || !c->is_trusted || c->usage == KEYRING_CERTAUTH)
		return err_set(e, ENOENT, "key ring %.74s has no trusted personal certificate with a key labelled %.32s", keyring_name(l->ring), w->label);
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
	const char *why = c->refused == -ENOBUFS ? "too many calls of the signer are outstanding" : "no such mechanism, or no such length of a hash";
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

static void on_soon(void *arg)
{
	struct local *l = arg;
	struct signer_call *c;
	for (int i = 0; i < 256 && (c = TAILQ_FIRST(&l->answers)); i++) {
		forget(l, c);
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

static struct signer_call *local_cas(struct signer *s, signer_cas_fn fn, void *arg)
{
	struct local *l = local_of(s);
	struct signer_call *c = call_new(l, CALL_CAS, arg);
	c->fn.cas = fn;
	if (!c->refused)
		answer_soon(l, c);
	return c;
}

static struct signer_call *local_find(struct signer *s, const struct signer_want *want, signer_cert_fn fn, void *arg)
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
		uint8_t *copy = want->cas[i].len && want->cas[i].len <= 8192 ? xcheck(malloc(want->cas[i].len)) : NULL;
		if (!copy)
			continue;
		memcpy(copy, want->cas[i].data, want->cas[i].len);
		w->cas[w->n_cas++] = (struct verify_blob){copy, want->cas[i].len};
	}
	l->base.n_finds++;
	answer_soon(l, c);
	return c;
}

static struct signer_call *local_sign(struct signer *s, const uint8_t key[KEYRING_KEY_ID], enum sign_mech mech, const void *hash, size_t len,
	signer_sign_fn fn, void *arg)
{
	struct local *l = local_of(s);
	bool possible = len && len <= SIGN_HASH_MAX && (int)mech > 0 && mech < SIGN_MECH_MAX;
	struct signer_call *c = possible ? call_new(l, CALL_SIGN, arg) : call_refused(l, CALL_SIGN, -EINVAL, arg);
	c->fn.sign = fn;
	if (c->refused)
		return c;
	c->msg = xnew(struct wire_msg);
	c->msg->op = WIRE_SIGN;
	c->msg->mech = (uint8_t)mech;
	c->msg->id = (uint64_t)c->generation * SIGNER_OUTSTANDING_MAX + c->slot;
	memcpy(c->msg->key, key, KEYRING_KEY_ID);
	c->msg->len = (uint16_t)len;
	memcpy(c->msg->data, hash, len);
	bool first = TAILQ_EMPTY(&l->by_time);
	TAILQ_INSERT_TAIL(&l->by_time, c, by_time);
	TAILQ_INSERT_TAIL(&l->outbox, c, waiting);
	l->base.n_signs++;
	if (first)
		arm_expiry(l);
	flush(l);
	return c;
}

static void local_cancel(struct signer *s, struct signer_call *c)
{
	struct local *l = local_of(s);
	struct child *child = c->child;
	forget(l, c);
	call_free(c);
	if (child && child != l->child)
		drained(l, child);
}

static int start(struct local *l, struct keyring **ret_ring, struct child **ret, struct errbuf *e)
{
	struct keyring *ring = NULL;
	struct child *child = NULL;
	int rc = keyring_open(&l->spec.ring, &ring, e);
	rc = rc ? rc : child_start(l->loop, &l->spec, &child_ops, l, &child, e);
	rc = rc ? rc : child_wait_ready(child, READY_MS, e);
	if (rc) {
		child_free(child);
		keyring_unref(ring);
		return rc;
	}
	*ret_ring = ring;
	*ret = child;
	return 0;
}

/* The child before the reload goes on until its calls are answered. */
static void retire(struct local *l, struct child *child)
{
	int i = 0;
	while (i < DRAINING_MAX && l->draining[i])
		i++;
	if (i == DRAINING_MAX) {
		struct child *oldest = l->draining[0];
		memmove(l->draining, l->draining + 1, sizeof(l->draining) - sizeof(l->draining[0]));
		l->draining[--i] = NULL;
		fail_calls(l, oldest, "the key ring was reloaded too often while the signature was made");
		child_free(oldest);
	}
	l->draining[i] = child;
	drained(l, child);
}

static int local_reload(struct signer *s, struct errbuf *e)
{
	struct local *l = local_of(s);
	struct keyring *ring = NULL;
	struct child *child = NULL, *old = l->child;
	int rc = start(l, &ring, &child, e);
	if (rc)
		return rc;
	keyring_unref(l->ring);
	l->ring = ring;
	l->child = child;
	l->why[0] = 0;
	loop_timer_stop(l->restart);
	if (old)
		retire(l, old);
	flush(l);
	return 0;
}

static void local_free(struct signer *s)
{
	struct local *l = local_of(s);
	for (struct signer_call *c; (c = TAILQ_FIRST(&l->answers));) {
		forget(l, c);
		call_free(c);
	}
	for (size_t i = 0; i < SIGNER_OUTSTANDING_MAX; i++)
		if (l->slots[i])
			call_free(l->slots[i]);
	child_free(l->child);
	for (int i = 0; i < DRAINING_MAX; i++)
		child_free(l->draining[i]);
	loop_timer_free(l->soon);
	loop_timer_free(l->restart);
	loop_timer_free(l->expiry);
	keyring_unref(l->ring);
	free(l->name);
	free(l->user);
	free(l->dir);
	free(l->program);
	free(l);
}

static const struct signer_ops local_ops = {"local", local_cas, local_find, local_sign, local_cancel, local_reload, local_free};

static char *copy_of(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

int signer_local_new(struct loop *loop, const struct signer_local_spec *spec, struct signer **ret, struct errbuf *e)
{
	struct local *l = xnew(struct local);
	l->base.ops = &local_ops;
	l->loop = loop;
	l->spec = *spec;
	l->spec.ring.name = l->name = copy_of(spec->ring.name);
	l->spec.ring.user = l->user = copy_of(spec->ring.user);
	l->spec.ring.dir = l->dir = copy_of(spec->ring.dir);
	l->spec.program = l->program = copy_of(spec->program);
	l->spec.timeout_ms = spec->timeout_ms ? spec->timeout_ms : TIMEOUT_MS;
	TAILQ_INIT(&l->by_time);
	TAILQ_INIT(&l->outbox);
	TAILQ_INIT(&l->answers);
	while (l->n_free < SIGNER_OUTSTANDING_MAX) {
		l->free_slots[l->n_free] = SIGNER_OUTSTANDING_MAX - 1 - l->n_free;
		l->n_free++;
	}
	l->soon = loop_timer_new(loop, on_soon, l);
	l->restart = loop_timer_new(loop, on_restart, l);
	l->expiry = loop_timer_new(loop, on_expiry, l);
	int rc = start(l, &l->ring, &l->child, e);
	if (rc) {
		local_free(&l->base);
		return rc;
	}
	*ret = &l->base;
	return 0;
}

struct keyring *signer_local_ring(struct signer *s)
{
	return local_of(s)->ring;
}

pid_t signer_local_pid(const struct signer *s)
{
	const struct local *l = (const struct local *)(const void *)s;
	return l->child ? child_pid(l->child) : 0;
}
