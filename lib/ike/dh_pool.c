/* dh_pool: a shelf of key pairs for each group; full ones are passed over in turn, so that a slow group does not starve the others. */
#include "lib/base/xalloc.h"
#include "lib/ike/dh.h"

enum { POOL_GROUPS = 12 };

struct shelf {
	uint16_t group;
	unsigned want, have;
	struct dh_key *keys[DH_POOL_MAX];
};
struct dh_pool {
	struct shelf *shelves[POOL_GROUPS];
	unsigned n, turn; /* turn: which shelf is looked at next, so that all fill */
};

struct dh_pool *dh_pool_new(void)
{
	return xnew(struct dh_pool);
}

void dh_pool_free(struct dh_pool *p)
{
	for (unsigned i = 0; p && i < p->n; i++) {
		while (p->shelves[i]->have)
			dh_key_free(p->shelves[i]->keys[--p->shelves[i]->have]);
		free(p->shelves[i]);
	}
	free(p);
}

static struct shelf *find(struct dh_pool *p, uint16_t group)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (p->shelves[i]->group == group)
			return p->shelves[i];
	}
	return NULL;
}

void dh_pool_want(struct dh_pool *p, uint16_t group, unsigned n)
{
	struct shelf *s = find(p, group);

	if (!dh_group_known(group) || (!s && !n))
		return;
	if (!s) {
		if (p->n == POOL_GROUPS)
			return;
		s = p->shelves[p->n++] = xnew(struct shelf);
		s->group = group;
	}
	s->want = n < DH_POOL_MAX ? n : DH_POOL_MAX;
	while (s->have > s->want)
		dh_key_free(s->keys[--s->have]);
}

bool dh_pool_work(struct dh_pool *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct shelf *s = p->shelves[p->turn++ % p->n];
		if (s->have < s->want && dh_key_new(s->group, &s->keys[s->have]) == 0) {
			s->have++;
			return true;
		}
	}
	return false;
}

bool dh_pool_lacks(const struct dh_pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->shelves[i]->have < p->shelves[i]->want)
			return true;
	return false;
}

int dh_pool_take(struct dh_pool *p, uint16_t group, struct dh_key **ret)
{
	struct shelf *s = find(p, group);

	if (!s || !s->have)
		return dh_key_new(group, ret);
	*ret = s->keys[--s->have];
	return 0;
}
