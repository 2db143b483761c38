/* Filters of dynamic tunnels in front of their anchors: who decides, what flow caches keep, what a new policy does to them. */
#include "daemons/stack-core/ipsec/dynamic.h"
#include "tests/unit/daemons/stack-core/filter/support.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct filter_set *fs;
static struct filter_worker *w, *plain; /* with and without a flow cache */
static struct sadb *db;

/* The policy: a permit for TCP port 22, anchor NET (10.1/16 to 10.2/16), anchor HOST without on demand, permit the rest of 10.1/16. */
static void policy(bool with_anchor)
{
	struct filter_spec s[10];
	size_t n = 0;

	for (unsigned in = 0; in < 2; in++) {
		struct filter_spec base = a_filter(0, "x", FILTER_PERMIT, "10.1.0.0/16", "10.2.0.0/16"), f;
		base.inbound = false;
		f = base;
		(void)snprintf(f.name, sizeof(f.name), "SSH");
		f.proto = 6;
		f.b = (struct filter_range){22, 22};
		in ? filter_spec_mirror(&f, &s[n]) : (void)(s[n] = f);
		n++;
		f = base;
		(void)snprintf(f.name, sizeof(f.name), "NET");
		(void)snprintf(f.vpn, sizeof(f.vpn), "vpn");
		f.action = FILTER_IPSEC;
		f.anchor = f.on_demand = f.log = true;
		in ? filter_spec_mirror(&f, &s[n]) : (void)(s[n] = f);
		n += with_anchor;
		f = a_filter(0, "HOST", FILTER_IPSEC, "10.1.0.0/16", "10.3.0.0/16");
		f.inbound = false;
		f.anchor = true;
		(void)snprintf(f.vpn, sizeof(f.vpn), "vpn");
		in ? filter_spec_mirror(&f, &s[n]) : (void)(s[n] = f);
		n++;
		f = a_filter(0, "REST", FILTER_PERMIT, "10.1.0.0/16", "*");
		f.inbound = false;
		in ? filter_spec_mirror(&f, &s[n]) : (void)(s[n] = f);
		n++;
	}
	ck_assert_int_eq(filter_install(fs, FILTER_POLICY, &(struct filter_install){.rules = s, .n = n, .loaded = true, .logging = true}, NULL), 0);
}

static struct tunnel *tunnel(const char *id, uint32_t spi)
{
	struct sa_params p = {.proto = SA_ESP, .mode = SA_TUNNEL, .spi = spi, .src = an_addr("192.0.2.1"), .dst = an_addr("192.0.2.2"),
		.cipher = CIPHER_AES_GCM, .key_len = 20};
	struct generation *g = calloc(1, sizeof(*g));
	struct tunnel *t;
	struct errbuf e;
	bool made;

	g->number = 1;
	ck_assert_int_eq(sa_new(&p, true, 1, NULL, &g->in), 0);
	ck_assert_int_eq(sa_new(&p, false, 1, NULL, &g->out), 0);
	ck_assert_int_eq(dynamic_install(db, id, "NET", g, &e, &t, &made), 0);
	return t;
}

static struct filter_protect selector(const char *rule, const char *llo, const char *lhi, const char *rlo, const char *rhi, uint32_t index)
{
	struct filter_protect p;

	memset(&p, 0, sizeof(p));
	(void)snprintf(p.rule, sizeof(p.rule), "%s", rule);
	p.local_lo = an_addr(llo);
	p.local_hi = an_addr(lhi);
	p.remote_lo = an_addr(rlo);
	p.remote_hi = an_addr(rhi);
	p.proto = FILTER_PROTO_ANY;
	p.tunnel = index;
	return p;
}

static struct filter_dynamic *add(const struct filter_protect *p, int want)
{
	struct filter_dynamic *d = NULL;
	struct errbuf e;

	ck_assert_int_eq(filter_dynamic_add(fs, p, &e, &d), want);
	return d;
}

static struct pkt out_packet(const char *src, const char *dst, uint8_t proto, uint16_t dport)
{
	struct pkt p = a_packet(src, dst, proto, 1000, dport);
	p.inbound = false;
	return p;
}

static struct filter_verdict out(const char *src, const char *dst)
{
	struct filter_verdict a = decide(w, out_packet(src, dst, 17, 9)), b = decide(plain, out_packet(src, dst, 17, 9));
	ck_assert(a.action == b.action && a.sa == b.sa && a.drop == b.drop);
	return a;
}

static struct filter_verdict in(const char *src, const char *dst, uint32_t sa_in)
{
	struct pkt p = a_packet(src, dst, 17, 9, 1000);
	p.sa_in = sa_in;
	return decide(w, p);
}

static void setup(void)
{
	urcu_qsbr_register_thread();
	fs = filter_set_new();
	db = sadb_new(1);
	filter_set_sadb(fs, db);
	w = filter_worker_new(fs, 4096);
	plain = filter_worker_new(fs, 0);
	filter_worker_now(w, 1000);
	filter_worker_now(plain, 1000);
	policy(true);
}

static void teardown(void)
{
	filter_set_free(fs);
	sadb_free(db);
	urcu_qsbr_unregister_thread();
}

START_TEST(refused)
{
	struct filter_protect p = selector("NOTHING", "10.1.0.0", "10.1.0.9", "10.2.0.0", "10.2.0.9", 0);

	(void)add(&p, -ENOENT);
	p = selector("SSH", "10.1.0.0", "10.1.0.9", "10.2.0.0", "10.2.0.9", 0); /* no anchor */
	(void)add(&p, -ENOENT);
	p = selector("NET", "10.9.0.0", "10.9.0.9", "10.2.0.0", "10.2.0.9", 0);
	(void)add(&p, -ENOENT);
	p = selector("NET", "2001:db8::1", "2001:db8::9", "2001:db8::1", "2001:db8::9", 0);
	(void)add(&p, -ENOENT);
	p = selector("NET", "10.1.0.9", "10.1.0.0", "10.2.0.0", "10.2.0.9", 0);
	(void)add(&p, -EINVAL);
	p = selector("NET", "10.1.0.0", "10.1.0.9", "2001:db8::1", "2001:db8::9", 0);
	(void)add(&p, -EINVAL);
	p = selector("NET", "10.1.0.0", "10.1.0.9", "10.2.0.0", "10.2.0.9", SADB_TUNNELS_MAX);
	(void)add(&p, -EINVAL);
}
END_TEST

START_TEST(anchor_alone)
{
	struct filter_verdict v = out("10.1.0.1", "10.2.0.1");

	ck_assert_int_eq(v.action, FILTER_HOLD);
	ck_assert_str_eq(name_of(v.rule), "NET");
	ck_assert_uint_eq(out("10.1.0.1", "10.3.0.1").drop, DROP_FILTER_NO_TUNNEL);
	ck_assert_uint_eq(in("10.2.0.1", "10.1.0.1", 0).drop, DROP_FILTER_CLEAR);
	ck_assert_uint_eq(in("10.2.0.1", "10.1.0.1", 7).drop, DROP_FILTER_TUNNEL);
	ck_assert_int_eq(out("10.1.0.1", "10.4.0.1").action, FILTER_PERMIT);
	struct pkt later = out_packet("10.1.0.1", "10.2.0.1", 17, 0);
	later.fragment = later.opaque = true;
	ck_assert_uint_eq(decide(w, later).drop, DROP_FILTER_NO_TUNNEL); /* asks for nothing */
	ck_assert_int_eq(decide(w, out_packet("10.1.0.1", "10.2.0.1", 6, 22)).action, FILTER_PERMIT);
}
END_TEST

START_TEST(in_front)
{
	struct tunnel *t = tunnel("Y1", 1000);
	struct filter_protect p = selector("NET", "10.1.0.0", "10.1.0.9", "10.2.0.0", "10.2.255.255", t->index);

	for (unsigned i = 0; i < 3; i++) /* known to the cache */
		ck_assert_int_eq(out("10.1.0.1", "10.2.0.1").action, FILTER_HOLD);
	ck_assert(out("10.1.0.1", "10.4.0.1").action == FILTER_PERMIT && out("10.1.0.1", "10.4.0.1").cached);
	struct filter_dynamic *d = add(&p, 0);
	ck_assert(filter_dynamic_placed(d));
	ck_assert_int_eq(in("10.2.0.1", "10.1.0.1", t->index + 1).action, FILTER_IPSEC);
	ck_assert_uint_eq(in("10.2.0.1", "10.1.0.77", t->index + 1).drop, DROP_FILTER_TUNNEL); /* not of its selector */
	ck_assert_uint_eq(in("10.3.0.1", "10.1.0.1", t->index + 1).drop, DROP_FILTER_TUNNEL); /* another rule's */
	ck_assert_uint_eq(in("10.4.0.1", "10.1.0.1", t->index + 1).drop, DROP_FILTER_TUNNEL); /* what may come in clear may not come by it */
	ck_assert_uint_eq(in("10.2.0.1", "10.1.0.1", 0).drop, DROP_FILTER_CLEAR);
	ck_assert_int_eq(out("10.1.0.1", "10.2.0.1").action, FILTER_HOLD); /* not ready */
	struct addr a = an_addr("10.1.0.1"), b = an_addr("10.2.0.1"), c = an_addr("10.1.0.77");
	ck_assert(filter_dynamic_coming(fs, &a, &b, 17) && !filter_dynamic_coming(fs, &c, &b, 17));
	(void)dynamic_ready(t, t->gens);
	filter_dynamic_ready(fs, d);
	ck_assert(!filter_dynamic_coming(fs, &a, &b, 17));
	ck_assert_ptr_eq(out("10.1.0.1", "10.2.0.1").sa, t->out);
	ck_assert_int_eq(out("10.1.0.77", "10.2.0.1").action, FILTER_HOLD);
	ck_assert_int_eq(decide(w, out_packet("10.1.0.1", "10.2.0.1", 6, 22)).action, FILTER_PERMIT); /* SSH stands before the anchor */
	ck_assert(out("10.1.0.1", "10.4.0.1").cached); /* of no interest to it */
	p = selector("HOST", "10.1.0.0", "10.1.0.9", "10.3.0.0", "10.3.0.9", t->index);
	struct filter_dynamic *host = add(&p, 0);
	filter_dynamic_ready(fs, host);
	ck_assert_int_eq(out("10.1.0.1", "10.3.0.1").action, FILTER_IPSEC);
	t->out = NULL; /* its lifetime is over, and no other may be asked for */
	ck_assert_uint_eq(out("10.1.0.1", "10.3.0.1").drop, DROP_FILTER_INACTIVE);
	filter_dynamic_remove(fs, host);
	ck_assert_uint_eq(out("10.1.0.1", "10.3.0.1").drop, DROP_FILTER_NO_TUNNEL);
	(void)dynamic_remove(db, t, 0);
	filter_dynamic_remove(fs, d);
	ck_assert_int_eq(out("10.1.0.1", "10.2.0.1").action, FILTER_HOLD);
	ck_assert_uint_eq(in("10.2.0.1", "10.1.0.1", 1).drop, DROP_FILTER_TUNNEL);
}
END_TEST

START_TEST(twins)
{
	struct tunnel *t = tunnel("Y1", 1000), *u = tunnel("Y2", 1001);
	struct filter_protect p = selector("NET", "10.1.0.0", "10.1.255.255", "10.2.0.0", "10.2.255.255", t->index);
	struct filter_dynamic *d = add(&p, 0);

	p.tunnel = u->index;
	struct filter_dynamic *e = add(&p, 0);
	(void)dynamic_ready(t, t->gens);
	filter_dynamic_ready(fs, d);
	ck_assert_ptr_eq(out("10.1.0.1", "10.2.0.1").sa, t->out); /* the other one is not ready */
	ck_assert_uint_eq(in("10.2.0.1", "10.1.0.1", t->index + 1).tunnel, t->index);
	ck_assert_uint_eq(in("10.2.0.1", "10.1.0.1", u->index + 1).tunnel, u->index);
	(void)dynamic_ready(u, u->gens);
	filter_dynamic_ready(fs, e);
	ck_assert_ptr_eq(out("10.1.0.1", "10.2.0.1").sa, u->out);
	filter_dynamic_remove(fs, e);
	ck_assert_ptr_eq(out("10.1.0.1", "10.2.0.1").sa, t->out);
	ck_assert_int_eq(in("10.2.0.1", "10.1.0.1", t->index + 1).action, FILTER_IPSEC);
}
END_TEST

START_TEST(reload)
{
	struct tunnel *t = tunnel("Y1", 1000);
	struct filter_protect p = selector("NET", "10.1.0.0", "10.1.255.255", "10.2.0.0", "10.2.255.255", t->index);
	struct filter_dynamic *d = add(&p, 0);

	(void)dynamic_ready(t, t->gens);
	filter_dynamic_ready(fs, d);
	for (unsigned i = 0; i < 4; i++) {
		policy(true);
		ck_assert_ptr_eq(out("10.1.0.1", "10.2.0.1").sa, t->out);
		ck_assert_int_eq(in("10.2.0.1", "10.1.0.1", t->index + 1).action, FILTER_IPSEC);
		policy(false); /* the rule is gone, and with it the tunnel's right to be used */
		ck_assert(!filter_dynamic_placed(d));
		ck_assert_int_eq(out("10.1.0.1", "10.2.0.1").action, FILTER_PERMIT);
		ck_assert_uint_eq(in("10.2.0.1", "10.1.0.1", t->index + 1).drop, DROP_FILTER_TUNNEL);
	}
	policy(true);
	filter_switch(fs, FILTER_PROFILE); /* "ipsec -f default": tunnels exist, unused */
	ck_assert_uint_eq(out("10.1.0.1", "10.2.0.1").drop, DROP_FILTER_IMPLICIT);
	filter_switch(fs, FILTER_POLICY);
	ck_assert_ptr_eq(out("10.1.0.1", "10.2.0.1").sa, t->out);
}
END_TEST

static bool order(void *arg, const struct filter_rule *r)
{
	char *text = arg;
	bool dynamic = filter_rule_kind(r) == FILTER_DYNAMIC;

	(void)snprintf(text + strlen(text), 200 - strlen(text), "%s%s%s ", dynamic ? "+" : "", name_of(r),
		filter_rule_natt(r) == FILTER_NATT_ANCHOR ? "^" : filter_rule_natt(r) == FILTER_NATT_DYNAMIC ? "~" : "");
	return true;
}

START_TEST(display_and_natt)
{
	struct tunnel *t = tunnel("Y1", 1000);
	struct filter_protect p = selector("NET", "10.1.0.1", "10.1.0.1", "10.2.0.1", "10.2.0.1", t->index);
	char text[200] = "";

	p.natt = true;
	p.natt_local = an_addr("10.1.0.1");
	p.natt_remote = an_addr("10.2.0.99"); /* what packets in transport mode show */
	struct filter_dynamic *d = add(&p, 0);
	(void)filter_each(fs, "policy", order, text);
	ck_assert_str_eq(text, "SSH +NET~ +NET~ NET^ HOST REST SSH +NET~ +NET~ NET^ HOST REST SYSDEFAULTDENYRULE SYSDEFAULTDENYRULE "
		"SYSDEFAULTDENYRULE SYSDEFAULTDENYRULE ");
	ck_assert_int_eq(in("10.2.0.99", "10.1.0.1", t->index + 1).action, FILTER_IPSEC);
	ck_assert_int_eq(in("10.2.0.1", "10.1.0.1", t->index + 1).action, FILTER_IPSEC);
	ck_assert_uint_eq(in("10.2.0.98", "10.1.0.1", t->index + 1).drop, DROP_FILTER_TUNNEL);
	filter_dynamic_remove(fs, d);
	text[0] = 0;
	(void)filter_each(fs, "policy", order, text);
	ck_assert_ptr_null(strchr(text, '+'));
}
END_TEST

/* Tunnels come and go at random: a worker with a cache decides as one without. */
START_TEST(cache_agrees)
{
	enum { N = 40 };
	struct tunnel *t[N] = {0};
	struct filter_dynamic *d[N] = {0};
	char a[32], b[32], id[16];

	srandom(4711);
	for (unsigned round = 0; round < 20000; round++) {
		unsigned i = (unsigned)random() % N;
		if (round % 4 == 0 && !t[i]) {
			(void)snprintf(id, sizeof(id), "Y%u", i);
			t[i] = tunnel(id, 1000 + round);
			(void)snprintf(a, sizeof(a), "10.2.0.%u", i / 4);
			(void)snprintf(b, sizeof(b), "10.2.0.%u", i / 4 + i % 4);
			struct filter_protect p = selector("NET", "10.1.0.0", "10.1.255.255", a, b, t[i]->index);
			d[i] = add(&p, 0);
			if (random() % 4) {
				(void)dynamic_ready(t[i], t[i]->gens);
				filter_dynamic_ready(fs, d[i]);
			}
		} else if (round % 4 == 0) {
			filter_dynamic_remove(fs, d[i]);
			(void)dynamic_remove(db, t[i], 0);
			t[i] = NULL;
		} else {
			(void)snprintf(b, sizeof(b), "10.2.0.%u", i / 4);
			(void)out("10.1.0.1", b);
			(void)out("10.1.0.1", "10.4.0.1");
		}
		if (round % 50 == 0)
			urcu_qsbr_quiescent_state();
	}
	struct filter_worker_stats s;
	filter_worker_stats(w, &s);
	ck_assert_uint_gt(s.hits, 7000); /* what is not the anchor's stays known */
}
END_TEST

static atomic_bool stop;
static atomic_uint rounds;

/* Reads whatever a verdict names: what was freed too early is seen by the address sanitizer. */
static void *reader(void *arg)
{
	struct filter_worker *mine = arg;
	struct pkt p = out_packet("10.1.0.1", "10.2.0.0", 17, 9), q = p;
	unsigned n = 0;

	urcu_qsbr_register_thread();
	while (!atomic_load(&stop)) {
		for (unsigned i = 0; i < 64; i++) {
			struct filter_verdict v;
			p.dst.b[3] = q.src.b[3] = (uint8_t)(i % 8);
			p.drop = q.drop = 0;
			filter_check(mine, &p, &v);
			if (v.action == FILTER_IPSEC && (v.sa->spi < 1000 || !v.sa->tunnel->dynamic || strcmp(name_of(v.rule), "NET")))
				abort();
			q.src = p.dst;
			q.dst = p.src;
			q.inbound = true;
			q.sa_in = i + 1;
			filter_check(mine, &q, &v);
			if (strcmp(name_of(v.rule), "NET"))
				abort();
		}
		urcu_qsbr_quiescent_state();
		if (!(++n % 16))
			atomic_fetch_add(&rounds, 1);
	}
	urcu_qsbr_unregister_thread();
	return NULL;
}

START_TEST(threads)
{
	enum { N = 16, READERS = 2 };
	struct tunnel *t[N] = {0};
	struct filter_dynamic *d[N] = {0};
	pthread_t thread[READERS];
	struct filter_worker *mine[READERS];
	char a[32], id[16];

	for (unsigned i = 0; i < READERS; i++) {
		mine[i] = filter_worker_new(fs, 1024);
		filter_worker_now(mine[i], 1000);
	}
	atomic_store(&stop, false);
	for (unsigned i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, reader, mine[i]), 0);
	srandom(1);
	for (unsigned round = 0; round < 4000 || (atomic_load(&rounds) < 400 && round < 400000); round++) {
		unsigned i = (unsigned)random() % N;
		if (t[i]) {
			filter_dynamic_remove(fs, d[i]);
			(void)dynamic_remove(db, t[i], 0);
			t[i] = NULL;
		} else {
			(void)snprintf(id, sizeof(id), "Y%u", i);
			t[i] = tunnel(id, 1000 + round);
			(void)snprintf(a, sizeof(a), "10.2.0.%u", i % 8);
			struct filter_protect p = selector("NET", "10.1.0.0", "10.1.255.255", a, a, t[i]->index);
			d[i] = add(&p, 0);
			(void)dynamic_ready(t[i], t[i]->gens);
			filter_dynamic_ready(fs, d[i]);
		}
		if (round % 500 == 0)
			policy(true);
		urcu_qsbr_quiescent_state();
	}
	atomic_store(&stop, true);
	urcu_qsbr_thread_offline();
	for (unsigned i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	urcu_qsbr_thread_online();
	/* Nothing that a cache keeps is older than the filters. */
	for (unsigned i = 0; i < N; i++)
		if (t[i])
			filter_dynamic_remove(fs, d[i]);
	for (unsigned i = 0; i < READERS; i++)
		for (unsigned k = 0; k < 8; k++) {
			(void)snprintf(a, sizeof(a), "10.2.0.%u", k);
			ck_assert_int_eq(decide(mine[i], out_packet("10.1.0.1", a, 17, 9)).action, FILTER_HOLD);
		}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("anchor");
	TCase *t = tcase_create("anchor");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, refused);
	tcase_add_test(t, anchor_alone);
	tcase_add_test(t, in_front);
	tcase_add_test(t, twins);
	tcase_add_test(t, reload);
	tcase_add_test(t, display_and_natt);
	tcase_add_test(t, cache_agrees);
	tcase_add_test(t, threads);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
