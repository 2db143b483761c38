#include "daemons/rpcbindD/rate.h"
#include "lib/base/xalloc.h"
#include <sys/random.h>

enum { SETS = 4096, WAYS = 4, UNIT = 1000 };

struct source {
	uint64_t id, seen_ms;
	uint64_t tokens; /* in thousandths */
};

struct rate {
	uint64_t key;
	struct source sets[SETS][WAYS];
};

struct rate *rate_new(void)
{
	struct rate *r = xnew(struct rate);
	if (getrandom(&r->key, sizeof(r->key), 0) != sizeof(r->key))
		abort();
	r->key |= 1;
	return r;
}

void rate_free(struct rate *r)
{
	free(r);
}

static uint64_t id_of(const struct rate *r, const struct addr *a)
{
	uint64_t v = 0;
	memcpy(&v, a->b, a->family == 4 ? 4 : 8);
	v = (v ^ r->key) * 0x9e3779b97f4a7c15ull;
	v = (v ^ v >> 31) * r->key + a->family;
	return (v ^ v >> 29) | 1;
}

bool rate_take(struct rate *r, const struct addr *a, unsigned per_second, unsigned burst, uint64_t now_ms)
{
	if (!per_second)
		return true;
	uint64_t id = id_of(r, a), most = (uint64_t)burst * UNIT;
	struct source *set = r->sets[id >> 20 & (SETS - 1)], *s = set;
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].id == id) {
			s = &set[i];
			break;
		}
		if (set[i].seen_ms < s->seen_ms)
			s = &set[i];
	}
	if (s->id != id)
		*s = (struct source){.id = id, .seen_ms = now_ms, .tokens = most};
	uint64_t gained = (now_ms - s->seen_ms) * per_second;
	s->tokens = s->tokens + gained > most ? most : s->tokens + gained;
	s->seen_ms = now_ms;
	if (s->tokens < UNIT)
		return false;
	s->tokens -= UNIT;
	return true;
}
