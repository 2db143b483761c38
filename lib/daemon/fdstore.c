#include "lib/daemon/fdstore.h"
#include "lib/daemon/listen.h"
#include "lib/daemon/notify.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char name[FDSTORE_NAME_MAX];
	int fd; /* -1: taken */
} stored[FDSTORE_MAX];
static unsigned n_stored;

static void add(const char *name, size_t len, int fd)
{
	if (fcntl(fd, F_SETFD, FD_CLOEXEC))
		return; /* it is not there */
	if (len >= FDSTORE_NAME_MAX) {
		close(fd);
		return;
	}
	memcpy(stored[n_stored].name, name, len);
	stored[n_stored].name[len] = '\0';
	stored[n_stored++].fd = fd;
}

void fdstore_init(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	char *end;

	n_stored = 0;
	if (pid && fds && names && strtol(pid, NULL, 10) == (long)getpid()) {
		long n = strtol(fds, &end, 10);
		for (long i = 0; !*end && i < n && i < FDSTORE_MAX; i++) {
			size_t len = strcspn(names, ":");
			add(names, len, DAEMON_FIRST_FD + (int)i);
			names += len + (names[len] != '\0');
		}
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
}

int fdstore_take(const char *name)
{
	for (unsigned i = 0; i < n_stored; i++) {
		if (stored[i].fd < 0 || strcmp(stored[i].name, name))
			continue;
		int fd = stored[i].fd;
		stored[i].fd = -1;
		return fd;
	}
	return -1;
}

/* FDPOLL=0: a device that goes down must not take the descriptor with it. */
int fdstore_keep(const char *name, int fd)
{
	char text[FDSTORE_NAME_MAX + 64];
	int r = fdstore_forget(name);

	if (r <= 0)
		return r;
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return notify_send_fd(text, fd);
}

int fdstore_forget(const char *name)
{
	char text[FDSTORE_NAME_MAX + 64];

	if (strlen(name) >= FDSTORE_NAME_MAX || strchr(name, ':') || strchr(name, '\n'))
		return -EINVAL;
	(void)snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return notify_send(text);
}

unsigned fdstore_drop(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_stored; i++) {
		if (stored[i].fd < 0)
			continue;
		close(stored[i].fd);
		stored[i].fd = -1;
		(void)fdstore_forget(stored[i].name);
		n++;
	}
	return n;
}
