/* Addresses of a rule: written in it, or in IpAddr, IpAddrSet and IpAddrGroup objects that it names. */
#include "lib/base/xalloc.h"
#include "lib/policy/build.h"
#include <strings.h>

static int parse_at(struct conf_node *at, struct addr_range *ret)
{
	const char *text = conf_str(at, "address");
	switch (addr_range_parse(text, ret)) {
	case 0:
		return 0;
	case -EDOM:
		return conf_node_error(at, "found '%s', expected a prefix without host bits", text);
	case -ERANGE:
		return conf_node_error(at, "found '%s', expected the lower address first", text);
	default:
		return conf_node_error(at, "found '%s', expected an address, address/length, low-high, All, All4 or All6", text);
	}
}

int ranges_add_text(struct ranges *s, struct conf_node *at)
{
	struct addr_range r;
	if (parse_at(at, &r) < 0)
		return -EINVAL;
	if (s->n == BUILD_ENTRIES_MAX)
		return conf_node_error(at, "found more than %d addresses in one rule, expected at most so many", BUILD_ENTRIES_MAX);
	if (!(s->n & (s->n - 1)))
		s->v = xrealloc(s->v, s->n ? 2 * s->n : 1, sizeof(*s->v));
	s->v[s->n++] = r;
	return 0;
}

/* Every child that holds an address text. */
static int from_object(struct conf_node *object, struct ranges *s)
{
	int rc = 0;
	for (struct conf_node *n = object->children; n; n = n->next)
		if (ranges_add_text(s, n) < 0)
			rc = -EINVAL;
	if (!object->children)
		return conf_node_error(object, "found %s without an address, expected one", object->stmt->name);
	return rc;
}

static int from_ref(struct build *b, struct conf_node *ref, const char *kind, struct ranges *s)
{
	struct conf_node *object = build_ref(b, ref, kind);
	return object ? from_object(object, s) : -EINVAL;
}

static int from_group(struct build *b, struct conf_node *group, struct ranges *s)
{
	int rc = 0;
	for (struct conf_node *n = group->children; n; n = n->next) {
		const char *word = n->stmt->name;
		int one = !strcasecmp(word, "IpAddrRef")      ? from_ref(b, n, "IpAddr", s)
			  : !strcasecmp(word, "IpAddrSetRef") ? from_ref(b, n, "IpAddrSet", s)
							      : from_object(n, s);
		rc = one < 0 ? one : rc;
	}
	return rc;
}

static int from_rule_child(struct build *b, struct conf_node *n, const char *word, struct ranges *s)
{
	if (!strcasecmp(word, "AddrRef"))
		return from_ref(b, n, "IpAddr", s);
	if (!strcasecmp(word, "AddrSetRef"))
		return from_ref(b, n, "IpAddrSet", s);
	if (!strcasecmp(word, "AddrGroupRef")) {
		struct conf_node *group = build_ref(b, n, "IpAddrGroup");
		return group ? from_group(b, group, s) : -EINVAL;
	}
	return ranges_add_text(s, n);
}

int ranges_of_rule(struct build *b, struct conf_node *rule, const char *side, struct ranges *ret)
{
	int rc = 0;
	size_t skip = 2 + strlen(side); /* "IpSource" */
	for (struct conf_node *n = rule->children; n; n = n->next) {
		const char *word = n->stmt->name;
		if (strncasecmp(word, "Ip", 2) != 0 || strncasecmp(word + 2, side, skip - 2) != 0)
			continue;
		rc = from_rule_child(b, n, word + skip, ret) < 0 ? -EINVAL : rc;
	}
	if (!rc && !ret->n)
		return conf_node_error(rule, "found no Ip%sAddr in IpFilterRule '%s', expected one or a reference", side,
			conf_str(rule, "name"));
	return rc;
}

int range_of_child(struct build *b, struct conf_node *n, const char *word, struct addr_range *ret, bool *given)
{
	static const char *const tails[] = {"", "Ref", "SetRef"};
	struct ranges s = {0};
	struct conf_node *at = NULL;
	int rc = 0;
	for (unsigned i = 0; i < 3; i++) {
		char name[40];
		(void)snprintf(name, sizeof(name), "%.24s%s", word, tails[i]);
		struct conf_node *child = conf_child(n, name);
		if (!child)
			continue;
		at = child;
		int one = i == 0 ? ranges_add_text(&s, child) : from_ref(b, child, i == 1 ? "IpAddr" : "IpAddrSet", &s);
		rc = one < 0 ? one : rc;
	}
	if (!rc && s.n > 1)
		rc = conf_node_error(at, "found %zu addresses for %s, expected one address, prefix or range", s.n, word);
	*given = s.n == 1;
	*ret = s.n == 1 ? s.v[0] : (struct addr_range){{0}, {0}};
	free(s.v);
	return rc;
}
