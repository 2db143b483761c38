#include "daemons/rpcbindD/zone.h"
#include "tests/unit/daemons/rpcbindD/labels.h"

static int add(struct zone_table *t, const char *prefix, const char *name)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(prefix, &p), 0);
	return zone_add(t, &p, name);
}

static const char *find(const struct zone_table *t, const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	const char *z = zone_find(t, &a);
	return z ? z : "none";
}

START_TEST(names_and_limits)
{
	static const char *const bad[] = {"", "1ZONE", "TOOLONGNAME", "A.B", "A B", "A*", "Z\xc3\xa4"};
	struct zone_table t = {0};
	struct prefix p = {.addr = {.family = 4}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(add(&t, "10.0.0.0/8", bad[i]), -EINVAL);
	ck_assert_int_eq(zone_add(&t, &(struct prefix){0}, "UNSET"), -EINVAL);
	ck_assert_int_eq(add(&t, "10.0.0.0/8", "eight#@$"), 0);
	ck_assert_int_eq(add(&t, "10.0.0.0/8", "OTHER"), -EEXIST);
	ck_assert_str_eq(find(&t, "10.1.1.1"), "EIGHT#@$");
	for (unsigned i = 1; i < ZONE_MAX; i++) {
		p.len = 32;
		p.addr.b[2] = (uint8_t)(i >> 8);
		p.addr.b[3] = (uint8_t)i;
		ck_assert_int_eq(zone_add(&t, &p, "HOST"), 0);
	}
	ck_assert_int_eq(add(&t, "11.0.0.0/8", "MORE"), -ENOSPC);
	zone_free(&t);
	ck_assert_str_eq(find(&t, "10.1.1.1"), "none");
}
END_TEST

START_TEST(longest_prefix_decides)
{
	struct zone_table t = {0};
	ck_assert_int_eq(add(&t, "10.0.0.0/8", "WIDE"), 0);
	ck_assert_int_eq(add(&t, "10.2.0.0/16", "MIDDLE"), 0);
	ck_assert_int_eq(add(&t, "10.2.3.4", "HOST"), 0);
	ck_assert_int_eq(add(&t, "2001:db8::/32", "SIX"), 0);
	ck_assert_str_eq(find(&t, "10.9.9.9"), "WIDE");
	ck_assert_str_eq(find(&t, "10.2.9.9"), "MIDDLE");
	ck_assert_str_eq(find(&t, "10.2.3.4"), "HOST");
	ck_assert_str_eq(find(&t, "::ffff:10.2.3.4"), "HOST");
	ck_assert_str_eq(find(&t, "2001:db8::1"), "SIX");
	ck_assert_str_eq(find(&t, "2001:db9::1"), "none");
	ck_assert_str_eq(find(&t, "11.0.0.1"), "none");
	ck_assert_int_eq(add(&t, "0.0.0.0/0", "WORLD"), 0);
	ck_assert_str_eq(find(&t, "11.0.0.1"), "WORLD");
	ck_assert_str_eq(find(&t, "10.2.3.4"), "HOST");
	ck_assert_str_eq(find(&t, "2001:db9::1"), "none");
	zone_free(&t);
}
END_TEST

START_TEST(label_is_the_profiles)
{
	struct saf_box b;
	struct zone_table t = {0};
	char label[SAF_USER_MAX] = "same";
	struct addr a;
	box_labels(&b, "SETROPTS MLACTIVE(FAILURES)");
	ck_assert_int_eq(add(&t, "192.0.2.0/24", "SECZONE"), 0);
	ck_assert_int_eq(add(&t, "198.51.100.0/24", "BARE"), 0);
	ck_assert_int_eq(add(&t, "203.0.113.0/24", "UNKNOWN"), 0);
	static const char *const without[] = {"198.51.100.1", "203.0.113.1", "8.8.8.8"};
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(addr_parse(without[i], &a), 0);
		ck_assert_int_eq(zone_label(&t, b.saf, "SYS1", "TCPIP", &a, label), -ENOENT);
	}
	ck_assert_str_eq(label, "same");
	ck_assert_int_eq(addr_parse("192.0.2.7", &a), 0);
	ck_assert_int_eq(zone_label(&t, b.saf, "SYS2", "TCPIP", &a, label), -ENOENT);
	ck_assert_int_eq(zone_label(&t, b.saf, "SYS1", "TCPIP", &a, label), 0);
	ck_assert_str_eq(label, "SECRED");
	zone_free(&t);
	box_close(&b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("zone");
	TCase *t = tcase_create("zone");
	tcase_add_test(t, names_and_limits);
	tcase_add_test(t, longest_prefix_decides);
	tcase_add_test(t, label_is_the_profiles);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
