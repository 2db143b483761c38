/* ZeroMQ sockets in the loop, and the trap they set.
 *
 * ZMQ_FD becomes readable when the socket's mailbox received a command, not when a message waits. Whoever reads the mailbox
 * (any zmq_send, zmq_recv or getsockopt on that socket) takes the signal away; messages may then wait behind a descriptor that
 * stays silent for ever. Hence three rules: on the event, receive while ZMQ_EVENTS says so; when the budget ran out, or
 * the socket was used elsewhere (loop_zmq_touch), look again by ourselves; and look once right after registration.
 *
 * "Look again" is a timer of zero length: it fires in the next turn, after the kernel was asked about the other
 * descriptors, so that one busy socket does not starve the rest (event_active would run again in the same turn). */
#include "lib/base/xalloc.h"
#include "lib/loop/loop.h"
#include <event2/event.h>
#include <stdbool.h>
#include <zmq.h>

enum { BUDGET = 256 }; /* messages a turn */

struct loop_zmq {
	void *socket;
	struct event *fd, *kick;
	loop_zmq_fn fn;
	loop_fn idle;
	void *arg;
	bool draining, kicked, dead;
};

static bool readable(struct loop_zmq *z)
{
	int events = 0;
	size_t len = sizeof(events);
	return !zmq_getsockopt(z->socket, ZMQ_EVENTS, &events, &len) && events & ZMQ_POLLIN;
}

static void kick(struct loop_zmq *z)
{
	if (z->kicked || z->dead)
		return;
	z->kicked = true;
	struct timeval now = {0, 0};
	evtimer_add(z->kick, &now);
}

static void destroy(struct loop_zmq *z)
{
	event_free(z->fd);
	event_free(z->kick);
	free(z);
}

static void drain(struct loop_zmq *z)
{
	unsigned got = 0;
	z->draining = true;
	/* fn finds out that nothing is left: asking ZMQ_EVENTS before each message would cost a poll(2) each. */
	while (got < BUDGET && !z->dead && !z->fn(z->arg))
		got++;
	if (got && !z->dead && z->idle)
		z->idle(z->arg);
	z->draining = false;
	if (z->dead)
		destroy(z);
	else if (readable(z))
		kick(z);
}

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	drain(arg);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	struct loop_zmq *z = arg;
	z->kicked = false;
	drain(z);
}

struct loop_zmq *loop_zmq_new(struct loop *l, void *socket, loop_zmq_fn fn, loop_fn idle, void *arg)
{
	int fd = -1;
	size_t len = sizeof(fd);
	zmq_getsockopt(socket, ZMQ_FD, &fd, &len);
	struct loop_zmq *z = xnew(struct loop_zmq);
	*z = (struct loop_zmq){.socket = socket, .fn = fn, .idle = idle, .arg = arg};
	z->fd = xcheck(event_new(loop_base(l), fd, EV_READ | EV_PERSIST, on_fd, z));
	z->kick = xcheck(evtimer_new(loop_base(l), on_kick, z));
	event_add(z->fd, NULL);
	kick(z);
	return z;
}

void loop_zmq_touch(struct loop_zmq *z)
{
	if (!z->draining) /* drain() looks again by itself */
		kick(z);
}

void loop_zmq_free(struct loop_zmq *z)
{
	if (!z)
		return;
	event_del(z->fd);
	event_del(z->kick);
	z->dead = true;
	if (!z->draining)
		destroy(z);
}
