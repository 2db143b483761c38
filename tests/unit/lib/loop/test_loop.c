/* Descriptors, timers, signals: what each promises about order, re-arming and freeing from its own callback. */
#include "lib/loop/loop.h"
#include "tests/support/check_main.h"
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

struct seen {
	struct loop *loop;
	struct loop_timer *timer;
	struct loop_fd *fd;
	struct loop_signal *signal;
	unsigned calls, events;
	int signo;
};

static void count_and_quit(void *arg)
{
	struct seen *s = arg;
	s->calls++;
	loop_quit(s->loop);
}

static void free_own_timer(void *arg)
{
	struct seen *s = arg;
	s->calls++;
	loop_timer_free(s->timer);
	s->timer = NULL;
}

static void on_fd(void *arg, int fd, unsigned events)
{
	struct seen *s = arg;
	char c;
	s->events |= events;
	if (events & LOOP_READ)
		ck_assert_int_eq(read(fd, &c, 1), 1);
	s->calls++;
}

static void on_signal(void *arg, int signo)
{
	struct seen *s = arg;
	s->signo = signo;
	loop_quit(s->loop);
}

START_TEST(quit_before_run_ends_it_at_once)
{
	struct loop *l = loop_new();
	loop_quit(l);
	ck_assert_int_eq(loop_run(l), 0);
	loop_free(l);
	loop_free(NULL);
}
END_TEST

START_TEST(stopped_timer_does_not_fire)
{
	struct seen s = {.loop = loop_new()};
	struct loop_timer *t = loop_timer_new(s.loop, count_and_quit, &s);
	loop_timer_set(t, 1);
	loop_timer_stop(t);
	ck_assert_int_eq(loop_run_once(s.loop, 20), 0);
	ck_assert_uint_eq(s.calls, 0);
	loop_timer_free(t);
	loop_timer_free(NULL);
	loop_free(s.loop);
}
END_TEST

START_TEST(rearming_replaces_the_deadline)
{
	struct seen s = {.loop = loop_new()};
	struct loop_timer *t = loop_timer_new(s.loop, count_and_quit, &s);
	uint64_t start = loop_now_ms();
	loop_timer_set(t, 60000);
	loop_timer_set(t, 30);
	ck_assert_int_eq(loop_run(s.loop), 0);
	uint64_t took = loop_now_ms() - start;
	ck_assert_uint_eq(s.calls, 1);
	ck_assert_uint_ge(took, 29);
	ck_assert_uint_lt(took, 5000);
	loop_timer_free(t);
	loop_free(s.loop);
}
END_TEST

START_TEST(timer_may_free_itself)
{
	struct seen s = {.loop = loop_new()};
	s.timer = loop_timer_new(s.loop, free_own_timer, &s);
	loop_timer_set(s.timer, 0);
	for (int i = 0; i < 5; i++)
		loop_run_once(s.loop, 5);
	ck_assert_uint_eq(s.calls, 1);
	ck_assert_ptr_null(s.timer);
	loop_free(s.loop);
}
END_TEST

START_TEST(fd_follows_the_wanted_events)
{
	struct seen s = {.loop = loop_new()};
	int p[2];
	ck_assert_int_eq(pipe(p), 0);
	struct loop_fd *r = loop_fd_new(s.loop, p[0], 0, on_fd, &s);
	ck_assert_int_eq(write(p[1], "xy", 2), 2);
	loop_run_once(s.loop, 10);
	ck_assert_uint_eq(s.calls, 0);
	loop_fd_events(r, LOOP_READ);
	loop_run_once(s.loop, 100);
	loop_run_once(s.loop, 100);
	ck_assert_uint_eq(s.calls, 2);
	ck_assert_uint_eq(s.events, LOOP_READ);
	loop_fd_free(r);
	struct loop_fd *w = loop_fd_new(s.loop, p[1], LOOP_WRITE, on_fd, &s);
	loop_run_once(s.loop, 100);
	ck_assert_uint_eq(s.events, LOOP_READ | LOOP_WRITE);
	loop_fd_free(w);
	loop_fd_free(NULL);
	loop_free(s.loop);
	close(p[0]);
	close(p[1]);
}
END_TEST

START_TEST(signal_reaches_the_loop)
{
	struct seen s = {.loop = loop_new()};
	s.signal = loop_signal_new(s.loop, SIGHUP, on_signal, &s);
	raise(SIGHUP);
	ck_assert_int_eq(loop_run(s.loop), 0);
	ck_assert_int_eq(s.signo, SIGHUP);
	loop_signal_free(s.signal);
	loop_signal_free(NULL);
	loop_free(s.loop);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("loop");
	TCase *c = tcase_create("loop");
	tcase_add_test(c, quit_before_run_ends_it_at_once);
	tcase_add_test(c, stopped_timer_does_not_fire);
	tcase_add_test(c, rearming_replaces_the_deadline);
	tcase_add_test(c, timer_may_free_itself);
	tcase_add_test(c, fd_follows_the_wanted_events);
	tcase_add_test(c, signal_reaches_the_loop);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
