#include "daemons/stack-core/link/xdp_port.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <xdp/xsk.h>

#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif
enum { DESC_MORE = 1 << 0 }; /* XDP_PKT_CONTD */
enum { RX_FRAMES = 2048, TX_FRAMES = 512, CHUNK = 2048, CHUNK_BIG = 4096, KERNEL_ROOM = 256, KICK_MAX = 32 };

struct xdp_port {
	struct xsk_socket *xsk;
	struct xsk_umem *umem;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons rx, done;
	uint8_t *area;
	uint64_t free[TX_FRAMES]; /* frames to send from */
	unsigned n_free;
	struct xdp_frames frames;
	struct pkt *part; /* beginning of a frame whose rest is to come */
	bool skip;	  /* the rest of one that is lost */
	bool down;
	_Atomic uint64_t lost; /* for want of a packet buffer */
	uint64_t told;	       /* losses that were counted already: control thread */
};

int xdp_port_fd(const struct xdp_port *p)
{
	return xsk_socket__fd(p->xsk);
}

static int umem_open(struct xdp_port *p)
{
	const uint32_t chunk = p->frames.chunk;
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

static int port_open(const struct link *l, struct xdp_prog *prog, struct xdp_port *p, uint32_t queue, bool generic, struct errbuf *e)
{
	static const uint16_t modes[] = {0, XDP_COPY, XDP_ZEROCOPY};
	struct xsk_socket_config c = {.rx_size = RX_FRAMES, .tx_size = TX_FRAMES, .libbpf_flags = XSK_LIBBPF_FLAGS__INHIBIT_PROG_LOAD};
	int r = umem_open(p);

	if (r < 0)
		return err_set(e, -r, "INTERFACE %s: AF_XDP memory: %s%s", l->name, strerror(-r),
			r == -ENOBUFS || r == -ENOMEM || r == -EPERM ? " (5 or 10 MiB a queue of the device have to be locked: LimitMEMLOCK=)" : "");
	c.bind_flags = (uint16_t)(modes[l->xdp] | XDP_USE_NEED_WAKEUP | (p->frames.frags ? XDP_USE_SG : 0));
	if (generic && l->xdp == LINK_XDP_AUTO)
		c.bind_flags |= XDP_COPY;
	r = xsk_socket__create(&p->xsk, l->device, queue, p->umem, &p->rx, &p->tx, &c);
	if (r < 0 && l->xdp == LINK_XDP_ZEROCOPY)
		return err_set(e, -r, "INTERFACE %s: the driver of device %s has no zero copy: %s (XDPMODE COPY or AUTO needs none)", l->name,
			l->device, strerror(-r));
	if (r < 0)
		return err_set(e, -r, "INTERFACE %s: AF_XDP socket on queue %u of device %s: %s", l->name, queue, l->device, strerror(-r));
	r = xdp_prog_socket(prog, queue, xdp_port_fd(p));
	return r < 0 ? err_set(e, -r, "INTERFACE %s: AF_XDP socket: %s", l->name, strerror(-r)) : 0;
}

void xdp_port_free(struct xdp_port *p)
{
	if (p->xsk)
		xsk_socket__delete(p->xsk);
	if (p->umem)
		xsk_umem__delete(p->umem);
	if (p->area)
		munmap(p->area, (size_t)(RX_FRAMES + TX_FRAMES) * p->frames.chunk);
	free(p);
}

int xdp_port_new(const struct link *l, struct xdp_prog *prog, struct xdp_frames frames, uint32_t queue, bool generic, struct errbuf *e,
	struct xdp_port **ret)
{
	struct xdp_port *p = *ret = xnew(struct xdp_port);

	p->frames = frames;
	return port_open(l, prog, p, queue, generic, e);
}

struct xdp_frames xdp_frames_for(const struct link *l)
{
	struct link device = *l;
	uint32_t room = KERNEL_ROOM + ETHER_HEADER + ETHER_TAG;

	device.mtu = 0;
	device_mtu(&device);
	return (struct xdp_frames){device.mtu + room <= CHUNK ? CHUNK : CHUNK_BIG, device.mtu + room > CHUNK_BIG};
}

/* Adds a piece to p->part. False: the frame is lost, and the rest of it is to be skipped. */
static bool gather(struct xdp_port *p, struct pkt_pool *pool, const uint8_t *data, uint32_t len, bool more)
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

static struct pkt *whole(const struct link *l, struct xdp_port *p)
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
static void give_back(struct xdp_port *p, const uint64_t *addrs, unsigned n)
{
	uint32_t at;

	if (n && xsk_ring_prod__reserve(&p->fill, n, &at) == n) {
		for (unsigned i = 0; i < n; i++)
			*xsk_ring_prod__fill_addr(&p->fill, at + i) = addrs[i];
		xsk_ring_prod__submit(&p->fill, n);
	}
	if (xsk_ring_prod__needs_wakeup(&p->fill))
		(void)recvfrom(xdp_port_fd(p), NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

unsigned xdp_port_rx(const struct link *l, struct xdp_port *p, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	uint64_t addrs[PKT_BATCH];
	uint32_t at, chunk = p->frames.chunk;
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

static void reclaim(struct xdp_port *p)
{
	uint32_t at;
	unsigned n = xsk_ring_cons__peek(&p->done, TX_FRAMES, &at);

	for (unsigned i = 0; i < n; i++)
		p->free[p->n_free++] = *xsk_ring_cons__comp_addr(&p->done, at + i);
	if (n)
		xsk_ring_cons__release(&p->done, n);
}

/* Copy mode sends in the system call, some frames each time. */
static void kick(struct xdp_port *p)
{
	for (unsigned i = 0; i < KICK_MAX; i++) {
		if (!xsk_ring_prod__needs_wakeup(&p->tx))
			break;
		ssize_t r = sendto(xdp_port_fd(p), NULL, 0, MSG_DONTWAIT, NULL, 0);
		p->down = r < 0 && (errno == ENETDOWN || errno == ENXIO);
		if (r >= 0 || (errno != EAGAIN && errno != EBUSY))
			break;
	}
	reclaim(p);
}

static bool port_send(const struct link *l, struct xdp_port *p, struct pkt *k)
{
	unsigned l2 = ether_out(l, k);
	const uint8_t *frame = pkt_data(k) - l2;
	uint32_t chunk = p->frames.chunk, len = k->len + l2, pieces = (len + chunk - 1) / chunk, at;

	if (p->n_free < pieces)
		kick(p);
	if (p->n_free < pieces || (pieces > 1 && !p->frames.frags) || xsk_ring_prod__reserve(&p->tx, pieces, &at) != pieces)
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

void xdp_port_tx(const struct link *l, struct xdp_port *p, struct pkt **pkts, unsigned n)
{
	reclaim(p);
	if (p->down)
		kick(p);
	for (unsigned i = 0; i < n; i++)
		if (p->down || !port_send(l, p, pkts[i]))
			pkts[i]->drop = p->down ? DROP_LINK_DOWN : DROP_LINK_TX;
	kick(p);
}

void xdp_port_give_back(struct xdp_port *p, struct pkt_pool *pool)
{
	if (p->part)
		pkt_free(pool, p->part);
	p->skip |= p->part != NULL; /* the rest of it is lost, too */
	p->part = NULL;
}

uint64_t xdp_port_overruns(struct xdp_port *p)
{
	struct xdp_statistics st;
	socklen_t len = sizeof(st);

	if (getsockopt(xdp_port_fd(p), SOL_XDP, XDP_STATISTICS, &st, &len))
		return 0;
	uint64_t all = st.rx_dropped + st.rx_ring_full + atomic_load_explicit(&p->lost, memory_order_relaxed), n = all - p->told;
	p->told = all;
	return n;
}
