/* tun: the way to the host's own programs, by a multi-queue TUN device with virtio_net_hdr. The host's TCP hands over super-packets of up
 * to 64 KiB with checksums unfinished, and takes such from us. */
#include "daemons/stack-core/link/netlink.h"
#include "daemons/stack-core/link/queue.h"
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
	l->uso = !ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6);
	if (!l->uso)
		(void)ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	return fd;
}

int tun_open(struct link *l, unsigned queues, struct errbuf *e)
{
	for (unsigned i = 0; i < queues; i++) {
		int fd = queue_open(l, e);
		if (fd < 0)
			return fd;
		l->queues[i]->fd = fd;
	}
	l->gso = true;
	l->ifindex = (int)if_nametoindex(l->device);
	int r = netlink_device_up(l->ifindex, l->mtu, e);
	link_device_mtu(l);
	for (unsigned i = 0; !r && i < l->n_addrs; i++)
		r = netlink_addr_add(l->ifindex, &l->addrs[i], e);
	return r;
}

unsigned tun_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct link_queue *q = l->queues[queue];
	unsigned n = 0;

	while (n < max && slot_fill(&q->slots[0], pool, 0)) {
		struct queue_slot *s = &q->slots[0];
		ssize_t got = readv(q->fd, s->iov, 3);
		if (got <= (ssize_t)sizeof(struct virtio_net_hdr))
			break;
		out[n++] = slot_take(s, (uint32_t)((size_t)got - sizeof(struct virtio_net_hdr)), 0);
	}
	return n;
}

void tun_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	struct link_queue *q = l->queues[queue];

	for (unsigned i = 0; i < n; i++) {
		struct virtio_net_hdr vnet;
		vnet_write(pkts[i], &vnet, 0);
		struct iovec iov[2] = {{&vnet, sizeof(vnet)}, {pkt_data(pkts[i]), pkts[i]->len}};
		if (writev(q->fd, iov, 2) < 0)
			pkts[i]->drop = errno == EIO || errno == EBADFD ? DROP_LINK_DOWN : DROP_LINK_TX;
	}
}
