/* defend: stack.Defend under construction, never larger than a message may be. */
#pragma once
#include "daemons/defmgrD/defmgr.h"

/* stack.Defend under construction. */
struct defend {
	Stack__DefendRequest msg;
	struct filter_part *parts;
	Stack__Defence **add;
	uint64_t *remove;
};

void defend_init(struct defend *d);
void defend_clear(struct defend *d); /* for the next */
void defend_fini(struct defend *d);
bool defend_full(const struct defend *d); /* another filter may not fit */
void defend_add(struct defend *d, const struct dm_stack *s, const struct filter *f);
void defend_remove(struct defend *d, const struct filter *f);
