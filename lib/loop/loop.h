/* loop: file descriptors, timers, signals and ZeroMQ sockets in one thread, on libevent 2.1.
 *
 * A ZeroMQ socket's ZMQ_FD is edge-triggered and says nothing about what a send or receive elsewhere already consumed: a
 * plain readable event stalls. This layer owns the cure (drain by budget while ZMQ_EVENTS says readable, look again
 * after the budget, and after every loop_zmq_touch): nobody else reads ZMQ_FD. Only the loop's own thread calls these. */
#pragma once
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_zmq;
struct event_base;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_new(void);
void loop_free(struct loop *l);		 /* everything added must be freed before; NULL allowed */
int loop_run(struct loop *l);		 /* until loop_quit; 0 or -errno */
int loop_run_once(struct loop *l, int timeout_ms); /* one turn, for tests and synchronous clients */
void loop_quit(struct loop *l);
struct event_base *loop_base(struct loop *l); /* for bufferevents; borrowed */
uint64_t loop_now_ms(void);		      /* CLOCK_MONOTONIC */

typedef void (*loop_fd_fn)(void *arg, int fd, unsigned events);
struct loop_fd *loop_fd_new(struct loop *l, int fd, unsigned events, loop_fd_fn fn, void *arg); /* fd borrowed */
void loop_fd_events(struct loop_fd *f, unsigned events);
void loop_fd_free(struct loop_fd *f);

typedef void (*loop_fn)(void *arg);
struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg); /* unarmed */
void loop_timer_set(struct loop_timer *t, uint64_t delay_ms);		  /* once; re-arming replaces */
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/* The signal is blocked or handled as libevent does; freed with loop_signal_free. */
struct loop_signal;
typedef void (*loop_signal_fn)(void *arg, int signo);
struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_signal_fn fn, void *arg);
void loop_signal_free(struct loop_signal *s);

/* @fn is called while @socket is readable and must receive one whole message with ZMQ_DONTWAIT; it returns 0 to go on,
 * or non-zero when nothing was there. @idle (NULL allowed) runs after each drained burst: the place to commit or flush
 * what the burst collected. */
typedef int (*loop_zmq_fn)(void *arg);
struct loop_zmq *loop_zmq_new(struct loop *l, void *socket, loop_zmq_fn fn, loop_fn idle, void *arg);
void loop_zmq_touch(struct loop_zmq *z); /* after every zmq_send, zmq_recv or getsockopt outside @fn */
void loop_zmq_free(struct loop_zmq *z);	 /* before the socket is closed */
