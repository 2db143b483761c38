/* table: the filters of one scope (the globals, or one stack) in memory: by name through a keyed hash, newest first through a
 * list, next to expire through a heap. Names come from strangers, so the hash key is random. */
#pragma once
#include "daemons/defmgrD/filter.h"

/* Most filters of a scope, and most parts they are expanded to: what a stack holds. */
enum { TABLE_MAX = 100000, TABLE_PARTS_MAX = 200000 };

struct table {
	struct filter **buckets;
	uint32_t mask, count, parts;
	struct filter *newest, *oldest;
	struct filter *by_rules; /* those with an origin, newest first by origin_older */
	uint32_t nby_rules;
	struct filter **heap; /* heap[1..heap_count], earliest first */
	uint32_t heap_count, heap_cap;
	uint64_t key[2];
};

void ftable_init(struct table *t);
void ftable_fini(struct table *t); /* frees the filters too */
struct filter *ftable_find(const struct table *t, const char *name);
/* Takes @f, which is newer than all that are there. The caller has checked the name and the limit. */
void ftable_insert(struct table *t, struct filter *f);
/* Unlinks; f->dead is set and @f is the caller's. */
void ftable_remove(struct table *t, struct filter *f);
/* Undoes the latest of the removes that were not undone yet: back where it was. */
void ftable_restore(struct table *t, struct filter *f);
/* After f->expires_us changed. */
void ftable_rearm(struct table *t, struct filter *f);
bool ftable_room(const struct table *t, const struct filter *f); /* for one more */
struct filter *ftable_next_expiry(const struct table *t); /* NULL: none */
/* Newest filter whose id is below @id (0: of all). */
struct filter *ftable_below(const struct table *t, uint64_t id);
void filter_unref(struct filter *f); /* frees when dead and unreferenced */
