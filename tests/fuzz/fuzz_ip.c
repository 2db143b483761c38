/* Any bytes as a frame on a link in memory: parsing, neighbour messages, forwarding, ICMP errors, cutting. The first byte chooses what
 * the frame claims to be and how it was offloaded. No packet may be lost from the pool, and what comes out is well-formed. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/worker.h"
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct stack *stack;
static const uint8_t *input;
static size_t input_len;
static uint64_t now_ms = 1000000;

static void demand(bool good)
{
	if (!good)
		abort();
}

static unsigned feed(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	static const uint16_t types[4] = {ETHER_IP4, ETHER_IP6, ETHER_ARP, ETHER_IP4};

	if (arg != &stack->links[0] || !input || !max)
		return 0;
	struct pkt *p = input_len - 1 > 1500 ? pkt_alloc_large(pool) : pkt_alloc(pool);
	demand(p != NULL);
	p->len = (uint32_t)input_len - 1;
	memcpy(pkt_data(p), input + 1, p->len);
	p->ethertype = types[input[0] & 3];
	p->l2_group = input[0] & 4;
	if (input[0] & 8) {
		p->gso_size = (uint16_t)(8 + (input[0] >> 4) * 90);
		p->gso_type = input[0] & 16 ? PKT_GSO_TCP4 : input[0] & 32 ? PKT_GSO_TCP6 : PKT_GSO_UDP_L4;
	}
	input = NULL;
	out[0] = p;
	return 1;
}

static void inspect(void *arg, const struct pkt *p)
{
	const uint8_t *h = pkt_data(p);

	(void)arg;
	demand(!p->drop && p->off >= ETHER_HEADER && p->off + p->len <= p->size);
	if (p->ethertype == ETHER_ARP)
		return;
	demand(p->family == h[0] >> 4);
	if (p->family == 4)
		demand(ip_get16(h + 2) == p->len && !csum_fold(csum_add(0, h, (h[0] & 15u) * 4)));
	else
		demand(ip_get16(h + 4) + IP6_HEADER == (int)p->len);
}

static struct addr parse(const char *text)
{
	struct addr a;
	demand(addr_parse(text, &a) == 0);
	return a;
}

static void make(void)
{
	struct errbuf e;
	struct fib_route r = {.dst.addr.family = 4, .kind = FIB_GATEWAY, .link = 1, .gateway = parse("198.51.100.254")};

	rcu_register_thread();
	stack = stack_new("FUZZ", 1);
	stack->n_links = 2;
	for (unsigned i = 0; i < 2; i++) {
		struct link *l = &stack->links[i];
		(void)snprintf(l->name, sizeof(l->name), "L%u", i);
		l->type = LINK_MEMORY;
		l->ethernet = true;
		l->mac[5] = (uint8_t)(i + 1);
		l->addrs[0] = (struct prefix){parse(i ? "198.51.100.1" : "192.0.2.1"), 24};
		l->addrs[1] = (struct prefix){parse(i ? "2001:db8:2::1" : "2001:db8:1::1"), 64};
		l->n_addrs = 2;
		l->mtu = i ? 600 : 1500;
		l->memory = (struct link_memory){feed, inspect, l};
	}
	demand(stack_open(stack, &e) == 0 && stack_routes(stack, &r, 1, &e) == 0);
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct addr known[] = {parse("198.51.100.254"), parse("2001:db8:2::7"), parse("192.0.2.9"), parse("2001:db8:1::9")};
	for (unsigned i = 0; i < 4; i++)
		(void)neigh_hear(stack->neigh, i < 2, &known[i], mac, NEIGH_ASKED, now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1 || len > 60000)
		return 0;
	if (!stack)
		make();
	struct worker *w = stack->workers[0];
	input = data;
	input_len = len;
	now_ms += 20;
	(void)worker_round(w, now_ms, now_ms * 1000);
	stack_control(stack, now_ms);
	demand(pkt_pool_available(w->pool) + w->n_pending - w->n_pending_large == WORKER_SMALL);
	return 0;
}
