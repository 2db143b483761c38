#include "daemons/defmgrD/filter.h"
#include "tests/support/check_main.h"
#include <string.h>

static const char *name_of(const char *tag, const char *source)
{
	static char name[FILTER_NAME_MAX + 1];
	struct prefix p;
	ck_assert_int_eq(prefix_parse(source, &p), 0);
	filter_tag_name(tag, &p, name);
	ck_assert_msg(filter_name_ok(name), "%s", name);
	return name;
}

static bool is_of(const char *name, const char *tag)
{
	struct filter f = {0};
	(void)snprintf(f.name, sizeof(f.name), "%.32s", name);
	return filter_tagged(&f, tag);
}

START_TEST(refuses_tags)
{
	static const char *const bad[] = {"", "-a", "a:b", "a#b", "a b", "123456789012345678901234567890123"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!filter_tag_ok(bad[i]), "%s", bad[i]);
	ck_assert(filter_tag_ok("f2b-sshd") && filter_tag_ok("12345678901234567890123456789012"));
}
END_TEST

START_TEST(short_names_can_be_read)
{
	ck_assert_str_eq(name_of("cs", "192.0.2.7"), "cs:192.0.2.7");
	ck_assert_str_eq(name_of("cs", "192.0.2.7/32"), "cs:192.0.2.7");
	ck_assert_str_eq(name_of("cs", "192.0.2.0/24"), "cs:192.0.2.0-24");
	ck_assert_str_eq(name_of("cs", "2001:db8::1"), "cs:2001:db8::1");
	ck_assert_str_eq(name_of("cs", "2001:db8::/64"), "cs:2001:db8::-64");
}
END_TEST

START_TEST(long_names_differ_by_tag_and_source)
{
	static const char *const tags[] = {"cs", "f2b-postfix-sasl", "f2b-postfix-rbl", "12345678901234567890123456789012"};
	static const char *const sources[] = {"2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:6667",
		"2001:db8:1111:2222:3333:4444:5555:6666/127"};
	char names[12][FILTER_NAME_MAX + 1];
	for (unsigned t = 0; t < 4; t++)
		for (unsigned s = 0; s < 3; s++) {
			memcpy(names[t * 3 + s], name_of(tags[t], sources[s]), FILTER_NAME_MAX + 1);
			ck_assert_str_eq(names[t * 3 + s], name_of(tags[t], sources[s]));
			for (unsigned i = 0; i < t * 3 + s; i++)
				ck_assert_str_ne(names[i], names[t * 3 + s]);
			for (unsigned k = 0; k < 4; k++)
				ck_assert_int_eq(is_of(names[t * 3 + s], tags[k]), k == t);
		}
}
END_TEST

START_TEST(tags_do_not_swallow_each_other)
{
	ck_assert(is_of("cs:192.0.2.7", "cs"));
	ck_assert(!is_of("cs:192.0.2.7", "c"));
	ck_assert(!is_of("cs:192.0.2.7", "cs2"));
	ck_assert(!is_of("cs", "cs"));
	ck_assert(!is_of("cs#AAAAA1234567890123456789012345", "cs"));
	ck_assert(!is_of("", "cs"));
}
END_TEST

START_TEST(tells_what_matches_the_same)
{
	static const struct filter_limits limits = {1440, 0};
	Defmgr__Filter m = DEFMGR__FILTER__INIT;
	struct filter a, b;
	m.name = (char *)"x";
	m.source = (char *)"192.0.2.0/24";
	ck_assert_int_eq(filter_parse(&m, &limits, 1000000, &a, NULL), 0);
	m.has_lifetime_min = m.has_mode = true;
	m.lifetime_min = 5;
	m.mode = DEFMGR__FILTER__MODE__SIMULATE;
	ck_assert_int_eq(filter_parse(&m, &limits, 1000000, &b, NULL), 0);
	ck_assert(filter_same_match(&a, &b));
	m.source = (char *)"192.0.2.0/25";
	ck_assert_int_eq(filter_parse(&m, &limits, 1000000, &b, NULL), 0);
	ck_assert(!filter_same_match(&a, &b));
	m.source = (char *)"192.0.2.0/24";
	m.protocol = (char *)"tcp";
	ck_assert_int_eq(filter_parse(&m, &limits, 1000000, &b, NULL), 0);
	ck_assert(!filter_same_match(&a, &b));
	m.protocol = NULL;
	m.has_direction = true;
	m.direction = DEFMGR__FILTER__DIRECTION__INBOUND;
	ck_assert_int_eq(filter_parse(&m, &limits, 1000000, &b, NULL), 0);
	ck_assert(!filter_same_match(&a, &b));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tag");
	TCase *c = tcase_create("tag");
	tcase_add_test(c, refuses_tags);
	tcase_add_test(c, short_names_can_be_read);
	tcase_add_test(c, long_names_differ_by_tag_and_source);
	tcase_add_test(c, tags_do_not_swallow_each_other);
	tcase_add_test(c, tells_what_matches_the_same);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
