/* The daemon's life: sockets before the privileges go, registrations of the run before, servers that are gone, end. */
#include "daemons/rpcbindD/rpcbind.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include <linux/capability.h>

enum { MISSED_MAX = 2 };

/* The registry is itself a server: program 100000 on all that it serves. */
static void add_own(struct rpcbind *rb)
{
	static const char *const any[NETID_COUNT] = {"0.0.0.0", "0.0.0.0", "::", "::", NULL};
	char text[UADDR_TEXT_MAX];
	for (unsigned i = 0; i < rb->nsockets; i++) {
		enum netid n = rb->sockets[i].netid;
		for (uint32_t v = 4; v >= (netid_family(n) == 4 ? 2 : 3); v--) {
			struct registration *e;
			if (n == NETID_LOCAL)
				(void)snprintf(text, sizeof(text), "%s", rb->conf->local_socket[0] ? rb->conf->local_socket : "/run/rpcbind.sock");
			else
				(void)snprintf(text, sizeof(text), "%s.%u.%u", any[n], rb->conf->port >> 8, rb->conf->port & 255);
			if (!registry_add(rb->registry, RPCBIND_PROG, v, n, text, 0, &e))
				e->built_in = true;
		}
	}
}

/* Is its server still there? A socket of its owner, or of root who may have registered for a child of another uid. */
static bool is_alive(struct registration *e)
{
	if (e->netid == NETID_LOCAL)
		return true;
	int64_t uid = diag_server(e->netid, e->port, e->owner);
	return uid == -2 || uid == (int64_t)e->owner || (uid >= 0 && e->owner == 0);
}

static void restore_one(void *arg, uint32_t prog, uint32_t vers, enum netid n, const char *uaddr, uid_t owner)
{
	struct rpcbind *rb = arg;
	struct registration *e;
	if (!uaddr || registry_add(rb->registry, prog, vers, n, uaddr, owner, &e))
		return;
	if (!is_alive(e)) {
		e->missed = MISSED_MAX; /* goes when all are read: not under the reader's feet */
		return;
	}
	e->seen = e->netid != NETID_LOCAL;
	rb->counters.restored++;
}

/* Servers that were there and are gone: their registrations go too, when they are missed twice. */
static void reap(struct rpcbind *rb, bool now)
{
	for (struct registration *e = registry_first(rb->registry), *next; e; e = next) {
		next = e->after;
		if (e->built_in || e->netid == NETID_LOCAL)
			continue;
		if (!now) {
			bool alive = is_alive(e);
			e->seen |= alive;
			e->missed = alive || !e->seen ? 0 : (uint8_t)(e->missed + 1);
		}
		if (e->missed >= MISSED_MAX && !rb_remove(rb, e))
			rb->counters.vanished++;
	}
}

static void on_tick(void *arg)
{
	struct rpcbind *rb = arg;
	rb->ticks++;
	rb_tcp_tick(rb);
	if (rb->trace_until_ms && rb->trace_until_ms < loop_now_ms())
		rb->trace_until_ms = 0;
	if (rb->conf->reap_s && rb->ticks % rb->conf->reap_s == 0)
		reap(rb, false);
	loop_timer_set(rb->tick, 1000);
}

static int rb_open(struct daemon *d, void *built, struct errbuf *e)
{
	struct rpcbind *rb = d->state;
	rb->daemon = d;
	return rb_listen(rb, built, e);
}

/* The zones go over to remote.c, which keeps them. */
static void give_remote(struct rpcbind *rb)
{
	remote_configure(rb->remote, &rb->conf->remote);
	rb->conf->remote.zones = (struct zone_table){0};
}

static int rb_start(struct daemon *d, void *built, struct errbuf *e)
{
	struct rpcbind *rb = d->state;
	char path[PATH_TEXT_MAX];
	rb->conf = built;
	rb->rate = rate_new();
	rb->registry = registry_new(rb->conf->registrations);
	rb->remote = remote_new(d->loop, d->saf, d->sysname);
	give_remote(rb);
	int rc = store_open(path_make(path, "/var/lib/ravelin/rpcbindD/registry.db"), &rb->store, e);
	if (rc)
		return rc;
	add_own(rb);
	if (rb->conf->warm_start ? store_load(rb->store, restore_one, rb) : store_clear(rb->store))
		return err_set(e, EIO, "%s: cannot be read", path);
	reap(rb, true);
	rb->tick = loop_timer_new(d->loop, on_tick, rb);
	loop_timer_set(rb->tick, 1000);
	rb_watch(rb);
	log_notice("registry is ready", "sockets", log_u64(rb->nsockets), "restored", log_u64(rb->counters.restored), "vanished", log_u64(rb->counters.vanished));
	return 0;
}

static bool same_places(const struct rb_conf *a, const struct rb_conf *b)
{
	return a->port == b->port && !strcmp(a->local_socket, b->local_socket) && !memcmp(a->netids, b->netids, sizeof(a->netids)) &&
	       a->ninterfaces == b->ninterfaces && !memcmp(a->interfaces, b->interfaces, sizeof(a->interfaces)) && a->registrations == b->registrations &&
	       !a->remote.doi == !b->remote.doi;
}

static int rb_reload(struct daemon *d, void *built, struct errbuf *e)
{
	struct rpcbind *rb = d->state;
	if (!same_places(rb->conf, built)) {
		rb_conf_free(built);
		return err_set(e, EINVAL, "Port, Netid, Interface, LocalSocket, MaxRegistrations and whether there is a CipsoDoi cannot change while the daemon runs");
	}
	rb_conf_free(rb->conf);
	rb->conf = built;
	give_remote(rb);
	return 0;
}

static void rb_stop(struct daemon *d)
{
	struct rpcbind *rb = d->state;
	char path[PATH_TEXT_MAX];
	for (unsigned i = 0; i < rb->nsockets; i++)
		if (rb->sockets[i].kind == RB_LOCAL && !rb->sockets[i].adopted && rb->conf)
			(void)remove(path_make(path, "%s", rb->conf->local_socket));
	rb_close(rb);
	while (rb->lates) {
		struct rb_late *l = rb->lates;
		rb->lates = l->next;
		remote_cancel(rb->remote, l);
		free(l);
	}
	remote_free(rb->remote);
	if (rb->tick)
		loop_timer_free(rb->tick);
	store_close(rb->store);
	registry_free(rb->registry);
	rate_free(rb->rate);
	rb_conf_free(rb->conf);
	rb->conf = NULL;
}

static void rb_stats(struct daemon *d, daemon_stat_fn fn, void *arg)
{
	const struct rpcbind *rb = d->state;
	const struct rb_counters *c = &rb->counters;
	struct remote_stats r;
	remote_stats(rb->remote, &r);
	fn(arg, "rpcbind_registrations", "registrations held", registry_count(rb->registry));
	fn(arg, "rpcbind_connections", "TCP and local connections open", rb->nconns);
	fn(arg, "rpcbind_calls_total", "calls taken", c->calls);
	fn(arg, "rpcbind_set_total", "registrations made", c->set);
	fn(arg, "rpcbind_unset_total", "registrations ended", c->unset);
	fn(arg, "rpcbind_refused_total", "SET and UNSET refused", c->refused);
	fn(arg, "rpcbind_limited_total", "calls over a rate or a limit", c->limited);
	fn(arg, "rpcbind_too_large_total", "answers too long for their transport or caller", c->too_large);
	fn(arg, "rpcbind_malformed_total", "calls that were none, or wrong", c->malformed);
	fn(arg, "rpcbind_connections_accepted_total", "connections accepted", c->accepted);
	fn(arg, "rpcbind_connections_refused_total", "connections over a limit", c->connections_refused);
	fn(arg, "rpcbind_connections_closed_total", "connections ended", c->connections_closed);
	fn(arg, "rpcbind_restored_total", "registrations of the run before", c->restored);
	fn(arg, "rpcbind_vanished_total", "registrations whose server was gone", c->vanished);
	fn(arg, "rpcbind_remote_calls_total", "calls for others asked for", r.calls);
	fn(arg, "rpcbind_remote_answered_total", "calls for others answered", r.answered);
	fn(arg, "rpcbind_remote_failed_total", "calls for others that failed", r.failed);
	fn(arg, "rpcbind_remote_refused_total", "calls for others refused: kind of program, label, limit", r.refused_program + r.refused_label + r.refused_limit);
	fn(arg, "rpcbind_remote_timeouts_total", "calls for others not answered in time", r.timed_out);
	fn(arg, "rpcbind_workers", "worker processes", r.workers);
}

/* For workers that label packets, where the unit grants it; the daemon does not use it itself. */
static const int caps[] = {CAP_NET_RAW, -1};

const struct daemon_spec rb_spec = {
	.name = "rpcbindD",
	.package = "rpcbind",
	.summary = "registry of ONC RPC servers (RFC 1833)",
	.conf = &rb_conf_spec,
	.conf_path = "rpcbind.conf",
	.service = &rpcbind__registry__descriptor,
	.methods = rb_methods,
	.events = rb_events,
	.caps = caps,
	.size = sizeof(struct rpcbind),
	.build = rb_conf_build,
	.built_free = rb_conf_free,
	.open = rb_open,
	.start = rb_start,
	.reload = rb_reload,
	.stop = rb_stop,
	.stats = rb_stats,
};
