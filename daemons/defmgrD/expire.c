/* Lifetimes. One timer for all filters; the stacks expire theirs by themselves at the same wall-clock time, so that a filter ends
 * also while this daemon is down. The timer runs at least once a minute because the wall clock may be set. */
#include "daemons/defmgrD/defmgr.h"
#include "lib/log/log.h"

enum { EXPIRE_BURST = 2000, EXPIRE_LONGEST_MS = 60000 };

static struct filter *next_of_all(struct defmgr *dm, struct dm_stack **ret_stack)
{
	struct filter *best = ftable_next_expiry(&dm->globals);
	*ret_stack = NULL;
	for (unsigned i = 0; i < dm->nstacks; i++) {
		struct filter *f = ftable_next_expiry(&dm->stacks[i]->table);
		if (f && (!best || f->expires_us < best->expires_us)) {
			best = f;
			*ret_stack = dm->stacks[i];
		}
	}
	return best;
}

void dm_expiry_arm(struct defmgr *dm)
{
	struct dm_stack *s;
	struct filter *f = next_of_all(dm, &s);
	if (!f) {
		loop_timer_stop(dm->expiry);
		return;
	}
	uint64_t now = dm_now_us(), ms = f->expires_us > now ? (f->expires_us - now) / 1000 + 1 : 0;
	loop_timer_set(dm->expiry, ms > EXPIRE_LONGEST_MS ? EXPIRE_LONGEST_MS : ms);
}

void dm_expire(void *arg)
{
	struct defmgr *dm = arg;
	struct filter *gone[EXPIRE_BURST];
	struct dm_stack *of[EXPIRE_BURST];
	unsigned n = 0;
	uint64_t now = dm_now_us();
	if (dm->open || store_begin(dm->store)) {
		loop_timer_set(dm->expiry, 10);
		return;
	}
	int rc = 0;
	for (struct filter *f; n < EXPIRE_BURST && (f = next_of_all(dm, &of[n])) && f->expires_us <= now; n++) {
		gone[n] = f;
		if (of[n])
			dm_stack_unlinked(of[n], f);
		ftable_remove(dm_table(dm, of[n]), f);
		rc = rc ? rc : store_delete(dm->store, f->id);
	}
	/* a row that stays on the disk is not revived either: loading looks at the time */
	if (rc) {
		store_rollback(dm->store);
	} else {
		rc = store_commit(dm->store);
	}
	if (rc)
		log_error("expired filters could not be deleted from the disk", "error", store_error(dm->store));
	for (unsigned i = 0; i < n; i++) {
		dm->counters.expired++;
		dm_filter_event(dm, of[i], gone[i], FILTER_EXPIRED, NULL);
		filter_unref(gone[i]);
	}
	dm_expiry_arm(dm);
}
