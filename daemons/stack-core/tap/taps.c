/* taps: the sessions of a stack. The set that workers read is made anew for each change; rings exist while there are sessions. */
#include "daemons/stack-core/tap/tap.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

struct taps {
	struct sadb *db;
	unsigned workers;
	struct tap_set **published;
	struct tap_ring *rings; /* one a worker; .bytes NULL: not made yet */
	struct tap_session sessions[TAP_SESSIONS_MAX];
	atomic_int left[TAP_SESSIONS_MAX];
	uint32_t secret;
};

struct taps *taps_new(struct sadb *db, unsigned workers, struct tap_set **published)
{
	struct taps *t = xnew(struct taps);

	t->db = db;
	t->workers = workers;
	t->published = published;
	t->rings = xcheck(aligned_alloc(64, workers * sizeof(*t->rings)));
	memset(t->rings, 0, workers * sizeof(*t->rings));
	return t;
}

void taps_free(struct taps *t)
{
	if (!t)
		return;
	free(*t->published);
	*t->published = NULL;
	for (unsigned i = 0; i < t->workers; i++)
		tap_ring_fini(&t->rings[i]);
	free(t->rings);
	free(t);
}

void taps_secret(struct taps *t, uint32_t links)
{
	t->secret = links;
}

/* Workers see the sessions as they are now; on return none uses an earlier set. */
static void publish(struct taps *t)
{
	struct tap_set *old = *t->published, *set = NULL;

	if (taps_count(t)) {
		set = xnew(struct tap_set);
		memcpy(set->sessions, t->sessions, sizeof(set->sessions));
		set->secret = t->secret;
		set->db = t->db;
		set->rings = t->rings;
	}
	rcu_assign_pointer(*t->published, set);
	synchronize_rcu();
	free(old);
}

unsigned taps_count(const struct taps *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TAP_SESSIONS_MAX; i++)
		n += t->sessions[i].left != NULL;
	return n;
}

static int make_rings(struct taps *t)
{
	for (unsigned i = 0; i < t->workers; i++) {
		if (t->rings[i].bytes)
			continue;
		uint64_t lost = atomic_load(&t->rings[i].lost);
		int r = tap_ring_init(&t->rings[i]);
		if (r < 0)
			return r;
		atomic_store(&t->rings[i].lost, lost);
	}
	return 0;
}

int taps_add(struct taps *t, const struct tap_spec *s, unsigned count, struct errbuf *e)
{
	unsigned slot = 0;
	int r = tap_spec_check(s, e);

	if (r < 0)
		return r;
	if (!count || count > TAP_COUNT_MAX)
		return err_set(e, EINVAL, "from 1 to %u packets can be asked for", TAP_COUNT_MAX);
	while (slot < TAP_SESSIONS_MAX && t->sessions[slot].left)
		slot++;
	if (slot == TAP_SESSIONS_MAX)
		return err_set(e, ENOSPC, "%u traces run already", TAP_SESSIONS_MAX);
	r = make_rings(t);
	if (r < 0)
		return err_set(e, -r, "no memory for traces");
	atomic_store(&t->left[slot], (int)count);
	t->sessions[slot] = (struct tap_session){*s, &t->left[slot]};
	publish(t);
	return (int)slot;
}

void taps_remove(struct taps *t, unsigned slot)
{
	if (slot >= TAP_SESSIONS_MAX || !t->sessions[slot].left)
		return;
	t->sessions[slot] = (struct tap_session){0};
	publish(t);
}

bool taps_used_up(const struct taps *t, unsigned slot)
{
	return atomic_load_explicit(&t->left[slot], memory_order_relaxed) <= 0;
}

unsigned taps_drain(struct taps *t, unsigned max, taps_fn fn, void *arg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->workers; i++) {
		const struct tap_record *r;
		while (t->rings[i].bytes && n < max && (r = tap_ring_peek(&t->rings[i]))) {
			fn(arg, r);
			tap_ring_done(&t->rings[i], r);
			n++;
		}
		if (!taps_count(t) && n < max)
			tap_ring_fini(&t->rings[i]); /* nobody writes any more, and all was read */
	}
	return n;
}

uint64_t taps_lost(const struct taps *t)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < t->workers; i++)
		n += atomic_load_explicit(&t->rings[i].lost, memory_order_relaxed);
	return n;
}
