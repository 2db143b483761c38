/* What the link types share: receive slots and the virtio_net_hdr. Included by link/ only. */
#pragma once
#include "daemons/stack-core/link/link.h"
#include <linux/virtio_net.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { QUEUE_SLOTS = 32, QUEUE_SMALL_ROOM = PKT_SMALL - PKT_HEADROOM - PKT_TAILROOM };

/* A receive buffer: most packets fit the small one; what is longer runs over into the large one, and then only the
 * beginning has to be copied there. */
struct queue_slot {
	struct pkt *small, *large;
	struct virtio_net_hdr vnet;
	struct iovec iov[3];
};

struct link_queue {
	int fd;
	struct queue_slot slots[QUEUE_SLOTS];
	/* AFPACKET */
	struct mmsghdr rx[QUEUE_SLOTS], tx[PKT_BATCH];
	struct iovec tx_iov[PKT_BATCH][2];
	struct virtio_net_hdr tx_vnet[PKT_BATCH];
};

/* Fills the slot's buffers and iovec for a frame with @l2 bytes of link header; false: no buffer. */
bool slot_fill(struct queue_slot *s, struct pkt_pool *pool, unsigned l2);
/* The packet of @len bytes (with the link header, without the vnet header) that was read into @s; off = the IP header. */
struct pkt *slot_take(struct queue_slot *s, uint32_t len, unsigned l2);
void vnet_read(struct pkt *p, const struct virtio_net_hdr *h, unsigned l2);
void vnet_write(struct pkt *p, struct virtio_net_hdr *h, unsigned l2);
void link_device_mtu(struct link *l);

int afpacket_open(struct link *l, unsigned queues, struct errbuf *e);
unsigned afpacket_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max);
void afpacket_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n);
int tun_open(struct link *l, unsigned queues, struct errbuf *e);
unsigned tun_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max);
void tun_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n);
