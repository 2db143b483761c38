/* See presence.h. */
#include "daemons/stack-core/filter/presence.h"
#include "lib/base/xalloc.h"

enum { SIZE = 1 << 20 };

const uint8_t presence_ladder4[6] = {32, 28, 24, 16, 8, 0};
const uint8_t presence_ladder6[PRESENCE_STEPS] = {128, 112, 96, 80, 64, 56, 48, 32, 16, 0};

void presence_init(struct presence *p, uint8_t family)
{
	p->family = family;
	hash_key_init(&p->key);
	for (unsigned side = 0; side < 2; side++) /* pages come when they are written */
		p->count[side] = xcalloc(SIZE, sizeof(*p->count[side]));
}

void presence_fini(struct presence *p)
{
	free(p->count[0]);
	free(p->count[1]);
}

static uint64_t high_bits(unsigned n)
{
	return !n ? 0 : n >= 64 ? UINT64_MAX : ~(UINT64_MAX >> n);
}

/* The counter of the block of length ladder[@step] that the address in @key lies in. */
static _Atomic uint8_t *counter(
	const struct presence *p, unsigned side, const uint64_t *key, unsigned step)
{
	uint64_t w[3] = {step, 0, 0};
	unsigned n = 2;
	if (p->family == 4) {
		uint64_t a = side == PRESENCE_SOURCE ? key[0] >> 32 : key[0] & UINT32_MAX;
		w[1] = a & high_bits(32u + presence_ladder4[step]) & UINT32_MAX;
	} else {
		unsigned len = presence_ladder6[step];
		w[1] = key[2 * side] & high_bits(len);
		w[2] = key[2 * side + 1] & (len > 64 ? high_bits(len - 64) : 0);
		n = 3;
	}
	return &p->count[side][hash_words(&p->key, w, n) & (SIZE - 1)];
}

void presence_add(struct presence *p, unsigned side, const uint64_t *key, unsigned step)
{
	_Atomic uint8_t *c = counter(p, side, key, step);
	uint8_t n = atomic_load_explicit(c, memory_order_relaxed);
	if (n < UINT8_MAX)
		atomic_store_explicit(c, (uint8_t)(n + 1), memory_order_release);
}

void presence_remove(struct presence *p, unsigned side, const uint64_t *key, unsigned step)
{
	_Atomic uint8_t *c = counter(p, side, key, step);
	uint8_t n = atomic_load_explicit(c, memory_order_relaxed);
	if (n < UINT8_MAX)
		atomic_store_explicit(c, (uint8_t)(n - 1), memory_order_release);
}

uint32_t presence_of(const struct presence *p, unsigned side, const uint64_t *key, uint32_t steps)
{
	uint32_t found = 0;
	for (uint32_t left = steps; left; left &= left - 1) {
		unsigned step = (unsigned)__builtin_ctz(left);
		if (atomic_load_explicit(counter(p, side, key, step), memory_order_acquire))
			found |= 1u << step;
	}
	return found;
}
