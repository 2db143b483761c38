#include "lib/daemon/notify.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un manager;
static socklen_t manager_len;
static uint64_t watchdog_ms;

/* A path, or '@' and a name in the abstract namespace (a leading NUL instead, and no NUL behind). */
static void set_address(const char *path)
{
	size_t len = strlen(path);
	manager_len = 0;
	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(manager.sun_path))
		return;
	memset(&manager, 0, sizeof(manager));
	manager.sun_family = AF_UNIX;
	memcpy(manager.sun_path, path, len);
	bool abstract = path[0] == '@';
	if (abstract)
		manager.sun_path[0] = '\0';
	manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract);
}

void notify_init(void)
{
	const char *path = secure_getenv("NOTIFY_SOCKET"), *usec = secure_getenv("WATCHDOG_USEC");
	const char *pid = secure_getenv("WATCHDOG_PID");
	set_address(path ? path : "");
	watchdog_ms = 0;
	if (usec && (!pid || strtol(pid, NULL, 10) == (long)getpid()))
		watchdog_ms = strtoull(usec, NULL, 10) / 2000;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

int notify_send_fd(const char *text, int pass)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {(char *)(uintptr_t)text, strlen(text)};
	struct msghdr m = {.msg_name = &manager, .msg_namelen = manager_len, .msg_iov = &iov, .msg_iovlen = 1};
	if (!manager_len)
		return 0;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (pass >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass, sizeof(int));
	}
	ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
	int err = n < 0 ? errno : 0;
	close(fd);
	return err ? -err : 1;
}

int notify_send(const char *text)
{
	return notify_send_fd(text, -1);
}

int notify_barrier(int timeout_ms)
{
	int ends[2];
	if (!manager_len)
		return 0;
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	int r = notify_send_fd("BARRIER=1", ends[1]);
	close(ends[1]); /* the manager's copy is the last one */
	struct pollfd p = {.fd = ends[0], .events = POLLIN};
	if (r > 0) {
		int got = poll(&p, 1, timeout_ms);
		r = got > 0 ? 1 : got == 0 ? -ETIMEDOUT : -errno;
	}
	close(ends[0]);
	return r;
}

uint64_t notify_watchdog_ms(void)
{
	return watchdog_ms;
}
