/* defmgrctl watch: one line for each filter that is added, updated, deleted or expires, and for each stack that comes and goes; with --every,
 * how often filters matched meanwhile, as the stack counts. Until it is ended. */
#include "cli/defmgrctl/ctl.h"
#include "lib/loop/loop.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WATCHED_MAX = 1000, LIST_MS = 3000 };

/* A filter of which the matches are known. */
struct counted {
	uint64_t id, matches;
};

struct watch {
	struct ctl *ctl;
	struct loop *loop;
	struct bus_client *client; /* asynchronous */
	struct bus_subscriber *events;
	struct loop_timer *timer, *silent;
	struct counted before[4 * WATCHED_MAX];
	size_t nbefore;
	bool heard, first;
};

static void print_json(const char *what, uint64_t us, const ProtobufCMessage *m, uint64_t lost)
{
	struct json j;
	json_init(&j);
	json_open(&j, '{');
	json_kv_str(&j, "event", what);
	json_kv_u64(&j, "time_us", us);
	if (lost)
		json_kv_u64(&j, "lost", lost);
	if (m) {
		json_key(&j, "body");
		bus_json(&j, m);
	}
	json_close(&j, '}');
	(void)puts(j.buf);
	json_fini(&j);
}

static void print_filter(const char *what, uint64_t us, const Defmgr__Filter *f, const char *by)
{
	char when[32];
	ctl_time(us, when);
	(void)printf("%s %-8s %-6s %s %s %s > %s %s", when, what, f->stack ? f->stack : "*ALL*", f->name,
		f->mode == DEFMGR__FILTER__MODE__SIMULATE ? "simulate" : "block", f->source, f->destination, f->protocol);
	if (strcmp(what, "matched"))
		(void)printf(" %u min", f->lifetime_min);
	else
		(void)printf(" %" PRIu64 " matches", f->matches);
	(void)printf(" by %s", by && *by ? by : f->user && *f->user ? f->user : "-");
	if (f->rule)
		(void)printf(" rule %s: %s (%u)", f->rule, f->event ? f->event : "", f->events);
	(void)putchar('\n');
}

static void print_event(const struct watch *w, const struct bus_event_info *i, const void *body, size_t len)
{
	bool filter = !strncmp(i->topic, "defmgr.filter.", 14), stack = !strncmp(i->topic, "defmgr.stack.", 13);
	const char *what = strrchr(i->topic, '.') + 1;
	struct errbuf e;
	ProtobufCMessage *m = NULL;
	char when[32];
	ctl_time(i->time_us, when);
	if (filter || stack)
		m = bus_unpack(filter ? &defmgr__filter_event__descriptor : &defmgr__stack_event__descriptor, body, len, &e);
	if (!m)
		return;
	const Defmgr__FilterEvent *f = (const Defmgr__FilterEvent *)m;
	const Defmgr__StackEvent *s = (const Defmgr__StackEvent *)m;
	if (w->ctl->json)
		print_json(i->topic + 7, i->time_us, m, i->lost);
	else if (stack)
		(void)printf("%s stack    %-6s %s, %u filters\n", when, s->stack ? s->stack : "", what, s->filters);
	else if (f->filter)
		print_filter(what, i->time_us, f->filter, strcmp(what, "expired") ? f->by : "its lifetime");
	bus_unpack_free(m);
}

static void on_event(void *arg, const struct bus_event_info *i, const void *body, size_t len)
{
	struct watch *w = arg;
	w->heard = true;
	if (i->lost && !w->ctl->json)
		(void)printf("(%" PRIu64 " events of %s were missed)\n", i->lost, i->topic);
	else if (i->lost)
		print_json("lost", i->time_us, NULL, i->lost);
	if (body)
		print_event(w, i, body, len);
	(void)fflush(stdout);
}

static uint64_t matches_before(const struct watch *w, uint64_t id)
{
	for (size_t i = 0; i < w->nbefore; i++)
		if (w->before[i].id == id)
			return w->before[i].matches;
	return 0;
}

static void listed(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct watch *w = arg;
	static struct counted now[4 * WATCHED_MAX];
	size_t n = 0;
	if (code != BUS_OK) {
		(void)ctl_complain(text ? text : "no answer");
	} else {
		const Defmgr__ListReply *r = (const Defmgr__ListReply *)reply;
		for (size_t i = 0; i < r->n_filters && n < 4 * WATCHED_MAX; i++) {
			Defmgr__Filter *f = r->filters[i];
			if (!f->has_matches)
				continue;
			now[n++] = (struct counted){f->id, f->matches};
			uint64_t us = f->updated_us, before = matches_before(w, f->id);
			struct timespec ts;
			if (w->first || f->matches <= before)
				continue;
			(void)clock_gettime(CLOCK_REALTIME, &ts);
			us = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
			f->matches -= before;
			if (w->ctl->json)
				print_json("filter.matched", us, &f->base, 0);
			else
				print_filter("matched", us, f, NULL);
		}
		memcpy(w->before, now, n * sizeof(*now));
		w->nbefore = n;
		w->first = false;
	}
	(void)fflush(stdout);
	loop_timer_set(w->timer, w->ctl->every_s * 1000u);
}

static void look(void *arg)
{
	struct watch *w = arg;
	Defmgr__ListRequest m = DEFMGR__LIST_REQUEST__INIT;
	m.stack = w->ctl->stack;
	m.has_limit = true;
	m.limit = WATCHED_MAX;
	bus_client_call(w->client, "defmgr.List", &m.base, &defmgr__list_reply__descriptor, LIST_MS, listed, w);
}

/* Nothing at all, not even a heartbeat: whoever may hear anything hears one each second. */
static void silent(void *arg)
{
	struct watch *w = arg;
	if (!w->heard)
		(void)ctl_complain("nothing is heard of defmgrD: it is not running, or READ to EZB.NETMGMT.{sysname}.DEFMGRD.EVENTS is missing");
}

static void ended(void *arg, int signo)
{
	(void)signo;
	loop_quit(((struct watch *)arg)->loop);
}

int ctl_watch(struct ctl *c)
{
	static const char *const topics[] = {"defmgr.filter.", "defmgr.stack.", "defmgr.heartbeat", NULL};
	static struct watch w;
	w = (struct watch){.ctl = c, .loop = loop_new(), .first = true};
	w.events = bus_subscriber_new(w.loop, "defmgrD", topics, on_event, &w);
	w.client = bus_client_new(w.loop, "defmgrD");
	w.timer = loop_timer_new(w.loop, look, &w);
	w.silent = loop_timer_new(w.loop, silent, &w);
	struct loop_signal *term = loop_signal_new(w.loop, SIGTERM, ended, &w), *intr = loop_signal_new(w.loop, SIGINT, ended, &w);
	loop_timer_set(w.silent, 4000);
	if (c->every_s)
		loop_timer_set(w.timer, 1);
	(void)loop_run(w.loop);
	loop_signal_free(term);
	loop_signal_free(intr);
	loop_timer_free(w.timer);
	loop_timer_free(w.silent);
	bus_subscriber_free(w.events);
	bus_client_free(w.client);
	loop_free(w.loop);
	return DONE;
}
