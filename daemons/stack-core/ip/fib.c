/* fib: routes are entered by growing prefix length, so that a range being filled never meets a node made by a longer prefix. */
#include "daemons/stack-core/ip/fib.h"
#include "lib/base/xalloc.h"

enum { ROOT_BITS = 16, ROOT = 1 << ROOT_BITS, NODE = 256 };
#define CHILD 0x80000000u

struct trie {
	uint32_t *root;	 /* ROOT entries: route index, or CHILD | node */
	uint32_t *nodes; /* NODE entries each */
	uint32_t n, cap;
};

struct fib {
	struct trie v4, v6;
	unsigned n;
	struct fib_route routes[]; /* [0] is "no route" */
};

static uint32_t new_node(struct trie *t, uint32_t fill)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->nodes = xrealloc(t->nodes, (size_t)t->cap * NODE, sizeof(uint32_t));
	}
	for (unsigned i = 0; i < NODE; i++)
		t->nodes[(size_t)t->n * NODE + i] = fill;
	return t->n++;
}

static void enter(struct trie *t, const struct prefix *p, uint32_t route)
{
	const uint8_t *b = p->addr.b;
	unsigned slot = (unsigned)b[0] << 8 | b[1], done = ROOT_BITS;
	uint32_t node = 0;
	bool root = true;

	while (p->len > done) {
		uint32_t *e = root ? &t->root[slot] : &t->nodes[(size_t)node * NODE + slot];
		uint32_t value = *e;
		if (!(value & CHILD)) {
			uint32_t made = new_node(t, value) | CHILD; /* may move t->nodes */
			e = root ? &t->root[slot] : &t->nodes[(size_t)node * NODE + slot];
			*e = value = made;
		}
		node = value & ~CHILD;
		root = false;
		slot = b[done / 8];
		done += 8;
	}
	uint32_t count = 1u << (done - p->len);
	uint32_t *e = root ? &t->root[slot] : &t->nodes[(size_t)node * NODE + slot];
	for (uint32_t i = 0; i < count; i++)
		e[i] = route;
}

static int by_length(const void *a, const void *b)
{
	const struct fib_route *const *x = a, *const *y = b;
	if ((*x)->dst.len != (*y)->dst.len)
		return (*x)->dst.len < (*y)->dst.len ? -1 : 1;
	return *x > *y ? -1 : 1; /* the first of equals is entered last */
}

int fib_new(const struct fib_route *routes, unsigned n, struct errbuf *e, struct fib **ret)
{
	if (n > FIB_ROUTES_MAX)
		return err_set(e, ENOSPC, "%u routes, at most %d", n, FIB_ROUTES_MAX);
	struct fib *f = xcalloc(1, sizeof(*f) + ((size_t)n + 1) * sizeof(struct fib_route));
	const struct fib_route **order = xcalloc(n, sizeof(void *));

	f->n = n;
	f->v4.root = xcalloc(ROOT, sizeof(uint32_t));
	f->v6.root = xcalloc(ROOT, sizeof(uint32_t));
	for (unsigned i = 0; i < n; i++) {
		f->routes[i + 1] = routes[i];
		order[i] = &f->routes[i + 1];
	}
	qsort(order, n, sizeof(void *), by_length);
	for (unsigned i = 0; i < n; i++)
		enter(order[i]->dst.addr.family == 4 ? &f->v4 : &f->v6, &order[i]->dst, (uint32_t)(order[i] - f->routes));
	free(order);
	*ret = f;
	return 0;
}

void fib_free(struct fib *f)
{
	if (!f)
		return;
	free(f->v4.root);
	free(f->v4.nodes);
	free(f->v6.root);
	free(f->v6.nodes);
	free(f);
}

uint32_t fib_lookup(const struct fib *f, const struct addr *a)
{
	const struct trie *t = a->family == 4 ? &f->v4 : &f->v6;
	uint32_t e = t->root[(unsigned)a->b[0] << 8 | a->b[1]];

	for (unsigned i = 2; e & CHILD; i++)
		e = t->nodes[(size_t)(e & ~CHILD) * NODE + a->b[i]];
	return e;
}

const struct fib_route *fib_route(const struct fib *f, uint32_t index)
{
	return &f->routes[index <= f->n ? index : 0];
}

unsigned fib_count(const struct fib *f)
{
	return f->n;
}
