/* The local signer: the interface, its life and its reload. */
#include "lib/keyring/signer_local.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/local.h"
#include "lib/loop/loop.h"

static void local_cancel(struct signer *s, struct signer_call *c)
{
	struct local *l = local_of(s);
	struct child *child = c->child;
	call_forget(l, c);
	call_free(c);
	if (child && child != l->child)
		process_drained(l, child);
}

static int local_reload(struct signer *s, struct errbuf *e)
{
	struct local *l = local_of(s);
	struct keyring *ring = NULL;
	struct child *child = NULL, *old = l->child;
	int rc = process_start(l, &ring, &child, e);
	if (rc)
		return rc;
	keyring_unref(l->ring);
	l->ring = ring;
	l->child = child;
	l->why[0] = 0;
	loop_timer_stop(l->restart);
	if (old)
		process_retire(l, old);
	process_flush(l);
	return 0;
}

static void local_free(struct signer *s)
{
	struct local *l = local_of(s);
	for (struct signer_call *c; (c = TAILQ_FIRST(&l->answers));) {
		call_forget(l, c);
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

static const struct signer_ops local_ops = {
	"local", local_cas, local_find, local_sign, local_cancel, local_reload, local_free};

static char *copy_of(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

int signer_local_new(struct loop *loop, const struct signer_local_spec *spec, struct signer **ret,
	struct errbuf *e)
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
	l->soon = loop_timer_new(loop, answers_run, l);
	l->restart = loop_timer_new(loop, process_restart, l);
	l->expiry = loop_timer_new(loop, process_expire, l);
	int rc = process_start(l, &l->ring, &l->child, e);
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
