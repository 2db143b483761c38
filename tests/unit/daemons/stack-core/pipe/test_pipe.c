/* The pipeline between two Ethernet links in memory, without a thread: what comes out for what goes in. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ipsec/dynamic.h"
#include "daemons/stack-core/worker.h"
#include "tests/support/check_main.h"
#include <string.h>
#include <urcu-qsbr.h>

enum { CAPTURED = 64 };
static const uint8_t left_mac[6] = {2, 0, 0, 0, 0, 1}, right_mac[6] = {2, 0, 0, 0, 0, 2}, host_mac[6] = {2, 0, 0, 0, 0, 9};

struct captured {
	uint32_t len;
	uint16_t ethertype;
	uint8_t mac[6], data[2000];
};
struct wire {
	struct captured in, out[CAPTURED];
	bool waiting;
	unsigned n;
};
static struct wire wires[2];
static struct stack *s;
static uint64_t now_ms;

static unsigned wire_rx(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	struct wire *w = arg;

	if (!w->waiting || !max)
		return 0;
	w->waiting = false;
	struct pkt *p = pkt_alloc(pool);
	memcpy(pkt_data(p), w->in.data, w->in.len);
	p->len = w->in.len;
	p->ethertype = w->in.ethertype;
	memcpy(p->mac, host_mac, 6);
	out[0] = p;
	return 1;
}

static void wire_tx(void *arg, const struct pkt *p)
{
	struct wire *w = arg;

	ck_assert_uint_lt(w->n, CAPTURED);
	struct captured *c = &w->out[w->n++];
	c->len = p->len;
	c->ethertype = p->ethertype;
	memcpy(c->mac, p->mac, 6);
	memcpy(c->data, pkt_data(p), p->len < sizeof(c->data) ? p->len : sizeof(c->data));
}

static struct addr addr(const char *t)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(t, &a), 0);
	return a;
}

static void link_make(unsigned i, const char *name, const uint8_t *mac, const char *v4, const char *v6)
{
	struct link *l = &s->links[i];

	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	l->type = LINK_MEMORY;
	l->urpf = LINK_URPF_OFF; /* invented sources come by either */
	l->ethernet = true;
	memcpy(l->mac, mac, 6);
	l->addrs[0] = (struct prefix){addr(v4), 24};
	l->addrs[1] = (struct prefix){addr(v6), 64};
	l->n_addrs = 2;
	l->memory = (struct link_memory){wire_rx, wire_tx, &wires[i]};
}

static void setup(void)
{
	struct errbuf e;
	struct fib_route r = {.dst = {{.family = 4, .b = {203, 0, 113}}, 24}, .kind = FIB_GATEWAY, .link = 1, .gateway = addr("198.51.100.254")};

	rcu_register_thread();
	memset(wires, 0, sizeof(wires));
	s = stack_new("TEST", 1);
	s->n_links = 2;
	link_make(0, "LEFT", left_mac, "192.0.2.1", "2001:db8:1::1");
	link_make(1, "RIGHT", right_mac, "198.51.100.1", "2001:db8:2::1");
	ck_assert_int_eq(stack_open(s, &e), 0);
	ck_assert_int_eq(stack_routes(s, &r, 1, &e), 0);
	now_ms = 1000000;
}

static void teardown(void)
{
	stack_free(s);
	rcu_unregister_thread();
}

static void step(uint64_t ms)
{
	now_ms += ms;
	(void)worker_round(s->workers[0], now_ms, now_ms * 1000);
	stack_control(s, now_ms);
	(void)worker_round(s->workers[0], now_ms, now_ms * 1000);
}

static void inject(unsigned link, const uint8_t *data, uint32_t len, unsigned ethertype)
{
	wires[link].in.len = len;
	wires[link].in.ethertype = (uint16_t)ethertype;
	memcpy(wires[link].in.data, data, len);
	wires[link].waiting = true;
	step(1);
}

static uint64_t dropped(unsigned reason)
{
	uint64_t pass[PASS_MAX], drops[DROP_MAX];
	stack_counters(s, pass, drops);
	return drops[reason];
}

static uint64_t passed(unsigned counter)
{
	uint64_t pass[PASS_MAX], drops[DROP_MAX];
	stack_counters(s, pass, drops);
	return pass[counter];
}

static uint32_t udp(uint8_t *b, const char *src, const char *dst, uint8_t ttl, uint32_t payload, bool df)
{
	struct addr a = addr(src), d = addr(dst);
	uint32_t h = a.family == 4 ? 20 : 40;

	memset(b, 0x5a, h + 8 + payload);
	if (a.family == 4)
		ip4_write(b, &a, &d, IP_UDP, ttl, 0, h + 8 + payload, 7, df);
	else
		ip6_write(b, &a, &d, IP_UDP, ttl, 0, 8 + payload);
	ip_put16(b + h, 1000);
	ip_put16(b + h + 2, 2000);
	ip_put16(b + h + 4, 8 + payload);
	ip_put16(b + h + 6, 0);
	return h + 8 + payload;
}

/* ARP from @ip on that link: an answer (op 2) to us or a question about @target. */
static void arp(unsigned link, unsigned op, const char *ip, const char *target)
{
	uint8_t a[28] = {0, 1, 8, 0, 6, 4, 0, (uint8_t)op};
	struct addr s4 = addr(ip), t4 = addr(target);

	memcpy(a + 8, host_mac, 6);
	memcpy(a + 14, s4.b, 4);
	memcpy(a + 24, t4.b, 4);
	inject(link, a, sizeof(a), ETHER_ARP);
}

START_TEST(test_forward_and_arp)
{
	uint8_t b[2000];
	uint32_t len = udp(b, "192.0.2.9", "203.0.113.5", 64, 100, true);

	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wires[1].n, 1); /* a question for the gateway first */
	ck_assert_uint_eq(wires[1].out[0].ethertype, ETHER_ARP);
	struct addr gateway = addr("198.51.100.254");
	ck_assert_mem_eq(wires[1].out[0].data + 24, gateway.b, 4);
	arp(1, 2, "198.51.100.254", "198.51.100.1");
	ck_assert_uint_eq(wires[1].n, 2);
	const struct captured *c = &wires[1].out[1];
	ck_assert_mem_eq(c->mac, host_mac, 6);
	ck_assert_uint_eq(c->len, len);
	ck_assert_uint_eq(c->data[8], 63);
	ck_assert_uint_eq(csum_fold(csum_add(0, c->data, 20)), 0);
	ck_assert_mem_eq(c->data + 20, b + 20, len - 20);
}
END_TEST

START_TEST(test_arp_answer)
{
	arp(0, 1, "192.0.2.9", "192.0.2.1");
	ck_assert_uint_eq(wires[0].n, 1);
	ck_assert_uint_eq(wires[0].out[0].data[7], 2);
	ck_assert_mem_eq(wires[0].out[0].data + 8, left_mac, 6);
	arp(0, 1, "192.0.2.9", "192.0.2.77"); /* not ours */
	arp(0, 1, "10.0.0.1", "192.0.2.1");   /* of another network */
	arp(0, 2, "192.0.2.1", "192.0.2.9");  /* claims our address */
	ck_assert_uint_eq(wires[0].n, 1);
	ck_assert_uint_eq(dropped(DROP_ARP_IGNORED), 2);
	ck_assert_uint_eq(dropped(DROP_ARP_CONFLICT), 1);
	for (unsigned i = 0; i < 28; i++) {
		uint8_t a[28] = {0, 1, 8, 0, 6, 4, 0, 1};
		inject(0, a, i, ETHER_ARP);
	}
	ck_assert_uint_eq(dropped(DROP_ARP_MALFORMED), 28);
}
END_TEST

START_TEST(test_unsolicited_announcements)
{
	for (unsigned i = 10; i < 60; i++) {
		char ip[32];
		(void)snprintf(ip, sizeof(ip), "192.0.2.%u", i);
		arp(0, 2, ip, "192.0.2.1");
	}
	ck_assert_uint_eq(neigh_count(s->neigh), 0); /* nobody asked them */
}
END_TEST

START_TEST(test_echo_and_ttl)
{
	uint8_t b[2000];

	arp(0, 1, "192.0.2.9", "192.0.2.1");
	uint32_t len = udp(b, "192.0.2.9", "192.0.2.1", 64, 56, false);
	b[9] = 1; /* an echo request of the same length */
	ip4_checksum(b);
	memset(b + 20, 0, 8);
	b[20] = 8;
	uint16_t sum = csum_fold(csum_add(0, b + 20, len - 20));
	memcpy(b + 22, &sum, 2);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wires[0].n, 2);
	ck_assert_uint_eq(wires[0].out[1].data[20], 0);
	ck_assert_uint_eq(csum_fold(csum_add(0, wires[0].out[1].data + 20, len - 20)), 0);
	b[22] ^= 1;
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_IP_ICMP_CHECKSUM), 1);
	len = udp(b, "192.0.2.9", "203.0.113.5", 1, 20, false);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wires[0].n, 3);
	ck_assert_uint_eq(wires[0].out[2].data[20], 11); /* time exceeded */
	ck_assert_mem_eq(wires[0].out[2].data + 28, b, len);
	ck_assert_uint_eq(dropped(DROP_IP_TTL), 1);
	/* Never an error about an error, and not without limit. */
	b[9] = 1;
	b[20] = 3;
	ip4_checksum(b);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wires[0].n, 3);
}
END_TEST

START_TEST(test_errors_are_limited)
{
	uint8_t b[2000];
	uint32_t len = udp(b, "192.0.2.9", "10.9.9.9", 64, 20, false);

	arp(0, 1, "192.0.2.9", "192.0.2.1");
	for (unsigned i = 0; i < 150; i++) {
		wires[0].n = 0;
		wires[0].in.len = len;
		wires[0].in.ethertype = ETHER_IP4;
		memcpy(wires[0].in.data, b, len);
		wires[0].waiting = true;
		(void)worker_round(s->workers[0], now_ms, now_ms * 1000);
	}
	ck_assert_uint_eq(dropped(DROP_IP_NO_ROUTE), 150);
	ck_assert_uint_eq(dropped(DROP_ICMP_LIMITED_HOST), 150 - ICMP_HOST_BURST);
	/* Others still hear theirs, until all together have had enough. */
	for (unsigned i = 0; i < 2 * ICMP_BURST; i++) {
		wires[0].n = 0;
		b[15] = (uint8_t)(10 + i);
		ip4_checksum(b);
		memcpy(wires[0].in.data, b, len);
		wires[0].waiting = true;
		(void)worker_round(s->workers[0], now_ms, now_ms * 1000);
	}
	ck_assert_uint_eq(passed(PASS_ICMP_ERROR), ICMP_BURST);
	ck_assert_uint_ge(dropped(DROP_ICMP_LIMITED), 2 * ICMP_BURST - (ICMP_BURST - ICMP_HOST_BURST) - ICMP_HOST_BURST);
}
END_TEST

START_TEST(test_too_big)
{
	uint8_t b[2000];

	arp(0, 1, "192.0.2.9", "192.0.2.1");
	arp(1, 1, "198.51.100.254", "198.51.100.1");
	s->links[1].mtu = 600;
	uint32_t len = udp(b, "192.0.2.9", "203.0.113.5", 64, 1400, true);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wires[0].n, 2);
	const uint8_t *e = wires[0].out[1].data;
	ck_assert_uint_eq(e[20], 3);
	ck_assert_uint_eq(e[21], 4);
	ck_assert_uint_eq(ip_get16(e + 26), 600);
	ck_assert_uint_eq(wires[1].n, 1);
	len = udp(b, "192.0.2.9", "203.0.113.5", 64, 1400, false);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wires[1].n, 4); /* three fragments after the ARP reply */
	uint32_t at = 0;
	for (unsigned i = 1; i < 4; i++) {
		const struct captured *c = &wires[1].out[i];
		ck_assert_uint_le(c->len, 600);
		ck_assert_uint_eq((ip_get16(c->data + 6) & 0x1fffu) * 8, at);
		ck_assert_int_eq((ip_get16(c->data + 6) & 0x2000) != 0, i < 3);
		ck_assert_mem_eq(c->data + 20, b + 20 + at, c->len - 20);
		at += c->len - 20;
	}
	ck_assert_uint_eq(at, len - 20);
}
END_TEST

START_TEST(test_spoofed_and_waiting)
{
	uint8_t b[2000];
	uint32_t len = udp(b, "198.51.100.1", "203.0.113.5", 64, 20, false);

	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_IP_SPOOFED), 1);
	len = udp(b, "192.0.2.9", "203.0.113.5", 64, 20, false);
	for (unsigned i = 0; i < WORKER_PENDING_HOP + 5; i++)
		inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_NEIGH_QUEUE), 5);
	for (unsigned i = 0; i < 150; i++)
		step(100);
	/* The errors about them wait in vain for the sender's link address, and no error comes of that. */
	ck_assert_uint_eq(dropped(DROP_NEIGH_TIMEOUT), 2 * WORKER_PENDING_HOP);
	ck_assert_uint_ge(wires[1].n, NEIGH_TRIES);
	ck_assert_uint_eq(pkt_pool_available(s->workers[0]->pool), WORKER_SMALL);
}
END_TEST

START_TEST(test_filters_deny_all)
{
	uint8_t b[2000];

	s->ipsecurity4 = true; /* no rules: the implicit deny */
	arp(1, 1, "198.51.100.254", "198.51.100.1");
	uint32_t len = udp(b, "192.0.2.9", "203.0.113.5", 64, 20, false);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wires[1].n, 1);
	ck_assert_uint_eq(dropped(DROP_FILTER_IMPLICIT), 1);
	s->forwarding = false;
	s->ipsecurity4 = false;
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_IP_FORWARD_OFF), 1);
}
END_TEST

START_TEST(test_denied_with_an_answer)
{
	uint8_t b[2000];
	struct errbuf e;
	struct filter_spec rules[2];
	struct filter_install i = {.rules = rules, .n = 2, .loaded = true, .discard_icmp = true};
	struct addr from = addr("192.0.2.9"), to = addr("203.0.113.5");

	filter_spec_init(&rules[0], 4, true); /* datagrams are denied on their way in, and the sender is told */
	(void)snprintf(rules[0].name, sizeof(rules[0].name), "deny");
	rules[0].proto = IP_UDP;
	rules[0].discard_icmp = true;
	filter_spec_init(&rules[1], 4, false); /* ICMP may leave */
	(void)snprintf(rules[1].name, sizeof(rules[1].name), "icmp");
	rules[1].proto = 1;
	rules[1].action = FILTER_PERMIT;
	ck_assert_int_eq(filter_install(s->filters, FILTER_POLICY, &i, &e), 0);
	s->ipsecurity4 = true;
	arp(0, 1, "192.0.2.9", "192.0.2.1");
	wires[0].n = 0;
	uint32_t len = udp(b, "192.0.2.9", "203.0.113.5", 64, 20, false);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_FILTER_DENY), 1);
	ck_assert_uint_eq(wires[0].n, 1);
	ck_assert_uint_eq(wires[0].out[0].data[9], 1);
	ck_assert_uint_eq(wires[0].out[0].data[20], 3); /* destination unreachable, communication prohibited */
	ck_assert_uint_eq(wires[0].out[0].data[21], 13);
	ip4_write(b, &from, &to, 47, 64, 0, len, 8, false); /* GRE: no rule, so the implicit deny, which tells too */
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_FILTER_IMPLICIT), 1);
	ck_assert_uint_eq(wires[0].n, 2);
	i.discard_icmp = false;
	ck_assert_int_eq(filter_install(s->filters, FILTER_POLICY, &i, &e), 0);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_FILTER_IMPLICIT), 2);
	ck_assert_uint_eq(wires[0].n, 2);
	rules[1].action = FILTER_DENY; /* the answer itself may not pass, and there is none about it */
	rules[1].discard_icmp = true;
	ck_assert_int_eq(filter_install(s->filters, FILTER_POLICY, &i, &e), 0);
	(void)udp(b, "192.0.2.9", "203.0.113.5", 64, 20, false);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wires[0].n, 2);
	ck_assert_uint_eq(dropped(DROP_FILTER_DENY), 3);
}
END_TEST

START_TEST(test_ipv6_neighbours)
{
	uint8_t b[2000];
	uint32_t len = udp(b, "2001:db8:1::9", "2001:db8:2::7", 64, 20, false);

	inject(0, b, len, ETHER_IP6);
	ck_assert_uint_eq(wires[1].n, 1);
	const uint8_t *ns = wires[1].out[0].data;
	ck_assert_uint_eq(ns[40], 135);
	ck_assert_uint_eq(ns[7], 255);
	/* The answer is the same frame, turned round. */
	struct addr us = addr("2001:db8:2::1"), them = addr("2001:db8:2::7");
	uint8_t na[72] = {0};
	ip6_write(na, &them, &us, IP_ICMP6, 255, 0, 32);
	na[40] = 136;
	na[44] = 0x60;
	memcpy(na + 48, them.b, 16);
	na[64] = 2;
	na[65] = 1;
	memcpy(na + 66, host_mac, 6);
	inject(1, na, 72, ETHER_IP6); /* checksum missing */
	ck_assert_uint_eq(dropped(DROP_ND_MALFORMED), 1);
	uint16_t sum = csum_fold(csum_add(csum_pseudo(&them, &us, IP_ICMP6, 32), na + 40, 32));
	memcpy(na + 42, &sum, 2);
	na[7] = 254; /* from beyond the link */
	inject(1, na, 72, ETHER_IP6);
	ck_assert_uint_eq(dropped(DROP_ND_MALFORMED), 2);
	na[7] = 255;
	inject(1, na, 72, ETHER_IP6);
	ck_assert_uint_eq(wires[1].n, 2);
	ck_assert_uint_eq(wires[1].out[1].data[7], 63);
	ck_assert_mem_eq(wires[1].out[1].mac, host_mac, 6);
}
END_TEST

static struct hold_want wanted;
static unsigned wants;

static void want(void *arg, const struct hold_want *w)
{
	(void)arg;
	wanted = *w;
	wants++;
}

/* The policy: all in, an anchor with on demand for all that goes out. */
static void anchor_policy(void)
{
	struct errbuf e;
	struct filter_spec rules[2];
	struct filter_install i = {.rules = rules, .n = 2, .loaded = true};

	filter_spec_init(&rules[0], 4, true);
	(void)snprintf(rules[0].name, sizeof(rules[0].name), "in");
	rules[0].action = FILTER_PERMIT;
	filter_spec_init(&rules[1], 4, false);
	(void)snprintf(rules[1].name, sizeof(rules[1].name), "net");
	(void)snprintf(rules[1].vpn, sizeof(rules[1].vpn), "vpn");
	rules[1].action = FILTER_IPSEC;
	rules[1].anchor = rules[1].on_demand = true;
	rules[1].grain = FILTER_GRAIN_LOCAL_IP | FILTER_GRAIN_REMOTE_IP;
	ck_assert_int_eq(filter_install(s->filters, FILTER_POLICY, &i, &e), 0);
	s->ipsecurity4 = true;
	s->on_want = want;
	wants = 0;
}

static struct tunnel *dynamic(bool udp, const char *src, const char *dst)
{
	struct sa_params p = {.proto = SA_ESP, .mode = SA_TUNNEL, .spi = 4096, .src = addr(src), .dst = addr(dst), .cipher = CIPHER_AES_GCM,
		.key_len = 20, .esn = true, .replay = 64, .udp = udp, .sport = udp ? 4500 : 0, .dport = udp ? 4500 : 0};
	struct generation *g = calloc(1, sizeof(*g));
	struct errbuf e;
	struct tunnel *t;
	bool made;

	g->number = 1;
	ck_assert_int_eq(sa_new(&p, true, 1, NULL, &g->in), 0);
	ck_assert_int_eq(sa_new(&p, false, 1, NULL, &g->out), 0);
	ck_assert_int_eq(dynamic_install(s->sadb, "Y1", "net", g, &e, &t, &made), 0);
	(void)dynamic_ready(t, g);
	return t;
}

START_TEST(test_hold)
{
	uint8_t b[2000];
	struct errbuf e;
	struct filter_dynamic *d;
	struct filter_protect p;

	anchor_policy();
	arp(1, 1, "198.51.100.254", "198.51.100.1");
	wires[1].n = 0;
	uint32_t len = udp(b, "192.0.2.9", "203.0.113.5", 64, 20, false);
	for (unsigned i = 0; i < HOLD_PACKETS_WANT + 3; i++)
		inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wants, 1); /* one question for all of them */
	ck_assert_str_eq(wanted.rule, "net");
	ck_assert_str_eq(wanted.vpn, "vpn");
	ck_assert(wanted.held && wanted.ports && wanted.dport == 2000 && wanted.proto == IP_UDP);
	ck_assert_uint_eq(wires[1].n, 0);
	ck_assert_uint_eq(passed(PASS_HELD), HOLD_PACKETS_WANT);
	ck_assert_uint_eq(dropped(DROP_FILTER_HOLD_FULL), 3);
	len = udp(b, "192.0.2.9", "203.0.113.6", 64, 20, false);
	inject(0, b, len, ETHER_IP4);
	ck_assert_uint_eq(wants, 2); /* another destination is another tunnel */
	struct tunnel *t = dynamic(false, "198.51.100.1", "198.51.100.254");
	memset(&p, 0, sizeof(p));
	memcpy(p.rule, "net", 4);
	p.local_lo = p.local_hi = addr("192.0.2.9");
	p.remote_lo = p.remote_hi = addr("203.0.113.5");
	p.proto = FILTER_PROTO_ANY;
	p.tunnel = t->index;
	ck_assert_int_eq(filter_dynamic_add(s->filters, &p, &e, &d), 0);
	filter_dynamic_ready(s->filters, d);
	stack_kick(s);
	step(1);
	ck_assert_uint_eq(wires[1].n, HOLD_PACKETS_WANT);
	for (unsigned i = 0; i < wires[1].n; i++)
		ck_assert_uint_eq(wires[1].out[i].data[9], IP_ESP);
	ck_assert_uint_eq(hold_waiting(s->workers[0]->hold), 1);
	step(HOLD_MS + 1);
	ck_assert_uint_eq(hold_waiting(s->workers[0]->hold), 0);
	ck_assert_uint_eq(dropped(DROP_FILTER_HOLD_TIME), 1);
	inject(0, b, len, ETHER_IP4); /* and may ask again */
	ck_assert_uint_eq(wants, 3);
	step(HOLD_MS + 1);
	ck_assert_uint_eq(pkt_pool_available(s->workers[0]->pool), WORKER_SMALL);
}
END_TEST

START_TEST(test_hold_flood)
{
	uint8_t b[2000];
	char dst[32];

	anchor_policy();
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(dst, sizeof(dst), "203.0.113.%u", i % 250);
		uint32_t len = udp(b, "192.0.2.9", dst, 64, 20, false);
		b[12] = (uint8_t)(11 + i / 250); /* and as many sources */
		ip4_checksum(b);
		inject(0, b, len, ETHER_IP4);
		ck_assert_uint_le(hold_waiting(s->workers[0]->hold), HOLD_PACKETS);
	}
	ck_assert_uint_le(wants, HOLD_WANTS);
	ck_assert_uint_ge(dropped(DROP_FILTER_HOLD_FULL), 2000 - HOLD_PACKETS);
	step(HOLD_MS + 2500);
	ck_assert_uint_eq(pkt_pool_available(s->workers[0]->pool), WORKER_SMALL);
}
END_TEST

START_TEST(test_esp_in_udp)
{
	struct tunnel *t = dynamic(true, "198.51.100.254", "198.51.100.1"); /* this test is both ends */
	struct pkt_pool *pool = pkt_pool_new(4, 1);
	struct pkt *p = pkt_alloc(pool);
	uint8_t b[2000];

	arp(0, 1, "192.0.2.9", "192.0.2.1");
	wires[0].n = 0;
	p->len = udp(pkt_data(p), "203.0.113.5", "192.0.2.9", 64, 20, false);
	ipsec_out(s->workers[0]->ipsec, &p, &t->out, 1);
	ck_assert_uint_eq(p->drop, 0);
	inject(1, pkt_data(p), p->len, ETHER_IP4);
	ck_assert_uint_eq(passed(PASS_DECAP), 1);
	ck_assert_uint_eq(wires[0].n, 1);
	ck_assert_uint_eq(wires[0].out[0].len, 48);
	inject(1, pkt_data(p), p->len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_ESP_REPLAY), 1);
	/* A keepalive. */
	uint32_t len = udp(b, "198.51.100.254", "198.51.100.1", 64, 1, false);
	ip_put16(b + 22, 4500);
	b[28] = 0xff;
	inject(1, b, len, ETHER_IP4);
	ck_assert_uint_eq(passed(PASS_KEEPALIVE), 1);
	/* What is not ESP, or not known, goes to whoever has the port: here nobody. */
	len = udp(b, "198.51.100.254", "198.51.100.1", 64, 40, false);
	ip_put16(b + 22, 4500);
	memset(b + 28, 0, 4);
	inject(1, b, len, ETHER_IP4);
	ip_put32(b + 28, 4711);
	inject(1, b, len, ETHER_IP4);
	ip_put16(b + 24, 4000); /* a length that is none */
	inject(1, b, len, ETHER_IP4);
	ck_assert_uint_eq(dropped(DROP_IP_UNREACHABLE), 2);
	ck_assert_uint_eq(dropped(DROP_IDS_MALFORMED), 1);
	pkt_pool_free(pool);
}
END_TEST

START_TEST(test_fragments_for_us)
{
	uint8_t b[2000], f[2000];
	uint32_t len = udp(b, "192.0.2.9", "192.0.2.1", 64, 1000, false);

	arp(0, 1, "192.0.2.9", "192.0.2.1");
	wires[0].n = 0;
	for (unsigned second = 2; second--;) { /* the later one first */
		uint32_t part = second ? len - 20 - 480 : 480;
		memcpy(f, b, 20);
		memcpy(f + 20, b + 20 + (second ? 480 : 0), part);
		ip_put16(f + 2, 20 + part);
		ip_put16(f + 6, second ? 480 / 8 : 0x2000);
		ip4_checksum(f);
		inject(0, f, 20 + part, ETHER_IP4);
	}
	ck_assert_uint_eq(passed(PASS_REASSEMBLED), 1);
	ck_assert_uint_eq(dropped(DROP_IP_UNREACHABLE), 1); /* whole, and nobody has the port */
	ck_assert_uint_eq(wires[0].n, 1);
	inject(0, f, 500, ETHER_IP4);
	step(REASS_MS + 300);
	ck_assert_uint_eq(dropped(DROP_IP_REASS_TIME), 1);
}
END_TEST

/* A SYN flood for a host behind us: the answers are well-formed, go back the way the SYNs came, and ask for nobody's link address. */
START_TEST(test_syn_challenge)
{
	uint8_t b[2000];
	uint32_t len = udp(b, "192.0.2.9", "203.0.113.5", 64, 12, true);
	struct addr src = addr("192.0.2.9"), dst = addr("203.0.113.5");

	arp(1, 2, "198.51.100.254", "198.51.100.1");
	wires[0].n = wires[1].n = 0;
	for (unsigned i = 0; i < 400; i++) {
		struct addr from = src;
		from.b[3] = (uint8_t)(i % 200 + 20);
		from.b[2] = (uint8_t)(2 + i / 200 * 7);
		ip4_write(b, &from, &dst, IP_TCP, 64, 0, len, 7, true);
		ip_put16(b + 20, 1000 + i);
		ip_put16(b + 22, 80);
		ip_put32(b + 24, 5);
		ip_put32(b + 28, 0);
		b[32] = 0x50;
		b[33] = 2;
		inject(0, b, len, ETHER_IP4);
		if (wires[0].n)
			break;
		wires[1].n = 0;
	}
	ck_assert_uint_eq(wires[0].n, 1);
	const struct captured *c = &wires[0].out[0];
	ck_assert_uint_eq(c->len, 40);
	ck_assert_mem_eq(c->mac, host_mac, 6);
	ck_assert_uint_eq(csum_fold(csum_add(0, c->data, 20)), 0);
	struct addr to = addr_v4(c->data + 16);
	ck_assert_uint_eq(csum_fold(csum_add(csum_pseudo(&dst, &to, IP_TCP, 20), c->data + 20, 20)), 0);
	ck_assert_mem_eq(c->data + 12, dst.b, 4);
	ck_assert_uint_eq(c->data[33], 0x12);
	ck_assert_uint_eq(ip_get16(c->data + 20), 80);
	ck_assert_uint_ne(ip_get32(c->data + 28), 6); /* a client that gets it resets: it expected 6 */
	ck_assert_uint_eq(dropped(DROP_IDS_FLOOD), 1);
	ck_assert_uint_eq(wires[1].n, 0);
}
END_TEST

/* What a fragment does not show, the whole packet does. */
START_TEST(test_attack_in_fragments)
{
	uint8_t b[2000];
	struct addr src = addr("192.0.2.9"), dst = addr("192.0.2.1");

	memset(b, 0, sizeof(b));
	for (unsigned i = 0; i < 2; i++) { /* a UDP length beyond the datagram */
		uint32_t payload = i ? 64 : 1024;
		ip4_write(b, &src, &dst, IP_UDP, 64, 0, 20 + payload, 9, false);
		ip_put16(b + 6, i ? 128 : 0x2000);
		ip4_checksum(b);
		ip_put16(b + 20, i ? 0 : 1000);
		ip_put16(b + 22, i ? 0 : 2000);
		ip_put16(b + 24, i ? 0 : 9000);
		inject(0, b, 20 + payload, ETHER_IP4);
	}
	ck_assert_uint_eq(passed(PASS_REASSEMBLED), 1);
	ck_assert_uint_eq(dropped(DROP_IDS_MALFORMED), 1);
	ck_assert_uint_eq(dropped(DROP_IP_UNREACHABLE), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *su = suite_create("pipe");
	TCase *c = tcase_create("pipe");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, test_forward_and_arp);
	tcase_add_test(c, test_arp_answer);
	tcase_add_test(c, test_unsolicited_announcements);
	tcase_add_test(c, test_echo_and_ttl);
	tcase_add_test(c, test_errors_are_limited);
	tcase_add_test(c, test_too_big);
	tcase_add_test(c, test_spoofed_and_waiting);
	tcase_add_test(c, test_filters_deny_all);
	tcase_add_test(c, test_denied_with_an_answer);
	tcase_add_test(c, test_ipv6_neighbours);
	tcase_add_test(c, test_hold);
	tcase_add_test(c, test_hold_flood);
	tcase_add_test(c, test_esp_in_udp);
	tcase_add_test(c, test_fragments_for_us);
	tcase_add_test(c, test_syn_challenge);
	tcase_add_test(c, test_attack_in_fragments);
	suite_add_tcase(su, c);
	return su;
}

RV_CHECK_MAIN(suite())
