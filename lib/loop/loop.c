/* The thin layer over libevent: file descriptors, timers and signals (zmq.c has the ZeroMQ sockets).
 *
 * Every callback may free the object that called it: libevent has already taken a one-shot event out of its queues, has
 * re-armed a persistent one, and reads nothing of the event after the callback. */
#include "lib/loop/loop.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <time.h>

struct loop {
	struct event_base *base;
	struct event *turn; /* bounds loop_run_once */
	bool quit;
};

struct loop_fd {
	struct loop *loop;
	struct event *ev;
	loop_fd_fn fn;
	void *arg;
	unsigned events;
	int fd;
};

struct loop_timer {
	struct event *ev;
	loop_fn fn;
	void *arg;
};

struct loop_signal {
	struct event *ev;
	loop_signal_fn fn;
	void *arg;
};

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg; /* only ends the wait of loop_run_once */
}

struct loop *loop_new(void)
{
	struct event_config *config = xcheck(event_config_new());
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	struct loop *l = xnew(struct loop);
	l->base = xcheck(event_base_new_with_config(config));
	event_config_free(config);
	l->turn = xcheck(evtimer_new(l->base, on_turn, NULL));
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	event_free(l->turn);
	event_base_free(l->base);
	free(l);
}

int loop_run(struct loop *l)
{
	int rc = 0;
	while (!l->quit && rc >= 0)
		rc = event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
	l->quit = false;
	return rc < 0 ? -EIO : 0;
}

int loop_run_once(struct loop *l, int timeout_ms)
{
	if (timeout_ms == 0)
		return event_base_loop(l->base, EVLOOP_NONBLOCK) < 0 ? -EIO : 0;
	if (timeout_ms > 0) {
		struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
		evtimer_add(l->turn, &tv);
	}
	int rc = event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
	evtimer_del(l->turn);
	return rc < 0 ? -EIO : 0;
}

void loop_quit(struct loop *l)
{
	l->quit = true;
	event_base_loopbreak(l->base);
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

uint64_t loop_now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *f = arg;
	unsigned events = (what & EV_READ ? LOOP_READ : 0u) | (what & EV_WRITE ? LOOP_WRITE : 0u);
	f->fn(f->arg, fd, events);
}

struct loop_fd *loop_fd_new(struct loop *l, int fd, unsigned events, loop_fd_fn fn, void *arg)
{
	struct loop_fd *f = xnew(struct loop_fd);
	*f = (struct loop_fd){.loop = l, .fn = fn, .arg = arg, .fd = fd};
	f->ev = xcheck(event_new(l->base, fd, EV_PERSIST, on_fd, f));
	loop_fd_events(f, events);
	return f;
}

void loop_fd_events(struct loop_fd *f, unsigned events)
{
	if (events == f->events)
		return;
	event_del(f->ev);
	f->events = events;
	short what = (short)((events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0));
	if (what) {
		event_assign(f->ev, f->loop->base, f->fd, (short)(what | EV_PERSIST), on_fd, f);
		event_add(f->ev, NULL);
	}
}

void loop_fd_free(struct loop_fd *f)
{
	if (!f)
		return;
	event_free(f->ev);
	free(f);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct loop_timer *t = arg;
	t->fn(t->arg);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg)
{
	struct loop_timer *t = xnew(struct loop_timer);
	*t = (struct loop_timer){.fn = fn, .arg = arg};
	t->ev = xcheck(evtimer_new(l->base, on_timer, t));
	return t;
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ms)
{
	struct timeval tv = {(time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000 * 1000)};
	evtimer_add(t->ev, &tv);
}

void loop_timer_stop(struct loop_timer *t)
{
	evtimer_del(t->ev);
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	event_free(t->ev);
	free(t);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	(void)what;
	struct loop_signal *s = arg;
	s->fn(s->arg, signo);
}

struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_signal_fn fn, void *arg)
{
	struct loop_signal *s = xnew(struct loop_signal);
	*s = (struct loop_signal){.fn = fn, .arg = arg};
	s->ev = xcheck(evsignal_new(l->base, signo, on_signal, s));
	evsignal_add(s->ev, NULL);
	return s;
}

void loop_signal_free(struct loop_signal *s)
{
	if (!s)
		return;
	event_free(s->ev);
	free(s);
}
