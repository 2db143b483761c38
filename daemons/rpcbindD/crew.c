#include "daemons/rpcbindD/crew.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SWEEP_MS = 250 };

static void answer(struct call *c, const struct remote_answer *a)
{
	if (c->fn)
		c->fn(c->arg, a);
	c->fn = NULL;
}

/* Takes it out of the list and off its worker; the caller frees it. */
static void unlink_call(struct remote *r, struct call *c)
{
	for (struct call **p = &r->calls; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	c->worker->calls--;
	r->stats.outstanding--;
}

static void end_call(struct remote *r, struct call *c, const struct remote_answer *a)
{
	unlink_call(r, c);
	answer(c, a);
	free(c);
}

void crew_end(struct worker *w)
{
	struct remote *r = w->remote;
	for (struct worker **p = &r->workers; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			break;
		}
	loop_fd_free(w->watch);
	(void)close(w->channel);
	(void)kill(w->pid, SIGKILL);
	(void)waitpid(w->pid, NULL, 0);
	r->stats.workers--;
	for (struct call *c = r->calls, *next; c; c = next) {
		next = c->next;
		if (c->worker == w) {
			static const struct remote_answer failed = {.status = REMOTE_SYSTEM_ERR, .why = "its worker ended"};
			end_call(r, c, &failed);
			next = r->calls; /* what ran may have ended others */
		}
	}
	free(w);
}

static struct call *find_call(const struct remote *r, const struct worker *w, uint64_t id)
{
	for (struct call *c = r->calls; c; c = c->next)
		if (c->id == id && c->worker == w)
			return c;
	return NULL;
}

static void finished(struct remote *r, struct call *c, const struct worker_reply *m, const uint8_t *results)
{
	static const enum remote_status of[] = {REMOTE_DONE, REMOTE_PROG_UNAVAIL, REMOTE_PROG_MISMATCH, REMOTE_PROC_UNAVAIL, REMOTE_GARBAGE_ARGS,
		REMOTE_SYSTEM_ERR, REMOTE_TOO_WEAK, REMOTE_SYSTEM_ERR, REMOTE_SYSTEM_ERR};
	struct remote_answer a = {.status = m->status < sizeof(of) / sizeof(of[0]) ? of[m->status] : REMOTE_SYSTEM_ERR,
		.low = m->low, .high = m->high, .results = results, .len = m->len};
	r->stats.answered += a.status == REMOTE_DONE;
	r->stats.failed += a.status != REMOTE_DONE;
	r->stats.timed_out += m->status == WORKER_TIMEOUT;
	if (m->status == WORKER_TIMEOUT)
		a.why = "the server did not answer in time";
	end_call(r, c, &a);
}

/* One message of a worker; false when none is there, or it was the last. */
static bool take(struct worker *w)
{
	uint8_t text[sizeof(struct worker_reply) + WORKER_DATA_MAX];
	struct worker_reply m;
	ssize_t n = recv(w->channel, text, sizeof(text), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < (ssize_t)sizeof(m)) {
		crew_end(w);
		return false;
	}
	memcpy(&m, text, sizeof(m));
	struct call *c = find_call(w->remote, w, m.id);
	if (m.len != (size_t)n - sizeof(m) || !c)
		return true;
	if (m.kind == WORKER_PORT)
		c->port = m.port;
	else
		finished(w->remote, c, &m, text + sizeof(m));
	return true;
}

void crew_drain(struct worker *w)
{
	struct remote *r = w->remote;
	r->draining++;
	for (int budget = WORKER_CALLS * 4; budget && take(w); budget--)
		;
	r->draining--;
}

static void on_worker(void *arg, int fd, unsigned events)
{
	(void)fd, (void)events;
	crew_drain(arg);
}

void crew_sweep(void *arg)
{
	struct remote *r = arg;
	uint64_t now = loop_now_ms();
	for (struct call *c = r->calls, *next; c; c = next) {
		next = c->next;
		if (c->deadline <= now) { /* a worker that does not keep time is not trusted further */
			crew_end(c->worker);
			next = r->calls;
		}
	}
	for (struct worker *w = r->workers, *next; w; w = next) {
		next = w->next;
		if (!w->calls && now - w->used >= r->conf.idle_ms)
			crew_end(w);
	}
	if (r->workers)
		loop_timer_set(r->sweep, SWEEP_MS);
}

/* false: the label cannot be written, so that nothing may go out under it. */
static bool make_label(struct remote *r, const char *name, struct worker_label *out)
{
	struct saf_label value;
	*out = (struct worker_label){.carried = name[0] && r->conf.doi};
	if (!out->carried)
		return true;
	if (saf_label_value(r->saf, name, &value))
		return false;
	int v4 = label_to_cipso(&value, r->conf.doi, out->v4), v6 = label_to_calipso(&value, r->conf.doi, out->v6);
	out->v4_len = v4 > 0 ? (unsigned)v4 : 0;
	out->v6_len = v6 > 0 ? (unsigned)v6 : 0;
	return v4 > 0 || v6 > 0;
}

/* Room for one more, by ending the one that has been idle longest. */
static bool make_room(struct remote *r)
{
	struct worker *oldest = NULL;
	if (r->stats.workers < r->conf.workers)
		return true;
	for (struct worker *w = r->workers; w && !r->draining; w = w->next)
		if (!w->calls && (!oldest || w->used < oldest->used))
			oldest = w;
	if (oldest)
		crew_end(oldest);
	return oldest;
}

struct worker *crew_worker(struct remote *r, const char *name)
{
	struct worker_label label;
	for (struct worker *w = r->workers; w; w = w->next)
		if (strcmp(w->label, name) == 0)
			return w;
	if (!make_label(r, name, &label) || !make_room(r))
		return NULL;
	struct worker *w = xnew(struct worker);
	if (worker_start(&label, &w->pid, &w->channel)) {
		free(w);
		return NULL;
	}
	w->remote = r;
	memcpy(w->label, name, strlen(name) + 1);
	w->watch = loop_fd_new(r->loop, w->channel, LOOP_READ, on_worker, w);
	w->next = r->workers;
	r->workers = w;
	r->stats.workers++;
	r->stats.workers_started++;
	loop_timer_set(r->sweep, SWEEP_MS);
	return w;
}
