/* Messages: when they are written, how many, and what they say. */
#include "tests/unit/daemons/stack-core/filter/support.h"

static struct filter_set *fs;
static struct filter_worker *w;
static struct filter_log last;
static unsigned count[2000];

static void setup(void)
{
	urcu_qsbr_register_thread();
	fs = filter_set_new();
	w = filter_worker_new(fs, 1024);
	filter_worker_now(w, 1000000);
	permit_all(fs);
}

static void teardown(void)
{
	filter_set_free(fs);
	urcu_qsbr_unregister_thread();
}

static void on_log(void *arg, const struct filter_log *rec)
{
	(void)arg;
	last = *rec;
	count[rec->msg]++;
}

static void send(unsigned n, uint64_t now_us)
{
	filter_worker_now(w, now_us);
	for (unsigned i = 0; i < n; i++)
		(void)decide(w, a_packet("10.0.0.1", "192.0.2.1", 6, 1000, 80));
	(void)filter_log_read(fs, now_us, 100000, on_log, NULL);
}

START_TEST(logs_only_what_asks_for_it)
{
	struct filter_spec s = a_filter(1, "QUIET", FILTER_DENY, "10.0.0.0/8", "*");
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	send(5, 1000000);
	ck_assert_uint_eq(count[1721], 0);
	s.log = true;
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	send(5, 1000000);
	ck_assert_uint_eq(count[1721], 5);
	s.log = false;
	s.action = FILTER_SIMULATE; /* always logs */
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	send(3, 1000000);
	ck_assert_uint_eq(count[1722], 3);
}
END_TEST

START_TEST(log_limit)
{
	struct filter_spec s = a_filter(1, "LIMITED", FILTER_DENY, "10.0.0.0/8", "*");
	s.log = true;
	s.loglimit = 10;
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	send(25, 1000000);
	ck_assert_uint_eq(count[1721], 10); /* burst */
	send(1, 1000000 + 29000000);
	ck_assert_uint_eq(count[1721], 10);
	send(5, 1000000 + 31000000); /* one came back after 30 s */
	ck_assert_uint_eq(count[1721], 11);
	ck_assert_uint_eq(count[837], 0);
	send(0, 1000000 + 301000000); /* end of the interval */
	ck_assert_uint_eq(count[837], 1);
	ck_assert_uint_eq(last.suppressed, 15 + 1 + 4);
	char text[1024];
	filter_log_text(&last, NULL, NULL, NULL, text, sizeof(text));
	ck_assert_msg(strstr(text, "EZD0837I Defensive filter packet denied messages limited: "
				   "01/01/1970 00:05:02.00 filter_rule= LIMITED "
				   "filter_ext= 0 filter_sipaddr= 10.0.0.0/8 filter_dipaddr= "
				   "0.0.0.0/0 filter_proto= ALL sport= all "
				   "dport= all filter_fragmentsonly= no filter_dir= inbound "
				   "filter_routing= either suppressed_count= 20") != NULL,
		"%s", text);
	send(30, 2000000000); /* full again, and another interval has ended */
	ck_assert_uint_eq(count[1721], 21);
	ck_assert_uint_eq(last.suppressed, 20);
	send(7, 2000000000); /* the rest is told when the filter goes */
	ck_assert_int_eq(filter_defend(fs, &(struct filter_defend){.reset = true}, 1, NULL), 0);
	last.suppressed = 0;
	send(0, 2000000001);
	ck_assert_uint_eq(last.suppressed, 7);
	ck_assert_uint_eq(last.msg, FILTER_MSG_DENIED_LIMITED);
}
END_TEST

START_TEST(a_full_ring_loses_and_counts)
{
	struct filter_spec s = a_filter(1, "LOUD", FILTER_DENY, "10.0.0.0/8", "*");
	struct filter_worker_stats st;
	s.log = true;
	ck_assert_int_eq(defend_one(fs, &s, 1), 0);
	send(5000, 1000000);
	filter_worker_stats(w, &st);
	ck_assert_uint_gt(st.log_lost, 0);
	ck_assert_uint_eq(count[1721] + st.log_lost, 5000);
	ck_assert_uint_eq(filter_matches(fs, filter_defence_find(fs, 1)), 5000);
}
END_TEST

START_TEST(texts)
{
	struct filter_log r = {.time_us = 1234567890120000,
		.msg = FILTER_MSG_DENIED,
		.name = "SYSDEFAULTDENYRULE",
		.tunnel = UINT32_MAX,
		.src = an_addr("10.0.0.1"),
		.dst = an_addr("10.0.0.2"),
		.proto = 6,
		.sport = 1024,
		.dport = 23,
		.scope = PKT_LOCAL,
		.inbound = true,
		.len = 60,
		.secclass = 255};
	char text[1024];
	ck_assert_str_eq(filter_log_text(&r, "eth0", "10.0.0.2", NULL, text, sizeof(text)),
		"EZD0815I Packet denied by policy: 02/13/2009 23:31:30.12 filter rule= "
		"SYSDEFAULTDENYRULE ext= 0 sipaddr= 10.0.0.1 dipaddr= 10.0.0.2 "
		"proto= TCP(6) sport= 1024 dport= 23 -= Interface= 10.0.0.2 (I) secclass= 255 "
		"dest= local len= 60 vpnaction= N/A tunnelID= N/A "
		"ifcname= eth0 fragment= N");
	r.msg = FILTER_MSG_SIMULATED;
	r.proto = 1;
	r.icmp_type = 8;
	r.inbound = false;
	r.fragment = true;
	r.scope = PKT_ROUTED;
	ck_assert_str_eq(filter_log_text(&r, "eth0", "10.0.0.2", NULL, text, sizeof(text)),
		"EZD1722I Packet would have been denied by defensive filter: 02/13/2009 "
		"23:31:30.12 filter rule= SYSDEFAULTDENYRULE ext= 0 "
		"sipaddr= 10.0.0.1 dipaddr= 10.0.0.2 proto= ICMP(1) type= 8 code= 0 -= Interface= "
		"10.0.0.2 (O) secclass= 255 dest= routed len= 60 "
		"ifcname= eth0 fragment= Y");
	r.opaque = true;
	ck_assert(strstr(filter_log_text(&r, NULL, NULL, NULL, text, sizeof(text)),
			  "type= Unknown code= Unknown") != NULL);
	r.msg = FILTER_MSG_PERMITTED;
	ck_assert_int_eq(strncmp(filter_log_text(&r, NULL, NULL, "M1", text, sizeof(text)),
				 "EZD0814I Packet permitted: ", 27),
		0);
	ck_assert(strstr(text, "tunnelID= M1 ") != NULL);
	for (size_t n = 1; n < 200; n++) { /* any size: cut off, ended */
		memset(text, 'x', sizeof(text));
		ck_assert_uint_eq(strlen(filter_log_text(&r, NULL, NULL, "M1", text, n)), n - 1);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("filterlog");
	TCase *t = tcase_create("filterlog");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, logs_only_what_asks_for_it);
	tcase_add_test(t, log_limit);
	tcase_add_test(t, a_full_ring_loses_and_counts);
	tcase_add_test(t, texts);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
