/* core_daemon: the life of the daemon: open, start, reload, stop; its clock. */
#include "daemons/stack-core/core_daemon.h"
#include "daemons/stack-core/handover.h"
#include "daemons/stack-core/links.h"
#include "lib/daemon/fdstore.h"
#include "lib/daemon/privilege.h"
#include "lib/daemon/notify.h"
#include "lib/log/log.h"
#include "proto/stack.pb-c.h"
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 20, SECOND_MS = 1000, DROP_MS = 500 };

/* Its device may be unplugged and come back, and others may be added: each time a program is loaded. */
static bool uses_xdp(const struct stack_conf *c)
{
	for (unsigned i = 0; i < c->n_links; i++)
		if (c->links[i].type == LINK_AFPACKET && c->links[i].choice == LINK_DRIVER_XDP)
			return true;
	return false;
}

static int core_open(struct daemon *d, void *built, struct errbuf *e)
{
	struct core *k = d->state;
	const struct stack_conf *c = built;

	k->daemon = d;
	k->stack = stack_new(d->instance, c->workers);
	memcpy(k->stack->links, c->links, sizeof(c->links));
	k->stack->n_links = c->n_links;
	k->stack->store = &handover_store;
	fdstore_init();
	k->handover = handover_take();
	for (unsigned i = 0; i < c->n_links; i++)
		k->stack->links[i].fresh_routes = !k->handover;
	int r = stack_open(k->stack, e);
	if (!uses_xdp(c) && privilege_give_up(CAP_BPF) < 0)
		log_warning("CAP_BPF stays");
	if (fdstore_drop())
		(void)notify_barrier(DROP_MS); /* as long as the manager has them, queues of another number of workers get packets */
	return r;
}

static void control(void *arg, int fd, unsigned events)
{
	struct core *k = arg;

	(void)fd;
	(void)events;
	stack_control(k->stack, loop_now_ms());
	core_ids_control(k);
}

static void tick(void *arg)
{
	struct core *k = arg;

	stack_control(k->stack, loop_now_ms());
	events_filters(k, core_now_us());
	ports_follow(k);
	core_ids_control(k);
	traces_control(k);
	loop_timer_set(k->tick, TICK_MS);
}

/* Tunnels that refused packets since the last look. */
static void watch_tunnels(struct core *k)
{
	for (struct tunnel *t = sadb_next(k->stack->sadb, NULL); t; t = sadb_next(k->stack->sadb, t)) {
		struct sa_counters c;
		uint64_t bad;

		if (!t->in)
			continue;
		sa_sum(t->in, &c);
		bad = atomic_load(&c.auth_failed) + atomic_load(&c.replayed);
		if (bad == t->refused)
			continue;
		if (bad > t->refused)
			events_tunnel(k, t, "integrity check failed or replayed");
		t->refused = bad;
	}
}

static void second(void *arg)
{
	struct core *k = arg;

	(void)filter_expire(k->stack->filters, core_now_us());
	filter_grow(k->stack->filters);
	watch_tunnels(k);
	tunnels_second(k);
	ports_second(k);
	core_follow(k);
	loop_timer_set(k->second, SECOND_MS);
}

static void take_over(struct core *k)
{
	if (k->handover && handover_tunnels(k, k->handover))
		k->heir_of = k->handover->boot_id;
	handover_end(k->handover);
	k->handover = NULL;
}

static int core_start(struct daemon *d, void *built, struct errbuf *e)
{
	struct core *k = d->state;

	k->conf = built;
	core_remember_load(k);
	filter_switch(k->stack->filters, k->wanted);
	if (k->handover)
		handover_routes(k, k->handover);
	int r = core_apply(k, k->conf, e);
	if (r < 0)
		return r;
	k->stack->on_neighbour = events_neighbour;
	k->stack->on_conflict = events_conflict;
	k->stack->on_link = events_device;
	k->stack->on_want = tunnels_want;
	k->stack->on_notice = tunnels_notice;
	k->stack->arg = k;
	core_ids_start(k);
	k->control = loop_fd_new(d->loop, k->stack->control_fd, LOOP_READ, control, k);
	k->tick = loop_timer_new(d->loop, tick, k);
	k->second = loop_timer_new(d->loop, second, k);
	loop_timer_set(k->tick, TICK_MS);
	loop_timer_set(k->second, SECOND_MS);
	take_over(k);
	r = stack_start(k->stack, e);
	if (r < 0)
		return r;
	events_started(k);
	daemon_status("%u interfaces, %u workers", k->stack->n_links, k->stack->n_workers);
	log_notice("stack started", "stack", k->stack->name, "interfaces", log_u64(k->stack->n_links), "workers",
		log_u64(k->stack->n_workers), "filters",
		!k->stack->ipsecurity4 && !k->stack->ipsecurity6 ? "off"
			: filter_in_force(k->stack->filters) == FILTER_POLICY ? "policy" : "profile");
	return 0;
}

static int core_reload(struct daemon *d, void *built, struct errbuf *e)
{
	struct core *k = d->state;
	struct stack_conf *c = built;
	struct links_change *links = NULL;
	uint16_t place[LINKS_MAX];

	int r = stack_conf_may_follow(k->conf, c, e);
	if (!r)
		r = links_begin(k->stack, c->links, c->n_links, place, &links, e);
	if (r < 0) {
		stack_conf_free(c);
		return r;
	}
	stack_conf_place(c, place);
	r = core_apply(k, c, e);
	if (r < 0) {
		struct errbuf back = {""};
		links_undo(links);
		if (core_apply(k, k->conf, &back) < 0)
			log_error("the old configuration could not be put back whole", "reason", back.text);
		links_undo_end(links);
		stack_conf_free(c);
		return r;
	}
	links_commit(links, events_link, k);
	stack_conf_free(k->conf);
	k->conf = c;
	daemon_status("%u interfaces, %u workers", c->n_links, k->stack->n_workers);
	return 0;
}

/* What a successor waits for is our end: once it has all, the tables, queues and threads are left to the kernel, which is quick at it,
 * and which clears the memory before anybody else has it. */
static void core_stop(struct daemon *d)
{
	struct core *k = d->state;

	if (k->stack && handover_prepare(k)) {
		stack_stop(k->stack);
		if (handover_leave(k))
			_exit(EXIT_SUCCESS);
	} else if (k->stack) {
		stack_stop(k->stack);
	}
	loop_fd_free(k->control);
	loop_timer_free(k->tick);
	loop_timer_free(k->second);
	ports_free(k);
	traces_free(k);
	if (k->stack)
		ids_apply(k->stack->ids, NULL);
	stack_free(k->stack);
	stack_conf_free(k->conf);
	handover_end(k->handover);
	memset(k, 0, sizeof(*k));
}

static void core_stats(struct daemon *d, daemon_stat_fn fn, void *arg)
{
	struct core *k = d->state;
	uint64_t pass[PASS_MAX], drops[DROP_MAX], all = 0;

	stack_counters(k->stack, pass, drops);
	for (unsigned i = DROP_NONE + 1; i < DROP_MAX; i++)
		all += drops[i];
	fn(arg, "stack_rx_packets_total", "packets received", pass[PASS_RX]);
	fn(arg, "stack_tx_packets_total", "packets sent", pass[PASS_TX]);
	fn(arg, "stack_forwarded_packets_total", "packets forwarded", pass[PASS_FORWARD]);
	fn(arg, "stack_protected_packets_total", "packets put into ESP or AH", pass[PASS_ENCAP]);
	fn(arg, "stack_opened_packets_total", "packets taken out of ESP or AH", pass[PASS_DECAP]);
	fn(arg, "stack_dropped_packets_total", "packets dropped, all reasons", all);
	fn(arg, "stack_held_packets_total", "packets that waited for a tunnel", pass[PASS_HELD]);
	fn(arg, "stack_dynamic_tunnels", "dynamic tunnels installed", dynamic_count(k->stack->sadb));
	core_ids_stats(k, fn, arg);
	traces_stats(k, fn, arg);
	meters_stats(k, fn, arg);
	uint64_t down = 0, downs = 0;
	for (unsigned i = 0; i < k->stack->n_links; i++) {
		down += k->stack->links[i].down;
		downs += k->stack->links[i].downs;
	}
	fn(arg, "stack_links_down", "interfaces whose device is down or gone", down);
	fn(arg, "stack_link_downs_total", "how often interfaces that there are went down", downs);
	fn(arg, "stack_neighbours", "neighbours known", neigh_count(k->stack->neigh));
	fn(arg, "stack_defences", "defensive filters installed", filter_defences(k->stack->filters));
}

static const int caps[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, -1};

const struct daemon_spec core_spec = {
	.name = "stack-core",
	.package = "stack",
	.summary = "one IP stack with filters and IPsec, between network devices and this host's programs",
	.instanced = true,
	.conf = &stack_profile_spec,
	.conf_path = "stacks/%s.profile",
	.service = &stack__stack__descriptor,
	.methods = core_methods,
	.events = core_events,
	.caps = caps,
	.size = sizeof(struct core),
	.build = stack_conf_build,
	.built_free = stack_conf_free,
	.open = core_open,
	.start = core_start,
	.reload = core_reload,
	.stop = core_stop,
	.stats = core_stats,
};
