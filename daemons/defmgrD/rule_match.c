/* rule_match: is a rule for this detection, and may its source be blocked, how wide? */
#include "daemons/defmgrD/defmgr.h"
#include <string.h>
#include <strings.h>

bool dm_rule_for(const struct dm_rule_conf *r, const struct dm_stack *s)
{
	for (unsigned i = 0; i < r->nstacks; i++)
		if (!strcasecmp(r->stacks[i], s->conf.name))
			return true;
	return !r->nstacks;
}

static bool class_counts(const struct dm_rule_conf *r, const Stack__IdsEvent *m)
{
	unsigned class = !m->class_ ? 2 : !strcmp(m->class_, "Normal") ? 0 : strcmp(m->class_, "PossiblySuspicious") ? 2 : 1;
	return strcmp(m->kind, "scan") || class + r->sensitivity > 2;
}

bool dm_rule_answers(const struct dm_rule_conf *r, const struct dm_stack *s, const Stack__IdsEvent *m)
{
	unsigned bit = dm_rule_event_bit(m->kind, m->type ? m->type : "", m->protocol);
	bool named = !r->nids_rules;
	if (bit > 31 || !(r->events & 1u << bit) || !dm_rule_for(r, s) || !class_counts(r, m))
		return false;
	if (m->has_level && m->level > r->severity)
		return false;
	for (unsigned i = 0; !named && i < r->nids_rules; i++)
		named = m->rule && !strcasecmp(r->ids_rules[i], m->rule);
	return named;
}

static bool no_host(const struct addr *a)
{
	static const char *const texts[] = {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "ff00::/8"};
	struct prefix p;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (!prefix_parse(texts[i], &p) && prefix_covers(&p, a))
			return true;
	return false;
}

static bool overlap(const struct prefix *a, const struct prefix *b)
{
	return a->len < b->len ? prefix_covers(a, &b->addr) : prefix_covers(b, &a->addr);
}

static bool excluded(const struct dm_rule_conf *r, const struct dm_stack *s, const struct prefix *p)
{
	for (unsigned i = 0; i < r->nexcludes; i++)
		if (overlap(&r->excludes[i], p))
			return true;
	for (unsigned i = 0; i < s->conf.nexcludes; i++)
		if (overlap(&s->conf.excludes[i], p))
			return true;
	return false;
}

/* A prefix that would take an excluded address along shrinks to the host. */
bool dm_rule_target(const struct dm_rule_conf *r, const struct dm_stack *s, const Stack__IdsEvent *m, struct prefix *ret)
{
	struct addr a, to;
	if (!m->source || addr_parse(m->source, &a) || no_host(&a))
		return false;
	if (m->destination && !addr_parse(m->destination, &to) && addr_equal(&a, &to))
		return false; /* our own address, borrowed */
	struct prefix host = {a, (uint8_t)(addr_len(&a) * 8)}, wide = {a, a.family == 4 ? r->prefix4 : r->prefix6};
	prefix_mask(&wide);
	*ret = excluded(r, s, &wide) ? host : wide;
	return !excluded(r, s, ret);
}
