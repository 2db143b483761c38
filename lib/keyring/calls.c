/* Calls live in a table of slots; the number that goes over the wire is slot and generation, so that a
 * late answer to a cancelled call finds nobody. */
#include "lib/base/xalloc.h"
#include "lib/keyring/local.h"
#include "lib/loop/loop.h"

/* Out of every list; the caller then runs its function. */
void call_forget(struct local *l, struct signer_call *c)
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

void call_free(struct signer_call *c)
{
	for (size_t i = 0; c->want && i < c->want->n_cas; i++)
		free((void *)c->want->cas[i].data);
	free(c->want);
	free(c->msg);
	free(c);
}

struct signer_call *call_refused(struct local *l, enum kind kind, int refused, void *arg)
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
struct signer_call *call_new(struct local *l, enum kind kind, void *arg)
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
