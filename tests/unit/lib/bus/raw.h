/* A raw ZMTP 3.0 peer of the server under test, which says of itself what it likes. */
#pragma once
#include "lib/base/path.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static void put_property(uint8_t *buf, size_t *n, const char *name, const char *value)
{
	size_t nl = strlen(name), vl = strlen(value);
	buf[(*n)++] = (uint8_t)nl;
	memcpy(buf + *n, name, nl);
	*n += nl;
	memset(buf + *n, 0, 3);
	buf[*n + 3] = (uint8_t)vl;
	memcpy(buf + *n + 4, value, vl);
	*n += 4 + vl;
}

static bool read_all(int fd, void *buf, size_t len)
{
	for (size_t n = 0; n < len;) {
		ssize_t r = read(fd, (char *)buf + n, len - n);
		if (r <= 0)
			return false;
		n += (size_t)r;
	}
	return true;
}

static int raw_connect(const char *identity)
{
	char path[PATH_TEXT_MAX];
	uint8_t greeting[64] = {0xff, [9] = 0x7f, 3, 0, 'N', 'U', 'L', 'L'}, ready[512] = {4, 0, 5, 'R', 'E', 'A', 'D', 'Y'}, in[512];
	size_t n = 8;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path_make(path, "/run/ravelin/testD/rpc"));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct timeval two = {2, 0};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &two, sizeof(two));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || write(fd, greeting, 64) != 64 || !read_all(fd, in, 64))
		return -1;
	put_property(ready, &n, "Socket-Type", "DEALER");
	put_property(ready, &n, "Identity", identity);
	put_property(ready, &n, "Peer-Address", ":0:0:1");
	put_property(ready, &n, "peer-address", ":0:0:1");
	put_property(ready, &n, "User-Id", "root");
	put_property(ready, &n, "X-Uid", "0");
	ready[1] = (uint8_t)(n - 2);
	if (write(fd, ready, n) != (ssize_t)n || !read_all(fd, in, 2) || !read_all(fd, in + 2, in[1]))
		return -1;
	return fd;
}
