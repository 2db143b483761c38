/* defmgrctl rules: the DmDefenceRules of dmd.conf and what came of them. */
#include "cli/defmgrctl/ctl.h"
#include "proto/common.pb-c.h"
#include <inttypes.h>
#include <string.h>
#include <stdio.h>

static void print_rule(const Defmgr__RulesReply__Rule *r)
{
	char when[32];
	(void)printf("%s  stack %s  %s for %u min, repeated: %s%s\n  events  ", r->name, r->stack, r->mode, r->lifetime_min, r->repeat,
		r->hears ? "" : "  (hears nothing of the stack)");
	for (size_t i = 0; i < r->n_events; i++)
		(void)printf(" %s", r->events[i]);
	(void)printf("\n  filters  %u of at most %u, named %s:SOURCE, /%u and /%u, after %u in %u min\n", r->filters, r->max_filters,
		r->filter_name, r->source_prefix4, r->source_prefix6, r->threshold, r->interval_min);
	for (size_t i = 0; i < r->n_excludes; i++)
		(void)printf("%s %s%s", i ? "" : "  exclude ", r->excludes[i], i + 1 < r->n_excludes ? "" : "\n");
	(void)printf("  matched %" PRIu64 "  added %" PRIu64 "  repeated %" PRIu64 "  excluded %" PRIu64 "  below threshold %" PRIu64 "  over MaxFilters %" PRIu64
		     "  failed %" PRIu64 "\n", r->matched, r->added, r->repeated_events, r->excluded, r->below, r->limited, r->failed);
	if (!r->last_us)
		return;
	ctl_time(r->last_us, when);
	(void)printf("  last     %s %s\n", when, r->last ? r->last : "");
}

static void text_rules(const struct ctl *c, const ProtobufCMessage *reply)
{
	const Defmgr__RulesReply *r = (const Defmgr__RulesReply *)reply;
	for (size_t i = 0; i < r->n_rules; i++)
		if (c->nwords < 2 || !strcmp(c->words[1], r->rules[i]->name))
			print_rule(r->rules[i]);
	if (!r->n_rules)
		(void)puts("no DmDefenceRule");
}

int ctl_rules(struct ctl *c)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	return ctl_call_print(c, "defmgr.Rules", &m.base, &defmgr__rules_reply__descriptor, text_rules);
}
