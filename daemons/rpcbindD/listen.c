/* The sockets: systemd's (sd_listen_fds(3), in whatever order and under whatever name, as rpcbind.socket has them), or our own. */
#include "daemons/rpcbindD/rpcbind.h"
#include "lib/base/path.h"
#include "lib/daemon/listen.h"
#include <fcntl.h>
#include <net/if.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, UDP_BUFFER = 1 << 20 };

void rb_take_address(const struct sockaddr_storage *s, struct addr *ret, uint16_t *ret_port)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)s;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)s;
	*ret = (struct addr){0};
	*ret_port = 0;
	if (s->ss_family == AF_INET) {
		*ret = addr_v4(&v4->sin_addr);
		*ret_port = ntohs(v4->sin_port);
	} else if (s->ss_family == AF_INET6) {
		*ret = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? addr_v4(v6->sin6_addr.s6_addr + 12) : addr_v6(&v6->sin6_addr);
		*ret_port = ntohs(v6->sin6_port);
	}
}

/* RFC 5665 section 5.3 and IANA: ff02::202 is where clients on a link look for any registry. */
static void join_links(int fd)
{
	struct ipv6_mreq m = {.ipv6mr_multiaddr.s6_addr = {0xff, 2, [14] = 2, [15] = 2}};
	struct if_nameindex *all = if_nameindex();
	for (const struct if_nameindex *i = all; i && i->if_index; i++) {
		m.ipv6mr_interface = i->if_index;
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)); /* a link without multicast has no such clients */
	}
	if (all)
		if_freenameindex(all);
}

static void prepare(struct rb_socket *s, const struct rb_conf *c)
{
	int one = 1, size = UDP_BUFFER;
	(void)fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) | O_NONBLOCK);
	(void)fcntl(s->fd, F_SETFD, FD_CLOEXEC);
	if (s->kind != RB_UDP)
		return;
	(void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (netid_family(s->netid) == 6) {
		(void)setsockopt(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
		join_links(s->fd);
	} else
		(void)setsockopt(s->fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
	if (c->remote.doi && netid_family(s->netid) == 4)
		(void)setsockopt(s->fd, IPPROTO_IP, IP_RECVOPTS, &one, sizeof(one));
}

static int add(struct rpcbind *rb, const struct rb_conf *c, int fd, enum rb_kind kind, enum netid n, bool adopted)
{
	if (rb->nsockets == RB_SOCKETS_MAX)
		return -ENOSPC;
	struct rb_socket *s = &rb->sockets[rb->nsockets++];
	*s = (struct rb_socket){.rb = rb, .fd = fd, .kind = kind, .netid = n, .adopted = adopted};
	prepare(s, c);
	return 0;
}

static int adopt_one(struct rpcbind *rb, const struct rb_conf *c, int fd, struct errbuf *e)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a), tlen = sizeof(int);
	int type = 0;
	if (getsockname(fd, (struct sockaddr *)&a, &len) || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &tlen))
		return err_set(e, errno, "descriptor %d of the service manager is no socket", fd);
	bool six = a.ss_family == AF_INET6;
	if (a.ss_family == AF_UNIX && type == SOCK_STREAM)
		return add(rb, c, fd, RB_LOCAL, NETID_LOCAL, true);
	if (a.ss_family != AF_INET && !six)
		return err_set(e, EINVAL, "descriptor %d of the service manager is no socket of IP or a local stream", fd);
	if (type == SOCK_DGRAM)
		return add(rb, c, fd, RB_UDP, six ? NETID_UDP6 : NETID_UDP, true);
	return add(rb, c, fd, RB_TCP, six ? NETID_TCP6 : NETID_TCP, true);
}

/* The number taken; 0: started without any; -errno. */
static int adopt(struct rpcbind *rb, const struct rb_conf *c, struct errbuf *e)
{
	int n = daemon_passed_fds(RB_SOCKETS_MAX, e);
	for (int i = 0; i < n; i++) {
		int rc = adopt_one(rb, c, DAEMON_FIRST_FD + i, e);
		if (rc)
			return rc;
	}
	return n;
}

static int bind_one(struct rpcbind *rb, const struct rb_conf *c, enum netid n, const struct addr *a, struct errbuf *e)
{
	char text[ADDR_TEXT_MAX];
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(c->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(c->port)};
	bool six = netid_family(n) == 6, udp = netid_is_udp(n);
	int one = 1, fd = socket(six ? AF_INET6 : AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return six && errno == EAFNOSUPPORT ? 0 : err_set(e, errno, "socket: %s", strerror(errno));
	memcpy(six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr, a->b, addr_len(a));
	if (!udp)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (six)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, six ? sizeof(v6) : sizeof(v4)) || (!udp && listen(fd, BACKLOG))) {
		int err = errno;
		(void)close(fd);
		return err_set(e, err, "%s port %u (%s): %s", addr_text(a, text), c->port, netid_text(n), strerror(err));
	}
	return add(rb, c, fd, udp ? RB_UDP : RB_TCP, n, false);
}

static int bind_netid(struct rpcbind *rb, const struct rb_conf *c, enum netid n, struct errbuf *e)
{
	static const uint8_t zero[16], v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
	bool six = netid_family(n) == 6;
	struct addr any = six ? addr_v6(zero) : addr_v4(zero), loop = six ? addr_v6(v6) : addr_v4(v4);
	if (!c->ninterfaces)
		return bind_one(rb, c, n, &any, e);
	int rc = bind_one(rb, c, n, &loop, e); /* local servers must always reach it */
	for (unsigned i = 0; i < c->ninterfaces && !rc; i++)
		if (c->interfaces[i].family == netid_family(n) && !addr_equal(&c->interfaces[i], &loop))
			rc = bind_one(rb, c, n, &c->interfaces[i], e);
	return rc;
}

/* A socket file that nobody listens on is what a killed daemon left. */
static int bind_local(struct rpcbind *rb, const struct rb_conf *c, struct errbuf *e)
{
	char path[PATH_TEXT_MAX];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	path_make(path, "%s", c->local_socket);
	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, ENAMETOOLONG, "%.150s: a socket's name has at most %zu characters", path, sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) && errno == ECONNREFUSED)
		(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || chmod(path, 0666) || listen(fd, BACKLOG)) {
		int err = errno;
		if (fd >= 0)
			(void)close(fd);
		return err_set(e, err, "%.150s: %s", path, strerror(err));
	}
	return add(rb, c, fd, RB_LOCAL, NETID_LOCAL, false);
}

static void raise_limit(unsigned connections)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	rlim_t want = connections + 256;
	if (r.rlim_cur < want) {
		r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

int rb_listen(struct rpcbind *rb, const struct rb_conf *c, struct errbuf *e)
{
	raise_limit(c->connections);
	rb->lo_index = if_nametoindex("lo");
	int rc = adopt(rb, c, e);
	if (rc)
		return rc < 0 ? rc : 0;
	for (unsigned n = 0; n < NETID_LOCAL && !rc; n++)
		if (c->netids[n])
			rc = bind_netid(rb, c, (enum netid)n, e);
	if (!rc && c->netids[NETID_LOCAL] && c->local_socket[0])
		rc = bind_local(rb, c, e);
	return rc;
}

void rb_watch(struct rpcbind *rb)
{
	for (unsigned i = 0; i < rb->nsockets; i++) {
		struct rb_socket *s = &rb->sockets[i];
		s->watch = loop_fd_new(rb->daemon->loop, s->fd, LOOP_READ, s->kind == RB_UDP ? rb_udp_ready : rb_tcp_ready, s);
	}
}

void rb_close(struct rpcbind *rb)
{
	rb_tcp_close_all(rb);
	for (unsigned i = 0; i < rb->nsockets; i++) {
		struct rb_socket *s = &rb->sockets[i];
		if (s->watch)
			loop_fd_free(s->watch);
		(void)close(s->fd);
	}
	rb->nsockets = 0;
}
