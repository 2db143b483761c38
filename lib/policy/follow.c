/* Rules and the clock: which of a policy's rules are in force now (when.h). */
#include "lib/policy/build.h"
#include "lib/policy/ids.h"
#include "lib/base/xalloc.h"
#include <strings.h>

int whens_of_rule(struct build *b, struct conf_node *rule, struct policy_whens *ret)
{
	int rc = 0;
	for (struct conf_node *c = rule->children; c; c = c->next) {
		bool ref = !strcasecmp(c->stmt->name, "IpTimeConditionRef");
		if (!ref && strcasecmp(c->stmt->name, "IpTimeCondition"))
			continue;
		struct conf_node *n = ref ? build_ref(b, c, "IpTimeCondition") : c;
		rc = !n || whens_add(rule, ret, n) < 0 ? -EINVAL : rc;
	}
	return rc;
}

/* One rule: is it asleep now, and when does that change? True: it is another than before. */
static bool follow(const struct policy_whens *w, bool *asleep, time_t now, time_t *next)
{
	bool was = *asleep;
	if (!w->n)
		return false;
	time_t t = policy_times_next(w, now);
	*asleep = !policy_times_active(w, now);
	if (t && (!*next || t < *next))
		*next = t;
	return *asleep != was;
}

bool ipsec_policy_follow(struct ipsec_policy *p, time_t now)
{
	bool changed = false;
	if (!policy_clock_due(&p->clock, now))
		return false;
	tzset();
	p->clock = (struct policy_clock){.last = now};
	for (size_t i = 0; i < p->n_rules; i++)
		changed |= follow(&p->rules[i].when, &p->rules[i].asleep, now, &p->clock.next);
	for (size_t i = 0; i < p->n_kex_rules; i++)
		changed |= follow(&p->kex_rules[i].when, &p->kex_rules[i].asleep, now, &p->clock.next);
	for (size_t i = 0; i < p->n_local_rules; i++)
		changed |= follow(&p->local_rules[i].when, &p->local_rules[i].asleep, now, &p->clock.next);
	return changed;
}

bool ids_policy_follow(struct ids_policy *p, time_t now)
{
	bool changed = false;
	if (!policy_clock_due(&p->clock, now))
		return false;
	tzset();
	p->clock = (struct policy_clock){.last = now};
	for (size_t i = 0; i < p->n_rules; i++)
		changed |= follow(&p->rules[i].when, &p->rules[i].asleep, now, &p->clock.next);
	return changed;
}

struct ids_policy *ids_policy_awake(const struct ids_policy *p)
{
	struct ids_policy *now = xnew(struct ids_policy);
	now->borrowed = true;
	now->rules = xcalloc(p->n_rules + 1, sizeof(*now->rules));
	for (size_t i = 0; i < p->n_rules; i++)
		if (!p->rules[i].asleep)
			now->rules[now->n_rules++] = p->rules[i];
	ids_choose(now);
	return now;
}
