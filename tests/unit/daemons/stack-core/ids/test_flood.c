/* SYN floods: when a port is under attack, who still gets in, what is told; interface floods. */
#include "tests/unit/daemons/stack-core/ids/support.h"

#define FLOOD "IDSRule f { ConditionType Attack\n IDSAttackCondition { AttackType FLOOD\n IfcFloodMinDiscard 100 }\n IDSAction { ActionType ATTACK discard } }\n"
#define HOST "198.51.100.1"
enum { SYN = 2, RST = 4, ACK = 16 };
static struct ids_answer answer;

static bool in(const char *src, unsigned sport, uint8_t flags, uint32_t seq)
{
	ck_assert(take(tcp4(src, sport, HOST, 80, flags, seq, flags & ACK ? 10 : 0)));
	return ids_session_in(w, &pkt, true, &answer);
}

static void connect_from(const char *src, unsigned sport)
{
	ck_assert(in(src, sport, SYN, 1));
	ck_assert(take(tcp4(HOST, 80, src, sport, SYN | ACK, 9, 2)));
	ids_session_out(w, &pkt);
	ck_assert(in(src, sport, ACK, 2));
}

static unsigned flood(unsigned n)
{
	unsigned passed = 0;
	for (unsigned i = 0; i < n; i++) {
		char src[32];
		(void)snprintf(src, sizeof(src), "11.%u.%u.%u", i / 65536, i / 256 % 256, i % 256);
		passed += in(src, 1000 + i % 60000, SYN, i);
		ck_assert_uint_eq(answer.send, pkt.drop == DROP_IDS_FLOOD);
	}
	return passed;
}

START_TEST(test_flood)
{
	with_policy(FLOOD);
	connect_from("192.0.2.1", 1);
	control(1);
	unsigned passed = flood(20000);
	ck_assert_uint_ge(passed, 256);
	ck_assert_uint_le(passed, 300);
	control(1);
	ck_assert_uint_eq(n_heard, 1);
	ck_assert_ptr_nonnull(strstr(heard[0].text, "type=Flood"));
	ck_assert_uint_eq(heard[0].event.probe, IDS_PROBE_FLOOD_START);
	connect_from("192.0.2.1", 2); /* known from before */
	/* A client that nobody knows is asked, answers as RFC 9293 says, and gets in. */
	ck_assert(!in("192.0.2.2", 7, SYN, 100));
	ck_assert(answer.send && answer.flags == (SYN | ACK) && answer.ack != 101);
	uint32_t cookie = answer.ack;
	ck_assert(in("192.0.2.2", 7, RST, cookie + 1)); /* not the cookie */
	ck_assert(!in("192.0.2.2", 7, SYN, 100));
	ck_assert(in("192.0.2.3", 7, RST, cookie)); /* of another source */
	ck_assert(!in("192.0.2.3", 7, SYN, 100));
	ck_assert(!in("192.0.2.2", 7, RST, cookie));
	ck_assert_uint_eq(pkt.drop, DROP_IDS_ANSWER);
	ck_assert(in("192.0.2.2", 7, SYN, 100));
	struct ids_flood f;
	ck_assert_uint_eq(ids_floods(ids, &f, 1), 1);
	ck_assert(f.port == 80 && f.dropped > 19000);
	struct ids_counts c;
	ids_counts(ids, &c);
	ck_assert(c.detected[IDS_FLOOD] == c.discarded[IDS_FLOOD] && c.detected[IDS_FLOOD] > 19000 && c.proven == 1);
	/* It ends by itself. */
	for (unsigned i = 0; i < 40; i++)
		control(1000);
	ck_assert_uint_eq(ids_floods(ids, &f, 1), 0);
	ck_assert_uint_eq(heard[n_heard - 1].event.probe, IDS_PROBE_FLOOD_END);
	ck_assert(in("192.0.2.4", 7, SYN, 100));
}
END_TEST

START_TEST(test_without_policy)
{
	ck_assert_uint_le(flood(5000), 300); /* always defended */
	control(2000);
	ck_assert_uint_eq(n_heard, 0);
}
END_TEST

START_TEST(test_busy_is_no_flood)
{
	with_policy(FLOOD);
	for (unsigned i = 0; i < 30000; i++) {
		connect_from("192.0.2.77", 1000 + i % 60000);
		if (i % 100 == 0)
			control(1);
	}
	struct ids_counts c;
	ids_counts(ids, &c);
	ck_assert_uint_eq(c.detected[IDS_FLOOD], 0);
	for (unsigned i = 0; i < 200; i++) /* many at once, before any is answered */
		ck_assert(in("192.0.2.78", 1000 + i, SYN, 1));
}
END_TEST

START_TEST(test_interface)
{
	with_policy(FLOOD);
	control(60000);
	control(1000);
	ck_assert(take(tcp4("192.0.2.1", 5, HOST, 80, SYN, 1, 0)));
	for (unsigned i = 0; i < 99; i++)
		ids_discarded(w, &pkt);
	ids_link_counts(ids, 0, 200);
	control(1000);
	ck_assert_uint_eq(n_heard, 0);
	ids_discarded(w, &pkt);
	control(1000);
	ck_assert_uint_eq(n_heard, 1);
	ck_assert_uint_eq(heard[0].event.probe, IDS_PROBE_FLOOD_LINK);
	control(1000);
	ck_assert_uint_eq(n_heard, 1); /* once */
	for (unsigned i = 0; i < 130; i++)
		control(1000);
	ck_assert_uint_eq(n_heard, 2);
	ck_assert_uint_eq(heard[1].event.probe, IDS_PROBE_FLOOD_LINK_END);
	for (unsigned i = 0; i < 150; i++)
		ids_discarded(w, &pkt);
	ids_link_counts(ids, 0, 100000); /* many, but few of what came */
	control(1000);
	ck_assert_uint_eq(n_heard, 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ids floods");
	TCase *t = tcase_create("ids floods");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, ids_setup, ids_teardown);
	tcase_add_test(t, test_flood);
	tcase_add_test(t, test_without_policy);
	tcase_add_test(t, test_busy_is_no_flood);
	tcase_add_test(t, test_interface);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
