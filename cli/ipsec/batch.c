/* ipsec --batch: commands from standard input, one a line ("-F add srcip ... -N x"; a leading "ipsec" is allowed, '#' begins a
 * comment). Adds are collected: up to 500 filters a request, up to 8 requests on their way. A request is all or nothing, so
 * the message about a refused one names its lines and the filter that was at fault. Any other command runs alone, after the adds
 * before it. */
#include "cli/ipsec/run.h"
#include "cli/ipsec/words.h"
#include "lib/base/xalloc.h"
#include <ctype.h>

enum { GROUP_MAX = 500, CALLS_MAX = 8, BATCH_DEADLINE_MS = 30000 };

struct line {
	struct words words;
	struct ipsec_command cmd;
};

struct group {
	struct line lines[GROUP_MAX];
	unsigned n;
	unsigned long first, last; /* line numbers */
};

struct batch {
	struct loop *loop;
	struct bus_client *client;
	struct group *group; /* being filled */
	unsigned calls;
	unsigned long added, refused;
	int worst;
};

struct sent {
	struct batch *batch;
	unsigned long first, last;
	unsigned n;
};

static void worse(struct batch *b, int rc)
{
	if (rc > b->worst)
		b->worst = rc;
}

static void answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct sent *s = arg;
	struct batch *b = s->batch;
	(void)reply;
	b->calls--;
	if (code == BUS_OK) {
		b->added += s->n;
	} else {
		b->refused += s->n;
		(void)fprintf(stderr, "ipsec: lines %lu-%lu: none of their filters was added\n", s->first, s->last);
		worse(b, run_failed(code, text));
	}
	free(s);
}

static void wait_for(struct batch *b, unsigned most)
{
	while (b->calls > most)
		(void)loop_run_once(b->loop, 100);
}

static void group_clear(struct group *g)
{
	for (unsigned i = 0; i < g->n; i++)
		words_free(&g->lines[i].words);
	g->n = 0;
}

static void send_group(struct batch *b)
{
	struct group *g = b->group;
	if (!g->n)
		return;
	Defmgr__AddRequest m = DEFMGR__ADD_REQUEST__INIT;
	Defmgr__Filter *filters[GROUP_MAX];
	const struct ipsec_command *c = &g->lines[0].cmd;
	for (unsigned i = 0; i < g->n; i++)
		filters[i] = &g->lines[i].cmd.filter;
	m.stack = c->global ? NULL : (char *)c->stack;
	m.n_filters = g->n;
	m.filters = filters;
	wait_for(b, CALLS_MAX - 1);
	struct sent *s = xnew(struct sent);
	*s = (struct sent){b, g->first, g->last, g->n};
	b->calls++;
	bus_client_call(b->client, c->global ? "defmgr.AddGlobal" : "defmgr.Add", &m.base, &defmgr__add_reply__descriptor,
		BATCH_DEADLINE_MS, answered, s);
	group_clear(g);
}

static bool same_scope(const struct ipsec_command *a, const struct ipsec_command *b)
{
	return a->global == b->global && !strcmp(a->stack, b->stack);
}

static void take_add(struct batch *b, struct line *l, unsigned long number)
{
	struct group *g = b->group;
	if (g->n && (g->n == GROUP_MAX || !same_scope(&g->lines[0].cmd, &l->cmd)))
		send_group(b);
	if (!g->n)
		g->first = number;
	g->last = number;
	g->lines[g->n++] = *l;
}

/* One line that holds a command. */
static void take_line(struct batch *b, const char *text, size_t len, unsigned long number, char default_stack[9])
{
	struct line l;
	struct errbuf e;
	int rc = words_split(text, len, &l.words, &e);
	if (!rc) {
		rc = ipsec_parse(l.words.word + (l.words.count && !strcmp(l.words.word[0], "ipsec")), &l.cmd, &e);
		if (rc)
			words_free(&l.words);
	}
	if (rc) {
		(void)fprintf(stderr, "ipsec: line %lu: %s\n", number, e.text);
		b->refused++;
		worse(b, RUN_USAGE);
		return;
	}
	if (l.cmd.primary == IPSEC_DEFENCE && !l.cmd.stack[0] && !l.cmd.global) {
		if (default_stack[0])
			memcpy(l.cmd.stack, default_stack, sizeof(l.cmd.stack));
		else
			worse(b, run_default_stack(&l.cmd, true));
		memcpy(default_stack, l.cmd.stack, sizeof(l.cmd.stack));
	}
	if (l.cmd.primary == IPSEC_DEFENCE && l.cmd.function == IPSEC_ADD) {
		take_add(b, &l, number);
		return;
	}
	send_group(b);
	wait_for(b, 0);
	worse(b, run_command(&l.cmd));
	words_free(&l.words);
}

int run_batch(FILE *in)
{
	struct batch b = {.loop = loop_new(), .group = xnew(struct group)};
	char *text = NULL, default_stack[9] = "";
	size_t cap = 0;
	ssize_t n;
	b.client = bus_client_new(b.loop, "defmgrD");
	for (unsigned long number = 1; (n = getline(&text, &cap, in)) >= 0; number++) {
		size_t len = (size_t)n;
		while (len && isspace((unsigned char)text[len - 1]))
			len--;
		size_t at = 0;
		while (at < len && isspace((unsigned char)text[at]))
			at++;
		if (at < len && text[at] != '#')
			take_line(&b, text + at, len - at, number, default_stack);
	}
	send_group(&b);
	wait_for(&b, 0);
	(void)printf("%lu filters added, %lu refused\n", b.added, b.refused);
	bus_client_free(b.client);
	loop_free(b.loop);
	free(b.group);
	free(text);
	return b.worst;
}
