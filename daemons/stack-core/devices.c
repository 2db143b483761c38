#include "daemons/stack-core/devices.h"
#include "daemons/stack-core/link/netlink.h"
#include "daemons/stack-core/worker.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 1000, SETTLE_MS = 3000 };

struct devices {
	int fd;		    /* rtnetlink; -1: there is none */
	bool waiting;	    /* for a device that is gone, or for a link that nobody knows of whether it is up */
	uint64_t look_ms;   /* when that is looked at again */
	uint64_t settle_ms; /* carrier may need so long after a link was opened: it is not down before */
};

struct devices *devices_new(struct stack *s)
{
	struct devices *d = xnew(struct devices);

	d->fd = netlink_watch();
	if (d->fd < 0)
		log_warning("devices are looked at once a second", "stack", s->name, "error", log_errno(-d->fd));
	d->waiting = true;
	return d;
}

void devices_free(struct devices *d)
{
	if (d && d->fd >= 0)
		close(d->fd);
	free(d);
}

void devices_changed(struct stack *s)
{
	if (!s->devices)
		return;
	s->devices->waiting = true;
	s->devices->settle_ms = 0;
}

static bool drives(const struct link *l)
{
	return l->n_queues && l->type != LINK_MEMORY && l->trunk == l;
}

/* Also when one of the same name or number is there again before we looked. */
static void deleted(void *arg, int ifindex)
{
	struct stack *s = arg;

	for (unsigned i = 0; i < s->n_links; i++)
		if (drives(&s->links[i]) && s->links[i].ifindex == ifindex)
			s->links[i].ifindex = 0;
}

static void wakes(struct stack *s, struct link *l, bool on)
{
	for (unsigned i = 0; i < s->n_workers; i++)
		worker_watch(s->workers[i], link_fd(l, i), on);
}

/* A queue without a device may be readable for ever. */
static void went(struct stack *s, struct link *l)
{
	stack_park(s);
	wakes(s, l, false);
	stack_unpark(s);
	link_store_forget(l);
	l->gone = true;
}

static bool came_back(struct stack *s, struct link *l)
{
	struct errbuf e = {""};
	struct link_again *a;
	int r = link_again(l, &a, &e);

	if (r < 0) {
		if (!l->refused_again)
			log_warning("the device is there again and cannot be used yet", "interface", l->name, "reason", e.text);
		l->refused_again = true;
		return false;
	}
	stack_park(s);
	for (unsigned i = 0; i < s->n_workers; i++)
		link_give_back(l, i, s->workers[i]->pool);
	link_again_swap(l, a);
	for (unsigned i = 0; i < s->n_workers; i++)
		s->workers[i]->rx_max[l->index] = 0;
	wakes(s, l, true);
	l->gone = l->refused_again = false;
	stack_unpark(s);
	link_again_drop(a);
	return true;
}

/* The host forgets addresses (IPv6) and routes over a device that went down. */
static void host_again(struct stack *s, const struct link *l)
{
	struct errbuf e = {""};

	for (unsigned i = 0; i < l->n_addrs; i++)
		if (netlink_addr_add(l->ifindex, &l->addrs[i], &e) < 0)
			log_warning("the host has not its address again", "interface", l->name, "reason", e.text);
	s->host_again = true;
}

/* Who is on the link is not known. */
static void begin_anew(struct stack *s, struct link *l)
{
	struct errbuf e = {""};

	if (l->type == LINK_TUN)
		host_again(s, l);
	for (const struct link *o = l; o; o = o->sibling) {
		neigh_forget(s->neigh, o->index);
		if (s->dad)
			dad_forget(s->dad, o->index);
	}
	if (stack_routes(s, s->routes, s->n_routes, &e) < 0)
		log_error("routes after a device came up", "reason", e.text);
	if (s->dad)
		s->dad = dad_renew(s->dad, s->n_links);
}

static void tell(struct stack *s, struct link *l, bool up, const char *why)
{
	for (struct link *o = l; o; o = o->sibling) {
		bool known = o->state_known, was = !o->down;
		o->state_known = true;
		o->down = !up;
		if (up ? !known || was : known && !was)
			continue;
		o->downs += !up;
		if (s->on_link)
			s->on_link(s->arg, o, up, why);
	}
}

static void look(struct stack *s, struct link *l, uint64_t now_ms)
{
	struct devices *d = s->devices;
	struct device_now now;
	bool anew = false;
	const char *why = "device down";

	device_look(l, &now);
	if (!l->gone && (!l->ifindex || now.ifindex != l->ifindex)) {
		went(s, l);
		tell(s, l, false, why = "device gone");
	}
	if (l->gone && (now.ifindex || l->type == LINK_TUN)) {
		anew = came_back(s, l);
		device_look(l, &now);
	} else if (!l->gone && l->ethernet && memcmp(l->mac, now.mac, sizeof(now.mac))) {
		stack_park(s);
		link_mac(l, now.mac);
		stack_unpark(s);
		anew = true;
	}
	bool up = !l->gone && now.up, unsure = !up && !l->state_known && now_ms < d->settle_ms;
	if (anew || (up && l->down && l->state_known))
		begin_anew(s, l);
	if (!unsure && !l->gone)
		tell(s, l, up, why);
	d->waiting |= l->gone || unsure;
}

void devices_tick(struct stack *s, uint64_t now_ms)
{
	struct devices *d = s->devices;

	if (!d)
		return;
	bool heard = d->fd >= 0 && netlink_heard(d->fd, deleted, s);
	if (!heard && now_ms < d->look_ms)
		return;
	d->look_ms = now_ms + LOOK_MS;
	if (!heard && !d->waiting && d->fd >= 0)
		return;
	if (!d->settle_ms)
		d->settle_ms = now_ms + SETTLE_MS;
	d->waiting = false;
	for (unsigned i = 0; i < s->n_links; i++)
		if (drives(&s->links[i]))
			look(s, &s->links[i], now_ms);
}
