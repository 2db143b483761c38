#include "lib/saf/registry/trie.h"
#include "lib/base/xalloc.h"
#include "lib/saf/saf.h"

struct trie {
	uint32_t terminal;
	struct vec kids; /* struct trie_kid */
};
struct trie_kid {
	char text[SAF_RESOURCE_MAX];
	enum snap_edge_kind kind;
	struct trie *node;
};

struct trie *trie_new(void)
{
	struct trie *n = xnew(struct trie);
	n->terminal = SAF_NO_PROFILE;
	return n;
}

static enum snap_edge_kind edge_kind(const char *q, bool last)
{
	if (strcmp(q, "**") == 0)
		return EDGE_ANY;
	if (strcmp(q, "*") == 0)
		return last ? EDGE_ONE_MORE : EDGE_ONE;
	size_t n = strlen(q);
	if (q[n - 1] == '*')
		return last ? EDGE_TAIL : EDGE_PATTERN;
	return strchr(q, '%') ? EDGE_PATTERN : EDGE_LITERAL;
}

void trie_add(struct trie *n, const char *name, uint32_t profile)
{
	while (*name) {
		const char *dot = strchr(name, '.');
		char q[SAF_RESOURCE_MAX];
		size_t len = dot ? (size_t)(dot - name) : strlen(name);
		memcpy(q, name, len);
		q[len] = 0;
		enum snap_edge_kind kind = edge_kind(q, !dot);
		struct trie_kid *k = NULL;
		for (uint32_t i = 0; i < n->kids.n && !k; i++) {
			struct trie_kid *t = (struct trie_kid *)(void *)n->kids.p + i;
			if (t->kind == kind && strcmp(t->text, q) == 0)
				k = t;
		}
		if (!k) {
			k = vec_push(&n->kids, sizeof(*k));
			memcpy(k->text, q, len + 1);
			k->kind = kind;
			k->node = trie_new();
		}
		n = k->node;
		name += len + (dot != NULL);
	}
	n->terminal = profile;
}

static int rank(const char *s)
{
	return *s == 0 ? -1 : *s == '*' ? 2 : *s == '%' ? 1 : 0; /* "*" ends before "**" does */
}

/* More specific first: literal before % before * before **, left to right; what goes on after a qualifier before what ends there
 * (edge kinds stand in that order). Within a qualifier the end comes first: P% covers less than P%*. */
static int by_specificity(const void *pa, const void *pb)
{
	const struct trie_kid *a = pa, *b = pb;
	const char *x = a->text, *y = b->text;
	while (*x && *x == *y && *x != '*')
		x++, y++;
	int rx = rank(x), ry = rank(y);
	if (rx != ry)
		return rx - ry;
	int c = strcmp(x, y);
	return c ? c : (int)a->kind - (int)b->kind;
}

/* The literal children as an open hash table, at most half full. */
static struct snap_table put_literals(struct image *im, const struct vec *literals)
{
	uint32_t slots = 2;
	if (!literals->n)
		return (struct snap_table){0, 0};
	while (slots < literals->n * 2)
		slots *= 2;
	struct snap_edge *table = xcalloc(slots, sizeof(*table));
	const struct snap_edge *e = (const struct snap_edge *)(const void *)literals->p;
	for (uint32_t i = 0; i < literals->n; i++) {
		uint32_t at = e[i].hash & (slots - 1);
		while (table[at].text)
			at = (at + 1) & (slots - 1);
		table[at] = e[i];
	}
	struct snap_table t = {image_put(im, table, slots * sizeof(*table)), slots};
	free(table);
	return t;
}

uint32_t trie_put(struct image *im, struct trie *n)
{
	struct vec literal = {0}, wild = {0};
	struct trie_kid *kids = (struct trie_kid *)(void *)n->kids.p;
	uint32_t n_lit = 0;
	for (uint32_t i = 0; i < n->kids.n; i++) /* literals in front */
		if (kids[i].kind == EDGE_LITERAL) {
			struct trie_kid t = kids[i];
			kids[i] = kids[n_lit];
			kids[n_lit++] = t;
		}
	if (n->kids.n > n_lit)
		qsort(kids + n_lit, n->kids.n - n_lit, sizeof(*kids), by_specificity);
	for (uint32_t i = 0; i < n->kids.n; i++) {
		uint32_t node = trie_put(im, kids[i].node), text = image_text(im, kids[i].text);
		struct snap_edge *e = vec_push(i < n_lit ? &literal : &wild, sizeof(*e));
		size_t len = strlen(kids[i].text);
		*e = (struct snap_edge){.text = text, .node = node, .kind = (uint16_t)kids[i].kind, .len = (uint16_t)len,
			.hash = snap_qualifier_hash(kids[i].text, len)};
	}
	struct snap_node out = {.terminal = n->terminal};
	out.literal = put_literals(im, &literal);
	free(literal.p);
	out.wild = image_vec(im, &wild, sizeof(struct snap_edge));
	free(n->kids.p);
	free(n);
	return image_put(im, &out, sizeof(out));
}
