/* top: two samples of a stack and what lies between them. top.c takes them, top_rates.c divides, top_show.c and top_json.c print. */
#pragma once
#include "cli/common/cli.h"
#include "proto/stack.pb-c.h"

/* What the stack says at one moment; NULL: not allowed to see it. */
struct sample {
	Stack__LinksReply *links;
	Stack__CountersReply *counters;
	Stack__MetersReply *meters;
	Stack__SasReply *sas;
	Stack__FlowsReply *flows;
};

struct top {
	const struct cli *c;
	struct bus_client *client;
	const char *daemon;
	struct sample was, is;
	double seconds; /* between them */
	bool json, terminal, once;
	uint64_t interval_ms, count;
	unsigned rows; /* of the terminal; 0: any number */
};

/* --- rates --- */
struct load {
	uint32_t worker;
	double busy, packets, batch, mean_ns, p50_ns, p99_ns;
};

struct traffic {
	double rx, rx_bits, tx, tx_bits, lost;
};

struct flow {
	const Stack__Sa *sa;
	double packets, bits;
};

struct dropped {
	const Stack__Counter *counter;
	double packets;
};

struct load top_load(const struct top *t, size_t worker);
struct traffic top_traffic(const struct top *t, const Stack__Link *is);
/* Security associations, the busiest first; how many. The caller frees *@ret. */
size_t top_flows(const struct top *t, struct flow **ret);
/* Reasons that dropped something since the start, the busiest first; likewise. */
size_t top_drops(const struct top *t, struct dropped **ret);

void top_picture(struct top *t);
void top_json(const struct top *t);
