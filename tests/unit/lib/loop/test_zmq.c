/* The edge-trigger trap: 20,000 messages arrive while the same socket is used for sending, so that its descriptor's signal is
 * consumed again and again by somebody else. Without the rules of lib/loop/zmq.c this stalls after a few messages. */
#include "lib/loop/loop.h"
#include "tests/support/check_main.h"
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <zmq.h>

enum { MESSAGES = 20000 };

struct end {
	struct loop *loop;
	struct loop_zmq *watch;
	struct loop_timer *sender, *deadline;
	void *socket;
	unsigned got, sent, bursts, echoes;
	bool quit_at_first, late;
};

static void *flood(void *arg)
{
	void *ctx = arg;
	void *s = zmq_socket(ctx, ZMQ_DEALER);
	zmq_setsockopt(s, ZMQ_SNDHWM, &(int){0}, sizeof(int));
	zmq_setsockopt(s, ZMQ_RCVHWM, &(int){0}, sizeof(int));
	zmq_setsockopt(s, ZMQ_LINGER, &(int){-1}, sizeof(int));
	zmq_connect(s, "inproc://stall");
	char first;
	zmq_recv(s, &first, 1, 0); /* the other end sends by now: what follows meets its sends, however late this thread runs */
	for (unsigned i = 0; i < MESSAGES; i++)
		zmq_send(s, &i, sizeof(i), 0);
	zmq_close(s);
	return NULL;
}

static int on_message(void *arg)
{
	struct end *e = arg;
	unsigned n;
	if (zmq_recv(e->socket, &n, sizeof(n), ZMQ_DONTWAIT) != sizeof(n))
		return -1;
	ck_assert_uint_eq(n, e->got);
	e->got++;
	if (e->got % 7 == 0 && zmq_send(e->socket, "e", 1, ZMQ_DONTWAIT) == 1)
		e->echoes++; /* a send inside the handler */
	if (e->got == MESSAGES)
		loop_quit(e->loop);
	return 0;
}

static void on_idle(void *arg)
{
	struct end *e = arg;
	e->bursts++;
}

static void send_outside(void *arg)
{
	struct end *e = arg;
	for (int i = 0; i < 10; i++)
		if (zmq_send(e->socket, "x", 1, ZMQ_DONTWAIT) == 1)
			e->sent++;
	loop_zmq_touch(e->watch);
	loop_timer_set(e->sender, 0);
}

static void on_deadline(void *arg)
{
	struct end *e = arg;
	e->late = true;
	loop_quit(e->loop);
}

START_TEST(no_stall_while_other_sends_go_out)
{
	void *ctx = zmq_ctx_new();
	struct end e = {.loop = loop_new(), .socket = zmq_socket(ctx, ZMQ_DEALER)};
	zmq_setsockopt(e.socket, ZMQ_RCVHWM, &(int){0}, sizeof(int));
	zmq_setsockopt(e.socket, ZMQ_SNDHWM, &(int){0}, sizeof(int));
	zmq_setsockopt(e.socket, ZMQ_LINGER, &(int){0}, sizeof(int));
	ck_assert_int_eq(zmq_bind(e.socket, "inproc://stall"), 0);
	e.watch = loop_zmq_new(e.loop, e.socket, on_message, on_idle, &e);
	e.sender = loop_timer_new(e.loop, send_outside, &e);
	e.deadline = loop_timer_new(e.loop, on_deadline, &e);
	loop_timer_set(e.sender, 0);
	loop_timer_set(e.deadline, 20000);
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, flood, ctx), 0);
	ck_assert_int_eq(loop_run(e.loop), 0);
	pthread_join(thread, NULL);
	ck_assert(!e.late);
	ck_assert_uint_eq(e.got, MESSAGES);
	ck_assert_uint_gt(e.sent + e.echoes, 0);
	ck_assert_uint_gt(e.bursts, 0);
	loop_timer_free(e.sender);
	loop_timer_free(e.deadline);
	loop_zmq_free(e.watch);
	zmq_close(e.socket);
	zmq_ctx_term(ctx);
	loop_free(e.loop);
}
END_TEST

/* Messages that were there before the watch have no edge left to announce them. */
START_TEST(sees_what_arrived_before_registration)
{
	void *ctx = zmq_ctx_new();
	struct end e = {.loop = loop_new(), .socket = zmq_socket(ctx, ZMQ_PULL)};
	void *push = zmq_socket(ctx, ZMQ_PUSH);
	zmq_bind(e.socket, "inproc://early");
	zmq_connect(push, "inproc://early");
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(zmq_send(push, &i, sizeof(i), ZMQ_DONTWAIT), sizeof(i));
	int events;
	size_t len = sizeof(events);
	ck_assert_int_eq(zmq_getsockopt(e.socket, ZMQ_EVENTS, &events, &len), 0); /* eats the edge */
	e.watch = loop_zmq_new(e.loop, e.socket, on_message, NULL, &e);
	for (int i = 0; i < 100 && e.got < 1000; i++)
		loop_run_once(e.loop, 100);
	ck_assert_uint_eq(e.got, 1000);
	loop_zmq_free(e.watch);
	loop_zmq_free(NULL);
	zmq_close(push);
	zmq_close(e.socket);
	zmq_ctx_term(ctx);
	loop_free(e.loop);
}
END_TEST

static int free_in_handler(void *arg)
{
	struct end *e = arg;
	unsigned n;
	if (zmq_recv(e->socket, &n, sizeof(n), ZMQ_DONTWAIT) < 0)
		return -1;
	e->got++;
	loop_zmq_free(e->watch);
	e->watch = NULL;
	return 0;
}

START_TEST(may_be_freed_by_its_own_handler)
{
	void *ctx = zmq_ctx_new();
	struct end e = {.loop = loop_new(), .socket = zmq_socket(ctx, ZMQ_PULL)};
	void *push = zmq_socket(ctx, ZMQ_PUSH);
	zmq_bind(e.socket, "inproc://own");
	zmq_connect(push, "inproc://own");
	zmq_send(push, "1234", 4, 0);
	zmq_send(push, "5678", 4, 0);
	e.watch = loop_zmq_new(e.loop, e.socket, free_in_handler, NULL, &e);
	for (int i = 0; i < 5; i++)
		loop_run_once(e.loop, 5);
	ck_assert_uint_eq(e.got, 1);
	zmq_close(push);
	zmq_close(e.socket);
	zmq_ctx_term(ctx);
	loop_free(e.loop);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("loop_zmq");
	TCase *c = tcase_create("zmq");
	tcase_set_timeout(c, 60);
	tcase_add_test(c, no_stall_while_other_sends_go_out);
	tcase_add_test(c, sees_what_arrived_before_registration);
	tcase_add_test(c, may_be_freed_by_its_own_handler);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
