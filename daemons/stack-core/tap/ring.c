/* ring: records of different length from one worker to the control thread. Positions count bytes and never wrap around 2^32 by
 * accident, as the ring's size divides it. A record never lies across the end: what is left there is skipped, which a size of 0 says. */
#include "daemons/stack-core/tap/tap.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tap_ring_init(struct tap_ring *r)
{
	memset(r, 0, sizeof(*r));
	r->bytes = aligned_alloc(64, TAP_RING_BYTES);
	return r->bytes ? 0 : -ENOMEM;
}

void tap_ring_fini(struct tap_ring *r)
{
	free(r->bytes);
	r->bytes = NULL;
}

static struct tap_record *at(const struct tap_ring *r, uint32_t position)
{
	return (struct tap_record *)(void *)(r->bytes + position % TAP_RING_BYTES);
}

struct tap_record *tap_ring_next(struct tap_ring *r, uint32_t data)
{
	uint32_t size = (uint32_t)((sizeof(struct tap_record) + data + 7) & ~(size_t)7);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t used = head - atomic_load_explicit(&r->tail, memory_order_acquire);
	uint32_t to_end = TAP_RING_BYTES - head % TAP_RING_BYTES, skip = to_end < size ? to_end : 0;

	if (used + skip + size > TAP_RING_BYTES) {
		atomic_store_explicit(&r->lost, atomic_load_explicit(&r->lost, memory_order_relaxed) + 1, memory_order_relaxed);
		return NULL;
	}
	if (skip) {
		at(r, head)->size = 0;
		atomic_store_explicit(&r->head, head + skip, memory_order_release);
	}
	struct tap_record *rec = at(r, head + skip);
	rec->size = size;
	return rec;
}

void tap_ring_commit(struct tap_ring *r, const struct tap_record *rec)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, head + rec->size, memory_order_release);
}

const struct tap_record *tap_ring_peek(struct tap_ring *r)
{
	for (;;) {
		uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
		if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
			return NULL;
		const struct tap_record *rec = at(r, tail);
		if (rec->size)
			return rec;
		atomic_store_explicit(&r->tail, tail + TAP_RING_BYTES - tail % TAP_RING_BYTES, memory_order_release);
	}
}

void tap_ring_done(struct tap_ring *r, const struct tap_record *rec)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + rec->size, memory_order_release);
}
