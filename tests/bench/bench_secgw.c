/* bench_secgw: one core's way through the gateway in memory, from a link that gives packets to one that forgets them: parse, route,
 * filters, SA, AES-GCM-128 in tunnel mode, route of the outer packet, neighbour, send; and back. What secgw.py holds beside
 * DPDK's ipsec-secgw, which gets the same packets.
 *
 *   bench_secgw out|in SIZE SECONDS     packets a second; SIZE is that of the inner packet
 *   bench_secgw packets out|in SIZE FILE   writes the packets, one behind the other
 *
 * 256 flows through one tunnel. Inbound the same 256 protected packets come again and again, so the SA has no replay window,
 * here as there. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/worker.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu-qsbr.h>

enum { FLOWS = 256, LEN_MIN = 28, LEN_MAX = 1440, ROUNDS = 16, INSIDE = 0, OUTSIDE = 1, HERE = 1, THERE = 2, SPI = 256 };

static uint8_t packets[FLOWS][2048];
static uint32_t packet_len;
static unsigned next_flow;
static uint64_t sent;

static void fail(const char *why)
{
	fprintf(stderr, "bench_secgw: %s\n", why);
	exit(EXIT_FAILURE);
}

static unsigned source(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	if (!arg)
		return 0;
	for (unsigned i = 0; i < max; i++) {
		struct pkt *p = pkt_alloc(pool);
		p->len = packet_len;
		memcpy(pkt_data(p), packets[next_flow++ % FLOWS], packet_len);
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

static struct addr gateway(unsigned host)
{
	struct addr a = parse("198.51.100.0");
	a.b[3] = (uint8_t)host;
	return a;
}

/* UDP from the net here, 192.0.2.0/24, to the one there, 203.0.113.0/24, or the reverse. */
static void clear_packets(uint32_t len, bool back)
{
	packet_len = len;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct addr here = parse("192.0.2.9"), there = parse("203.0.113.0");
		uint8_t *b = packets[i];
		memset(b, 0x5a, len);
		there.b[3] = (uint8_t)i;
		ip4_write(b, back ? &there : &here, back ? &here : &there, IP_UDP, 64, 0, len, (uint16_t)i, true);
		ip_put16(b + 20, 1000 + i);
		ip_put16(b + 22, 2000);
		ip_put16(b + 24, len - 20);
		ip_put16(b + 26, 0);
	}
}

static struct sa *make_sa(bool inbound, unsigned src, unsigned dst)
{
	struct sa_params p = {.proto = SA_ESP,
		.mode = SA_TUNNEL,
		.spi = SPI,
		.cipher = CIPHER_AES_GCM,
		.key_len = 20,
		.src = gateway(src),
		.dst = gateway(dst),
		.keep_dscp = true};
	struct errbuf e = {""};
	struct sa *sa;

	for (unsigned i = 0; i < 20; i++)
		p.key[i] = (uint8_t)i; /* as secgw.py tells the peer */
	if (sa_new(&p, inbound, 1, &e, &sa) < 0)
		fail(e.text);
	return sa;
}

/* A tunnel between @here and @there, as the gateway @here has it. */
static struct tunnel *add_tunnel(struct sadb *db, unsigned here, unsigned there)
{
	struct errbuf e = {""};
	struct tunnel *t;

	if (sadb_add(db, 'M', "tunnel", make_sa(true, there, here), make_sa(false, here, there), true, &e, &t) < 0)
		fail(e.text);
	return t;
}

/* What the gateway there makes of the packets. */
static void seal_packets(void)
{
	static uint8_t room[PKT_SMALL];
	struct sadb *db = sadb_new(1);
	struct ipsec_worker *w = ipsec_worker_new(db, 0);
	struct tunnel *t = add_tunnel(db, THERE, HERE);

	for (unsigned i = 0; i < FLOWS; i++) {
		struct pkt p = {.buf = room, .size = sizeof(room), .off = PKT_HEADROOM, .len = packet_len}, *one = &p;
		memcpy(pkt_data(&p), packets[i], packet_len);
		ipsec_out(w, &one, &t->out, 1);
		if (p.drop)
			fail("a packet cannot be protected");
		memcpy(packets[i], pkt_data(&p), p.len);
		if (i == FLOWS - 1)
			packet_len = p.len;
	}
	ipsec_worker_free(w);
	sadb_free(db);
}

static uint32_t find_tunnel(void *tunnel, const char *vpn)
{
	(void)vpn;
	return ((const struct tunnel *)tunnel)->index;
}

/* Between the nets through the tunnel, both ways; anything else in clear. */
static void filters(struct stack *s, struct tunnel *t)
{
	enum { RULES = 4 };
	struct filter_spec rules[RULES];
	struct prefix here = {parse("192.0.2.0"), 24}, there = {parse("203.0.113.0"), 24};
	struct filter_install in = {.rules = rules, .n = RULES, .loaded = true, .find = find_tunnel, .find_arg = t};
	struct errbuf e = {""};

	for (unsigned i = 0; i < RULES; i++) {
		filter_spec_init(&rules[i], 4, i & 1);
		(void)snprintf(rules[i].name, sizeof(rules[i].name), "rule%u", i / 2);
		rules[i].action = i < 2 ? FILTER_IPSEC : FILTER_PERMIT;
		rules[i].scope = PKT_LOCAL | PKT_ROUTED;
		if (i >= 2)
			continue;
		(void)snprintf(rules[i].vpn, sizeof(rules[i].vpn), "tunnel");
		filter_spec_source(&rules[i], i & 1 ? &there : &here);
		filter_spec_dest(&rules[i], i & 1 ? &here : &there);
	}
	if (filter_install(s->filters, FILTER_PROFILE, &in, &e))
		fail(e.text);
}

static struct stack *make(unsigned from)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct errbuf e = {""};
	struct addr there = gateway(THERE), host = parse("192.0.2.9");
	struct fib_route r = {.dst = {parse("203.0.113.0"), 24}, .kind = FIB_GATEWAY, .link = OUTSIDE, .gateway = there};
	struct stack *s = stack_new("BENCH", 1);

	s->n_links = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct link *l = &s->links[i];
		(void)snprintf(l->name, sizeof(l->name), "L%u", i);
		l->type = LINK_MEMORY;
		l->ethernet = true;
		l->addrs[0] = (struct prefix){i == OUTSIDE ? gateway(HERE) : parse("192.0.2.1"), 24};
		l->n_addrs = 1;
		l->memory = (struct link_memory){source, sink, i == from ? l : NULL};
	}
	s->ipsecurity4 = true;
	if (stack_open(s, &e) || stack_routes(s, &r, 1, &e))
		fail(e.text);
	filters(s, add_tunnel(s->sadb, HERE, THERE));
	(void)neigh_hear(s->neigh, OUTSIDE, &there, mac, NEIGH_ASKED, 1);
	(void)neigh_hear(s->neigh, INSIDE, &host, mac, NEIGH_ASKED, 1);
	return s;
}

static void measure(bool in, double run)
{
	struct stack *s = make(in ? OUTSIDE : INSIDE);
	double start = seconds(), now;
	uint64_t given;

	(void)worker_round(s->workers[0], 1000, 1000000);
	if (sent != next_flow)
		fail("packets were dropped");
	start = seconds();
	sent = 0;
	given = next_flow = 0;
	do {
		unsigned before = next_flow;
		for (unsigned i = 0; i < ROUNDS; i++)
			(void)worker_round(s->workers[0], 1000, 1000000);
		given += next_flow - before;
		rcu_quiescent_state();
		now = seconds();
	} while (now - start < run);
	if (sent != given)
		fail("packets were dropped");
	printf("%.0f\n", (double)sent / (now - start));
	stack_free(s);
}

static void write_packets(const char *path)
{
	FILE *f = fopen(path, "wb");

	for (unsigned i = 0; f && i < FLOWS; i++)
		if (fwrite(packets[i], packet_len, 1, f) != 1)
			fail("cannot write");
	if (!f || fclose(f))
		fail("cannot write");
	printf("%u\n", packet_len);
}

int main(int argc, char **argv)
{
	bool packets_only = argc == 5 && !strcmp(argv[1], "packets");
	char **args = argv + packets_only;

	if ((argc != 4 && !packets_only) || (strcmp(args[1], "in") && strcmp(args[1], "out")))
		fail("out|in SIZE SECONDS, or packets out|in SIZE FILE");
	bool in = !strcmp(args[1], "in");
	unsigned long size = strtoul(args[2], NULL, 10);
	if (size < LEN_MIN || size > LEN_MAX)
		fail("no such size");
	rcu_register_thread();
	clear_packets((uint32_t)size, in);
	if (in)
		seal_packets();
	if (packets_only)
		write_packets(args[3]);
	else
		measure(in, strtod(args[3], NULL));
	rcu_unregister_thread();
	return 0;
}
