/* links: see links.h. A link on a device that another one drives in the same way shares that one's queues from the start, also when the
 * other goes: so a link that only gets another name or VLAN loses no frame, and an AF_XDP socket need not be bound twice. */
#include "daemons/stack-core/links.h"
#include "daemons/stack-core/devices.h"
#include "daemons/stack-core/worker.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <string.h>
#include <urcu-qsbr.h>

struct links_change {
	struct stack *s;
	uint32_t added, changed, leaving; /* a bit a place */
	struct link *opened[LINKS_MAX];	  /* aside, by place */
	struct link old[LINKS_MAX];	  /* as it was described, by place */
};

static bool in(uint32_t set, unsigned place)
{
	return set >> place & 1;
}

static bool is_open(const struct stack *s, unsigned place)
{
	return place < s->n_links && s->links[place].n_queues;
}

static bool same_description(const struct link *l, const struct link *want)
{
	bool same = l->asked_mtu == want->mtu && l->n_addrs == want->n_addrs && l->secclass == want->secclass && l->urpf == want->urpf &&
		l->dad_probes == want->dad_probes;

	for (unsigned i = 0; same && i < l->n_addrs; i++)
		same = l->addrs[i].len == want->addrs[i].len && addr_equal(&l->addrs[i].addr, &want->addrs[i].addr);
	return same;
}

static int place_of(const struct stack *s, const struct link *want)
{
	for (unsigned i = 0; i < s->n_links; i++)
		if (is_open(s, i) && link_same_place(&s->links[i], want))
			return (int)i;
	return -1;
}

static int free_place(const struct stack *s, uint32_t added)
{
	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (!is_open(s, i) && !in(added, i))
			return (int)i;
	return -1;
}

static struct link *at(struct links_change *c, unsigned place)
{
	return c->opened[place] ? c->opened[place] : &c->s->links[place];
}

/* Who drives the device already, in that way. Two ways of AF_XDP cannot be on a device at once. */
static int trunk_of(struct links_change *c, const struct link *l, struct link **ret, struct errbuf *e)
{
	*ret = NULL;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *o = at(c, i);
		if (o == l || (!c->opened[i] && !is_open(c->s, i)) || o->type != LINK_AFPACKET || strcmp(o->device, l->device))
			continue;
		if (link_same_queues(o, l)) {
			*ret = o->trunk;
			return 0;
		}
		if (o->choice == LINK_DRIVER_XDP && l->choice == LINK_DRIVER_XDP)
			return err_set(e, EBUSY, "INTERFACE %s: XDPMODE of device %s cannot change while the stack runs: restart it", l->name, l->device);
	}
	return 0;
}

static int add_one(struct links_change *c, const struct link *want, uint16_t *ret_place, struct errbuf *e)
{
	int place = free_place(c->s, c->added);
	struct link *l, *trunk;

	if (want->type == LINK_TUN)
		return err_set(e, EINVAL, "INTERFACE %s: the TUN and its DEVICE cannot change while the stack runs: restart it", want->name);
	if (place < 0)
		return err_set(e, ENOSPC, "INTERFACE %s: no place is free: remove others first, reload, and add it then", want->name);
	l = xnew(struct link);
	*l = *want;
	l->index = *ret_place = (uint16_t)place;
	l->store = c->s->store;
	c->added |= 1u << place;
	c->opened[place] = l;
	int r = trunk_of(c, l, &trunk, e);
	l->trunk = trunk ? trunk : l;
	return r < 0 ? r : link_open(l, c->s->n_workers, e);
}

static void drop_opened(struct links_change *c)
{
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		if (c->opened[i]) {
			link_store_forget(c->opened[i]);
			link_close(c->opened[i]);
		}
		free(c->opened[i]);
		c->opened[i] = NULL;
	}
}

static int plan(struct links_change *c, const struct link *want, unsigned n, uint16_t place[LINKS_MAX], struct errbuf *e)
{
	struct stack *s = c->s;
	uint32_t stays = 0;
	int r = 0;

	for (unsigned i = 0; i < n; i++) {
		int at_place = place_of(s, &want[i]);
		place[i] = at_place < 0 ? LINKS_MAX : (uint16_t)at_place;
		if (at_place < 0)
			continue;
		stays |= 1u << at_place;
		c->changed |= same_description(&s->links[at_place], &want[i]) ? 0 : 1u << at_place;
	}
	for (unsigned i = 0; i < s->n_links; i++) {
		if (!is_open(s, i) || in(stays, i))
			continue;
		c->leaving |= 1u << i;
		if (s->links[i].type == LINK_TUN)
			return err_set(e, EINVAL, "INTERFACE %s: the TUN and its DEVICE cannot change while the stack runs: restart it",
				s->links[i].name);
	}
	for (unsigned i = 0; !r && i < n; i++)
		if (place[i] == LINKS_MAX)
			r = add_one(c, &want[i], &place[i], e);
	return r;
}

static void watch(struct stack *s, struct link *l, bool on)
{
	for (unsigned i = 0; i < s->n_workers; i++)
		worker_watch(s->workers[i], link_fd(l, i), on);
}

/* Each link more may keep buffers of a worker. */
static void room(struct stack *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n_links; i++)
		n += is_open(s, i);
	for (unsigned i = 0; n > s->pool_links && i < s->n_workers; i++)
		pkt_pool_grow(s->workers[i]->pool, (n - s->pool_links) * WORKER_LARGE_LINK);
	s->pool_links = n > s->pool_links ? n : s->pool_links;
}

/* From aside into its place. */
static void publish(struct links_change *c)
{
	struct stack *s = c->s;

	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &s->links[i], *aside = c->opened[i];
		if (!aside)
			continue;
		*l = *aside;
		if (aside->trunk == aside)
			l->trunk = l;
		for (unsigned k = 0; k < LINKS_MAX; k++)
			if (c->opened[k] && c->opened[k]->trunk == aside)
				c->opened[k]->trunk = l;
		s->n_links = s->n_links > i + 1 ? s->n_links : i + 1;
	}
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct link *l = &s->links[i];
		if (!c->opened[i])
			continue;
		l->trunk = c->opened[i]->trunk == c->opened[i] ? l : c->opened[i]->trunk;
		if (l->trunk != l)
			link_join(l, l->trunk);
		else
			watch(s, l, true);
		free(c->opened[i]);
		c->opened[i] = NULL;
		for (unsigned w = 0; w < s->n_workers; w++)
			s->workers[w]->rx_max[i] = 0;
	}
	room(s);
}

static int change(struct links_change *c, const struct link *want, unsigned n, const uint16_t *place, struct errbuf *e)
{
	int r = 0;

	for (unsigned i = 0; !r && i < n; i++) {
		if (!in(c->changed, place[i]))
			continue;
		struct link w = want[i];
		w.asked_mtu = w.mtu;
		r = link_change(&c->s->links[place[i]], &w, e);
		c->s->host_again |= w.type == LINK_TUN;
	}
	return r;
}

static void change_back(struct links_change *c)
{
	struct errbuf e = {""};

	for (unsigned i = 0; i < LINKS_MAX; i++)
		if (in(c->changed, i) && link_change(&c->s->links[i], &c->old[i], &e) < 0)
			log_error("an interface is not what it was", "interface", c->s->links[i].name, "reason", e.text);
}

static void stored(struct stack *s, void (*fn)(struct link *l))
{
	for (unsigned i = 0; i < s->n_links; i++)
		if (is_open(s, i))
			fn(&s->links[i]);
}

/* Nothing was changed. One that was opened may have taken another's name in the store. */
static void refuse(struct links_change *c)
{
	drop_opened(c);
	stored(c->s, link_store_again);
	free(c);
}

int links_begin(struct stack *s, const struct link *want, unsigned n, uint16_t place[LINKS_MAX], struct links_change **ret, struct errbuf *e)
{
	struct links_change *c = xnew(struct links_change);

	c->s = s;
	memcpy(c->old, s->links, sizeof(c->old));
	int r = plan(c, want, n, place, e);
	if (r < 0) {
		refuse(c);
		return r;
	}
	bool any = c->added | c->changed | c->leaving;
	if (any) {
		stack_park(s);
		stored(s, link_store_forget);
		r = change(c, want, n, place, e);
		if (r < 0)
			change_back(c);
		else
			publish(c);
		for (unsigned i = 0; !r && i < LINKS_MAX; i++)
			if (in(c->leaving, i))
				s->links[i].leaving = true;
		stored(s, link_store_again);
		stack_unpark(s);
	}
	if (r < 0) {
		refuse(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* Out of its place into @out, to be closed when the workers go on. */
static void take_out(struct stack *s, unsigned place, struct link *out)
{
	struct link *l = &s->links[place];
	bool drives = l->queues != NULL, inherited = l->trunk == l && l->sibling;

	for (unsigned i = 0; i < s->n_workers; i++)
		worker_forget(s->workers[i], (uint16_t)place);
	if (drives && !inherited) {
		if (!l->gone)
			watch(s, l, false);
		for (unsigned i = 0; i < s->n_workers; i++)
			link_give_back(l, i, s->workers[i]->pool);
	}
	link_leave(l);
	*out = *l;
	out->trunk = out;
	memset(l, 0, sizeof(*l));
	l->index = (uint16_t)place;
	l->frame_fd = -1;
}

static void close_all(struct links_change *c, uint32_t set, void (*told)(void *arg, const struct link *l, enum links_what what), void *arg)
{
	struct stack *s = c->s;
	struct link *out = xcalloc(LINKS_MAX, sizeof(*out));

	if (set) {
		stack_park(s);
		stack_heard(s);
		stored(s, link_store_forget);
		for (unsigned i = 0; i < LINKS_MAX; i++)
			if (in(set, i))
				take_out(s, i, &out[i]);
		stored(s, link_store_again);
		while (s->n_links && !is_open(s, s->n_links - 1))
			s->n_links--;
		stack_unpark(s);
	}
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		if (!in(set, i))
			continue;
		neigh_forget(s->neigh, (uint16_t)i);
		if (s->dad)
			dad_forget(s->dad, (uint16_t)i);
		if (told)
			told(arg, &out[i], LINKS_REMOVED);
		link_close(&out[i]);
	}
	free(out);
}

static void settle(struct stack *s)
{
	struct errbuf e = {""};

	if (stack_routes(s, s->routes, s->n_routes, &e) < 0) /* and the links learn which addresses are ours */
		log_error("routes without the interfaces that went", "reason", e.text);
	if (s->dad)
		s->dad = dad_renew(s->dad, s->n_links);
	stack_secrets(s);
}

void links_commit(struct links_change *c, void (*told)(void *arg, const struct link *l, enum links_what what), void *arg)
{
	struct stack *s = c->s;

	close_all(c, c->leaving, told, arg);
	for (unsigned i = 0; told && i < s->n_links; i++)
		if (in(c->added | c->changed, i))
			told(arg, &s->links[i], in(c->added, i) ? LINKS_ADDED : LINKS_CHANGED);
	if (c->added | c->changed | c->leaving) {
		settle(s);
		devices_changed(s);
	}
	free(c);
}

void links_undo(struct links_change *c)
{
	struct stack *s = c->s;

	stack_park(s);
	stored(s, link_store_forget);
	change_back(c);
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		if (in(c->leaving, i))
			s->links[i].leaving = false;
		if (in(c->added, i))
			s->links[i].leaving = true;
	}
	stored(s, link_store_again);
	stack_unpark(s);
}

void links_undo_end(struct links_change *c)
{
	close_all(c, c->added, NULL, NULL);
	free(c);
}
