/* What stands behind the defences: tunnels, profile and policy, lists, the traffic test, texts. */
#include "tests/unit/daemons/stack-core/filter/support.h"

static struct filter_set *fs;
static struct filter_worker *w;

static void setup(void)
{
	urcu_qsbr_register_thread();
	fs = filter_set_new();
	w = filter_worker_new(fs, 1024);
	filter_worker_now(w, 1000000);
}

static void teardown(void)
{
	filter_set_free(fs);
	urcu_qsbr_unregister_thread();
}

static uint32_t find_tunnel(void *arg, const char *vpn)
{
	(void)arg;
	return strcmp(vpn, "V5") ? UINT32_MAX : 5;
}

START_TEST(tunnels)
{
	struct filter_spec s[3] = {a_filter(0, "SEC", FILTER_IPSEC, "10.1.0.0/16", "*"),
		a_filter(0, "GONE", FILTER_IPSEC, "10.2.0.0/16", "*"),
		a_filter(0, "CLEAR", FILTER_PERMIT, "*", "*")};
	strcpy(s[0].vpn, "V5");
	strcpy(s[1].vpn, "V6");
	ck_assert_int_eq(
		filter_install(fs, FILTER_POLICY,
			&(struct filter_install){.rules = s, .n = 3, .loaded = true}, NULL),
		0);
	struct pkt p = a_packet("10.1.0.1", "10.0.0.2", 6, 1, 2);
	ck_assert_int_eq(decide(w, p).drop, DROP_FILTER_NO_TUNNEL);
	ck_assert_uint_eq(filter_resolve(fs, find_tunnel, NULL), 1);
	ck_assert_int_eq(decide(w, p).drop, DROP_FILTER_CLEAR);
	p.sa_in = 6;
	struct filter_verdict v = decide(w, p);
	ck_assert_int_eq(v.action, FILTER_IPSEC);
	ck_assert_uint_eq(v.tunnel, 5);
	p.sa_in = 7;
	ck_assert_int_eq(decide(w, p).drop, DROP_FILTER_TUNNEL);
	p = a_packet("10.2.0.1", "10.0.0.2", 6, 1, 2);
	ck_assert_int_eq(decide(w, p).drop, DROP_FILTER_NO_TUNNEL);
	p = a_packet("10.3.0.1", "10.0.0.2", 6, 1, 2);
	ck_assert_int_eq(decide(w, p).action, FILTER_PERMIT);
	p.sa_in = 6; /* came through a tunnel that its rule does not name */
	ck_assert_int_eq(decide(w, p).drop, DROP_FILTER_TUNNEL);
}
END_TEST

START_TEST(profile_and_policy)
{
	struct filter_spec prof = a_filter(0, "SYSDEFAULTRULE.1", FILTER_PERMIT, "*", "*"),
			   pol = a_filter(0, "POL", FILTER_DENY, "*", "*");
	struct filter_install ip = {.rules = &prof, .n = 1, .loaded = true},
			      iq = {.rules = &pol, .n = 1, .loaded = true, .predecap = true};
	struct pkt p = a_packet("10.1.0.1", "10.0.0.2", 6, 1, 2);
	ck_assert_int_eq(filter_install(fs, FILTER_PROFILE, &ip, NULL), 0);
	ck_assert_str_eq(name_of(decide(w, p).rule), "SYSDEFAULTRULE.1");
	ck_assert(!filter_predecap(fs));
	ck_assert_int_eq(filter_install(fs, FILTER_POLICY, &iq, NULL), 0);
	ck_assert(filter_predecap(fs));
	ck_assert_str_eq(name_of(decide(w, p).rule), "POL");
	filter_switch(fs, FILTER_PROFILE);
	ck_assert_str_eq(name_of(decide(w, p).rule), "SYSDEFAULTRULE.1");
	filter_switch(fs, FILTER_POLICY);
	ck_assert_str_eq(name_of(decide(w, p).rule), "POL");
	ck_assert_int_eq(
		filter_install(fs, FILTER_POLICY, &(struct filter_install){.loaded = false}, NULL),
		0);
	ck_assert_int_eq(filter_in_force(fs), FILTER_PROFILE);
	ck_assert_str_eq(name_of(decide(w, p).rule), "SYSDEFAULTRULE.1");
}
END_TEST

static bool collect(void *arg, const struct filter_rule *r)
{
	char *out = arg;
	(void)snprintf(out + strlen(out), 200 - strlen(out), "%s ", name_of(r));
	return true;
}

START_TEST(lists_and_traffic_test)
{
	char got[200] = "";
	struct filter_spec a = a_filter(1, "A", FILTER_DENY, "10.0.0.0/8", "*"),
			   b = a_filter(2, "B", FILTER_DENY, "10.1.0.0/16", "*");
	permit_all(fs);
	ck_assert_int_eq(defend_one(fs, &a, 1), 0);
	ck_assert_int_eq(defend_one(fs, &b, 1), 0);
	b.proto = 6;
	ck_assert_int_eq(defend_one(fs, &b, 1), 0);
	ck_assert_int_eq(filter_each(fs, "nonsense", collect, got), -EINVAL);
	ck_assert_int_eq(filter_each(fs, "defensive", collect, got), 0);
	ck_assert_str_eq(got, "B A ");
	*got = 0;
	struct filter_traffic t = {.src = an_addr("10.1.1.1"),
		.dst = an_addr("10.0.0.2"),
		.proto = 17,
		.sport = -1,
		.dport = 53,
		.inbound = true};
	ck_assert_int_eq(filter_test(fs, &t, collect, got), 0);
	ck_assert_str_eq(got, "A PERMIT SYSDEFAULTDENYRULE ");
	*got = 0;
	t.proto = FILTER_PROTO_ANY;
	ck_assert_int_eq(filter_test(fs, &t, collect, got), 0);
	ck_assert_str_eq(got, "B A PERMIT SYSDEFAULTDENYRULE ");
	t.dst = an_addr("::1");
	ck_assert_int_eq(filter_test(fs, &t, collect, got), -EINVAL);
}
END_TEST

START_TEST(mirror_and_texts)
{
	struct filter_spec s = a_filter(1, "F", FILTER_DENY, "10.0.0.0/8", "192.0.2.1"), m;
	char text[2 * ADDR_TEXT_MAX], small[16], proto[32];
	uint16_t n;
	s.proto = 6;
	s.a = (struct filter_range){1, 9};
	filter_spec_mirror(&s, &m);
	ck_assert(!m.inbound);
	ck_assert_str_eq(filter_addrs_text(&m.src_lo, &m.src_hi, text), "192.0.2.1/32");
	ck_assert_str_eq(filter_addrs_text(&m.dst_lo, &m.dst_hi, text), "10.0.0.0/8");
	ck_assert_str_eq(filter_range_text(&m.b, 65535, small), "1-9");
	ck_assert_str_eq(filter_range_text(&m.a, 65535, small), "all");
	m.src_hi = an_addr("192.0.2.3");
	ck_assert_str_eq(filter_addrs_text(&m.src_lo, &m.src_hi, text), "192.0.2.1-192.0.2.3");
	ck_assert_str_eq(filter_proto_text(58, proto), "ICMPv6(58)");
	ck_assert_str_eq(filter_proto_text(200, proto), "200");
	ck_assert_str_eq(filter_proto_text(FILTER_PROTO_ANY, proto), "ALL");
	static const char *const bad[] = {"", "256", "-1", "6 ", "tcpx", "0x6", "9999"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_int_eq(ipproto_parse(bad[i], &n), -EINVAL);
	ck_assert_int_eq(ipproto_parse("Ospf", &n), 0);
	ck_assert_uint_eq(n, 89);
	ck_assert_int_eq(ipproto_parse("*", &n), 0);
	ck_assert_uint_eq(n, FILTER_PROTO_ANY);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("sources");
	TCase *t = tcase_create("sources");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, tunnels);
	tcase_add_test(t, profile_and_policy);
	tcase_add_test(t, lists_and_traffic_test);
	tcase_add_test(t, mirror_and_texts);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
