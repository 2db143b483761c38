#include "lib/bus/peer.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The number that ends at @end (exclusive) after a ':'; moves *@end to that colon. */
static int last_field(const char *text, const char **end, uint32_t *ret)
{
	const char *p = *end;
	uint64_t v = 0;
	while (p > text && p[-1] >= '0' && p[-1] <= '9')
		p--;
	if (p == *end || *end - p > 10 || p == text || p[-1] != ':')
		return -EINVAL;
	for (const char *d = p; d < *end; d++)
		v = v * 10 + (uint64_t)(*d - '0');
	if (v > UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)v;
	*end = p - 1;
	return 0;
}

int peer_parse(const char *address, struct peer *ret)
{
	uint32_t uid, gid, pid;
	if (!address)
		return -EINVAL;
	const char *end = address + strlen(address);
	if (last_field(address, &end, &pid) || last_field(address, &end, &gid) || last_field(address, &end, &uid))
		return -EINVAL;
	/* (uid_t)-1 is the kernel's "nobody known", never a caller. */
	if (uid == UINT32_MAX || pid > INT32_MAX)
		return -EINVAL;
	*ret = (struct peer){uid, gid, (pid_t)pid};
	return 0;
}

int peer_of(zmq_msg_t *msg, struct peer *ret)
{
	return peer_parse(zmq_msg_gets(msg, "Peer-Address"), ret);
}
