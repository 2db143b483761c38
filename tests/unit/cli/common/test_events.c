/* cli/common/events.c says again what the daemons' event lists say: this holds it against defmgrD's. */
#include "cli/common/cli.h"
#include "proto/common.pb-c.h"
#include "tests/support/check_main.h"

extern const struct bus_event dm_events[];

static void held_against(const struct bus_event *list)
{
	unsigned n = 0;
	for (; list->topic; list++, n++)
		ck_assert_msg(cli_event_type(list->topic) == list->body, "%s", list->topic);
	ck_assert_uint_gt(n, 0);
}

START_TEST(types_are_those_of_defmgrD)
{
	held_against(dm_events);
}
END_TEST

START_TEST(every_daemon_has_these)
{
	ck_assert_ptr_eq(cli_event_type("any.heartbeat"), &common__heartbeat__descriptor);
	ck_assert_ptr_eq(cli_event_type("any.conf.rejected"), &common__conf_rejected__descriptor);
	ck_assert_ptr_eq(cli_event_type("any.conf.loaded"), &common__conf_loaded__descriptor);
}
END_TEST

START_TEST(unknown_topic_has_no_type)
{
	static const char *const none[] = {"", ".", "heartbeat", "defmgr", "defmgr.", "xdefmgr.filter.added", "stack", "conf.loaded.x"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ck_assert_ptr_null(cli_event_type(none[i]));
}
END_TEST

START_TEST(text_of_peers_is_made_safe)
{
	ck_assert_str_eq(cli_safe("a\x1b[31mb\n\x7f"), "a?[31mb??");
	ck_assert_str_eq(cli_safe(NULL), "");
	ck_assert_int_eq(cli_exit_of(BUS_OK), 0);
	ck_assert_int_eq(cli_exit_of(BUS_NOT_FOUND), 1);
	ck_assert_int_eq(cli_exit_of(BUS_NOT_AUTHORIZED), 3);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("cli events");
	TCase *t = tcase_create("events");
	tcase_add_test(t, types_are_those_of_defmgrD);
	tcase_add_test(t, every_daemon_has_these);
	tcase_add_test(t, unknown_topic_has_no_type);
	tcase_add_test(t, text_of_peers_is_made_safe);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
