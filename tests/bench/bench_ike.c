/* bench_ike: a load of IKE initiators in one process, each an engine of its own (lib/ike) with an address of its own; the namespace takes all
 * of them as local (ip route add local 10.9.0.0/16 dev lo), so that two sockets serve all. Started by ike.py.
 *
 *   bench_ike REMOTE BASE COUNT WINDOW POLICY RING|- [hold|flood]
 *
 * COUNT set-ups of phase 1 and phase 2 with at most WINDOW under way. Prints "done N failed N seconds S". hold: then waits until standard
 * input ends. flood: sends 100,000 first messages with cookies and sources of nobody, and in the midst of them sets up one
 * connection; prints "flood SENT seconds S". */
#include "lib/base/xalloc.h"
#include "lib/ike/ike.h"
#include "lib/keyring/signer_local.h"
#include "lib/loop/loop.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DATAGRAM = 65536, FLOOD = 100000, PATIENCE_US = 60000000 };

struct initiator {
	struct bench *bench;
	struct ike *engine;
	struct ipsec_policy policy; /* the file's, with an identity of our own */
	struct kex_rule rule;
	struct addr addr;
	bool done, failed;
};

struct bench {
	struct loop *loop;
	struct signer *signer;
	struct ipsec_policy *policy;
	struct addr remote, base;
	int fd[2]; /* 500, 4500 */
	struct loop_fd *watch[2];
	struct loop_timer *timer;
	struct initiator *all;
	unsigned count, window, started, done, failed;
	uint64_t begun_us, ended_us;
	uint8_t first[DATAGRAM]; /* the first message that was sent, for the flood */
	size_t first_len;
};

static uint64_t clock_us(clockid_t id)
{
	struct timespec ts;
	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static void send_from(int fd, const struct addr *from, const struct addr *to, uint16_t port, bool marked, const void *data, size_t len)
{
	static uint8_t marker[4];
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct iovec iov[2] = {{marker, 4}, {(void *)data, len}};
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = {.h = {.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO}};
	struct msghdr m = {.msg_name = &sin, .msg_namelen = sizeof(sin), .msg_iov = marked ? iov : iov + 1, .msg_iovlen = marked ? 2 : 1,
		.msg_control = &control, .msg_controllen = sizeof(control)};
	struct in_pktinfo info = {0};
	memcpy(&sin.sin_addr, to->b, 4);
	memcpy(&info.ipi_spec_dst, from->b, 4);
	memcpy(CMSG_DATA(&control.h), &info, sizeof(info));
	(void)sendmsg(fd, &m, 0);
}

static void op_send(void *ctx, const struct ike_path *p, const void *data, size_t len)
{
	struct initiator *i = ctx;
	struct bench *b = i->bench;
	if (!b->first_len && len <= sizeof(b->first)) {
		memcpy(b->first, data, len);
		b->first_len = len;
	}
	send_from(b->fd[p->local_port == 4500], &p->local, &p->remote, p->remote_port, p->local_port == 4500, data, len);
}

static int op_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	return getrandom(out, len, 0) == (ssize_t)len ? 0 : -EIO;
}

static int op_install(void *ctx, const struct ike_child *c)
{
	(void)ctx;
	(void)c;
	return 0;
}

static void op_ready(void *ctx, const struct ike_child *c)
{
	(void)ctx;
	(void)c;
}

static void op_remove(void *ctx, const struct ike_child *c, const char *why)
{
	(void)ctx;
	(void)c;
	(void)why;
}

static void finished(struct initiator *i, bool failed)
{
	struct bench *b = i->bench;
	if (i->done)
		return;
	i->done = true;
	i->failed = failed;
	b->done++;
	b->failed += failed;
	b->ended_us = now_us();
}

static void op_event(void *ctx, const struct ike_event *e)
{
	struct initiator *i = ctx;
	if (e->kind == IKE_P2_UP) {
		finished(i, false);
	} else if (e->kind == IKE_P1_FAILED || e->kind == IKE_P2_FAILED) {
		if (!i->bench->failed)
			(void)fprintf(stderr, "failed: %s\n", e->text ? e->text : "");
		finished(i, true);
	}
}

static const struct ike_ops ops = {op_send, op_random, op_install, op_ready, op_remove, op_event};

static void initiator_start(struct bench *b, struct initiator *i)
{
	struct ike_activate a = {.rule = &b->policy->rules[b->policy->n_rules - 1], .local_endpoint = i->addr, .remote_endpoint = b->remote};
	struct ike_config c = {.ops = &ops, .ctx = i, .policy = &i->policy, .signer = b->signer};
	struct errbuf e = {""};
	char id[16];
	i->bench = b;
	i->policy = *b->policy;
	i->rule = b->policy->kex_rules[0];
	if (i->rule.local.identity.type == IKE_ID_IPV4) /* a name stays the same for all */
		(void)ident_from_addr(&i->addr, &i->rule.local.identity.id);
	i->policy.kex_rules = &i->rule;
	i->policy.n_kex_rules = 1;
	a.sel = (struct selector){.local = {i->addr, i->addr}, .remote = a.rule->dests[0], .protocol = POLICY_PROTO_ALL};
	int rc = ike_new(&c, now_us(), &i->engine);
	rc = rc ? rc : ike_activate(i->engine, &a, now_us(), &e, id);
	if (rc) {
		(void)fprintf(stderr, "activate: %d %s\n", rc, e.text);
		finished(i, true);
	}
}

static void refill(struct bench *b)
{
	while (b->started < b->count && b->started - b->done < b->window)
		initiator_start(b, &b->all[b->started++]);
	if (b->done == b->count)
		loop_quit(b->loop);
}

static uint32_t number(const struct addr *a)
{
	return (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 | (uint32_t)a->b[2] << 8 | a->b[3];
}

static void one(struct bench *b, unsigned nat, struct msghdr *m, uint8_t *data, size_t len)
{
	struct ike_path p = {.local_port = nat ? 4500 : 500};
	const struct sockaddr_in *sin = m->msg_name;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			p.local = addr_v4(&info.ipi_addr);
		}
	if (nat) {
		if (len < 4)
			return;
		data += 4;
		len -= 4;
	}
	p.remote = addr_v4(&sin->sin_addr);
	p.remote_port = ntohs(sin->sin_port);
	uint32_t n = number(&p.local) - number(&b->base);
	if (n < b->started && b->all[n].engine)
		ike_input(b->all[n].engine, &p, data, len, now_us(), clock_us(CLOCK_REALTIME));
}

static void readable(void *arg, int fd, unsigned events)
{
	static uint8_t data[DATAGRAM];
	struct bench *b = arg;
	(void)events;
	for (unsigned n = 0; n < 64; n++) {
		struct sockaddr_in from;
		char control[128];
		struct iovec iov = {data, sizeof(data)};
		struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			.msg_controllen = sizeof(control)};
		ssize_t len = recvmsg(fd, &m, MSG_DONTWAIT);
		if (len <= 0)
			break;
		one(b, fd == b->fd[1], &m, data, (size_t)len);
	}
	refill(b);
}

static void tick(void *arg)
{
	struct bench *b = arg;
	uint64_t now = now_us();
	for (unsigned i = 0; i < b->started; i++)
		if (!b->all[i].done && b->all[i].engine && ike_deadline(b->all[i].engine) <= now)
			ike_tick(b->all[i].engine, now, clock_us(CLOCK_REALTIME));
	if (now > b->begun_us + PATIENCE_US)
		loop_quit(b->loop);
	refill(b);
	loop_timer_set(b->timer, 10);
}

static int udp(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, size = 8 << 20;
	(void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin))) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static void run(struct bench *b)
{
	b->begun_us = now_us();
	refill(b);
	loop_timer_set(b->timer, 10);
	(void)loop_run(b->loop);
	double s = (double)((b->ended_us ? b->ended_us : now_us()) - b->begun_us) / 1e6;
	(void)printf("done %u failed %u seconds %.6f\n", b->done - b->failed, b->failed + b->count - b->done, s);
	(void)fflush(stdout);
}

/* Spoofed: sources from 10.128.0.0/9, which nobody answers from. */
static void flood_some(struct bench *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct addr from = {.family = 4};
		uint32_t r[3];
		if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
			abort();
		from.b[0] = 10;
		from.b[1] = (uint8_t)(128 | r[0]);
		from.b[2] = (uint8_t)(r[0] >> 8);
		from.b[3] = (uint8_t)(r[0] >> 16);
		memcpy(b->first, &r[1], 8);
		send_from(b->fd[0], &from, &b->remote, 500, false, b->first, b->first_len);
	}
}

/* A third of the flood, a legitimate peer, and the rest while it negotiates. */
static void flood(struct bench *b)
{
	unsigned sent = FLOOD / 3;
	uint64_t begun = now_us();
	b->count = 1;
	run(b); /* gives the first message to copy */
	flood_some(b, sent);
	b->all[1].bench = b;
	b->count = 2;
	b->begun_us = now_us();
	b->ended_us = 0;
	uint64_t start = b->begun_us;
	refill(b);
	loop_timer_set(b->timer, 10);
	while (b->done < 2 && now_us() < start + PATIENCE_US) {
		if (sent < FLOOD) {
			flood_some(b, 500);
			sent += 500;
		}
		(void)loop_run_once(b->loop, 1);
	}
	(void)printf("flood %u legitimate %s seconds %.6f\n", sent, b->done == 2 && !b->all[1].failed ? "yes" : "no", (double)(now_us() - start) / 1e6);
	for (; sent < FLOOD; sent += 500)
		flood_some(b, 500);
	(void)printf("sent %u seconds %.3f\n", sent, (double)(now_us() - begun) / 1e6);
	(void)fflush(stdout);
}

static int open_all(struct bench *b, const char *policy, const char *ring)
{
	struct errbuf e = {""};
	struct signer_local_spec spec = {.ring = {.name = ring, .user = "IKED", .uid = (uid_t)-1}};
	if (ipsec_policy_load(policy, NULL, &e, &b->policy) || (strcmp(ring, "-") && signer_local_new(b->loop, &spec, &b->signer, &e)) ||
		!b->policy->n_kex_rules || !b->policy->n_rules) {
		(void)fprintf(stderr, "bench_ike: %s\n", e.text);
		return 1;
	}
	b->all = xcalloc(b->count + 1, sizeof(*b->all));
	for (unsigned i = 0; i <= b->count; i++) {
		uint32_t n = number(&b->base) + i;
		b->all[i].addr = (struct addr){.family = 4, .b = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
	}
	b->timer = loop_timer_new(b->loop, tick, b);
	for (unsigned i = 0; i < 2; i++) {
		b->fd[i] = udp(i ? 4500 : 500);
		b->watch[i] = loop_fd_new(b->loop, b->fd[i], LOOP_READ, readable, b);
	}
	return 0;
}

static void close_all(struct bench *b)
{
	for (unsigned i = 0; i <= b->count; i++)
		if (b->all[i].engine)
			ike_free(b->all[i].engine);
	for (unsigned i = 0; i < 2; i++) {
		loop_fd_free(b->watch[i]);
		close(b->fd[i]);
	}
	loop_timer_free(b->timer);
	signer_free(b->signer);
	ipsec_policy_free(b->policy);
	free(b->all);
	loop_free(b->loop);
}

int main(int argc, char **argv)
{
	static struct bench b;
	char c;
	if (argc < 7 || addr_parse(argv[1], &b.remote) || addr_parse(argv[2], &b.base)) {
		(void)fputs("usage: bench_ike REMOTE BASE COUNT WINDOW POLICY RING|- [hold|flood]\n", stderr);
		return 2;
	}
	b.count = (unsigned)strtoul(argv[3], NULL, 10);
	b.window = (unsigned)strtoul(argv[4], NULL, 10);
	b.loop = loop_new();
	if (open_all(&b, argv[5], argv[6]))
		return 1;
	if (argc > 7 && !strcmp(argv[7], "flood"))
		flood(&b);
	else
		run(&b);
	if (argc > 7 && !strcmp(argv[7], "hold"))
		while (read(0, &c, 1) > 0)
			;
	unsigned failed = b.failed;
	close_all(&b);
	return failed ? 1 : 0;
}
