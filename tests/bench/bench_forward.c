/* bench_forward: packets a second.
 *
 *   forward.mem.64, .1400           in memory: parse, route, neighbour, one core, no system call
 *   forward.mem.64.filter, ...      the same with IPSECURITY and a permitting rule
 *   forward.mem.64.watched          the same while a trace of another flow runs, beside the same without
 *   forward.veth.DRIVER.64, .1400   between two veth pairs in namespaces, beside the kernel's own forwarding (forward_veth.py)
 *   forward.cpu.DRIVER.64, .1400    processor time for each of those packets
 *
 * Medians of seven runs (veth: five) over 256 flows. */
#include "daemons/stack-core/ip/parse.h"
#include "tests/bench/memory.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu-qsbr.h>

enum { RUNS = 7 };
static const double run_seconds = 0.25;

static void fill(uint32_t len)
{
	memory.len = len;
	for (unsigned i = 0; i < MEMORY_FLOWS; i++)
		(void)memory_packet(i, IP_UDP, (uint8_t)i, false);
}

static struct stack *make(bool filters)
{
	struct errbuf e = {""};
	struct stack *s = memory_stack(MEMORY_INSIDE, filters);
	struct filter_spec rules[2];

	filter_spec_init(&rules[0], 4, true);
	filter_spec_init(&rules[1], 4, false);
	memcpy(rules[0].name, "permit", 7);
	memcpy(rules[1].name, "permit", 7);
	rules[0].action = rules[1].action = FILTER_PERMIT;
	rules[0].scope = rules[1].scope = PKT_LOCAL | PKT_ROUTED;
	struct filter_install in = {.rules = rules, .n = 2, .loaded = true};
	if (filter_install(s->filters, FILTER_PROFILE, &in, &e)) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	return s;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* The median rate; @watched: while a trace wants packets that never come. */
static double rate_of(uint32_t len, bool filters, bool watched)
{
	double rates[RUNS];
	struct stack *s = make(filters);

	struct tap_spec other = {.host = {memory_addr("198.51.100.77"), 32}, .proto = TAP_PROTO_ANY, .link = -1, .stages = TAP_ANY_STAGE};
	struct errbuf e;
	if (watched && taps_add(s->taps, &other, 1, &e) < 0)
		exit(1);
	fill(len);
	for (unsigned i = 0; i < RUNS; i++) {
		double start = memory_seconds(), now = start;
		memory.sent = 0;
		while ((now = memory_seconds()) - start < run_seconds) {
			for (unsigned k = 0; k < 16; k++)
				(void)worker_round(s->workers[0], 1000, 1000000);
			rcu_quiescent_state();
		}
		rates[i] = (double)memory.sent / (now - start);
	}
	qsort(rates, RUNS, sizeof(rates[0]), by_value);
	stack_free(s);
	return rates[RUNS / 2];
}

static void measure(const char *name, uint32_t len, bool filters)
{
	printf("%s\t%.2f\tMpps\t-\t-\t-\n", name, rate_of(len, filters, false) / 1e6);
}

static void measure_watched(const char *name)
{
	double without = rate_of(64, true, false), with = rate_of(64, true, true);

	printf("%s\t%.2f\tMpps\tunwatched\t%.2f\t%.2f\n", name, with / 1e6, without / 1e6, with / without);
}

int main(int argc, char **argv)
{
	(void)argc;
	rcu_register_thread();
	measure("forward.mem.64", 64, false);
	measure("forward.mem.1400", 1400, false);
	measure("forward.mem.64.filter", 64, true);
	measure("forward.mem.1400.filter", 1400, true);
	measure_watched("forward.mem.64.watched");
	rcu_unregister_thread();
	fflush(stdout);
	if (geteuid() == 0)
		execl("/usr/bin/python3", "python3", FORWARD_VETH, argv[0], (char *)NULL);
	return 0;
}
