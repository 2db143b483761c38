/* statements: the tables of what may be written, one file a family of statements. Inside lib/policy only. */
#pragma once
#include "lib/conf/conf.h"

/* operands.c: shared by many statements */
extern const struct conf_operand policy_name_operands[]; /* a name, required */
extern const struct conf_operand policy_inline_operands[]; /* a name, optional: objects inside others */
extern const struct conf_operand policy_address_operands[]; /* address, prefix, range or All */
extern const struct conf_operand policy_endpoint_operands[]; /* one address */
extern const struct conf_operand policy_protocol_operands[], policy_yes_operands[], policy_on_operands[];
extern const struct conf_operand policy_life_operands[], policy_life_range_operands[];
extern const struct conf_operand policy_size_operands[], policy_size_range_operands[], policy_suite_operands[];
extern const struct conf_operand policy_df_operands[];

/* stmts_object.c: addresses and services */
extern const struct conf_stmt policy_service_children[], policy_service_group_children[];
extern const struct conf_stmt policy_addr_children[], policy_addr_set_children[], policy_addr_group_children[];
/* stmts_filter.c */
extern const struct conf_stmt policy_filter_policy_children[], policy_filter_group_children[], policy_rule_children[];
extern const struct conf_stmt policy_action_children[];
/* when_build.c */
extern const struct conf_stmt policy_time_children[];
#define POLICY_TIMES                                                                                              \
	{"IpTimeCondition", policy_inline_operands, policy_time_children, .flags = CONF_BLOCK | CONF_ANYNUMBER,   \
		.help = "When the rule is in force, written here. Of several conditions one that holds is enough."}, \
	{                                                                                                         \
		"IpTimeConditionRef", policy_name_operands, .flags = CONF_ANYNUMBER, .help = "An IpTimeCondition." \
	}
/* stmts_vpn.c */
extern const struct conf_stmt policy_vpn_children[], policy_data_offer_children[], policy_start_children[];
/* stmts_local.c */
extern const struct conf_stmt policy_local_policy_children[], policy_local_rule_children[], policy_local_group_children[];
/* stmts_kex.c */
extern const struct conf_stmt policy_kex_policy_children[], policy_kex_group_children[], policy_kex_rule_children[];
extern const struct conf_stmt policy_kex_action_children[], policy_kex_offer_children[];
extern const struct conf_stmt policy_local_end_children[], policy_remote_end_children[];
