/* stack: builds the tables and runs the control side of neighbours. */
#include "daemons/stack-core/stack.h"
#include "daemons/stack-core/link/netlink.h"
#include "daemons/stack-core/worker.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu-qsbr.h>

enum { TICK_MS = 100 };

struct pass_text {
	const char *name, *stage, *help;
};
static const struct pass_text passes[PASS_MAX] = {
#define PASS_TEXT(name, stage, help) [PASS_##name] = {#name, stage, help},
	PASS_COUNTERS(PASS_TEXT)
#undef PASS_TEXT
};

const char *pass_name(unsigned c)
{
	return passes[c].name;
}

const char *pass_stage(unsigned c)
{
	return passes[c].stage;
}

const char *pass_help(unsigned c)
{
	return passes[c].help;
}

static void solicit(void *arg, uint16_t link, const struct addr *a, const uint8_t *mac)
{
	struct stack *s = arg;
	uint8_t frame[DISCOVER_FRAME_MAX];
	size_t len = discover_request(&s->links[link], a, mac, frame);

	if (len)
		(void)link_send_frame(&s->links[link], frame, len); /* lost like any frame: it is repeated */
}

static void neighbour_changed(void *arg, const struct neigh *n)
{
	struct stack *s = arg;

	stack_kick(s);
	if (s->on_neighbour)
		s->on_neighbour(s->arg, n);
}

struct stack *stack_new(const char *name, unsigned workers)
{
	struct stack *s = xnew(struct stack);

	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->forwarding = s->path_mtu4 = s->path_mtu6 = true;
	s->host_link = -1;
	s->n_workers = workers < 1 ? 1 : workers > LINK_WORKERS_MAX ? LINK_WORKERS_MAX : workers;
	s->control_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->control_fd < 0)
		abort();
	struct neigh_hooks hooks = {solicit, neighbour_changed, s};
	s->neigh = neigh_new(&hooks);
	s->filters = filter_set_new();
	s->sadb = sadb_new(s->n_workers);
	filter_set_sadb(s->filters, s->sadb);
	s->ids = ids_new(s->n_workers);
	s->flows = xnew(struct flows);
	s->taps = taps_new(s->sadb, s->n_workers, &s->tapped);
	return s;
}

/* Links that nobody outside this host sees. */
static uint32_t secret_links(const struct stack *s)
{
	uint32_t links = 0;

	for (unsigned i = 0; i < s->n_links; i++)
		if (s->links[i].type != LINK_AFPACKET)
			links |= 1u << i;
	return links;
}

int stack_open(struct stack *s, struct errbuf *e)
{
	link_share(s->links, s->n_links);
	for (unsigned i = 0; i < s->n_links; i++) {
		s->links[i].index = (uint16_t)i;
		s->links[i].store = s->store;
		int r = link_open(&s->links[i], s->n_workers, e);
		if (r < 0)
			return r;
		if (s->links[i].type == LINK_TUN)
			s->host_link = (int)i;
	}
	taps_secret(s->taps, secret_links(s));
	for (unsigned i = 0; i < s->n_workers; i++)
		s->workers[i] = worker_new(s, i);
	return 0;
}

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
			for (unsigned a = 0; tun == !pass && a < l->n_addrs; a++) {
				struct prefix host = {l->addrs[a].addr, l->addrs[a].addr.family == 4 ? 32 : 128};
				if (!refused(s, &host.addr))
					put(t, &host, tun ? FIB_HOST : FIB_LOCAL, l->index);
			}
		}
	for (unsigned i = 0; i < s->n_links; i++) {
		const struct link *l = &s->links[i];
		for (unsigned a = 0; a < l->n_addrs; a++) {
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
	for (unsigned i = 0; i < n; i++)
		if (!has(s->host_routes, s->n_host_routes, &want[i]) &&
			netlink_route_add(tun->ifindex, &want[i], tun_address(tun, want[i].addr.family), 0, &e) < 0)
			log_warning("host route not set", "reason", e.text);
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

static void address_conflict(void *arg, uint16_t link, const struct addr *a, const uint8_t mac[6], bool refused)
{
	struct stack *s = arg;
	struct errbuf e;

	if (refused && stack_routes(s, s->routes, s->n_routes, &e) < 0)
		log_error("routes without a refused address", "reason", e.text);
	if (s->on_conflict)
		s->on_conflict(s->arg, link, a, mac, refused);
}

int stack_start(struct stack *s, struct errbuf *e)
{
	struct dad_hooks hooks = {address_conflict, s};

	s->dad = dad_new(s->links, s->n_links, &hooks);
	for (unsigned i = 0; i < s->n_workers; i++) {
		int r = worker_start(s->workers[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

void stack_stop(struct stack *s)
{
	for (unsigned i = 0; i < s->n_workers; i++)
		if (s->workers[i])
			worker_stop(s->workers[i]);
}

void stack_free(struct stack *s)
{
	if (!s)
		return;
	stack_stop(s);
	for (unsigned i = 0; i < s->n_workers; i++)
		worker_free(s->workers[i]);
	for (unsigned i = 0; i < s->n_links; i++)
		link_close(&s->links[i]);
	taps_free(s->taps);
	free(s->flows);
	fib_free(s->fib);
	free(s->routes);
	dad_free(s->dad);
	neigh_free(s->neigh);
	filter_set_free(s->filters);
	sadb_free(s->sadb);
	ids_free(s->ids);
	close(s->control_fd);
	free(s);
}

static void heard(struct stack *s, const struct ring_msg *m, uint64_t now_ms)
{
	if (m->type == RING_HEARD && m->how == NEIGH_CONFLICT) {
		if (s->dad)
			dad_claimed(s->dad, m->link, &m->addr, m->mac, now_ms);
	} else if (m->type == RING_WANT)
		neigh_want(s->neigh, m->link, &m->addr, now_ms);
	else if (neigh_hear(s->neigh, m->link, &m->addr, m->mac, m->how, now_ms))
		stack_kick(s);
}

static void told(struct stack *s, struct worker *w)
{
	struct hold_want want;
	struct ipsec_notice n;

	for (unsigned budget = HOLD_RING; budget && hold_take(w->hold, &want); budget--)
		if (s->on_want)
			s->on_want(s->arg, &want);
	for (unsigned budget = NOTICE_RING; budget && ipsec_notice(w->ipsec, &n); budget--)
		if (s->on_notice)
			s->on_notice(s->arg, &n);
}

void stack_control(struct stack *s, uint64_t now_ms)
{
	struct ring_msg m;
	uint64_t n;

	if (read(s->control_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_error("control eventfd", "error", log_errno(errno));
	for (unsigned i = 0; i < s->n_workers; i++)
		for (unsigned budget = WORKER_RING; budget && worker_take(s->workers[i], &m); budget--)
			heard(s, &m, now_ms);
	for (unsigned i = 0; i < s->n_workers; i++)
		told(s, s->workers[i]);
	for (unsigned i = 0; i < s->n_workers; i++)
		flows_take(s->flows, &s->workers[i]->flows);
	flows_tick(s->flows, now_ms);
	if (now_ms >= s->tick_ms + TICK_MS) {
		s->tick_ms = now_ms;
		neigh_tick(s->neigh, now_ms);
		if (s->dad)
			dad_tick(s->dad, now_ms);
		for (unsigned i = 0; i < s->n_links; i++)
			s->overruns += link_overruns(&s->links[i]);
	}
}

void stack_kick(struct stack *s)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < s->n_workers; i++) {
		if (!s->workers[i])
			continue;
		atomic_store(&s->workers[i]->kicked, true);
		if (write(s->workers[i]->kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			log_error("worker eventfd", "error", log_errno(errno));
	}
}

void stack_counters(const struct stack *s, uint64_t pass[PASS_MAX], uint64_t drops[DROP_MAX])
{
	memset(pass, 0, PASS_MAX * sizeof(*pass));
	memset(drops, 0, DROP_MAX * sizeof(*drops));
	drops[DROP_LINK_OVERRUN] = s->overruns;
	for (unsigned i = 0; i < s->n_workers; i++) {
		for (unsigned c = 0; c < PASS_MAX; c++)
			pass[c] += s->workers[i]->pass[c];
		for (unsigned c = 0; c < DROP_MAX; c++)
			drops[c] += s->workers[i]->drops[c];
	}
}

uint64_t stack_route_packets(const struct stack *s, uint32_t route)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < s->n_workers; i++)
		n += s->workers[i]->route_packets[route];
	return n;
}
