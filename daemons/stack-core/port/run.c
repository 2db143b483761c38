/* ravelin-portrun: starts a program whose listen(2) is asked before it happens, for PORT UNRSV TCP ... WHENLISTEN. The kernel lets
 * no BPF program refuse a listen (without BPF LSM); here a seccomp filter, which the program and its children inherit, hands each
 * listen(2) to a supervisor. That one duplicates the program's socket (pidfd_getfd), looks at its address with its own eyes, asks
 * the stack, and then listens itself or lets the program hear EACCES: nothing that the program can change meanwhile is believed.
 *
 * The supervisor lives as long as the filter has users. When it is gone, or the stack does not answer, listen fails. */
#include "daemons/stack-core/port/maps.h"
#include "daemons/stack-core/port/pins.h"
#include "lib/bus/bus.h"
#include "proto/stack.pb-c.h"
#include <bpf/bpf.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_RUN = 126, NOT_FOUND = 127, USAGE = 2, DEADLINE_MS = 5000 };

struct supervisor {
	const char *stack;
	int notify, explicit_map; /* -1: not readable */
	struct bus_client *client;
};

struct asker {
	pid_t pid;
	uid_t uid;
	char job[PORT_JOB + 1];
	uint64_t exe_inode;
	uint32_t exe_device;
};

static int fail(const char *what)
{
	(void)fprintf(stderr, "ravelin-portrun: %s: %s\n", what, strerror(errno));
	return CANNOT_RUN;
}

/* The value of "Key:" in /proc/PID/status, its first number; -1. */
static long status_number(pid_t pid, const char *key)
{
	char path[64], line[256];
	long v = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = strtol(line + strlen(key), NULL, 10);
	if (f)
		(void)fclose(f);
	return v;
}

/* The outermost service or scope of the cgroup path, as port.bpf.c has it. */
static void job_of_path(char *path, char job[PORT_JOB + 1])
{
	char *save = NULL;

	job[0] = 0;
	for (char *part = strtok_r(path, "/\n", &save); part; part = strtok_r(NULL, "/\n", &save)) {
		size_t len = strlen(part), n = 0;
		if (!(len > 8 && !strcmp(part + len - 8, ".service")) && !(len > 6 && !strcmp(part + len - 6, ".scope")))
			continue;
		for (; n < PORT_JOB && isalnum((unsigned char)part[n]); n++)
			job[n] = (char)toupper((unsigned char)part[n]);
		job[n] = 0;
		return;
	}
}

static int identify(pid_t tid, struct asker *a)
{
	char path[64], line[4096];
	struct stat st;

	*a = (struct asker){.pid = (pid_t)status_number(tid, "Tgid:"), .uid = (uid_t)status_number(tid, "Uid:")};
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)a->pid);
	if (a->pid <= 0 || a->uid == (uid_t)-1 || stat(path, &st) < 0)
		return -ESRCH;
	a->exe_inode = st.st_ino;
	a->exe_device = (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev));
	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)a->pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3))
			job_of_path(line + 3, a->job);
	if (f)
		(void)fclose(f);
	return 0;
}

/* Which port; 0: none that is asked about (another family, or a port that the kernel picked). */
static uint16_t port_to_ask(const struct supervisor *s, int fd, int *ret_family)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own), type_len = sizeof(int);
	int type = 0;
	uint32_t mark;

	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 || type != SOCK_STREAM)
		return 0;
	*ret_family = own.ss_family == AF_INET6 ? 6 : 4;
	if (own.ss_family != AF_INET && own.ss_family != AF_INET6)
		return 0;
	if (s->explicit_map >= 0 && bpf_map_lookup_elem(s->explicit_map, &fd, &mark))
		return 0;
	return ntohs(own.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&own)->sin_port : ((struct sockaddr_in6 *)(void *)&own)->sin6_port);
}

static int ask_stack(struct supervisor *s, const struct asker *a, uint16_t port, int family)
{
	Stack__PortCheckRequest q = STACK__PORT_CHECK_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct errbuf e = {""};

	q.has_port = q.has_uid = q.has_pid = q.has_family = q.has_exe_inode = q.has_exe_device = true;
	q.port = port;
	q.uid = a->uid;
	q.pid = (uint32_t)a->pid;
	q.family = (uint32_t)family;
	q.exe_inode = a->exe_inode;
	q.exe_device = a->exe_device;
	q.job = (char *)(uintptr_t)a->job;
	enum bus_code code = bus_client_call_sync(s->client, "stack.PortCheck", &q.base, &stack__port_check_reply__descriptor, DEADLINE_MS, &reply, &e);
	bool allowed = code == BUS_OK && ((Stack__PortCheckReply *)reply)->allowed;
	if (code != BUS_OK)
		(void)fprintf(stderr, "ravelin-portrun: port %u: %s: refused\n", port, e.text);
	if (reply)
		protobuf_c_message_free_unpacked(reply, NULL);
	return allowed ? 0 : -EACCES;
}

/* What the program's listen returns: 0 or -errno. */
static int mediate(struct supervisor *s, const struct seccomp_notif *req)
{
	struct asker a;
	int family = 0, r = identify((pid_t)req->pid, &a);

	if (r < 0)
		return r;
	int pidfd = (int)syscall(SYS_pidfd_open, a.pid, 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, (int)req->data.args[0], 0);
	r = fd < 0 ? -errno : 0;
	if (pidfd >= 0)
		(void)close(pidfd);
	/* Is it still that thread's call? Its number could have been given anew while we looked. */
	if (!r && seccomp_notify_id_valid(s->notify, req->id))
		r = -ESRCH;
	uint16_t port = r ? 0 : port_to_ask(s, fd, &family);
	if (!r && port)
		r = ask_stack(s, &a, port, family);
	if (!r && port && s->explicit_map >= 0)
		(void)bpf_map_delete_elem(s->explicit_map, &fd); /* asked: the kernel's own look would see us, not the program */
	if (!r && listen(fd, (int)req->data.args[1]) < 0)
		r = -errno;
	if (fd >= 0)
		(void)close(fd);
	return r;
}

static void supervise(struct supervisor *s)
{
	struct seccomp_notif *req;
	struct seccomp_notif_resp *resp;
	struct pollfd p = {.fd = s->notify, .events = POLLIN};

	if (seccomp_notify_alloc(&req, &resp))
		return;
	while (poll(&p, 1, -1) >= 0 || errno == EINTR) {
		if (p.revents & (POLLHUP | POLLERR))
			break; /* nobody has the filter any more */
		if (!(p.revents & POLLIN) || seccomp_notify_receive(s->notify, req))
			continue;
		*resp = (struct seccomp_notif_resp){.id = req->id};
		resp->error = mediate(s, req);
		(void)seccomp_notify_respond(s->notify, resp);
	}
	seccomp_notify_free(req, resp);
}

static int send_fd(int to, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(to, &m, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int receive_fd(int from)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* In a process of its own, adopted by init, so that the program has no child that it did not make. */
static void start_supervisor(const char *stack, const char *pins, int channel)
{
	struct supervisor s = {.stack = stack};
	char path[256], name[BUS_NAME_MAX + 1];

	if (fork() != 0)
		_exit(0);
	(void)signal(SIGINT, SIG_IGN); /* the program decides when it ends */
	(void)signal(SIGHUP, SIG_IGN);
	(void)prctl(PR_SET_NAME, "portrun");
	s.notify = receive_fd(channel);
	(void)close(channel);
	if (s.notify < 0)
		_exit(1);
	(void)snprintf(path, sizeof(path), "%s/%s/explicit", pins, stack);
	s.explicit_map = bpf_obj_get(path);
	(void)snprintf(name, sizeof(name), "stack-core@%s", stack);
	s.client = bus_client_new(NULL, name);
	supervise(&s);
	_exit(0);
}

static int confine(int channel)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
	/* Without the right to filter as we are, give up gaining rights: no set-uid program below. */
	bool may = geteuid() == 0;

	if (!c || (may && seccomp_attr_set(c, SCMP_FLTATR_CTL_NNP, 0)) || seccomp_rule_add(c, SCMP_ACT_NOTIFY, SCMP_SYS(listen), 0))
		return -EINVAL;
	int r = seccomp_load(c);
	if (r < 0 && may && !seccomp_attr_set(c, SCMP_FLTATR_CTL_NNP, 1))
		r = seccomp_load(c);
	if (!r)
		r = send_fd(channel, seccomp_notify_fd(c));
	if (!r)
		(void)close(seccomp_notify_fd(c));
	seccomp_release(c);
	return r;
}

static int usage(FILE *out)
{
	(void)fputs("usage: ravelin-portrun [--stack NAME] [--pins DIR] [--] PROGRAM [ARGUMENT...]\n\n"
		    "Runs PROGRAM; a listen on a port that PORT UNRSV TCP ... WHENLISTEN of the stack's profile does not allow it fails\n"
		    "with EACCES. Put it in front of a service's ExecStart=.\n",
		out);
	return out == stdout ? 0 : USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"stack", 1, 0, 's'}, {"pins", 1, 0, 'p'}, {"help", 0, 0, 'h'}, {"version", 0, 0, 'V'}, {0}};
	const char *stack = "TCPCS", *pins = PORT_PINS;
	int c, pair[2];

	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (c == 's')
			stack = optarg;
		else if (c == 'p')
			pins = optarg;
		else if (c == 'V')
			return puts("ravelin-portrun " RAVELIN_VERSION) < 0;
		else
			return usage(c == 'h' ? stdout : stderr);
	}
	if (optind == argc || strchr(stack, '/'))
		return usage(stderr);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fail("socketpair");
	pid_t child = fork();
	if (child < 0)
		return fail("fork");
	if (child == 0) {
		(void)close(pair[0]);
		start_supervisor(stack, pins, pair[1]);
	}
	(void)waitpid(child, NULL, 0);
	(void)close(pair[1]);
	int r = confine(pair[0]);
	if (r < 0) {
		errno = -r;
		return fail("the filter cannot be loaded");
	}
	(void)execvp(argv[optind], argv + optind);
	r = errno == ENOENT ? NOT_FOUND : CANNOT_RUN;
	(void)fail(argv[optind]);
	return r;
}
