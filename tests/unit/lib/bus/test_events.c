/* Events: who may hear them, and what a subscriber learns of those it missed. */
#include "tests/unit/lib/bus/fixture.h"
#include <zmq.h>

struct heard {
	struct loop *loop;
	struct bus_subscriber *s;
	unsigned added, installed, other, beats, restarted;
	uint64_t lost, beat_lost, last_id, first_boot, boot;
};

static void on_event(void *arg, const struct bus_event_info *i, const void *body, size_t len)
{
	struct heard *h = arg;
	struct errbuf e;
	h->restarted += i->restarted;
	h->boot = i->boot_id;
	if (!h->first_boot)
		h->first_boot = i->boot_id;
	if (!body) {
		h->beats++;
		h->beat_lost += i->lost;
		return;
	}
	h->lost += i->lost;
	if (!strcmp(i->topic, "defmgr.filter.added")) {
		h->added++;
		ProtobufCMessage *m = bus_unpack(&defmgr__filter_event__descriptor, body, len, &e);
		ck_assert_ptr_nonnull(m);
		h->last_id = ((Defmgr__FilterEvent *)m)->filter->id;
		bus_unpack_free(m);
	} else if (!strcmp(i->topic, "defmgr.stack.installed")) {
		h->installed++;
	} else {
		h->other++;
	}
}

static void listen_to(struct heard *h, const char *topic)
{
	const char *topics[] = {topic, NULL};
	*h = (struct heard){.loop = loop_new()};
	h->s = bus_subscriber_new(h->loop, "testD", topics, on_event, h);
}

static void hear(struct heard *h, unsigned ms)
{
	for (uint64_t end = loop_now_ms() + ms; loop_now_ms() < end;)
		(void)loop_run_once(h->loop, 20);
}

static void hear_added(struct heard *h, unsigned n)
{
	for (uint64_t end = loop_now_ms() + 8000; h->added < n && loop_now_ms() < end;)
		(void)loop_run_once(h->loop, 20);
}

static void stop(struct heard *h)
{
	bus_subscriber_free(h->s);
	loop_free(h->loop);
}

START_TEST(events_arrive_in_order_with_nothing_lost)
{
	struct heard h;
	server_start();
	listen_to(&h, "");
	hear(&h, 300);
	ck_assert_int_eq(publish(100), BUS_OK);
	ck_assert_int_eq(publish(100), BUS_OK);
	hear_added(&h, 200);
	hear(&h, 100);
	ck_assert_uint_eq(h.added, 200);
	ck_assert_uint_eq(h.last_id, 100);
	ck_assert_uint_eq(h.installed, 2);
	ck_assert_uint_eq(h.lost + h.beat_lost + h.restarted, 0);
	stop(&h);
}
END_TEST

START_TEST(publishers_start_is_heard_by_heartbeat)
{
	struct heard h;
	server_start();
	listen_to(&h, "defmgr.filter.added");
	hear(&h, 1600);
	ck_assert_uint_eq(h.beats, 1);
	ck_assert_uint_ne(h.boot, 0);
	stop(&h);
}
END_TEST

/* Runs as OTHER with SAF rules that differ by test; the count of what came is the exit status. */
static struct heard other;
static const char *other_topic = "";

static bool hears_only_stack(void)
{
	listen_to(&other, other_topic);
	hear(&other, 1500);
	return other.installed && !other.added && !other.other;
}

static bool hears_nothing(void)
{
	listen_to(&other, other_topic);
	hear(&other, 1500);
	return !other.installed && !other.added && !other.other && !other.beats;
}

static void publisher_loop(void)
{
	for (unsigned i = 0; i < 40; i++) {
		(void)publish(5);
		(void)usleep(50000);
	}
}

static bool in_background(bool (*fn)(void))
{
	pid_t pid = fork();
	if (!pid) {
		publisher_loop();
		_exit(0);
	}
	bool r = as_uid(OTHER, fn);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return r;
}

START_TEST(unauthorised_subscriber_hears_nothing)
{
	server_start();
	ck_assert(in_background(hears_nothing));
	ck_assert_uint_gt(counter("subscriptions_refused"), 0);
	ck_assert(audit_has("\"resource\":\"T.FILTER.EVENTS\""));
	other_topic = "defmgr.filter.added";
	ck_assert(in_background(hears_nothing));
	other_topic = "";
}
END_TEST

START_TEST(prefix_grants_exactly_what_is_permitted)
{
	fake_saf_rule(OTHER, "T.STACK.EVENTS", true);
	fake_saf_rule(OTHER, "T.FILTER.EVENTS", false);
	server_start();
	ck_assert(in_background(hears_only_stack));
}
END_TEST

START_TEST(withdrawn_permission_ends_the_subscription)
{
	struct heard h;
	server_start();
	listen_to(&h, "");
	hear(&h, 300);
	ck_assert_int_eq(publish(3), BUS_OK);
	hear_added(&h, 3);
	ck_assert_uint_eq(h.added, 3);
	fake_saf_rule(0, "T.FILTER.EVENTS", false);
	ck_assert_int_eq(publish(3), BUS_OK);
	hear(&h, 600);
	ck_assert_int_eq(publish(3), BUS_OK);
	hear(&h, 300);
	ck_assert_uint_eq(h.added, 3);
	ck_assert_uint_gt(h.installed, 1);
	fake_saf_rule(0, "T.FILTER.EVENTS", true); /* and one that is given again is heard without subscribing again */
	hear(&h, 2500);
	ck_assert_int_eq(publish(3), BUS_OK);
	hear_added(&h, 6);
	ck_assert_uint_eq(h.added, 6);
	ck_assert_uint_ge(h.lost + h.beat_lost, 6);
	stop(&h);
}
END_TEST

START_TEST(lost_tail_is_seen_by_the_heartbeat)
{
	struct heard h;
	server_start();
	listen_to(&h, "");
	hear(&h, 300);
	ck_assert_int_eq(publish(2), BUS_OK);
	hear_added(&h, 2);
	/* The connection is cut while events are sent: nothing follows them but the heartbeat. */
	fake_saf_rule(0, "T.STACK.EVENTS", false);
	ck_assert_int_eq(publish(7), BUS_OK);
	hear(&h, 2500);
	ck_assert_uint_eq(h.added, 2);
	ck_assert_uint_eq(h.lost, 0);
	ck_assert_uint_ge(h.beat_lost, 7);
	stop(&h);
}
END_TEST

START_TEST(restart_is_told_once)
{
	struct heard h;
	server_start();
	listen_to(&h, "");
	hear(&h, 300);
	ck_assert_int_eq(publish(2), BUS_OK);
	hear_added(&h, 2);
	server_stop(SIGKILL);
	server_start();
	ck_assert_int_eq(publish(4), BUS_OK); /* before the subscriber is back: counted as lost later */
	hear(&h, 1500);
	ck_assert_int_eq(publish(4), BUS_OK);
	hear_added(&h, 6);
	hear(&h, 100);
	ck_assert_uint_eq(h.restarted, 1);
	ck_assert_uint_ne(h.boot, h.first_boot);
	ck_assert_uint_ge(h.added + h.lost + h.beat_lost, 2 + 8);
	stop(&h);
}
END_TEST

/* 30,000 events of which this one reads none until the end: it learns how many it missed; the publisher took no longer. */
START_TEST(slow_subscriber_sees_its_loss_and_hurts_nobody)
{
	struct heard slow, quick;
	void *ctx = zmq_ctx_new(), *deaf = zmq_socket(ctx, ZMQ_SUB);
	char address[PATH_TEXT_MAX + 8], path[PATH_TEXT_MAX];
	int small = 10, ms = 200;
	server_start();
	zmq_setsockopt(deaf, ZMQ_RCVHWM, &small, sizeof(small));
	zmq_setsockopt(deaf, ZMQ_SUBSCRIBE, "", 0);
	(void)snprintf(address, sizeof(address), "ipc://%s", path_make(path, "/run/ravelin/testD/events"));
	zmq_connect(deaf, address);
	listen_to(&slow, "");
	slow.other = 0;
	listen_to(&quick, "");
	hear(&quick, 300);
	hear(&slow, 100);
	for (unsigned i = 0; i < 30; i++) {
		ck_assert_int_eq(publish(1000), BUS_OK);
		hear_added(&quick, (i + 1) * 1000);
	}
	ck_assert_uint_eq(quick.added, 30000);
	ck_assert_uint_eq(quick.lost + quick.beat_lost, 0);
	zmq_setsockopt(deaf, ZMQ_RCVTIMEO, &ms, sizeof(ms));
	uint64_t got = 0, seq = 0, missed = 0;
	char topic[64];
	uint8_t header[256], body[256];
	for (int n; (n = zmq_recv(deaf, topic, sizeof(topic), 0)) >= 0;) {
		int hn = zmq_recv(deaf, header, sizeof(header), 0);
		(void)zmq_recv(deaf, body, sizeof(body), 0);
		Common__EventHeader *eh = common__event_header__unpack(NULL, (size_t)hn, header);
		ck_assert_ptr_nonnull(eh);
		if (n == 19) {
			missed += seq ? eh->seq - seq - 1 : 0;
			seq = eh->seq;
			got++;
		}
		common__event_header__free_unpacked(eh, NULL);
		if (got % 1000 == 1)
			(void)publish(1);
		if (missed)
			break;
	}
	ck_assert_uint_gt(missed, 0);
	zmq_close(deaf);
	zmq_ctx_term(ctx);
	stop(&slow);
	stop(&quick);
}
END_TEST

/* XPUB keeps "who asked" beside the frames: one that is no subscription takes the place of the next one's. */
static bool shifts_the_queue(void)
{
	char address[PATH_TEXT_MAX + 8], path[PATH_TEXT_MAX], topic[64];
	int ms = 3000, zero = 0;
	void *ctx = zmq_ctx_new(), *x = zmq_socket(ctx, ZMQ_XSUB);
	(void)snprintf(address, sizeof(address), "ipc://%s", path_make(path, "/run/ravelin/testD/events"));
	zmq_setsockopt(x, ZMQ_RCVTIMEO, &ms, sizeof(ms));
	zmq_setsockopt(x, ZMQ_LINGER, &zero, sizeof(zero));
	zmq_connect(x, address);
	for (unsigned i = 0; i < 300; i++) {
		zmq_send(x, "user message", 12, 0);
		zmq_send(x, "\1", 1, 0);
		(void)usleep(5000);
	}
	return zmq_recv(x, topic, sizeof(topic), 0) < 0;
}

START_TEST(stranger_cannot_take_anothers_grant)
{
	struct heard h;
	server_start();
	pid_t publisher = fork();
	if (!publisher) {
		publisher_loop();
		_exit(0);
	}
	pid_t pid = fork();
	if (!pid)
		_exit(as_uid(OTHER, shifts_the_queue) ? 0 : 1);
	for (unsigned i = 0; i < 60; i++) { /* the privileged one subscribes again and again meanwhile */
		listen_to(&h, "");
		hear(&h, 40);
		stop(&h);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)kill(publisher, SIGKILL);
	(void)waitpid(publisher, NULL, 0);
	ck_assert_uint_gt(counter("malformed"), 0);
	listen_to(&h, ""); /* and the bus still works */
	hear(&h, 1500);
	ck_assert_int_eq(publish(3), BUS_OK);
	hear_added(&h, 3);
	ck_assert_uint_ge(h.added, 3);
	stop(&h);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus events");
	TCase *t = tcase_create("events");
	tcase_add_checked_fixture(t, bus_setup, bus_teardown);
	tcase_set_timeout(t, 40);
	tcase_add_test(t, events_arrive_in_order_with_nothing_lost);
	tcase_add_test(t, publishers_start_is_heard_by_heartbeat);
	tcase_add_test(t, unauthorised_subscriber_hears_nothing);
	tcase_add_test(t, prefix_grants_exactly_what_is_permitted);
	tcase_add_test(t, withdrawn_permission_ends_the_subscription);
	tcase_add_test(t, lost_tail_is_seen_by_the_heartbeat);
	tcase_add_test(t, restart_is_told_once);
	tcase_add_test(t, slow_subscriber_sees_its_loss_and_hurts_nobody);
	tcase_add_test(t, stranger_cannot_take_anothers_grant);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
