/* ICMP errors and tunnels (RFC 4301 section 6.2): what the packet in an error lets in and out, and what not. */
#include "daemons/stack-core/ip/quote.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/unit/daemons/stack-core/filter/support.h"

enum { MINE = 6, OTHER = 7 }; /* sa_in of the tunnel V5, and of none of ours */

static struct filter_set *fs;
static struct filter_worker *w;
static uint8_t bytes[400];

static uint32_t find_tunnel(void *arg, const char *vpn)
{
	(void)arg;
	return strcmp(vpn, "V5") ? UINT32_MAX : 5;
}

/* TCP from 10.1.0.5 to port 80 of 10.2.0.9 by the tunnel and in clear on our side; @icmp: a rule for ICMP between the routers,
 * 0 none, else its action + 1; @all: the tunnel is for all protocols of the two networks. */
static void policy(int icmp, bool all, bool rest)
{
	struct filter_spec s[16], f;
	size_t n = 0;

	for (unsigned six = 0; six < 2; six++) {
		const char *net1 = six ? "2001:db8:1::/64" : "10.1.0.0/16", *net2 = six ? "2001:db8:2::/64" : "10.2.0.0/16";
		if (icmp) {
			f = a_filter(0, "ICMP", (uint8_t)(icmp - 1), six ? "::/0" : "*", "*");
			f.proto = six ? 58 : 1;
			strcpy(f.vpn, icmp - 1 == FILTER_IPSEC ? "V5" : "");
			s[n++] = f;
			filter_spec_mirror(&f, &s[n++]);
		}
		f = a_filter(0, "TUNNEL", FILTER_IPSEC, net2, net1); /* inbound */
		f.proto = all ? FILTER_PROTO_ANY : 6;
		strcpy(f.vpn, "V5");
		f.a = (struct filter_range){all ? 0 : 80, all ? UINT16_MAX : 80};
		s[n++] = f;
		filter_spec_mirror(&f, &s[n++]);
		f = a_filter(0, "OURSIDE", rest ? FILTER_PERMIT : FILTER_DENY, six ? "::/0" : "*", "*");
		s[n++] = f;
		filter_spec_mirror(&f, &s[n++]);
	}
	struct filter_install i = {.rules = s, .n = n, .loaded = true, .find = find_tunnel};
	ck_assert_int_eq(filter_install(fs, FILTER_POLICY, &i, NULL), 0);
}

static void setup(void)
{
	urcu_qsbr_register_thread();
	fs = filter_set_new();
	w = filter_worker_new(fs, 1024);
	filter_worker_now(w, 1000000);
	policy(0, false, false);
}

static void teardown(void)
{
	filter_set_free(fs);
	urcu_qsbr_unregister_thread();
}

static void head4(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t proto, uint16_t total)
{
	h[0] = 0x45;
	ip_put16(h + 2, total);
	h[9] = proto;
	memcpy(h + 12, src->b, 4);
	memcpy(h + 16, dst->b, 4);
}

static void head6(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t next)
{
	h[0] = 0x60;
	ip_put16(h + 4, 1440);
	h[6] = next;
	memcpy(h + 8, src->b, 16);
	memcpy(h + 24, dst->b, 16);
}

/* An error of @type from @src to @dst in bytes, which are otherwise empty. */
static struct pkt an_error(uint8_t type, const char *src, const char *dst, uint8_t proto, uint16_t header)
{
	struct pkt p = a_packet(src, dst, proto, 0, 0);

	memset(bytes, 0, sizeof(bytes));
	bytes[header] = type;
	p.buf = bytes;
	p.size = sizeof(bytes);
	p.l4_off = header;
	p.icmp_type = type;
	p.scope = PKT_ROUTED;
	return p;
}

/* It is about a packet from @of to @to. */
static struct pkt error4(uint8_t type, const char *src, const char *dst, const char *of, const char *to, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct pkt p = an_error(type, src, dst, 1, 20);
	struct addr a = an_addr(of), b = an_addr(to);

	head4(bytes, &p.src, &p.dst, 1, 56);
	head4(bytes + 28, &a, &b, proto, 1500);
	ip_put16(bytes + 48, sport);
	ip_put16(bytes + 50, dport);
	p.len = 56;
	return p;
}

static struct pkt error6(uint8_t type, const char *src, const char *dst, const char *of, const char *to, uint16_t sport, uint16_t dport, bool ext)
{
	struct pkt p = an_error(type, src, dst, 58, 40);
	struct addr a = an_addr(of), b = an_addr(to);

	head6(bytes + 48, &a, &b, ext ? 60 : 6);
	bytes[88] = 6;
	ip_put16(bytes + (ext ? 96 : 88), sport);
	ip_put16(bytes + (ext ? 98 : 90), dport);
	p.len = ext ? 104 : 96;
	return p;
}

#define ROUTER2 "203.0.113.7"
#define ROUTER1 "203.0.113.8"

/* From a router behind the peer, about what we sent by the tunnel. */
static struct pkt from_peer(uint8_t type)
{
	struct pkt p = error4(type, ROUTER2, "10.1.0.5", "10.1.0.5", "10.2.0.9", 6, 4000, 80);
	p.sa_in = MINE;
	return p;
}

START_TEST(refused_quotes)
{
	struct pkt p = from_peer(3), q;

	ck_assert(quote_is_error(&p) && quote_reversed(&p, &q));
	for (uint32_t len = 0; len < 56; len++) { /* cut at every byte; what is behind must not be read */
		p = from_peer(3);
		p.len = len;
		memset(bytes + len, 0xff, sizeof(bytes) - len);
		ck_assert_msg(!quote_reversed(&p, &q), "%u bytes", len);
		if (len >= 28)
			ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_ICMP_QUOTE);
	}
	p = error4(3, ROUTER2, "10.1.0.6", "10.1.0.5", "10.2.0.9", 6, 4000, 80); /* not to who sent it */
	ck_assert(!quote_reversed(&p, &q));
	p = error4(3, ROUTER2, "10.1.0.5", "10.1.0.5", "224.0.0.9", 6, 4000, 80);
	ck_assert(!quote_reversed(&p, &q));
	p = error4(3, ROUTER2, "10.1.0.5", "10.1.0.5", "0.0.0.0", 6, 4000, 80);
	ck_assert(!quote_reversed(&p, &q));
	p = error4(3, ROUTER2, "10.1.0.5", "10.1.0.5", "10.2.0.9", 1, 0x0303, 0); /* about an error */
	ck_assert(!quote_reversed(&p, &q));
	static const struct {
		uint8_t at, value;
	} bad[] = {{28, 0x65}, {28, 0x44}, {28, 0x4f}, {35, 1}, {30, 0}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		p = from_peer(3);
		bytes[bad[i].at] = bad[i].value;
		if (bad[i].at == 30)
			bytes[31] = 19;
		ck_assert_msg(!quote_reversed(&p, &q), "%zu", i);
	}
}
END_TEST

START_TEST(refused_quotes6)
{
	for (unsigned ext = 0; ext < 2; ext++) {
		struct pkt q, p = error6(1, "2001:db8:77::1", "2001:db8:1::5", "2001:db8:1::5", "2001:db8:2::9", 4000, 80, ext);
		uint32_t least = ext ? 100 : 92;
		ck_assert(quote_is_error(&p) && quote_reversed(&p, &q));
		ck_assert(q.proto == 6 && q.sport == 80 && q.dport == 4000 && addr_equal(&q.dst, &p.dst));
		for (uint32_t len = 0; len < p.len; len++) {
			struct pkt cut = p;
			cut.len = len;
			ck_assert_int_eq(quote_reversed(&cut, &q), len >= least);
		}
		bytes[48] = 0x45;
		ck_assert(!quote_reversed(&p, &q));
	}
	struct pkt q, p = error6(1, "2001:db8:77::1", "2001:db8:1::5", "2001:db8:1::5", "2001:db8:2::9", 4000, 80, true);
	bytes[88] = 60; /* options without end */
	bytes[96] = 60;
	ck_assert(!quote_reversed(&p, &q));
	p = error6(1, "2001:db8:77::1", "2001:db8:1::5", "2001:db8:1::5", "2001:db8:2::9", 4000, 80, true);
	bytes[54] = 44;
	bytes[91] = 8; /* a later fragment */
	ck_assert(!quote_reversed(&p, &q));
	p.icmp_type = 128;
	ck_assert(!quote_is_error(&p));
	p.icmp_type = 5;
	ck_assert(!quote_is_error(&p));
}
END_TEST

START_TEST(refused_in)
{
	struct pkt p;

	for (uint8_t type = 0; type < 20; type++) { /* the others are what their rule says: nothing permits them */
		p = from_peer(type);
		bool error = type == 3 || type == 11 || type == 12;
		ck_assert_int_eq(quote_is_error(&p), error);
		ck_assert_uint_eq(decide(w, p).drop, error ? 0 : DROP_FILTER_DENY);
	}
	p = from_peer(3);
	p.sa_in = OTHER;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_ICMP_RETURNED);
	p.sa_in = 0; /* in clear, and our side's rule says no */
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_DENY);
	p = error4(3, ROUTER2, "10.1.0.5", "10.1.0.5", "10.2.0.9", 6, 4000, 81); /* another port */
	p.sa_in = MINE;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_ICMP_RETURNED);
	p = error4(3, ROUTER2, "10.1.0.5", "10.1.0.5", "10.2.0.9", 17, 4000, 80);
	p.sa_in = MINE;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_ICMP_RETURNED);
	p = error4(3, ROUTER2, "10.1.0.5", "10.1.0.5", "10.3.0.9", 6, 4000, 80); /* a connection to somebody else */
	p.sa_in = MINE;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_ICMP_RETURNED);
	struct filter_spec block = a_filter(1, "BLOCK", FILTER_DENY, ROUTER2 "/32", "*");
	ck_assert_int_eq(defend_one(fs, &block, 1000000), 0);
	ck_assert_uint_eq(decide(w, from_peer(3)).drop, DROP_FILTER_DEFENSIVE);
}
END_TEST

START_TEST(comes_out)
{
	struct filter_verdict v = decide(w, from_peer(11));

	ck_assert(v.action == FILTER_IPSEC && v.tunnel == 5 && v.returned);
	ck_assert_str_eq(name_of(v.rule), "TUNNEL");
	struct pkt p = error6(2, "2001:db8:77::1", "2001:db8:1::5", "2001:db8:1::5", "2001:db8:2::9", 4000, 80, false);
	p.sa_in = MINE;
	ck_assert(decide(w, p).returned);
	p = from_peer(3);
	filter_check(w, &p, &v);
	ck_assert(p.vouched && !p.drop);
	/* Towards our host, it goes as the answer would. */
	p.inbound = false;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_DENY);
	policy(0, false, true);
	v = decide(w, p);
	ck_assert(v.action == FILTER_PERMIT);
}
END_TEST

/* The rule for ICMP is the operator's word, whatever is in the message. */
START_TEST(a_rule_for_icmp_decides)
{
	policy(FILTER_DENY + 1, false, true);
	ck_assert_uint_eq(decide(w, from_peer(3)).drop, DROP_FILTER_DENY);
	policy(FILTER_IPSEC + 1, false, false);
	struct pkt p = error4(3, ROUTER2, "10.1.0.5", "10.1.0.5", "10.9.0.9", 6, 4000, 80);
	p.sa_in = MINE;
	ck_assert(decide(w, p).action == FILTER_IPSEC && !decide(w, p).returned);
	policy(FILTER_PERMIT + 1, false, false); /* in clear; it came by the tunnel all the same */
	ck_assert(decide(w, from_peer(3)).returned);
	p = error4(3, ROUTER1, "10.2.0.9", "10.2.0.9", "10.1.0.5", 6, 80, 4000);
	p.inbound = false;
	ck_assert_int_eq(decide(w, p).action, FILTER_PERMIT);
	p.about_sa = MINE; /* but what came protected does not go back in clear */
	p.about_scope = PKT_ROUTED;
	ck_assert(decide(w, p).action == FILTER_IPSEC && decide(w, p).returned);
}
END_TEST

START_TEST(a_tunnel_for_all)
{
	policy(0, true, false);
	struct pkt p = error4(3, "10.2.0.1", "10.1.0.5", "10.1.0.5", "10.2.0.9", 17, 5, 7), far = p;
	p.sa_in = MINE;
	ck_assert(decide(w, p).action == FILTER_IPSEC && !decide(w, p).returned);
	far = error4(3, "10.2.0.1", "10.1.0.5", "10.1.0.5", "10.3.0.9", 17, 5, 7);
	far.sa_in = MINE;
	ck_assert_uint_eq(decide(w, far).drop, DROP_FILTER_ICMP_RETURNED);
	far.fragment = true; /* the first fragment shows it, too */
	ck_assert_uint_eq(decide(w, far).drop, DROP_FILTER_ICMP_RETURNED);
	filter_set_returned(fs, false, true);
	ck_assert_int_eq(decide(w, far).action, FILTER_IPSEC);
	far.len = 28;
	ck_assert_int_eq(decide(w, far).action, FILTER_IPSEC);
	filter_set_returned(fs, true, false);
	ck_assert_uint_eq(decide(w, far).drop, DROP_FILTER_ICMP_QUOTE);
}
END_TEST

START_TEST(goes_in)
{
	struct pkt p = error4(11, ROUTER1, "10.2.0.9", "10.2.0.9", "10.1.0.5", 6, 80, 4000);
	struct filter_verdict v;

	p.inbound = false;
	v = decide(w, p);
	ck_assert(v.action == FILTER_IPSEC && v.tunnel == 5 && v.returned);
	/* From our side: only when our side's rule lets the answer in, and then only into the tunnel. */
	p.inbound = true;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_DENY);
	policy(0, false, true);
	filter_check(w, &p, &v);
	ck_assert(v.action == FILTER_PERMIT && !p.drop);
	p.inbound = false;
	v = decide(w, p); /* a rule would let it leave in clear: not what is about the tunnel's packets */
	ck_assert(v.action == FILTER_IPSEC && v.returned);
	p = error4(11, ROUTER1, "10.2.0.9", "10.2.0.9", "10.1.0.5", 6, 81, 4000);
	p.inbound = false;
	ck_assert_int_eq(decide(w, p).action, FILTER_PERMIT); /* not the tunnel's */
	p.vouched = true;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_ICMP_RETURNED);
	p.len = 30;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_ICMP_QUOTE);
}
END_TEST

static uint32_t find_none(void *arg, const char *vpn)
{
	(void)arg;
	(void)vpn;
	return UINT32_MAX;
}

START_TEST(without_its_tunnel_not_in_clear)
{
	struct pkt p = error4(11, ROUTER1, "10.2.0.9", "10.2.0.9", "10.1.0.5", 6, 80, 4000);

	policy(0, false, true);
	ck_assert_uint_gt(filter_resolve(fs, find_none, NULL), 0);
	p.inbound = false;
	ck_assert_uint_eq(decide(w, p).drop, DROP_FILTER_NO_TUNNEL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("returned");
	TCase *t = tcase_create("returned");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, refused_quotes);
	tcase_add_test(t, refused_quotes6);
	tcase_add_test(t, refused_in);
	tcase_add_test(t, comes_out);
	tcase_add_test(t, a_rule_for_icmp_decides);
	tcase_add_test(t, a_tunnel_for_all);
	tcase_add_test(t, goes_in);
	tcase_add_test(t, without_its_tunnel_not_in_clear);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
