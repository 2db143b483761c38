#include "tests/unit/daemons/defmgrD/dmd_conf.h"

START_TEST(refuses)
{
	static const struct refusal bad[] = {{"DmDefenceRule { Event SCAN_FAST }", "dmd.conf:1:"}, {"DmDefenceRule r { }", "Event"},
		{"DmDefenceRule r { Event FLOOD }", "SCAN_FAST"}, {"DmDefenceRule r { Event OUTBOUND_RAW }", "SCAN_FAST"},
		{"DmDefenceRule r { Event SCAN_FAST\n Lifetime 0 }", "20160"}, {"DmDefenceRule r { Event SCAN_FAST\n Mode Drop }", "Simulate"},
		{"DmDefenceRule r { Event SCAN_FAST\n SourcePrefix 7 }", "8"}, {"DmDefenceRule r { Event SCAN_FAST\n SourcePrefix6 129 }", "128"},
		{"DmDefenceRule r { Event SCAN_FAST\n FilterName a:b }", "dmd.conf:2:"}, {"DmDefenceRule r { Event SCAN_FAST\n Exclude 10.0.0.1/8 }", "dmd.conf:2:"},
		{"DmDefenceRule r { Event SCAN_FAST }\nDmDefenceRule r { Event SCAN_SLOW }", "again"},
		{"DmDefenceRule r { Event SCAN_FAST }\nDmDefenceRule q { Event SCAN_SLOW\n FilterName r }", "again"},
		{"DmDefenceRule r { Event SCAN_FAST\n MaxFilters 100001 }", "100000"}, {"DmDefenceRule r { Event SCAN_FAST\n Severity 8 }", "7"},
		{"DmDefenceRule r { Event SCAN_FAST\n Threshold 0 }", "1000"}, {"DmDefenceRule 12345678901234567 { Event SCAN_FAST }", "16"}};
	ck_refusals(build, bad, sizeof(bad) / sizeof(*bad));
}
END_TEST

START_TEST(refuses_too_many)
{
	char text[8192] = "", e[512];
	for (int i = 0; i <= DM_RULES_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "DmDefenceRule R%d { Event SCAN_FAST }\n", i);
	ck_assert_ptr_null(build(text, e));
	ck_assert_ptr_nonnull(strstr(e, "at most 32"));
	memcpy(text, "DmDefenceRule R { Event SCAN_FAST\n", 35);
	for (int i = 0; i <= DM_RULE_EXCLUDES_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "Exclude 10.0.0.%d\n", i);
	memcpy(text + strlen(text), "}\n", 3);
	ck_assert_ptr_null(build(text, e));
	ck_assert_ptr_nonnull(strstr(e, "at most 64"));
}
END_TEST

START_TEST(takes_all_and_defaults)
{
	char e[512];
	struct dm_conf *c = build("DmDefenceRule plain { Event scan_fast }\nDmDefenceRule full\n{\n  Event ATTACK\n  Event TR_TCP\n  IDSRule Web\n"
				  "  IDSRule Mail\n  Sensitivity Low\n  Severity 3\n  Stack LEFT\n  Mode Simulate\n  Lifetime 60\n  Repeat Double\n  Threshold 3\n"
				  "  Interval 10\n  SourcePrefix 24\n  SourcePrefix6 64\n  Direction Inbound\n  Routing Local\n  MaxFilters 7\n"
				  "  FilterName auto\n  Log No\n  LogLimit 9\n  Exclude 10.0.0.0/8\n  Exclude 2001:db8::1\n}\n", e);
	ck_assert_msg(c != NULL, "%s", e);
	ck_assert_uint_eq(c->nrules, 2);
	const struct dm_rule_conf *r = &c->rules[0];
	ck_assert_str_eq(r->tag, "plain");
	ck_assert(!r->simulate && r->log && r->lifetime_min == 30 && r->threshold == 1 && r->max_filters == 1000 && r->repeat == DM_EXTEND);
	ck_assert(r->prefix4 == 32 && r->prefix6 == 128 && r->sensitivity == 3 && r->severity == 7 && r->loglimit == -1);
	ck_assert(r->direction == DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL && r->routing == DEFMGR__FILTER__ROUTING__EITHER);
	ck_assert_uint_eq(r->events, 1u << dm_rule_event_bit("scan", "Fast", 6));
	r = &c->rules[1];
	ck_assert_str_eq(r->tag, "auto");
	ck_assert(r->simulate && !r->log && r->lifetime_min == 60 && r->threshold == 3 && r->interval_min == 10 && r->max_filters == 7);
	ck_assert(r->repeat == DM_DOUBLE && r->prefix4 == 24 && r->prefix6 == 64 && r->sensitivity == 1 && r->severity == 3 && r->loglimit == 9);
	ck_assert(r->direction == DEFMGR__FILTER__DIRECTION__INBOUND && r->routing == DEFMGR__FILTER__ROUTING__LOCAL);
	ck_assert(r->nids_rules == 2 && r->nstacks == 1 && r->nexcludes == 2);
	ck_assert(r->events & 1u << dm_rule_event_bit("attack", "Malformed", 6) && r->events & 1u << dm_rule_event_bit("attack", "DataHiding", 6));
	ck_assert(r->events & 1u << dm_rule_event_bit("refused", "", 6) && !(r->events & 1u << dm_rule_event_bit("refused", "", 17)));
	dm_conf_free(c);
}
END_TEST

START_TEST(knows_what_has_no_source_to_block)
{
	ck_assert_uint_gt(dm_rule_event_bit("attack", "Flood", 6), 31);
	ck_assert_uint_gt(dm_rule_event_bit("attack", "OutboundRaw", 1), 31);
	ck_assert_uint_gt(dm_rule_event_bit("attack", "OutboundRaw6", 1), 31);
	ck_assert_uint_gt(dm_rule_event_bit("constrained", "Entered", 6), 31);
	ck_assert_uint_gt(dm_rule_event_bit("suppressed", "Malformed", 6), 31);
	ck_assert_uint_gt(dm_rule_event_bit("attack", "Nonsense", 6), 31);
	ck_assert_uint_lt(dm_rule_event_bit("attack", "ICMP", 1), 32);
	ck_assert_uint_ne(dm_rule_event_bit("scan", "Fast", 6), dm_rule_event_bit("scan", "Slow", 6));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rule");
	TCase *c = tcase_create("rule");
	tcase_add_test(c, refuses);
	tcase_add_test(c, refuses_too_many);
	tcase_add_test(c, takes_all_and_defaults);
	tcase_add_test(c, knows_what_has_no_source_to_block);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
