/* busmon: every event of every daemon, as text or JSON lines. Daemons that start later are followed too. */
#include "cli/common/cli.h"
#include "lib/base/xalloc.h"
#include "lib/loop/loop.h"
#include <inttypes.h>
#include <signal.h>
#include <time.h>

enum { DAEMONS_MAX = 64, LOOK_MS = 500 };

struct monitor {
	const struct cli *cli;
	struct loop *loop;
	struct loop_timer *look;
	const char *const *topics;
	struct {
		char name[BUS_NAME_MAX + 1];
		struct bus_subscriber *events;
	} daemons[DAEMONS_MAX];
	unsigned n;
	struct json j;
};

static void time_text(uint64_t us, char out[64])
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	char text[32];
	(void)gmtime_r(&s, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out, 64, "%s.%06" PRIu64 "Z", text, us % 1000000);
}

static void json_event(struct json *j, const struct bus_event_info *i, const char *when, const ProtobufCMessage *m,
	const void *body, size_t len)
{
	json_open(j, '{');
	json_kv_str(j, "time", when);
	json_kv_str(j, "publisher", i->publisher);
	json_kv_str(j, "topic", i->topic);
	if (i->stack)
		json_kv_str(j, "stack", i->stack);
	json_key(j, "boot_id");
	char boot[20];
	(void)snprintf(boot, sizeof(boot), "%016" PRIx64, i->boot_id);
	json_str(j, boot);
	json_kv_u64(j, "seq", i->seq);
	if (i->lost)
		json_kv_u64(j, "lost", i->lost);
	if (i->restarted)
		json_kv_bool(j, "restarted", true);
	if (m) {
		json_key(j, "body");
		bus_json(j, m);
	} else if (body) {
		json_key(j, "raw");
		json_hex(j, body, len);
	}
	json_close(j, '}');
}

static void text_event(struct json *j, const struct bus_event_info *i, const char *when, const ProtobufCMessage *m)
{
	if (i->restarted)
		(void)printf("%s %s restarted\n", when, i->publisher);
	if (i->lost)
		(void)printf("%s %s %s: %" PRIu64 " events lost\n", when, i->publisher, cli_safe(i->topic), i->lost);
	if (m)
		bus_json(j, m);
	if (m || (!i->lost && !i->restarted))
		(void)printf("%s %s %s %s\n", when, i->publisher, cli_safe(i->topic), m ? j->buf : "");
}

static void on_event(void *arg, const struct bus_event_info *info, const void *body, size_t len)
{
	struct monitor *w = arg;
	struct errbuf e;
	char when[64];
	if (!body && !info->lost && !info->restarted)
		return; /* a publisher's first heartbeat */
	const ProtobufCMessageDescriptor *d = body ? cli_event_type(info->topic) : NULL;
	ProtobufCMessage *m = d ? bus_unpack(d, body, len, &e) : NULL;
	time_text(info->time_us, when);
	json_clear(&w->j);
	if (w->cli->json) {
		json_event(&w->j, info, when, m, body, len);
		(void)puts(w->j.buf);
	} else {
		text_event(&w->j, info, when, m);
	}
	if (fflush(stdout) != 0)
		loop_quit(w->loop); /* nobody reads any more */
	bus_unpack_free(m);
}

static void found(void *arg, const char *name)
{
	struct monitor *w = arg;
	for (unsigned i = 0; i < w->n; i++)
		if (!strcmp(w->daemons[i].name, name))
			return;
	if (w->n == DAEMONS_MAX)
		return;
	(void)snprintf(w->daemons[w->n].name, sizeof(w->daemons[0].name), "%s", name);
	w->daemons[w->n].events = bus_subscriber_new(w->loop, name, w->topics, on_event, w);
	w->n++;
}

static void look(void *arg)
{
	struct monitor *w = arg;
	bus_discover(found, w);
	loop_timer_set(w->look, LOOK_MS);
}

static void on_signal(void *arg, int signo)
{
	(void)signo;
	loop_quit(arg);
}

static int monitor(struct cli *c, int argc, char **argv)
{
	static const char *const all[] = {"", NULL};
	const char **topics = xcalloc((size_t)argc + 1, sizeof(*topics));
	for (int i = 0; i < argc; i++)
		topics[i] = argv[i];
	struct monitor w = {.cli = c, .loop = loop_new(), .topics = argc ? topics : all};
	json_init(&w.j);
	w.look = loop_timer_new(w.loop, look, &w);
	struct loop_signal *term = loop_signal_new(w.loop, SIGTERM, on_signal, w.loop);
	struct loop_signal *intr = loop_signal_new(w.loop, SIGINT, on_signal, w.loop);
	look(&w);
	int r = loop_run(w.loop);
	for (unsigned i = 0; i < w.n; i++)
		bus_subscriber_free(w.daemons[i].events);
	loop_signal_free(term);
	loop_signal_free(intr);
	loop_timer_free(w.look);
	loop_free(w.loop);
	json_fini(&w.j);
	free(topics);
	return r ? cli_fail(c, CLI_FAILED, "%s", strerror(-r)) : CLI_OK;
}

static const struct cli_command commands[] = {
	{"", "[TOPIC...]", "Prints the events whose topic begins with one of TOPIC; all that SAF lets you see without one.", 0, -1, monitor},
	{0},
};
static const struct cli_spec spec = {.name = "busmon", .summary = "print events of the bus", .commands = commands};

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return cli_main(&spec, argc, argv);
}
