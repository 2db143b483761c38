/* Signatures: requests to the signer process, its answers, its end and its successor. */
#include "lib/base/xalloc.h"
#include "lib/keyring/local.h"
#include "lib/log/log.h"
#include "lib/loop/loop.h"
#include <string.h>

static void finish_sign(struct local *l, struct signer_call *c, int rc, const uint8_t *sig,
	size_t len, const char *why)
{
	signer_sign_fn fn = c->fn.sign;
	void *arg = c->arg;
	call_forget(l, c);
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

void process_expire(void *arg)
{
	struct local *l = arg;
	struct signer_call *c;
	char why[320];
	while ((c = TAILQ_FIRST(&l->by_time)) && c->deadline_ms <= loop_now_ms()) {
		(void)snprintf(why, sizeof(why), "no signature in %u ms%s%s", l->spec.timeout_ms,
			l->why[0] ? ": " : "", l->why);
		finish_sign(l, c, -ETIMEDOUT, NULL, 0, why);
	}
	arm_expiry(l);
}

void process_flush(struct local *l)
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
	TAILQ_FOREACH(c, &l->by_time, by_time) {
		n += c->child == child;
	}
	return n;
}

void process_drained(struct local *l, struct child *child)
{
	if (child != l->child && !calls_in(l, child))
		child_close(child);
}

static void on_message(void *arg, struct child *child, const struct wire_msg *m)
{
	struct local *l = arg;
	if (m->op == WIRE_READY) {
		l->why[0] = 0;
		process_flush(l);
		return;
	}
	struct signer_call *c = l->slots[m->id % SIGNER_OUTSTANDING_MAX];
	l->backoff_ms = 0;
	if (!c || c->kind != CALL_SIGN || c->child != child ||
		c->generation != m->id / SIGNER_OUTSTANDING_MAX)
		return; /* cancelled, or too late */
	char why[256] = "";
	if (m->status)
		(void)snprintf(why, sizeof(why), "%.*s", m->len > 240 ? 240 : (int)m->len,
			(const char *)m->data);
	int rc = !m->status ? 0 : m->status < 4096 ? -(int)m->status : -EIO;
	finish_sign(l, c, rc, rc ? NULL : m->data, rc ? 0 : m->len, why);
	if (child != l->child)
		process_drained(l, child);
	arm_expiry(l);
}

static void on_writable(void *arg, struct child *child)
{
	struct local *l = arg;
	if (child == l->child)
		process_flush(l);
}

/* Which calls is noted first: their functions may sign again, or cancel others, at once. */
static void fail_calls(struct local *l, const struct child *child, const char *why)
{
	size_t n = 0, n_in = calls_in(l, child);
	struct signer_call *c;
	struct {
		uint32_t slot, generation;
	} *failed = xcalloc(n_in, sizeof(*failed));
	TAILQ_FOREACH(c, &l->by_time, by_time)
	{
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
		log_warning("signer process gone, starting another", "reason", text, "ring",
			keyring_name(l->ring), "after_ms", log_u64(l->backoff_ms));
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

void process_restart(void *arg)
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

struct signer_call *local_sign(struct signer *s, const uint8_t key[KEYRING_KEY_ID],
	enum sign_mech mech, const void *hash, size_t len, signer_sign_fn fn, void *arg)
{
	struct local *l = local_of(s);
	bool possible = len && len <= SIGN_HASH_MAX && (int)mech > 0 && mech < SIGN_MECH_MAX;
	struct signer_call *c =
		possible ? call_new(l, CALL_SIGN, arg) : call_refused(l, CALL_SIGN, -EINVAL, arg);
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
	process_flush(l);
	return c;
}

int process_start(struct local *l, struct keyring **ret_ring, struct child **ret, struct errbuf *e)
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
void process_retire(struct local *l, struct child *child)
{
	int i = 0;
	while (i < DRAINING_MAX && l->draining[i])
		i++;
	if (i == DRAINING_MAX) {
		struct child *oldest = l->draining[0];
		memmove(l->draining, l->draining + 1, sizeof(l->draining) - sizeof(l->draining[0]));
		l->draining[--i] = NULL;
		fail_calls(l, oldest,
			"the key ring was reloaded too often while the signature was made");
		child_free(oldest);
	}
	l->draining[i] = child;
	process_drained(l, child);
}
