/* link: what is the same for all types, and the choice between them. */
#include "daemons/stack-core/link/link.h"
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/link/driver.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
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

struct pkt *queue_pkt(struct pkt_pool *pool, uint32_t len)
{
	return len <= QUEUE_SMALL_ROOM ? pkt_alloc(pool) : pkt_alloc_large(pool);
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

bool link_up(const struct link *l)
{
	return l->type == LINK_MEMORY || device_up(l);
}

void link_share(struct link *links, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct link *l = &links[i], **last;
		l->trunk = l;
		l->sibling = NULL;
		for (unsigned k = 0; k < i && l->trunk == l; k++)
			if (l->type == LINK_AFPACKET && links[k].type == LINK_AFPACKET && !strcmp(links[k].device, l->device))
				l->trunk = links[k].trunk;
		if (l->trunk == l)
			continue;
		for (last = &l->trunk->sibling; *last; last = &(*last)->sibling)
			;
		*last = l;
	}
}

static int driver_open(struct link *l, const struct link_driver *d, struct errbuf *e)
{
	l->driver = d;
	l->queues = xcalloc(l->n_queues, sizeof(*l->queues));
	return d->open(l, l->n_queues, e);
}

static void driver_close(struct link *l)
{
	if (l->queues)
		l->driver->close(l); /* also when opening stopped half-way */
	free(l->queues);
	l->queues = NULL;
}

/* What the choice means, and what AUTO tries. */
static int nic_open(struct link *l, struct errbuf *e)
{
	static const struct link_driver *const drivers[] = {&driver_ring, &driver_socket, &driver_ring, &driver_xdp};

	l->frame_fd = packet_socket(l, false, 0, e);
	if (l->frame_fd < 0)
		return l->frame_fd;
	if (l->trunk != l) {
		l->driver = l->trunk->driver;
		l->gso = l->trunk->gso;
		l->uso = (bool)l->trunk->uso;
		return 0;
	}
	int r = driver_open(l, drivers[l->choice], e);
	if (r < 0 && l->choice == LINK_DRIVER_AUTO) {
		log_warning("device driven the slower way", "reason", e->text);
		driver_close(l);
		r = driver_open(l, &driver_socket, e);
	}
	return r;
}

int link_open(struct link *l, unsigned queues, struct errbuf *e)
{
	l->counters = xcheck(aligned_alloc(64, queues * sizeof(*l->counters)));
	memset(l->counters, 0, queues * sizeof(*l->counters));
	l->n_queues = queues;
	l->asked_mtu = l->mtu;
	l->frame_fd = -1;
	if (!l->trunk)
		l->trunk = l;
	if (l->type == LINK_TUN)
		return driver_open(l, &driver_tun, e);
	if (l->type == LINK_AFPACKET) {
		int r = device_open(l, e);
		return r < 0 ? r : nic_open(l, e);
	}
	l->mtu = l->mtu ? l->mtu : 1500;
	return 0;
}

void link_close(struct link *l)
{
	driver_close(l);
	if (l->type == LINK_AFPACKET && l->n_queues && l->frame_fd >= 0)
		close(l->frame_fd);
	free(l->counters);
	l->counters = NULL;
	l->n_queues = 0;
}

int link_fd(const struct link *l, unsigned queue)
{
	return l->queues ? l->driver->fd(l, queue) : -1;
}

/* The link on @l's device that the frame's VLAN belongs to. */
static struct link *owner(struct link *l, struct pkt *p)
{
	for (struct link *o = l; o; o = o->sibling)
		if (o->vlan == p->vlan && !o->leaving)
			return o;
	if (!p->drop)
		p->drop = DROP_LINK_VLAN;
	return l;
}

unsigned link_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	unsigned n = 0;

	if (l->queues)
		n = l->driver->rx(l, queue, pool, out, max);
	else if (l->type == LINK_MEMORY)
		n = l->memory.rx(l->memory.arg, pool, out, max);
	for (unsigned i = 0; i < n; i++) {
		struct link *o = owner(l, out[i]);
		struct link_counters *c = &o->counters[queue];
		out[i]->in_link = o->index;
		out[i]->secclass = o->secclass;
		out[i]->inbound = true;
		count_add(&c->rx_packets, 1);
		count_add(&c->rx_bytes, out[i]->len);
		count_add(&c->rx_dropped, out[i]->drop != 0);
	}
	return n;
}

void link_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	struct link_counters *c = &l->counters[queue];

	if (l->driver)
		l->driver->tx(l, queue, pkts, n);
	else
		for (unsigned i = 0; i < n; i++)
			l->memory.tx(l->memory.arg, pkts[i]);
	for (unsigned i = 0; i < n; i++) {
		bool dropped = pkts[i]->drop;
		count_add(&c->tx_dropped, dropped);
		count_add(&c->tx_packets, !dropped);
		count_add(&c->tx_bytes, dropped ? 0 : pkts[i]->len);
	}
}

uint64_t link_overruns(const struct link *l)
{
	return l->queues && l->driver->overruns ? l->driver->overruns(l) : 0;
}

void link_takes(struct link *l, const struct prefix *list, unsigned n)
{
	if (l->queues && l->driver->takes)
		l->driver->takes(l, list, n);
}

int link_send_frame(struct link *l, uint8_t *frame, size_t len)
{
	uint8_t tag[ETHER_TAG];
	struct iovec iov[3] = {{frame, 12}, {tag, l->vlan ? sizeof(tag) : 0}, {frame + 12, len - 12}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 3};

	if (l->type == LINK_MEMORY) {
		struct pkt p = {.buf = frame, .size = (uint32_t)len, .off = ETHER_HEADER, .len = (uint32_t)len - ETHER_HEADER, .ethertype = ip_get16(frame + 12)};
		memcpy(p.mac, frame, 6);
		p.family = p.ethertype == ETHER_IP6 ? 6 : 0;
		l->memory.tx(l->memory.arg, &p);
		return 0;
	}
	ip_put16(tag, ETHER_VLAN);
	ip_put16(tag + 2, l->vlan);
	return sendmsg(l->frame_fd, &m, MSG_DONTWAIT) < 0 ? -errno : 0;
}

const char *link_driver_text(const struct link *l)
{
	return l->driver ? l->driver->name : "MEMORY";
}

const char *link_type_text(enum link_type t)
{
	static const char *const names[] = {"AFPACKET", "TUN", "MEMORY"};
	return names[t];
}

bool link_refused(const struct link *l, unsigned index)
{
	return atomic_load_explicit(&l->refused, memory_order_relaxed) >> index & 1;
}

void link_refuse(struct link *l, unsigned index)
{
	atomic_fetch_or_explicit(&l->refused, (uint16_t)(1u << index), memory_order_relaxed);
}

const struct addr *link_source(const struct link *l, uint8_t family)
{
	for (unsigned i = 0; i < l->n_addrs; i++)
		if (l->addrs[i].addr.family == family && !link_refused(l, i))
			return &l->addrs[i].addr;
	return family == 6 && l->link_local.family ? &l->link_local : NULL;
}

bool link_owns(const struct link *l, const struct addr *a)
{
	for (unsigned i = 0; i < l->n_addrs; i++)
		if (addr_equal(&l->addrs[i].addr, a) && !link_refused(l, i))
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
		ret->rx_packets += count_read(&l->counters[i].rx_packets);
		ret->rx_bytes += count_read(&l->counters[i].rx_bytes);
		ret->tx_packets += count_read(&l->counters[i].tx_packets);
		ret->tx_bytes += count_read(&l->counters[i].tx_bytes);
		ret->rx_dropped += count_read(&l->counters[i].rx_dropped);
		ret->tx_dropped += count_read(&l->counters[i].tx_dropped);
	}
}
