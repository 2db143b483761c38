/* Is a daemon there, and which run of it: silent, seen, silent again, seen as another run. */
#include "tests/unit/lib/bus/fixture.h"

struct heard {
	struct loop *loop;
	struct bus_pulse *pulse;
	unsigned seen, silent, events;
	uint64_t boot_id;
};

static void on_seen(void *arg, uint64_t boot_id)
{
	struct heard *h = arg;
	h->seen++;
	h->boot_id = boot_id;
}

static void on_silent(void *arg)
{
	((struct heard *)arg)->silent++;
}

static void on_heard(void *arg, const struct bus_event_info *info, const void *body, size_t len)
{
	struct heard *h = arg;
	(void)body, (void)len;
	ck_assert_uint_eq(h->boot_id, info->boot_id); /* it was seen first */
	h->events++;
}

static struct heard h;

static void setup(void)
{
	static const char *const topics[] = {"defmgr.filter.added", "defmgr.heartbeat", NULL};
	char name[] = "testD";
	const struct bus_pulse_spec spec = {name, topics, 300, on_seen, on_silent, on_heard, &h};
	bus_setup();
	h = (struct heard){.loop = loop_new()};
	h.pulse = bus_pulse_new(h.loop, &spec);
	name[0] = 0; /* borrowed for the call */
}

static void teardown(void)
{
	bus_pulse_free(h.pulse);
	loop_free(h.loop);
	bus_teardown();
}

static bool until(const unsigned *what, unsigned n, bool ask)
{
	for (uint64_t end = loop_now_ms() + 20000; *what < n && loop_now_ms() < end;) {
		if (ask)
			bus_pulse_ask(h.pulse);
		(void)loop_run_once(h.loop, 20);
	}
	return *what >= n;
}

START_TEST(who_is_not_there_is_silent)
{
	ck_assert(until(&h.silent, 2, true));
	ck_assert_uint_eq(h.seen, 0);
}
END_TEST

START_TEST(another_run_has_another_boot_id)
{
	server_start();
	ck_assert(until(&h.seen, 1, true));
	uint64_t first = h.boot_id;
	ck_assert_uint_ne(first, 0);
	server_stop(SIGKILL);
	h.silent = 0;
	ck_assert(until(&h.silent, 1, true));
	h.seen = 0;
	server_start();
	ck_assert(until(&h.seen, 1, true));
	ck_assert_uint_ne(h.boot_id, first);
}
END_TEST

/* Nobody asks: events are enough. */
START_TEST(events_are_signs_of_life)
{
	server_start();
	ck_assert(until(&h.events, 1, false));
	ck_assert_uint_gt(h.seen, 0);
	ck_assert_uint_eq(h.silent, 0);
}
END_TEST

START_TEST(asking_twice_asks_once)
{
	for (unsigned i = 0; i < 100; i++)
		bus_pulse_ask(h.pulse);
	ck_assert(until(&h.silent, 1, false));
	(void)loop_run_once(h.loop, 50);
	ck_assert_uint_eq(h.silent, 1);
}
END_TEST

START_TEST(the_connection_is_for_other_calls_too)
{
	Defmgr__AddRequest r = DEFMGR__ADD_REQUEST__INIT;
	struct errbuf e;
	ProtobufCMessage *m = NULL;
	server_start();
	ck_assert_int_eq(bus_client_call_sync(bus_pulse_client(h.pulse), "defmgr.Add", &r.base, &defmgr__add_reply__descriptor, 20000, &m, &e),
		BUS_OK);
	protobuf_c_message_free_unpacked(m, NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus pulse");
	TCase *t = tcase_create("pulse");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, who_is_not_there_is_silent);
	tcase_add_test(t, another_run_has_another_boot_id);
	tcase_add_test(t, events_are_signs_of_life);
	tcase_add_test(t, asking_twice_asks_once);
	tcase_add_test(t, the_connection_is_for_other_calls_too);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
