#include "daemons/rpcbindD/worker.h"
#include "lib/base/rd.h"
#include "lib/base/wr.h"
#include <cap-ng.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CHANNEL = 3, HEAD = 40, MSG_ACCEPTED = 0, AUTH_ERROR = 1 };

struct slot {
	uint64_t id, deadline; /* .deadline 0: free */
	uint32_t xid;
	int fd;
};

static struct slot slots[WORKER_CALLS];
static const struct worker_label *label;

static uint64_t now_ms(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- what the process may do --- */

#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "seccomp: name this architecture's AUDIT_ARCH"
#endif

static int confine(void)
{
	/* mmap and its kin are for the C library; without a descriptor of a file they give memory and no more. */
	struct sock_filter text[] = {LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		ALLOW(sendmsg), ALLOW(recvmsg), ALLOW(sendto), ALLOW(recvfrom), ALLOW(ppoll),
#ifdef __NR_poll
		ALLOW(poll),
#endif
		ALLOW(bind), ALLOW(connect), ALLOW(getsockname), ALLOW(setsockopt), ALLOW(close), ALLOW(clock_gettime), ALLOW(getrandom),
		ALLOW(exit_group), ALLOW(exit), ALLOW(rt_sigreturn), ALLOW(rt_sigprocmask), ALLOW(futex), ALLOW(mmap), ALLOW(munmap), ALLOW(madvise), ALLOW(brk), ALLOW(sigaltstack),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 4), LOAD(args[0]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA))};
	struct sock_fprog prog = {sizeof(text) / sizeof(text[0]), text};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ? -errno : 0;
}

static int give_up(void)
{
	struct rlimit files = {WORKER_CALLS + 8, WORKER_CALLS + 8}, none = {0, 0};
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	capng_get_caps_process();
	bool raw = capng_have_capability(CAPNG_PERMITTED, CAP_NET_RAW);
	capng_clear(CAPNG_SELECT_CAPS);
	if (label->carried && raw)
		(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_RAW);
	if (capng_apply(CAPNG_SELECT_CAPS) || setrlimit(RLIMIT_NOFILE, &files) || setrlimit(RLIMIT_FSIZE, &none) ||
		setrlimit(RLIMIT_CORE, &none))
		return -EPERM;
	return confine();
}

/* --- calls --- */

static void say(const struct worker_reply *r, const uint8_t *results)
{
	struct iovec parts[2] = {{(void *)(uintptr_t)r, sizeof(*r)}, {(void *)(uintptr_t)results, r->len}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = r->len ? 2 : 1};
	if (sendmsg(CHANNEL, &m, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void say_status(uint64_t id, enum worker_status status)
{
	struct worker_reply r = {.id = id, .kind = WORKER_DONE, .status = (uint8_t)status};
	say(&r, NULL);
}

static void free_slot(struct slot *s)
{
	(void)close(s->fd);
	s->deadline = 0;
}

static socklen_t make_address(struct sockaddr_storage *out, const struct addr *a, uint16_t port)
{
	memset(out, 0, sizeof(*out));
	if (a->family == 4) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)out;
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, a->b, 4);
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, a->b, 16);
	return sizeof(*v6);
}

static bool labelled(int fd, uint8_t family)
{
	const uint8_t *text = family == 4 ? label->v4 : label->v6;
	unsigned len = family == 4 ? label->v4_len : label->v6_len;
	if (!label->carried)
		return true;
	return len && setsockopt(fd, family == 4 ? IPPROTO_IP : IPPROTO_IPV6, family == 4 ? 4 /* IP_OPTIONS */ : 54 /* IPV6_HOPOPTS */, text, len) == 0;
}

/* A socket that only the server's answers reach, and its port. */
static int open_socket(const struct worker_call *c, uint16_t *ret_port)
{
	struct sockaddr_storage to, own;
	socklen_t len = make_address(&to, &c->to, c->port), own_len = sizeof(own);
	int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (!labelled(fd, c->to.family) || connect(fd, (struct sockaddr *)&to, len) || getsockname(fd, (struct sockaddr *)&own, &own_len)) {
		(void)close(fd);
		return -1;
	}
	*ret_port = ntohs(own.ss_family == AF_INET ? ((struct sockaddr_in *)&own)->sin_port : ((struct sockaddr_in6 *)&own)->sin6_port);
	return fd;
}

static bool send_call(const struct slot *s, const struct worker_call *c, const uint8_t *args)
{
	uint8_t head[HEAD];
	struct wr w = wr_init(head, sizeof(head));
	const uint32_t words[] = {s->xid, 0, 2, c->prog, c->vers, c->proc, 0, 0, 0, 0}; /* no credentials: no authority */
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		wr_u32(&w, words[i]);
	struct iovec parts[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)args, c->len}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
	return sendmsg(s->fd, &m, MSG_NOSIGNAL) == (ssize_t)(sizeof(head) + c->len);
}

static void begin(const struct worker_call *c, const uint8_t *args)
{
	struct worker_reply r = {.id = c->id, .kind = WORKER_PORT};
	struct slot *s = slots;
	while (s < slots + WORKER_CALLS && s->deadline)
		s++;
	if (s == slots + WORKER_CALLS) {
		say_status(c->id, WORKER_BUSY);
		return;
	}
	s->fd = open_socket(c, &r.port);
	if (s->fd < 0) {
		say_status(c->id, WORKER_SYSTEM_ERR);
		return;
	}
	s->id = c->id;
	s->deadline = now_ms() + c->timeout_ms;
	if (getrandom(&s->xid, sizeof(s->xid), 0) != sizeof(s->xid))
		_exit(1);
	say(&r, NULL);
	if (!send_call(s, c, args)) {
		free_slot(s);
		say_status(c->id, WORKER_SYSTEM_ERR);
	}
}

static bool skip_verifier(struct rd *r)
{
	(void)rd_u32(r);
	uint32_t len = rd_u32(r);
	return len <= 400 && rd_bytes(r, (len + 3u) & ~3u) && rd_ok(r);
}

bool worker_parse(const uint8_t *text, size_t len, uint32_t xid, struct worker_reply *ret, const uint8_t **ret_results)
{
	struct rd r = rd_init(text, len);
	*ret = (struct worker_reply){.id = ret->id, .kind = WORKER_DONE, .status = WORKER_SYSTEM_ERR};
	if (rd_u32(&r) != xid || rd_u32(&r) != 1)
		return false;
	uint32_t how = rd_u32(&r);
	if (!rd_ok(&r) || how > 1)
		return false;
	if (how != MSG_ACCEPTED) {
		uint32_t why = rd_u32(&r);
		ret->status = rd_ok(&r) && why == AUTH_ERROR ? WORKER_AUTH_ERROR : WORKER_SYSTEM_ERR;
		return rd_ok(&r);
	}
	uint32_t status = skip_verifier(&r) ? rd_u32(&r) : 6;
	if (!rd_ok(&r) || status > WORKER_SYSTEM_ERR)
		return false;
	ret->status = (uint8_t)status;
	if (status == WORKER_PROG_MISMATCH) {
		ret->low = rd_u32(&r);
		ret->high = rd_u32(&r);
		return rd_ok(&r);
	}
	if (status == WORKER_SUCCESS) {
		*ret_results = r.p;
		ret->len = (uint32_t)rd_left(&r);
	}
	return true;
}

static void finish(struct slot *s)
{
	static uint8_t text[65536];
	const uint8_t *results = NULL;
	struct worker_reply r = {.id = s->id};
	ssize_t n = recv(s->fd, text, sizeof(text), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) /* nobody listens there: the registration outlived its server */
		r = (struct worker_reply){.id = s->id, .kind = WORKER_DONE, .status = WORKER_PROG_UNAVAIL};
	else if (!worker_parse(text, (size_t)n, s->xid, &r, &results))
		return;
	if (r.len > WORKER_DATA_MAX)
		r = (struct worker_reply){.id = s->id, .kind = WORKER_DONE, .status = WORKER_SYSTEM_ERR};
	free_slot(s);
	say(&r, results);
}

static void take_call(void)
{
	static uint8_t text[sizeof(struct worker_call) + WORKER_DATA_MAX];
	struct worker_call c;
	ssize_t n = recv(CHANNEL, text, sizeof(text), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		_exit(0);
	if (n < (ssize_t)sizeof(c))
		return;
	memcpy(&c, text, sizeof(c));
	if (c.len == (size_t)n - sizeof(c))
		begin(&c, text + sizeof(c));
}

static void __attribute__((noreturn)) serve(void)
{
	for (;;) {
		struct pollfd p[1 + WORKER_CALLS] = {{.fd = CHANNEL, .events = POLLIN}};
		uint64_t now = now_ms(), wait = 3600000;
		for (unsigned i = 0; i < WORKER_CALLS; i++) {
			struct slot *s = &slots[i];
			if (s->deadline && s->deadline <= now) {
				free_slot(s);
				say_status(s->id, WORKER_TIMEOUT);
			}
			p[1 + i] = (struct pollfd){.fd = s->deadline ? s->fd : -1, .events = POLLIN};
			if (s->deadline && s->deadline - now < wait)
				wait = s->deadline - now;
		}
		if (poll(p, 1 + WORKER_CALLS, (int)wait + 1) <= 0)
			continue;
		for (unsigned i = 0; i < WORKER_CALLS; i++)
			if (p[1 + i].revents)
				finish(&slots[i]);
		if (p[0].revents)
			take_call();
	}
}

static void __attribute__((noreturn)) become(const struct worker_label *l, int channel)
{
	sigset_t all;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL); /* what ends it is the channel */
	(void)prctl(PR_SET_NAME, "rpcbind-call");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	label = l;
	if (dup2(channel, CHANNEL) < 0 || close_range(CHANNEL + 1, ~0u, 0))
		_exit(1);
	for (int fd = 0; fd < CHANNEL; fd++)
		(void)close(fd);
	if (give_up())
		_exit(1);
	serve();
}

int worker_start(const struct worker_label *l, pid_t *ret_pid, int *ret_channel)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		become(l, pair[1]);
	int rc = pid < 0 ? -errno : 0;
	(void)close(pair[1]);
	if (rc) {
		(void)close(pair[0]);
		return rc;
	}
	*ret_pid = pid;
	*ret_channel = pair[0];
	return 0;
}
