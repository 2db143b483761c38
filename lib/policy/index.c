/* Who is meant by a name: the named statements of both files. */
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"
#include <strings.h>

static int order(const char *kind, const char *name, const struct conf_node *n)
{
	int rc = strcasecmp(kind, n->stmt->name);
	return rc ? rc : strcmp(name, conf_str(n, "name"));
}

static int node_order(const void *a, const void *b)
{
	const struct conf_node *x = *(struct conf_node *const *)a, *y = *(struct conf_node *const *)b;
	int rc = order(x->stmt->name, conf_str(x, "name"), y);
	return rc ? rc : x->line < y->line ? -1 : x->line > y->line ? 1 : (x->col > y->col) - (x->col < y->col);
}

static bool has_name(const struct conf_node *n)
{
	const struct conf_operand *op = n->stmt->operands;
	return op && op->type != CONF_END && !strcmp(op->name, "name") && conf_str(n, "name");
}

int index_build(struct conf *c, struct index *ret)
{
	struct index x = {.conf = c};
	int rc = 0;
	for (struct conf_node *n = conf_root(c); n; n = n->next)
		x.n += has_name(n);
	x.v = xcalloc(x.n, sizeof(struct conf_node *));
	x.n = 0;
	for (struct conf_node *n = conf_root(c); n; n = n->next)
		if (has_name(n))
			x.v[x.n++] = n;
	qsort(x.v, x.n, sizeof(struct conf_node *), node_order);
	for (size_t i = 1; i < x.n; i++)
		if (!order(x.v[i - 1]->stmt->name, conf_str(x.v[i - 1], "name"), x.v[i]))
			rc = conf_node_error(x.v[i], "found a second %s '%s', expected another name (the first one is in line %u)",
				x.v[i]->stmt->name, conf_str(x.v[i], "name"), x.v[i - 1]->line);
	*ret = x;
	return rc;
}

static struct conf_node *find(const struct index *x, const char *kind, const char *name)
{
	size_t lo = 0, hi = x->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int rc = order(kind, name, x->v[mid]);
		if (!rc)
			return x->v[mid];
		if (rc < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

struct conf_node *build_find(const struct build *b, const char *kind, const char *name)
{
	struct conf_node *n = find(&b->file, kind, name);
	return n ? n : find(&b->common, kind, name);
}

struct conf_node *build_ref(struct build *b, struct conf_node *ref, const char *kind)
{
	struct conf_node *n = build_find(b, kind, conf_str(ref, "name"));
	if (!n)
		(void)conf_node_error(ref, "found %s '%s', expected the name of a%s %s statement in this file%s", ref->stmt->name,
			conf_str(ref, "name"), *kind == 'I' ? "n" : "", kind, b->common.conf ? " or in the common one" : "");
	return n;
}

struct conf_node *build_each(const struct build *b, const char *kind, size_t *at)
{
	for (; *at < b->file.n + b->common.n; ++*at) {
		bool first = *at < b->file.n;
		struct conf_node *n = first ? b->file.v[*at] : b->common.v[*at - b->file.n];
		if (strcasecmp(n->stmt->name, kind) || (!first && find(&b->file, kind, conf_str(n, "name"))))
			continue;
		++*at;
		return n;
	}
	return NULL;
}

struct conf_node *build_block(const struct build *b, const char *kind)
{
	struct conf *const files[] = {b->file.conf, b->common.conf};
	for (size_t i = 0; i < 2; i++) {
		struct conf_node *last = NULL;
		for (struct conf_node *n = files[i] ? conf_top(files[i], kind) : NULL; n; n = conf_next(n, kind))
			last = n;
		if (last)
			return last;
	}
	return NULL;
}

static int members(struct build *b, struct conf_node *block, const char *kind, build_rule_fn fn, const char *group)
{
	size_t skip = strlen(kind);
	char rule[40], grp[40];
	int rc = 0;
	(void)snprintf(rule, sizeof(rule), "%.24sRule", kind);
	(void)snprintf(grp, sizeof(grp), "%.24sGroup", kind);
	for (struct conf_node *n = block->children; n; n = n->next) {
		struct conf_node *object = n;
		int one = 0;
		if (strncasecmp(n->stmt->name, kind, skip))
			continue;
		const char *word = n->stmt->name + skip;
		bool ref = strlen(word) > 3 && !strcasecmp(word + strlen(word) - 3, "Ref");
		bool nested = !strncasecmp(word, "Group", 5);
		if (!nested && strncasecmp(word, "Rule", 4))
			continue;
		if (ref)
			object = build_ref(b, n, nested ? grp : rule);
		if (!object)
			one = -EINVAL;
		else if (nested)
			one = members(b, object, kind, fn, conf_str(object, "name") ? conf_str(object, "name") : "");
		else
			one = fn(b, object, group);
		if (one == -E2BIG)
			return one;
		rc = one < 0 ? one : rc;
	}
	return rc;
}

int build_members(struct build *b, struct conf_node *block, const char *kind, build_rule_fn fn)
{
	return members(b, block, kind, fn, "");
}

unsigned build_word(const struct conf_node *n, const char *stmt, unsigned dflt)
{
	const struct conf_node *at = conf_child(n, stmt);
	return at && at->values[0].op ? (unsigned)at->values[0].u : dflt;
}

void build_name(char out[POLICY_NAME_MAX], const struct conf_node *n)
{
	const char *name = conf_str(n, "name");
	(void)snprintf(out, POLICY_NAME_MAX, "%s", name ? name : "");
}
