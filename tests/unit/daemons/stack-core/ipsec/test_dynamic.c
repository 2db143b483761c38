/* Dynamic tunnels: generations, what is used when, lifetimes, moving; ESP in UDP and what packets tell; checksums behind a NAT. */
#include "daemons/stack-core/ipsec/dynamic.h"
#include "daemons/stack-core/ipsec/natoa.h"
#include "tests/support/check_main.h"
#include "tests/unit/daemons/stack-core/ipsec/support.h"

static struct sadb *db;
static struct ipsec_worker *w;

/* Generation @n, whose outbound SA opens with inbound SPI @spi. */
static struct generation *generation(uint32_t n, uint32_t spi, uint8_t family, enum sa_mode mode, bool udp)
{
	struct sa_params p = suite_params(&suites[0], mode, family);
	struct generation *g = calloc(1, sizeof(*g));

	g->number = n;
	p.spi = spi;
	p.esn = true;
	p.udp = udp;
	p.sport = udp ? 4500 : 0;
	p.dport = udp ? 4501 : 0;
	p.key[0] = (uint8_t)n;
	if (mode == SA_TRANSPORT) {
		p.src = test_addr(family, 1);
		p.dst = test_addr(family, 2);
	}
	ck_assert_int_eq(sa_new(&p, true, 1, NULL, &g->in), 0);
	ck_assert_int_eq(sa_new(&p, false, 1, NULL, &g->out), 0);
	return g;
}

static struct tunnel *install(const char *id, uint32_t n, uint32_t spi, int want)
{
	struct tunnel *t = NULL;
	struct errbuf e;
	bool made;

	ck_assert_int_eq(dynamic_install(db, id, "rule", generation(n, spi, 4, SA_TUNNEL, false), &e, &t, &made), want);
	return t;
}

static void setup(void)
{
	rcu_register_thread();
	db = sadb_new(1);
	w = ipsec_worker_new(db, 0);
}

static void teardown(void)
{
	ipsec_worker_free(w);
	sadb_free(db);
	rcu_unregister_thread();
}

START_TEST(refused)
{
	struct tunnel *t = install("Y1", 1, 1000, 0);

	(void)install("Y1", 1, 1001, -EEXIST);
	(void)install("Y1", 2, 1000, -EEXIST);
	(void)install("Y2", 1, 1000, -EEXIST);
	ck_assert_ptr_null(sadb_find(db, "Y2"));
	for (uint32_t n = 2; n <= DYNAMIC_GENERATIONS_MAX; n++)
		ck_assert_ptr_eq(install("Y1", n, 1000 + n, 0), t);
	(void)install("Y1", 99, 1099, -ENOSPC);
	ck_assert_ptr_null(sadb_lookup(db, &(struct addr){0}, SA_ESP, 1099));
	ck_assert_uint_eq(dynamic_remove(db, t, 77), 0);
	ck_assert_uint_eq(dynamic_remove(db, t, 0), DYNAMIC_GENERATIONS_MAX);
	ck_assert_ptr_null(sadb_find(db, "Y1"));
	ck_assert_uint_eq(dynamic_count(db), 0);
}
END_TEST

START_TEST(generations)
{
	struct addr any = test_addr(4, 102);
	struct tunnel *t = install("Y1", 1, 1000, 0);

	ck_assert_ptr_eq(sadb_find(db, "Y1"), t);
	ck_assert_ptr_null(t->out);
	struct generation *one = dynamic_generation(t, 1);
	ck_assert(dynamic_ready(t, one));
	ck_assert(!dynamic_ready(t, one));
	ck_assert_ptr_eq(t->out, one->out);
	(void)install("Y1", 2, 1001, 0);
	struct generation *two = dynamic_generation(t, 2);
	ck_assert_ptr_eq(t->out, one->out); /* still */
	ck_assert_ptr_eq(sadb_lookup(db, &any, SA_ESP, 1000), one->in);
	ck_assert_ptr_eq(sadb_lookup(db, &any, SA_ESP, 1001), two->in);
	ck_assert(dynamic_ready(t, two));
	ck_assert_ptr_eq(t->out, two->out);
	ck_assert_uint_eq(dynamic_remove(db, t, 2), 1); /* the older one takes over */
	ck_assert_ptr_eq(t->out, one->out);
	ck_assert_ptr_null(sadb_lookup(db, &any, SA_ESP, 1001));
	ck_assert_ptr_eq(t->in, one->in);
	uint32_t index = t->index;
	ck_assert_uint_eq(dynamic_remove(db, t, 1), 1);
	ck_assert_ptr_null(sadb_tunnel(db, index));
	urcu_qsbr_barrier();
	ck_assert_uint_eq(install("Y9", 1, 1000, 0)->index, index); /* given again, after the grace period */
}
END_TEST

START_TEST(many)
{
	char id[16];
	enum { N = 3000 };

	for (uint32_t i = 0; i < N; i++) {
		(void)snprintf(id, sizeof(id), "Y%u", i);
		(void)install(id, 1, 5000 + i, 0);
	}
	struct addr dst = test_addr(4, 102);
	for (uint32_t i = 0; i < N; i++) {
		(void)snprintf(id, sizeof(id), "Y%u", i);
		ck_assert_str_eq(sadb_lookup(db, &dst, SA_ESP, 5000 + i)->tunnel->id, id);
		ck_assert_ptr_eq(sadb_lookup(db, &dst, SA_ESP, 5000 + i)->tunnel, sadb_find(db, id));
	}
	ck_assert_uint_eq(dynamic_count(db), N);
	for (uint32_t i = 0; i < N; i += 2) {
		(void)snprintf(id, sizeof(id), "Y%u", i);
		(void)dynamic_remove(db, sadb_find(db, id), 0);
	}
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(sadb_lookup(db, &dst, SA_ESP, 5000 + i) != NULL, i % 2);
}
END_TEST

struct heard {
	unsigned soft, hard;
	const char *why;
};

static void hear(void *arg, struct tunnel *t, struct generation *g, enum dynamic_limit what, const char *why)
{
	struct heard *h = arg;

	ck_assert_str_eq(t->id, "Y1");
	ck_assert_uint_eq(g->number, 1);
	h->soft += what == DYNAMIC_SOFT;
	h->hard += what == DYNAMIC_HARD;
	h->why = why;
}

static unsigned pass(struct tunnel *t, struct packet *k)
{
	struct pkt *p = &k->p;

	ipsec_out(w, &p, &t->out, 1);
	if (p->drop)
		return p->drop;
	ipsec_in(w, &p, 1);
	return p->drop;
}

START_TEST(lifetimes)
{
	struct heard h = {0};
	struct tunnel *t = install("Y1", 1, 1000, 0);
	struct generation *g = t->gens;
	struct packet k;

	g->soft_ms = 100;
	g->hard_ms = 200;
	(void)dynamic_ready(t, g);
	dynamic_lifetimes(db, 99, hear, &h);
	ck_assert_uint_eq(h.soft + h.hard, 0);
	dynamic_lifetimes(db, 100, hear, &h);
	dynamic_lifetimes(db, 150, hear, &h);
	ck_assert_uint_eq(h.soft, 1);
	ck_assert_str_eq(h.why, "time");
	packet_ip(&k, 4, 100);
	ck_assert_uint_eq(pass(t, &k), 0);
	struct sa *out = t->out;
	dynamic_lifetimes(db, 200, hear, &h);
	dynamic_lifetimes(db, 300, hear, &h);
	ck_assert_uint_eq(h.hard, 1);
	ck_assert_ptr_null(t->out);
	packet_ip(&k, 4, 100);
	struct pkt *p = &k.p;
	ipsec_out(w, &p, &out, 1);
	ck_assert_uint_eq(p->drop, DROP_ESP_EXPIRED);
}
END_TEST

START_TEST(bytes)
{
	struct heard h = {0};
	struct tunnel *t = install("Y1", 1, 1000, 0);
	struct generation *g = t->gens;
	struct packet k;
	unsigned drop = 0, n;

	g->soft_bytes = 1000;
	g->hard_bytes = g->in->hard_bytes = g->out->hard_bytes = 3000;
	(void)dynamic_ready(t, g);
	for (n = 0; n < 100 && !drop; n++) {
		packet_ip(&k, 4, 400);
		drop = pass(t, &k);
		if (n == 2) {
			dynamic_lifetimes(db, 1, hear, &h);
			ck_assert_uint_eq(h.soft, 1);
			ck_assert_str_eq(h.why, "bytes");
		}
	}
	ck_assert_uint_eq(drop, DROP_ESP_EXPIRED); /* without waiting for the control thread */
	ck_assert_uint_le(n, 9);
	dynamic_lifetimes(db, 2, hear, &h);
	ck_assert_uint_eq(h.hard, 1);
	ck_assert_str_eq(h.why, "bytes");
}
END_TEST

START_TEST(udp_round_trip)
{
	for (unsigned c = 0; c < 8; c++) {
		uint8_t outer = c & 1 ? 6 : 4, inner = c & 2 ? 6 : 4;
		enum sa_mode mode = c & 4 ? SA_TRANSPORT : SA_TUNNEL;
		struct packet k, before;
		struct tunnel *t;
		struct errbuf e;
		bool made;
		if (mode == SA_TRANSPORT && inner != outer)
			continue;
		ck_assert_int_eq(dynamic_install(db, "Y1", "rule", generation(1, 1000, outer, mode, true), &e, &t, &made), 0);
		(void)dynamic_ready(t, t->gens);
		for (uint32_t len = 60; len < 1400; len += 61) {
			packet_ip(&k, inner, len);
			packet_copy(&before, &k);
			struct pkt *p = &k.p;
			ipsec_out(w, &p, &t->out, 1);
			ck_assert_uint_eq(p->drop, 0);
			ck_assert(p->sealed);
			uint8_t *d = pkt_data(p);
			uint32_t at = outer == 4 ? 20 : 40;
			ck_assert_uint_eq(p->proto, 17);
			ck_assert_uint_eq(outer == 4 ? d[9] : d[6], 17);
			ck_assert_uint_eq(get16(d + at), 4500);
			ck_assert_uint_eq(get16(d + at + 2), 4501);
			ck_assert_uint_eq(get16(d + at + 4), p->len - at);
			ck_assert_uint_eq(get32(d + at + 8), 1000);
			ck_assert_int_eq(get16(d + at + 6) != 0, outer == 6);
			/* The packet is as long as the MTU arithmetic says. */
			ck_assert_uint_le(p->len, len + sa_overhead(t->out, inner));
			ck_assert_uint_ge(sa_mtu(t->out, p->len, inner), len);
			p->encap = true;
			ipsec_in(w, &p, 1);
			ck_assert_uint_eq(p->drop, 0);
			ck_assert_uint_eq(p->len, len);
			ck_assert_int_eq(memcmp(pkt_data(p), pkt_data(&before.p), len), 0);
		}
		(void)dynamic_remove(db, t, 0);
	}
}
END_TEST

START_TEST(udp_damaged)
{
	struct packet whole, k;
	struct tunnel *t;
	struct errbuf e;
	bool made;

	ck_assert_int_eq(dynamic_install(db, "Y1", "rule", generation(1, 1000, 4, SA_TUNNEL, true), &e, &t, &made), 0);
	(void)dynamic_ready(t, t->gens);
	packet_ip(&whole, 4, 200);
	struct pkt *p = &whole.p;
	ipsec_out(w, &p, &t->out, 1);
	ck_assert_uint_eq(p->drop, 0);
	for (uint32_t len = 0; len < whole.p.len; len++) { /* cut, by its own account too */
		packet_set(&k, pkt_data(&whole.p), len);
		p = &k.p;
		if (len >= 20) {
			put16(pkt_data(p) + 2, (uint16_t)len);
			iphdr_checksum(pkt_data(p), 20);
		}
		if (len >= 28)
			put16(pkt_data(p) + 24, (uint16_t)(len - 20));
		p->encap = true;
		ipsec_in(w, &p, 1);
		ck_assert_uint_ne(p->drop, 0);
	}
	for (uint32_t at = 28; at < whole.p.len; at++) { /* any byte of what is protected */
		packet_set(&k, pkt_data(&whole.p), whole.p.len);
		p = &k.p;
		pkt_data(p)[at] ^= 0x10;
		p->encap = true;
		ipsec_in(w, &p, 1);
		ck_assert_uint_ne(p->drop, 0);
	}
	for (unsigned len = 0; len < 8; len++) { /* a UDP length that is none, or too long */
		packet_set(&k, pkt_data(&whole.p), whole.p.len);
		p = &k.p;
		put16(pkt_data(p) + 24, (uint16_t)(len & 1 ? len : whole.p.len - 19 + len));
		p->encap = true;
		ipsec_in(w, &p, 1);
		ck_assert_uint_eq(p->drop, DROP_ESP_MALFORMED);
	}
}
END_TEST

static void sealed(struct packet *k, struct tunnel *t)
{
	struct pkt *p = &k->p;

	packet_ip(k, 4, 100);
	ipsec_out(w, &p, &t->out, 1);
	ck_assert_uint_eq(p->drop, 0);
	p->encap = true;
}

static void opened(struct packet *k, uint16_t sport)
{
	struct pkt *p = &k->p;

	put16(pkt_data(p) + 20, sport);
	ipsec_in(w, &p, 1);
	ck_assert_uint_eq(p->drop, 0);
}

START_TEST(notices)
{
	struct ipsec_notice n;
	struct packet a, b, c;
	struct tunnel *t;
	struct errbuf e;
	bool made;

	ck_assert_int_eq(dynamic_install(db, "Y1", "rule", generation(1, 1000, 4, SA_TUNNEL, true), &e, &t, &made), 0);
	(void)dynamic_ready(t, t->gens);
	sealed(&a, t);
	sealed(&b, t);
	sealed(&c, t);
	ck_assert(!ipsec_notice(w, &n));
	opened(&b, 4500);
	ck_assert(ipsec_notice(w, &n));
	ck_assert_uint_eq(n.kind, NOTICE_TRAFFIC);
	ck_assert_uint_eq(n.spi, 1000);
	ck_assert(!ipsec_notice(w, &n));
	opened(&a, 7777); /* older than what came: says nothing about where the peer is */
	ck_assert(!ipsec_notice(w, &n));
	opened(&c, 7777);
	ck_assert(ipsec_notice(w, &n));
	ck_assert_uint_eq(n.kind, NOTICE_MOVED);
	ck_assert_uint_eq(n.port, 7777);
	ck_assert_uint_eq(n.tunnel, t->index);
	struct sa_path to = *sa_outside(t->out), back = *sa_outside(t->gens->in);
	to.dport = 7777;
	dynamic_move(t, &to);
	ck_assert_uint_eq(sa_outside(t->gens->in)->sport, 7777);
	ck_assert(addr_equal(&sa_outside(t->gens->in)->dst, &to.src));
	ck_assert_ptr_null(sadb_lookup(db, &to.dst, SA_ESP, 1000));
	ck_assert_ptr_eq(sadb_lookup(db, &to.src, SA_ESP, 1000), t->gens->in);
	back.sport = 7777; /* this test is both ends of the tunnel */
	sa_move(t->gens->in, &back);
	sealed(&a, t);
	ck_assert_uint_eq(get16(pkt_data(&a.p) + 22), 7777);
	opened(&a, 7777);
	ck_assert(!ipsec_notice(w, &n));
	sealed(&a, t);
	put32(pkt_data(&a.p) + 28, 4242);
	struct pkt *p = &a.p;
	ipsec_in(w, &p, 1);
	ck_assert_uint_eq(p->drop, DROP_ESP_NO_SA);
	ck_assert(ipsec_notice(w, &n));
	ck_assert_uint_eq(n.kind, NOTICE_UNKNOWN_SPI);
	ck_assert_uint_eq(n.spi, 4242);
	for (unsigned i = 0; i < 2 * NOTICE_RING; i++) {
		sealed(&a, t);
		put32(pkt_data(&a.p) + 28, 4242);
		ipsec_in(w, &p, 1);
	}
	for (unsigned i = 0; i < NOTICE_RING; i++)
		ck_assert(ipsec_notice(w, &n));
	ck_assert(!ipsec_notice(w, &n));
	ck_assert_uint_eq(ipsec_notices_lost(w), NOTICE_RING);
}
END_TEST

/* Sum over pseudo header and segment: 0xffff when right. */
static uint32_t sum_of(const uint8_t *d, uint32_t len, uint8_t proto)
{
	uint32_t sum = (uint32_t)proto + len - 20;

	for (uint32_t i = 12; i < len; i += 2)
		sum += i + 1 < len ? get16(d + i) : (uint32_t)d[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

START_TEST(natoa)
{
	for (unsigned round = 0; round < 2000; round++) {
		uint8_t d[61], proto = round & 1 ? 6 : 17;
		uint32_t at = 20 + (proto == 6 ? 16 : 6), len = 60 + (round >> 1 & 1);
		struct sa_params p = {.oa_src = test_addr(4, (uint8_t)round), .oa_dst = test_addr(4, (uint8_t)(round * 7))};
		for (uint32_t i = 0; i < len; i++)
			d[i] = (uint8_t)(i * 31 + round * 17);
		d[0] = 0x45;
		if (round & 4)
			p.oa_dst = (struct addr){0};
		struct addr src = iphdr_src(d), dst = iphdr_dst(d);
		memcpy(d + 12, p.oa_src.b, 4);
		if (p.oa_dst.family)
			memcpy(d + 16, p.oa_dst.b, 4);
		put16(d + at, 0);
		uint16_t sum = (uint16_t)~sum_of(d, len, proto);
		put16(d + at, sum || proto == 6 ? sum : 0xffff);
		memcpy(d + 12, src.b, 4);
		memcpy(d + 16, dst.b, 4);
		natoa_fix(&p, d, 20, len, proto);
		ck_assert_uint_eq(sum_of(d, len, proto), 0xffff);
		uint8_t same[61];
		put16(d + 26, 0);
		memcpy(same, d, sizeof(d));
		natoa_fix(&p, d, 20, len, 17); /* no checksum stays none */
		natoa_fix(&p, d, 20, 21, 17);  /* and a packet without room for one is left alone */
		natoa_fix(&p, d, 20, len, 1);
		ck_assert_int_eq(memcmp(d, same, len), 0);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("dynamic");
	TCase *t = tcase_create("dynamic");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, refused);
	tcase_add_test(t, generations);
	tcase_add_test(t, many);
	tcase_add_test(t, lifetimes);
	tcase_add_test(t, bytes);
	tcase_add_test(t, udp_round_trip);
	tcase_add_test(t, udp_damaged);
	tcase_add_test(t, notices);
	tcase_add_test(t, natoa);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
