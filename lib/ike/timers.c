/* timers: a binary heap of deadlines; arming, moving and stopping cost O(log n). */
#include "lib/base/xalloc.h"
#include "lib/ike/engine.h"

static void put(struct timers *h, size_t i, struct timer *t)
{
	h->v[i] = t;
	t->at = i + 1;
}

static void up(struct timers *h, size_t i)
{
	struct timer *t = h->v[i];

	for (; i && h->v[(i - 1) / 2]->due > t->due; i = (i - 1) / 2)
		put(h, i, h->v[(i - 1) / 2]);
	put(h, i, t);
}

static void down(struct timers *h, size_t i)
{
	struct timer *t = h->v[i];

	for (size_t c; (c = 2 * i + 1) < h->n; i = c) {
		if (c + 1 < h->n && h->v[c + 1]->due < h->v[c]->due)
			c++;
		if (h->v[c]->due >= t->due)
			break;
		put(h, i, h->v[c]);
	}
	put(h, i, t);
}

void timer_stop(struct ike *k, struct timer *t)
{
	struct timers *h = &k->timers;

	if (!t->at)
		return;
	size_t i = t->at - 1;
	t->at = 0;
	struct timer *last = h->v[--h->n];
	if (last == t)
		return;
	put(h, i, last);
	up(h, i);
	down(h, last->at - 1);
}

void timer_set(struct ike *k, struct timer *t, uint64_t due_us)
{
	struct timers *h = &k->timers;

	timer_stop(k, t);
	if (h->n == h->cap) {
		h->cap = h->cap ? 2 * h->cap : 64;
		h->v = xrealloc(h->v, h->cap, sizeof(*h->v));
	}
	t->due = due_us;
	put(h, h->n++, t);
	up(h, h->n - 1);
}

struct timer *timer_due(struct ike *k, uint64_t now_us)
{
	struct timer *t = k->timers.n ? k->timers.v[0] : NULL;

	if (!t || t->due > now_us)
		return NULL;
	timer_stop(k, t);
	return t;
}

uint64_t ike_deadline(const struct ike *k)
{
	return k->timers.n ? k->timers.v[0]->due : UINT64_MAX;
}
