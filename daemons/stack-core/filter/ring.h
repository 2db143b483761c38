/* ring: log records of one worker on their way to the control thread: one writer, one reader, no
 * lock. A full ring loses the newest record and counts it. Inside filter/ only. */
#pragma once
#include "daemons/stack-core/filter/filter.h"
#include <stdatomic.h>

enum { LOG_RING = 2048, LOG_RECORD = offsetof(struct filter_log, spec) };

struct log_ring {
	uint8_t *records; /* LOG_RING of LOG_RECORD bytes */
	_Atomic uint64_t lost;
	_Atomic uint32_t head __attribute__((aligned(64))); /* written by the worker */
	_Atomic uint32_t tail __attribute__((aligned(64))); /* written by the control thread */
};

void log_ring_init(struct log_ring *r);
void log_ring_fini(struct log_ring *r);
/* The record to be filled, or NULL when the ring is full; log_ring_commit makes it visible. */
struct filter_log *log_ring_next(struct log_ring *r);
void log_ring_commit(struct log_ring *r);
bool log_ring_take(struct log_ring *r, struct filter_log *ret); /* .spec is left alone */
