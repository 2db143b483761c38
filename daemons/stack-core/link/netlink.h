/* netlink: the few things we ask of the kernel about a TUN device: up, MTU, addresses, routes of the host's programs through it; and what
 * it says of devices that come and go. */
#pragma once
#include "lib/base/addr.h"
#include "lib/base/err.h"

int netlink_device_up(int ifindex, uint32_t mtu, struct errbuf *e);
/* What happens to devices from now on: a descriptor, or -errno. */
int netlink_watch(void);
/* Something did, since the last call; @deleted hears of each that is no more. */
bool netlink_heard(int fd, void (*deleted)(void *arg, int ifindex), void *arg);
/* The longest super-packet that the device gives us, and how many of any kind may wait for that. */
int netlink_queue(int ifindex, uint32_t bytes, uint32_t packets);
int netlink_device_down(int ifindex, struct errbuf *e);
int netlink_addr_add(int ifindex, const struct prefix *a, struct errbuf *e); /* host bits kept; there already: fine */
int netlink_addr_del(int ifindex, const struct prefix *a, struct errbuf *e); /* not there: fine */
/* A route of the host to @dst through the device; @source (family 0: none) is preferred as source address. -EEXIST: it has one. */
int netlink_route_add(int ifindex, const struct prefix *dst, const struct addr *source, uint32_t mtu, struct errbuf *e);
int netlink_route_del(int ifindex, const struct prefix *dst, struct errbuf *e); /* not there: fine */
