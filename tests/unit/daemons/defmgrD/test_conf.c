#include "tests/unit/daemons/defmgrD/dmd_conf.h"

START_TEST(refuses)
{
	static const struct refusal bad[] = {{"DmStackConfig { }", "dmd.conf:1:"}, {"DmStackConfig TOOLONGNAME { }", "dmd.conf:1:"},
		{"DmStackConfig A-B { }", "stack name"}, {"DmStackConfig A { }\nDmStackConfig a { }", "dmd.conf:2:"},
		{"DmStackConfig A { Mode Sometimes }", "Active"}, {"DmStackConfig A { MaxLifetime 0 }", "20160"},
		{"DmStackConfig A { MaxLifetime 20161 }", "20160"}, {"DmStackConfig A { DefaultLogLimit 10000 }", "9999"},
		{"DmStackConfig A { Exclude 10.0.0.1/8 }", "dmd.conf:1:"}, {"DmStackConfig A { Exclude host }", "dmd.conf:1:"},
		{"DmConfig { SyslogLevel 256 }", "255"}, {"DmConfig { DefensiveFilterDirectory var }", "absolute"},
		{"DmConfig { }\nDmConfig { }", "dmd.conf:2:"}, {"DmStackConfig A { Mode Active", "dmd.conf:1:"}, {"Other { }", "Other"}};
	ck_refusals(build, bad, sizeof(bad) / sizeof(*bad));
}
END_TEST

START_TEST(refuses_too_many)
{
	char text[4096] = "", e[512];
	for (int i = 0; i <= DM_STACKS_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "DmStackConfig S%d { }\n", i);
	ck_assert_ptr_null(build(text, e));
	ck_assert_ptr_nonnull(strstr(e, "at most 16"));
	memcpy(text, "DmStackConfig A {\n", 19);
	for (int i = 0; i <= DM_EXCLUDES_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "Exclude 10.0.0.%d\n", i);
	memcpy(text + strlen(text), "}\n", 3);
	ck_assert_ptr_null(build(text, e));
	ck_assert_ptr_nonnull(strstr(e, "at most 10"));
}
END_TEST

START_TEST(takes_all_and_defaults)
{
	char e[512];
	struct dm_conf *c = build("dmconfig\n{\n  SYSLOGLEVEL 5 # mask\n}\nDmStackConfig left\n{\n  Mode Simulate\n  MaxLifetime 60\n"
				  "  DefaultLogLimit 3\n  Exclude 10.0.0.0/8\n  Exclude 2001:db8::1\n}\nDmStackConfig RIGHT { }\n", e);
	ck_assert_msg(c != NULL, "%s", e);
	ck_assert_uint_eq(c->log_level, 5);
	ck_assert_uint_eq(c->nstacks, 2);
	ck_assert_str_eq(c->stacks[0].name, "LEFT");
	ck_assert_uint_eq(c->stacks[0].mode, DM_SIMULATE);
	ck_assert_uint_eq(c->stacks[0].limits.max_lifetime, 60);
	ck_assert_uint_eq(c->stacks[0].limits.default_loglimit, 3);
	ck_assert_uint_eq(c->stacks[0].nexcludes, 2);
	ck_assert_uint_eq(c->stacks[0].excludes[1].len, 128);
	ck_assert_uint_eq(c->stacks[1].mode, DM_ACTIVE);
	ck_assert_uint_eq(c->stacks[1].limits.max_lifetime, 1440);
	dm_conf_free(c);
	c = build("", e);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->nstacks, 0);
	ck_assert_uint_eq(c->log_level, 7);
	dm_conf_free(c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("conf");
	TCase *t = tcase_create("conf");
	tcase_add_test(t, refuses);
	tcase_add_test(t, refuses_too_many);
	tcase_add_test(t, takes_all_and_defaults);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
