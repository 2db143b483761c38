#include "lib/bus/guard.h"
#include "lib/base/xalloc.h"
#include "lib/bus/frames.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FD_MAX = 65536 };

/* The kernel's cookie of the socket tells it from a later one with the same number: libzmq closes without asking us. */
struct watch {
	uint64_t cookie;
	bool listens;
	struct frames frames;
};

static _Atomic(struct watch *) watched[FD_MAX];
static atomic_uint_fast64_t ended;

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static void watch_set(int fd, struct watch *w)
{
	free(atomic_exchange(&watched[fd], w));
}

static struct watch *watch_of(int fd)
{
	struct watch *w = fd >= 0 && fd < FD_MAX ? atomic_load_explicit(&watched[fd], memory_order_acquire) : NULL;
	if (!w || w->cookie == cookie_of(fd))
		return w;
	watch_set(fd, NULL);
	return NULL;
}

static bool watch_new(int fd, bool listens)
{
	uint64_t cookie = cookie_of(fd);
	if (fd >= FD_MAX || !cookie)
		return false;
	struct watch *w = xnew(struct watch);
	*w = (struct watch){.cookie = cookie, .listens = listens};
	watch_set(fd, w);
	return true;
}

void guard_listener(int fd)
{
	(void)watch_new(fd, true);
}

uint64_t guard_ended(void)
{
	return atomic_load_explicit(&ended, memory_order_relaxed);
}

__attribute__((visibility("default"))) int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len, int flags)
{
	int peer = (int)syscall(SYS_accept4, fd, addr.__sockaddr__, len, flags);
	int error = errno; /* of a call that succeeded, too: ours below must not change it */
	struct watch *w = peer >= 0 ? watch_of(fd) : NULL;
	if (w && w->listens && !watch_new(peer, false)) { /* fail closed */
		(void)close(peer);
		peer = -1;
		error = ECONNABORTED;
	}
	errno = error;
	return peer;
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buf, size_t size, int flags)
{
	ssize_t n = recvfrom(fd, buf, size, flags, NULL, NULL);
	int error = errno;
	struct watch *w = n > 0 && !(flags & MSG_PEEK) ? watch_of(fd) : NULL;
	if (w && !w->listens && !frames_take(&w->frames, buf, (size_t)n)) {
		atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
		(void)shutdown(fd, SHUT_RDWR);
		n = -1;
		error = ECONNRESET;
	}
	errno = error;
	return n;
}
