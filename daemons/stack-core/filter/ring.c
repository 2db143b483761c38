/* See ring.h. */
#include "daemons/stack-core/filter/ring.h"
#include "lib/base/xalloc.h"

/* Distance of records: struct filter_log's alignment is kept. */
#define STRIDE ((LOG_RECORD + 15u) & ~15u)

void log_ring_init(struct log_ring *r)
{
	r->records = xcalloc(LOG_RING, STRIDE);
}

void log_ring_fini(struct log_ring *r)
{
	free(r->records);
}

struct filter_log *log_ring_next(struct log_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == LOG_RING) {
		atomic_fetch_add_explicit(&r->lost, 1, memory_order_relaxed);
		return NULL;
	}
	return (struct filter_log *)(void *)(r->records + (size_t)(head % LOG_RING) * STRIDE);
}

void log_ring_commit(struct log_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

bool log_ring_take(struct log_ring *r, struct filter_log *ret)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return false;
	memcpy(ret, r->records + (size_t)(tail % LOG_RING) * STRIDE, LOG_RECORD);
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}
