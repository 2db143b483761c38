/* Decisions: refusals of bad filters first, then order, simulation, fragments, excludes,
 * expiry. */
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

START_TEST(refuses_bad_filters)
{
	struct filter_spec good = a_filter(1, "F", FILTER_DENY, "10.0.0.0/8", "*"), s;
	struct errbuf e;
	ck_assert_int_eq(filter_spec_check(&good, &e), 0);
#define REFUSED(change, word)                                                                      \
	do {                                                                                       \
		s = good;                                                                          \
		change;                                                                            \
		ck_assert_int_eq(filter_spec_check(&s, &e), -EINVAL);                              \
		ck_assert_msg(strstr(e.text, word) != NULL, "%s", e.text);                         \
		ck_assert_int_eq(defend_one(fs, &s, 1), -EINVAL);                                  \
	} while (0)
	REFUSED(s.name[0] = 0, "without a name");
	REFUSED(memset(s.name, 'x', sizeof(s.name)), "too long");
	REFUSED(s.family = 5, "family");
	REFUSED(s.family = 6, "another family");
	REFUSED(s.action = 9, "action");
	REFUSED(s.scope = 0, "routing");
	REFUSED(s.scope = 4, "routing");
	REFUSED(s.proto = 257, "over 255");
	REFUSED((s.proto = 6, s.a = (struct filter_range){9, 8}), "range");
	REFUSED(s.a.lo = 1, "no ports");
	REFUSED((s.proto = 50, s.b.hi = 9), "no ports");
	REFUSED((s.proto = 6, s.a.lo = 7, s.opaque = true), "opaque");
	REFUSED(s.dst_lo = an_addr("::1"), "family");
	REFUSED((s.src_lo = an_addr("10.0.0.9"), s.src_hi = an_addr("10.0.0.8")),
		"before it begins");
	REFUSED(strcpy(s.vpn, "V"), "VPN");
#undef REFUSED
	s = good;
	s.action = FILTER_PERMIT;
	ck_assert_int_eq(defend_one(fs, &s, 1), -EINVAL);
	s.action = FILTER_IPSEC;
	ck_assert_int_eq(filter_spec_check(&s, &e), -EINVAL);
	s.action = FILTER_SIMULATE;
	ck_assert_int_eq(filter_install(fs, FILTER_POLICY,
				 &(struct filter_install){.rules = &s, .n = 1, .loaded = true}, &e),
		-EINVAL);
	ck_assert_uint_eq(filter_defences(fs), 0);
	ck_assert_int_eq(filter_in_force(fs), FILTER_PROFILE);
}
END_TEST

START_TEST(bulk_is_all_or_nothing)
{
	struct filter_spec s[3] = {a_filter(1, "A", FILTER_DENY, "10.0.0.1", "*"),
		a_filter(2, "B", FILTER_DENY, "10.0.0.2", "*"),
		a_filter(1, "C", FILTER_DENY, "10.0.0.3", "*")};
	struct errbuf e;
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.add = s, .n_add = 3}, 1, &e), -EINVAL);
	ck_assert_str_eq(e.text, "id 1 is added twice");
	uint64_t gone[] = {2};
	ck_assert_int_eq(filter_defend(fs,
				 &(struct filter_defend){
					 .add = s, .n_add = 2, .remove = gone, .n_remove = 1},
				 1, &e),
		-EINVAL);
	struct prefix none = {0};
	ck_assert_int_eq(filter_defend(fs,
				 &(struct filter_defend){.add = s,
					 .n_add = 2,
					 .set_excludes = true,
					 .excludes = &none,
					 .n_excludes = 1},
				 1, &e),
		-EINVAL);
	ck_assert_uint_eq(filter_defences(fs), 0);
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.add = s, .n_add = 2}, 1, &e), 0);
	ck_assert_uint_eq(filter_defences(fs), 2);
	/* reset: what is not named again goes */
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.add = s + 2, .n_add = 1, .reset = true},
			1, &e),
		0);
	ck_assert_uint_eq(filter_defences(fs), 1);
	ck_assert_str_eq(name_of(filter_defence_find(fs, 1)), "C");
	ck_assert(filter_defence_find(fs, 2) == NULL);
	gone[0] = 77;
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.remove = gone, .n_remove = 1}, 1, &e),
		0);
	ck_assert_uint_eq(filter_defences(fs), 1);
}
END_TEST

START_TEST(nothing_configured_denies)
{
	struct filter_verdict v = decide(w, a_packet("10.0.0.1", "10.0.0.2", 6, 1, 2));
	ck_assert_int_eq(v.action, FILTER_DENY);
	ck_assert_int_eq(v.drop, DROP_FILTER_IMPLICIT);
	ck_assert_str_eq(name_of(v.rule), "SYSDEFAULTDENYRULE");
	v = decide(w, a_packet("2001:db8::1", "2001:db8::2", 17, 1, 2));
	ck_assert_int_eq(v.drop, DROP_FILTER_IMPLICIT);
	ck_assert_uint_eq(filter_matches(fs, v.rule), 1);
}
END_TEST

START_TEST(newest_defence_first_then_policy)
{
	permit_all(fs);
	struct filter_spec s = a_filter(1, "OLD", FILTER_DENY, "10.0.0.0/8", "*");
	struct pkt p = a_packet("10.1.2.3", "192.0.2.1", 6, 1000, 80);
	ck_assert_str_eq(name_of(decide(w, p).rule), "PERMIT");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	struct filter_verdict v = decide(w, p);
	ck_assert_int_eq(v.drop, DROP_FILTER_DEFENSIVE);
	ck_assert(!v.cached);
	ck_assert(decide(w, p).cached);
	s = a_filter(2, "NEW", FILTER_DENY, "*", "192.0.2.1");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	ck_assert_str_eq(name_of(decide(w, p).rule), "NEW");
	/* replaced: the place stays */
	s = a_filter(1, "OLDER", FILTER_DENY, "10.0.0.0/8", "*");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	ck_assert_str_eq(name_of(decide(w, p).rule), "NEW");
	ck_assert_str_eq(
		name_of(decide(w, a_packet("10.1.2.3", "192.0.2.9", 6, 1, 1)).rule), "OLDER");
	p.inbound = false;
	ck_assert_int_eq(decide(w, p).drop, DROP_FILTER_IMPLICIT);
}
END_TEST

START_TEST(simulated_match_goes_on)
{
	permit_all(fs);
	struct filter_spec s = a_filter(1, "BLOCK", FILTER_DENY, "10.0.0.0/8", "*");
	struct pkt p = a_packet("10.1.2.3", "192.0.2.1", 6, 1000, 80);
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	s = a_filter(2, "SIM1", FILTER_SIMULATE, "10.0.0.0/8", "*");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	s = a_filter(3, "SIM2", FILTER_SIMULATE, "*", "192.0.2.1");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	struct filter_verdict v = decide(w, p);
	ck_assert_str_eq(name_of(v.simulated), "SIM2"); /* the newest, and no second one */
	ck_assert_str_eq(name_of(v.rule), "BLOCK");
	ck_assert_uint_eq(filter_matches(fs, filter_defence_find(fs, 2)), 0);
	/* a block filter above ends the search before the simulating ones */
	s = a_filter(4, "TOP", FILTER_DENY, "*", "*");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	v = decide(w, p);
	ck_assert(v.simulated == NULL);
	ck_assert_str_eq(name_of(v.rule), "TOP");
	/* only simulating: the policy decides */
	uint64_t gone[] = {1, 4};
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.remove = gone, .n_remove = 2}, 1, NULL),
		0);
	v = decide(w, p);
	ck_assert_int_eq(v.action, FILTER_PERMIT);
	ck_assert_str_eq(name_of(v.simulated), "SIM2");
}
END_TEST

START_TEST(mode_of_the_stack)
{
	permit_all(fs);
	struct filter_spec s = a_filter(1, "SIM", FILTER_SIMULATE, "10.0.0.0/8", "*");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	s = a_filter(2, "BLOCK", FILTER_DENY, "10.0.0.0/8", "*");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	struct pkt p = a_packet("10.1.2.3", "192.0.2.1", 6, 1000, 80);
	ck_assert_int_eq(decide(w, p).action, FILTER_DENY);
	filter_set_mode(fs, FILTER_MODE_SIMULATE);
	struct filter_verdict v = decide(w, p);
	ck_assert_int_eq(v.action, FILTER_PERMIT);
	ck_assert_str_eq(name_of(v.simulated), "BLOCK");
	filter_set_mode(fs, FILTER_MODE_INACTIVE);
	v = decide(w, p);
	ck_assert_int_eq(v.action, FILTER_PERMIT);
	ck_assert(v.simulated == NULL);
	filter_set_mode(fs, FILTER_MODE_ACTIVE);
	ck_assert_int_eq(decide(w, p).action, FILTER_DENY);
}
END_TEST

START_TEST(fragments_opaque_scope_class)
{
	permit_all(fs);
	struct filter_spec s = a_filter(1, "PORT", FILTER_DENY, "*", "*");
	s.proto = 6;
	s.b = (struct filter_range){80, 80};
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	struct pkt p = a_packet("10.0.0.1", "10.0.0.2", 6, 1, 80),
		   later = a_packet("10.0.0.1", "10.0.0.2", 6, 0, 0);
	later.fragment = later.opaque = true;
	ck_assert_str_eq(name_of(decide(w, p).rule), "PORT");
	ck_assert_str_eq(
		name_of(decide(w, later).rule), "PERMIT"); /* shows no port, so that cannot match */
	s = a_filter(2, "OPAQUE", FILTER_DENY, "*", "*");
	s.opaque = true;
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	ck_assert_str_eq(name_of(decide(w, later).rule), "OPAQUE");
	ck_assert_str_eq(name_of(decide(w, p).rule), "PORT");
	s = a_filter(3, "FRAG", FILTER_DENY, "*", "*");
	s.fragments_only = true;
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	p.dport = 81;
	ck_assert_str_eq(name_of(decide(w, p).rule), "PERMIT");
	p.fragment = true;
	ck_assert_str_eq(name_of(decide(w, p).rule), "FRAG");
	s = a_filter(4, "ROUTED", FILTER_DENY, "*", "*");
	s.scope = PKT_ROUTED;
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	ck_assert_str_eq(name_of(decide(w, p).rule), "FRAG");
	p.scope = PKT_ROUTED;
	ck_assert_str_eq(name_of(decide(w, p).rule), "ROUTED");
	s = a_filter(5, "CLASS", FILTER_DENY, "*", "*");
	s.secclass = 7;
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	ck_assert_str_eq(name_of(decide(w, p).rule), "ROUTED");
	p.secclass = 7;
	ck_assert_str_eq(name_of(decide(w, p).rule), "CLASS");
}
END_TEST

START_TEST(type_and_code)
{
	permit_all(fs);
	struct filter_spec s = a_filter(1, "ECHO", FILTER_DENY, "*", "*");
	s.proto = 1;
	s.a = (struct filter_range){8, 8};
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	struct pkt p = a_packet("10.0.0.1", "10.0.0.2", 1, 0, 0);
	p.icmp_type = 8;
	ck_assert_str_eq(name_of(decide(w, p).rule), "ECHO");
	p.icmp_type = 0;
	ck_assert_str_eq(name_of(decide(w, p).rule), "PERMIT");
	p.proto = 6;
	p.icmp_type = 8;
	ck_assert_str_eq(name_of(decide(w, p).rule), "PERMIT");
}
END_TEST

START_TEST(excluded_addresses_are_not_touched)
{
	permit_all(fs);
	struct filter_spec s = a_filter(1, "ALL", FILTER_DENY, "*", "*"),
			   t = a_filter(2, "SIM", FILTER_SIMULATE, "*", "*");
	struct prefix ex[2];
	ck_assert_int_eq(prefix_parse("10.9.0.0/16", &ex[0]), 0);
	ck_assert_int_eq(prefix_parse("2001:db8::/32", &ex[1]), 0);
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	ck_assert_int_eq(defend_one(fs, &t, 1), 0);
	struct pkt from = a_packet("10.9.1.1", "192.0.2.1", 6, 1, 22),
		   to = a_packet("192.0.2.1", "10.9.1.1", 6, 22, 1);
	ck_assert_str_eq(name_of(decide(w, from).rule), "ALL");
	ck_assert_int_eq(filter_defend(fs,
				 &(struct filter_defend){
					 .set_excludes = true, .excludes = ex, .n_excludes = 2},
				 1, NULL),
		0);
	struct filter_verdict v = decide(w, from);
	ck_assert_str_eq(name_of(v.rule), "PERMIT");
	ck_assert(v.simulated == NULL);
	ck_assert_str_eq(name_of(decide(w, to).rule), "PERMIT");
	ck_assert_str_eq(
		name_of(decide(w, a_packet("10.8.1.1", "192.0.2.1", 6, 1, 22)).rule), "ALL");
	const struct prefix *got;
	ck_assert_uint_eq(filter_excludes(fs, &got), 2);
	ck_assert_int_eq(
		filter_defend(fs, &(struct filter_defend){.set_excludes = true}, 1, NULL), 0);
	ck_assert_str_eq(name_of(decide(w, from).rule), "ALL");
}
END_TEST

START_TEST(expires_by_itself)
{
	permit_all(fs);
	struct pkt p = a_packet("10.0.0.1", "10.0.0.2", 6, 1, 2);
	for (uint64_t id = 1; id <= 50; id++) {
		struct filter_spec s = a_filter(id, "D", FILTER_DENY, "*", "*");
		s.expires_us = 10000000 + (id * 7 % 50) * 1000000;
		ck_assert_int_eq(defend_one(fs, &s, 1000000), 0);
	}
	filter_worker_now(w, 9000000);
	ck_assert_str_eq(name_of(decide(w, p).rule), "D");
	ck_assert(decide(w, p).cached);
	filter_worker_now(
		w, 60000000); /* nobody removed them: the lookup itself, and the cache, know */
	ck_assert_str_eq(name_of(decide(w, p).rule), "PERMIT");
	ck_assert_uint_eq(filter_expire(fs, 9999999), 0);
	ck_assert_uint_eq(filter_expire(fs, 19000000), 10);
	ck_assert_uint_eq(filter_defences(fs), 40);
	ck_assert_uint_eq(filter_expire(fs, 60000000), 40);
	struct filter_spec s = a_filter(9, "LATE", FILTER_DENY, "*", "*");
	s.expires_us = 60000000; /* one whose life is over never comes alive */
	ck_assert_int_eq(defend_one(fs, &s, 60000000), 0);
	ck_assert_uint_eq(filter_defences(fs), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("filter");
	TCase *t = tcase_create("decisions");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, refuses_bad_filters);
	tcase_add_test(t, bulk_is_all_or_nothing);
	tcase_add_test(t, nothing_configured_denies);
	tcase_add_test(t, newest_defence_first_then_policy);
	tcase_add_test(t, simulated_match_goes_on);
	tcase_add_test(t, mode_of_the_stack);
	tcase_add_test(t, fragments_opaque_scope_class);
	tcase_add_test(t, type_and_code);
	tcase_add_test(t, excluded_addresses_are_not_touched);
	tcase_add_test(t, expires_by_itself);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
