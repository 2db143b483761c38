/* stackctl ids: attacks, scans, floods and regulated ports of a stack, as netstat -k shows them on z/OS. */
#include "cli/stackctl/stackctl.h"
#include "proto/stack.pb-c.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void types(const Stack__IdsReply *r)
{
	struct cli_table *t = cli_table_new("ATTACK TYPE", "RULE", "ACTION", "DETECTED", "DISCARDED", "LOGGED", "SUPPRESSED", NULL);
	for (size_t i = 0; i < r->n_types; i++) {
		const Stack__IdsType *m = r->types[i];
		cli_table_row(t, m->type, m->rule && *m->rule ? m->rule : "-", m->action, cli_u64(m->detected), cli_u64(m->discarded),
			cli_u64(m->logged), cli_u64(m->suppressed), NULL);
	}
	cli_table_end(t);
}

static void pools(const Stack__IdsReply *r)
{
	struct cli_table *t = cli_table_new("PROT", "ADDRESS", "PORT", "RULE", "USED", "TOTAL", "PERCENT", "STATE", "ACTION", "REFUSED", NULL);
	for (size_t i = 0; i < r->n_pools; i++) {
		const Stack__IdsPool *m = r->pools[i];
		cli_table_row(t, m->protocol, m->address ? m->address : "*", cli_u64(m->port), m->rule, cli_u64(m->used), cli_u64(m->total),
			cli_u64(m->percentage), m->constrained ? "Constrained" : "Normal", m->limit ? "Limit" : "NoLimit",
			cli_u64(m->refused), NULL);
	}
	cli_table_end(t);
}

static void scanners(const Stack__IdsReply *r)
{
	struct cli_table *t = cli_table_new("SOURCE", "FAST", "SLOW", "REPORTED", NULL);
	for (size_t i = 0; i < r->n_scanners; i++) {
		const Stack__IdsScanner *m = r->scanners[i];
		cli_table_row(t, m->source, cli_u64(m->fast), cli_u64(m->slow), m->reported ? "yes" : "no", NULL);
	}
	cli_table_end(t);
}

static void floods(const Stack__IdsReply *r)
{
	struct cli_table *t = cli_table_new("FLOODED", "PORT", "DROPPED", NULL);
	for (size_t i = 0; i < r->n_floods; i++)
		cli_table_row(t, r->floods[i]->address, cli_u64(r->floods[i]->port), cli_u64(r->floods[i]->dropped), NULL);
	cli_table_end(t);
}

static void summary(const Stack__IdsReply *r)
{
	(void)printf("Policy: %s, %u rules\nScan detection: %llu events, %llu fast and %llu slow scans, %u sources, %llu forgotten\n"
		     "Packets traced: %llu, not traced for lack of room: %llu; records lost: %llu\n\n",
		r->policy ? "Active" : "None", r->rules, (unsigned long long)r->scan_events, (unsigned long long)r->scans_fast,
		(unsigned long long)r->scans_slow, r->sources, (unsigned long long)r->evicted, (unsigned long long)r->traced,
		(unsigned long long)r->trace_lost, (unsigned long long)r->records_lost);
	types(r);
	if (r->n_floods) {
		(void)printf("\n");
		floods(r);
	}
	if (r->n_scanners) {
		(void)printf("\n");
		scanners(r);
	}
}

int stackctl_ids(struct cli *c, int argc, char **argv)
{
	Stack__IdsRequest q = STACK__IDS_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	bool protocol = argc && !strcasecmp(argv[0], "protocol");
	if (argc && !protocol && (strcasecmp(argv[0], "summary") || argc > 1))
		return cli_usage(c, "'%s' is none of summary, protocol", argv[argc > 1 ? 1 : 0]);
	if (argc == 2 && strcasecmp(argv[1], "TCP") && strcasecmp(argv[1], "UDP"))
		return cli_usage(c, "'%s' is none of TCP, UDP", argv[1]);
	if (argc == 2)
		q.protocol = argv[1];
	int rc = stackctl_call(c, "stack.Ids", &q.base, &stack__ids_reply__descriptor, &m);
	if (rc)
		return rc;
	const Stack__IdsReply *r = (const Stack__IdsReply *)m;
	if (c->json)
		cli_json(m);
	else if (protocol)
		pools(r);
	else
		summary(r);
	return stackctl_done(m);
}
