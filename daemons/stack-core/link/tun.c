/* tun: the way to the host's own programs, by a multi-queue TUN device with virtio_net_hdr. The host's TCP hands over super-packets of up
 * to 64 KiB with checksums unfinished, and takes such from us. */
#include "daemons/stack-core/link/netlink.h"
#include "daemons/stack-core/link/driver.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Linux 6.2 */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* So that the segments of one, each in ESP and UDP, still are one super-packet: 45 of 1350 bytes. What waits: small datagrams of the time
 * that a worker may be kept from its processor; what is more is dropped here, before anything was spent on it. */
enum { GSO_MAX = 61440, QUEUE = 1500 };

struct tun_queue {
	int fd;
	struct pkt *room; /* what is read next, of the worker's pool */
};

static struct tun_queue *queue_of(const struct link *l, unsigned queue)
{
	return (struct tun_queue *)(void *)l->queues[queue];
}

static int queue_open(struct link *l, struct errbuf *e)
{
	struct ifreq r;
	int size = (int)sizeof(struct virtio_net_hdr);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "INTERFACE %s: /dev/net/tun: %s", l->name, strerror(errno));
	memset(&r, 0, sizeof(r));
	memcpy(r.ifr_name, l->device, sizeof(r.ifr_name) - 1);
	r.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	if (ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETVNETHDRSZ, &size)) {
		int err = errno;
		close(fd);
		return err_set(e, err, "INTERFACE %s: TUN device %s: %s", l->name, l->device, strerror(err));
	}
	return fd;
}

static void offloads(struct link *l, int fd)
{
	l->uso = !ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6);
	if (!l->uso)
		(void)ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
}

static bool is_queue(const struct link *l, int fd)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	return !ioctl(fd, TUNGETIFF, &r) && !strcmp(r.ifr_name, l->device) && r.ifr_flags & IFF_VNET_HDR;
}

static int tun_open(struct link *l, unsigned queues, struct errbuf *e)
{
	int fds[LINK_WORKERS_MAX];
	bool adopted = store_take(l, 0, is_queue, fds);

	for (unsigned i = 0; i < queues; i++) {
		struct tun_queue *q = xnew(struct tun_queue);
		l->queues[i] = (struct link_queue *)(void *)q;
		q->fd = adopted ? fds[i] : queue_open(l, e);
		if (q->fd < 0)
			return q->fd;
		offloads(l, q->fd);
		store_keep(l, 0, i, q->fd);
	}
	l->gso = true;
	l->ifindex = (int)if_nametoindex(l->device);
	if (adopted && l->fresh_routes) /* down and up: the host forgets its routes over it */
		(void)netlink_device_down(l->ifindex, e);
	int r = netlink_device_up(l->ifindex, l->mtu, e);
	device_mtu(l);
	(void)netlink_queue(l->ifindex, GSO_MAX, QUEUE); /* an older kernel keeps its own limit, and more packets are halved */
	for (unsigned i = 0; !r && i < l->n_addrs; i++)
		r = netlink_addr_add(l->ifindex, &l->addrs[i], e);
	return r;
}

static void tun_close(struct link *l)
{
	for (unsigned i = 0; i < l->n_queues; i++) {
		struct tun_queue *q = queue_of(l, i);
		if (q && q->fd >= 0)
			close(q->fd);
		free(q);
	}
}

static int tun_fd(const struct link *l, unsigned queue)
{
	return queue_of(l, queue)->fd;
}

/* A packet with its vnet header is read into one buffer that takes any: read(2) has no list of buffers to copy in and check, and a small
 * packet is soon copied from there. */
static unsigned tun_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct tun_queue *q = queue_of(l, queue);
	const size_t vnet = sizeof(struct virtio_net_hdr), room = PKT_LARGE - PKT_HEADROOM - PKT_TAILROOM;
	unsigned n = 0;

	while (n < max && (q->room || (q->room = pkt_alloc_large(pool)))) {
		uint8_t *at = q->room->buf + PKT_HEADROOM - vnet;
		struct virtio_net_hdr hdr;
		ssize_t got = read(q->fd, at, vnet + room);
		if (got <= (ssize_t)vnet)
			break;
		uint32_t len = (uint32_t)((size_t)got - vnet);
		struct pkt *p = len <= QUEUE_SMALL_ROOM ? pkt_alloc(pool) : NULL;
		if (p) {
			memcpy(pkt_data(p), at + vnet, len);
		} else {
			p = q->room;
			q->room = NULL;
		}
		memcpy(&hdr, at, vnet);
		p->len = len;
		vnet_read(p, &hdr, 0);
		out[n++] = p;
	}
	return n;
}

static void tun_give_back(struct link *l, unsigned queue, struct pkt_pool *pool)
{
	struct tun_queue *q = queue_of(l, queue);

	if (q->room)
		pkt_free(pool, q->room);
	q->room = NULL;
}

static void tun_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	struct tun_queue *q = queue_of(l, queue);

	for (unsigned i = 0; i < n; i++) {
		struct virtio_net_hdr vnet;
		vnet_write(pkts[i], &vnet, 0);
		struct iovec iov[2] = {{&vnet, sizeof(vnet)}, {pkt_data(pkts[i]), pkts[i]->len}};
		if (writev(q->fd, iov, 2) < 0)
			pkts[i]->drop = errno == EIO || errno == EBADFD ? DROP_LINK_DOWN : DROP_LINK_TX;
	}
}

const struct link_driver driver_tun = {"TUN", tun_open, tun_close, tun_fd, tun_rx, tun_tx, NULL, NULL, tun_give_back};
