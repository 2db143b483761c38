/* policy: filters as people write them. Two sources, zos.md section 6:
 *
 * the profile's IPSEC ... ENDIPSEC block, whose IPSECRule and IPSEC6Rule statements each permit and
 * make an outbound filter and its inbound mirror, SYSDEFAULTRULE.n; and a policy file of
 * IpFilterPolicy, IpFilterRule and the reusable objects they name, in which a rule with sets,
 * groups or several services is complex and is split into simple filters that share its name and
 * are told apart by their FilterNameExtension, from 1 in order of search. */
#pragma once
#include "daemons/stack-core/filter/filter.h"
#include "daemons/stack-core/ipsec/manual.h"
#include "lib/conf/conf.h"
#include "lib/policy/ipsec.h"

/* Children of the profile's IPSEC statement: { "IPSEC", profile_ipsec_operands,
 * profile_ipsec_children, "ENDIPSEC", CONF_BLOCK }. */
extern const struct conf_operand profile_ipsec_operands[];
extern const struct conf_stmt profile_ipsec_children[];

struct profile_filters {
	struct filter_spec *rules;
	size_t n;
	bool dvipsec, logging, log_implicit;
};
/* @node is an IPSEC statement (NULL: none, no rules). 0, or -EINVAL with every error recorded.
 * Release with profile_filters_fini. */
int profile_filters_build(struct conf_node *node, struct profile_filters *ret);
void profile_filters_fini(struct profile_filters *f);

/* The time conditions of one rule. Its filters are in the stack only while one of them holds. */
struct policy_timing {
	struct policy_whens when;
	bool asleep;
	char text[256]; /* their names */
};

/* What the stack takes from a policy (lib/policy): filters and manual tunnels. */
struct policy {
	struct filter_spec *rules; /* in order of search, those that sleep as well */
	size_t n;
	struct policy_timing *timings;
	size_t n_timings;
	struct policy_clock clock;
	bool loaded, logging, predecap, discard_icmp;
	struct manual_action *tunnels;
	size_t n_tunnels;
};
/* Splits @p's rules. 0, or -EINVAL with every error recorded in the policy's files. */
int policy_build(const struct ipsec_policy *p, struct policy *ret);
void policy_fini(struct policy *p); /* cleanses the keys */
/* Looks at the clock when it is time to; true: other filters are in force than before. */
bool policy_follow(struct policy *p, time_t now);
static inline bool policy_asleep(const struct policy *p, const struct filter_spec *s)
{
	return s->timing && p->timings[s->timing - 1].asleep;
}
/* The filters that do not sleep, as a new array (free). */
struct filter_spec *policy_awake(const struct policy *p, size_t *ret_n);
