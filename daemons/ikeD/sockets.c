/* UDP 500 and 4500 on each address of a stack. The stack's TUN carries its addresses on the kernel's side, so these are ordinary
 * sockets; one for each address, so that a datagram's local end is known without asking for it and an answer leaves from where its
 * question came. IP_FREEBIND: the address may come a moment later than we hear of it.
 *
 * On port 4500 IKE carries four zero bytes in front (RFC 3948 section 2.2); ESP never has SPI 0 and is the stack's to take; a single byte 0xFF is
 * a keepalive. */
#include "daemons/ikeD/iked.h"
#include "lib/log/log.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCH = 32, DATAGRAM_MAX = 65536, MARKER = 4, BUFFER = 4 << 20, BATCHES_A_TURN = 8, BIND_AGAIN_MS = 10000 };

static socklen_t to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (a->family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a->b, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, a->b, 16);
	return sizeof(*in6);
}

static bool from_sockaddr(const struct sockaddr_storage *ss, struct addr *ret, uint16_t *ret_port)
{
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
		*ret = addr_v4(&in->sin_addr);
		*ret_port = ntohs(in->sin_port);
		return true;
	}
	if (ss->ss_family != AF_INET6)
		return false;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	*ret = addr_v6(&in6->sin6_addr);
	*ret_port = ntohs(in6->sin6_port);
	return true;
}

static void one_datagram(struct iked_socket *k, const struct sockaddr_storage *from, const uint8_t *data, size_t len, uint64_t now,
	uint64_t wall)
{
	static const uint8_t marker[MARKER];
	struct iked_counters *c = &k->stack->iked->counters;
	struct ike_path path = {.local = k->addr, .local_port = k->port};
	c->received++;
	if (k->port == IKED_NAT_PORT) {
		if (len <= MARKER || memcmp(data, marker, MARKER) != 0) {
			c->not_ike++; /* a keepalive, or ESP that the stack did not take */
			return;
		}
		data += MARKER;
		len -= MARKER;
	}
	if (from_sockaddr(from, &path.remote, &path.remote_port))
		ike_input(k->stack->engine, &path, data, len, now, wall);
}

static void readable(void *arg, int fd, unsigned events)
{
	static uint8_t buffers[BATCH][DATAGRAM_MAX];
	struct iked_socket *k = arg;
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_storage from[BATCH];
	uint64_t wall = iked_wall_us();
	(void)events;
	for (unsigned turn = 0; turn < BATCHES_A_TURN; turn++) {
		memset(msgs, 0, sizeof(msgs));
		for (unsigned i = 0; i < BATCH; i++) {
			iov[i] = (struct iovec){buffers[i], DATAGRAM_MAX};
			msgs[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &iov[i], .msg_iovlen = 1};
		}
		int n = recvmmsg(fd, msgs, BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++)
			one_datagram(k, &from[i], buffers[i], msgs[i].msg_len, iked_now_us(), wall);
		if (n < BATCH)
			break;
	}
	iked_arm(k->stack->iked);
}

static int socket_open(const struct addr *a, uint16_t port, int *ret_fd)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(a, port, &ss);
	int on = 1, size = BUFFER;
	int fd = socket(a->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	(void)setsockopt(fd, SOL_IP, IP_FREEBIND, &on, sizeof(on));
	if (a->family == 6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, len)) {
		int err = errno;
		close(fd);
		return -err;
	}
	*ret_fd = fd;
	return 0;
}

static void socket_close(struct iked_socket *k)
{
	loop_fd_free(k->watch);
	close(k->fd);
}

static bool socket_has(const struct iked_stack *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->n_sockets; i++)
		if (addr_equal(&s->sockets[i].addr, a))
			return true;
	return false;
}

static int socket_add(struct iked_stack *s, const struct addr *a, uint16_t port)
{
	struct iked_socket *k = &s->sockets[s->n_sockets];
	int fd = -1, rc = socket_open(a, port, &fd);
	if (rc)
		return rc;
	*k = (struct iked_socket){.stack = s, .addr = *a, .port = port, .fd = fd};
	s->n_sockets++;
	return 0;
}

/* Both ports of an address, or none. */
static void address_add(struct iked_stack *s, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	int rc = socket_add(s, a, IKED_PORT);
	if (!rc) {
		rc = socket_add(s, a, IKED_NAT_PORT);
		if (rc)
			close(s->sockets[--s->n_sockets].fd);
	}
	if (!rc)
		log_info("listening", "stack", s->conf.name, "address", addr_text(a, text), "ports", "500 4500");
	else if (loop_now_ms() >= s->bind_failed_ms) {
		log_error("address cannot be served", "stack", s->conf.name, "address", addr_text(a, text), "error", log_errno(rc));
		s->bind_failed_ms = loop_now_ms() + BIND_AGAIN_MS;
	}
}

/* Sockets stand in an array: what moves in it is watched anew. */
static void unwatch(struct iked_stack *s)
{
	for (unsigned i = 0; i < s->n_sockets; i++)
		if (s->sockets[i].watch) {
			loop_fd_free(s->sockets[i].watch);
			s->sockets[i].watch = NULL;
		}
}

static bool same_set(const struct iked_stack *s, const struct addr *addrs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!socket_has(s, &addrs[i]))
			return false;
	for (unsigned i = 0; i < s->n_sockets; i++) {
		bool wanted = false;
		for (unsigned k = 0; k < n && !wanted; k++)
			wanted = addr_equal(&addrs[k], &s->sockets[i].addr);
		if (!wanted)
			return false;
	}
	return true;
}

void sockets_set(struct iked_stack *s, const struct addr *addrs, unsigned n)
{
	unsigned kept = 0;
	if (same_set(s, addrs, n))
		return;
	unwatch(s);
	for (unsigned i = 0; i < s->n_sockets; i++) {
		bool wanted = false;
		for (unsigned k = 0; k < n && !wanted; k++)
			wanted = addr_equal(&addrs[k], &s->sockets[i].addr);
		if (wanted)
			s->sockets[kept++] = s->sockets[i];
		else
			close(s->sockets[i].fd);
	}
	s->n_sockets = kept;
	for (unsigned i = 0; i < n; i++)
		if (!socket_has(s, &addrs[i]) && s->n_sockets + 2 <= 2 * IKED_ADDRS_MAX)
			address_add(s, &addrs[i]);
	for (unsigned i = 0; i < s->n_sockets; i++)
		s->sockets[i].watch = loop_fd_new(s->iked->daemon->loop, s->sockets[i].fd, LOOP_READ, readable, &s->sockets[i]);
}

void sockets_close(struct iked_stack *s)
{
	for (unsigned i = 0; i < s->n_sockets; i++)
		socket_close(&s->sockets[i]);
	s->n_sockets = 0;
}

static struct iked_socket *socket_for(struct iked_stack *s, const struct ike_path *p)
{
	for (unsigned i = 0; i < s->n_sockets; i++)
		if (s->sockets[i].port == p->local_port && addr_equal(&s->sockets[i].addr, &p->local))
			return &s->sockets[i];
	return NULL;
}

void sockets_send(void *stack, const struct ike_path *path, const void *data, size_t len)
{
	static uint8_t marker[MARKER];
	struct iked_stack *s = stack;
	struct iked_socket *k = socket_for(s, path);
	struct sockaddr_storage ss;
	struct iovec iov[2] = {{marker, MARKER}, {(void *)data, len}};
	bool marked = path->local_port == IKED_NAT_PORT;
	struct msghdr m = {.msg_name = &ss, .msg_namelen = to_sockaddr(&path->remote, path->remote_port, &ss),
		.msg_iov = marked ? iov : iov + 1, .msg_iovlen = marked ? 2 : 1};
	/* a datagram that cannot be sent is one that was lost: it is sent again */
	if (!k || sendmsg(k->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		s->iked->counters.send_failed++;
	else
		s->iked->counters.sent++;
}

/* RFC 3948 section 4: whoever is behind a NAT keeps its mapping open. */
void sockets_keepalive(struct iked_stack *s, uint64_t now_us)
{
	static const uint8_t keepalive = 0xff;
	uint64_t every = (uint64_t)s->conf.policy->nat_keepalive_s * 1000000u;
	if (!every || now_us < s->keepalive_us)
		return;
	s->keepalive_us = now_us + every;
	const struct ike_p1_info *p = NULL;
	char after[16] = "";
	while ((p = ike_p1_next(s->engine, after[0] ? after : NULL))) {
		(void)snprintf(after, sizeof(after), "%s", p->tunnel_id);
		struct iked_socket *k = p->nat_local && p->state == IKE_DONE ? socket_for(s, &p->path) : NULL;
		struct sockaddr_storage ss;
		socklen_t len = k ? to_sockaddr(&p->path.remote, p->path.remote_port, &ss) : 0;
		if (k && k->port == IKED_NAT_PORT && sendto(k->fd, &keepalive, 1, MSG_DONTWAIT, (struct sockaddr *)&ss, len) == 1)
			s->iked->counters.keepalives++;
	}
}
