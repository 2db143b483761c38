#include "daemons/stack-core/link/slots.h"

static bool is_ours(const struct slots *s, uint32_t i)
{
	return __atomic_load_n(&slots_at(s, i)->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

/* Of a full ring: what came first, by the kernel's clock. What would be handled behind what came later by more than a replay window would
 * be lost. */
static uint32_t oldest(const struct slots *s)
{
	uint32_t first = 0;

	for (uint32_t i = 1; i < s->n; i++) {
		const struct tpacket2_hdr *a = slots_at(s, i), *b = slots_at(s, first);
		if (a->tp_sec < b->tp_sec || (a->tp_sec == b->tp_sec && a->tp_nsec < b->tp_nsec))
			first = i;
	}
	return first;
}

/* What waits is a run of slots somewhere in the ring. The kernel may add to the run while we look, so its beginning is looked for from
 * where it was met. */
bool slots_first(const struct slots *s, uint32_t *ret)
{
	uint32_t i = 0, back = 0;

	while (i < s->n && !is_ours(s, i))
		i++;
	if (i == s->n)
		return false;
	while (back < s->n && is_ours(s, (i + s->n - 1) % s->n)) {
		i = (i + s->n - 1) % s->n;
		back++;
	}
	*ret = back < s->n ? i : oldest(s);
	return true;
}
