/* replay: the anti-replay window of RFC 4303 section 3.4.3 in the form of RFC 6479: a ring of
 * 64-bit words of which one more than the window needs is kept, so that moving on clears whole
 * words and never shifts. With ESN (RFC 4303 appendix A) the high half of the number is inferred
 * from the window's position.
 *
 * Check before the ICV (cheap refusal), update after it (and look again: the same packet may be in
 * one batch twice). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { REPLAY_OK = 0, REPLAY_OLD = 1, REPLAY_SEEN = 2 };
enum { REPLAY_MIN = 64, REPLAY_MAX = 4096, REPLAY_WORDS = REPLAY_MAX / 64 * 2 };

struct replay {
	uint32_t size; /* packets; 0: no check (manual keying, RFC 4303 3.4.3) */
	uint32_t mask; /* words in the ring - 1 */
	bool esn;
	uint64_t last; /* highest number accepted */
	uint64_t ring[REPLAY_WORDS];
};

/* @size is 0 or REPLAY_MIN..REPLAY_MAX, rounded up to a multiple of 64. */
void replay_init(struct replay *r, uint32_t size, bool esn);
/* The full number of a packet that carries @low. */
uint64_t replay_infer(const struct replay *r, uint32_t low);
int replay_check(const struct replay *r, uint64_t seq);
int replay_update(struct replay *r, uint64_t seq); /* REPLAY_OK: accepted and remembered */
