/* stackctl top: what the stack does now. Rates are differences of counters over the interval, of the stack's own clock where it tells
 * one. On a terminal each picture replaces the last; elsewhere they follow each other. Rows that do not fit are left out. */
#include "cli/stackctl/stackctl.h"
#include "cli/stackctl/top.h"
#include "cli/stackctl/trace.h"
#include "proto/common.pb-c.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INTERVAL_MS = 1000 };

static void sample_free(struct sample *s)
{
	ProtobufCMessage *all[] = {(ProtobufCMessage *)s->links, (ProtobufCMessage *)s->counters, (ProtobufCMessage *)s->meters, (ProtobufCMessage *)s->sas,
		(ProtobufCMessage *)s->flows};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i])
			protobuf_c_message_free_unpacked(all[i], NULL);
	*s = (struct sample){0};
}

/* CLI_OK also when it is not for this user to see, as long as something else is. */
static int fetch(const struct top *t, const char *method, const ProtobufCMessageDescriptor *d, bool needed, ProtobufCMessage **ret)
{
	Common__Empty q = COMMON__EMPTY__INIT;
	struct errbuf e = {""};
	enum bus_code code = bus_client_call_sync(t->client, method, &q.base, d, t->c->timeout_ms, ret, &e);
	if (code == BUS_OK || (!needed && code == BUS_NOT_AUTHORIZED))
		return CLI_OK;
	return cli_fail(t->c, cli_exit_of(code), "%s", e.text);
}

static int sample(const struct top *t, struct sample *ret)
{
	ProtobufCMessage *m[5] = {NULL};
	int rc = fetch(t, "stack.Meters", &stack__meters_reply__descriptor, true, &m[2]);
	rc = rc ? rc : fetch(t, "stack.Counters", &stack__counters_reply__descriptor, true, &m[1]);
	rc = rc ? rc : fetch(t, "stack.Links", &stack__links_reply__descriptor, false, &m[0]);
	rc = rc ? rc : fetch(t, "stack.Sas", &stack__sas_reply__descriptor, false, &m[3]);
	rc = rc ? rc : fetch(t, "stack.Flows", &stack__flows_reply__descriptor, false, &m[4]);
	*ret = (struct sample){(Stack__LinksReply *)m[0], (Stack__CountersReply *)m[1], (Stack__MetersReply *)m[2], (Stack__SasReply *)m[3],
		(Stack__FlowsReply *)m[4]};
	return rc;
}

static bool operands(struct top *t, int argc, char **argv)
{
	uint64_t v;
	t->interval_ms = INTERVAL_MS;
	t->count = UINT64_MAX;
	for (int i = 0; i < argc; i++) {
		const char *name = argv[i] + (strncmp(argv[i], "--", 2) ? 0 : 2), *value = i + 1 < argc ? argv[i + 1] : "";
		if (!strcmp(name, "once")) {
			t->once = true;
			t->count = 1;
		} else if (!strcmp(name, "json")) {
			t->json = true;
		} else if (!strcmp(name, "interval")) {
			char *end;
			double s = strtod(value, &end);
			if (*end || end == value || !(s >= 0.1 && s <= 3600))
				return (void)cli_usage(t->c, "interval: '%s' is not from 0.1 to 3600 seconds", value), false;
			t->interval_ms = (uint64_t)(s * 1000);
			i++;
		} else if (!strcmp(name, "count") && cli_number(t->c, name, value, 1, 1000000000, &v)) {
			t->count = v;
			i++;
		} else {
			return (void)cli_usage(t->c, "'%s' is not known", argv[i]), false;
		}
	}
	return true;
}

/* One interval and its picture. */
static int turn(struct top *t)
{
	(void)poll(NULL, 0, (int)t->interval_ms); /* a signal, also that the window changed, ends it early */
	int rc = sample(t, &t->is);
	if (rc) {
		sample_free(&t->is);
		return rc;
	}
	double us = t->is.meters->now_us > t->was.meters->now_us ? (double)(t->is.meters->now_us - t->was.meters->now_us) : 1;
	t->seconds = us / 1e6;
	if (t->json)
		top_json(t);
	else
		top_picture(t);
	sample_free(&t->was);
	t->was = t->is;
	t->is = (struct sample){0};
	return fflush(stdout) ? CLI_FAILED : CLI_OK;
}

static void on_resize(int signo)
{
	(void)signo;
}

int stackctl_top(struct cli *c, int argc, char **argv)
{
	char daemon[BUS_NAME_MAX + 1];
	const char *term = getenv("TERM");
	struct top t = {.c = c, .json = c->json, .daemon = daemon};
	struct sigaction resized = {.sa_handler = on_resize};
	if (!operands(&t, argc, argv))
		return CLI_USAGE;
	int rc = cli_stack(c, daemon);
	if (rc)
		return rc;
	t.terminal = !t.json && !t.once && isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb");
	trace_signals();
	(void)sigaction(SIGWINCH, &resized, NULL);
	(void)setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	t.client = bus_client_new(NULL, daemon);
	if (t.terminal)
		(void)printf("\033[?7l"); /* long lines are cut */
	rc = sample(&t, &t.was);
	for (uint64_t i = 0; i < t.count && !rc && !trace_stopped(); i++)
		rc = turn(&t);
	if (t.terminal)
		(void)printf("\033[?7h");
	sample_free(&t.was);
	bus_client_free(t.client);
	return rc;
}
