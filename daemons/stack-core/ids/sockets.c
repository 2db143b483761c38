/* sockets: what this host's sockets hold, asked of the kernel with sock_diag(7): connections that are still there, and receive queues.
 *
 * The kernel tells a queue in bytes of memory. A datagram takes TRUESIZE of them at least, so that the number of datagrams found here is
 * an upper bound; large ones count as several, as they fill the queue faster. */
#include "daemons/stack-core/ids/regulate.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRUESIZE = 768, SWEEP_MS = 15000, SAMPLE_MS = 20, OPEN_S = 60, DUMP_ROUNDS = 4096, CONSTRAINED_LEAVE = 88 };

static bool one(const struct nlmsghdr *h, socket_fn fn, void *arg)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct socket_seen s = {.lport = ntohs(m->id.idiag_sport), .rport = ntohs(m->id.idiag_dport), .queued = m->idiag_rqueue};
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return false;
	bool four = m->idiag_family == AF_INET, map = !four && !memcmp(m->id.idiag_dst, mapped, 12);
	s.local = four ? addr_v4(m->id.idiag_src) : map ? addr_v4(m->id.idiag_src + 3) : addr_v6(m->id.idiag_src);
	s.remote = four ? addr_v4(m->id.idiag_dst) : map ? addr_v4(m->id.idiag_dst + 3) : addr_v6(m->id.idiag_dst);
	fn(arg, &s);
	return true;
}

/* 1: more to come, 0: done, -errno. */
static int batch(int fd, socket_fn fn, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		return -errno;
	for (size_t at = 0, size = (size_t)n; at + sizeof(struct nlmsghdr) <= size;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)(buf + at);
		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > size - at)
			return -EPROTO;
		at += NLMSG_ALIGN(h->nlmsg_len);
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -EIO;
		if (!one(h, fn, arg))
			return -EPROTO;
	}
	return 1;
}

static int ask(int fd, uint8_t family, uint8_t proto, socket_fn fn, void *arg)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 q;
	} m = {{sizeof(m), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {.sdiag_family = family, .sdiag_protocol = proto, .idiag_states = ~0u}};
	int r = 1;
	if (send(fd, &m, sizeof(m), 0) != (ssize_t)sizeof(m))
		return -errno;
	for (unsigned i = 0; r > 0 && i < DUMP_ROUNDS; i++)
		r = batch(fd, fn, arg);
	return r > 0 ? -E2BIG : r;
}

int sockets_each(uint8_t proto, socket_fn fn, void *arg)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	int r = ask(fd, AF_INET, proto, fn, arg);
	r = r ? r : ask(fd, AF_INET6, proto, fn, arg);
	close(fd);
	return r;
}

/* --- UDP queues --- */

struct sample {
	struct ids *ids;
	uint64_t queued[QUEUES];
};

/* A socket on every address is regulated by the first rule of its port. */
static const struct ids_rule *udp_rule(const struct ids_policy *p, const struct socket_seen *s)
{
	static const uint8_t none[16];
	const struct ids_rule *r = ids_tr_rule(p, IDS_UDP, &s->local, s->lport);
	if (r || memcmp(s->local.b, none, 16))
		return r;
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].condition == IDS_COND_TR && p->rules[i].protocol == IDS_UDP && (!p->rules[i].local || ids_port(p->rules[i].local, s->lport)))
			return &p->rules[i];
	return NULL;
}

static void sampled(void *arg, const struct socket_seen *s)
{
	struct sample *a = arg;
	struct regulation *g = a->ids->tr;
	const struct ids_rule *r = udp_rule(a->ids->policy, s);
	uint8_t slot = atomic_load_explicit(&g->slot[s->lport], memory_order_relaxed);
	if (!r || (!slot && g->n_queues == QUEUES))
		return;
	if (!slot) {
		slot = (uint8_t)++g->n_queues;
		g->queues[slot - 1].port = s->lport;
		g->queues[slot - 1].addr = s->local;
	}
	struct queue *q = &g->queues[slot - 1];
	(void)snprintf(q->rule, sizeof(q->rule), "%s", r->name);
	atomic_store_explicit(&q->limit, r->queue, memory_order_relaxed);
	atomic_store_explicit(&q->discards, r->limit, memory_order_relaxed);
	a->queued[slot - 1] += s->queued;
	q->seen = true;
	atomic_store_explicit(&g->slot[s->lport], slot, memory_order_release);
}

static void forget_queues(struct regulation *g)
{
	for (unsigned i = 0; i < g->n_queues; i++)
		atomic_store_explicit(&g->slot[g->queues[i].port], 0, memory_order_relaxed);
	g->n_queues = 0;
	memset(g->queues, 0, sizeof(g->queues));
}

void tr_sample(struct ids *ids, uint64_t now_ms)
{
	struct regulation *g = ids->tr;
	struct sample a = {.ids = ids};
	if (!g || now_ms < g->sampled_ms + SAMPLE_MS)
		return;
	g->sampled_ms = now_ms;
	if (!ids->policy || !ids->policy->tr_udp) {
		if (g->n_queues)
			forget_queues(g);
		return;
	}
	for (unsigned i = 0; i < g->n_queues; i++)
		g->queues[i].seen = false;
	if (sockets_each(IPPROTO_UDP, sampled, &a) < 0)
		return; /* the last sample stands */
	for (unsigned i = 0; i < g->n_queues; i++) {
		struct queue *q = &g->queues[i];
		uint32_t n = q->seen ? (uint32_t)(a.queued[i] / TRUESIZE) : 0, limit = atomic_load(&q->limit);
		atomic_store_explicit(&q->queued, n, memory_order_relaxed);
		atomic_store_explicit(&q->since, 0, memory_order_relaxed);
		if ((uint64_t)n * 100 < (uint64_t)limit * CONSTRAINED_LEAVE)
			atomic_store_explicit(&q->over, 0, memory_order_relaxed);
	}
}

/* --- connections that ended unseen --- */

struct alive {
	const struct ids *ids;
	uint64_t *v;
	size_t n, cap;
};

static void living(void *arg, const struct socket_seen *s)
{
	struct alive *a = arg;
	if (!s->rport || !ids_port(&a->ids->policy->tr_ports, s->lport))
		return;
	if (a->n == a->cap) {
		a->cap = a->cap ? a->cap * 2 : 1024;
		a->v = xrealloc(a->v, a->cap, sizeof(*a->v));
	}
	a->v[a->n++] = session_hash(a->ids, &s->remote, s->rport, &s->local, s->lport) | 1;
}

static int by_value(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
	return a < b ? -1 : a > b;
}

void tr_sweep(struct ids *ids, uint64_t now_ms)
{
	struct regulation *g = ids->tr;
	struct alive a = {.ids = ids};
	uint32_t now_s = (uint32_t)(now_ms / 1000);
	if (!g || !ids->policy || !ids->policy->tr_tcp || now_ms < g->swept_ms + SWEEP_MS)
		return;
	g->swept_ms = now_ms;
	if (!sockets_each(IPPROTO_TCP, living, &a)) {
		a.v = a.v ? a.v : xcalloc(1, sizeof(*a.v)); /* none is a list too */
		qsort(a.v, a.n, sizeof(*a.v), by_value);
		for (unsigned i = 0; i < CONNS; i++) {
			uint64_t tag = atomic_load_explicit(&g->conns[i].tag, memory_order_acquire);
			if (tag && tag != UINT64_MAX && now_s - atomic_load(&g->conns[i].since_s) > OPEN_S &&
				!bsearch(&tag, a.v, a.n, sizeof(*a.v), by_value))
				tr_release(g, &g->conns[i]);
		}
	}
	free(a.v);
}
