/* no_esp.so: a preload for pluto where the kernel has XFRM's netlink but not its ESP. The kernel answers NEWSA with
 * EPROTONOSUPPORT (or ENOSYS, when it lacks the cipher, too), and pluto ends a negotiation that both sides had agreed on. This
 * turns exactly these answers into "done", and writes each SA that pluto wanted into the file that NO_ESP_LOG names (the netlink message,
 * in hexadecimal), so that a test can hold its keys against what the other side sends. No packet is ever protected by the kernel then;
 * everything else that pluto says to it passes unchanged. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, struct sockaddr *from, socklen_t *from_len);

static bool is_xfrm(int fd)
{
	int domain = 0, protocol = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) || domain != AF_NETLINK)
		return false;
	len = sizeof(int);
	return !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) && protocol == NETLINK_XFRM;
}

static void tell(const struct nlmsghdr *h, size_t len)
{
	const char *path = getenv("NO_ESP_LOG");
	const uint8_t *p = (const uint8_t *)h;
	FILE *f = path ? fopen(path, "ae") : NULL;

	if (!f)
		return;
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x", p[i]);
	fputc('\n', f);
	fclose(f);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	static ssize_t (*next)(int, const void *, size_t);
	const struct nlmsghdr *h = buf;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "write");
	if (len >= sizeof(*h) && (h->nlmsg_type == XFRM_MSG_NEWSA || h->nlmsg_type == XFRM_MSG_UPDSA) && h->nlmsg_len <= len && is_xfrm(fd))
		tell(h, h->nlmsg_len);
	return next(fd, buf, len);
}

static ssize_t forgive(int fd, void *buf, ssize_t n)
{
	struct nlmsghdr *h = buf;
	struct nlmsgerr *e = NLMSG_DATA(h);

	if (n >= (ssize_t)NLMSG_LENGTH(sizeof(*e)) && h->nlmsg_type == NLMSG_ERROR && (e->error == -EPROTONOSUPPORT || e->error == -ENOSYS) &&
	    is_xfrm(fd))
		e->error = 0;
	return n;
}

ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags, struct sockaddr *restrict from, socklen_t *restrict from_len)
{
	static ssize_t (*next)(int, void *, size_t, int, struct sockaddr *, socklen_t *);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "recvfrom");
	return forgive(fd, buf, next(fd, buf, len, flags, from, from_len));
}

ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, struct sockaddr *from, socklen_t *from_len)
{
	static ssize_t (*next)(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "__recvfrom_chk");
	return forgive(fd, buf, next(fd, buf, len, room, flags, from, from_len));
}
