/* meter: how busy a worker is, how full its batches are, how long packets stay. Buckets are powers of two. No clock is read for a
 * packet: one batch in METER_SAMPLE is timed, from the moment its packets were received until the last of them was sent, dropped or
 * set aside, and that time counts for each of its packets. Which one it is varies, for batches of two links often take turns. The worker
 * writes, anybody reads. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { METER_SAMPLE = 16, METER_BATCH = 9, METER_TIME = 26 }; /* batches of 1..256 packets; times up to 2^25 ns and what is longer */

struct meter {
	_Atomic uint64_t batches, packets, busy_ns, sampled, sampled_ns;
	_Atomic uint64_t batch[METER_BATCH]; /* [i]: up to 2^i packets */
	_Atomic uint64_t time[METER_TIME];   /* [i]: packets that stayed up to 2^i ns; the last: all longer */
	uint64_t at_ns, timed_ns;
	uint32_t random;
	unsigned skip, timed; /* batches until the next is timed; packets of the one that is */
	bool was_busy;
};

static inline void meter_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline unsigned meter_bucket(uint64_t v, unsigned max)
{
	unsigned b = v <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(v - 1);
	return b < max ? b : max - 1;
}

static inline uint64_t meter_clock(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* True: this batch is timed. */
static inline bool meter_begin(struct meter *m, unsigned n)
{
	meter_add(&m->batches, 1);
	meter_add(&m->packets, n);
	meter_add(&m->batch[meter_bucket(n, METER_BATCH)], 1);
	m->timed = 0;
	if (m->skip--)
		return false;
	m->random = m->random * 1664525u + 1013904223u;
	m->skip = (m->random >> 16) % (2 * METER_SAMPLE - 1);
	m->timed = n;
	m->timed_ns = meter_clock();
	return true;
}

static inline void meter_end(struct meter *m)
{
	if (!m->timed)
		return;
	uint64_t ns = meter_clock() - m->timed_ns;
	meter_add(&m->time[meter_bucket(ns, METER_TIME)], m->timed);
	meter_add(&m->sampled, m->timed);
	meter_add(&m->sampled_ns, ns * m->timed);
}

/* At the beginning of each round: the last one lasted until now, if it had packets. */
static inline void meter_round(struct meter *m, uint64_t now_ns)
{
	if (m->was_busy)
		meter_add(&m->busy_ns, now_ns - m->at_ns);
	m->at_ns = now_ns;
}
