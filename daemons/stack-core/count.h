/* count: a number that one thread counts and others read meanwhile. No locked instruction and no order, as it stands for itself; but it is
 * written and read as a whole, which a plain += promises to nobody. */
#pragma once
#include <stdint.h>

static inline uint64_t count_read(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

/* By the one thread that counts. */
static inline void count_add(uint64_t *c, uint64_t n)
{
	__atomic_store_n(c, count_read(c) + n, __ATOMIC_RELAXED);
}
