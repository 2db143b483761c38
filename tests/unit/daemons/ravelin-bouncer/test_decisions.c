#include "daemons/ravelin-bouncer/decisions.h"
#include "tests/support/check_main.h"
#include <string.h>

static const char good[] = "{\"new\":[{\"duration\":\"3h59m1.5s\",\"id\":1,\"origin\":\"cscli\",\"scenario\":\"manual\",\"scope\":\"Ip\",\"type\":\"ban\","
			   "\"value\":\"192.0.2.7\"},{\"scope\":\"range\",\"value\":\"198.51.100.77/24\",\"type\":\"ban\",\"duration\":\"1m\",\"more\":{\"a\":[1,null]}},"
			   "{\"scope\":\"AS\",\"value\":\"64500\",\"type\":\"ban\",\"duration\":\"1m\"},{\"scope\":\"Ip\",\"value\":\"192.0.2.8\","
			   "\"type\":\"captcha\",\"duration\":\"1m\"},{\"scope\":\"Ip\",\"value\":\"nonsense\",\"type\":\"ban\",\"duration\":\"1m\"},"
			   "{\"scope\":\"Ip\",\"value\":\"2001:db8::7\",\"type\":\"ban\",\"duration\":\"-5m\"}],"
			   "\"deleted\":[{\"scope\":\"Ip\",\"value\":\"2001:db8::1\",\"type\":\"ban\",\"duration\":\"-1m2s\"}]}";

static int read_all(const char *text, size_t len, size_t step, size_t max, struct errbuf *e, struct decisions_reader **ret)
{
	struct decisions_reader *r = decisions_reader_new(max);
	int rc = 0;
	for (size_t i = 0; i < len && !rc; i += step)
		rc = decisions_feed(r, text + i, len - i < step ? len - i : step, e);
	if (!rc)
		rc = decisions_end(r, e);
	if (ret && !rc)
		*ret = r;
	else
		decisions_reader_free(r);
	return rc;
}

static int refused(const char *text)
{
	struct errbuf e = {""};
	int rc = read_all(text, strlen(text), 7, 100, &e, NULL);
	ck_assert_msg(!rc == !e.text[0], "%s: %s", text, e.text);
	return rc;
}

START_TEST(refuses_what_is_no_answer)
{
	static const char *const bad[] = {"", "[]", "null", "7", "\"new\"", "{}", "{\"new\":null}", "{\"deleted\":[]}", "{\"new\":{},\"deleted\":null}",
		"{\"new\":[[]],\"deleted\":null}", "{\"new\":[7],\"deleted\":null}", "{\"new\":[\"x\"],\"deleted\":null}", "{\"new\":[null],\"deleted\":null}",
		"{\"new\":true,\"deleted\":null}", "{\"new\":\"x\",\"deleted\":null}", "{\"new\":null,\"deleted\":null", "{\"new\":null,\"deleted\":null}}",
		"{\"new\":null,\"deleted\":null} x", "{\"new\":null,\"new\":null,\"deleted\":null}", "{\"new\":null,\"deleted\":null,\"deleted\":null}",
		"{\"new\":null,\"deleted\":null,\"x\":[[[[[[[[[[1]]]]]]]]]]}", "<html>", "{\"new\":[{\"value\":\"\xff\"}],\"deleted\":null}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(refused(bad[i]) == -EINVAL, "%s", bad[i]);
}
END_TEST

START_TEST(refuses_every_truncation)
{
	struct errbuf e;
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		ck_assert_int_eq(read_all(good, n, 16, 100, &e, NULL), -EINVAL);
}
END_TEST

START_TEST(refuses_too_many)
{
	struct errbuf e;
	ck_assert_int_eq(read_all(good, strlen(good), 16, 1, &e, NULL), -E2BIG);
}
END_TEST

START_TEST(reads_in_any_pieces)
{
	for (size_t step = 1; step < sizeof(good); step++) {
		struct decisions_reader *r = NULL;
		struct errbuf e = {""};
		char text[PREFIX_TEXT_MAX];
		ck_assert_msg(!read_all(good, strlen(good), step, 100, &e, &r), "%s", e.text);
		const struct decisions *d = decisions_of(r);
		ck_assert_uint_eq(d->added.n, 2);
		ck_assert_uint_eq(d->removed.n, 1);
		ck_assert(d->other_scope == 1 && d->other_type == 1 && d->unreadable == 1);
		ck_assert_str_eq(prefix_text(&d->added.v[0].source, text), "192.0.2.7/32");
		ck_assert_uint_eq(d->added.v[0].life_us, (3ull * 3600 + 59 * 60 + 1) * 1000000 + 500000);
		ck_assert_str_eq(prefix_text(&d->added.v[1].source, text), "198.51.100.0/24");
		ck_assert_str_eq(prefix_text(&d->removed.v[0].source, text), "2001:db8::1/128");
		decisions_reader_free(r);
	}
}
END_TEST

START_TEST(takes_empty_lists)
{
	ck_assert_int_eq(refused("{\"new\":null,\"deleted\":null}"), 0);
	ck_assert_int_eq(refused(" {\"deleted\":[],\"new\":[],\"more\":7}\n"), 0);
}
END_TEST

START_TEST(counts_what_cannot_be_read)
{
	static const char *const rows[] = {"{\"scope\":\"Ip\",\"value\":\"192.0.2.0/24\",\"type\":\"ban\",\"duration\":\"1m\"}",
		"{\"scope\":\"Range\",\"value\":\"192.0.2.0/33\",\"type\":\"ban\",\"duration\":\"1m\"}",
		"{\"scope\":\"Range\",\"value\":\"192.0.2.0/\",\"type\":\"ban\",\"duration\":\"1m\"}",
		"{\"scope\":\"Range\",\"value\":\"192.0.2.0/2x\",\"type\":\"ban\",\"duration\":\"1m\"}",
		"{\"scope\":\"Ip\",\"value\":\"192.0.2.1\\u0000x\",\"type\":\"ban\",\"duration\":\"1m\"}", "{\"scope\":\"Ip\",\"value\":\"192.0.2.1\",\"type\":\"ban\"}",
		"{\"scope\":\"Ip\",\"value\":\"192.0.2.1\",\"type\":\"ban\",\"duration\":\"soon\"}", "{\"scope\":\"Ip\",\"value\":{},\"type\":\"ban\",\"duration\":\"1m\"}",
		"{\"scope\":\"Ip\",\"value\":\"0000000000000000000000000000000000000000000000000000000000000000000000000192.0.2.1\",\"type\":\"ban\",\"duration\":\"1m\"}"};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[512];
		struct decisions_reader *r = NULL;
		struct errbuf e = {""};
		(void)snprintf(text, sizeof(text), "{\"new\":[%s],\"deleted\":[%s]}", rows[i], rows[i]);
		ck_assert_int_eq(read_all(text, strlen(text), 5, 100, &e, &r), 0);
		ck_assert_msg(decisions_of(r)->unreadable == 1 && !decisions_of(r)->added.n, "%s", rows[i]);
		decisions_reader_free(r);
	}
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		uint64_t us;
	} ok[] = {{"0", 0}, {"0s", 0}, {"1h", 3600000000}, {"1h1m1s", 3661000000}, {"1.5s", 1500000}, {"250ms", 250000}, {"7us", 7}, {"7\xc2\xb5s", 7},
		{"2000ns", 2}, {"-4h", 0}, {"87600h", 315360000000000ull}};
	static const char *const bad[] = {"", "-", "h", "1", "1x", "1h ", " 1h", "1h-1m", ".s", "1h1"};
	uint64_t us;
	for (size_t i = 0; i < sizeof(ok) / sizeof(*ok); i++) {
		ck_assert_msg(duration_parse(ok[i].text, &us), "%s", ok[i].text);
		ck_assert_msg(us == ok[i].us, "%s: %llu", ok[i].text, (unsigned long long)us);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!duration_parse(bad[i], &us), "%s", bad[i]);
	ck_assert(duration_parse("99999999999999999999999999h", &us) && us == 100ull * 366 * 24 * 3600 * 1000000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("decisions");
	TCase *c = tcase_create("decisions");
	tcase_add_test(c, refuses_what_is_no_answer);
	tcase_add_test(c, refuses_every_truncation);
	tcase_add_test(c, refuses_too_many);
	tcase_add_test(c, reads_in_any_pieces);
	tcase_add_test(c, takes_empty_lists);
	tcase_add_test(c, counts_what_cannot_be_read);
	tcase_add_test(c, durations);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
