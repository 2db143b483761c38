#include "daemons/defmgrD/defend.h"
#include "lib/base/xalloc.h"

enum {
	CHUNK_PARTS = 4000, /* filters of one direction and family in one message: under a megabyte in any case */
	CHUNK_REMOVES = 40000,
};

void defend_clear(struct defend *d)
{
	stack__defend_request__init(&d->msg);
	d->msg.add = d->add;
	d->msg.remove = d->remove;
}

void defend_init(struct defend *d)
{
	d->parts = xcalloc(CHUNK_PARTS, sizeof(*d->parts));
	d->add = xcalloc(CHUNK_PARTS, sizeof(*d->add));
	d->remove = xcalloc(CHUNK_REMOVES, sizeof(*d->remove));
	defend_clear(d);
}

void defend_fini(struct defend *d)
{
	free(d->parts);
	free(d->add);
	free(d->remove);
}

bool defend_full(const struct defend *d)
{
	return d->msg.n_add + FILTER_PARTS_MAX > CHUNK_PARTS || d->msg.n_remove + FILTER_PARTS_MAX > CHUNK_REMOVES;
}

void defend_add(struct defend *d, const struct dm_stack *s, const struct filter *f)
{
	struct filter_part *p = &d->parts[d->msg.n_add];
	unsigned n = filter_expand(f, dm_stack_mode(s) == DM_SIMULATE, p);
	for (unsigned i = 0; i < n; i++)
		d->msg.add[d->msg.n_add++] = &p[i].msg;
}

void defend_remove(struct defend *d, const struct filter *f)
{
	for (unsigned i = 0, n = filter_parts(f); i < n; i++)
		d->msg.remove[d->msg.n_remove++] = filter_part_id(f, i);
}
