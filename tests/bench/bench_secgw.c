/* bench_secgw: one core's way through the gateway in memory, from a link that gives packets to one that forgets them: parse, route,
 * filters, SA, AES-GCM-128 in tunnel mode, route of the outer packet, neighbour, send; and back. What secgw.py holds beside
 * DPDK's ipsec-secgw, which gets the same packets.
 *
 *   bench_secgw out|in SIZE SECONDS     packets a second; SIZE is that of the inner packet
 *   bench_secgw packets out|in SIZE FILE   writes the packets, one behind the other
 *
 * 256 flows through one tunnel. Inbound the same 256 protected packets come again and again, so the SA has no replay window,
 * here as there. */
#include "daemons/stack-core/ip/parse.h"
#include "tests/bench/memory.h"
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

enum { LEN_MIN = 28, LEN_MAX = 1440, ROUNDS = 16, HERE = 1, THERE = 2, SPI = 256 };

static void fail(const char *why)
{
	fprintf(stderr, "bench_secgw: %s\n", why);
	exit(EXIT_FAILURE);
}

static struct addr gateway(unsigned host)
{
	struct addr a = memory_addr("198.51.100.0");
	a.b[3] = (uint8_t)host;
	return a;
}

static void clear_packets(uint32_t len, bool back)
{
	memory.len = len;
	for (unsigned i = 0; i < MEMORY_FLOWS; i++)
		(void)memory_packet(i, IP_UDP, (uint8_t)i, back);
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

	for (unsigned i = 0; i < MEMORY_FLOWS; i++) {
		struct pkt p = {.buf = room, .size = sizeof(room), .off = PKT_HEADROOM, .len = memory.len}, *one = &p;
		memcpy(pkt_data(&p), memory.packets[i], memory.len);
		ipsec_out(w, &one, &t->out, 1);
		if (p.drop)
			fail("a packet cannot be protected");
		memcpy(memory.packets[i], pkt_data(&p), p.len);
		if (i == MEMORY_FLOWS - 1)
			memory.len = p.len;
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
	struct prefix here = {memory_addr("192.0.2.0"), 24}, there = {memory_addr("203.0.113.0"), 24};
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
	struct addr host = memory_addr("192.0.2.9");
	struct stack *s = memory_stack(from, true);

	filters(s, add_tunnel(s->sadb, HERE, THERE));
	(void)neigh_hear(s->neigh, MEMORY_INSIDE, &host, mac, NEIGH_ASKED, 1);
	return s;
}

static void measure(bool in, double run)
{
	struct stack *s = make(in ? MEMORY_OUTSIDE : MEMORY_INSIDE);
	double start = memory_seconds(), now;
	uint64_t given;

	(void)worker_round(s->workers[0], 1000, 1000000);
	if (memory.sent != memory.next)
		fail("packets were dropped");
	start = memory_seconds();
	memory.sent = 0;
	given = memory.next = 0;
	do {
		unsigned before = memory.next;
		for (unsigned i = 0; i < ROUNDS; i++)
			(void)worker_round(s->workers[0], 1000, 1000000);
		given += memory.next - before;
		rcu_quiescent_state();
		now = memory_seconds();
	} while (now - start < run);
	if (memory.sent != given)
		fail("packets were dropped");
	printf("%.0f\n", (double)memory.sent / (now - start));
	stack_free(s);
}

static void write_packets(const char *path)
{
	FILE *f = fopen(path, "wb");

	for (unsigned i = 0; f && i < MEMORY_FLOWS; i++)
		if (fwrite(memory.packets[i], memory.len, 1, f) != 1)
			fail("cannot write");
	if (!f || fclose(f))
		fail("cannot write");
	printf("%u\n", memory.len);
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
