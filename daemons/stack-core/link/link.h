/* link: where packets come from and go to. One queue a worker, so that no worker waits for another.
 *
 * AFPACKET is a NIC: Ethernet frames, our own ARP and ND, by one of three drivers (driver.h). TUN leads to the host's own programs:
 * bare IP packets. MEMORY is for tests and measurements. Where the driver can, packets carry the kernel's virtio_net_hdr, so that
 * TCP super-packets of 64 KiB pass without being cut where both sides can take them: this is what makes a userland path fast.
 *
 * Several links may be on one NIC, told apart by the VLAN id of their frames (IEEE 802.1Q). One of them, the trunk, has the queues: what it
 * receives is handed to the link whose id the frame has. A priority tag (id 0) is no tag. Frames of other VLANs are dropped and counted. */
#pragma once
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/pkt.h"
#include "lib/base/err.h"

/* Does the way back to a packet's source matter? The default is loose: there has to be one. */
enum link_urpf { LINK_URPF_LOOSE, LINK_URPF_STRICT, LINK_URPF_OFF };
enum link_type { LINK_AFPACKET, LINK_TUN, LINK_MEMORY };
enum link_choice { LINK_DRIVER_AUTO, LINK_DRIVER_SOCKET, LINK_DRIVER_RING, LINK_DRIVER_XDP };
enum link_xdp { LINK_XDP_AUTO, LINK_XDP_COPY, LINK_XDP_ZEROCOPY };
enum { LINK_NAME_MAX = 17, LINK_ADDRS_MAX = 16, LINKS_MAX = 32, LINK_DEVICE_MAX = 16, LINK_WORKERS_MAX = 64 };
enum { ETHER_HEADER = 14, ETHER_TAG = 4, LINK_VLAN_MAX = 4094 };
enum { ETHER_IP4 = 0x0800, ETHER_ARP = 0x0806, ETHER_VLAN = 0x8100, ETHER_IP6 = 0x86dd };

struct link_counters {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
} __attribute__((aligned(64)));

struct link_driver;
struct link_queue; /* of the driver concerned */

/* What a MEMORY link calls; @rx returns how many packets it put into @out, @tx only looks. */
struct link_memory {
	unsigned (*rx)(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max);
	void (*tx)(void *arg, const struct pkt *p);
	void *arg;
};

/* Where queues' descriptors are kept from one run of the stack to the next (lib/daemon/fdstore.h). @take: -1, there is none. */
struct link_store {
	int (*take)(const char *name);
	int (*keep)(const char *name, int fd);
	int (*forget)(const char *name);
};

struct link {
	char name[LINK_NAME_MAX], device[LINK_DEVICE_MAX];
	enum link_type type;
	enum link_choice choice; /* AFPACKET */
	enum link_xdp xdp;	 /* LINK_DRIVER_XDP */
	uint16_t vlan;		 /* AFPACKET: id of its frames; 0: those without a tag */
	uint16_t index;
	_Atomic uint8_t secclass, urpf; /* @urpf: enum link_urpf. Set by the caller, who may change them while workers look */
	uint8_t dad_probes; /* questions whether somebody has our addresses; set by the caller */
	_Atomic uint16_t refused; /* a bit for each of addrs that somebody else has (ip/dad.h) */
	int ifindex;
	uint32_t mtu, asked_mtu; /* in force; as described (0: the device's) */
	uint8_t mac[6];
	struct prefix addrs[LINK_ADDRS_MAX]; /* host bits kept */
	unsigned n_addrs;
	struct addr link_local; /* AFPACKET: from the MAC (RFC 4291 appendix A) */
	struct link *trunk;   /* who has the device's queues: itself, unless it shares the device */
	struct link *sibling; /* next one on the same trunk */
	const struct link_driver *driver;
	unsigned n_queues;
	struct link_queue **queues;
	void *state; /* the driver's, beside the queues */
	int frame_fd; /* for link_send_frame; -1: none */
	struct link_counters *counters; /* one a queue */
	struct link_memory memory;
	const struct link_store *store; /* NULL: queues live as long as this run */
	bool fresh_routes; /* TUN that is adopted: nobody knows which routes of the host an earlier run made */
	bool adopted; /* its queues are those of an earlier run, with the packets that came since */
	unsigned store_detail; /* of the driver, for the name */
	bool stored;   /* the store has its queues */
	bool leaving;  /* it goes: what comes for it is dropped */
	/* Of the device, by the control thread (devices.h). */
	bool state_known, down;
	bool gone;	    /* the queues lead to none */
	bool refused_again; /* it is back and could not be opened: that was told */
	uint64_t downs;     /* how often it went down */
	bool ethernet; /* next hops have link addresses */
	bool gso;      /* takes super-packets and unfinished checksums */
	_Atomic bool uso; /* and super-packets of UDP; cleared when the kernel turns out not to know them */
};

/* Makes links of the same device share it: before they are opened, in their order. */
void link_share(struct link *links, unsigned n);
/* @name, @device, @type, @choice, @xdp, @vlan, @mtu (0: the device's), @addrs and @secclass are set by the caller. Needs CAP_NET_ADMIN
 * and CAP_NET_RAW, the XDP driver CAP_BPF too. A link whose open failed is to be closed. */
int link_open(struct link *l, unsigned queues, struct errbuf *e);
void link_close(struct link *l);
int link_fd(const struct link *l, unsigned queue); /* readable when packets wait; -1: nothing comes this way */
/* At most @max packets; those with p->drop set are to be counted and freed. */
unsigned link_rx(struct link *l, unsigned queue, struct pkt_pool *pool, struct pkt **out, unsigned max);
/* Sends what it can; sets p->drop of the rest. The caller frees all. Ethernet: p->mac and p->family are set. */
void link_tx(struct link *l, unsigned queue, struct pkt **pkts, unsigned n);
/* A single frame without a tag, from the control thread. */
int link_send_frame(struct link *l, uint8_t *frame, size_t len);
/* change.c: while no worker runs. */
bool link_same_place(const struct link *a, const struct link *b); /* @b can be had by changing @a */
bool link_same_queues(const struct link *a, const struct link *b); /* both can be on the same queues of the same device */
/* Addresses, MTU (asked_mtu), secclass, urpf and dad_probes of @want. */
int link_change(struct link *l, const struct link *want, struct errbuf *e);
void link_join(struct link *l, struct link *trunk); /* shares its queues from now on */
void link_leave(struct link *l); /* its device's queues, if others share them, are theirs */
void link_give_back(struct link *l, unsigned queue, struct pkt_pool *pool); /* the buffers that wait for packets, before it is closed */
/* again.c: as link_open, beside what @l has, for a device that is there again under its name; @l has to be its own trunk. */
struct link_again;
int link_again(struct link *l, struct link_again **ret, struct errbuf *e);
void link_again_swap(struct link *l, struct link_again *a); /* while no worker runs: @l has the new queues, @a the old ones */
void link_again_drop(struct link_again *a);
void link_mac(struct link *l, const uint8_t mac[6]); /* of @l and those that share its device */
struct device_now {
	int ifindex; /* 0: there is no device of that name */
	bool up;
	uint8_t mac[6];
};
void device_look(const struct link *l, struct device_now *ret); /* of the device as it is */
/* store.c: what a device's queues are kept as says what its links are: before and after they change. */
void link_store_forget(struct link *l);
void link_store_again(struct link *l);
const char *link_type_text(enum link_type t);
const char *link_driver_text(const struct link *l); /* of an open link */
/* First address of that family and, for IPv6 without one, the link-local address; NULL: none. */
const struct addr *link_source(const struct link *l, uint8_t family);
bool link_owns(const struct link *l, const struct addr *a);
bool link_refused(const struct link *l, unsigned index); /* in addrs: it is another's, and none of ours any more */
void link_refuse(struct link *l, unsigned index);	  /* control thread */
bool link_on_net(const struct link *l, const struct addr *a); /* covered by one of its prefixes */
void link_sum(const struct link *l, struct link_counters *ret);
/* Frames that the kernel had no room for since the last call, because the workers were behind. Control thread. */
uint64_t link_overruns(const struct link *l);
/* The destinations that the stack takes packets for, when they change: what else comes may stay with the host. Control thread. */
void link_takes(struct link *l, const struct prefix *list, unsigned n);
bool link_up(const struct link *l);
