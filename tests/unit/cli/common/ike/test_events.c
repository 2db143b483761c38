/* cli/common/events.c against ikeD's event list. */
#include "cli/common/cli.h"
#include "tests/support/check_main.h"

extern const struct bus_event iked_events[];

START_TEST(types_are_those_of_ikeD)
{
	unsigned n = 0;
	for (const struct bus_event *ev = iked_events; ev->topic; ev++, n++)
		ck_assert_msg(cli_event_type(ev->topic) == ev->body, "%s", ev->topic);
	ck_assert_uint_gt(n, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("cli stack events");
	TCase *t = tcase_create("events");
	tcase_add_test(t, types_are_those_of_ikeD);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
