#include "lib/bus/guard.h"
#include "lib/base/xalloc.h"
#include "lib/bus/frames.h"
#include "lib/log/log.h"
#include "lib/loop/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FD_MAX = 65536 };

/* A listener has a gate, a connection a place in it. A connection is accepted, read and closed by one thread, libzmq's; the lock is
 * for the gates, and for a place that the daemon's thread looks up. */
struct watch {
	struct gate *gate;
	struct gate_place *place;
	struct frames frames;
};

static _Atomic(struct watch *) watched[FD_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint_fast64_t oversized, overfull, crowded;
static struct log_limit limit;
static int spare = -1; /* a descriptor to give away when there are no more */

static struct watch *watch_of(int fd)
{
	return fd >= 0 && fd < FD_MAX ? atomic_load_explicit(&watched[fd], memory_order_acquire) : NULL;
}

static void watch_set(int fd, struct watch *w)
{
	struct watch *old = atomic_exchange(&watched[fd], w);
	if (old && old->place)
		gate_leave(old->place);
	if (old)
		gate_unref(old->gate);
	free(old);
}

static void forget(int fd)
{
	(void)pthread_mutex_lock(&mutex);
	watch_set(fd, NULL);
	(void)pthread_mutex_unlock(&mutex);
}

static void before_fork(void)
{
	(void)pthread_mutex_lock(&mutex);
}

static void after_fork(void)
{
	(void)pthread_mutex_unlock(&mutex);
}

static void at_first(void)
{
	(void)pthread_atfork(before_fork, after_fork, after_fork);
}

void guard_listener(int fd, struct gate *g)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, at_first);
	if (fd >= FD_MAX)
		abort(); /* at a daemon's start: not with descriptors by the ten thousand */
	struct watch *w = xnew(struct watch);
	(void)pthread_mutex_lock(&mutex);
	*w = (struct watch){.gate = gate_ref(g)};
	watch_set(fd, w);
	if (spare < 0)
		spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)pthread_mutex_unlock(&mutex);
}

void guard_gate_free(struct gate *g)
{
	(void)pthread_mutex_lock(&mutex);
	gate_unref(g);
	(void)pthread_mutex_unlock(&mutex);
}

void guard_taken(struct gate *g, zmq_msg_t *m, const struct peer *from, uint64_t cost)
{
	int fd = zmq_msg_get(m, ZMQ_SRCFD);
	(void)pthread_mutex_lock(&mutex);
	struct watch *w = watch_of(fd);
	struct gate_place *p = w ? w->place : NULL;
	/* The number may stand for a later connection by now: of the same uid at least, or what it holds is not touched. */
	gate_take(g, p && gate_of(p) == g && gate_uid(p) == from->uid ? p : NULL, from->uid, cost);
	(void)pthread_mutex_unlock(&mutex);
}

void guard_empty(struct gate *g)
{
	(void)pthread_mutex_lock(&mutex);
	gate_empty(g);
	(void)pthread_mutex_unlock(&mutex);
}

void guard_counts(struct guard_counts *ret)
{
	ret->oversized = atomic_load_explicit(&oversized, memory_order_relaxed);
	ret->overfull = atomic_load_explicit(&overfull, memory_order_relaxed);
	ret->crowded = atomic_load_explicit(&crowded, memory_order_relaxed);
}

/* Counts what was done to the connection @fd, and says it. */
static void tell(int fd, atomic_uint_fast64_t *counter, const char *text)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);
	uint32_t suppressed;
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
	(void)pthread_mutex_lock(&mutex);
	bool say = log_limit_ok(&limit, loop_now_ms(), 5, 10000, &suppressed);
	(void)pthread_mutex_unlock(&mutex);
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
	if (say)
		log_warning(text, "uid", log_u64(who.uid), "pid", log_i64(who.pid), "suppressed", log_u64(suppressed));
}

/* false: the peer is nobody, or has enough connections. */
static bool admit(int fd, struct gate *g)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	if (fd >= FD_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return false; /* fail closed */
	struct watch *w = xnew(struct watch);
	(void)pthread_mutex_lock(&mutex);
	*w = (struct watch){.place = gate_enter(g, who.uid)};
	bool entered = w->place != NULL;
	if (entered)
		watch_set(fd, w);
	else
		free(w);
	(void)pthread_mutex_unlock(&mutex);
	return entered;
}

/* Without a descriptor a connection can be neither taken nor refused, and would be reported without end. */
static void refuse_without_descriptor(int listener)
{
	(void)pthread_mutex_lock(&mutex);
	if (spare >= 0)
		(void)syscall(SYS_close, spare);
	int peer = (int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer >= 0)
		(void)syscall(SYS_close, peer);
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)pthread_mutex_unlock(&mutex);
	atomic_fetch_add_explicit(&crowded, 1, memory_order_relaxed);
}

__attribute__((visibility("default"))) int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len, int flags)
{
	int peer = (int)syscall(SYS_accept4, fd, addr.__sockaddr__, len, flags);
	int error = errno; /* of a call that succeeded, too: ours below must not change it */
	struct watch *w = watch_of(fd);
	if (w && w->gate && peer >= 0 && !admit(peer, w->gate)) {
		tell(peer, &crowded, "a connection to the bus was refused: its user has as many as it may");
		(void)syscall(SYS_close, peer);
		peer = -1;
		error = ECONNABORTED;
	} else if (w && w->gate && peer < 0 && (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)) {
		refuse_without_descriptor(fd); /* libzmq's accept aborts on most of these */
		error = ECONNABORTED;
	}
	errno = error;
	return peer;
}

/* What came of a connection's bytes: 0, or the counter of what it did. */
static atomic_uint_fast64_t *offence(struct watch *w, const void *data, size_t len)
{
	if (!frames_take(&w->frames, data, len))
		return &oversized;
	if (!w->frames.cost)
		return NULL;
	(void)pthread_mutex_lock(&mutex);
	bool may_wait = gate_hold(w->place, w->frames.cost);
	(void)pthread_mutex_unlock(&mutex);
	w->frames.cost = 0;
	return may_wait ? NULL : &overfull;
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buf, size_t size, int flags)
{
	/* Not recvfrom(2) by its name: under ThreadSanitizer that would be a write of ours, which libzmq gives to other threads unseen. */
	ssize_t n = syscall(SYS_recvfrom, fd, buf, size, flags, NULL, NULL);
	int error = errno;
	struct watch *w = n > 0 && !(flags & MSG_PEEK) ? watch_of(fd) : NULL;
	atomic_uint_fast64_t *what = w && w->place ? offence(w, buf, (size_t)n) : NULL;
	if (what) {
		tell(fd, what, what == &overfull ? "a connection to the bus was ended: too much of its user's waits"
						 : "a connection to the bus was ended: its message is too large or has no end");
		(void)shutdown(fd, SHUT_RDWR);
		n = -1;
		error = ECONNRESET;
	}
	errno = error;
	return n;
}

__attribute__((visibility("default"))) int close(int fd)
{
	if (watch_of(fd))
		forget(fd);
	return (int)syscall(SYS_close, fd);
}
