/* socket: a NIC by packet(7) sockets, one a worker in a PACKET_FANOUT group that keeps a flow on one worker. What is sent goes the
 * same way for RING. */
#include "daemons/stack-core/link/driver.h"
#include "lib/base/xalloc.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <unistd.h>

/* Linux 6.2; an older kernel ignores it and shows us our own frames, which are then no station of ours and are dropped. */
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

struct socket_queue {
	struct sender out; /* has the descriptor */
	struct queue_slot slots[QUEUE_SLOTS];
	struct mmsghdr rx[QUEUE_SLOTS];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} aux[QUEUE_SLOTS];
};

static struct socket_queue *queue_of(const struct link *l, unsigned queue)
{
	return (struct socket_queue *)(void *)l->trunk->queues[queue];
}

static int options(const struct link *l, int fd, bool vnet, int proto)
{
	int on = 1, size = 8 << 20;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* Not PACKET_QDISC_BYPASS: it drops each super-packet that the device cannot segment by itself. */
	if (vnet && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)))
		return -errno;
	if (!proto)
		return 0;
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
		setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)))
		return -errno;
	struct packet_mreq all = {.mr_ifindex = l->ifindex, .mr_type = PACKET_MR_ALLMULTI};
	(void)setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all));
	return 0;
}

int packet_socket(const struct link *l, bool vnet, int proto, struct errbuf *e)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(e, errno, "INTERFACE %s: packet socket: %s", l->name, strerror(errno));
	int r = options(l, fd, vnet, proto);
	if (r < 0) {
		close(fd);
		return err_set(e, -r, "INTERFACE %s: packet socket options: %s", l->name, strerror(-r));
	}
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)proto), .sll_ifindex = l->ifindex};
	if (bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		r = errno;
		close(fd);
		return err_set(e, r, "INTERFACE %s: bind to %s: %s", l->name, l->device, strerror(r));
	}
	return fd;
}

/* The first socket has the kernel choose a free group (*group -1), the others join it. */
int packet_fanout(const struct link *l, int fd, int *group, struct errbuf *e)
{
	/* A group does not inherit its sockets' PACKET_IGNORE_OUTGOING: without the flag it would see all that we send. */
	int type = PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_IGNORE_OUTGOING, arg;
	socklen_t len = sizeof(arg);

	arg = *group < 0 ? (type | PACKET_FANOUT_FLAG_UNIQUEID) << 16 : *group;
	if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &arg, sizeof(arg)) ||
		(*group < 0 && getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &arg, &len)))
		return err_set(e, errno, "INTERFACE %s: fanout: %s", l->name, strerror(errno));
	if (*group < 0)
		*group = (arg & 0xffff) | type << 16;
	return 0;
}

uint64_t packet_overruns(const struct link *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < l->n_queues; i++) {
		struct tpacket_stats st;
		socklen_t len = sizeof(st);
		int fd = l->driver->fd(l, i);
		if (fd >= 0 && !getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &st, &len)) /* reading sets it to zero */
			n += st.tp_drops;
	}
	return n;
}

static int socket_open(struct link *l, unsigned queues, struct errbuf *e)
{
	int group = -1, fds[LINK_WORKERS_MAX];
	bool adopted = store_take(l, 0, store_is_packet_socket, fds);

	device_keep_host_out(l);
	l->gso = true;
	l->uso = true;
	for (unsigned i = 0; i < queues; i++) {
		struct socket_queue *q = xnew(struct socket_queue);
		l->queues[i] = (struct link_queue *)(void *)q;
		q->out.vnet = true;
		q->out.fd = adopted ? fds[i] : packet_socket(l, true, ETH_P_ALL, e);
		if (q->out.fd < 0)
			return q->out.fd;
		int r = queues > 1 && !adopted ? packet_fanout(l, q->out.fd, &group, e) : 0;
		if (r < 0)
			return r;
		store_keep(l, 0, i, q->out.fd);
	}
	return 0;
}

/* Packets in the slots belong to the worker's pool and go with it. */
static void socket_close(struct link *l)
{
	for (unsigned i = 0; i < l->n_queues; i++) {
		struct socket_queue *q = queue_of(l, i);
		if (q && q->out.fd >= 0)
			close(q->out.fd);
		free(q);
	}
}

static int socket_fd(const struct link *l, unsigned queue)
{
	return queue_of(l, queue)->out.fd;
}

static void arm(struct socket_queue *q, unsigned i)
{
	struct msghdr *m = &q->rx[i].msg_hdr;

	memset(m, 0, sizeof(*m));
	m->msg_iov = q->slots[i].iov;
	m->msg_iovlen = 3;
	m->msg_control = &q->aux[i];
	m->msg_controllen = sizeof(q->aux[i]);
}

static struct pkt *taken(const struct link *l, struct socket_queue *q, unsigned i)
{
	uint32_t len = q->rx[i].msg_len, hdr = (uint32_t)sizeof(struct virtio_net_hdr);
	struct cmsghdr *c = CMSG_FIRSTHDR(&q->rx[i].msg_hdr);
	struct tpacket_auxdata aux = {0};

	len = len > hdr ? len - hdr : 0;
	struct pkt *p = slot_take(&q->slots[i], len, ETHER_HEADER);
	if (c && c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
	if (!p->drop)
		ether_in(l, p, len, aux.tp_status & TP_STATUS_VLAN_VALID,
			aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETHER_VLAN, aux.tp_vlan_tci);
	return p;
}

static unsigned socket_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct socket_queue *q = queue_of(l, queue);
	unsigned n = 0, want, ready = 0;

	while (n < max) {
		want = max - n < QUEUE_SLOTS ? max - n : QUEUE_SLOTS;
		for (ready = 0; ready < want && slot_fill(&q->slots[ready], pool, ETHER_HEADER); ready++)
			arm(q, ready);
		if (!ready)
			break;
		int got = recvmmsg(q->out.fd, q->rx, ready, MSG_DONTWAIT, NULL);
		for (int i = 0; i < got; i++)
			out[n++] = taken(l, q, (unsigned)i);
		if (got < (int)ready)
			break;
	}
	return n;
}

static void prepare(struct sender *s, const struct link *l, unsigned i, struct pkt *p)
{
	unsigned l2 = ether_out(l, p);
	struct msghdr *m = &s->msgs[i].msg_hdr;

	if (s->vnet)
		vnet_write(p, &s->hdr[i], l2);
	s->iov[i][0] = (struct iovec){&s->hdr[i], sizeof(s->hdr[i])};
	s->iov[i][1] = (struct iovec){pkt_data(p) - l2, p->len + l2};
	memset(m, 0, sizeof(*m));
	m->msg_iov = s->vnet ? s->iov[i] : s->iov[i] + 1;
	m->msg_iovlen = s->vnet ? 2 : 1;
}

void sender_tx(struct sender *s, struct link *l, struct pkt **pkts, unsigned n)
{
	unsigned tries = 0;

	for (unsigned i = 0; i < n; i++)
		prepare(s, l, i, pkts[i]);
	for (unsigned done = 0; done < n;) {
		int sent = sendmmsg(s->fd, s->msgs + done, n - done, MSG_DONTWAIT);
		if (sent > 0) {
			done += (unsigned)sent;
			tries = 0;
			continue;
		}
		/* The ring of the device is full: once more, for this is where it drains. */
		if ((errno == ENOBUFS || errno == EAGAIN) && tries++ < 2)
			continue;
		if (errno == EINVAL && pkts[done]->gso_type == PKT_GSO_UDP_L4)
			l->uso = false; /* before Linux 6.2: from now on each by itself */
		pkts[done++]->drop = errno == ENETDOWN || errno == ENXIO ? DROP_LINK_DOWN : DROP_LINK_TX;
		tries = 0;
	}
}

static void socket_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	sender_tx(&queue_of(l, queue)->out, l, pkts, n);
}

static void socket_give_back(struct link *l, unsigned queue, struct pkt_pool *pool)
{
	for (unsigned i = 0; i < QUEUE_SLOTS; i++)
		slot_give_back(&queue_of(l, queue)->slots[i], pool);
}

const struct link_driver driver_socket = {"SOCKET", socket_open, socket_close, socket_fd, socket_rx, socket_tx, packet_overruns, NULL, socket_give_back};
