/* replay: RFC 6479 ring of words; RFC 4303 appendix A2.1 for the high half. */
#include "daemons/stack-core/ipsec/replay.h"
#include <string.h>

void replay_init(struct replay *r, uint32_t size, bool esn)
{
	memset(r, 0, sizeof(*r));
	r->esn = esn;
	if (!size)
		return;
	if (size < REPLAY_MIN)
		size = REPLAY_MIN;
	if (size > REPLAY_MAX)
		size = REPLAY_MAX;
	r->size = (size + 63) / 64 * 64;
	/* one word more than the window, so that the word being entered can be cleared whole */
	uint32_t words = 2;
	while (words < r->size / 64 + 1)
		words *= 2;
	r->mask = words - 1;
}

uint64_t replay_infer(const struct replay *r, uint32_t low)
{
	if (!r->esn)
		return low;
	uint32_t window = r->size ? r->size : REPLAY_MIN;
	uint32_t top_low = (uint32_t)r->last, top_high = (uint32_t)(r->last >> 32);
	uint32_t bottom = top_low - window + 1; /* may wrap below 0 */
	uint32_t high;

	if (top_low >= window - 1) /* case A: the window lies in one subspace */
		high = low >= bottom ? top_high : top_high + 1;
	else /* case B: it spans two; in the very first subspace there is nothing below */
		high = low >= bottom && top_high ? top_high - 1 : top_high;
	return (uint64_t)high << 32 | low;
}

int replay_check(const struct replay *r, uint64_t seq)
{
	if (!r->size)
		return REPLAY_OK;
	if (seq == 0)
		return REPLAY_OLD; /* the first number is 1 */
	if (seq > r->last)
		return REPLAY_OK;
	if (r->last - seq >= r->size)
		return REPLAY_OLD;
	uint64_t word = r->ring[(seq / 64) & r->mask];
	return word >> (seq % 64) & 1 ? REPLAY_SEEN : REPLAY_OK;
}

int replay_update(struct replay *r, uint64_t seq)
{
	if (!r->size) {
		if (seq > r->last)
			r->last = seq;
		return REPLAY_OK;
	}
	int verdict = replay_check(r, seq);
	if (verdict != REPLAY_OK)
		return verdict;
	if (seq > r->last) {
		uint64_t from = r->last / 64, to = seq / 64;
		uint64_t fresh =
			to - from > (uint64_t)r->mask + 1 ? (uint64_t)r->mask + 1 : to - from;
		for (uint64_t i = 0; i < fresh; i++)
			r->ring[(to - i) & r->mask] = 0;
		r->last = seq;
	}
	r->ring[(seq / 64) & r->mask] |= UINT64_C(1) << (seq % 64);
	return REPLAY_OK;
}
