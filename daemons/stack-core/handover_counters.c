/* Counters of the stack over a restart (handover.h): by their names, so that a version that knows more or fewer goes on with those it knows.
 * What was dropped stays counted, whoever dropped it. */
#include "daemons/stack-core/handover.h"
#include "lib/base/xalloc.h"
#include <string.h>

static Stack__HandoverCounter **leave(const uint64_t *counts, unsigned first, unsigned max, const char *(*name)(unsigned), size_t *ret_n)
{
	Stack__HandoverCounter **list = xcalloc(max, sizeof(*list)), *rows = xcalloc(max, sizeof(*rows));
	size_t n = 0;

	for (unsigned i = first; i < max; i++) {
		if (!counts[i] && n) /* the first row is where the rows are freed by */
			continue;
		stack__handover_counter__init(&rows[n]);
		rows[n].name = (char *)(uintptr_t)name(i);
		rows[n].has_packets = true;
		rows[n].packets = counts[i];
		list[n] = &rows[n];
		n++;
	}
	*ret_n = n;
	return list;
}

void handover_leave_counters(const struct stack *s, Stack__Handover *m)
{
	uint64_t pass[PASS_MAX], drops[DROP_MAX];

	stack_counters(s, pass, drops);
	m->passes = leave(pass, 0, PASS_MAX, pass_name, &m->n_passes);
	m->drops = leave(drops, DROP_NONE + 1, DROP_MAX, drop_name, &m->n_drops);
}

void handover_unfill_counters(Stack__Handover *m)
{
	free(m->passes[0]);
	free(m->drops[0]);
	free(m->passes);
	free(m->drops);
}

static void take(Stack__HandoverCounter *const *list, size_t n, uint64_t *counts, unsigned first, unsigned max, const char *(*name)(unsigned))
{
	for (size_t k = 0; k < n; k++)
		for (unsigned i = first; list[k]->name && i < max; i++)
			if (!strcmp(list[k]->name, name(i)))
				counts[i] = list[k]->packets;
}

void handover_counters(struct stack *s, const Stack__Handover *h)
{
	take(h->passes, h->n_passes, s->past_pass, 0, PASS_MAX, pass_name);
	take(h->drops, h->n_drops, s->past_drops, DROP_NONE + 1, DROP_MAX, drop_name);
}
