/* change: what a link can do while the stack runs. Its addresses, its MTU and how it is guarded change where it is; who has the queues of
 * a device that several links share may change without the device noticing. The workers stand still meanwhile (stack_park). */
#include "daemons/stack-core/link/driver.h"
#include "daemons/stack-core/link/netlink.h"
#include <stdatomic.h>
#include <string.h>

bool link_same_place(const struct link *a, const struct link *b)
{
	return a->type == b->type && a->vlan == b->vlan && !strcmp(a->name, b->name) && !strcmp(a->device, b->device) && link_same_queues(a, b);
}

bool link_same_queues(const struct link *a, const struct link *b)
{
	return a->type == b->type && a->choice == b->choice && a->xdp == b->xdp && !strcmp(a->device, b->device);
}

static bool described_address(const struct link *l, const struct prefix *a)
{
	for (unsigned i = 0; i < l->n_addrs; i++)
		if (l->addrs[i].len == a->len && addr_equal(&l->addrs[i].addr, &a->addr))
			return true;
	return false;
}

/* The host's own side: what its TUN has. */
static int host_addresses(const struct link *l, const struct link *want, struct errbuf *e)
{
	int r = 0;

	for (unsigned i = 0; !r && i < want->n_addrs; i++)
		if (!described_address(l, &want->addrs[i]))
			r = netlink_addr_add(l->ifindex, &want->addrs[i], e);
	for (unsigned i = 0; !r && i < l->n_addrs; i++)
		if (!described_address(want, &l->addrs[i]))
			r = netlink_addr_del(l->ifindex, &l->addrs[i], e);
	return r;
}

static uint16_t refused_of(const struct link *l, const struct link *want)
{
	uint16_t refused = 0;

	for (unsigned i = 0; i < want->n_addrs; i++)
		for (unsigned k = 0; k < l->n_addrs; k++)
			if (link_refused(l, k) && addr_equal(&l->addrs[k].addr, &want->addrs[i].addr))
				refused |= (uint16_t)(1u << i);
	return refused;
}

static int host_mtu(const struct link *l, uint32_t mtu, struct errbuf *e)
{
	return l->type == LINK_TUN && mtu != l->asked_mtu ? netlink_device_up(l->ifindex, mtu, e) : 0;
}

int link_change(struct link *l, const struct link *want, struct errbuf *e)
{
	int r = l->type == LINK_TUN ? host_addresses(l, want, e) : 0;

	r = r ? r : host_mtu(l, want->asked_mtu, e);
	if (r < 0)
		return r;
	atomic_store(&l->refused, refused_of(l, want));
	memcpy(l->addrs, want->addrs, sizeof(l->addrs));
	l->n_addrs = want->n_addrs;
	l->secclass = want->secclass;
	l->urpf = want->urpf;
	l->dad_probes = want->dad_probes;
	if (l->asked_mtu != want->asked_mtu) {
		l->mtu = l->asked_mtu = want->asked_mtu;
		if (l->type != LINK_MEMORY)
			device_mtu(l);
		l->mtu = l->mtu ? l->mtu : 1500;
	}
	return 0;
}

void link_join(struct link *l, struct link *trunk)
{
	struct link **last = &trunk->sibling;

	while (*last)
		last = &(*last)->sibling;
	*last = l;
	l->trunk = trunk;
	l->sibling = NULL;
}

/* The queues go to the next link of the device: the driver finds them by way of trunk. */
static void bequeath(struct link *l)
{
	struct link *heir = l->sibling;

	heir->queues = l->queues;
	heir->state = l->state;
	heir->adopted = l->adopted;
	heir->stored = l->stored;
	heir->gone = l->gone;
	heir->store_detail = l->store_detail;
	l->queues = NULL;
	l->state = NULL;
	l->stored = false;
	for (struct link *o = heir; o; o = o->sibling)
		o->trunk = heir;
}

void link_leave(struct link *l)
{
	if (l->trunk != l) {
		struct link **at = &l->trunk->sibling;
		while (*at != l)
			at = &(*at)->sibling;
		*at = l->sibling;
	} else if (l->sibling) {
		bequeath(l);
	}
	l->trunk = l;
	l->sibling = NULL;
}

void link_give_back(struct link *l, unsigned queue, struct pkt_pool *pool)
{
	if (l->queues && l->driver->give_back)
		l->driver->give_back(l, queue, pool);
}

void slot_give_back(struct queue_slot *s, struct pkt_pool *pool)
{
	if (s->small)
		pkt_free(pool, s->small);
	if (s->large)
		pkt_free(pool, s->large);
	s->small = s->large = NULL;
}
