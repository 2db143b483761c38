/* again: a link whose device went away, and is there again under its name: with another ifindex, perhaps another MAC address. Its queues led
 * to the device that went, so it gets others, opened aside while the old ones are still its own; name, addresses and counters stay. */
#include "daemons/stack-core/link/driver.h"
#include "lib/base/xalloc.h"
#include <string.h>
#include <unistd.h>

struct link_again {
	struct link fresh;	     /* later: what the link had */
	int frame_fd[LINKS_MAX]; /* of those that share the device, in their order */
	unsigned n;
};

/* As described, and nothing more. The others on the device are in the tables of its driver and in the names of the store. */
static void describe(struct link *fresh, const struct link *l)
{
	*fresh = *l;
	fresh->trunk = fresh;
	fresh->mtu = l->asked_mtu;
	fresh->driver = NULL;
	fresh->queues = NULL;
	fresh->state = NULL;
	fresh->counters = NULL;
	fresh->n_queues = 0;
	fresh->frame_fd = -1;
	fresh->adopted = fresh->stored = fresh->fresh_routes = fresh->gso = false;
	fresh->uso = false;
}

void link_again_drop(struct link_again *a)
{
	for (unsigned i = 0; i < a->n; i++)
		if (a->frame_fd[i] >= 0)
			close(a->frame_fd[i]);
	link_close(&a->fresh);
	free(a);
}

int link_again(struct link *l, struct link_again **ret, struct errbuf *e)
{
	struct link_again *a = xnew(struct link_again);

	describe(&a->fresh, l);
	int r = link_open(&a->fresh, l->n_queues, e);
	for (const struct link *o = l->sibling; !r && o; o = o->sibling) {
		int fd = a->frame_fd[a->n++] = packet_socket(&a->fresh, false, 0, e);
		r = fd < 0 ? fd : 0;
	}
	if (r < 0) {
		link_again_drop(a);
		return r;
	}
	*ret = a;
	return 0;
}

static void swap_fd(int *a, int *b)
{
	int keep = *a;
	*a = *b;
	*b = keep;
}

void link_mac(struct link *l, const uint8_t mac[6])
{
	for (struct link *o = l; o; o = o->sibling)
		device_mac(o, mac);
}

void link_again_swap(struct link *l, struct link_again *a)
{
	struct link was = *l, *f = &a->fresh;
	unsigned n = 0;

	l->driver = f->driver;
	l->queues = f->queues;
	l->state = f->state;
	l->stored = f->stored;
	l->store_detail = f->store_detail;
	l->adopted = false;
	swap_fd(&l->frame_fd, &f->frame_fd);
	for (struct link *o = l->sibling; o; o = o->sibling)
		swap_fd(&o->frame_fd, &a->frame_fd[n++]);
	for (struct link *o = l; o; o = o->sibling) {
		o->driver = f->driver;
		o->ifindex = f->ifindex;
		o->gso = f->gso;
		o->uso = (bool)f->uso;
		o->mtu = o->asked_mtu;
		device_mtu(o);
	}
	if (l->ethernet)
		link_mac(l, f->mac);
	f->driver = was.driver;
	f->queues = was.queues;
	f->state = was.state;
}
