/* See classifier.h. */
#include "daemons/stack-core/filter/classifier.h"
#include "lib/base/xalloc.h"
#include <string.h>

typedef unsigned __int128 u128;

struct cls_tuple {
	uint64_t mask[HASH_WORDS];
	_Atomic uint64_t max_prio; /* of all that were ever in it */
	struct table table;
	uint64_t nodes;
	uint8_t src, dst; /* steps of the ladder */
	struct rcu_head rcu;
};

/* One side of a rule as blocks of the ladder: first block, how many, their length. */
struct blocks {
	u128 first;
	unsigned n, len, step;
};

enum { BLOCKS_MAX = 4, PRUNE_FROM = 8 /* tuples; with fewer, trying them all is quicker */ };

static u128 number_of(const struct addr *a)
{
	u128 v = 0;
	for (size_t i = 0; i < addr_len(a); i++)
		v = v << 8 | a->b[i];
	return v;
}

static struct blocks blocks_of(const struct addr *lo, const struct addr *hi)
{
	const uint8_t *ladder = lo->family == 4 ? presence_ladder4 : presence_ladder6;
	unsigned bits = lo->family == 4 ? 32 : 128;
	u128 l = number_of(lo), h = number_of(hi);
	unsigned step = 0;
	for (; ladder[step]; step++) {
		unsigned shift = bits - ladder[step];
		u128 n = (h >> shift) - (l >> shift) + 1;
		if (n && n <= BLOCKS_MAX)
			return (struct blocks){
				l >> shift << shift, (unsigned)n, ladder[step], step};
	}
	return (struct blocks){0, 1, 0, step};
}

static u128 mask_of(unsigned len, unsigned bits)
{
	u128 all = bits == 128 ? ~(u128)0 : ((u128)1 << bits) - 1;
	return len ? all >> (bits - len) << (bits - len) : 0;
}

static uint16_t range_mask(const struct filter_range *r, uint16_t max)
{
	if (r->lo == r->hi)
		return max;
	return r->lo >> 8 == r->hi >> 8 && max == UINT16_MAX ? 0xff00 : 0;
}

static uint64_t tail_word(uint64_t proto, uint64_t a, uint64_t b)
{
	return proto << 32 | a << 16 | b;
}

static void put(uint64_t *w, uint8_t family, u128 src, u128 dst, uint64_t tail)
{
	if (family == 4) {
		w[0] = (uint64_t)src << 32 | (uint64_t)dst;
		w[1] = tail;
		return;
	}
	w[0] = (uint64_t)(src >> 64);
	w[1] = (uint64_t)src;
	w[2] = (uint64_t)(dst >> 64);
	w[3] = (uint64_t)dst;
	w[4] = tail;
}

void classifier_key(const struct pkt *p, struct cls_key *ret)
{
	uint16_t a, b;
	rule_packet_l4(p, &a, &b);
	uint64_t tail = tail_word(p->proto, a, b);
	if (p->family == 4) {
		uint32_t s, d;
		memcpy(&s, p->src.b, 4);
		memcpy(&d, p->dst.b, 4);
		ret->w[0] = (uint64_t)__builtin_bswap32(s) << 32 | __builtin_bswap32(d);
		ret->w[1] = tail;
		return;
	}
	uint64_t v[4];
	memcpy(v, p->src.b, 16);
	memcpy(v + 2, p->dst.b, 16);
	for (unsigned i = 0; i < 4; i++)
		ret->w[i] = __builtin_bswap64(v[i]);
	ret->w[4] = tail;
}

void classifier_init(struct classifier *c, uint8_t family)
{
	c->words = family == 4 ? 2 : 5;
	hash_key_init(&c->key);
	presence_init(&c->presence, family);
	atomic_init(&c->list, xcalloc(1, sizeof(struct cls_list)));
}

static void tuple_free(struct cls_tuple *t)
{
	table_fini(&t->table);
	free(t);
}

void classifier_fini(struct classifier *c)
{
	struct cls_list *l = atomic_load(&c->list);
	for (unsigned i = 0; l && i < l->n; i++) {
		struct table_array *a = atomic_load(&l->at[i].tuple->table.now);
		for (uint64_t s = 0; s <= a->mask; s++) {
			uintptr_t w = atomic_load(&a->slot[s]);
			struct cls_node *n = w > 1 ? (struct cls_node *)(w << 16 >> 16) : NULL;
			while (n) {
				struct cls_node *next = atomic_load(&n->next);
				free(n);
				n = next;
			}
		}
		tuple_free(l->at[i].tuple);
	}
	free(l);
	presence_fini(&c->presence);
	atomic_store(&c->list, NULL);
}

static void list_free(struct rcu_head *h)
{
	free(caa_container_of(h, struct cls_list, rcu));
}

static void tuple_free_rcu(struct rcu_head *h)
{
	tuple_free(caa_container_of(h, struct cls_tuple, rcu));
}

static void node_free(struct rcu_head *h)
{
	free(caa_container_of(h, struct cls_node, rcu));
}

static void list_append(struct cls_list *l, struct cls_tuple *t)
{
	l->at[l->n++] = (struct cls_place){t, t->src, t->dst};
	l->src_steps |= 1u << t->src;
	l->dst_steps |= 1u << t->dst;
}

/* The list with @add, or without @drop, takes the place of the present one. */
static void list_change(struct classifier *c, struct cls_tuple *add, const struct cls_tuple *drop)
{
	struct cls_list *l = atomic_load_explicit(&c->list, memory_order_relaxed);
	struct cls_list *n = xcalloc(1, sizeof(*n) + (l->n + 1) * sizeof(l->at[0]));
	for (unsigned i = 0; i < l->n; i++)
		if (l->at[i].tuple != drop)
			list_append(n, l->at[i].tuple);
	if (add)
		list_append(n, add);
	atomic_store_explicit(&c->list, n, memory_order_release);
	urcu_qsbr_call_rcu(&l->rcu, list_free);
}

static struct cls_tuple *tuple_get(
	struct classifier *c, const uint64_t *mask, unsigned src, unsigned dst)
{
	const struct cls_list *l = atomic_load_explicit(&c->list, memory_order_relaxed);
	for (unsigned i = 0; i < l->n; i++)
		if (!memcmp(l->at[i].tuple->mask, mask, sizeof(l->at[i].tuple->mask)))
			return l->at[i].tuple;
	struct cls_tuple *t = xnew(struct cls_tuple);
	memcpy(t->mask, mask, sizeof(t->mask));
	t->src = (uint8_t)src;
	t->dst = (uint8_t)dst;
	table_init(&t->table);
	list_change(c, t, NULL);
	return t;
}

/* Puts @n into its chain: before those of the same importance, so that a replacement is found
 * before what it replaces. */
static void node_add(struct classifier *c, struct cls_node *n)
{
	struct cls_tuple *t = n->tuple;
	if (atomic_load_explicit(&t->max_prio, memory_order_relaxed) < n->prio)
		atomic_store_explicit(&t->max_prio, n->prio, memory_order_release);
	t->nodes++;
	presence_add(&c->presence, PRESENCE_SOURCE, n->key, t->src);
	presence_add(&c->presence, PRESENCE_DEST, n->key, t->dst);
	struct cls_node *head = filter_table_find(&t->table, n->hash, n->key, c->words);
	if (!head || head->prio <= n->prio) {
		atomic_init(&n->next, head);
		table_set(&t->table, head, n);
		return;
	}
	struct cls_node *prev = head, *next;
	while ((next = atomic_load_explicit(&prev->next, memory_order_relaxed)) &&
		next->prio > n->prio)
		prev = next;
	atomic_init(&n->next, next);
	atomic_store_explicit(&prev->next, n, memory_order_release);
}

static void node_remove(struct classifier *c, struct cls_node *n)
{
	struct cls_tuple *t = n->tuple;
	struct cls_node *next = atomic_load_explicit(&n->next, memory_order_relaxed);
	struct cls_node *prev = filter_table_find(&t->table, n->hash, n->key, c->words);
	if (prev == n) {
		table_set(&t->table, n, next);
	} else {
		struct cls_node *at;
		while ((at = atomic_load_explicit(&prev->next, memory_order_relaxed)) != n)
			prev = at;
		atomic_store_explicit(&prev->next, next, memory_order_release);
	}
	presence_remove(&c->presence, PRESENCE_SOURCE, n->key, t->src);
	presence_remove(&c->presence, PRESENCE_DEST, n->key, t->dst);
	if (!--t->nodes) {
		list_change(c, NULL, t);
		urcu_qsbr_call_rcu(&t->rcu, tuple_free_rcu);
	}
	urcu_qsbr_call_rcu(&n->rcu, node_free);
}

void classifier_add(struct classifier *c, struct filter_rule *r)
{
	const struct filter_spec *s = &r->spec;
	unsigned bits = s->family == 4 ? 32 : 128;
	struct blocks src = blocks_of(&s->src_lo, &s->src_hi),
		      dst = blocks_of(&s->dst_lo, &s->dst_hi);
	uint16_t max = ipproto_typed(s->proto) ? UINT8_MAX : UINT16_MAX;
	uint16_t a = range_mask(&s->a, max), b = range_mask(&s->b, max);
	uint64_t proto = s->proto == FILTER_PROTO_ANY ? 0 : UINT8_MAX, mask[HASH_WORDS] = {0};
	put(mask, s->family, mask_of(src.len, bits), mask_of(dst.len, bits),
		tail_word(proto, a, b));
	uint64_t tail = tail_word(s->proto & proto, s->a.lo & a, s->b.lo & b);
	struct cls_tuple *t = tuple_get(c, mask, src.step, dst.step);
	for (unsigned i = 0; i < src.n; i++)
		for (unsigned k = 0; k < dst.n; k++) {
			struct cls_node *n = xnew(struct cls_node);
			put(n->key, s->family,
				src.first + (u128)i * (src.len ? (u128)1 << (bits - src.len) : 0),
				dst.first + (u128)k * (dst.len ? (u128)1 << (bits - dst.len) : 0),
				tail);
			n->hash = hash_words(&c->key, n->key, c->words);
			n->prio = r->prio;
			n->rule = r;
			n->tuple = t;
			n->sibling = r->nodes;
			r->nodes = n;
			node_add(c, n);
		}
}

void classifier_remove(struct classifier *c, struct filter_rule *r)
{
	struct cls_node *n = r->nodes;
	r->nodes = NULL;
	while (n) {
		struct cls_node *sibling = n->sibling;
		node_remove(c, n);
		n = sibling;
	}
}

/* The best rule of one tuple, if it is better than @floor. */
static struct filter_rule *tuple_find(const struct classifier *c, const struct cls_tuple *t,
	const struct cls_key *k, const struct pkt *p, uint64_t now_us, uint64_t floor)
{
	uint64_t w[HASH_WORDS];
	for (unsigned j = 0; j < c->words; j++)
		w[j] = k->w[j] & t->mask[j];
	const struct cls_node *n =
		filter_table_find(&t->table, hash_words(&c->key, w, c->words), w, c->words);
	for (; n && n->prio > floor; n = atomic_load_explicit(&n->next, memory_order_acquire))
		if (rule_match(n->rule, p, now_us))
			return n->rule;
	return NULL;
}

struct filter_rule *classifier_find(const struct classifier *c, const struct cls_key *k,
	const struct pkt *p, uint64_t now_us, uint64_t floor)
{
	const struct cls_list *l = atomic_load_explicit(&c->list, memory_order_acquire);
	struct filter_rule *best = NULL, *r;
	uint32_t src = UINT32_MAX, dst = UINT32_MAX;
	if (l->n >= PRUNE_FROM) {
		src = presence_of(&c->presence, PRESENCE_SOURCE, k->w, l->src_steps);
		dst = src ? presence_of(&c->presence, PRESENCE_DEST, k->w, l->dst_steps) : 0;
	}
	for (unsigned i = 0; i < l->n && src; i++) {
		if (!(src >> l->at[i].src & dst >> l->at[i].dst & 1))
			continue;
		const struct cls_tuple *t = l->at[i].tuple;
		if (atomic_load_explicit(&t->max_prio, memory_order_relaxed) <= floor)
			continue;
		r = tuple_find(c, t, k, p, now_us, floor);
		if (r) {
			best = r;
			floor = r->prio;
		}
	}
	return best;
}

unsigned classifier_tuples(const struct classifier *c)
{
	return atomic_load(&c->list)->n;
}
