/* stack_routes: from the routes of the profile, our own addresses and our networks to the table that workers look into, to the links that
 * are told what to take, and to the routes of the host's programs through the TUN. */
#include "daemons/stack-core/link/netlink.h"
#include "daemons/stack-core/stack.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <string.h>
#include <urcu-qsbr.h>

/* Growing list of routes. */
struct routes {
	struct fib_route *list;
	unsigned n, cap;
};

static void put(struct routes *t, const struct prefix *dst, enum fib_kind kind, uint16_t link)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->list = xrealloc(t->list, t->cap, sizeof(*t->list));
	}
	t->list[t->n++] = (struct fib_route){.dst = *dst, .kind = (uint8_t)kind, .link = link};
}

static void broadcasts(struct routes *t, const struct prefix *net, uint16_t link)
{
	struct prefix all = {net->addr, 32}, none = all;

	if (net->addr.family != 4 || net->len > 30)
		return;
	for (unsigned i = net->len; i < 32; i++)
		all.addr.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	put(t, &all, FIB_BROADCAST, link);
	put(t, &none, FIB_BROADCAST, link);
}

/* Somebody on a network of ours has it (ip/dad.h). */
static bool refused(const struct stack *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->n_links; i++)
		for (unsigned k = 0; k < s->links[i].n_addrs; k++)
			if (link_refused(&s->links[i], k) && addr_equal(&s->links[i].addrs[k].addr, a))
				return true;
	return false;
}

/* Our own addresses, the TUN's first (they win where a NIC has the same), then the networks. */
static void own_routes(const struct stack *s, struct routes *t)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < s->n_links; i++) {
			const struct link *l = &s->links[i];
			bool tun = l->type == LINK_TUN;
			for (unsigned a = 0; tun == !pass && !l->leaving && a < l->n_addrs; a++) {
				struct prefix host = {l->addrs[a].addr, l->addrs[a].addr.family == 4 ? 32 : 128};
				if (!refused(s, &host.addr))
					put(t, &host, tun ? FIB_HOST : FIB_LOCAL, l->index);
			}
		}
	for (unsigned i = 0; i < s->n_links; i++) {
		const struct link *l = &s->links[i];
		for (unsigned a = 0; !l->leaving && a < l->n_addrs; a++) {
			struct prefix net = l->addrs[a];
			prefix_mask(&net);
			put(t, &net, FIB_LINK, l->index);
			broadcasts(t, &net, l->index);
		}
	}
}

static bool has(const struct prefix *list, unsigned n, const struct prefix *p)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].len == p->len && addr_equal(&list[i].addr, &p->addr))
			return true;
	return false;
}

static const struct addr *tun_address(const struct link *tun, uint8_t family)
{
	for (unsigned i = 0; i < tun->n_addrs; i++)
		if (tun->addrs[i].addr.family == family)
			return &tun->addrs[i].addr;
	return NULL;
}

/* The host's programs reach through the TUN what the stack reaches through its other links. A route that the host has already is
 * left alone. */
static void host_routes(struct stack *s, const struct fib *f)
{
	struct prefix *want = xcalloc(STACK_HOST_ROUTES_MAX, sizeof(*want));
	const struct link *tun = &s->links[s->host_link];
	unsigned n = 0;
	struct errbuf e;

	for (unsigned i = 1; i <= fib_count(f) && n < STACK_HOST_ROUTES_MAX; i++) {
		const struct fib_route *r = fib_route(f, i);
		if ((r->kind == FIB_LINK || r->kind == FIB_GATEWAY) && r->link != s->host_link && tun_address(tun, r->dst.addr.family) &&
			!has(want, n, &r->dst))
			want[n++] = r->dst;
	}
	for (unsigned i = 0; i < s->n_host_routes; i++)
		if (!has(want, n, &s->host_routes[i]) && netlink_route_del(tun->ifindex, &s->host_routes[i], &e) < 0)
			log_warning("host route stays", "reason", e.text);
	for (unsigned i = 0; i < n; i++) {
		bool had = has(s->host_routes, s->n_host_routes, &want[i]);
		if (had && !s->host_again)
			continue;
		int r = netlink_route_add(tun->ifindex, &want[i], tun_address(tun, want[i].addr.family), 0, &e);
		if (r < 0 && !(had && r == -EEXIST))
			log_warning("host route not set", "reason", e.text);
	}
	s->host_again = false;
	memcpy(s->host_routes, want, n * sizeof(*want));
	s->n_host_routes = n;
	free(want);
}

/* What a link should take: what there is a way for, but not back to its own network if it is the only link on its device. */
static void tell_links(struct stack *s, const struct fib *f)
{
	struct prefix *list = xcalloc(fib_count(f) + 1, sizeof(*list));

	for (unsigned i = 0; i < s->n_links; i++) {
		struct link *l = &s->links[i];
		unsigned n = 0;
		for (unsigned k = 1; k <= fib_count(f); k++) {
			const struct fib_route *r = fib_route(f, k);
			bool back = r->kind == FIB_LINK && r->link == i && l->trunk == l && !l->sibling;
			if (r->kind != FIB_NONE && r->kind != FIB_BROADCAST && !back)
				list[n++] = r->dst;
		}
		link_takes(l, list, n);
	}
	free(list);
}

static void keep_routes(struct stack *s, const struct fib_route *routes, unsigned n)
{
	if (routes == s->routes)
		return;
	free(s->routes);
	s->routes = xcalloc(n ? n : 1, sizeof(*routes));
	s->n_routes = n;
	if (n)
		memcpy(s->routes, routes, n * sizeof(*routes));
}

int stack_routes(struct stack *s, const struct fib_route *routes, unsigned n, struct errbuf *e)
{
	struct routes t = {0};
	struct fib *f, *old = s->fib;

	own_routes(s, &t);
	for (unsigned i = 0; i < n; i++) {
		put(&t, &routes[i].dst, routes[i].kind, routes[i].link);
		t.list[t.n - 1] = routes[i];
	}
	int r = fib_new(t.list, t.n, e, &f);
	free(t.list);
	if (r < 0)
		return r;
	rcu_assign_pointer(s->fib, f);
	if (old)
		synchronize_rcu();
	fib_free(old);
	keep_routes(s, routes, n);
	tell_links(s, f);
	if (s->host_link >= 0)
		host_routes(s, f);
	return 0;
}
