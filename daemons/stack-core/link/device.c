/* device: the network device under a link.
 *
 * A packet socket gets a copy: the kernel sees the same frames. It must not act on them, or packets would reach its programs past our
 * filters: the device carries no kernel address, IPv6 is off on it, it answers no ARP (arp_ignore 8), and with strict reverse path
 * filtering and no route over the device every IPv4 packet on it is refused. */
#include "daemons/stack-core/link/driver.h"
#include "lib/log/log.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void sysctl_set(const char *device, const char *family, const char *key, const char *value)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, device, key);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		log_warning("the host's own protocol stack may see this device's packets: setting not written", "file", path, "error",
			log_errno(errno));
	if (fd >= 0)
		close(fd);
}

void device_no_ipv6(const struct link *l)
{
	sysctl_set(l->device, "ipv6", "disable_ipv6", "1");
}

void device_keep_host_out(const struct link *l)
{
	sysctl_set(l->device, "ipv4", "rp_filter", "1");
	sysctl_set(l->device, "ipv4", "arp_ignore", "8");
	device_no_ipv6(l);
}

static struct ifreq request(const struct link *l)
{
	struct ifreq r;
	memset(&r, 0, sizeof(r));
	memcpy(r.ifr_name, l->device, sizeof(r.ifr_name) - 1);
	return r;
}

void device_mac(struct link *l, const uint8_t mac[6])
{
	/* EUI-64 (RFC 4291 appendix A) */
	uint8_t ll[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};

	memcpy(l->mac, mac, sizeof(l->mac));
	l->link_local = addr_v6(ll);
}

static int setup(struct link *l, int fd, struct errbuf *e)
{
	struct ifreq r = request(l);

	if (ioctl(fd, SIOCGIFHWADDR, &r))
		return err_set(e, errno, "INTERFACE %s: device %s: %s", l->name, l->device, strerror(errno));
	if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return err_set(e, EINVAL, "INTERFACE %s: device %s is not Ethernet", l->name, l->device);
	device_mac(l, (const uint8_t *)r.ifr_hwaddr.sa_data);
	if (ioctl(fd, SIOCGIFFLAGS, &r))
		return err_set(e, errno, "INTERFACE %s: device %s: %s", l->name, l->device, strerror(errno));
	if (!(r.ifr_flags & IFF_UP)) {
		r.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &r))
			return err_set(e, errno, "INTERFACE %s: cannot set device %s up: %s", l->name, l->device, strerror(errno));
	}
	return 0;
}

int device_open(struct link *l, struct errbuf *e)
{
	l->ifindex = (int)if_nametoindex(l->device);
	if (!l->ifindex)
		return err_set(e, ENODEV, "INTERFACE %s: there is no device %s", l->name, l->device);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, errno, "socket: %s", strerror(errno));
	int r = setup(l, fd, e);
	close(fd);
	if (r < 0)
		return r;
	device_mtu(l);
	l->ethernet = true;
	return 0;
}

void device_mtu(struct link *l)
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

void device_look(const struct link *l, struct device_now *ret)
{
	struct ifreq r = request(l);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(ret, 0, sizeof(*ret));
	if (fd < 0)
		return;
	if (!ioctl(fd, SIOCGIFINDEX, &r))
		ret->ifindex = r.ifr_ifindex;
	ret->up = !ioctl(fd, SIOCGIFFLAGS, &r) && (r.ifr_flags & IFF_UP) && (r.ifr_flags & IFF_RUNNING);
	if (!ioctl(fd, SIOCGIFHWADDR, &r))
		memcpy(ret->mac, r.ifr_hwaddr.sa_data, sizeof(ret->mac));
	close(fd);
}

bool device_up(const struct link *l)
{
	struct device_now now;

	device_look(l, &now);
	return now.up && now.ifindex == l->ifindex;
}
