/* xdp_port: one receive queue of a device by an AF_XDP socket, with the memory (UMEM) that the kernel, or the NIC, puts frames in and takes
 * them from. We copy once, from there into the worker's pool, and once back: the pool is small enough to stay in the cache and knows
 * sizes up to 64 KiB, and a packet that waits never keeps the device short of frames. One worker's, but for the losses. */
#pragma once
#include "daemons/stack-core/link/xdp_prog.h"

struct xdp_frames {
	uint32_t chunk; /* of memory; a longer frame takes several */
	bool frags;	/* and may */
};

struct xdp_port;
struct xdp_frames xdp_frames_for(const struct link *l); /* the MTU of its device */
/* *@ret is there to be freed also when it fails. @generic: the device is driven in the kernel's generic way. */
int xdp_port_new(const struct link *l, struct xdp_prog *prog, struct xdp_frames frames, uint32_t queue, bool generic, struct errbuf *e,
	struct xdp_port **ret);
void xdp_port_free(struct xdp_port *p);
int xdp_port_fd(const struct xdp_port *p);
unsigned xdp_port_rx(const struct link *l, struct xdp_port *p, struct pkt_pool *pool, struct pkt **out, unsigned max);
/* Sets drop of those that it cannot send. */
void xdp_port_tx(const struct link *l, struct xdp_port *p, struct pkt **pkts, unsigned n);
void xdp_port_give_back(struct xdp_port *p, struct pkt_pool *pool); /* what it has of a frame whose rest is to come */
uint64_t xdp_port_overruns(struct xdp_port *p); /* since the last call; control thread */
