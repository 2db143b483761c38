#include "daemons/defmgrD/seen.h"
#include "lib/base/xalloc.h"

struct source {
	struct addr addr; /* family 0: free */
	unsigned stack;
	uint64_t first_ms, last_ms;
	uint32_t n;
};

struct seen {
	struct source sources[SEEN_SOURCES_MAX];
};

struct seen *seen_new(void)
{
	return xnew(struct seen);
}

void seen_free(struct seen *s)
{
	free(s);
}

/* Its place; or that of the one seen longest ago, a free one before all. */
static struct source *place_of(struct seen *s, unsigned stack, const struct addr *a)
{
	struct source *oldest = s->sources;
	for (unsigned i = 0; i < SEEN_SOURCES_MAX; i++) {
		struct source *k = &s->sources[i];
		if (k->addr.family && k->stack == stack && addr_equal(&k->addr, a))
			return k;
		if (k->last_ms < oldest->last_ms)
			oldest = k;
	}
	return oldest;
}

bool seen_enough(struct seen *s, unsigned stack, const struct addr *a, uint32_t threshold, uint64_t interval_ms, uint64_t now_ms,
	uint64_t *forgotten)
{
	struct source *x = place_of(s, stack, a);
	bool same = x->addr.family && x->stack == stack && addr_equal(&x->addr, a);
	if (!same || now_ms - x->first_ms > interval_ms) {
		*forgotten += !same && x->addr.family;
		*x = (struct source){*a, stack, now_ms, now_ms, 0};
	}
	x->last_ms = now_ms;
	if (++x->n < threshold)
		return false;
	*x = (struct source){.addr = {0}};
	return true;
}
