/* rpcbindctl: what rpcbindD has registered, what it was asked, and what an operator may take out. Each command is one call and its
 * answer as a table, or as JSON. rpcinfo(8) shows the registry to everybody over its own protocol; this goes over the bus, under SAF. */
#include "cli/common/cli.h"
#include "lib/base/xalloc.h"
#include "lib/daemon/metrics.h"
#include "proto/common.pb-c.h"
#include "proto/rpcbind.pb-c.h"
#include <string.h>

enum { TRACE_SECONDS = 60, TRACE_SECONDS_MAX = 3600 };

static int done(ProtobufCMessage *m)
{
	protobuf_c_message_free_unpacked(m, NULL);
	return CLI_OK;
}

/* One call; *@ret is NULL when the answer was printed as JSON already. */
static int ask(const struct cli *c, const char *method, const ProtobufCMessage *q, const ProtobufCMessageDescriptor *d,
	ProtobufCMessage **ret)
{
	int rc = cli_call(c, "rpcbindD", method, q, d, ret);
	if (rc || !c->json)
		return rc;
	cli_json(*ret);
	(void)done(*ret);
	*ret = NULL;
	return CLI_OK;
}

/* The number of a program or version at @argv[@i]; true when there is none. */
static bool number_at(const struct cli *c, int argc, char **argv, int i, const char *what, uint32_t *ret, protobuf_c_boolean *ret_has)
{
	uint64_t v = 0;
	if (i >= argc)
		return true;
	if (!cli_number(c, what, argv[i], 0, UINT32_MAX, &v))
		return false;
	*ret = (uint32_t)v;
	*ret_has = true;
	return true;
}

static const char *or_dash(const char *text)
{
	return text && *text ? text : "-";
}

static void list_rows(struct cli_table *t, const Rpcbind__ListReply *r)
{
	for (size_t i = 0; i < r->n_registrations; i++) {
		const Rpcbind__Registration *e = r->registrations[i];
		cli_table_row(t, cli_u64(e->program), cli_u64(e->version), e->netid, e->address, or_dash(e->service), cli_u64(e->owner_uid),
			or_dash(e->owner), cli_u64(e->lookups), NULL);
	}
}

/* All pages: as one table, or one JSON array. */
static int run_list(struct cli *c, int argc, char **argv)
{
	Rpcbind__ListRequest q = RPCBIND__LIST_REQUEST__INIT;
	if (!number_at(c, argc, argv, 0, "program", &q.program, &q.has_program))
		return CLI_USAGE;
	struct cli_table *t = c->json ? NULL : cli_table_new("PROGRAM", "VERSION", "NETID", "ADDRESS", "SERVICE", "UID", "OWNER", "LOOKUPS", NULL);
	struct json j;
	int rc;
	json_init(&j);
	json_open(&j, '[');
	do {
		ProtobufCMessage *m = NULL;
		rc = cli_call(c, "rpcbindD", "rpcbind.List", &q.base, &rpcbind__list_reply__descriptor, &m);
		if (rc)
			break;
		const Rpcbind__ListReply *r = (const Rpcbind__ListReply *)m;
		for (size_t i = 0; c->json && i < r->n_registrations; i++)
			bus_json(&j, &r->registrations[i]->base);
		if (t)
			list_rows(t, r);
		q.has_after = r->has_next;
		q.after = r->next;
		(void)done(m);
	} while (q.has_after);
	json_close(&j, ']');
	if (c->json && !rc)
		(void)puts(j.buf);
	json_fini(&j);
	if (t)
		cli_table_end(t);
	return rc;
}

static int run_stat(struct cli *c, int argc, char **argv)
{
	Common__Empty q = COMMON__EMPTY__INIT;
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = ask(c, "rpcbind.Stat", &q.base, &rpcbind__stat_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Rpcbind__StatReply *r = (const Rpcbind__StatReply *)m;
	struct cli_table *t = cli_table_new("VERSION", "PROCEDURE", "CALLS", NULL);
	for (size_t i = 0; i < r->n_procedures; i++)
		cli_table_row(t, cli_u64(r->procedures[i]->version), r->procedures[i]->name, cli_u64(r->procedures[i]->calls), NULL);
	cli_table_end(t);
	if (!r->n_misses)
		return done(m);
	(void)puts("\nAsked for and not there:");
	t = cli_table_new("VERSION", "PROGRAM", "ITS-VERSION", "NETID", "TIMES", NULL);
	for (size_t i = 0; i < r->n_misses; i++) {
		const Rpcbind__StatReply__Miss *s = r->misses[i];
		cli_table_row(t, cli_u64(s->version), cli_u64(s->program), cli_u64(s->program_version), or_dash(s->netid),
			cli_u64(s->failures), NULL);
	}
	cli_table_end(t);
	return done(m);
}

static int run_unset(struct cli *c, int argc, char **argv)
{
	Rpcbind__UnsetRequest q = RPCBIND__UNSET_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	if (!number_at(c, argc, argv, 0, "program", &q.program, &q.has_program) ||
		!number_at(c, argc, argv, 1, "version", &q.version, &q.has_version))
		return CLI_USAGE;
	q.netid = argc > 2 ? argv[2] : NULL;
	int rc = ask(c, "rpcbind.Unset", &q.base, &rpcbind__unset_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	(void)printf("%u removed\n", ((const Rpcbind__UnsetReply *)m)->removed);
	return done(m);
}

static int run_trace(struct cli *c, int argc, char **argv)
{
	Rpcbind__TraceRequest q = RPCBIND__TRACE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	uint64_t seconds = TRACE_SECONDS;
	if (!strcmp(argv[0], "off") && argc == 1)
		seconds = 0;
	else if (strcmp(argv[0], "on"))
		return cli_usage(c, "found '%s'; allowed: on [SECONDS], off", argv[0]);
	if (argc > 1 && !cli_number(c, "seconds", argv[1], 1, TRACE_SECONDS_MAX, &seconds))
		return CLI_USAGE;
	q.has_seconds = true;
	q.seconds = (uint32_t)seconds;
	int rc = ask(c, "rpcbind.Trace", &q.base, &rpcbind__trace_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	uint32_t given = ((const Rpcbind__TraceReply *)m)->seconds;
	if (given)
		(void)printf("calls are events rpcbind.call for %u seconds: busmon rpcbind.call\n", given);
	else
		(void)puts("trace is off");
	return done(m);
}

static int run_stats(struct cli *c, int argc, char **argv)
{
	Common__Empty q = COMMON__EMPTY__INIT;
	ProtobufCMessage *m = NULL;
	if (argc && strcmp(argv[0], "--openmetrics"))
		return cli_usage(c, "'%s' is not --openmetrics", argv[0]);
	int rc = ask(c, "common.Stats", &q.base, &common__stats_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Common__StatsReply *r = (const Common__StatsReply *)m;
	if (argc) {
		metrics_print(r, NULL, stdout);
		return done(m);
	}
	struct cli_table *t = cli_table_new("NAME", "VALUE", "WHAT", NULL);
	for (size_t i = 0; i < r->n_stats; i++)
		cli_table_row(t, r->stats[i]->name, cli_u64(r->stats[i]->value), r->stats[i]->help, NULL);
	cli_table_end(t);
	return done(m);
}

static const struct cli_command commands[] = {
	{"list", "[PROGRAM]", "registrations, in their order", 0, 1, run_list},
	{"stat", "", "procedures called, by version; what was asked for in vain", 0, 0, run_stat},
	{"unset", "PROGRAM VERSION [NETID]", "take registrations out, whoever owns them", 2, 3, run_unset},
	{"trace", "on [SECONDS] | off", "publish each call as an event rpcbind.call", 1, 2, run_trace},
	{"stats", "[--openmetrics]", "figures of the daemon", 0, 1, run_stats},
	{0},
};

int main(int argc, char **argv)
{
	static const struct cli_spec spec = {.name = "rpcbindctl", .summary = "show and steer the registry of RPC servers", .commands = commands};
	return cli_main(&spec, argc, argv);
}
