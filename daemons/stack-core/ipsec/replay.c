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

uint64_t replay_ahead(const struct replay *r, uint32_t low, uint32_t ahead)
{
	uint64_t seq = replay_infer(r, low);

	return r->esn && seq >> 32 <= UINT32_MAX - ahead ? seq + ((uint64_t)ahead << 32) : 0;
}

static void set_last(struct replay *r, uint64_t seq)
{
	atomic_store_explicit(&r->last, seq, memory_order_relaxed);
}

int replay_update(struct replay *r, uint64_t seq)
{
	uint64_t last = replay_last(r);

	if (!r->size) {
		if (seq > last)
			set_last(r, seq);
		return REPLAY_OK;
	}
	int verdict = replay_check(r, seq);
	if (verdict != REPLAY_OK)
		return verdict;
	if (seq > last) {
		uint64_t from = last / 64, to = seq / 64;
		uint64_t fresh =
			to - from > (uint64_t)r->mask + 1 ? (uint64_t)r->mask + 1 : to - from;
		for (uint64_t i = 0; i < fresh; i++)
			atomic_store_explicit(&r->ring[(to - i) & r->mask], 0, memory_order_relaxed);
		set_last(r, seq);
	}
	_Atomic uint64_t *word = &r->ring[(seq / 64) & r->mask];
	atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) | UINT64_C(1) << (seq % 64), memory_order_relaxed);
	return REPLAY_OK;
}
