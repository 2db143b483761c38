/* worker: the loop of a packet thread. It polls its links while packets come, with a pause when they come quickly one by one (pace.h), and
 * sleeps in the kernel when none do. */
#include "daemons/stack-core/worker.h"
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/ip/gather.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

enum { SLEEP_MS = 1000, SLEEP_PENDING_MS = 20, SLEEP_HELD_MS = 250, IDLE_ROUNDS = 2 };

static uint64_t clock_of(clockid_t id, uint64_t per_second)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * per_second + (uint64_t)t.tv_nsec / (1000000000u / per_second);
}

struct worker *worker_new(struct stack *s, unsigned index)
{
	struct worker *w = xcheck(aligned_alloc(64, (sizeof(struct worker) + 63) & ~(size_t)63));

	memset(w, 0, sizeof(*w));
	w->stack = s;
	w->index = w->tap.index = index;
	w->pool = pkt_pool_new(WORKER_SMALL, WORKER_LARGE_SPARE + s->n_links * WORKER_LARGE_LINK);
	w->ipsec = ipsec_worker_new(s->sadb, index);
	w->filter = filter_worker_new(s->filters, FILTER_CACHE_DEFAULT);
	w->ids = ids_worker(s->ids, index);
	w->hold = hold_new();
	w->reass = reass_new();
	w->tx = xcalloc(LINKS_MAX, sizeof(*w->tx));
	w->route_packets = xcalloc(FIB_ROUTES_MAX + 1, sizeof(uint64_t));
	w->pending_tail = &w->pending;
	icmp_limits_init(&w->icmp);
	w->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = w->kick_fd};
	if (w->kick_fd < 0 || w->epoll_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->kick_fd, &ev))
		abort();
	return w;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	close(w->kick_fd);
	close(w->epoll_fd);
	ipsec_worker_free(w->ipsec);
	hold_free(w->hold);
	reass_free(w->reass);
	pkt_pool_free(w->pool);
	free(w->tx);
	free(w->route_packets);
	free(w);
}

/* Neighbours and wanted tunnels are rare: the one place where a packet may cost a system call that is not its own. */
void worker_poke(struct worker *w)
{
	uint64_t one = 1;

	if (write(w->stack->control_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort(); /* an eventfd of our own */
}

bool worker_post(struct worker *w, const struct ring_msg *m)
{
	uint32_t head = atomic_load_explicit(&w->ring.head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&w->ring.tail, memory_order_acquire);

	if (head - tail >= WORKER_RING)
		return false;
	w->ring.msgs[head % WORKER_RING] = *m;
	atomic_store_explicit(&w->ring.head, head + 1, memory_order_release);
	if (head == tail)
		worker_poke(w);
	return true;
}

bool worker_take(struct worker *w, struct ring_msg *ret)
{
	uint32_t tail = atomic_load_explicit(&w->ring.tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&w->ring.head, memory_order_acquire))
		return false;
	*ret = w->ring.msgs[tail % WORKER_RING];
	atomic_store_explicit(&w->ring.tail, tail + 1, memory_order_release);
	return true;
}

/* Packets that wait for a link address or for a tunnel. */
static void waiting(struct worker *w, bool kicked)
{
	if (w->pending && (kicked || w->now_ms >= w->pending_checked_ms + SLEEP_PENDING_MS)) {
		w->pending_checked_ms = w->now_ms;
		out_pending(w);
		out_flush(w);
	}
	if (reass_waiting(w->reass) && w->now_ms >= w->reass_checked_ms + SLEEP_HELD_MS) {
		w->reass_checked_ms = w->now_ms;
		count_add(&w->drops[DROP_IP_REASS_TIME], reass_expire(w->reass, w->pool, w->now_ms));
	}
	if (hold_waiting(w->hold) && (kicked || w->now_ms >= w->hold_checked_ms + SLEEP_HELD_MS)) {
		w->hold_checked_ms = w->now_ms;
		hold_release(w);
		out_flush(w);
	}
}

/* A batch stays in the second-level cache from the kernel's copy to the kernel's copy: of super-packets that is a few, of others many. What
 * came last time says which. */
static unsigned rx_from(struct worker *w, unsigned link)
{
	uint16_t *max = &w->rx_max[link];
	unsigned n = link_rx(&w->stack->links[link], w->index, w->pool, w->rx, *max ? *max : PKT_BATCH), bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += w->rx[i]->len;
	w->n_read += n;
	if (n) {
		unsigned fit = WORKER_BYTES / (bytes / n + 1);
		*max = (uint16_t)(fit < 2 ? 2 : fit > PKT_BATCH ? PKT_BATCH : fit);
	}
	if (n > 1 && w->stack->links[link].type == LINK_TUN) {
		unsigned left = gather(w->pool, w->rx, n);
		count_add(&w->pass[PASS_JOINED], n - left);
		n = left;
	}
	return n;
}

unsigned worker_round(struct worker *w, uint64_t now_ms, uint64_t now_us)
{
	unsigned total = 0;

	w->now_ms = now_ms;
	w->n_read = 0;
	w->fib = rcu_dereference(w->stack->fib);
	w->tap.set = rcu_dereference(w->stack->tapped);
	filter_worker_now(w->filter, now_us);
	ids_worker_now(w->ids, now_ms, now_us);
	waiting(w, (w->pending || hold_waiting(w->hold)) && atomic_exchange(&w->kicked, false));
	for (unsigned i = 0; i < w->stack->n_links; i++) {
		unsigned n = rx_from(w, i);
		if (n) {
			if (meter_begin(&w->meter, n))
				flow_sample(&w->flows, w->rx, n, w->stack->links[i].ethernet);
			pipe_batch(w, w->rx, n);
			meter_end(&w->meter);
		}
		total += n;
	}
	if (ids_worker_told(w->ids))
		worker_poke(w);
	return total;
}

static void sleep_in_kernel(struct worker *w)
{
	struct epoll_event ev[LINKS_MAX + 1];
	uint64_t n;

	rcu_thread_offline();
	int got = epoll_wait(w->epoll_fd, ev, LINKS_MAX + 1, w->pending ? SLEEP_PENDING_MS : hold_waiting(w->hold) || reass_waiting(w->reass) ? SLEEP_HELD_MS : SLEEP_MS);
	rcu_thread_online();
	for (int i = 0; i < got; i++)
		if (ev[i].data.fd == w->kick_fd && read(w->kick_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			abort();
}

/* So that the next batch is worth its cost. */
static void pause_for(struct worker *w, uint64_t ns)
{
	struct timespec t = {0, (long)ns};

	meter_round(&w->meter, meter_clock());
	w->meter.was_busy = false;
	rcu_thread_offline();
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
	rcu_thread_online();
}

static void *run(void *arg)
{
	struct worker *w = arg;
	unsigned idle = 0;

	(void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* pauses are short */
	rcu_register_thread();
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		uint64_t ns = meter_clock();
		meter_round(&w->meter, ns);
		unsigned n = worker_round(w, ns / 1000000, clock_of(CLOCK_REALTIME, 1000000));
		w->meter.was_busy = n;
		rcu_quiescent_state();
		if (atomic_load_explicit(&w->stack->parking, memory_order_acquire)) {
			stack_wait_parked(w->stack);
			n = 1; /* what came meanwhile is looked for before it sleeps */
		}
		idle = n ? 0 : idle + 1;
		uint64_t pause = pace_pause(&w->pace, ns, w->n_read);
		if (pause)
			pause_for(w, pause);
		else if (idle >= IDLE_ROUNDS)
			sleep_in_kernel(w);
	}
	rcu_unregister_thread();
	return NULL;
}

void worker_watch(struct worker *w, int fd, bool on)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	if (fd >= 0 && epoll_ctl(w->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &ev))
		log_error("packets do not wake the worker", "error", log_errno(errno));
}

void worker_forget(struct worker *w, uint16_t link)
{
	struct pkt *list = w->pending;

	w->tap.set = rcu_dereference(w->stack->tapped); /* that of its last round may be gone */
	w->pending = NULL;
	w->pending_tail = &w->pending;
	w->n_pending = w->n_pending_large = 0;
	while (list) {
		struct pkt *p = list;
		list = p->next;
		if (p->out_link == link) {
			pipe_drop(w, p, DROP_LINK_DOWN);
			continue;
		}
		p->next = NULL;
		*w->pending_tail = p;
		w->pending_tail = &p->next;
		w->n_pending++;
		w->n_pending_large += p->size != PKT_SMALL;
	}
}

int worker_start(struct worker *w, struct errbuf *e)
{
	for (unsigned i = 0; i < w->stack->n_links; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.fd = link_fd(&w->stack->links[i], w->index)};
		if (ev.data.fd >= 0 && epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, ev.data.fd, &ev))
			return err_set(e, errno, "epoll: %s", strerror(errno));
	}
	int r = pthread_create(&w->thread, NULL, run, w);
	if (r)
		return err_set(e, r, "thread: %s", strerror(r));
	w->running = true;
	return 0;
}

void worker_stop(struct worker *w)
{
	uint64_t one = 1;

	if (!w->running)
		return;
	atomic_store(&w->stop, true);
	if (write(w->kick_fd, &one, sizeof(one)) < 0)
		log_warning("worker cannot be woken", "error", log_errno(errno));
	pthread_join(w->thread, NULL);
	w->running = false;
}
