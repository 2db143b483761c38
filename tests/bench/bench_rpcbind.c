/* rpcbindD beside Debian's rpcbind, one load client for both: bench_rpcbind.
 *
 * Each server runs in namespaces of its own (rpcbind_cell.h), where the client opens its sockets by setns(2). The two are measured alternately, five times; a figure is the median of its five runs.
 *
 *   rpcbind.getport.udp   GETPORT v2 calls a second over UDP, 32 in flight
 *   rpcbind.getport.tcp   the same over one TCP connection, 32 in flight
 *   rpcbind.getaddr.udp   GETADDR v4 calls a second over UDP, 32 in flight
 *   rpcbind.cpu.getport   server CPU a GETPORT call over UDP, us (scheduler's run time of the process, to the nanosecond)
 *   rpcbind.cpu.getaddr   the same for GETADDR
 *   rpcbind.dump500       DUMP v4 calls a second over one TCP connection, 500 registrations a reply
 *   rpcbind.connections   GETPORT v2 calls a second over 500 TCP connections at once, one in flight on each
 *   rpcbind.idle1000.memory  resident MiB of the server while 1,000 idle TCP connections are open */
#include "lib/base/wr.h"
#include "tests/bench/rpcbind_cell.h"
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 5, IN_FLIGHT = 32, REGISTERED = 500, CONNECTIONS = 500, IDLE = 1000, FIRST_PROG = 0x20000100, SLICE_MS = 250 };

struct request {
	uint8_t data[128];
	size_t len;
	size_t reply_min; /* shorter replies are failures */
};

struct conn {
	int fd;
	uint8_t mark[4];
	unsigned mark_len;
	size_t left; /* of the record */
};

static struct cell ours = {.name = "rpcbindD"}, theirs = {.name = "rpcbind", .peer = true};

static double now_ms(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, RUNS, sizeof(*v), by_value);
	return v[RUNS / 2];
}

static void line(const char *name, double *a, const char *unit, double *b)
{
	double x = median(a), y = median(b);
	(void)printf("%s\t%.3f\t%s\trpcbind\t%.3f\t%.3f\n", name, x, unit, y, x / y);
	(void)fflush(stdout);
}

static void clean(void)
{
	cell_end(&ours);
	cell_end(&theirs);
}

static void on_signal(int signo)
{
	exit(128 + signo); /* the children die with PR_SET_PDEATHSIG in any case; the directories go in clean() */
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void head(struct wr *w, uint32_t version, uint32_t procedure)
{
	const uint32_t words[] = {0x52560001, 0, 2, 100000, version, procedure, 0, 0, 0, 0};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		wr_u32(w, words[i]);
}

static struct request mapping(uint32_t procedure, uint32_t prog, uint32_t port)
{
	struct request r = {.reply_min = 28};
	struct wr w = wr_init(r.data, sizeof(r.data));
	head(&w, 2, procedure);
	wr_u32(&w, prog);
	wr_u32(&w, 1);
	wr_u32(&w, IPPROTO_UDP);
	wr_u32(&w, port);
	r.len = wr_len(&w);
	return r;
}

static struct request getaddr(void)
{
	struct request r = {.reply_min = 40};
	struct wr w = wr_init(r.data, sizeof(r.data));
	head(&w, 4, 3);
	wr_u32(&w, FIRST_PROG);
	wr_u32(&w, 1);
	wr_u32(&w, 3);
	wr_bytes(&w, "udp\0", 4);
	wr_u32(&w, 0);
	wr_u32(&w, 0);
	r.len = wr_len(&w);
	return r;
}

static struct request dump(void)
{
	struct request r = {.reply_min = REGISTERED * 40};
	struct wr w = wr_init(r.data, sizeof(r.data));
	head(&w, 4, 4);
	r.len = wr_len(&w);
	return r;
}

static void registrations(const struct cell *c)
{
	int fd = -1;
	uint8_t reply[64];
	for (int i = 0; i < 200 && fd < 0; i++) { /* until it listens */
		struct request null = mapping(0, 0, 0);
		fd = cell_socket(c, SOCK_DGRAM);
		null.len = 40;
		if (send(fd, null.data, null.len, 0) < 0 || recv(fd, reply, sizeof(reply), 0) < 24) {
			(void)close(fd);
			fd = -1;
			(void)usleep(50000);
		}
	}
	if (fd < 0)
		cell_die(c->name, "does not answer");
	for (uint32_t i = 0; i < REGISTERED; i++) {
		struct request r = mapping(1, FIRST_PROG + i, 2000 + i);
		if (send(fd, r.data, r.len, 0) < 0 || recv(fd, reply, sizeof(reply), 0) != 28 || be32(reply + 24) != 1)
			cell_die(c->name, "refused a registration");
	}
	(void)close(fd);
}

/* Calls a second over UDP; *@ret_cpu: us of the server a call. */
static double udp_calls(const struct cell *c, const struct request *r, double *ret_cpu)
{
	static uint8_t replies[IN_FLIGHT][512];
	struct mmsghdr out[IN_FLIGHT], in[IN_FLIGHT];
	struct iovec vec_out = {(void *)r->data, r->len}, vec_in[IN_FLIGHT];
	int fd = cell_socket(c, SOCK_DGRAM);
	uint64_t done = 0;
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		vec_in[i] = (struct iovec){replies[i], sizeof(replies[i])};
		out[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vec_out, .msg_iovlen = 1}};
		in[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vec_in[i], .msg_iovlen = 1}};
	}
	double cpu = cell_cpu_ns(c), begin = now_ms(), t = begin;
	int n = IN_FLIGHT;
	do {
		if (sendmmsg(fd, out, (unsigned)n, 0) != n)
			cell_die(c->name, "a call could not be sent");
		n = recvmmsg(fd, in, IN_FLIGHT, MSG_WAITFORONE, NULL);
		if (n <= 0)
			cell_die(c->name, "left a call over UDP without an answer");
		for (int i = 0; i < n; i++)
			if (in[i].msg_len < r->reply_min || be32(replies[i] + 20) != 0)
				cell_die(c->name, "answered a call wrongly");
		done += (unsigned)n;
		t = now_ms();
	} while (t - begin < SLICE_MS);
	*ret_cpu = (cell_cpu_ns(c) - cpu) / 1e3 / (double)done;
	(void)close(fd);
	return (double)done / (t - begin) * 1e3;
}

static void tcp_send(const struct cell *c, const struct conn *k, const struct request *r, unsigned times)
{
	uint8_t text[IN_FLIGHT * (4 + sizeof(r->data))];
	struct wr w = wr_init(text, sizeof(text));
	for (unsigned i = 0; i < times; i++) {
		wr_u32(&w, 0x80000000u | (uint32_t)r->len);
		wr_bytes(&w, r->data, r->len);
	}
	if (send(k->fd, text, wr_len(&w), MSG_NOSIGNAL) != (ssize_t)wr_len(&w))
		cell_die(c->name, "a call could not be sent over TCP");
}

/* Whole records in what one read gave. */
static unsigned tcp_read(const struct cell *c, struct conn *k, const struct request *r)
{
	static uint8_t text[1 << 18];
	unsigned records = 0;
	ssize_t n = recv(k->fd, text, sizeof(text), 0);
	if (n <= 0)
		cell_die(c->name, "left a call over TCP without an answer");
	for (ssize_t at = 0; at < n;) {
		if (k->left) {
			size_t take = k->left < (size_t)(n - at) ? k->left : (size_t)(n - at);
			at += (ssize_t)take;
			k->left -= take;
			records += !k->left;
			continue;
		}
		k->mark[k->mark_len++] = text[at++];
		if (k->mark_len == 4) {
			k->mark_len = 0;
			k->left = be32(k->mark) & 0x7fffffff;
			if (!(k->mark[0] & 0x80)) /* a reply in several fragments counts with its last */
				records -= 1;
			else if (k->left < r->reply_min && r->reply_min < 100)
				cell_die(c->name, "answered a call over TCP wrongly");
		}
	}
	return records;
}

static void connect_all(const struct cell *c, struct conn *k, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		k[i] = (struct conn){.fd = cell_socket(c, SOCK_STREAM)};
		if (k[i].fd < 0)
			cell_die(c->name, "refused a connection");
	}
}

static double tcp_calls(const struct cell *c, const struct request *r, unsigned connections, unsigned depth)
{
	static struct conn conns[CONNECTIONS];
	struct epoll_event e[64];
	int ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t done = 0;
	connect_all(c, conns, connections);
	for (unsigned i = 0; i < connections; i++) {
		struct epoll_event want = {.events = EPOLLIN, .data.ptr = &conns[i]};
		(void)epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &want);
		tcp_send(c, &conns[i], r, 1); /* accepted and answered once before the clock runs */
		while (!tcp_read(c, &conns[i], r))
			;
	}
	double begin = now_ms(), t;
	for (unsigned i = 0; i < connections; i++)
		tcp_send(c, &conns[i], r, depth);
	do {
		int n = epoll_wait(ep, e, 64, 5000);
		if (n <= 0)
			cell_die(c->name, "left calls over TCP without an answer");
		for (int i = 0; i < n; i++) {
			unsigned got = tcp_read(c, e[i].data.ptr, r);
			if (got)
				tcp_send(c, e[i].data.ptr, r, got);
			done += got;
		}
		t = now_ms();
	} while (t - begin < SLICE_MS);
	for (unsigned i = 0; i < connections; i++)
		(void)close(conns[i].fd);
	(void)close(ep);
	return (double)done / (t - begin) * 1e3;
}

static double idle_memory(const struct cell *c)
{
	static struct conn conns[IDLE];
	struct request r = mapping(3, FIRST_PROG, 0);
	connect_all(c, conns, IDLE);
	for (unsigned i = 0; i < IDLE; i++) {
		tcp_send(c, &conns[i], &r, 1);
		while (!tcp_read(c, &conns[i], &r))
			;
	}
	double mib = cell_resident_mib(c);
	for (unsigned i = 0; i < IDLE; i++)
		(void)close(conns[i].fd);
	return mib;
}

enum figure { GETPORT_UDP, GETPORT_TCP, GETADDR_UDP, CPU_GETPORT, CPU_GETADDR, DUMP500, MANY, MEMORY, FIGURES };

static void measure(const struct cell *c, double v[FIGURES][RUNS], unsigned run)
{
	struct request port = mapping(3, FIRST_PROG, 0), addr = getaddr(), all = dump();
	v[GETPORT_UDP][run] = udp_calls(c, &port, &v[CPU_GETPORT][run]);
	v[GETPORT_TCP][run] = tcp_calls(c, &port, 1, IN_FLIGHT);
	v[GETADDR_UDP][run] = udp_calls(c, &addr, &v[CPU_GETADDR][run]);
	v[DUMP500][run] = tcp_calls(c, &all, 1, 4);
	v[MANY][run] = tcp_calls(c, &port, CONNECTIONS, 1);
	v[MEMORY][run] = idle_memory(c);
}

int main(int argc, char **argv)
{
	static const char *const names[FIGURES][2] = {{"rpcbind.getport.udp", "calls/s"}, {"rpcbind.getport.tcp", "calls/s"},
		{"rpcbind.getaddr.udp", "calls/s"}, {"rpcbind.cpu.getport", "us"}, {"rpcbind.cpu.getaddr", "us"},
		{"rpcbind.dump500", "calls/s"}, {"rpcbind.connections", "calls/s"}, {"rpcbind.idle1000.memory", "MiB"}};
	static double a[FIGURES][RUNS], b[FIGURES][RUNS];
	struct rlimit files = {4096, 4096};
	if (setrlimit(RLIMIT_NOFILE, &files))
		cell_die("client", "cannot open 1,000 connections");
	cell_init();
	(void)atexit(clean);
	(void)signal(SIGTERM, on_signal);
	(void)signal(SIGINT, on_signal);
	cell_start(&ours);
	cell_start(&theirs);
	registrations(&ours);
	registrations(&theirs);
	for (unsigned run = 0; run < RUNS; run++) {
		measure(&ours, a, run);
		measure(&theirs, b, run);
	}
	for (unsigned f = 0; f < FIGURES; f++)
		line(names[f][0], a[f], names[f][1], b[f]);
	(void)argc, (void)argv;
	return 0;
}
