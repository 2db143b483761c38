/* ring: a NIC by packet(7) sockets with a receive ring in memory that the kernel shares with us, one a worker in a PACKET_FANOUT group.
 *
 * The ring is of TPACKET version 2, not 3. Version 3 hands packets over in blocks, a block when it is full or when a timer ends: a
 * lone packet waits for the timer, for which the kernel offers a millisecond at best, and each hop of ours would add that to a
 * round trip. Version 2 hands over each packet at once; what it costs more in the kernel is lost in the cost of the device.
 *
 * A slot holds an ordinary frame. A super-packet does not fit: the kernel marks its slot TP_STATUS_COPY and queues the whole to
 * the socket (PACKET_COPY_THRESH), in the same order, where recvmsg(2) takes it straight into a large buffer. So small packets cost no system
 * call, super-packets one for 64 KiB, and the ring needs no slots of that size. */
#include "daemons/stack-core/link/driver.h"
#include "daemons/stack-core/link/slots.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RING_BYTES = 4 << 20, RING_BYTES_MIN = 1 << 20, RING_BYTES_LINK = 32 << 20 };
enum { RING_ROOM = 192, EMPTY_CHECK = 64 };

struct ring_queue {
	struct sender out; /* has the descriptor */
	struct queue_slot large;
	struct slots slots;
	uint32_t next;
	unsigned empty;
	bool adopted, unsure; /* of an earlier run: where the kernel writes next is not known before it has written */
};

static struct ring_queue *queue_of(const struct link *l, unsigned queue)
{
	return (struct ring_queue *)(void *)l->trunk->queues[queue];
}

/* The device's MTU counts: interfaces on it may have less, and each its own. */
static uint32_t frame_size(const struct link *l)
{
	struct link device = *l;
	uint32_t size = PKT_SMALL;

	device.mtu = 0;
	device_mtu(&device);
	while (size < device.mtu + RING_ROOM && size < SLOTS_BLOCK)
		size *= 2;
	return size;
}

/* Asks for the ring, unless the socket has it from an earlier run, and maps it. */
/* One worker's ring: the rings of a link have their limit. Jumbo frames need more. */
static uint32_t ring_bytes(const struct link *l, uint32_t frame)
{
	uint32_t bytes = RING_BYTES_LINK / l->n_queues;

	bytes = bytes > RING_BYTES ? RING_BYTES : bytes < RING_BYTES_MIN ? RING_BYTES_MIN : bytes;
	return (frame > PKT_SMALL ? 2 : 1) * (bytes - bytes % SLOTS_BLOCK);
}

static int ring_make(const struct link *l, struct ring_queue *q, struct errbuf *e)
{
	int fd = q->out.fd, version = TPACKET_V2, on = 1;

	struct tpacket_req req = {
		.tp_block_size = SLOTS_BLOCK,
		.tp_block_nr = ring_bytes(l, q->slots.frame) / SLOTS_BLOCK,
		.tp_frame_size = q->slots.frame,
	};
	req.tp_frame_nr = req.tp_block_nr * (SLOTS_BLOCK / q->slots.frame);
	if (!q->adopted && (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
		setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
		setsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, &on, sizeof(on)) ||
		setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req))))
		return err_set(e, errno, "INTERFACE %s: receive ring on %s: %s (DRIVER SOCKET needs none)", l->name, l->device, strerror(errno));
	void *map = mmap(NULL, (size_t)req.tp_block_size * req.tp_block_nr, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_set(e, errno, "INTERFACE %s: receive ring on %s: %s (DRIVER SOCKET needs none)", l->name, l->device, strerror(errno));
	q->slots.map = map;
	q->slots.n = req.tp_frame_nr;
	return 0;
}

/* @adopted: the socket, or -1. */
static int queue_open(struct link *l, unsigned i, int adopted, int *group, struct errbuf *e)
{
	struct ring_queue *q = xnew(struct ring_queue);

	l->queues[i] = (struct link_queue *)(void *)q;
	q->out.vnet = true;
	q->slots.frame = frame_size(l);
	q->adopted = q->unsure = adopted >= 0;
	q->out.fd = q->adopted ? adopted : packet_socket(l, false, ETH_P_ALL, e);
	int r = q->out.fd < 0 ? q->out.fd : ring_make(l, q, e);
	if (!r && l->n_queues > 1 && !q->adopted)
		r = packet_fanout(l, q->out.fd, group, e);
	if (!r)
		store_keep(l, q->slots.frame, i, q->out.fd);
	return r;
}

static int ring_open(struct link *l, unsigned queues, struct errbuf *e)
{
	int group = -1, r = 0, fds[LINK_WORKERS_MAX];
	bool adopted = store_take(l, frame_size(l), store_is_packet_socket, fds);

	device_keep_host_out(l);
	l->gso = true;
	l->uso = true;
	for (unsigned i = 0; !r && i < queues; i++)
		r = queue_open(l, i, adopted ? fds[i] : -1, &group, e);
	return r;
}

static void ring_close(struct link *l)
{
	for (unsigned i = 0; i < l->n_queues; i++) {
		struct ring_queue *q = queue_of(l, i);
		if (q && q->slots.map)
			munmap(q->slots.map, (size_t)q->slots.frame * q->slots.n);
		if (q && q->out.fd >= 0)
			close(q->out.fd);
		free(q);
	}
}

static int ring_fd(const struct link *l, unsigned queue)
{
	return queue_of(l, queue)->out.fd;
}

/* Copied out of the slot. The lengths are the kernel's; nobody else writes the ring. */
static struct pkt *copied(struct ring_queue *q, struct pkt_pool *pool, const struct tpacket2_hdr *h)
{
	uint32_t len = h->tp_snaplen, data = len > ETHER_HEADER ? len - ETHER_HEADER : 0;
	struct virtio_net_hdr vnet;
	struct pkt *p = h->tp_mac + len <= q->slots.frame ? queue_pkt(pool, data) : NULL;

	if (!p)
		return NULL;
	const uint8_t *frame = (const uint8_t *)h + h->tp_mac;
	memcpy(pkt_data(p) - ETHER_HEADER, frame, len);
	memcpy(&vnet, frame - sizeof(vnet), sizeof(vnet));
	p->len = data;
	vnet_read(p, &vnet, ETHER_HEADER);
	if (h->tp_len > len)
		p->drop = DROP_LINK_NO_BUFFER; /* cut off, and the socket had no room for the whole */
	return p;
}

/* The whole of a packet that did not fit its slot. */
static struct pkt *received(struct ring_queue *q, struct pkt_pool *pool, const struct tpacket2_hdr *h, uint32_t *ret_len)
{
	struct msghdr m = {.msg_iov = q->large.iov, .msg_iovlen = 3};

	if (!slot_fill(&q->large, pool, ETHER_HEADER))
		return NULL;
	ssize_t got = recvmsg(q->out.fd, &m, MSG_DONTWAIT), hdr = sizeof(struct virtio_net_hdr);
	if (got < 0 && errno == EAGAIN)
		return copied(q, pool, h); /* it is not there: the beginning is all there is, and is dropped */
	if (got < 0)
		return NULL; /* the device went down: that is told once, and the packet stays */
	*ret_len = got > hdr ? (uint32_t)(got - hdr) : 0;
	return slot_take(&q->large, *ret_len, ETHER_HEADER);
}

/* A device that went down leaves its error on the socket, and the socket readable, until somebody asks. */
static void look_for_error(struct ring_queue *q)
{
	int error;
	socklen_t len = sizeof(error);

	if (q->empty++ % EMPTY_CHECK)
		return;
	(void)getsockopt(q->out.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	q->unsure = q->adopted; /* of a ring that was full when we took it over the first slot was a guess */
}

static unsigned ring_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct ring_queue *q = queue_of(l, queue);
	unsigned n = 0;

	if (q->unsure && !slots_first(&q->slots, &q->next)) {
		look_for_error(q);
		return 0;
	}
	q->unsure = false;
	while (n < max) {
		struct tpacket2_hdr *h = slots_at(&q->slots, q->next);
		uint32_t status = __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE), len = h->tp_snaplen;
		if (!(status & TP_STATUS_USER))
			break;
		struct pkt *p = status & TP_STATUS_COPY ? received(q, pool, h, &len) : copied(q, pool, h);
		if (!p)
			break;
		if (!p->drop)
			ether_in(l, p, len, status & TP_STATUS_VLAN_VALID, status & TP_STATUS_VLAN_TPID_VALID ? h->tp_vlan_tpid : ETHER_VLAN,
				h->tp_vlan_tci);
		out[n++] = p;
		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		q->next = q->next + 1 == q->slots.n ? 0 : q->next + 1;
	}
	if (!n)
		look_for_error(q);
	return n;
}

static void ring_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n)
{
	sender_tx(&queue_of(l, queue)->out, l, pkts, n);
}

static void ring_give_back(struct link *l, unsigned queue, struct pkt_pool *pool)
{
	slot_give_back(&queue_of(l, queue)->large, pool);
}

const struct link_driver driver_ring = {"RING", ring_open, ring_close, ring_fd, ring_rx, ring_tx, packet_overruns, NULL, ring_give_back};
