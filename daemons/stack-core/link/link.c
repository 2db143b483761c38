/* link: what is the same for all types, and the choice between them. */
#include "daemons/stack-core/link/link.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/link/queue.h"
#include "lib/base/xalloc.h"
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool slot_fill(struct queue_slot *s, struct pkt_pool *pool, unsigned l2)
{
	if (!s->small && !(s->small = pkt_alloc(pool)))
		return false;
	if (!s->large && !(s->large = pkt_alloc_large(pool)))
		return false;
	s->iov[0] = (struct iovec){&s->vnet, sizeof(s->vnet)};
	s->iov[1] = (struct iovec){s->small->buf + PKT_HEADROOM - l2, QUEUE_SMALL_ROOM + l2};
	s->iov[2] = (struct iovec){s->large->buf + PKT_HEADROOM + QUEUE_SMALL_ROOM, PKT_LARGE - PKT_HEADROOM - QUEUE_SMALL_ROOM - PKT_TAILROOM};
	return true;
}

struct pkt *slot_take(struct queue_slot *s, uint32_t len, unsigned l2)
{
	struct pkt *p;

	if (len <= QUEUE_SMALL_ROOM + l2) {
		p = s->small;
		s->small = NULL;
	} else {
		p = s->large;
		s->large = NULL;
		memcpy(p->buf + PKT_HEADROOM - l2, s->small->buf + PKT_HEADROOM - l2, QUEUE_SMALL_ROOM + l2);
	}
	p->off = PKT_HEADROOM;
	p->len = len > l2 ? len - l2 : 0;
	vnet_read(p, &s->vnet, l2);
	return p;
}

/* The kernel vouches for the fields (both ends of the queue are its own); we still believe nothing that does not fit. */
void vnet_read(struct pkt *p, const struct virtio_net_hdr *h, unsigned l2)
{
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		p->csum_partial = true;
		p->csum_start = (uint16_t)(h->csum_start - l2);
		p->csum_offset = h->csum_offset;
		if (h->csum_start < l2 || (uint32_t)p->csum_start + h->csum_offset + 2 > p->len)
			p->drop = DROP_LINK_FRAME;
	}
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		p->gso_type = h->gso_type;
		p->gso_size = h->gso_size;
		if (h->gso_size < 8)
			p->drop = DROP_LINK_FRAME;
	}
}

void vnet_write(struct pkt *p, struct virtio_net_hdr *h, unsigned l2)
{
	memset(h, 0, sizeof(*h));
	if (p->csum_partial) {
		h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->csum_start = (uint16_t)(p->csum_start + l2);
		h->csum_offset = p->csum_offset;
	}
	if (p->gso_size) {
		uint32_t l4 = p->gso_type == PKT_GSO_UDP_L4 ? 8 : (pkt_data(p)[p->l4_off + 12] >> 4) * 4u;
		h->gso_type = (uint8_t)p->gso_type;
		h->gso_size = p->gso_size;
		h->hdr_len = (uint16_t)(l2 + p->l4_off + l4);
	}
}

static struct ifreq request(const struct link *l)
{
	struct ifreq r;
	memset(&r, 0, sizeof(r));
	memcpy(r.ifr_name, l->device, sizeof(r.ifr_name) - 1);
	return r;
}

void link_device_mtu(struct link *l)
{
	struct ifreq r = request(l);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && !ioctl(fd, SIOCGIFMTU, &r) && r.ifr_mtu > 0 && (!l->mtu || l->mtu > (uint32_t)r.ifr_mtu))
		l->mtu = (uint32_t)r.ifr_mtu;
	if (fd >= 0)
		close(fd);
	if (!l->mtu)
		l->mtu = 1500;
}

bool link_up(const struct link *l)
{
	if (l->type == LINK_MEMORY)
		return true;
	struct ifreq r = request(l);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &r) && (r.ifr_flags & IFF_UP) && (r.ifr_flags & IFF_RUNNING);
	if (fd >= 0)
		close(fd);
	return up;
}

int link_open(struct link *l, unsigned queues, struct errbuf *e)
{
	l->queues = xcalloc(queues, sizeof(*l->queues));
	l->counters = xcheck(aligned_alloc(64, queues * sizeof(*l->counters)));
	memset(l->counters, 0, queues * sizeof(*l->counters));
	l->n_queues = queues;
	for (unsigned i = 0; i < queues; i++) {
		l->queues[i] = xnew(struct link_queue);
		l->queues[i]->fd = -1;
	}
	switch (l->type) {
	case LINK_AFPACKET:
		return afpacket_open(l, queues, e);
	case LINK_TUN:
		return tun_open(l, queues, e);
	default:
		l->mtu = l->mtu ? l->mtu : 1500;
		return 0;
	}
}

/* Packets in the slots belong to the worker's pool and go with it. */
void link_close(struct link *l)
{
	for (unsigned i = 0; i < l->n_queues; i++) {
		if (l->queues[i]->fd >= 0)
			close(l->queues[i]->fd);
		free(l->queues[i]);
	}
	free(l->queues);
	free(l->counters);
	l->queues = NULL;
	l->counters = NULL;
	l->n_queues = 0;
}

int link_fd(const struct link *l, unsigned queue)
{
	return l->queues[queue]->fd;
}

unsigned link_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct link_counters *c = &l->counters[queue];
	unsigned n;

	if (l->type == LINK_AFPACKET)
		n = afpacket_rx(l, queue, pool, out, max);
	else if (l->type == LINK_TUN)
		n = tun_rx(l, queue, pool, out, max);
	else
		n = l->memory.rx(l->memory.arg, pool, out, max);
	for (unsigned i = 0; i < n; i++) {
		out[i]->in_link = l->index;
		out[i]->secclass = l->secclass;
		out[i]->inbound = true;
		c->rx_bytes += out[i]->len;
		c->rx_dropped += out[i]->drop != 0;
	}
	c->rx_packets += n;
	return n;
}

void link_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	struct link_counters *c = &l->counters[queue];

	if (l->type == LINK_AFPACKET)
		afpacket_tx(l, queue, pkts, n);
	else if (l->type == LINK_TUN)
		tun_tx(l, queue, pkts, n);
	else
		for (unsigned i = 0; i < n; i++)
			l->memory.tx(l->memory.arg, pkts[i]);
	for (unsigned i = 0; i < n; i++) {
		bool dropped = pkts[i]->drop;
		c->tx_dropped += dropped;
		c->tx_packets += !dropped;
		c->tx_bytes += dropped ? 0 : pkts[i]->len;
	}
}

const char *link_type_text(enum link_type t)
{
	static const char *const names[] = {"AFPACKET", "TUN", "MEMORY"};
	return names[t];
}

const struct addr *link_source(const struct link *l, uint8_t family)
{
	for (unsigned i = 0; i < l->n_addrs; i++)
		if (l->addrs[i].addr.family == family)
			return &l->addrs[i].addr;
	return family == 6 && l->link_local.family ? &l->link_local : NULL;
}

bool link_owns(const struct link *l, const struct addr *a)
{
	for (unsigned i = 0; i < l->n_addrs; i++)
		if (addr_equal(&l->addrs[i].addr, a))
			return true;
	return l->link_local.family && addr_equal(&l->link_local, a);
}

bool link_on_net(const struct link *l, const struct addr *a)
{
	if (ip_is_link_local6(a))
		return true;
	for (unsigned i = 0; i < l->n_addrs; i++) {
		struct prefix net = l->addrs[i];
		prefix_mask(&net);
		if (prefix_covers(&net, a))
			return true;
	}
	return false;
}

void link_sum(const struct link *l, struct link_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < l->n_queues; i++) {
		ret->rx_packets += l->counters[i].rx_packets;
		ret->rx_bytes += l->counters[i].rx_bytes;
		ret->tx_packets += l->counters[i].tx_packets;
		ret->tx_bytes += l->counters[i].tx_bytes;
		ret->rx_dropped += l->counters[i].rx_dropped;
		ret->tx_dropped += l->counters[i].tx_dropped;
	}
}
