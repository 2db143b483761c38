/* The tables that the XDP program and xdp.c share. Which frames are the stack's, and which stay with the kernel:
 *
 *   1. The frame's VLAN has an interface of the stack on this device (no tag, or a priority tag: id 0).
 *   2. It is for the device's own address, or a group address.
 *   3. ARP: it asks for, or speaks of itself as, an address of those interfaces.
 *   4. IPv4, IPv6: the destination is one of those addresses, or of the TUN, or the stack has a route for it (it forwards). IPv6 to a
 *      group: only a solicited-node address of ours (RFC 4861).
 *
 * Everything else goes its way in the kernel as if the program were not there: other protocols, IPv4 broadcasts (DHCP), and whatever is for
 * an address that the kernel itself has on the device; a route of the stack to the device's own network takes nothing. What is
 * the stack's never falls back to the kernel, where it would pass no filter: without a socket it is dropped. */
#pragma once

enum { XDP_QUEUES_MAX = 64, XDP_TAKES_MAX = 131072, XDP_VLANS = 4096 };
/* Values of the tables of destinations. */
enum { XDP_LEAVE, XDP_TAKE, XDP_OWN };

struct xdp_key4 {
	uint32_t bits;
	uint8_t addr[4];
};
struct xdp_key6 {
	uint32_t bits;
	uint8_t addr[16];
};
struct xdp_take {
	uint8_t what, generation; /* entries of an older generation are to be removed */
};
struct xdp_device {
	uint8_t mac[8];
};
