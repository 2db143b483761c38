/* p1_half: the half-open ones, that a stranger with a forged address can begin: how many there may be, and of one source. */
#include "lib/ike/engine.h"

static uint64_t source_of(struct ike *k, const struct addr *a)
{
	return ike_digest(k, a->b, a->family == 6 ? 8 : 4);
}

void p1_half_open(struct p1 *p)
{
	struct ike *k = p->ike;

	p->half_open = true;
	p->source_key = source_of(k, &p->path.remote);
	LIST_INSERT_HEAD(&k->by_source[p->source_key % IKE_BUCKETS], p, source);
	TAILQ_INSERT_TAIL(&k->half, p, half);
	k->n_half++;
}

void p1_not_half_open(struct p1 *p)
{
	if (!p->half_open)
		return;
	p->half_open = false;
	LIST_REMOVE(p, source);
	TAILQ_REMOVE(&p->ike->half, p, half);
	p->ike->n_half--;
}

bool p1_admit(struct ike *k, const struct ike_path *path)
{
	uint64_t key = source_of(k, &path->remote);
	unsigned n = 0;
	struct p1 *p;

	LIST_FOREACH(p, &k->by_source[key % IKE_BUCKETS], source)
		n += p->source_key == key;
	if (n >= k->c.limits.half_open_source) {
		if (n == k->c.limits.half_open_source && !(k->stats.half_open_refused % 1000))
			ike_event(k, IKE_FLOOD, NULL, NULL, path, "EZD1099I", "one source has %u unfinished negotiations: more are not begun", n);
		k->stats.half_open_refused++;
		return false;
	}
	if (k->n_half >= k->c.limits.half_open_total || k->n_p1 >= k->c.limits.p1_total + k->c.limits.half_open_total) {
		p = TAILQ_FIRST(&k->half);
		if (!p) {
			k->stats.half_open_refused++;
			return false;
		}
		k->stats.half_open_refused++;
		p1_end(p);
	}
	return true;
}
