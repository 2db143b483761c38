/* driver: how a link's packets are moved, one file each.
 *
 *   socket.c  SOCKET  packet(7) sockets, recvmmsg(2) and sendmmsg(2): works everywhere, two copies and the most system calls
 *   ring.c    RING    a receive ring that the kernel fills and we read without a system call; sends like SOCKET
 *   xdp.c     XDP     AF_XDP sockets: frames leave the kernel's path in the driver, and what is not ours stays with the kernel
 *   tun.c             the host's side
 *
 * SOCKET, RING and TUN take and give super-packets; XDP cannot: each of its packets is one frame.
 * Included by link/ only. */
#pragma once
#include "daemons/stack-core/link/link.h"
#include <linux/virtio_net.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct link_driver {
	const char *name;
	/* Makes l->queues[0 .. queues - 1], or fails and leaves what close() can take. */
	int (*open)(struct link *l, unsigned queues, struct errbuf *e);
	void (*close)(struct link *l);
	int (*fd)(const struct link *l, unsigned queue);
	unsigned (*rx)(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max);
	/* @l may be another link of the same trunk than the one that was opened. */
	void (*tx)(struct link *l, unsigned queue, struct pkt **pkts, unsigned n);
	uint64_t (*overruns)(const struct link *l); /* NULL: it cannot tell */
	/* The destinations that the stack takes packets for. NULL: it takes all frames. */
	void (*takes)(struct link *l, const struct prefix *list, unsigned n);
	/* The buffers of @pool that the queue has. NULL: none. */
	void (*give_back)(struct link *l, unsigned queue, struct pkt_pool *pool);
};
extern const struct link_driver driver_socket, driver_ring, driver_xdp, driver_tun;

enum { QUEUE_SLOTS = 32, QUEUE_SMALL_ROOM = PKT_SMALL - PKT_HEADROOM - PKT_TAILROOM };

/* A receive buffer: most packets fit the small one; what is longer runs over into the large one, and then only the
 * beginning has to be copied there. */
struct queue_slot {
	struct pkt *small, *large;
	struct virtio_net_hdr vnet;
	struct iovec iov[3];
};
/* Fills the slot's buffers and iovec for a frame with @l2 bytes of link header; false: no buffer. */
bool slot_fill(struct queue_slot *s, struct pkt_pool *pool, unsigned l2);
void slot_give_back(struct queue_slot *s, struct pkt_pool *pool);
/* The packet of @len bytes (with the link header, without the vnet header) that was read into @s; off = the IP header. */
struct pkt *slot_take(struct queue_slot *s, uint32_t len, unsigned l2);
/* A packet with room for @len bytes of data; NULL: none left. */
struct pkt *queue_pkt(struct pkt_pool *pool, uint32_t len);

void vnet_read(struct pkt *p, const struct virtio_net_hdr *h, unsigned l2);
void vnet_write(struct pkt *p, struct virtio_net_hdr *h, unsigned l2);

/* store.c: descriptors of an earlier run of the stack which had the same interface and as many workers. @detail: what else must be as it
 * was. False: there are none, or not all that @same says are what they should be. */
bool store_take(struct link *l, unsigned detail, bool (*same)(const struct link *l, int fd), int fds[LINK_WORKERS_MAX]);
void store_keep(struct link *l, unsigned detail, unsigned queue, int fd); /* for the next run, unless it came from there */
bool store_is_packet_socket(const struct link *l, int fd); /* bound to the device, also if that was made anew under its name */

/* ether.c: the Ethernet header in front of pkt_data(p). */
/* @frame_len: of the frame that was received, without a tag that the kernel took off. @tagged: it did, and it was @tpid, @tci. */
void ether_in(const struct link *l, struct pkt *p, uint32_t frame_len, bool tagged, uint16_t tpid, uint16_t tci);
/* Writes the header for @p on @l in front of it; how long it is. */
unsigned ether_out(const struct link *l, const struct pkt *p);

/* device.c */
/* Finds the device, reads its addresses, sets it up. */
int device_open(struct link *l, struct errbuf *e);
void device_mtu(struct link *l);
bool device_up(const struct link *l);
void device_mac(struct link *l, const uint8_t mac[6]); /* and the link-local address that is made of it */
void device_keep_host_out(const struct link *l); /* the host's own protocol stack shall not act on its packets */
void device_no_ipv6(const struct link *l);	  /* nor have IPv6 on it */

/* socket.c: a packet socket that receives all that comes by the device, or (@proto 0) nothing; and sending on it. */
int packet_socket(const struct link *l, bool vnet, int proto, struct errbuf *e);
int packet_fanout(const struct link *l, int fd, int *group, struct errbuf *e);
uint64_t packet_overruns(const struct link *l); /* a driver's overruns() whose queues' descriptors are packet sockets */
struct sender {
	int fd;
	bool vnet;
	struct mmsghdr msgs[PKT_BATCH];
	struct iovec iov[PKT_BATCH][2];
	struct virtio_net_hdr hdr[PKT_BATCH];
};
void sender_tx(struct sender *s, struct link *l, struct pkt **pkts, unsigned n);
