/* sock_diag(7): whose socket is it? An exact question is answered at once and needs no privilege; what cannot be answered is unknown, and
 * whoever asks refuses then. The answer for a UDP client is found the other way round than TCP's: as for a packet that comes in to it. */
#include "daemons/rpcbindD/rpcbind.h"
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <unistd.h>

enum { STATE_CLOSE = 1 << 7, STATE_LISTEN = 1 << 10, STATE_ESTABLISHED = 1 << 1 };

struct question {
	struct nlmsghdr h;
	struct inet_diag_req_v2 r;
};

static int diag_fd = -1;
static uint32_t seq;

static bool ask(struct question *q, unsigned flags)
{
	struct timeval limit = {.tv_usec = 200000};
	if (diag_fd < 0) {
		diag_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		if (diag_fd < 0)
			return false;
		(void)setsockopt(diag_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	}
	q->h = (struct nlmsghdr){.nlmsg_len = sizeof(*q), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = ++seq};
	return send(diag_fd, q, sizeof(*q), 0) == sizeof(*q);
}

/* Each answer to the last question goes to @fn until it returns false. false: the kernel says no, or nothing. */
static bool answers(bool (*fn)(void *arg, const struct inet_diag_msg *m), void *arg)
{
	static char buf[32768] __attribute__((aligned(8)));
	bool more = true;
	for (;;) {
		ssize_t got = recv(diag_fd, buf, sizeof(buf), 0);
		if (got <= 0) {
			(void)close(diag_fd); /* what still comes must not be taken for another answer */
			diag_fd = -1;
			return false;
		}
		unsigned n = (unsigned)got;
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != seq)
				continue;
			if (h->nlmsg_type == NLMSG_DONE)
				return true;
			if (h->nlmsg_type == NLMSG_ERROR)
				return false;
			if (more && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
				more = fn(arg, NLMSG_DATA(h));
			if (!(h->nlmsg_flags & NLM_F_MULTI))
				return true;
		}
	}
}

/* A socket that its program has closed (FIN-WAIT, TIME-WAIT) has no inode any more, and the kernel writes uid 0 for it: that is nobody's word. */
static bool take_uid(void *arg, const struct inet_diag_msg *m)
{
	if (m->idiag_inode)
		*(int64_t *)arg = m->idiag_uid;
	return false;
}

int64_t diag_owner(enum netid n, const struct addr *client, uint16_t client_port, const struct addr *here, uint16_t port)
{
	bool udp = netid_is_udp(n);
	struct question q = {.r = {.sdiag_family = client->family == 4 ? AF_INET : AF_INET6, .sdiag_protocol = udp ? IPPROTO_UDP : IPPROTO_TCP, .idiag_states = ~0u}};
	int64_t uid = -1;
	memcpy(q.r.id.idiag_src, udp ? here->b : client->b, addr_len(client));
	memcpy(q.r.id.idiag_dst, udp ? client->b : here->b, addr_len(client));
	q.r.id.idiag_sport = htons(udp ? port : client_port);
	q.r.id.idiag_dport = htons(udp ? client_port : port);
	q.r.id.idiag_cookie[0] = q.r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (client->family != here->family || !ask(&q, 0) || !answers(take_uid, &uid))
		return -1;
	return uid;
}

struct search {
	uint16_t port;
	int64_t uid, found;
};

static bool take_server(void *arg, const struct inet_diag_msg *m)
{
	struct search *s = arg;
	if (ntohs(m->id.idiag_sport) != s->port || !m->idiag_inode)
		return true;
	if (s->found < 0 || m->idiag_uid == s->uid)
		s->found = m->idiag_uid;
	return s->found != s->uid;
}

int64_t diag_server(enum netid n, uint16_t port, int64_t uid)
{
	static const uint8_t families[2] = {AF_INET, AF_INET6};
	struct search s = {.port = port, .uid = uid, .found = -1};
	for (unsigned i = netid_family(n) == 4 ? 0 : 1; i < 2 && s.found != uid; i++) { /* a socket for IPv6 may serve IPv4 too */
		struct question q = {.r = {.sdiag_family = families[i], .sdiag_protocol = netid_is_udp(n) ? IPPROTO_UDP : IPPROTO_TCP,
					   .idiag_states = netid_is_udp(n) ? STATE_CLOSE | STATE_ESTABLISHED : STATE_LISTEN}};
		q.r.id.idiag_sport = htons(port);
		if (!ask(&q, NLM_F_DUMP) || !answers(take_server, &s))
			return -2;
	}
	return s.found;
}
