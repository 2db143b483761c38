/* bench_ids: what intrusion detection costs.
 *
 *   ids.cost, .tcp     forwarding in memory, UDP of 64 bytes and TCP segments, with conf/policy/ids.policy in force; the peer is the same
 *                      stack without a policy, measured in turn. At least 0.9 is asked for
 *   ids.flood          SYNs of invented sources to one port a second, each answered with a challenge or dropped, one core
 *
 * Medians of nine runs over 256 flows. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/worker.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu-qsbr.h>

enum { FLOWS = 256, RUNS = 9, LEN = 64, CONTROL_MS = 20 };
static const double run_seconds = 0.2;

static uint8_t templates[FLOWS][LEN];
static unsigned next_flow;
static uint64_t sent, taken;
static bool invented;
static uint32_t lcg = 1;

static unsigned source(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	if (!arg)
		return 0;
	for (unsigned i = 0; i < max; i++) {
		struct pkt *p = pkt_alloc(pool);
		p->len = LEN;
		memcpy(pkt_data(p), templates[next_flow++ % FLOWS], LEN);
		if (invented) {
			lcg = lcg * 1664525 + 1013904223;
			ip_put32(pkt_data(p) + 12, 0x0b000000u | (lcg >> 8 & 0xffffff));
			ip4_checksum(pkt_data(p));
		}
		p->ethertype = ETHER_IP4;
		out[i] = p;
	}
	taken += max;
	return max;
}

static void sink(void *arg, const struct pkt *p)
{
	(void)arg;
	(void)p;
	sent++;
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct addr parse(const char *text)
{
	struct addr a;
	if (addr_parse(text, &a))
		abort();
	return a;
}

static void fill(uint8_t proto, uint8_t flags)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct addr src = parse("192.0.2.9"), dst = parse("203.0.113.0");
		uint8_t *b = templates[i];
		memset(b, 0, LEN);
		dst.b[3] = flags == 2 ? 5 : (uint8_t)i;
		ip4_write(b, &src, &dst, proto, 64, 0, LEN, (uint16_t)i, true);
		ip_put16(b + 20, 1000 + i);
		ip_put16(b + 22, 2000);
		if (proto == IP_UDP)
			ip_put16(b + 24, LEN - 20);
		b[32] = proto == IP_TCP ? 0x50 : 0;
		b[33] = proto == IP_TCP ? flags : 0;
	}
}

static struct stack *make(void)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct errbuf e = {""};
	struct fib_route r = {.dst = {parse("203.0.113.0"), 24}, .kind = FIB_GATEWAY, .link = 1, .gateway = parse("198.51.100.254")};
	struct stack *s = stack_new("BENCH", 1);
	s->n_links = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct link *l = &s->links[i];
		(void)snprintf(l->name, sizeof(l->name), "L%u", i);
		l->type = LINK_MEMORY;
		l->ethernet = true;
		l->addrs[0] = (struct prefix){parse(i ? "198.51.100.1" : "192.0.2.1"), 24};
		l->n_addrs = 1;
		l->memory = (struct link_memory){source, sink, i ? NULL : l};
	}
	if (stack_open(s, &e) || stack_routes(s, &r, 1, &e)) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	struct addr gateway = parse("198.51.100.254");
	(void)neigh_hear(s->neigh, 1, &gateway, mac, NEIGH_ASKED, 1);
	return s;
}

static void hear(void *arg, const struct ids_report_out *r)
{
	(void)arg;
	(void)r;
}

static double run(struct stack *s, uint64_t *count)
{
	double start = seconds(), now = start;
	uint64_t control_ms = 0;
	*count = 0;
	while ((now = seconds()) - start < run_seconds) {
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
	struct stack *s = make();
	for (unsigned i = 0; i < RUNS; i++) {
		ids_apply(s->ids, NULL);
		off[i] = run(s, &sent);
		ids_apply(s->ids, p);
		on[i] = run(s, &sent);
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
	struct stack *s = make();
	ids_apply(s->ids, p);
	invented = true;
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
