/* xdp: a NIC by AF_XDP sockets, one for each receive queue of the device, which puts a flow always into the same queue. Queue q is worker
 * q's, or the one's that comes round. A worker that has none (more workers than queues) sends through a packet socket.
 *
 * The program (xdp_maps.h has its rule) hands the stack's frames to the socket's memory (UMEM) before the kernel builds anything of
 * them; the rest stays with the kernel, whose settings for the device are therefore left alone. Where the NIC's driver can, it writes
 * into that memory itself (zero copy). We copy once, from there into the worker's pool, and once back: the pool is small enough to stay in
 * the cache and knows sizes up to 64 KiB, and a packet that waits never keeps the device short of frames.
 *
 * A frame has no word about offloads: checksums are complete, and there are no super-packets. Frames longer than a UMEM chunk come
 * and go in several descriptors (XDP_USE_SG, Linux 6.6). */
#include "daemons/stack-core/link/xdp_prog.h"
#include "daemons/stack-core/link/xdp_maps.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xdp/xsk.h>

#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif
enum { DESC_MORE = 1 << 0 }; /* XDP_PKT_CONTD */
enum { RX_FRAMES = 2048, TX_FRAMES = 512, CHUNK = 2048, CHUNK_BIG = 4096, KERNEL_ROOM = 256, KICK_MAX = 32 };

/* One queue of the device. */
struct port {
	struct xsk_socket *xsk;
	struct xsk_umem *umem;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons rx, done;
	uint8_t *area;
	uint64_t free[TX_FRAMES]; /* frames to send from */
	unsigned n_free;
	struct pkt *part; /* beginning of a frame whose rest is to come */
	bool skip;	  /* the rest of one that is lost */
	bool down;
	_Atomic uint64_t lost; /* for want of a packet buffer */
	uint64_t told;	       /* losses that were counted already: control thread */
};

/* One worker's. */
struct xdp_queue {
	struct sender out; /* without a port; fd -1: not needed */
	unsigned n_ports, next;
	struct port **ports;
	int epoll; /* of several ports; -1: none */
};

struct xdp_state { /* behind the queues */
	struct xdp_prog *prog;
	uint32_t chunk;
	bool frags;
};

static struct xdp_queue *queue_of(const struct link *l, unsigned queue)
{
	return (struct xdp_queue *)(void *)l->trunk->queues[queue];
}

static struct xdp_state *state_of(const struct link *l)
{
	return l->trunk->state;
}

static int port_fd(const struct port *p)
{
	return xsk_socket__fd(p->xsk);
}

static int ethtool(const struct link *l, void *command)
{
	struct ifreq r;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = 0;

	memset(&r, 0, sizeof(r));
	memcpy(r.ifr_name, l->device, sizeof(r.ifr_name) - 1);
	r.ifr_data = command;
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &r))
		result = -errno;
	if (fd >= 0)
		close(fd);
	return result;
}

/* How many receive queues the device has. */
static unsigned device_queues(const struct link *l)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};

	return !ethtool(l, &c) && c.rx_count + c.combined_count ? c.rx_count + c.combined_count : 1;
}

/* A tag that the device takes out of the frame would be lost: nothing tells it to us. And what the kernel joined (GRO) no frame can hold. */
static void plain_frames(const struct link *l, bool generic)
{
	struct ethtool_value v = {.cmd = ETHTOOL_GFLAGS}, gro = {.cmd = ETHTOOL_SGRO};
	int r = ethtool(l, &v);

	if (!r && v.data & ETH_FLAG_RXVLAN) {
		v.cmd = ETHTOOL_SFLAGS;
		v.data &= ~(uint32_t)ETH_FLAG_RXVLAN;
		r = ethtool(l, &v);
	}
	if (r < 0 && r != -EOPNOTSUPP)
		log_warning("the device takes VLAN tags out of frames", "device", l->device, "error", log_errno(-r));
	if (generic && (r = ethtool(l, &gro)) < 0)
		log_warning("the device joins frames, which will be lost", "device", l->device, "error", log_errno(-r));
}

static int umem_open(struct port *p, uint32_t chunk)
{
	struct xsk_umem_config c = {.fill_size = RX_FRAMES, .comp_size = TX_FRAMES, .frame_size = chunk};
	size_t size = (size_t)(RX_FRAMES + TX_FRAMES) * chunk;
	void *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t at = 0;

	if (area == MAP_FAILED)
		return -errno;
	p->area = area;
	int r = xsk_umem__create(&p->umem, area, size, &p->fill, &p->done, &c);
	if (r < 0)
		return r;
	if (xsk_ring_prod__reserve(&p->fill, RX_FRAMES, &at) != RX_FRAMES)
		return -ENOSPC;
	for (uint32_t i = 0; i < RX_FRAMES; i++)
		*xsk_ring_prod__fill_addr(&p->fill, at + i) = (uint64_t)i * chunk;
	xsk_ring_prod__submit(&p->fill, RX_FRAMES);
	for (uint32_t i = 0; i < TX_FRAMES; i++)
		p->free[p->n_free++] = (uint64_t)(RX_FRAMES + i) * chunk;
	return 0;
}

static int port_open(const struct link *l, struct port *p, uint32_t queue, bool generic, struct errbuf *e)
{
	static const uint16_t modes[] = {0, XDP_COPY, XDP_ZEROCOPY};
	struct xsk_socket_config c = {.rx_size = RX_FRAMES, .tx_size = TX_FRAMES, .libbpf_flags = XSK_LIBBPF_FLAGS__INHIBIT_PROG_LOAD};
	struct xdp_state *s = state_of(l);
	int r = umem_open(p, s->chunk);

	if (r < 0)
		return err_set(e, -r, "INTERFACE %s: AF_XDP memory: %s%s", l->name, strerror(-r),
			r == -ENOBUFS || r == -ENOMEM || r == -EPERM ? " (5 or 10 MiB a queue of the device have to be locked: LimitMEMLOCK=)" : "");
	c.bind_flags = (uint16_t)(modes[l->xdp] | XDP_USE_NEED_WAKEUP | (s->frags ? XDP_USE_SG : 0));
	if (generic && l->xdp == LINK_XDP_AUTO)
		c.bind_flags |= XDP_COPY;
	r = xsk_socket__create(&p->xsk, l->device, queue, p->umem, &p->rx, &p->tx, &c);
	if (r < 0 && l->xdp == LINK_XDP_ZEROCOPY)
		return err_set(e, -r, "INTERFACE %s: the driver of device %s has no zero copy: %s (XDPMODE COPY or AUTO needs none)", l->name,
			l->device, strerror(-r));
	if (r < 0)
		return err_set(e, -r, "INTERFACE %s: AF_XDP socket on queue %u of device %s: %s", l->name, queue, l->device, strerror(-r));
	r = xdp_prog_socket(s->prog, queue, port_fd(p));
	return r < 0 ? err_set(e, -r, "INTERFACE %s: AF_XDP socket: %s", l->name, strerror(-r)) : 0;
}

static void port_close(const struct link *l, struct port *p)
{
	if (p->xsk)
		xsk_socket__delete(p->xsk);
	if (p->umem)
		xsk_umem__delete(p->umem);
	if (p->area)
		munmap(p->area, (size_t)(RX_FRAMES + TX_FRAMES) * state_of(l)->chunk);
	free(p);
}

static int add_port(struct link *l, struct xdp_queue *q, uint32_t queue, bool generic, struct errbuf *e)
{
	struct port *p = xnew(struct port);

	q->ports = xrealloc(q->ports, q->n_ports + 1, sizeof(struct port *));
	q->ports[q->n_ports++] = p;
	return port_open(l, p, queue, generic, e);
}

/* What a worker waits on and sends by. */
static int queue_finish(struct link *l, struct xdp_queue *q, struct errbuf *e)
{
	int on = 1;

	if (!q->n_ports) {
		q->out.fd = packet_socket(l, false, 0, e);
		if (q->out.fd >= 0)
			(void)setsockopt(q->out.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
		return q->out.fd < 0 ? q->out.fd : 0;
	}
	if (q->n_ports == 1)
		return 0;
	q->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; q->epoll >= 0 && i < q->n_ports; i++) {
		struct epoll_event ev = {.events = EPOLLIN};
		if (epoll_ctl(q->epoll, EPOLL_CTL_ADD, port_fd(q->ports[i]), &ev))
			return err_set(e, errno, "epoll: %s", strerror(errno));
	}
	return q->epoll < 0 ? err_set(e, errno, "epoll: %s", strerror(errno)) : 0;
}

static bool has_six(const struct link *l)
{
	for (; l; l = l->sibling)
		for (unsigned i = 0; i < l->n_addrs; i++)
			if (l->addrs[i].addr.family == 6)
				return true;
	return false;
}

static void size_frames(const struct link *l, struct xdp_state *s)
{
	struct link device = *l;
	uint32_t room = KERNEL_ROOM + ETHER_HEADER + ETHER_TAG;

	device.mtu = 0;
	device_mtu(&device);
	s->chunk = device.mtu + room <= CHUNK ? CHUNK : CHUNK_BIG;
	s->frags = device.mtu + room > CHUNK_BIG;
}

static int xdp_open(struct link *l, unsigned queues, struct errbuf *e)
{
	struct xdp_state *s = l->state = xnew(struct xdp_state);
	unsigned n = device_queues(l);
	bool generic;

	for (unsigned i = 0; i < queues; i++) {
		struct xdp_queue *q = xnew(struct xdp_queue);
		q->out.fd = q->epoll = -1;
		l->queues[i] = (struct link_queue *)(void *)q;
	}
	size_frames(l, s);
	if (n > XDP_QUEUES_MAX)
		return err_set(e, E2BIG, "INTERFACE %s: device %s has %u queues, DRIVER XDP can use %d", l->name, l->device, n, XDP_QUEUES_MAX);
	if (has_six(l))
		device_no_ipv6(l); /* the kernel would have the same link-local address */
	int r = xdp_prog_new(l, s->frags, e, &s->prog, &generic);
	for (uint32_t i = 0; !r && i < n; i++)
		r = add_port(l, queue_of(l, i % queues), i, generic, e);
	for (unsigned i = 0; !r && i < queues; i++)
		r = queue_finish(l, queue_of(l, i), e);
	if (!r)
		plain_frames(l, generic);
	if (!r && generic)
		log_notice("device driven by generic XDP: its driver has none", "device", l->device);
	return r;
}

static void xdp_close(struct link *l)
{
	xdp_prog_free(state_of(l)->prog);
	for (unsigned i = 0; i < l->n_queues; i++) {
		struct xdp_queue *q = queue_of(l, i);
		for (unsigned k = 0; k < q->n_ports; k++)
			port_close(l, q->ports[k]);
		if (q->epoll >= 0)
			close(q->epoll);
		if (q->out.fd >= 0)
			close(q->out.fd);
		free(q->ports);
		free(q);
	}
	free(l->state);
	l->state = NULL;
}

static int xdp_fd(const struct link *l, unsigned queue)
{
	const struct xdp_queue *q = queue_of(l, queue);

	return q->n_ports == 1 ? port_fd(q->ports[0]) : q->epoll;
}

/* Adds a piece to p->part. False: the frame is lost, and the rest of it is to be skipped. */
static bool gather(struct port *p, struct pkt_pool *pool, const uint8_t *data, uint32_t len, bool more)
{
	struct pkt *k = p->part;

	if (!k) {
		k = p->part = more ? pkt_alloc_large(pool) : queue_pkt(pool, len);
		if (!k)
			return false;
		k->off -= ETHER_HEADER;
	}
	if (pkt_tailroom(k) < len) {
		pkt_free(pool, k);
		p->part = NULL;
		return false;
	}
	memcpy(pkt_data(k) + k->len, data, len);
	k->len += len;
	return true;
}

static struct pkt *whole(const struct link *l, struct port *p)
{
	struct pkt *k = p->part;
	uint32_t len = k->len;

	p->part = NULL;
	k->off += ETHER_HEADER;
	k->len = len > ETHER_HEADER ? len - ETHER_HEADER : 0;
	ether_in(l, k, len, false, 0, 0);
	return k;
}

/* Frames go back to the kernel at once; there is always room, for they came from there. */
static void give_back(struct port *p, const uint64_t *addrs, unsigned n)
{
	uint32_t at;

	if (n && xsk_ring_prod__reserve(&p->fill, n, &at) == n) {
		for (unsigned i = 0; i < n; i++)
			*xsk_ring_prod__fill_addr(&p->fill, at + i) = addrs[i];
		xsk_ring_prod__submit(&p->fill, n);
	}
	if (xsk_ring_prod__needs_wakeup(&p->fill))
		(void)recvfrom(port_fd(p), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static unsigned port_rx(const struct link *l, struct port *p, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	uint64_t addrs[PKT_BATCH];
	uint32_t at, chunk = state_of(l)->chunk;
	unsigned n = 0, got = xsk_ring_cons__peek(&p->rx, max < PKT_BATCH ? max : PKT_BATCH, &at);

	for (unsigned i = 0; i < got; i++) {
		const struct xdp_desc *d = xsk_ring_cons__rx_desc(&p->rx, at + i);
		bool more = d->options & DESC_MORE;
		if (!p->skip && !gather(p, pool, p->area + d->addr, d->len, more)) {
			p->skip = true;
			atomic_fetch_add_explicit(&p->lost, 1, memory_order_relaxed);
		}
		if (!more) {
			if (!p->skip)
				out[n++] = whole(l, p);
			p->skip = false;
		}
		addrs[i] = d->addr - d->addr % chunk;
	}
	if (got)
		xsk_ring_cons__release(&p->rx, got);
	give_back(p, addrs, got);
	return n;
}

static unsigned xdp_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct xdp_queue *q = queue_of(l, queue);
	unsigned n = 0;

	for (unsigned i = 0; i < q->n_ports && n < max; i++)
		n += port_rx(l, q->ports[(q->next + i) % q->n_ports], pool, out + n, max - n);
	q->next++;
	return n;
}

static void reclaim(struct port *p)
{
	uint32_t at;
	unsigned n = xsk_ring_cons__peek(&p->done, TX_FRAMES, &at);

	for (unsigned i = 0; i < n; i++)
		p->free[p->n_free++] = *xsk_ring_cons__comp_addr(&p->done, at + i);
	if (n)
		xsk_ring_cons__release(&p->done, n);
}

/* Copy mode sends in the system call, some frames each time. */
static void kick(struct port *p)
{
	for (unsigned i = 0; i < KICK_MAX; i++) {
		if (!xsk_ring_prod__needs_wakeup(&p->tx))
			break;
		ssize_t r = sendto(port_fd(p), NULL, 0, MSG_DONTWAIT, NULL, 0);
		p->down = r < 0 && (errno == ENETDOWN || errno == ENXIO);
		if (r >= 0 || (errno != EAGAIN && errno != EBUSY))
			break;
	}
	reclaim(p);
}

static bool port_send(const struct link *l, struct port *p, struct pkt *k, uint32_t chunk)
{
	unsigned l2 = ether_out(l, k);
	const uint8_t *frame = pkt_data(k) - l2;
	uint32_t len = k->len + l2, pieces = (len + chunk - 1) / chunk, at;

	if (p->n_free < pieces)
		kick(p);
	if (p->n_free < pieces || (pieces > 1 && !state_of(l)->frags) || xsk_ring_prod__reserve(&p->tx, pieces, &at) != pieces)
		return false;
	for (uint32_t i = 0; i < pieces; i++) {
		struct xdp_desc *d = xsk_ring_prod__tx_desc(&p->tx, at + i);
		d->addr = p->free[--p->n_free];
		d->len = len < chunk ? len : chunk;
		d->options = i + 1 < pieces ? DESC_MORE : 0;
		memcpy(p->area + d->addr, frame, d->len);
		frame += d->len;
		len -= d->len;
	}
	xsk_ring_prod__submit(&p->tx, pieces);
	return true;
}

static void xdp_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	struct xdp_queue *q = queue_of(l, queue);
	uint32_t chunk = state_of(l)->chunk;

	if (!q->n_ports) {
		sender_tx(&q->out, l, pkts, n);
		return;
	}
	struct port *p = q->ports[0];
	reclaim(p);
	if (p->down)
		kick(p);
	for (unsigned i = 0; i < n; i++)
		if (p->down || !port_send(l, p, pkts[i], chunk))
			pkts[i]->drop = p->down ? DROP_LINK_DOWN : DROP_LINK_TX;
	kick(p);
}

static uint64_t xdp_overruns(const struct link *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < l->n_queues; i++)
		for (unsigned k = 0; k < queue_of(l, i)->n_ports; k++) {
			struct port *p = queue_of(l, i)->ports[k];
			struct xdp_statistics st;
			socklen_t len = sizeof(st);
			if (getsockopt(port_fd(p), SOL_XDP, XDP_STATISTICS, &st, &len))
				continue;
			uint64_t all = st.rx_dropped + st.rx_ring_full + atomic_load_explicit(&p->lost, memory_order_relaxed);
			n += all - p->told;
			p->told = all;
		}
	return n;
}

static void xdp_takes(struct link *l, const struct prefix *list, unsigned n)
{
	xdp_prog_takes(state_of(l)->prog, l, list, n);
}

const struct link_driver driver_xdp = {"XDP", xdp_open, xdp_close, xdp_fd, xdp_rx, xdp_tx, xdp_overruns, xdp_takes, NULL};
