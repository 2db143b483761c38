/* stack: builds the tables and runs the control side of neighbours. */
#include "daemons/stack-core/stack.h"
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/devices.h"
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

	if (pthread_mutex_init(&s->park_lock, NULL) || pthread_cond_init(&s->park_cond, NULL))
		abort();
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

void stack_secrets(struct stack *s)
{
	taps_secret(s->taps, secret_links(s));
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
	stack_secrets(s);
	s->pool_links = s->n_links;
	for (unsigned i = 0; i < s->n_workers; i++)
		s->workers[i] = worker_new(s, i);
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
	s->devices = devices_new(s);
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
	devices_free(s->devices);
	fib_free(s->fib);
	free(s->routes);
	dad_free(s->dad);
	neigh_free(s->neigh);
	filter_set_free(s->filters);
	sadb_free(s->sadb);
	ids_free(s->ids);
	pthread_cond_destroy(&s->park_cond);
	pthread_mutex_destroy(&s->park_lock);
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

void stack_heard(struct stack *s)
{
	struct ring_msg m;

	for (unsigned i = 0; i < s->n_workers; i++)
		for (unsigned budget = WORKER_RING; budget && worker_take(s->workers[i], &m); budget--)
			heard(s, &m, s->now_ms);
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
	uint64_t n;

	s->now_ms = now_ms;
	if (read(s->control_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_error("control eventfd", "error", log_errno(errno));
	stack_heard(s);
	for (unsigned i = 0; i < s->n_workers; i++)
		told(s, s->workers[i]);
	for (unsigned i = 0; i < s->n_workers; i++)
		flows_take(s->flows, &s->workers[i]->flows);
	flows_tick(s->flows, now_ms);
	if (now_ms >= s->tick_ms + TICK_MS) {
		s->tick_ms = now_ms;
		devices_tick(s, now_ms);
		neigh_tick(s->neigh, now_ms);
		if (s->dad)
			dad_tick(s->dad, now_ms);
		for (unsigned i = 0; i < s->n_links; i++)
			s->overruns += link_overruns(&s->links[i]);
	}
}

void stack_wait_parked(struct stack *s)
{
	rcu_thread_offline();
	pthread_mutex_lock(&s->park_lock);
	s->parked++;
	pthread_cond_broadcast(&s->park_cond);
	while (atomic_load(&s->parking))
		pthread_cond_wait(&s->park_cond, &s->park_lock);
	s->parked--;
	pthread_mutex_unlock(&s->park_lock);
	rcu_thread_online();
}

void stack_park(struct stack *s)
{
	unsigned running = 0;

	for (unsigned i = 0; i < s->n_workers; i++)
		running += s->workers[i] && s->workers[i]->running;
	pthread_mutex_lock(&s->park_lock);
	atomic_store(&s->parking, true);
	pthread_mutex_unlock(&s->park_lock);
	stack_kick(s);
	pthread_mutex_lock(&s->park_lock);
	while (s->parked < running)
		pthread_cond_wait(&s->park_cond, &s->park_lock);
	pthread_mutex_unlock(&s->park_lock);
}

void stack_unpark(struct stack *s)
{
	pthread_mutex_lock(&s->park_lock);
	atomic_store(&s->parking, false);
	pthread_cond_broadcast(&s->park_cond);
	pthread_mutex_unlock(&s->park_lock);
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
	memcpy(pass, s->past_pass, sizeof(s->past_pass));
	memcpy(drops, s->past_drops, sizeof(s->past_drops));
	drops[DROP_LINK_OVERRUN] += s->overruns;
	for (unsigned i = 0; i < s->n_workers; i++) {
		for (unsigned c = 0; c < PASS_MAX; c++)
			pass[c] += count_read(&s->workers[i]->pass[c]);
		for (unsigned c = 0; c < DROP_MAX; c++)
			drops[c] += count_read(&s->workers[i]->drops[c]);
	}
}

uint64_t stack_route_packets(const struct stack *s, uint32_t route)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < s->n_workers; i++)
		n += count_read(&s->workers[i]->route_packets[route]);
	return n;
}
