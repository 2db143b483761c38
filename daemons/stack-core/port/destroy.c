/* destroy: SOCK_DESTROY (sock_diag(7), CONFIG_INET_DIAG_DESTROY) for a listener. It is found by a dump of the listeners of
 * its port and identified by its cookie, so that no other socket can be hit. */
#include "daemons/stack-core/port/control.h"
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TCP_LISTEN_STATE = 10, REPLY = 32768 };

struct ask {
	struct nlmsghdr h;
	struct inet_diag_req_v2 r;
};

static int send_ask(int fd, const struct ask *q)
{
	return send(fd, q, sizeof(*q), 0) == (ssize_t)sizeof(*q) ? 0 : -errno;
}

static struct ask ask_for(uint16_t type, uint16_t flags, uint8_t family)
{
	return (struct ask){{sizeof(struct ask), type, flags, 1, 0},
		{.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1u << TCP_LISTEN_STATE}};
}

static int destroy(int fd, uint8_t family, const struct inet_diag_msg *m)
{
	struct ask q = ask_for(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, family);
	char buf[1024];

	q.r.id = m->id;
	int r = send_ask(fd, &q);
	if (r < 0)
		return r;
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || h->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

/* 1 found and copied, 0 not there, -errno. */
static int find(int fd, uint8_t family, uint16_t port, uint64_t cookie, struct inet_diag_msg *ret)
{
	static _Alignas(8) char buf[REPLY];
	struct ask q = ask_for(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, family);
	int found = 0;

	q.r.id.idiag_sport = htons(port);
	int r = send_ask(fd, &q);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t got = recv(fd, buf, sizeof(buf), 0);
		if (got <= 0)
			return got < 0 ? -errno : -EPROTO;
		unsigned n = (unsigned)got;
		for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return found;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			const struct inet_diag_msg *m = NLMSG_DATA(h);
			uint64_t id = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
			if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(*m)) && id == cookie && m->id.idiag_sport == htons(port)) {
				*ret = *m;
				found = 1;
			}
		}
	}
}

int port_destroy_listener(uint16_t port, uint64_t cookie)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct timeval limit = {1, 0};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), r = 0;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (unsigned i = 0; i < 2 && r == 0; i++) {
		struct inet_diag_msg m;
		r = find(fd, families[i], port, cookie, &m);
		if (r == 1)
			r = destroy(fd, families[i], &m) ? -EIO : 1;
	}
	(void)close(fd);
	return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}
