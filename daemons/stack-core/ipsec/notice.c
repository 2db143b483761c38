/* notice: see notice.h. */
#include "daemons/stack-core/ipsec/notice.h"
#include "daemons/stack-core/ipsec/worker.h"

bool notice_put(struct notice_ring *r, const struct ipsec_notice *n)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) >= NOTICE_RING) {
		count(&r->lost, 1);
		return false;
	}
	r->at[head % NOTICE_RING] = *n;
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

bool notice_take(struct notice_ring *r, struct ipsec_notice *ret)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return false;
	*ret = r->at[tail % NOTICE_RING];
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

bool ipsec_notice(struct ipsec_worker *w, struct ipsec_notice *ret)
{
	return notice_take(&w->notices, ret);
}

uint64_t ipsec_notices_lost(const struct ipsec_worker *w)
{
	return atomic_load_explicit(&w->notices.lost, memory_order_relaxed);
}
