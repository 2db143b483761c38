/* bench_forward: packets a second.
 *
 *   forward.mem.64, .1400           in memory: parse, route, neighbour, one core, no system call
 *   forward.mem.64.filter, ...      the same with IPSECURITY and a permitting rule
 *   forward.mem.64.watched          the same while a trace of another flow runs, beside the same without
 *   forward.veth.DRIVER.64, .1400   between two veth pairs in namespaces, beside the kernel's own forwarding (forward_veth.py)
 *   forward.cpu.DRIVER.64, .1400    processor time for each of those packets
 *
 * Medians of seven runs (veth: five) over 256 flows. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/worker.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

enum { FLOWS = 256, RUNS = 7 };
static const double run_seconds = 0.25;

static uint8_t templates[FLOWS][1500];
static uint32_t template_len;
static unsigned next_flow;
static uint64_t sent;

static unsigned source(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	if (!arg)
		return 0;
	for (unsigned i = 0; i < max; i++) {
		struct pkt *p = pkt_alloc(pool);
		p->len = template_len;
		memcpy(pkt_data(p), templates[next_flow++ % FLOWS], template_len);
		p->ethertype = ETHER_IP4;
		out[i] = p;
	}
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

static void fill(uint32_t len)
{
	template_len = len;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct addr src = parse("192.0.2.9"), dst = parse("203.0.113.0");
		uint8_t *b = templates[i];
		memset(b, 0, len);
		dst.b[3] = (uint8_t)i;
		ip4_write(b, &src, &dst, IP_UDP, 64, 0, len, (uint16_t)i, true);
		ip_put16(b + 20, 1000 + i);
		ip_put16(b + 22, 2000);
		ip_put16(b + 24, len - 20);
	}
}

static struct stack *make(bool filters)
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
	s->ipsecurity4 = filters;
	struct filter_spec rules[2];
	filter_spec_init(&rules[0], 4, true);
	filter_spec_init(&rules[1], 4, false);
	memcpy(rules[0].name, "permit", 7);
	memcpy(rules[1].name, "permit", 7);
	rules[0].action = rules[1].action = FILTER_PERMIT;
	rules[0].scope = rules[1].scope = PKT_LOCAL | PKT_ROUTED;
	struct filter_install in = {.rules = rules, .n = 2, .loaded = true};
	if (stack_open(s, &e) || stack_routes(s, &r, 1, &e) || filter_install(s->filters, FILTER_PROFILE, &in, &e)) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	struct addr gateway = parse("198.51.100.254");
	(void)neigh_hear(s->neigh, 1, &gateway, mac, NEIGH_ASKED, 1);
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

	struct tap_spec other = {.host = {parse("198.51.100.77"), 32}, .proto = TAP_PROTO_ANY, .link = -1, .stages = TAP_ANY_STAGE};
	struct errbuf e;
	if (watched && taps_add(s->taps, &other, 1, &e) < 0)
		exit(1);
	fill(len);
	for (unsigned i = 0; i < RUNS; i++) {
		double start = seconds(), now = start;
		sent = 0;
		while ((now = seconds()) - start < run_seconds) {
			for (unsigned k = 0; k < 16; k++)
				(void)worker_round(s->workers[0], 1000, 1000000);
			rcu_quiescent_state();
		}
		rates[i] = (double)sent / (now - start);
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
