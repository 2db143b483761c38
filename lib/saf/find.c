/* The profile that covers a resource: discrete by hash, else the most specific generic by a depth-first walk of the
 * qualifier trie, whose edges stand in order of specificity. A wild qualifier costs a branch, not a scan; "**" stands at
 * most once in a name, so the walk is bounded by names, not by their product. */
#include "lib/saf/internal.h"
#include <string.h>

struct walk {
	const struct snap_header *h;
	const char *end; /* of the resource */
};

static const char *qualifier_end(const struct walk *w, const char *q)
{
	const char *dot = memchr(q, '.', (size_t)(w->end - q));
	return dot ? dot : w->end;
}

/* @text with % (one character) and at most a final * against @q. */
static bool covers(const char *text, size_t len, const char *q, size_t qlen, bool open_end)
{
	size_t i = 0;
	for (; i < len; i++) {
		if (text[i] == '*')
			return true;
		if (i >= qlen || (text[i] != q[i] && !(text[i] == '%' && q[i] != '.')))
			return false;
	}
	return open_end || i == qlen;
}

static const struct snap_edge *literal_child(const struct walk *w, const struct snap_node *n, const char *q, size_t qlen)
{
	if (!n->literal.count)
		return NULL;
	const struct snap_edge *e = snap_at(w->h, n->literal.off);
	uint32_t mask = n->literal.count - 1, hash = snap_qualifier_hash(q, qlen);
	for (uint32_t i = hash & mask; e[i].text; i = (i + 1) & mask)
		if (e[i].hash == hash && e[i].len == qlen && memcmp(q, snap_str(w->h, e[i].text), qlen) == 0)
			return &e[i];
	return NULL;
}

/* How much a name leaves open at @p: end, text, %, * in the middle, * at the end, **. */
static int openness(const char *p)
{
	if (*p != '*')
		return *p == 0 ? 0 : *p == '%' ? 2 : 1;
	return p[1] == '*' ? 5 : p[1] ? 3 : 4;
}

static bool more_specific(const char *a, const char *b)
{
	while (*a && *a == *b && openness(a) == openness(b)) {
		a++;
		b++;
	}
	int d = openness(a) - openness(b);
	return d < 0 || (d == 0 && strcmp(a, b) < 0);
}

static uint32_t descend(const struct walk *w, uint32_t at, const char *q);

/* "**" leaves a choice of how many qualifiers it takes, so what is found first is not the most specific: all are tried. */
static uint32_t descend_any(const struct walk *w, uint32_t at, const char *q)
{
	const struct snap_profile *all = snap_at(w->h, w->h->profiles.off);
	uint32_t best = descend(w, at, NULL); /* all of them */
	while (q) {
		uint32_t found = descend(w, at, q);
		if (found != SAF_NO_PROFILE && (best == SAF_NO_PROFILE ||
			more_specific(snap_str(w->h, all[found].name), snap_str(w->h, all[best].name))))
			best = found;
		const char *end = qualifier_end(w, q);
		q = end < w->end ? end + 1 : NULL;
	}
	return best;
}

/* @q: start of the next qualifier, NULL when none is left. */
static uint32_t descend(const struct walk *w, uint32_t at, const char *q)
{
	const struct snap_node *n = snap_at(w->h, at);
	const char *qe = q ? qualifier_end(w, q) : NULL;
	const char *next = q && qe < w->end ? qe + 1 : NULL;
	uint32_t found;

	if (!q && n->terminal != SAF_NO_PROFILE)
		return n->terminal;
	if (q) {
		const struct snap_edge *lit = literal_child(w, n, q, (size_t)(qe - q));
		if (lit && (found = descend(w, lit->node, next)) != SAF_NO_PROFILE)
			return found;
	}
	const struct snap_edge *e = snap_at(w->h, n->wild.off);
	for (uint32_t i = 0; i < n->wild.count; i++, e++) {
		const struct snap_node *to = snap_at(w->h, e->node);
		const char *text = snap_str(w->h, e->text);
		found = SAF_NO_PROFILE;
		switch ((enum snap_edge_kind)e->kind) {
		case EDGE_PATTERN:
			if (q && covers(text, e->len, q, (size_t)(qe - q), false))
				found = descend(w, e->node, next);
			break;
		case EDGE_TAIL:
			if (q && covers(text, e->len, q, (size_t)(w->end - q), true))
				found = to->terminal;
			break;
		case EDGE_ONE:
			if (q)
				found = descend(w, e->node, next);
			break;
		case EDGE_ONE_MORE:
			if (q)
				found = to->terminal;
			break;
		case EDGE_ANY:
			found = descend_any(w, e->node, q);
			break;
		case EDGE_LITERAL:
			break;
		}
		if (found != SAF_NO_PROFILE)
			return found;
	}
	return SAF_NO_PROFILE;
}

const struct snap_profile *snap_find(const struct snap_header *h, const struct snap_class *c, const char *resource, size_t len, uint64_t hash)
{
	const uint32_t *slots = snap_at(h, h->hash.off);
	const struct snap_profile *all = snap_at(h, h->profiles.off);
	const struct snap_class *classes = snap_at(h, h->classes.off);
	uint32_t mask = h->hash.count - 1;
	for (uint32_t i = (uint32_t)hash & mask; slots[i]; i = (i + 1) & mask) {
		const struct snap_profile *p = &all[slots[i] - 1];
		if (&classes[p->class_index] == c && strcmp(snap_str(h, p->name), resource) == 0)
			return p;
	}
	if (!c->trie || !(c->flags & SNAP_GENERIC))
		return NULL;
	struct walk w = {.h = h, .end = resource + len};
	uint32_t found = descend(&w, c->trie, resource);
	return found == SAF_NO_PROFILE ? NULL : &all[found];
}
