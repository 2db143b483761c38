/* The command line of every daemon: what is refused, and what arrives where. */
#include "lib/daemon/args.h"
#include "tests/support/check_main.h"
#include <string.h>

static const struct daemon_spec plain = {.name = "plainD", .summary = "a test", .conf_path = "p.conf"};
static const struct daemon_spec instanced = {.name = "inst", .summary = "a test", .instanced = true};

static struct args parse(const struct daemon_spec *spec, const char *line)
{
	static char copy[512];
	char *argv[16] = {(char *)"x"};
	int argc = 1;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *p = strtok(copy, " "); p && argc < 15; p = strtok(NULL, " "))
		argv[argc++] = p;
	struct args a;
	args_parse(spec, argc, argv, &a);
	return a;
}

START_TEST(refusals)
{
	static const char *const bad[] = {"--nonsense", "--root", "--log-level loud", "--config", "operand", "--check=1", "-r x"};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_int_eq(parse(&plain, bad[i]).mode, ARGS_USAGE);
	static const char *const bad_instances[] = {"", "A B", "left", "../etc", "TOOLONGNA", "A.B", "A/B", "%S", "--check"};
	for (unsigned i = 0; i < sizeof(bad_instances) / sizeof(*bad_instances); i++)
		ck_assert_int_eq(parse(&instanced, bad_instances[i]).mode, ARGS_USAGE);
	char root[200] = "--root ";
	memset(root + 7, 'r', 160);
	ck_assert_int_eq(parse(&plain, root).mode, ARGS_USAGE);
	root[7 + 159] = '\0';
	ck_assert_int_eq(parse(&plain, root).mode, ARGS_RUN);
}
END_TEST

START_TEST(values_arrive)
{
	struct args a = parse(&plain, "");
	ck_assert_int_eq(a.mode, ARGS_RUN);
	ck_assert_int_eq(a.log_level, LOG_L_INFO);
	ck_assert_ptr_null(a.root);
	a = parse(&plain, "--root /x --config /c --user nobody --log-level debug");
	ck_assert_str_eq(a.root, "/x");
	ck_assert_str_eq(a.config, "/c");
	ck_assert_str_eq(a.user, "nobody");
	ck_assert_int_eq(a.log_level, LOG_L_DEBUG);
	a = parse(&instanced, "TCPCS --check");
	ck_assert_int_eq(a.mode, ARGS_CHECK);
	ck_assert_str_eq(a.instance, "TCPCS");
	ck_assert_int_eq(parse(&instanced, "--print-defaults").mode, ARGS_PRINT_DEFAULTS);
	ck_assert_int_eq(parse(&instanced, "--print-mdoc").mode, ARGS_PRINT_MDOC);
	ck_assert_int_eq(parse(&plain, "--version --nonsense").mode, ARGS_DONE);
	ck_assert_int_eq(parse(&plain, "--help").mode, ARGS_DONE);
}
END_TEST

START_TEST(instances)
{
	ck_assert(args_instance_ok("A"));
	ck_assert(args_instance_ok("TCPCS#1@"));
	ck_assert(!args_instance_ok(""));
	ck_assert(!args_instance_ok("A-B"));
	ck_assert(!args_instance_ok("A\n"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("args");
	TCase *c = tcase_create("args");
	tcase_add_test(c, refusals);
	tcase_add_test(c, values_arrive);
	tcase_add_test(c, instances);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
