/* afpacket: a NIC by packet(7) sockets, one a worker in a PACKET_FANOUT group that keeps a flow on one worker.
 *
 * The kernel sees the same frames. It must not act on them, or packets would reach its programs past our filters: the device
 * carries no kernel address, IPv6 is off on it, it answers no ARP (arp_ignore 8), and with strict reverse path filtering and no
 * route over the device every IPv4 packet on it is refused. */
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/link/queue.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Linux 6.2; an older kernel ignores it and shows us our own frames, which are then no station of ours and are dropped. */
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

static void sysctl_set(const char *device, const char *family, const char *key, const char *value)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, device, key);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		log_warning("the host's own protocol stack may see this device's packets: setting not written", "file", path, "error",
			log_errno(errno));
	if (fd >= 0)
		close(fd);
}

static int device_setup(struct link *l, int fd, struct errbuf *e)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	memcpy(r.ifr_name, l->device, sizeof(r.ifr_name) - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &r))
		return err_set(e, errno, "INTERFACE %s: device %s: %s", l->name, l->device, strerror(errno));
	if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return err_set(e, EINVAL, "INTERFACE %s: device %s is not Ethernet", l->name, l->device);
	memcpy(l->mac, r.ifr_hwaddr.sa_data, 6);
	sysctl_set(l->device, "ipv4", "rp_filter", "1");
	sysctl_set(l->device, "ipv4", "arp_ignore", "8");
	sysctl_set(l->device, "ipv6", "disable_ipv6", "1");
	if (ioctl(fd, SIOCGIFFLAGS, &r))
		return err_set(e, errno, "INTERFACE %s: device %s: %s", l->name, l->device, strerror(errno));
	if (!(r.ifr_flags & IFF_UP)) {
		r.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &r))
			return err_set(e, errno, "INTERFACE %s: cannot set device %s up: %s", l->name, l->device, strerror(errno));
	}
	/* EUI-64 (RFC 4291 appendix A) */
	uint8_t ll[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, l->mac[0] ^ 2, l->mac[1], l->mac[2], 0xff, 0xfe, l->mac[3], l->mac[4], l->mac[5]};
	l->link_local = addr_v6(ll);
	return 0;
}

static int socket_open(struct link *l, struct errbuf *e)
{
	int on = 1, size = 8 << 20;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(e, errno, "INTERFACE %s: packet socket: %s", l->name, strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* Not PACKET_QDISC_BYPASS: it drops each super-packet that the device cannot segment by itself. */
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on))) {
		int err = errno;
		close(fd);
		return err_set(e, err, "INTERFACE %s: packet socket options: %s", l->name, strerror(err));
	}
	struct packet_mreq all = {.mr_ifindex = l->ifindex, .mr_type = PACKET_MR_ALLMULTI};
	(void)setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all));
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(0x0003), .sll_ifindex = l->ifindex};
	if (bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		int err = errno;
		close(fd);
		return err_set(e, err, "INTERFACE %s: bind to %s: %s", l->name, l->device, strerror(err));
	}
	return fd;
}

/* The first socket has the kernel choose a free group, the others join it. */
static int fanout_join(int fd, int *group)
{
	/* A group does not inherit its sockets' PACKET_IGNORE_OUTGOING: without the flag it would see all that we send. */
	int type = PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_IGNORE_OUTGOING, arg;
	socklen_t len = sizeof(arg);

	arg = *group < 0 ? (type | PACKET_FANOUT_FLAG_UNIQUEID) << 16 : *group;
	if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &arg, sizeof(arg)))
		return -errno;
	if (*group < 0) {
		if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &arg, &len))
			return -errno;
		*group = (arg & 0xffff) | type << 16;
	}
	return 0;
}

int afpacket_open(struct link *l, unsigned queues, struct errbuf *e)
{
	int group = -1;

	l->ifindex = (int)if_nametoindex(l->device);
	if (!l->ifindex)
		return err_set(e, ENODEV, "INTERFACE %s: there is no device %s", l->name, l->device);
	int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return err_set(e, errno, "socket: %s", strerror(errno));
	int r = device_setup(l, probe, e);
	close(probe);
	if (r < 0)
		return r;
	link_device_mtu(l);
	l->ethernet = l->gso = true;
	l->uso = true;
	for (unsigned i = 0; i < queues; i++) {
		int fd = socket_open(l, e);
		if (fd < 0)
			return fd;
		l->queues[i]->fd = fd;
		if (queues > 1 && (r = fanout_join(fd, &group)) < 0)
			return err_set(e, -r, "INTERFACE %s: fanout: %s", l->name, strerror(-r));
	}
	return 0;
}

/* Strips the Ethernet header. */
static void frame_in(const struct link *l, struct pkt *p, uint32_t frame_len)
{
	const uint8_t *eth = pkt_data(p) - ETHER_HEADER;

	if (frame_len < ETHER_HEADER) {
		p->drop = DROP_LINK_FRAME;
		return;
	}
	p->ethertype = ip_get16(eth + 12);
	p->l2_group = eth[0] & 1;
	memcpy(p->mac, eth + 6, 6);
	if (!p->l2_group && memcmp(eth, l->mac, 6))
		p->drop = DROP_LINK_OTHER_HOST;
	else if (p->ethertype != ETHER_IP4 && p->ethertype != ETHER_IP6 && p->ethertype != ETHER_ARP)
		p->drop = DROP_LINK_TYPE;
}

unsigned afpacket_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct link_queue *q = l->queues[queue];
	unsigned n = 0, want, ready = 0;

	while (n < max) {
		want = max - n < QUEUE_SLOTS ? max - n : QUEUE_SLOTS;
		for (ready = 0; ready < want && slot_fill(&q->slots[ready], pool, ETHER_HEADER); ready++) {
			memset(&q->rx[ready].msg_hdr, 0, sizeof(q->rx[ready].msg_hdr));
			q->rx[ready].msg_hdr.msg_iov = q->slots[ready].iov;
			q->rx[ready].msg_hdr.msg_iovlen = 3;
		}
		if (!ready)
			break;
		int got = recvmmsg(q->fd, q->rx, ready, MSG_DONTWAIT, NULL);
		if (got <= 0)
			break;
		for (int i = 0; i < got; i++) {
			uint32_t len = q->rx[i].msg_len, hdr = (uint32_t)sizeof(struct virtio_net_hdr);
			len = len > hdr ? len - hdr : 0;
			struct pkt *p = slot_take(&q->slots[i], len, ETHER_HEADER);
			if (!p->drop)
				frame_in(l, p, len);
			out[n++] = p;
		}
		if ((unsigned)got < ready)
			break;
	}
	return n;
}

static void frame_out(const struct link *l, struct link_queue *q, unsigned i, struct pkt *p)
{
	uint8_t *eth = pkt_data(p) - ETHER_HEADER;

	memcpy(eth, p->mac, 6);
	memcpy(eth + 6, l->mac, 6);
	ip_put16(eth + 12, p->ethertype == ETHER_ARP ? ETHER_ARP : p->family == 4 ? ETHER_IP4 : ETHER_IP6);
	vnet_write(p, &q->tx_vnet[i], ETHER_HEADER);
	q->tx_iov[i][0] = (struct iovec){&q->tx_vnet[i], sizeof(q->tx_vnet[i])};
	q->tx_iov[i][1] = (struct iovec){eth, p->len + ETHER_HEADER};
	memset(&q->tx[i].msg_hdr, 0, sizeof(q->tx[i].msg_hdr));
	q->tx[i].msg_hdr.msg_iov = q->tx_iov[i];
	q->tx[i].msg_hdr.msg_iovlen = 2;
}

void afpacket_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	struct link_queue *q = l->queues[queue];
	unsigned tries = 0;

	for (unsigned i = 0; i < n; i++)
		frame_out(l, q, i, pkts[i]);
	for (unsigned done = 0; done < n;) {
		int sent = sendmmsg(q->fd, q->tx + done, n - done, MSG_DONTWAIT);
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

uint64_t link_overruns(const struct link *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; l->type == LINK_AFPACKET && i < l->n_queues; i++) {
		struct tpacket_stats st;
		socklen_t len = sizeof(st);
		if (!getsockopt(l->queues[i]->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len)) /* reading sets it to zero */
			n += st.tp_drops;
	}
	return n;
}

int link_send_frame(struct link *l, uint8_t *frame, size_t len)
{
	struct virtio_net_hdr none = {0};
	struct iovec iov[2] = {{&none, sizeof(none)}, {frame, len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	if (l->type == LINK_MEMORY) {
		struct pkt p = {.buf = frame, .size = (uint32_t)len, .off = ETHER_HEADER, .len = (uint32_t)len - ETHER_HEADER, .ethertype = ip_get16(frame + 12)};
		memcpy(p.mac, frame, 6);
		p.family = p.ethertype == ETHER_IP6 ? 6 : 0;
		l->memory.tx(l->memory.arg, &p);
		return 0;
	}
	return sendmsg(l->queues[0]->fd, &m, MSG_DONTWAIT) < 0 ? -errno : 0;
}
