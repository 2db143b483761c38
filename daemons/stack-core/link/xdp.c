/* xdp: a NIC by AF_XDP sockets, one for each receive queue of the device, which puts a flow always into the same queue. Queue q is worker
 * q's, or the one's that comes round. A worker that has none (more workers than queues) sends through a packet socket.
 *
 * The program (xdp_maps.h has its rule) hands the stack's frames to the socket's memory (UMEM) before the kernel builds anything of
 * them; the rest stays with the kernel, whose settings for the device are therefore left alone. Where the NIC's driver can, it writes
 * into that memory itself (zero copy).
 *
 * A frame has no word about offloads: checksums are complete, and there are no super-packets. Frames longer than a UMEM chunk come
 * and go in several descriptors (XDP_USE_SG, Linux 6.6). */
#include "daemons/stack-core/link/xdp_port.h"
#include "daemons/stack-core/link/xdp_maps.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* One worker's. */
struct xdp_queue {
	struct sender out; /* without a port; fd -1: not needed */
	unsigned n_ports, next;
	struct xdp_port **ports;
	int epoll; /* of several ports; -1: none */
};

struct xdp_state { /* behind the queues */
	struct xdp_prog *prog;
	struct xdp_frames frames;
};

static struct xdp_queue *queue_of(const struct link *l, unsigned queue)
{
	return (struct xdp_queue *)(void *)l->trunk->queues[queue];
}

static struct xdp_state *state_of(const struct link *l)
{
	return l->trunk->state;
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

static int add_port(struct link *l, struct xdp_queue *q, uint32_t queue, bool generic, struct errbuf *e)
{
	const struct xdp_state *s = state_of(l);

	q->ports = xrealloc(q->ports, q->n_ports + 1, sizeof(struct xdp_port *));
	return xdp_port_new(l, s->prog, s->frames, queue, generic, e, &q->ports[q->n_ports++]);
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
		if (epoll_ctl(q->epoll, EPOLL_CTL_ADD, xdp_port_fd(q->ports[i]), &ev))
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
	s->frames = xdp_frames_for(l);
	if (n > XDP_QUEUES_MAX)
		return err_set(e, E2BIG, "INTERFACE %s: device %s has %u queues, DRIVER XDP can use %d", l->name, l->device, n, XDP_QUEUES_MAX);
	if (has_six(l))
		device_no_ipv6(l); /* the kernel would have the same link-local address */
	int r = xdp_prog_new(l, s->frames.frags, e, &s->prog, &generic);
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
			xdp_port_free(q->ports[k]);
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

	return q->n_ports == 1 ? xdp_port_fd(q->ports[0]) : q->epoll;
}

static unsigned xdp_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct xdp_queue *q = queue_of(l, queue);
	unsigned n = 0;

	for (unsigned i = 0; i < q->n_ports && n < max; i++)
		n += xdp_port_rx(l, q->ports[(q->next + i) % q->n_ports], pool, out + n, max - n);
	q->next++;
	return n;
}

static void xdp_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	struct xdp_queue *q = queue_of(l, queue);

	if (q->n_ports)
		xdp_port_tx(l, q->ports[0], pkts, n);
	else
		sender_tx(&q->out, l, pkts, n);
}

static void xdp_give_back(struct link *l, unsigned queue, struct pkt_pool *pool)
{
	struct xdp_queue *q = queue_of(l, queue);

	for (unsigned i = 0; i < q->n_ports; i++)
		xdp_port_give_back(q->ports[i], pool);
}

static uint64_t xdp_overruns(const struct link *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < l->n_queues; i++)
		for (unsigned k = 0; k < queue_of(l, i)->n_ports; k++)
			n += xdp_port_overruns(queue_of(l, i)->ports[k]);
	return n;
}

static void xdp_takes(struct link *l, const struct prefix *list, unsigned n)
{
	if (has_six(l))
		device_no_ipv6(l); /* an address of that kind may have come */
	xdp_prog_takes(state_of(l)->prog, l, list, n);
}

const struct link_driver driver_xdp = {"XDP", xdp_open, xdp_close, xdp_fd, xdp_rx, xdp_tx, xdp_overruns, xdp_takes, xdp_give_back};
