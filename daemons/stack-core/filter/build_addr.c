/* Addresses of a rule: written in it, or in IpAddr, IpAddrSet and IpAddrGroup objects that it
 * names. */
#include "daemons/stack-core/filter/build.h"
#include "lib/base/xalloc.h"
#include <string.h>
#include <strings.h>

static int add(struct spans *s, const struct span *x, struct conf_node *at)
{
	if (s->n == BUILD_MAX)
		return conf_node_error(at,
			"found more than %d addresses in one rule, expected at most so many",
			BUILD_MAX);
	s->v = xrealloc(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = *x;
	return 0;
}

static int add_prefix(struct spans *s, const struct prefix *p, struct conf_node *at)
{
	struct filter_spec f;
	filter_spec_init(&f, p->addr.family, false);
	filter_spec_source(&f, p);
	return add(s, &(struct span){f.src_lo, f.src_hi}, at);
}

static bool is_all(const char *text, const char *family)
{
	const char *rest = !strcmp(text, "*")						  ? text + 1
			   : !strncasecmp(text, "all", 3) || !strncasecmp(text, "any", 3) ? text + 3
											  : "-";
	return !*rest || !strcmp(rest, family);
}

static int add_range(struct spans *s, const char *text, struct conf_node *at)
{
	const char *dash = strchr(text, '-');
	char low[ADDR_TEXT_MAX];
	struct span x;
	size_t n = dash ? (size_t)(dash - text) : 0;
	if (!n || n >= sizeof(low))
		return -EINVAL;
	memcpy(low, text, n);
	low[n] = 0;
	if (addr_parse(low, &x.lo) < 0 || addr_parse(dash + 1, &x.hi) < 0 ||
		x.lo.family != x.hi.family)
		return -EINVAL;
	if (memcmp(x.lo.b, x.hi.b, sizeof(x.lo.b)) > 0)
		return -ERANGE;
	return add(s, &x, at);
}

int spans_add_text(struct spans *s, const char *text, struct conf_node *at)
{
	struct prefix p;
	bool all4 = is_all(text, "4"), all6 = is_all(text, "6");
	int rc = 0;
	if (all4)
		rc = add_prefix(s, &(struct prefix){.addr.family = 4}, at);
	if (all6 && !rc)
		rc = add_prefix(s, &(struct prefix){.addr.family = 6}, at);
	if (all4 || all6)
		return rc;
	rc = prefix_parse(text, &p);
	if (!rc)
		return add_prefix(s, &p, at);
	if (rc == -EDOM)
		return conf_node_error(at, "found '%s', expected a prefix without host bits", text);
	rc = strchr(text, '-') ? add_range(s, text, at) : -EINVAL;
	if (rc == -ERANGE)
		return conf_node_error(at, "found '%s', expected the lower address first", text);
	return !rc ? 0
		   : conf_node_error(at,
			     "found '%s', expected an address, address/length, low-high, All, All4 "
			     "or All6",
			     text);
}

/* Every child that holds an address text. */
static int from_object(struct conf_node *object, struct spans *s)
{
	int rc = 0;
	size_t before = s->n;
	for (struct conf_node *n = object->children; n; n = n->next)
		if (spans_add_text(s, conf_str(n, "address"), n) < 0)
			rc = -EINVAL;
	if (!rc && s->n == before)
		return conf_node_error(
			object, "found %s without an address, expected one", object->stmt->name);
	return rc;
}

static int from_group(const struct index *x, struct conf_node *group, struct spans *s)
{
	int rc = 0;
	for (struct conf_node *n = group->children; n; n = n->next) {
		struct conf_node *object = n;
		if (!strcasecmp(n->stmt->name, "IpAddrRef"))
			object = index_get(x, n, "IpAddr");
		else if (!strcasecmp(n->stmt->name, "IpAddrSetRef"))
			object = index_get(x, n, "IpAddrSet");
		if (!object || from_object(object, s) < 0)
			rc = -EINVAL;
	}
	return rc;
}

int spans_of_rule(
	const struct index *x, struct conf_node *rule, const char *side, struct spans *ret)
{
	int rc = 0;
	size_t skip = 2 + strlen(side); /* "IpSource" */
	for (struct conf_node *n = rule->children; n; n = n->next) {
		const char *word = n->stmt->name;
		if (strncasecmp(word, "Ip", 2) != 0 || strncasecmp(word + 2, side, skip - 2) != 0)
			continue;
		word += skip;
		struct conf_node *object = n;
		int one;
		if (!strcasecmp(word, "AddrRef"))
			one = (object = index_get(x, n, "IpAddr")) ? from_object(object, ret)
								   : -EINVAL;
		else if (!strcasecmp(word, "AddrSetRef"))
			one = (object = index_get(x, n, "IpAddrSet")) ? from_object(object, ret)
								      : -EINVAL;
		else if (!strcasecmp(word, "AddrGroupRef"))
			one = (object = index_get(x, n, "IpAddrGroup")) ? from_group(x, object, ret)
									: -EINVAL;
		else
			one = spans_add_text(ret, conf_str(n, "address"), n);
		rc = one < 0 ? one : rc;
	}
	if (!rc && !ret->n)
		return conf_node_error(rule,
			"found no Ip%sAddr in IpFilterRule '%s', expected one or a reference", side,
			conf_str(rule, "name"));
	return rc;
}
