/* build: what profile.c and the policy_*.c share on the way from statements to filters. Inside
 * filter/ only. */
#pragma once
#include "daemons/stack-core/filter/policy.h"

struct span {
	struct addr lo, hi;
};

struct spans {
	struct span *v;
	size_t n;
};

struct service {
	uint16_t proto;
	struct filter_range a, b;
	bool in, out, opaque, fragments_only;
	uint8_t scope, secclass;
};

struct services {
	struct service *v;
	size_t n;
};

struct specs {
	struct filter_spec *v;
	size_t n;
};

/* The named statements of a file, by kind and name. */
struct index {
	struct conf *conf;
	struct conf_node **v;
	size_t n;
};

enum { BUILD_MAX = 4096 }; /* addresses or services of one rule */

/* 0, or -EINVAL with the duplicates recorded. */
int index_build(struct conf *c, struct index *ret);
/* The statement @kind that operand "name" of @ref names; NULL with the error recorded at @ref. */
struct conf_node *index_get(const struct index *x, struct conf_node *ref, const char *kind);

int specs_add(struct specs *s, const struct filter_spec *spec, struct conf_node *at);
/* An address, a prefix, a range "a-b", or All, Any, *, All4, Any4, All6, Any6. */
int spans_add_text(struct spans *s, const char *text, struct conf_node *at);
/* Children that give the addresses of one side of IpFilterRule @rule; @side "Source" or "Dest". */
int spans_of_rule(
	const struct index *x, struct conf_node *rule, const char *side, struct spans *ret);
int services_of_rule(const struct index *x, struct conf_node *rule, struct services *ret);
int rule_build(const struct index *x, struct conf_node *rule, struct specs *out);
/* Ports (or type and code) of a conf operand into a range; NULL is all. */
struct filter_range range_of(const struct conf_value *v);

extern const struct conf_stmt policy_service_children[], policy_rule_children[];
extern const struct conf_operand policy_name_operands[], policy_inline_operands[],
	policy_address_operands[];
