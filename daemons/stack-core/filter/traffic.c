/* "ipsec -t": every rule that traffic of the given kind could match, not only the first (zos.md
 * section 6). */
#include "daemons/stack-core/filter/filter.h"
#include <string.h>

struct test {
	const struct filter_traffic *t;
	filter_fn fn;
	void *arg;
};

static bool holds(const struct addr *lo, const struct addr *hi, const struct addr *a)
{
	if (!a->family)
		return true;
	return memcmp(a->b, lo->b, 16) >= 0 && memcmp(a->b, hi->b, 16) <= 0;
}

static bool could_match(const struct filter_spec *s, const struct filter_traffic *t)
{
	uint8_t family = t->src.family ? t->src.family : t->dst.family;
	if ((family && s->family != family) || (s->inbound ? !t->inbound : !t->outbound))
		return false;
	if (t->proto != FILTER_PROTO_ANY && s->proto != FILTER_PROTO_ANY && s->proto != t->proto)
		return false;
	if (ipproto_ports(s->proto)) {
		if (t->sport >= 0 && (t->sport < s->a.lo || t->sport > s->a.hi))
			return false;
		if (t->dport >= 0 && (t->dport < s->b.lo || t->dport > s->b.hi))
			return false;
	}
	return holds(&s->src_lo, &s->src_hi, &t->src) && holds(&s->dst_lo, &s->dst_hi, &t->dst);
}

static bool one(void *arg, const struct filter_rule *r)
{
	const struct test *x = arg;
	return could_match(filter_rule_spec(r), x->t) ? x->fn(x->arg, r) : true;
}

int filter_test(
	const struct filter_set *fs, const struct filter_traffic *t, filter_fn fn, void *arg)
{
	if (t->src.family && t->dst.family && t->src.family != t->dst.family)
		return -EINVAL;
	return filter_each(fs, "current", one, &(struct test){t, fn, arg});
}
