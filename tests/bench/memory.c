#include "tests/bench/memory.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct memory memory;

static unsigned source(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	if (!arg)
		return 0;
	for (unsigned i = 0; i < max; i++) {
		struct pkt *p = pkt_alloc(pool);
		p->len = memory.len;
		memcpy(pkt_data(p), memory.packets[memory.next++ % MEMORY_FLOWS], memory.len);
		if (memory.alter)
			memory.alter(pkt_data(p));
		p->ethertype = ETHER_IP4;
		out[i] = p;
	}
	return max;
}

static void sink(void *arg, const struct pkt *p)
{
	(void)arg;
	(void)p;
	memory.sent++;
}

double memory_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct addr memory_addr(const char *text)
{
	struct addr a;
	if (addr_parse(text, &a))
		abort();
	return a;
}

uint8_t *memory_packet(unsigned i, uint8_t proto, uint8_t host, bool back)
{
	struct addr here = memory_addr("192.0.2.9"), there = memory_addr("203.0.113.0");
	uint8_t *b = memory.packets[i];

	memset(b, 0, memory.len);
	there.b[3] = host;
	ip4_write(b, back ? &there : &here, back ? &here : &there, proto, 64, 0, memory.len, (uint16_t)i, true);
	ip_put16(b + 20, 1000 + i);
	ip_put16(b + 22, 2000);
	if (proto == IP_UDP)
		ip_put16(b + 24, memory.len - 20);
	return b;
}

struct stack *memory_stack(unsigned from, bool ipsecurity)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct errbuf e = {""};
	struct addr gateway = memory_addr("198.51.100.2");
	struct fib_route r = {.dst = {memory_addr("203.0.113.0"), 24}, .kind = FIB_GATEWAY, .link = MEMORY_OUTSIDE, .gateway = gateway};
	struct stack *s = stack_new("BENCH", 1);

	s->n_links = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct link *l = &s->links[i];
		(void)snprintf(l->name, sizeof(l->name), "L%u", i);
		l->type = LINK_MEMORY;
		l->ethernet = true;
		l->addrs[0] = (struct prefix){memory_addr(i == MEMORY_OUTSIDE ? "198.51.100.1" : "192.0.2.1"), 24};
		l->n_addrs = 1;
		l->memory = (struct link_memory){source, sink, i == from ? l : NULL};
	}
	s->ipsecurity4 = ipsecurity;
	if (stack_open(s, &e) || stack_routes(s, &r, 1, &e)) {
		fprintf(stderr, "%s\n", e.text);
		exit(EXIT_FAILURE);
	}
	(void)neigh_hear(s->neigh, MEMORY_OUTSIDE, &gateway, mac, NEIGH_ASKED, 1);
	return s;
}
