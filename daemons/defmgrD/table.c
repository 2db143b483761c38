#include "daemons/defmgrD/table.h"
#include "lib/base/xalloc.h"
#include <sys/random.h>

static inline uint64_t rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* SipHash-1-3 over the name: short input, keyed, as the paper by Aumasson and Bernstein gives it. */
static uint64_t hash_name(const uint64_t key[2], const char *name)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull, key[0] ^ 0x6c7967656e657261ull,
		key[1] ^ 0x7465646279746573ull};
	size_t len = strlen(name);
	for (size_t i = 0; i <= len; i += 8) {
		uint64_t word = 0;
		size_t n = len - i < 8 ? len - i : 8;
		memcpy(&word, name + i, n);
		if (n < 8)
			word |= (uint64_t)(len & 0xff) << 56;
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void ftable_init(struct table *t)
{
	*t = (struct table){.mask = 1023};
	t->buckets = xcalloc(t->mask + 1u, sizeof(*t->buckets));
	if (getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key))
		abort();
}

void ftable_fini(struct table *t)
{
	struct filter *next;
	for (struct filter *f = t->newest; f; f = next) {
		next = f->older;
		f->dead = true;
		filter_unref(f);
	}
	free(t->buckets);
	free(t->heap);
	*t = (struct table){0};
}

void filter_unref(struct filter *f)
{
	if (f->dead && !f->refs) {
		free(f->origin);
		free(f);
	}
}

static struct filter **bucket(const struct table *t, const char *name)
{
	return &t->buckets[hash_name(t->key, name) & t->mask];
}

struct filter *ftable_find(const struct table *t, const char *name)
{
	struct filter *f = *bucket(t, name);
	while (f && strcmp(f->name, name))
		f = f->hash_next;
	return f;
}

static void grow(struct table *t)
{
	struct filter **old = t->buckets;
	uint32_t n = t->mask + 1;
	t->mask = n * 4 - 1;
	t->buckets = xcalloc(t->mask + 1u, sizeof(*t->buckets));
	for (uint32_t i = 0; i < n; i++)
		for (struct filter *f = old[i], *next; f; f = next) {
			next = f->hash_next;
			struct filter **b = bucket(t, f->name);
			f->hash_next = *b;
			*b = f;
		}
	free(old);
}

static void heap_set(struct table *t, uint32_t i, struct filter *f)
{
	t->heap[i] = f;
	f->heap_pos = i;
}

static void heap_fix(struct table *t, uint32_t i)
{
	struct filter *f = t->heap[i];
	while (i > 1 && t->heap[i / 2]->expires_us > f->expires_us) {
		heap_set(t, i, t->heap[i / 2]);
		i /= 2;
	}
	for (uint32_t c; (c = i * 2) <= t->heap_count; i = c) {
		if (c < t->heap_count && t->heap[c + 1]->expires_us < t->heap[c]->expires_us)
			c++;
		if (t->heap[c]->expires_us >= f->expires_us)
			break;
		heap_set(t, i, t->heap[c]);
	}
	heap_set(t, i, f);
}

static void heap_add(struct table *t, struct filter *f)
{
	if (t->heap_count + 1 >= t->heap_cap) {
		t->heap_cap = t->heap_cap ? t->heap_cap * 2 : 1024;
		t->heap = xrealloc(t->heap, t->heap_cap, sizeof(struct filter *));
	}
	t->heap[++t->heap_count] = f;
	heap_fix(t, t->heap_count);
}

static void heap_remove(struct table *t, struct filter *f)
{
	uint32_t i = f->heap_pos;
	struct filter *last = t->heap[t->heap_count--];
	f->heap_pos = 0;
	if (last != f) {
		heap_set(t, i, last);
		heap_fix(t, i);
	}
}

static void origin_add(struct table *t, struct filter *f)
{
	f->origin_newer = NULL;
	f->origin_older = t->by_rules;
	if (t->by_rules)
		t->by_rules->origin_newer = f;
	t->by_rules = f;
	t->nby_rules++;
}

static void origin_remove(struct table *t, struct filter *f)
{
	*(f->origin_newer ? &f->origin_newer->origin_older : &t->by_rules) = f->origin_older;
	if (f->origin_older)
		f->origin_older->origin_newer = f->origin_newer;
	t->nby_rules--;
}

/* Into hash and heap; the list is the caller's. */
static void index_add(struct table *t, struct filter *f)
{
	if (t->count > t->mask)
		grow(t);
	struct filter **b = bucket(t, f->name);
	f->hash_next = *b;
	*b = f;
	heap_add(t, f);
	if (f->origin)
		origin_add(t, f);
	t->count++;
	t->parts += filter_parts(f);
	f->dead = false;
}

bool ftable_room(const struct table *t, const struct filter *f)
{
	return t->count < TABLE_MAX && t->parts + filter_parts(f) <= TABLE_PARTS_MAX;
}

void ftable_insert(struct table *t, struct filter *f)
{
	index_add(t, f);
	f->older = t->newest;
	f->newer = NULL;
	if (t->newest)
		t->newest->newer = f;
	else
		t->oldest = f;
	t->newest = f;
}

void ftable_remove(struct table *t, struct filter *f)
{
	struct filter **b = bucket(t, f->name);
	while (*b != f)
		b = &(*b)->hash_next;
	*b = f->hash_next;
	heap_remove(t, f);
	if (f->origin)
		origin_remove(t, f);
	/* f keeps its own links: ftable_restore needs them */
	*(f->newer ? &f->newer->older : &t->newest) = f->older;
	*(f->older ? &f->older->newer : &t->oldest) = f->newer;
	t->count--;
	t->parts -= filter_parts(f);
	f->dead = true;
}

void ftable_restore(struct table *t, struct filter *f)
{
	index_add(t, f);
	*(f->newer ? &f->newer->older : &t->newest) = f;
	*(f->older ? &f->older->newer : &t->oldest) = f;
}

void ftable_rearm(struct table *t, struct filter *f)
{
	heap_fix(t, f->heap_pos);
}

struct filter *ftable_next_expiry(const struct table *t)
{
	return t->heap_count ? t->heap[1] : NULL;
}

struct filter *ftable_below(const struct table *t, uint64_t id)
{
	struct filter *f = t->newest;
	while (id && f && f->id >= id)
		f = f->older;
	return f;
}
