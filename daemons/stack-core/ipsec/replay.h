/* replay: the anti-replay window of RFC 4303 section 3.4.3 in the form of RFC 6479: a ring of
 * 64-bit words of which one more than the window needs is kept, so that moving on clears whole
 * words and never shifts. With ESN (RFC 4303 appendix A) the high half of the number is inferred
 * from the window's position.
 *
 * Check before the ICV (cheap refusal), update after it (and look again: the same packet may be in
 * one batch twice). Checking takes no lock: while another worker moves the window it may let a packet pass that updating,
 * which the owner does under a lock, then refuses; what it refuses was seen, or is too old by then. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { REPLAY_OK = 0, REPLAY_OLD = 1, REPLAY_SEEN = 2 };
enum { REPLAY_MIN = 64, REPLAY_MAX = 4096, REPLAY_WORDS = REPLAY_MAX / 64 * 2 };

struct replay {
	uint32_t size; /* packets; 0: no check (manual keying, RFC 4303 3.4.3) */
	uint32_t mask; /* words in the ring - 1 */
	bool esn;
	_Atomic uint64_t last; /* highest number accepted */
	_Atomic uint64_t ring[REPLAY_WORDS];
};

/* @size is 0 or REPLAY_MIN..REPLAY_MAX, rounded up to a multiple of 64. */
void replay_init(struct replay *r, uint32_t size, bool esn);
/* Resynchronisation (RFC 4303 appendix A3): the number of a packet that carries @low, @ahead subspaces of 2^32 beyond what
 * replay_infer says. 0: there is none. */
uint64_t replay_ahead(const struct replay *r, uint32_t low, uint32_t ahead);
int replay_update(struct replay *r, uint64_t seq); /* REPLAY_OK: accepted and remembered */

static inline uint64_t replay_last(const struct replay *r)
{
	return atomic_load_explicit(&r->last, memory_order_relaxed);
}

/* The full number of a packet that carries @low. */
static inline uint64_t replay_infer(const struct replay *r, uint32_t low)
{
	if (!r->esn)
		return low;
	uint64_t last = replay_last(r);
	uint32_t window = r->size ? r->size : REPLAY_MIN;
	uint32_t top_low = (uint32_t)last, top_high = (uint32_t)(last >> 32);
	uint32_t bottom = top_low - window + 1; /* may wrap below 0 */
	uint32_t high;

	if (top_low >= window - 1) /* case A: the window lies in one subspace */
		high = low >= bottom ? top_high : top_high + 1;
	else /* case B: it spans two; in the very first subspace there is nothing below */
		high = low >= bottom && top_high ? top_high - 1 : top_high;
	return (uint64_t)high << 32 | low;
}

/* replay_update for the number that mostly comes: the one after the highest, in the same word of the ring. False: it is another. */
static inline bool replay_next(struct replay *r, uint64_t seq)
{
	if (!r->size || seq != replay_last(r) + 1 || seq % 64 == 0)
		return false;
	_Atomic uint64_t *word = &r->ring[(seq / 64) & r->mask];
	atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) | UINT64_C(1) << (seq % 64), memory_order_relaxed);
	atomic_store_explicit(&r->last, seq, memory_order_relaxed);
	return true;
}

static inline int replay_check(const struct replay *r, uint64_t seq)
{
	uint64_t last = replay_last(r);

	if (!r->size)
		return REPLAY_OK;
	if (seq == 0)
		return REPLAY_OLD; /* the first number is 1 */
	if (seq > last)
		return REPLAY_OK;
	if (last - seq >= r->size)
		return REPLAY_OLD;
	uint64_t word = atomic_load_explicit(&r->ring[(seq / 64) & r->mask], memory_order_relaxed);
	return word >> (seq % 64) & 1 ? REPLAY_SEEN : REPLAY_OK;
}
