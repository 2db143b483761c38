/* netlink: one request, one acknowledgement (rtnetlink(7)), through libmnl. */
#include "daemons/stack-core/link/netlink.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int exchange(struct nlmsghdr *h)
{
	char buf[8192];
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r = -1;

	if (!s)
		return -errno;
	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = 1;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		r = -errno;
	else {
		ssize_t n = mnl_socket_recvfrom(s, buf, sizeof(buf));
		r = n < 0 ? -errno : mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(s), NULL, NULL) < 0 ? -errno : 0;
	}
	mnl_socket_close(s);
	return r;
}

static int device_flags(int ifindex, unsigned flags, uint32_t mtu)
{
	char buf[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = RTM_NEWLINK;
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_index = ifindex;
	m->ifi_flags = flags;
	m->ifi_change = IFF_UP;
	if (mtu)
		mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return exchange(h);
}

int netlink_device_up(int ifindex, uint32_t mtu, struct errbuf *e)
{
	int r = device_flags(ifindex, IFF_UP, mtu);
	return r < 0 ? err_set(e, -r, "cannot set the device up: %s", strerror(-r)) : 0;
}

int netlink_queue(int ifindex, uint32_t bytes, uint32_t packets)
{
	char buf[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = RTM_NEWLINK;
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_index = ifindex;
	mnl_attr_put_u32(h, IFLA_GSO_MAX_SIZE, bytes);
	mnl_attr_put_u32(h, IFLA_TXQLEN, packets);
	return exchange(h);
}

int netlink_device_down(int ifindex, struct errbuf *e)
{
	int r = device_flags(ifindex, 0, 0);
	return r < 0 ? err_set(e, -r, "cannot set the device down: %s", strerror(-r)) : 0;
}

static unsigned char family_of(const struct addr *a)
{
	return a->family == 4 ? AF_INET : AF_INET6;
}

static int address(int type, int flags, int ifindex, const struct prefix *a)
{
	char buf[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)flags;
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifa_family = family_of(&a->addr);
	m->ifa_prefixlen = a->len;
	m->ifa_index = (unsigned)ifindex;
	m->ifa_flags = a->addr.family == 6 ? IFA_F_NODAD : 0; /* nobody else is on a TUN */
	mnl_attr_put(h, IFA_LOCAL, addr_len(&a->addr), a->addr.b);
	mnl_attr_put(h, IFA_ADDRESS, addr_len(&a->addr), a->addr.b);
	return exchange(h);
}

int netlink_addr_add(int ifindex, const struct prefix *a, struct errbuf *e)
{
	char text[PREFIX_TEXT_MAX];
	int r = address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ifindex, a);

	return r < 0 && r != -EEXIST ? err_set(e, -r, "cannot set address %s: %s", prefix_text(a, text), strerror(-r)) : 0;
}

int netlink_addr_del(int ifindex, const struct prefix *a, struct errbuf *e)
{
	char text[PREFIX_TEXT_MAX];
	int r = address(RTM_DELADDR, 0, ifindex, a);

	return r < 0 && r != -EADDRNOTAVAIL ? err_set(e, -r, "cannot take back address %s: %s", prefix_text(a, text), strerror(-r)) : 0;
}

static int route(int type, int flags, int ifindex, const struct prefix *dst, const struct addr *source, uint32_t mtu)
{
	char buf[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)flags;
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = family_of(&dst->addr);
	m->rtm_dst_len = dst->len;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = dst->addr.family == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	if (dst->len)
		mnl_attr_put(h, RTA_DST, addr_len(&dst->addr), dst->addr.b);
	mnl_attr_put_u32(h, RTA_OIF, (uint32_t)ifindex);
	if (source && source->family == dst->addr.family)
		mnl_attr_put(h, RTA_PREFSRC, addr_len(source), source->b);
	if (mtu) {
		struct nlattr *metrics = mnl_attr_nest_start(h, RTA_METRICS);
		mnl_attr_put_u32(h, RTAX_MTU, mtu);
		mnl_attr_nest_end(h, metrics);
	}
	return exchange(h);
}

int netlink_route_add(int ifindex, const struct prefix *dst, const struct addr *source, uint32_t mtu, struct errbuf *e)
{
	char text[PREFIX_TEXT_MAX];
	int r = route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, ifindex, dst, source, mtu);

	return r < 0 ? err_set(e, -r, "cannot set the host's route to %s: %s", prefix_text(dst, text), strerror(-r)) : 0;
}

int netlink_route_del(int ifindex, const struct prefix *dst, struct errbuf *e)
{
	char text[PREFIX_TEXT_MAX];
	int r = route(RTM_DELROUTE, 0, ifindex, dst, NULL, 0);

	if (r < 0 && r != -ESRCH)
		return err_set(e, -r, "cannot take back the host's route to %s: %s", prefix_text(dst, text), strerror(-r));
	return 0;
}

int netlink_watch(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd < 0 ? -errno : fd;
}

/* What is lost for want of room (ENOBUFS) was something, too: whoever asks looks at the devices, not at messages. */
bool netlink_heard(int fd, void (*deleted)(void *arg, int ifindex), void *arg)
{
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	bool any = false;
	ssize_t got;

	for (unsigned budget = 256; budget; budget--) {
		got = recv(fd, buf, sizeof(buf), 0);
		if (got < 0 && errno != ENOBUFS && errno != EINTR)
			break;
		any = true;
		int len = got < 0 ? 0 : (int)got;
		for (const struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf; mnl_nlmsg_ok(h, len); h = mnl_nlmsg_next(h, &len)) {
			const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
			if (h->nlmsg_type == RTM_DELLINK && mnl_nlmsg_get_payload_len(h) >= sizeof(*m) && m->ifi_family == AF_UNSPEC)
				deleted(arg, m->ifi_index);
		}
	}
	return any;
}
