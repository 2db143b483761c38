/* build: what the files share that turn statements into a policy. Inside lib/policy only.
 *
 * Every builder goes on after a mistake, so that one run names all of them; it returns 0, or -EINVAL with the errors
 * recorded at the statements concerned. */
#pragma once
#include "lib/policy/ipsec.h"

enum {
	BUILD_ENTRIES_MAX = 4096, /* addresses or services of one rule */
	BUILD_TOTAL_MAX = 4 * POLICY_FILTERS_MAX, /* of all rules */
	BUILD_OFFERS_MAX = 64,	  /* of one action */
	BUILD_LABELS_MAX = 64,
};

/* The named statements of the stack's file and of the common file, sorted. */
struct index {
	struct conf *conf;
	struct conf_node **v;
	size_t n;
};

struct build {
	struct ipsec_policy *p;
	struct index file, common; /* common.conf NULL: there is none */
	size_t filters, entries;   /* so far */
	size_t vpn_run, start_run; /* of these actions the stack file's come first */
	struct kex_action inherited; /* KeyExchangePolicy's words, for actions */
	struct conf_node **local; /* the rules of LocalDynVpnPolicy */
};

/* index.c */
int index_build(struct conf *c, struct index *ret);
/* The statement @kind that operand "name" of @ref names; NULL with the error recorded at @ref. */
struct conf_node *build_ref(struct build *b, struct conf_node *ref, const char *kind);
/* @kind and @name in the stack's file, else in the common one; NULL. */
struct conf_node *build_find(const struct build *b, const char *kind, const char *name);
/* Each named statement @kind once, the stack file's first; *@at begins at 0. */
struct conf_node *build_each(const struct build *b, const char *kind, size_t *at);
/* The block @kind that counts: the last of the stack's file, else of the common file; NULL. */
struct conf_node *build_block(const struct build *b, const char *kind);
/* The members of a block: calls @fn for each rule written in it, named by ...Ref, or in a group of either kind.
 * @kind "IpFilter": IpFilterRule, IpFilterRuleRef, IpFilterGroup, IpFilterGroupRef. @group is "" outside of groups. */
typedef int (*build_rule_fn)(struct build *b, struct conf_node *rule, const char *group);
int build_members(struct build *b, struct conf_node *block, const char *kind, build_rule_fn fn);

/* Word of the one operand of child statement @stmt, by its index; @dflt when there is no such child. */
unsigned build_word(const struct conf_node *n, const char *stmt, unsigned dflt);
void build_name(char out[POLICY_NAME_MAX], const struct conf_node *n);

/* address.c */
struct ranges {
	struct addr_range *v;
	size_t n;
};
int ranges_add_text(struct ranges *s, struct conf_node *at);
int ranges_of_rule(struct build *b, struct conf_node *rule, const char *side, struct ranges *ret);
/* One range, from children @word, @wordRef or @wordSetRef of @n; family 0 and *@given false when there is none. */
int range_of_child(struct build *b, struct conf_node *n, const char *word, struct addr_range *ret, bool *given);

/* follow.c: the time conditions of @rule. */
int whens_of_rule(struct build *b, struct conf_node *rule, struct policy_whens *ret);

/* service.c */
int services_of_rule(struct build *b, struct conf_node *rule, struct policy_rule *r);

/* offer.c */
int kex_offers_build(struct build *b, struct conf_node *action, struct kex_action *ret);
int data_offers_build(struct build *b, struct conf_node *action, struct vpn_action *ret);
uint16_t group_number(const char *word); /* "Group14"; 0: None */
uint16_t suite_group(enum policy_suite s);

/* vpn.c, rule.c, kex.c, local.c */
int vpn_actions_build(struct build *b);
const struct vpn_action *vpn_action_of(const struct build *b, const char *name);
const struct start_action *start_action_of(const struct build *b, const char *name);
int start_actions_build(struct build *b);
int filter_rule_build(struct build *b, struct conf_node *rule, const char *group);
int kex_policy_build(struct build *b);
void kex_rule_fini(struct kex_rule *r);
int local_policy_build(struct build *b);
