/* What a table says about itself must be true: the default file parses, and parses to the defaults. */
#include "tests/unit/lib/conf/sample.h"

static struct conf *printed(const struct conf_spec *spec, char **ret_text)
{
	size_t len = 0;
	FILE *f = open_memstream(ret_text, &len);
	conf_print_defaults(spec, f);
	fclose(f);
	struct conf *c;
	int rc = conf_parse(spec, "defaults", *ret_text, len, &c);
	ck_assert_msg(!rc, "%s in:\n%s", conf_error(c, 0), *ret_text);
	return c;
}

START_TEST(defaults_parse_again)
{
	char *text;
	struct conf *c = printed(&dm_spec, &text);
	struct conf_node *g = conf_top(c, "DmConfig");
	ck_assert_uint_eq(conf_uint(conf_child(g, "SyslogLevel"), "mask"), 7);
	ck_assert_str_eq(conf_str(conf_child(g, "DefensiveFilterDirectory"), "path"), "/var/dm/filters");
	ck_assert_ptr_null(conf_top(c, "DmStackConfig")); /* only shown */
	ck_assert_ptr_nonnull(strstr(text, "# DmStackConfig EXAMPLES\n# {\n"));
	ck_assert_ptr_nonnull(strstr(text, "Mask of messages."));
	conf_free(c);
	free(text);
	c = printed(&profile_spec, &text);
	ck_assert_ptr_nonnull(conf_top(c, "IPCONFIG"));
	ck_assert_ptr_nonnull(conf_top(c, "IPSEC"));
	ck_assert_ptr_null(conf_top(c, "PORT"));
	ck_assert_ptr_nonnull(strstr(text, "; PORT num TCP|UDP jobname [SHAREPort] [NOAUTOLog] [BIND value] [SAF value]\n"));
	conf_free(c);
	free(text);
	conf_free(printed(&policy_spec, &text));
	free(text);
}
END_TEST

static const struct conf_stmt must_children[] = {
	{"Level", (const struct conf_operand[]){{"n", CONF_UINT, .min = 3, .max = 9}, {0}}, .flags = CONF_REQUIRED},
	{"Odd", (const struct conf_operand[]){{"text", CONF_STRING, .dflt = "a b # c"}, {0}}},
	{0},
};
static const struct conf_stmt must_stmts[] = {
	{"Must", (const struct conf_operand[]){{"name", CONF_NAME, .max = 4}, {"a", CONF_PREFIX}, {"k", CONF_HEX, .min = 2, .max = 8}, {0}},
		must_children, .flags = CONF_BLOCK | CONF_REQUIRED},
	{0},
};
static const struct conf_spec must_spec = {"x", CONF_POLICY, must_stmts};

/* What must be there has a sample value of its type and length. */
START_TEST(required_statements_have_samples)
{
	char *text;
	struct conf *c = printed(&must_spec, &text);
	struct conf_node *m = conf_top(c, "Must");
	ck_assert_str_eq(conf_str(m, "name"), "EXAM");
	ck_assert_str_eq(conf_str(m, "k"), "0000");
	ck_assert_uint_eq(conf_uint(conf_child(m, "Level"), "n"), 3);
	ck_assert_str_eq(conf_str(conf_child(m, "Odd"), "text"), "a b # c");
	conf_free(c);
	free(text);
}
END_TEST

START_TEST(mdoc_lists_every_statement)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	conf_print_mdoc(&profile_spec, f);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(text, ".It Ic \"PORT UNRSV\" Cm \"TCP|UDP\" Ar \"jobname\""));
	ck_assert_ptr_nonnull(strstr(text, ".It Ic \"IPSECRule\""));
	ck_assert_ptr_nonnull(strstr(text, "default LOGDISable"));
	unsigned open = 0, closed = 0;
	for (char *p = text; (p = strstr(p, "\n.Bl")); p++)
		open++;
	for (char *p = text; (p = strstr(p, "\n.El")); p++)
		closed++;
	ck_assert_uint_eq(open + 1, closed); /* the first .Bl begins the text */
	free(text);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("conf_print");
	TCase *c = tcase_create("print");
	tcase_add_test(c, defaults_parse_again);
	tcase_add_test(c, required_statements_have_samples);
	tcase_add_test(c, mdoc_lists_every_statement);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
