/* store: queues that outlive a run of the stack (link.h's struct link_store). All that a descriptor was made for is in its name, so that an
 * interface that is described in another way, or driven in another way, finds nothing and opens anew. */
#include "daemons/stack-core/link/driver.h"
#include "lib/log/log.h"
#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STORE_NAME = 160 };

static void name_of(const struct link *l, unsigned detail, unsigned queue, char out[STORE_NAME])
{
	char text[PREFIX_TEXT_MAX];
	uint32_t sum = 2166136261u; /* FNV-1a: addresses do not fit, and have colons */

	for (const struct link *o = l; o; o = o->sibling)
		for (unsigned i = 0; i < o->n_addrs; i++)
			for (const char *c = prefix_text(&o->addrs[i], text); *c; c++)
				sum = (sum ^ (uint8_t)*c) * 16777619u;
	(void)snprintf(out, STORE_NAME, "%s.%s.%s.%u.%u.%u-%u.%08x", l->driver->name, l->name, l->device, l->asked_mtu, detail, queue, l->n_queues,
		sum);
}

bool store_take(struct link *l, unsigned detail, bool (*same)(const struct link *l, int fd), int fds[LINK_WORKERS_MAX])
{
	char name[STORE_NAME];
	unsigned n = 0;
	bool all = l->store != NULL;

	l->store_detail = detail;

	for (; all && n < l->n_queues; n++) {
		name_of(l, detail, n, name);
		fds[n] = l->store->take(name);
		all = fds[n] >= 0 && same(l, fds[n]);
	}
	for (unsigned i = 0; !all && i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	l->adopted = l->stored = all;
	return all;
}

void store_keep(struct link *l, unsigned detail, unsigned queue, int fd)
{
	char name[STORE_NAME];

	l->stored = l->store != NULL;
	if (!l->store || l->adopted)
		return;
	name_of(l, detail, queue, name);
	int r = l->store->keep(name, fd);
	if (r < 0)
		log_warning("a queue will not outlive this run", "interface", l->name, "error", log_errno(-r));
}

void link_store_forget(struct link *l)
{
	char name[STORE_NAME];

	for (unsigned i = 0; l->queues && l->stored && i < l->n_queues; i++) {
		name_of(l, l->store_detail, i, name);
		(void)l->store->forget(name); /* nobody asks for that name again, and what a later run does not ask for is closed */
	}
}

void link_store_again(struct link *l)
{
	if (!l->queues || !l->stored)
		return;
	l->adopted = false;
	for (unsigned i = 0; i < l->n_queues; i++)
		store_keep(l, l->store_detail, i, l->driver->fd(l, i));
}

bool store_is_packet_socket(const struct link *l, int fd)
{
	struct sockaddr_ll a;
	socklen_t len = sizeof(a);

	return !getsockname(fd, (struct sockaddr *)&a, &len) && a.sll_family == AF_PACKET && a.sll_ifindex == l->ifindex;
}
