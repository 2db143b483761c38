#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/fib.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/tap/hook.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct sadb *db;
static struct taps *taps;
static struct tap_set *published;
static struct tap_worker w;
static uint8_t bytes[512];
static struct tap_record last;
static uint8_t last_data[512];
static unsigned seen;

static void setup(void)
{
	rcu_register_thread();
	db = sadb_new(2);
	taps = taps_new(db, 2, &published);
	taps_secret(taps, 1); /* link 0 is the host's */
	w = (struct tap_worker){.index = 1};
	memset(bytes, 0x5a, sizeof(bytes));
}

static void teardown(void)
{
	taps_free(taps);
	sadb_free(db);
	rcu_unregister_thread();
}

static struct tap_spec any(void)
{
	return (struct tap_spec){.proto = TAP_PROTO_ANY, .link = -1, .stages = TAP_ANY_STAGE};
}

static struct addr addr(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static struct pkt udp(void)
{
	return (struct pkt){.buf = bytes, .size = sizeof(bytes), .len = 400, .family = 4, .proto = IP_UDP, .sport = 9, .dport = 53, .l4_off = 20,
		.src = addr("10.1.0.1"), .dst = addr("10.2.0.1"), .in_link = 1};
}

static int begin(const struct tap_spec *s, unsigned count)
{
	struct errbuf e;
	int slot = taps_add(taps, s, count, &e);
	w.set = published;
	return slot;
}

static void take(void *arg, const struct tap_record *r)
{
	(void)arg;
	last = *r;
	memcpy(last_data, tap_data(r), r->kept);
	seen++;
}

static unsigned drained(void)
{
	seen = 0;
	(void)taps_drain(taps, 1000, take, NULL);
	return seen;
}

START_TEST(nothing_is_published_without_a_session)
{
	struct tap_spec s = any();
	struct pkt p = udp();
	ck_assert_ptr_null(published);
	tap_stage(&w, TAP_LINK_RX, &p);
	ck_assert_uint_eq(p.tap_packet, 0);
	int slot = begin(&s, 5);
	ck_assert_int_eq(slot, 0);
	ck_assert_ptr_nonnull(published);
	ck_assert_uint_eq(taps_count(taps), 1);
	taps_remove(taps, 0);
	ck_assert_ptr_null(published);
	ck_assert_uint_eq(taps_count(taps), 0);
	taps_remove(taps, 0);
	taps_remove(taps, 1000);
	ck_assert_uint_eq(drained(), 0);
}
END_TEST

START_TEST(bad_sessions_and_too_many_are_refused)
{
	struct tap_spec s = any();
	struct errbuf e;
	ck_assert_int_eq(taps_add(taps, &s, 0, &e), -EINVAL);
	ck_assert_int_eq(taps_add(taps, &s, TAP_COUNT_MAX + 1, &e), -EINVAL);
	s.stages = 0;
	ck_assert_int_eq(taps_add(taps, &s, 1, &e), -EINVAL);
	s = any();
	for (int i = 0; i < TAP_SESSIONS_MAX; i++)
		ck_assert_int_eq(taps_add(taps, &s, 1, &e), i);
	ck_assert_int_eq(taps_add(taps, &s, 1, &e), -ENOSPC);
	taps_remove(taps, 3);
	ck_assert_int_eq(taps_add(taps, &s, 1, &e), 3);
}
END_TEST

START_TEST(a_chosen_packet_is_followed_when_it_looks_different)
{
	struct tap_spec s = any();
	struct pkt p = udp(), other = udp();
	s.dst = (struct prefix){addr("10.2.0.1"), 32};
	other.dst = addr("10.2.0.2");
	ck_assert_int_eq(begin(&s, 100), 0);
	tap_stage(&w, TAP_LINK_RX, &p);
	tap_stage(&w, TAP_LINK_RX, &other);
	ck_assert_uint_eq(drained(), 1);
	uint32_t number = last.packet;
	ck_assert_uint_ne(number, 0);
	ck_assert_uint_eq(last.worker, 1);
	ck_assert_uint_eq(last.stage, TAP_LINK_RX);
	ck_assert_uint_eq(last.out_link, UINT16_MAX);
	p.src = addr("192.0.2.1");
	p.dst = addr("192.0.2.2");
	p.proto = IP_ESP;
	p.out_link = 1;
	tap_stage(&w, TAP_LINK_TX, &p);
	ck_assert_uint_eq(drained(), 1);
	ck_assert_uint_eq(last.packet, number);
	ck_assert_uint_eq(last.proto, IP_ESP);
	ck_assert_uint_eq(last.out_link, 1);
}
END_TEST

START_TEST(stages_and_drops_alone)
{
	struct tap_spec s = any();
	struct pkt p = udp();
	s.stages = 1u << TAP_ROUTE;
	ck_assert_int_eq(begin(&s, 100), 0);
	tap_stage(&w, TAP_LINK_RX, &p);
	tap_route(&w, &p, FIB_GATEWAY);
	tap_drop(&w, &p, DROP_IP_TTL);
	ck_assert_uint_eq(drained(), 1);
	ck_assert_uint_eq(last.verdict, TAP_FORWARD);
	taps_remove(taps, 0);
	s = any();
	s.dropped = true;
	p = udp();
	ck_assert_int_eq(begin(&s, 100), 0);
	tap_stage(&w, TAP_LINK_RX, &p);
	tap_route(&w, &p, FIB_NONE);
	tap_drop(&w, &p, DROP_IP_TTL);
	ck_assert_uint_eq(drained(), 1);
	ck_assert_uint_eq(last.verdict, TAP_DROPPED);
	ck_assert_uint_eq(last.drop, DROP_IP_TTL);
}
END_TEST

START_TEST(what_filters_decide)
{
	struct tap_spec s = any();
	struct pkt p = udp();
	struct filter_verdict v = {.action = FILTER_PERMIT, .tunnel = UINT32_MAX};
	static const struct {
		enum filter_action action;
		uint16_t drop;
		enum tap_verdict verdict;
	} cases[] = {{FILTER_PERMIT, 0, TAP_PERMIT}, {FILTER_DENY, 1, TAP_DENY}, {FILTER_IPSEC, 0, TAP_PROTECT}, {FILTER_IPSEC, 1, TAP_DENY},
		{FILTER_HOLD, 0, TAP_HOLD}};
	ck_assert_int_eq(begin(&s, 100), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v.action = cases[i].action;
		p.drop = cases[i].drop;
		tap_verdict(&w, TAP_FILTER_OUT, &p, &v);
		ck_assert_uint_eq(drained(), 1);
		ck_assert_uint_eq(last.verdict, cases[i].verdict);
	}
}
END_TEST

START_TEST(no_more_records_than_were_asked_for)
{
	struct tap_spec s = any();
	struct pkt p = udp();
	ck_assert_int_eq(begin(&s, 3), 0);
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_int_eq(taps_used_up(taps, 0), i >= 3);
		tap_stage(&w, TAP_LINK_RX, &p);
	}
	ck_assert_uint_eq(drained(), 3);
	ck_assert_uint_eq(taps_lost(taps), 0);
}
END_TEST

START_TEST(as_many_bytes_as_each_session_may_see)
{
	struct tap_spec s = any(), clear = any();
	struct pkt p = udp();
	s.snaplen = clear.snaplen = 300;
	clear.cleartext = true;
	ck_assert_int_eq(begin(&s, 100), 0);
	tap_stage(&w, TAP_LINK_RX, &p); /* on the wire */
	ck_assert_uint_eq(drained(), 1);
	ck_assert_uint_eq(last.kept, 300);
	ck_assert_uint_eq(last.len, 400);
	ck_assert_mem_eq(last_data, bytes, 300);
	tap_route(&w, &p, FIB_LINK);
	ck_assert_uint_eq(drained(), 1);
	ck_assert_uint_eq(last.kept, 28);
	p.in_link = 0; /* of the host */
	tap_stage(&w, TAP_LINK_RX, &p);
	ck_assert_uint_eq(drained(), 1);
	ck_assert_uint_eq(last.kept, 28);
	taps_remove(taps, 0);
	ck_assert_int_eq(begin(&clear, 100), 0);
	tap_route(&w, &p, FIB_LINK);
	ck_assert_uint_eq(drained(), 1);
	ck_assert_uint_eq(last.kept, 300);
	ck_assert_int_eq(begin(&s, 100), 1); /* beside it */
	tap_route(&w, &p, FIB_LINK);
	ck_assert_uint_eq(drained(), 2);
	ck_assert_uint_eq(last.sessions, 2);
	ck_assert_uint_eq(last.kept, 28);
}
END_TEST

START_TEST(what_does_not_fit_is_lost_and_counted_also_after_the_end)
{
	struct tap_spec s = any();
	struct pkt p = udp();
	s.snaplen = 400;
	ck_assert_int_eq(begin(&s, 1000000), 0);
	for (unsigned i = 0; i < 10000; i++)
		tap_stage(&w, TAP_LINK_RX, &p);
	uint64_t lost = taps_lost(taps);
	ck_assert_uint_gt(lost, 0);
	taps_remove(taps, 0);
	seen = 0;
	(void)taps_drain(taps, 100000, take, NULL);
	ck_assert_uint_eq(seen + lost, 10000);
	ck_assert_uint_eq(taps_lost(taps), lost);
	ck_assert_int_eq(begin(&s, 10), 0);
	tap_stage(&w, TAP_LINK_RX, &p);
	ck_assert_uint_eq(drained(), 1);
	ck_assert_uint_eq(taps_lost(taps), lost);
}
END_TEST

START_TEST(packets_that_no_parser_understood)
{
	struct tap_spec s = any();
	struct pkt p = {.buf = bytes, .size = sizeof(bytes)};
	s.snaplen = 100;
	ck_assert_int_eq(begin(&s, 1000), 0);
	for (p.len = 0; p.len < 64; p.len++)
		for (unsigned l4 = 0; l4 < 80; l4 += 4) {
			p.l4_off = (uint16_t)l4;
			p.proto = l4 & 4 ? IP_ESP : l4 & 8 ? IP_AH : IP_TCP;
			p.tap_marks = 0;
			tap_drop(&w, &p, DROP_IP_VERSION);
			if (taps_used_up(taps, 0))
				break;
			ck_assert_uint_eq(drained(), 1);
			ck_assert_uint_le(last.kept, p.len);
		}
}
END_TEST

static Suite *suite(void)
{
	Suite *su = suite_create("see");
	TCase *c = tcase_create("see");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, nothing_is_published_without_a_session);
	tcase_add_test(c, bad_sessions_and_too_many_are_refused);
	tcase_add_test(c, a_chosen_packet_is_followed_when_it_looks_different);
	tcase_add_test(c, stages_and_drops_alone);
	tcase_add_test(c, what_filters_decide);
	tcase_add_test(c, no_more_records_than_were_asked_for);
	tcase_add_test(c, as_many_bytes_as_each_session_may_see);
	tcase_add_test(c, what_does_not_fit_is_lost_and_counted_also_after_the_end);
	tcase_add_test(c, packets_that_no_parser_understood);
	suite_add_tcase(su, c);
	return su;
}

RV_CHECK_MAIN(suite())
