/* Tunnels in tunnels: the second rule is asked once a packet, whatever for. */
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/worker.h"
#include "tests/support/check_main.h"
#include <string.h>
#include <urcu-qsbr.h>

enum { SENT_MAX = 16, FIRST_SPI = 0x1001, SECOND_SPI = 0x1002 };

static struct stack *s;
static struct tunnel *first, *second;
static uint8_t waiting[4000], sent[SENT_MAX][2000];
static uint32_t waiting_len, sent_len[SENT_MAX];
static unsigned n_sent;
static uint64_t now_ms;

static struct addr addr(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static unsigned lan_rx(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	if (arg != &s->links[0] || !waiting_len || !max)
		return 0;
	struct pkt *p = waiting_len > 1800 ? pkt_alloc_large(pool) : pkt_alloc(pool);
	memcpy(pkt_data(p), waiting, waiting_len);
	p->len = waiting_len;
	p->ethertype = ETHER_IP4;
	waiting_len = 0;
	out[0] = p;
	return 1;
}

static void wire_tx(void *arg, const struct pkt *p)
{
	if (arg != &s->links[1] || p->ethertype == ETHER_ARP || p->ethertype == ETHER_IP6)
		return;
	ck_assert_uint_lt(n_sent, SENT_MAX);
	sent_len[n_sent] = p->len;
	memcpy(sent[n_sent++], pkt_data(p), p->len);
}

static void link_make(unsigned i, const char *address)
{
	struct link *l = &s->links[i];

	(void)snprintf(l->name, sizeof(l->name), "L%u", i);
	l->type = LINK_MEMORY;
	l->urpf = LINK_URPF_OFF;
	l->ethernet = true;
	l->mac[5] = (uint8_t)(i + 1);
	l->addrs[l->n_addrs++] = (struct prefix){addr(address), 24};
	l->memory = (struct link_memory){lan_rx, wire_tx, l};
}

static struct tunnel *tunnel(const char *name, uint32_t spi, const char *us, const char *peer)
{
	struct errbuf e;
	struct sa *in, *out;
	struct tunnel *t;
	struct sa_params p = {.proto = SA_ESP, .mode = SA_TUNNEL, .spi = spi, .cipher = CIPHER_AES_GCM, .key_len = 20, .auth = AUTH_NONE,
		.replay = 64, .src = addr(us), .dst = addr(peer)}, q = p;

	memset(p.key, (int)spi, 20);
	memset(q.key, (int)spi + 9, 20);
	q.src = p.dst;
	q.dst = p.src;
	ck_assert_int_eq(sa_new(&q, true, 1, &e, &in), 0);
	ck_assert_int_eq(sa_new(&p, false, 1, &e, &out), 0);
	ck_assert_msg(!sadb_add(s->sadb, 'M', name, in, out, true, &e, &t), "%s", e.text);
	return t;
}

static uint32_t find(void *arg, const char *vpn)
{
	(void)arg;
	return !strcmp(vpn, "first") ? first->index : !strcmp(vpn, "second") && second ? second->index : UINT32_MAX;
}

static struct filter_spec rule(const char *name, const char *src, const char *dst, uint16_t proto, const char *vpn)
{
	struct filter_spec f;
	struct prefix p;

	filter_spec_init(&f, 4, false);
	(void)snprintf(f.name, sizeof(f.name), "%s", name);
	ck_assert_int_eq(prefix_parse(src, &p), 0);
	filter_spec_source(&f, &p);
	ck_assert_int_eq(prefix_parse(dst, &p), 0);
	filter_spec_dest(&f, &p);
	f.proto = proto;
	f.action = *vpn ? FILTER_IPSEC : FILTER_PERMIT;
	(void)snprintf(f.vpn, sizeof(f.vpn), "%s", vpn);
	return f;
}

static void policy(bool negotiated)
{
	struct filter_spec r[4] = {rule("inner", "10.1.0.0/16", "10.2.0.0/16", FILTER_PROTO_ANY, "first"),
		rule("over", "198.51.100.101/32", "198.51.100.102/32", IP_ESP, "second"), rule("lan", "0.0.0.0/0", "0.0.0.0/0", FILTER_PROTO_ANY, "")};
	struct filter_install i = {.rules = r, .n = 4, .loaded = true, .find = find};
	struct errbuf e;

	r[1].anchor = r[1].on_demand = negotiated;
	r[2].inbound = true;
	r[3] = rule("out", "0.0.0.0/0", "0.0.0.0/0", FILTER_PROTO_ANY, "");
	ck_assert_msg(!filter_install(s->filters, FILTER_POLICY, &i, &e), "%s", e.text);
	filter_switch(s->filters, FILTER_POLICY);
}

static void setup(void)
{
	struct fib_route r[] = {{.dst = {addr("10.2.0.0"), 16}, .kind = FIB_GATEWAY, .link = 1, .gateway = addr("198.51.100.2")}};
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct errbuf e;

	rcu_register_thread();
	s = stack_new("TEST", 1);
	s->n_links = 2;
	link_make(0, "10.1.0.1");
	link_make(1, "198.51.100.1");
	s->links[1].addrs[s->links[1].n_addrs++] = (struct prefix){addr("198.51.100.101"), 32};
	ck_assert_int_eq(stack_open(s, &e), 0);
	ck_assert_int_eq(stack_routes(s, r, 1, &e), 0);
	now_ms = 1000000;
	n_sent = waiting_len = 0;
	struct addr near[] = {addr("198.51.100.2"), addr("198.51.100.102")};
	for (unsigned i = 0; i < 2; i++)
		(void)neigh_hear(s->neigh, 1, &near[i], mac, NEIGH_ASKED, now_ms);
	first = tunnel("first", FIRST_SPI, "198.51.100.101", "198.51.100.102");
	second = tunnel("second", SECOND_SPI, "198.51.100.1", "198.51.100.2");
	s->ipsecurity4 = true;
	policy(false);
}

static void teardown(void)
{
	ck_assert_uint_eq(pkt_pool_available(s->workers[0]->pool) + s->workers[0]->n_pending, WORKER_SMALL);
	stack_free(s);
	rcu_unregister_thread();
}

static void send_udp(uint32_t payload, bool df)
{
	struct addr a = addr("10.1.0.9"), d = addr("10.2.0.9");

	memset(waiting, 0x5a, sizeof(waiting));
	ip4_write(waiting, &a, &d, IP_UDP, 64, 0, 28 + payload, 7, df);
	ip_put16(waiting + 24, 8 + payload);
	ip_put16(waiting + 26, 0);
	waiting_len = 28 + payload;
	now_ms++;
	(void)worker_round(s->workers[0], now_ms, now_ms * 1000);
}

struct count {
	const char *name;
	uint64_t n;
};

static bool count(void *arg, const struct filter_rule *r)
{
	struct count *c = arg;

	if (!strcmp(filter_rule_spec(r)->name, c->name))
		c->n += filter_matches(s->filters, r);
	return true;
}

static uint64_t matches(const char *name)
{
	struct count c = {name, 0};
	ck_assert_int_eq(filter_each(s->filters, "policy", count, &c), 0);
	return c.n;
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

/* Refused first: without its tunnel the second rule lets nothing leave, and the first tunnel spends no number on it. */
START_TEST(not_without_the_second)
{
	second = NULL;
	policy(false);
	send_udp(100, false);
	ck_assert_uint_eq(n_sent, 0);
	ck_assert_uint_eq(dropped(DROP_FILTER_NO_TUNNEL), 1);
	ck_assert_uint_eq(passed(PASS_ENCAP), 0);
	ck_assert_uint_eq(atomic_load(&first->out->seq), 0);
}
END_TEST

START_TEST(each_rule_counts_once)
{
	for (unsigned i = 1; i <= 5; i++) {
		send_udp(100, true);
		ck_assert_uint_eq(n_sent, i);
		ck_assert_uint_eq(ip_get32(sent[i - 1] + 20), SECOND_SPI);
		ck_assert_uint_eq(sent[i - 1][19], 2);
		ck_assert_uint_eq(matches("inner"), i);
		ck_assert_uint_eq(matches("over"), i);
	}
	ck_assert_uint_eq(passed(PASS_NESTED), 5);
	ck_assert_uint_eq(atomic_load(&first->out->seq), 5);
	ck_assert_uint_eq(atomic_load(&second->out->seq), 5);
}
END_TEST

/* Cut to fit both, it was one packet for both rules; every piece goes through both tunnels. */
START_TEST(a_packet_that_is_cut)
{
	send_udp(1460, false);
	ck_assert_uint_eq(n_sent, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(ip_get32(sent[i] + 20), SECOND_SPI);
		ck_assert_uint_le(sent_len[i], 1500);
	}
	ck_assert_uint_eq(passed(PASS_NESTED), 2);
	ck_assert_uint_eq(matches("inner"), 1);
	ck_assert_uint_eq(matches("over"), 1);
	send_udp(1460, true); /* may not be cut: it was asked about all the same */
	ck_assert_uint_eq(n_sent, 2);
	ck_assert_uint_eq(dropped(DROP_IP_TOO_BIG), 1);
	ck_assert_uint_eq(matches("over"), 2);
}
END_TEST

/* The second one is to be negotiated: the want names what it would carry, and the packet waits so long. */
START_TEST(waits_for_the_second)
{
	struct worker *w = s->workers[0];
	struct addr us = addr("198.51.100.101"), peer = addr("198.51.100.102");
	struct hold_want want;

	policy(true);
	for (unsigned i = 0; i < 3; i++)
		send_udp(100, false);
	ck_assert_uint_eq(n_sent, 0);
	ck_assert_uint_eq(hold_waiting(w->hold), 3);
	ck_assert(hold_take(w->hold, &want) && want.held);
	ck_assert(want.proto == IP_ESP && !want.ports && addr_equal(&want.src, &us) && addr_equal(&want.dst, &peer));
	ck_assert_str_eq(want.rule, "over");
	ck_assert(!hold_take(w->hold, &want)); /* told once */
	policy(false); /* it comes */
	now_ms += HOLD_MS / 2;
	(void)worker_round(w, now_ms, now_ms * 1000);
	ck_assert_uint_eq(hold_waiting(w->hold), 0);
	ck_assert_uint_eq(n_sent, 3);
	ck_assert_uint_eq(ip_get32(sent[2] + 20), SECOND_SPI);
	policy(true); /* or not */
	send_udp(100, false);
	now_ms += HOLD_MS;
	(void)worker_round(w, now_ms, now_ms * 1000);
	ck_assert_uint_eq(hold_waiting(w->hold), 0);
	ck_assert_uint_eq(dropped(DROP_FILTER_HOLD_TIME), 1);
	ck_assert_uint_eq(n_sent, 3);
}
END_TEST

static Suite *suite(void)
{
	Suite *s1 = suite_create("nest");
	TCase *t = tcase_create("nest");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, not_without_the_second);
	tcase_add_test(t, each_rule_counts_once);
	tcase_add_test(t, a_packet_that_is_cut);
	tcase_add_test(t, waits_for_the_second);
	suite_add_tcase(s1, t);
	return s1;
}

RV_CHECK_MAIN(suite())
