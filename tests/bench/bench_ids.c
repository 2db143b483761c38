/* bench_ids: what intrusion detection costs.
 *
 *   ids.cost, .tcp     forwarding in memory, UDP of 64 bytes and TCP segments, with conf/policy/ids.policy in force; the peer is the same
 *                      stack without a policy, measured in turn. At least 0.9 is asked for
 *   ids.flood          SYNs of invented sources to one port a second, each answered with a challenge or dropped, one core
 *
 * Medians of nine runs over 256 flows. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/bench/memory.h"
#include <stdlib.h>
#include <urcu-qsbr.h>

enum { RUNS = 9, LEN = 64, CONTROL_MS = 20 };
static const double run_seconds = 0.2;

static uint64_t taken;
static uint32_t lcg = 1;

static void invent(uint8_t *packet)
{
	lcg = lcg * 1664525 + 1013904223;
	ip_put32(packet + 12, 0x0b000000u | (lcg >> 8 & 0xffffff));
	ip4_checksum(packet);
	taken++;
}

static void fill(uint8_t proto, uint8_t flags)
{
	memory.len = LEN;
	for (unsigned i = 0; i < MEMORY_FLOWS; i++) {
		uint8_t *b = memory_packet(i, proto, flags == 2 ? 5 : (uint8_t)i, false);
		b[32] = proto == IP_TCP ? 0x50 : 0;
		b[33] = proto == IP_TCP ? flags : 0;
	}
}

static void hear(void *arg, const struct ids_report_out *r)
{
	(void)arg;
	(void)r;
}

static double run(struct stack *s, uint64_t *count)
{
	double start = memory_seconds(), now = start;
	uint64_t control_ms = 0;
	*count = 0;
	while ((now = memory_seconds()) - start < run_seconds) {
		uint64_t ms = 1000000 + (uint64_t)(now * 1000);
		for (unsigned k = 0; k < 16; k++)
			(void)worker_round(s->workers[0], ms, ms * 1000);
		rcu_quiescent_state();
		if (ms >= control_ms + CONTROL_MS) { /* on a thread of its own in the daemon */
			ids_control(s->ids, ms, ms * 1000, hear, NULL);
			control_ms = ms;
		}
	}
	return (double)*count / (now - start) / 1e6;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void compare(const char *name, const struct ids_policy *p)
{
	double on[RUNS], off[RUNS], ratio[RUNS];
	struct stack *s = memory_stack(MEMORY_INSIDE, false);
	for (unsigned i = 0; i < RUNS; i++) {
		ids_apply(s->ids, NULL);
		off[i] = run(s, &memory.sent);
		ids_apply(s->ids, p);
		on[i] = run(s, &memory.sent);
		ratio[i] = on[i] / off[i];
	}
	qsort(on, RUNS, sizeof(double), by_value);
	qsort(off, RUNS, sizeof(double), by_value);
	qsort(ratio, RUNS, sizeof(double), by_value);
	printf("%s\t%.2f\tMpps\twithout policy\t%.2f\t%.2f\n", name, on[RUNS / 2], off[RUNS / 2], ratio[RUNS / 2]);
	ids_apply(s->ids, NULL);
	stack_free(s);
}

static void flood(const struct ids_policy *p)
{
	double rates[RUNS];
	struct ids_counts c;
	struct stack *s = memory_stack(MEMORY_INSIDE, false);
	ids_apply(s->ids, p);
	memory.alter = invent;
	for (unsigned i = 0; i < RUNS; i++)
		rates[i] = run(s, &taken);
	ids_counts(s->ids, &c);
	if (c.challenged * 10 < taken * 9)
		exit(1); /* it was no flood, and the figure means nothing */
	qsort(rates, RUNS, sizeof(double), by_value);
	printf("ids.flood\t%.2f\tMpps\t-\t-\t-\n", rates[RUNS / 2]);
	ids_apply(s->ids, NULL);
	stack_free(s);
}

int main(void)
{
	struct errbuf e = {""};
	struct ids_policy *p = NULL;
	rcu_register_thread();
	if (ids_policy_load(IDS_POLICY, &e, &p)) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	fill(IP_UDP, 0);
	compare("ids.cost", p);
	fill(IP_TCP, 16);
	compare("ids.cost.tcp", p);
	fill(IP_TCP, 2);
	flood(p);
	ids_policy_free(p);
	rcu_unregister_thread();
	return 0;
}
