#include "lib/keyring/child.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/loop/loop.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BURST = 64, END_MS = 2000 };

struct child {
	struct loop *loop;
	const struct child_ops *ops;
	void *arg;
	pid_t pid;
	int fd, pid_fd;
	struct loop_fd *io, *end;
	bool ready;
	char why[256];
};

static const char *exe_dir(char out[400])
{
	ssize_t n = readlink("/proc/self/exe", out, 399);
	out[n > 0 ? n : 0] = 0;
	char *slash = strrchr(out, '/');
	if (slash)
		*slash = 0;
	return out;
}

int child_program(const char *given, char *out, struct errbuf *e)
{
	char dir[400];
	const char *env = secure_getenv("RAVELIN_SIGNER");
	if (given || env) {
		(void)snprintf(out, 512, "%s", given ? given : env);
		return access(out, X_OK) == 0
			       ? 0
			       : err_set(e, ENOEXEC, "%.200s: %s", out, strerror(errno));
	}
	(void)exe_dir(dir);
	(void)snprintf(out, 512, "%s/ravelin-signer", dir);
	if (access(out, X_OK) == 0)
		return 0;
	(void)snprintf(out, 512, "%s/../../lib/keyring/ravelin-signer", dir); /* a build tree */
	if (access(out, X_OK) == 0)
		return 0;
	(void)snprintf(out, 512, "%s/ravelin-signer", RAVELIN_LIBEXEC);
	if (access(out, X_OK) == 0)
		return 0;
	return err_set(e, ENOEXEC, "ravelin-signer is neither beside the program nor in %s",
		RAVELIN_LIBEXEC);
}

static unsigned threads_of(const struct signer_local_spec *spec)
{
	long n = spec->threads ? (long)spec->threads : sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > 8 ? 8 : (unsigned)n;
}

static int spawn(const char *program, const struct signer_local_spec *spec, int fd, pid_t *ret)
{
	char dir[PATH_TEXT_MAX], uid[24], threads[24];
	char *const env[] = {"LC_ALL=C", NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	const char *const argv[] = {"ravelin-signer", "--dir",
		spec->ring.dir ? spec->ring.dir : path_make(dir, "/var/lib/ravelin/keyring"),
		"--user", spec->ring.user ? spec->ring.user : "", "--uid", uid, "--threads",
		threads, "--", spec->ring.name, NULL};
	(void)snprintf(
		uid, sizeof(uid), "%u", spec->ring.uid == (uid_t)-1 ? geteuid() : spec->ring.uid);
	(void)snprintf(threads, sizeof(threads), "%u", threads_of(spec));
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	int rc = posix_spawn_file_actions_init(&files);
	if (rc)
		return -rc;
	rc = posix_spawnattr_init(&attr);
	if (!rc) {
		rc = posix_spawn_file_actions_adddup2(&files, fd, WIRE_FD);
		rc = rc ? rc
			: posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
		rc = rc ? rc
			: posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
		rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(&files, WIRE_FD + 1);
		rc = rc ? rc
			: posix_spawnattr_setflags(
				  &attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
		rc = rc ? rc : posix_spawnattr_setsigmask(&attr, &none);
		rc = rc ? rc : posix_spawnattr_setsigdefault(&attr, &all);
		rc = rc ? rc
			: posix_spawn(
				  ret, program, &files, &attr, (char *const *)(uintptr_t)argv, env);
		(void)posix_spawnattr_destroy(&attr);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return -rc;
}

/* A child that broke the protocol is not asked for the reason. */
static void condemn(struct child *c, const char *why)
{
	if (!c->why[0])
		(void)snprintf(c->why, sizeof(c->why), "%s", why);
	(void)kill(c->pid, SIGKILL);
	loop_fd_free(c->io);
	c->io = NULL;
}

/* 1: a message, 0: none now, -1: end or nonsense. */
static int hear(struct child *c, struct wire_msg *ret)
{
	uint8_t in[WIRE_MAX + 1];
	ssize_t n = recv(c->fd, in, sizeof(in), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		loop_fd_free(c->io); /* what it died of comes with the process's end */
		c->io = NULL;
		return -1;
	}
	if (wire_decode(in, (size_t)n, ret) || ret->op == WIRE_SIGN ||
		(ret->op == WIRE_SIGNED) != c->ready) {
		condemn(c, "the signer process sent what is no answer");
		return -1;
	}
	if (ret->op == WIRE_FAILED)
		(void)snprintf(c->why, sizeof(c->why), "%.*s", ret->len > 240 ? 240 : (int)ret->len,
			(const char *)ret->data);
	c->ready = c->ready || ret->op == WIRE_READY;
	return 1;
}

static void on_io(void *arg, int fd, unsigned events)
{
	struct child *c = arg;
	struct wire_msg m;
	(void)fd;
	if (events & LOOP_WRITE) {
		loop_fd_events(c->io, LOOP_READ);
		c->ops->writable(c->arg, c);
	}
	if (!(events & LOOP_READ) || !c->io)
		return;
	for (int i = 0; i < BURST && c->io && hear(c, &m) > 0; i++)
		if (m.op != WIRE_FAILED)
			c->ops->message(c->arg, c, &m);
}

/* The process has ended: reaped here, with the reason in .why. */
static void reap(struct child *c)
{
	siginfo_t info = {0};
	if (!c->pid || waitid(P_PIDFD, (id_t)c->pid_fd, &info, WEXITED))
		return;
	c->pid = 0;
	if (c->why[0])
		return;
	if (info.si_code == CLD_EXITED)
		(void)snprintf(c->why, sizeof(c->why), "the signer process ended with status %d",
			info.si_status);
	else
		(void)snprintf(c->why, sizeof(c->why), "the signer process was killed by signal %d",
			info.si_status);
}

/* A child of another uid cannot be killed by us: it ends when the socket does. Whatever happens, we
 * do not wait for ever. */
static void end_process(struct child *c)
{
	struct pollfd p = {.fd = c->pid_fd, .events = POLLIN};
	(void)kill(c->pid, SIGKILL);
	if (c->pid_fd < 0)
		(void)waitpid(c->pid, NULL, 0);
	else if (poll(&p, 1, END_MS) > 0)
		reap(c);
}

static void on_end(void *arg, int fd, unsigned events)
{
	struct child *c = arg;
	(void)fd, (void)events;
	for (int i = 0; i <= SIGNER_OUTSTANDING_MAX / BURST && c->io; i++)
		on_io(c, c->fd, LOOP_READ); /* answers that it gave before it died count */
	reap(c);
	if (!c->pid)
		c->ops->gone(c->arg, c, c->why);
}

int child_start(struct loop *l, const struct signer_local_spec *spec, const struct child_ops *ops,
	void *arg, struct child **ret, struct errbuf *e)
{
	char program[512];
	int fds[2], buffer = 1 << 20;
	int rc = child_program(spec->program, program, e);
	if (rc)
		return rc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return err_set(e, errno, "socketpair: %s", strerror(errno));
	struct child *c = xnew(struct child);
	*c = (struct child){.loop = l, .ops = ops, .arg = arg, .fd = fds[0], .pid_fd = -1};
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	rc = spawn(program, spec, fds[1], &c->pid);
	(void)close(fds[1]);
	if (rc)
		(void)err_set(e, -rc, "%.200s: %s", program, strerror(-rc));
	if (!rc && (c->pid_fd = pidfd_open(c->pid, 0)) < 0)
		rc = err_set(e, errno, "pidfd_open: %s", strerror(errno));
	if (rc) {
		child_free(c);
		return rc;
	}
	c->io = loop_fd_new(l, c->fd, LOOP_READ, on_io, c);
	c->end = loop_fd_new(l, c->pid_fd, LOOP_READ, on_end, c);
	*ret = c;
	return 0;
}

int child_wait_ready(struct child *c, int timeout_ms, struct errbuf *e)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	struct wire_msg m;
	uint64_t end = loop_now_ms() + (uint64_t)timeout_ms;
	int heard = 0;
	for (uint64_t now = loop_now_ms(); !heard && now < end; now = loop_now_ms())
		if (poll(&p, 1, (int)(end - now)) > 0)
			heard = hear(c, &m);
	if (heard > 0 && m.op == WIRE_READY)
		return 0;
	if (heard > 0)
		return err_set(e, m.status && m.status < 4096 ? (int)m.status : EIO, "%s", c->why);
	if (!heard)
		return err_set(
			e, ETIMEDOUT, "the signer process did not get ready in %d ms", timeout_ms);
	(void)close(c->fd);
	c->fd = -1;
	end_process(c);
	return err_set(
		e, ECONNRESET, "%s", c->why[0] ? c->why : "the signer process closed its socket");
}

bool child_is_ready(const struct child *c)
{
	return c->ready;
}

pid_t child_pid(const struct child *c)
{
	return c->pid;
}

int child_send(struct child *c, const struct wire_msg *m)
{
	uint8_t out[WIRE_MAX];
	size_t len = wire_encode(m, out);
	if (!c->io || !len)
		return -EPIPE;
	if (send(c->fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
		return 0;
	if (errno != EAGAIN && errno != ENOBUFS)
		return -EPIPE;
	loop_fd_events(c->io, LOOP_READ | LOOP_WRITE);
	return -EAGAIN;
}

void child_close(struct child *c)
{
	if (c->fd >= 0)
		(void)shutdown(c->fd, SHUT_WR);
}

void child_free(struct child *c)
{
	if (!c)
		return;
	loop_fd_free(c->io);
	loop_fd_free(c->end);
	if (c->fd >= 0)
		(void)close(c->fd);
	if (c->pid)
		end_process(c);
	if (c->pid_fd >= 0)
		(void)close(c->pid_fd);
	free(c);
}
