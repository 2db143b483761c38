/* Defensive filters: put in and taken out by id, in bulk, all or nothing; gone by themselves when
 * their time is over. Everything is checked first; after that nothing can fail. What is new is put
 * in before what is old is taken out, so that a packet never falls between a filter and its
 * replacement. */
#include "daemons/stack-core/filter/set.h"
#include "lib/base/xalloc.h"
#include <search.h>

static int by_id(const void *a, const void *b)
{
	const struct filter_rule *x = a, *y = b;
	return (x->spec.id > y->spec.id) - (x->spec.id < y->spec.id);
}

static struct filter_rule *find(const struct filter_set *fs, uint64_t id)
{
	struct filter_rule key = {.spec = {.id = id}};
	void *node = tfind(&key, (void *const *)&fs->by_id, by_id);
	return node ? *(struct filter_rule **)node : NULL;
}

const struct filter_rule *filter_defence_find(const struct filter_set *fs, uint64_t id)
{
	return find(fs, id);
}

/* --- which expires next: a binary heap --- */

static void heap_place(struct filter_set *fs, uint32_t at, struct filter_rule *r)
{
	fs->heap[at] = r;
	r->heap_at = at;
}

static void heap_up(struct filter_set *fs, uint32_t at, struct filter_rule *r)
{
	while (at && fs->heap[(at - 1) / 2]->spec.expires_us > r->spec.expires_us) {
		heap_place(fs, at, fs->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_place(fs, at, r);
}

static void heap_down(struct filter_set *fs, uint32_t at, struct filter_rule *r)
{
	for (uint32_t child; (child = 2 * at + 1) < fs->n_heap; at = child) {
		if (child + 1 < fs->n_heap &&
			fs->heap[child + 1]->spec.expires_us < fs->heap[child]->spec.expires_us)
			child++;
		if (fs->heap[child]->spec.expires_us >= r->spec.expires_us)
			break;
		heap_place(fs, at, fs->heap[child]);
	}
	heap_place(fs, at, r);
}

static void heap_add(struct filter_set *fs, struct filter_rule *r)
{
	if (!r->spec.expires_us)
		return;
	if (fs->n_heap == fs->heap_size) {
		fs->heap_size = fs->heap_size ? 2 * fs->heap_size : 64;
		fs->heap = xrealloc(fs->heap, fs->heap_size, sizeof(struct filter_rule *));
	}
	heap_up(fs, fs->n_heap++, r);
}

static void heap_remove(struct filter_set *fs, struct filter_rule *r)
{
	if (!r->spec.expires_us)
		return;
	uint32_t at = r->heap_at;
	struct filter_rule *last = fs->heap[--fs->n_heap];
	if (last == r)
		return;
	if (at && fs->heap[(at - 1) / 2]->spec.expires_us > last->spec.expires_us)
		heap_up(fs, at, last);
	else
		heap_down(fs, at, last);
}

/* --- in and out --- */

static struct classifier *classifier_of(struct filter_set *fs, const struct filter_rule *r)
{
	unsigned side = filter_side(r->spec.family, r->spec.inbound);
	return r->spec.action == FILTER_SIMULATE ? &fs->simulate[side] : &fs->block[side];
}

static void rule_free_rcu(struct rcu_head *h)
{
	struct filter_rule *r = caa_container_of(h, struct filter_rule, rcu);
	filter_slot_give(r->set, r->slot);
	free(r);
}

/* Takes @r, which is in no list any more, out of the workers' sight. */
static void retire(struct filter_set *fs, struct filter_rule *r, uint64_t now_us)
{
	classifier_remove(classifier_of(fs, r), r);
	heap_remove(fs, r);
	filter_log_pending(fs, r, now_us);
	fs->n_defences--;
}

static void unlink_rule(struct filter_set *fs, struct filter_rule *r)
{
	*(r->newer ? &r->newer->older : &fs->newest) = r->older;
	*(r->older ? &r->older->newer : &fs->oldest) = r->newer;
}

static void drop(
	struct filter_set *fs, struct filter_rule *r, uint64_t now_us, struct filter_rule **dead)
{
	tdelete(r, &fs->by_id, by_id);
	unlink_rule(fs, r);
	retire(fs, r, now_us);
	r->older = *dead;
	*dead = r;
}

static void insert(struct filter_set *fs, const struct filter_spec *s, uint64_t now_us,
	struct filter_rule **dead)
{
	struct filter_rule *old = find(fs, s->id);
	struct filter_rule *r = xnew(struct filter_rule);
	rule_init(r, s, FILTER_DEFENSIVE, old ? old->prio : ++fs->last_prio);
	filter_slot_take(fs, r);
	r->newer = old ? old->newer : NULL;
	r->older = old ? old->older : fs->newest;
	*(r->newer ? &r->newer->older : &fs->newest) = r;
	*(r->older ? &r->older->newer : &fs->oldest) = r;
	heap_add(fs, r);
	fs->n_defences++;
	classifier_add(classifier_of(fs, r), r);
	if (old) {
		tdelete(old, &fs->by_id, by_id);
		retire(fs, old, now_us);
		old->older = *dead;
		*dead = old;
	}
	xcheck(tsearch(r, &fs->by_id, by_id));
}

/* Frees what was taken out, once the generation has changed: before that a flow cache may still
 * name it. */
static void bury(struct filter_set *fs, struct filter_rule *dead)
{
	filter_changed(fs);
	while (dead) {
		struct filter_rule *next = dead->older;
		urcu_qsbr_call_rcu(&dead->rcu, rule_free_rcu);
		dead = next;
	}
}

static int u64_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static bool listed(const uint64_t *ids, size_t n, uint64_t id)
{
	return n && bsearch(&id, ids, n, sizeof(id), u64_order);
}

static int add_check(const struct filter_spec *s, struct errbuf *err)
{
	if (s->action != FILTER_DENY && s->action != FILTER_SIMULATE)
		return err_set(err, EINVAL, "defensive filter '%s': it can only block or simulate",
			s->name);
	return filter_spec_check(s, err);
}

/* @ids: those of d->add, sorted. */
static int defend_check(const struct filter_set *fs, const struct filter_defend *d,
	const uint64_t *ids, struct errbuf *err)
{
	size_t total = d->reset ? 0 : fs->n_defences;
	for (size_t i = 0; i < d->n_add; i++) {
		int rc = add_check(&d->add[i], err);
		if (rc)
			return rc;
		if (i && ids[i] == ids[i - 1])
			return err_set(
				err, EINVAL, "id %llu is added twice", (unsigned long long)ids[i]);
		total += d->reset || !find(fs, ids[i]);
	}
	for (size_t i = 0; i < d->n_remove; i++) {
		if (listed(ids, d->n_add, d->remove[i]))
			return err_set(err, EINVAL, "id %llu is both added and removed",
				(unsigned long long)d->remove[i]);
		total -= !d->reset && find(fs, d->remove[i]) && total;
	}
	if (total > FILTER_DEFENCES_MAX)
		return err_set(err, ENOSPC, "%zu defensive filters, at most %d are held", total,
			FILTER_DEFENCES_MAX);
	if (d->n_excludes > FILTER_EXCLUDES_MAX)
		return err_set(err, ENOSPC, "%zu excluded addresses, at most %d are held",
			d->n_excludes, FILTER_EXCLUDES_MAX);
	for (size_t i = 0; i < d->n_excludes; i++)
		if (d->excludes[i].addr.family != 4 && d->excludes[i].addr.family != 6)
			return err_set(err, EINVAL, "excluded address is neither IPv4 nor IPv6");
	return 0;
}

static void excludes_free(struct rcu_head *h)
{
	free(caa_container_of(h, struct exclude_list, rcu));
}

static void excludes_set(struct filter_set *fs, const struct prefix *p, size_t n)
{
	struct exclude_list *l = xnew(struct exclude_list), *old = atomic_load(&fs->excludes);
	l->n = n;
	if (n)
		memcpy(l->prefix, p, n * sizeof(*p));
	atomic_store_explicit(&fs->excludes, l, memory_order_release);
	urcu_qsbr_call_rcu(&old->rcu, excludes_free);
}

int filter_defend(
	struct filter_set *fs, const struct filter_defend *d, uint64_t now_us, struct errbuf *err)
{
	uint64_t one, *ids = d->n_add > 1 ? xcalloc(d->n_add, sizeof(*ids)) : &one;
	for (size_t i = 0; i < d->n_add; i++)
		ids[i] = d->add[i].id;
	qsort(ids, d->n_add, sizeof(*ids), u64_order);
	struct filter_rule *dead = NULL, *r, *older;
	int rc = defend_check(fs, d, ids, err);
	if (rc)
		goto out;
	if (d->set_excludes)
		excludes_set(fs, d->excludes, d->n_excludes);
	for (size_t i = 0; i < d->n_add; i++) {
		const struct filter_spec *s = &d->add[i];
		if (!s->expires_us || s->expires_us > now_us)
			insert(fs, s, now_us, &dead);
		else if ((r = find(fs, s->id)))
			drop(fs, r, now_us, &dead);
	}
	for (size_t i = 0; i < d->n_remove; i++)
		if ((r = find(fs, d->remove[i])))
			drop(fs, r, now_us, &dead);
	for (r = d->reset ? fs->newest : NULL; r; r = older) {
		older = r->older;
		if (!listed(ids, d->n_add, r->spec.id))
			drop(fs, r, now_us, &dead);
	}
	bury(fs, dead);
out:
	if (ids != &one)
		free(ids);
	return rc;
}

unsigned filter_expire(struct filter_set *fs, uint64_t now_us)
{
	struct filter_rule *dead = NULL;
	unsigned n = 0;
	for (; fs->n_heap && rule_expired(fs->heap[0], now_us); n++)
		drop(fs, fs->heap[0], now_us, &dead);
	if (n)
		bury(fs, dead);
	return n;
}

uint32_t filter_defences(const struct filter_set *fs)
{
	return fs->n_defences;
}

void filter_set_mode(struct filter_set *fs, enum filter_mode mode)
{
	atomic_store(&fs->mode, mode);
	filter_changed(fs);
}

enum filter_mode filter_get_mode(const struct filter_set *fs)
{
	return (enum filter_mode)atomic_load(&fs->mode);
}

size_t filter_excludes(const struct filter_set *fs, const struct prefix **ret)
{
	const struct exclude_list *l = atomic_load(&fs->excludes);
	*ret = l->prefix;
	return l->n;
}

void filter_defences_fini(struct filter_set *fs)
{
	struct filter_rule *dead = NULL;
	while (fs->newest)
		drop(fs, fs->newest, 0, &dead);
	bury(fs, dead);
	free(fs->heap);
	fs->heap = NULL;
}
