/* See build.h. */
#include "daemons/stack-core/filter/build.h"
#include "lib/base/xalloc.h"
#include <string.h>
#include <strings.h>

const struct conf_operand policy_name_operands[] = {
	{"name", CONF_NAME, .max = 32, .help = "Name of the object."}, {0}};
const struct conf_operand policy_inline_operands[] = {
	{"name", CONF_NAME, CONF_OPTIONAL, .max = 32,
		.help = "Name; none is needed inside another statement."},
	{0}};
const struct conf_operand policy_address_operands[] = {
	{"address", CONF_STRING, .max = 96,
		.help = "Address, address/length, low-high, or All, All4, All6."},
	{0}};

static int node_order(const void *a, const void *b)
{
	const struct conf_node *x = *(struct conf_node *const *)a,
			       *y = *(struct conf_node *const *)b;
	int rc = strcasecmp(x->stmt->name, y->stmt->name);
	return rc ? rc : strcmp(conf_str(x, "name"), conf_str(y, "name"));
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
		if (!node_order(&x.v[i - 1], &x.v[i])) {
			struct conf_node *a = x.v[i - 1], *b = x.v[i],
					 *later = a->line > b->line ? a : b;
			rc = conf_node_error(later,
				"found a second %s '%s', expected another name (the first one is "
				"in line %u)",
				later->stmt->name, conf_str(later, "name"),
				later == a ? b->line : a->line);
		}
	*ret = x;
	return rc;
}

struct conf_node *index_get(const struct index *x, struct conf_node *ref, const char *kind)
{
	const char *name = conf_str(ref, "name");
	size_t lo = 0, hi = x->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int rc = strcasecmp(kind, x->v[mid]->stmt->name);
		if (!rc)
			rc = strcmp(name, conf_str(x->v[mid], "name"));
		if (!rc)
			return x->v[mid];
		if (rc < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	(void)conf_node_error(ref,
		"found %s '%s', expected the name of an %s statement in this file", ref->stmt->name,
		name, kind);
	return NULL;
}

int specs_add(struct specs *s, const struct filter_spec *spec, struct conf_node *at)
{
	struct errbuf e;
	if (filter_spec_check(spec, &e) < 0)
		return conf_node_error(at, "%s", e.text);
	if (s->n == FILTER_RULES_MAX)
		return conf_node_error(at,
			"found more than %d simple filters, expected at most so many",
			FILTER_RULES_MAX);
	if (!(s->n & (s->n - 1)))
		s->v = xrealloc(s->v, s->n ? 2 * s->n : 1, sizeof(*s->v));
	s->v[s->n++] = *spec;
	return 0;
}

struct filter_range range_of(const struct conf_value *v)
{
	if (!v || v->is_word)
		return (struct filter_range){0, UINT16_MAX};
	return (struct filter_range){(uint16_t)v->u, (uint16_t)v->u2};
}
