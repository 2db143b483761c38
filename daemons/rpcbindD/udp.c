/* UDP: datagrams are taken, served and answered in batches. A stranger's answer is never longer than a stated factor of its question, as its
 * address may be forged; who asks too often hears nothing. */
#include "daemons/rpcbindD/rpcbind.h"
#include "lib/base/xalloc.h"
#include <unistd.h>

enum { BATCH = 32, IN_MAX = 9216, CONTROL_MAX = 128, OUT_CONTROL = 40 };

static uint8_t in[BATCH][IN_MAX], out[BATCH][RB_UDP_REPLY_MAX + 512];
static uint8_t in_control[BATCH][CONTROL_MAX] __attribute__((aligned(8))), out_control[BATCH][OUT_CONTROL] __attribute__((aligned(8)));
static struct sockaddr_storage peers[BATCH];
static struct mmsghdr in_msgs[BATCH], out_msgs[BATCH];
static struct iovec in_vecs[BATCH], out_vecs[BATCH];

/* Where it was sent to, by which interface, with which options. */
static void read_control(struct msghdr *m, struct rb_caller *c)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
			const struct in_pktinfo *p = (const struct in_pktinfo *)CMSG_DATA(h);
			c->here = addr_v4(&p->ipi_spec_dst);
			c->ifindex = (unsigned)p->ipi_ifindex;
		} else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
			const struct in6_pktinfo *p = (const struct in6_pktinfo *)CMSG_DATA(h);
			c->here = IN6_IS_ADDR_V4MAPPED(&p->ipi6_addr) ? addr_v4(p->ipi6_addr.s6_addr + 12) : addr_v6(&p->ipi6_addr);
			c->ifindex = p->ipi6_ifindex;
		} else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_RECVOPTS && h->cmsg_len > CMSG_LEN(0)) {
			c->options = CMSG_DATA(h);
			c->options_len = h->cmsg_len - CMSG_LEN(0);
		}
	}
}

/* The answer goes out from the address that was asked. */
static void write_control(struct msghdr *m, const struct rb_caller *c, uint8_t *space)
{
	struct cmsghdr *h = (struct cmsghdr *)space;
	bool six = c->peer.ss_family == AF_INET6;
	if (c->here.family != (six ? 6 : 4))
		return;
	memset(space, 0, OUT_CONTROL);
	h->cmsg_level = six ? IPPROTO_IPV6 : IPPROTO_IP;
	h->cmsg_type = six ? IPV6_PKTINFO : IP_PKTINFO;
	if (six) {
		struct in6_pktinfo *p = (struct in6_pktinfo *)CMSG_DATA(h);
		memcpy(&p->ipi6_addr, c->here.b, 16);
		p->ipi6_ifindex = c->here.b[0] == 0xfe ? c->ifindex : 0; /* a link's own address means nothing without the link */
		h->cmsg_len = CMSG_LEN(sizeof(*p));
		m->msg_controllen = CMSG_SPACE(sizeof(*p));
	} else {
		struct in_pktinfo *p = (struct in_pktinfo *)CMSG_DATA(h);
		memcpy(&p->ipi_spec_dst, c->here.b, 4);
		h->cmsg_len = CMSG_LEN(sizeof(*p));
		m->msg_controllen = CMSG_SPACE(sizeof(*p));
	}
	m->msg_control = space;
}

/* What was sent to a group is answered from the address that the way back has. */
static void own_address(struct rb_caller *c)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	uint16_t port;
	int fd = socket(c->peer.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	c->here = (struct addr){0};
	if (fd < 0)
		return;
	if (!connect(fd, (struct sockaddr *)&c->peer, c->peer_len) && !getsockname(fd, (struct sockaddr *)&own, &len))
		rb_take_address(&own, &c->here, &port);
	(void)close(fd);
}

static bool describe(struct rb_socket *s, unsigned i, struct rb_caller *c)
{
	struct rpcbind *rb = s->rb;
	*c = (struct rb_caller){.netid = s->netid, .uid = -1, .request_len = in_msgs[i].msg_len, .fd = s->fd, .here_port = rb->conf->port};
	c->peer_len = in_msgs[i].msg_hdr.msg_namelen;
	memcpy(&c->peer, &peers[i], c->peer_len < sizeof(c->peer) ? c->peer_len : sizeof(c->peer));
	rb_take_address(&c->peer, &c->addr, &c->port);
	read_control(&in_msgs[i].msg_hdr, c);
	if (c->addr.family == 4)
		c->netid = NETID_UDP;
	if (c->here.family == 6 && c->here.b[0] == 0xff)
		own_address(c);
	c->local = c->ifindex && c->ifindex == rb->lo_index;
	c->room = RB_UDP_REPLY_MAX;
	if (c->local)
		return c->port != 0;
	if (!rate_take(rb->rate, &c->addr, rb->conf->rate, rb->conf->burst, loop_now_ms())) {
		rb_limited(rb, c);
		return false;
	}
	if (c->request_len * rb->conf->factor < c->room)
		c->room = c->request_len * rb->conf->factor;
	return c->port != 0;
}

static void queue(struct rb_caller *c, unsigned slot, size_t len)
{
	struct mmsghdr *m = &out_msgs[slot];
	out_vecs[slot] = (struct iovec){out[slot], len};
	peers[slot] = c->peer; /* slots are used in order: this one's question has been read */
	*m = (struct mmsghdr){.msg_hdr = {.msg_name = &peers[slot], .msg_namelen = c->peer_len, .msg_iov = &out_vecs[slot], .msg_iovlen = 1}};
	write_control(&m->msg_hdr, c, out_control[slot]);
}

static bool serve(struct rb_socket *s, unsigned i, unsigned slot)
{
	struct rb_caller c;
	struct wr w = wr_init(out[slot], sizeof(out[slot]));
	if (in_msgs[i].msg_hdr.msg_flags & MSG_TRUNC) {
		s->rb->counters.malformed++;
		return false;
	}
	if (!describe(s, i, &c) || rb_serve(s->rb, &c, in[i], in_msgs[i].msg_len, &w) != RB_REPLY)
		return false;
	if (c.tail_len)
		wr_bytes(&w, c.tail, c.tail_len);
	queue(&c, slot, wr_len(&w));
	return wr_ok(&w);
}

static void send_all(int fd, unsigned n)
{
	for (unsigned done = 0; done < n;) {
		int sent = sendmmsg(fd, out_msgs + done, n - done, MSG_DONTWAIT);
		done += sent > 0 ? (unsigned)sent : 1; /* one that cannot be sent is lost, as UDP may lose it */
	}
}

void rb_udp_ready(void *sock, int fd, unsigned events)
{
	struct rb_socket *s = sock;
	(void)events;
	for (unsigned i = 0; i < BATCH; i++) {
		in_vecs[i] = (struct iovec){in[i], IN_MAX};
		in_msgs[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_namelen = sizeof(peers[i]), .msg_iov = &in_vecs[i], .msg_iovlen = 1,
			.msg_control = in_control[i], .msg_controllen = CONTROL_MAX};
	}
	int n = recvmmsg(fd, in_msgs, BATCH, MSG_DONTWAIT, NULL);
	unsigned answers = 0;
	for (int i = 0; i < n; i++)
		answers += serve(s, (unsigned)i, answers);
	send_all(fd, answers);
}

void rb_udp_answer(const struct rb_caller *c, const uint8_t *text, size_t len)
{
	static uint8_t control[OUT_CONTROL] __attribute__((aligned(8)));
	struct iovec v = {(void *)(uintptr_t)text, len};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)&c->peer, .msg_namelen = c->peer_len, .msg_iov = &v, .msg_iovlen = 1};
	write_control(&m, c, control);
	(void)sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void rb_limited(struct rpcbind *rb, const struct rb_caller *c)
{
	char from[ADDR_TEXT_MAX];
	uint32_t held = 0;
	rb->counters.limited++;
	if (!log_limit_ok(&rb->log_limited, loop_now_ms(), 5, 1000, &held))
		return;
	Rpcbind__Limited m = RPCBIND__LIMITED__INIT;
	m.from = (char *)(uintptr_t)addr_text(&c->addr, from);
	m.netid = (char *)(uintptr_t)netid_text(c->netid);
	m.has_not_shown = true;
	m.not_shown = held;
	bus_publish(rb->daemon->bus, "rpcbind.limited", &m.base);
	log_notice("a limit is reached", "from", from, "netid", netid_text(c->netid), "not_shown", log_u64(held));
}
