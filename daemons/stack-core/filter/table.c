/* See table.h. Words: 0 empty, 1 grave, else the address in 48 bits below 16 bits of the hash. */
#include "daemons/stack-core/filter/table.h"
#include "lib/base/xalloc.h"
#include <assert.h>
#include <stddef.h>

enum { GRAVE = 1, FIRST = 16, STEP = 16 };
#define ADDRESS_BITS 48

static uintptr_t word_of(const struct cls_node *n)
{
	uintptr_t p = (uintptr_t)n;
	assert(!(p >> ADDRESS_BITS)); /* user space of every 64-bit Linux unless a mapping asks for
					 more */
	return p | (n->hash >> ADDRESS_BITS) << ADDRESS_BITS;
}

static struct cls_node *node_of(uintptr_t word)
{
	return (struct cls_node *)(word << 16 >> 16);
}

static struct table_array *array_new(uint64_t size)
{
	struct table_array *a = xcalloc(1, sizeof(*a) + size * sizeof(a->slot[0]));
	a->mask = size - 1;
	return a;
}

static void array_free(struct rcu_head *h)
{
	free(caa_container_of(h, struct table_array, rcu));
}

void table_init(struct table *t)
{
	*t = (struct table){0};
	atomic_init(&t->now, array_new(FIRST));
}

void table_fini(struct table *t)
{
	free(atomic_load(&t->now));
	free(t->next);
}

struct cls_node *filter_table_find(
	const struct table *t, uint64_t hash, const uint64_t *key, unsigned words)
{
	const struct table_array *a = atomic_load_explicit(&t->now, memory_order_acquire);
	uintptr_t tag = hash >> ADDRESS_BITS;
	for (uint64_t i = hash & a->mask;; i = (i + 1) & a->mask) {
		uintptr_t w = atomic_load_explicit(&a->slot[i], memory_order_acquire);
		if (!w)
			return NULL;
		if (w >> ADDRESS_BITS != tag || w == GRAVE)
			continue;
		struct cls_node *n = node_of(w);
		unsigned k = 0;
		while (k < words && n->key[k] == key[k])
			k++;
		if (k == words)
			return n;
	}
}

/* Where @old stands in @a, or UINT64_MAX. */
static uint64_t place_of(const struct table_array *a, const struct cls_node *old)
{
	uintptr_t want = word_of(old);
	for (uint64_t i = old->hash & a->mask;; i = (i + 1) & a->mask) {
		uintptr_t w = atomic_load_explicit(&a->slot[i], memory_order_relaxed);
		if (w == want)
			return i;
		if (!w)
			return UINT64_MAX;
	}
}

static void array_add(struct table_array *a, const struct cls_node *n)
{
	uint64_t i = n->hash & a->mask;
	uintptr_t w;
	while ((w = atomic_load_explicit(&a->slot[i], memory_order_relaxed)) > GRAVE)
		i = (i + 1) & a->mask;
	a->used += !w;
	atomic_store_explicit(&a->slot[i], word_of(n), memory_order_release);
}

static void array_set(
	struct table_array *a, const struct cls_node *old, const struct cls_node *head)
{
	uint64_t at = old ? place_of(a, old) : UINT64_MAX;
	if (at != UINT64_MAX)
		atomic_store_explicit(
			&a->slot[at], head ? word_of(head) : GRAVE, memory_order_release);
	else if (head)
		array_add(a, head);
}

/* Fills a few slots of the next array; when it is complete, it takes over. */
static void migrate(struct table *t)
{
	struct table_array *a = atomic_load_explicit(&t->now, memory_order_relaxed);
	for (unsigned i = 0; i < STEP && t->cursor <= a->mask; i++, t->cursor++) {
		uintptr_t w = atomic_load_explicit(&a->slot[t->cursor], memory_order_relaxed);
		if (w > GRAVE && place_of(t->next, node_of(w)) == UINT64_MAX)
			array_add(t->next, node_of(w));
	}
	if (t->cursor <= a->mask)
		return;
	atomic_store_explicit(&t->now, t->next, memory_order_release);
	t->next = NULL;
	urcu_qsbr_call_rcu(&a->rcu, array_free);
}

void table_set(struct table *t, const struct cls_node *old, struct cls_node *head)
{
	struct table_array *a = atomic_load_explicit(&t->now, memory_order_relaxed);
	t->live += !old;
	t->live -= !head;
	array_set(a, old, head);
	if (t->next) {
		array_set(t->next, old, head);
		migrate(t);
	} else if (a->used * 2 > a->mask) {
		uint64_t size = FIRST;
		/* room for what may come while it is being filled */
		while (size < 2 * (t->live + a->mask / STEP) + FIRST)
			size *= 2;
		t->next = array_new(size);
		t->cursor = 0;
		migrate(t);
	}
}
