#include "daemons/defmgrD/filter.h"
#include "tests/support/check_main.h"
#include <string.h>

static const struct filter_limits limits = {1440, 7};
static const uint64_t now = 1764000000000000ull;

static void set(Defmgr__Filter *m, const char *name)
{
	defmgr__filter__init(m);
	m->name = (char *)name;
}

#define REFUSE(m, word)                                                                                       \
	do {                                                                                                  \
		struct filter f_ = {.secclass = 77};                                                          \
		struct errbuf e_ = {""};                                                                      \
		ck_assert_int_eq(filter_parse(&(m), &limits, now, &f_, &e_), -EINVAL);                        \
		ck_assert_msg(strstr(e_.text, word) && strstr(e_.text, "allowed"), "%s", e_.text);            \
		ck_assert_uint_eq(f_.secclass, 77);                                                           \
	} while (0)

START_TEST(refuses_names)
{
	static const char *const bad[] = {"", "-a", "a b", "a\n", "123456789012345678901234567890123", "a'b", "\xc3\xa9"};
	Defmgr__Filter m;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		set(&m, bad[i]);
		REFUSE(m, "-N");
	}
	set(&m, NULL);
	REFUSE(m, "-N");
}
END_TEST

START_TEST(refuses_addresses)
{
	Defmgr__Filter m;
	set(&m, "x");
	static const char *const bad[] = {"10.0.0", "10.0.0.0/33", "10.0.0.1/24", "::/129", "any"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		m.source = (char *)bad[i];
		m.destination = NULL;
		REFUSE(m, "srcip");
		m.destination = m.source;
		m.source = NULL;
		REFUSE(m, "destip");
	}
	m.source = (char *)"10.0.0.1";
	m.destination = (char *)"2001:db8::1";
	REFUSE(m, "same family");
	m.destination = NULL;
	m.protocol = (char *)"icmpv6";
	REFUSE(m, "prot");
}
END_TEST

START_TEST(refuses_what_does_not_go_together)
{
	Defmgr__Filter m;
	set(&m, "x");
	m.protocol = (char *)"256";
	REFUSE(m, "prot");
	m.protocol = (char *)"tcpx";
	REFUSE(m, "prot");
	m.protocol = (char *)"icmp";
	m.has_source_port_low = true;
	m.source_port_low = 80;
	REFUSE(m, "srcport");
	m.protocol = (char *)"tcp";
	m.source_port_low = 0;
	REFUSE(m, "srcport");
	m.source_port_low = 80;
	m.has_source_port_high = true;
	m.source_port_high = 79;
	REFUSE(m, "srcport");
	m.source_port_high = 65536;
	REFUSE(m, "srcport");
	m.source_port_high = 81;
	m.has_type = true;
	REFUSE(m, "type");
	m.has_type = false;
	m.has_code = true;
	REFUSE(m, "code");
}
END_TEST

START_TEST(refuses_ranges)
{
	Defmgr__Filter m;
	set(&m, "x");
	m.has_secclass = true;
	m.secclass = 256;
	REFUSE(m, "secclass");
	m.secclass = 255;
	m.has_loglimit = true;
	m.loglimit = 10000;
	REFUSE(m, "loglimit");
	m.loglimit = 9999;
	m.has_lifetime_min = true;
	m.lifetime_min = 0;
	REFUSE(m, "lifetime");
	m.lifetime_min = 20161;
	REFUSE(m, "lifetime");
}
END_TEST

START_TEST(defaults_and_limits)
{
	Defmgr__Filter m;
	struct filter f;
	set(&m, "x");
	ck_assert_int_eq(filter_parse(&m, &limits, now, &f, NULL), 0);
	ck_assert_int_eq(f.protocol, FILTER_ANY);
	ck_assert_uint_eq(f.direction, DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL);
	ck_assert_uint_eq(f.routing, DEFMGR__FILTER__ROUTING__LOCAL);
	ck_assert_uint_eq(f.mode, DEFMGR__FILTER__MODE__BLOCK);
	ck_assert(f.log);
	ck_assert_uint_eq(f.loglimit, 7);
	ck_assert_uint_eq(f.lifetime_min, 30);
	ck_assert_uint_eq(f.expires_us, now + 30 * 60000000ull);
	m.has_lifetime_min = true;
	m.lifetime_min = 20160;
	ck_assert_int_eq(filter_parse(&m, &limits, now, &f, NULL), 0);
	ck_assert_uint_eq(f.lifetime_min, 1440);
}
END_TEST

START_TEST(expands_and_mirrors)
{
	Defmgr__Filter m;
	struct filter f;
	struct filter_part p[FILTER_PARTS_MAX];
	set(&m, "x");
	m.source = (char *)"192.0.2.7";
	m.protocol = (char *)"TCP";
	m.has_dest_port_low = true;
	m.dest_port_low = 22;
	ck_assert_int_eq(filter_parse(&m, &limits, now, &f, NULL), 0);
	f.id = 5;
	ck_assert_uint_eq(filter_expand(&f, true, p), 2);
	ck_assert(p[0].msg.inbound && !p[1].msg.inbound);
	ck_assert(p[0].msg.simulate);
	ck_assert_str_eq(p[0].msg.source, "192.0.2.7/32");
	ck_assert_ptr_null(p[0].msg.destination);
	ck_assert_uint_eq(p[0].msg.dest_port_high, 22);
	ck_assert_str_eq(p[1].msg.destination, "192.0.2.7/32");
	ck_assert_ptr_null(p[1].msg.source);
	ck_assert_uint_eq(p[1].msg.source_port_low, 22);
	ck_assert(!p[1].msg.has_dest_port_low);
	ck_assert_uint_eq(p[1].msg.extension, 2);
	ck_assert_uint_ne(p[0].msg.id, p[1].msg.id);
	set(&m, "y");
	ck_assert_int_eq(filter_parse(&m, &limits, now, &f, NULL), 0);
	ck_assert_uint_eq(filter_expand(&f, false, p), 4);
	ck_assert_uint_eq(p[1].msg.family, 4);
	ck_assert_uint_eq(p[2].msg.family, 6);
	m.protocol = (char *)"icmpv6";
	m.has_direction = true;
	m.direction = DEFMGR__FILTER__DIRECTION__OUTBOUND;
	ck_assert_int_eq(filter_parse(&m, &limits, now, &f, NULL), 0);
	ck_assert_uint_eq(filter_expand(&f, false, p), 1);
	ck_assert_uint_eq(p[0].msg.family, 6);
	ck_assert(!p[0].msg.inbound);
}
END_TEST

START_TEST(stored_form_comes_back)
{
	Defmgr__Filter m;
	struct filter f, g;
	struct filter_view v;
	set(&m, "A.b_1");
	m.source = (char *)"2001:db8::/32";
	m.protocol = (char *)"opaque";
	m.has_fragments_only = m.fragments_only = true;
	m.has_log = true;
	ck_assert_int_eq(filter_parse(&m, &limits, now, &f, NULL), 0);
	f.id = 9;
	f.global = true;
	memcpy(f.user, "ALICE", 6);
	filter_view(&f, FILTER_PARTS_MAX, NULL, &v);
	ck_assert_int_eq(filter_from_stored(&v.msg, &g, NULL), 0);
	ck_assert_int_eq(memcmp(&f, &g, sizeof(f)), 0);
	v.msg.id = 0;
	ck_assert_int_eq(filter_from_stored(&v.msg, &g, NULL), -EINVAL);
}
END_TEST

START_TEST(update_changes_only_what_is_given)
{
	Defmgr__Filter m;
	struct filter f;
	struct errbuf e;
	Defmgr__UpdateRequest u = DEFMGR__UPDATE_REQUEST__INIT;
	set(&m, "x");
	ck_assert_int_eq(filter_parse(&m, &limits, now, &f, NULL), 0);
	u.name = (char *)"x";
	ck_assert_int_eq(filter_update_check(&u, &e), -EINVAL);
	u.has_loglimit = true;
	u.loglimit = 10000;
	ck_assert_int_eq(filter_update_check(&u, &e), -EINVAL);
	u.loglimit = 3;
	ck_assert_int_eq(filter_update_check(&u, &e), 0);
	filter_update(&f, &u, &limits, now + 60000000);
	ck_assert_uint_eq(f.loglimit, 3);
	ck_assert_uint_eq(f.mode, DEFMGR__FILTER__MODE__BLOCK);
	ck_assert_uint_eq(f.expires_us, now + 31 * 60000000ull);
}
END_TEST

START_TEST(message_ezd1723i)
{
	Defmgr__Filter m;
	struct filter f;
	char text[FILTER_LOG_TEXT_MAX];
	set(&m, "Block_1");
	m.source = (char *)"192.0.2.0/24";
	m.protocol = (char *)"udp";
	m.has_dest_port_low = m.has_dest_port_high = true;
	m.dest_port_low = 53;
	m.dest_port_high = 60;
	ck_assert_int_eq(filter_parse(&m, &limits, now, &f, NULL), 0);
	memcpy(f.user, "ALICE", 6);
	ck_assert_str_eq(filter_log_text(&f, 0, FILTER_ADDED, text),
		"EZD1723I Defensive filter added: 11/24/2025 16:00:00 filter rule= Block_1 ext= 1 sipaddr= 192.0.2.0/24 dipaddr= "
		"0.0.0.0/0 proto= UDP(17) sport= all dport= 53-60 fragmentsonly= no dir= inbound routing= local mode= block log= yes "
		"lifetime= 30 userid= ALICE global= no loglimit= 7");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("filter");
	TCase *t = tcase_create("filter");
	tcase_add_test(t, refuses_names);
	tcase_add_test(t, refuses_addresses);
	tcase_add_test(t, refuses_what_does_not_go_together);
	tcase_add_test(t, refuses_ranges);
	tcase_add_test(t, defaults_and_limits);
	tcase_add_test(t, expands_and_mirrors);
	tcase_add_test(t, stored_form_comes_back);
	tcase_add_test(t, update_changes_only_what_is_given);
	tcase_add_test(t, message_ezd1723i);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
