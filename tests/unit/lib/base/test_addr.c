#include "lib/base/addr.h"
#include "lib/base/json.h"
#include "tests/support/check_main.h"
#include <errno.h>
#include <string.h>

START_TEST(refuses_what_is_no_prefix)
{
	static const struct {
		const char *text;
		int rc;
	} bad[] = {{"", -EINVAL}, {"10.0.0", -EINVAL}, {"10.0.0.0/", -EINVAL}, {"10.0.0.0/33", -ERANGE}, {"::/129", -ERANGE},
		{"10.0.0.1/24", -EDOM}, {"10.0.0.0/+8", -EINVAL}, {"10.0.0.0/8 ", -EINVAL}, {"fe80::1%eth0", -EINVAL},
		{"10.0.0.0/0008", -EINVAL}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct prefix p = {.len = 77};
		ck_assert_int_eq(prefix_parse(bad[i].text, &p), bad[i].rc);
		ck_assert_uint_eq(p.len, 77);
	}
}
END_TEST

START_TEST(covers_by_bits)
{
	struct prefix p;
	struct addr a;
	char text[PREFIX_TEXT_MAX];
	ck_assert_int_eq(prefix_parse("10.128.0.0/9", &p), 0);
	ck_assert_int_eq(addr_parse("10.200.1.1", &a), 0);
	ck_assert(prefix_covers(&p, &a));
	ck_assert_int_eq(addr_parse("10.127.255.255", &a), 0);
	ck_assert(!prefix_covers(&p, &a));
	ck_assert_int_eq(addr_parse("::ffff:10.200.1.1", &a), 0);
	ck_assert(!prefix_covers(&p, &a));
	ck_assert_int_eq(prefix_parse("::/0", &p), 0);
	ck_assert(prefix_covers(&p, &a));
	ck_assert_str_eq(prefix_text(&p, text), "::/0");
}
END_TEST

START_TEST(json_escapes_and_repairs)
{
	struct json j;
	json_init(&j);
	json_open(&j, '{');
	json_kv_str(&j, "a", "q\"\\\n\x7f");
	json_key(&j, "b");
	json_open(&j, '[');
	json_u64(&j, 18446744073709551615ull);
	json_strn(&j, "\xff\xc3\xa9\xed\xa0\x80", 6);
	json_close(&j, ']');
	json_close(&j, '}');
	ck_assert_str_eq(j.buf, "{\"a\":\"q\\\"\\\\\\u000a\\u007f\",\"b\":[18446744073709551615,"
				"\"\\ufffd\xc3\xa9\\ufffd\\ufffd\\ufffd\"]}");
	json_fini(&j);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("addr");
	TCase *t = tcase_create("addr");
	tcase_add_test(t, refuses_what_is_no_prefix);
	tcase_add_test(t, covers_by_bits);
	tcase_add_test(t, json_escapes_and_repairs);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
