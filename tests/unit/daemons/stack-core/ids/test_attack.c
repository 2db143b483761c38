/* Each attack and its benign twin; limits of what is told; the packet trace. */
#include "tests/unit/daemons/stack-core/ids/support.h"
#include <stdlib.h>
#include <unistd.h>

#define RULE(type, more, what)                                                                              \
	"IDSRule r_" type " { ConditionType Attack\n IDSAttackCondition { AttackType " type "\n" more " }\n" \
	"IDSAction { ActionType ATTACK " what "\n IDSReportSet { TypeActions LOG CONSOLE STATISTICS\n TraceData Full\n MaxEventMessage 2\n StatInterval 10 } } }\n"
#define ALL(what)                                                                                                    \
	RULE("MALFORMED_PACKET", "", what) RULE("ICMP_REDIRECT", "", what) RULE("IP_FRAGMENT", "", what)             \
	RULE("DATA_HIDING", "", what) RULE("RESTRICTED_IP_OPTIONS", "RestrictedIpOptionRange 7\n", what)             \
	RULE("RESTRICTED_IP_PROTOCOL", "ProtocolRange 100 110\n", what) RULE("OUTBOUND_RAW", "ProtocolRange 1\n", what) \
	RULE("OUTBOUND_RAW_IPV6", "ProtocolRange 58\n", what) RULE("RESTRICTED_IPV6_NEXT_HDR", "ProtocolRange 43\n", what) \
	RULE("RESTRICTED_IPV6_HOP_OPTIONS", "RestrictedIpOptionRange 5\n", what)                                     \
	RULE("RESTRICTED_IPV6_DST_OPTIONS", "RestrictedIpOptionRange 201\n", what)                                   \
	RULE("PERPETUAL_ECHO", "LocalPortRange 7\n LocalPortRange 19\n RemotePortRange 7\n RemotePortRange 19\n", what)

static void bad(uint32_t len, enum ids_attack a, unsigned drop, uint32_t value)
{
	unsigned n = n_heard;
	ck_assert(take(len));
	ck_assert(!ids_in(w, &pkt));
	ck_assert_uint_eq(pkt.drop, drop);
	control(1);
	ck_assert_uint_eq(n_heard, n + 1);
	ck_assert_uint_eq(heard[n].told, IDS_TOLD_ATTACK);
	ck_assert_uint_eq(heard[n].event.what, a);
	ck_assert_uint_eq(heard[n].event.value, value);
	ck_assert_msg(strstr(heard[n].text, "EZZ8648I TRMD ATTACK packet was discarded:"), "%s", heard[n].text);
	ck_assert_msg(strstr(heard[n].text, ids_attack_text(a)), "%s", heard[n].text);
}

static void good(uint32_t len)
{
	unsigned n = n_heard;
	ck_assert(take(len));
	ck_assert(ids_in(w, &pkt));
	ck_assert_uint_eq(pkt.drop, 0);
	control(1);
	ck_assert_uint_eq(n_heard, n);
}

static uint32_t udp4(unsigned sport, unsigned dport, unsigned len)
{
	uint8_t *u = ip4("192.0.2.9", "198.51.100.1", 17, 0, 20);
	ip_put16(u, sport);
	ip_put16(u + 2, dport);
	ip_put16(u + 4, len);
	return 40;
}

static uint32_t fragment4(unsigned off, bool more, uint32_t payload)
{
	ip4("192.0.2.9", "198.51.100.1", 17, 0, payload);
	ip_put16(frame + 6, (more ? 0x2000u : 0) | off / 8);
	return 20 + payload;
}

static uint32_t option4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	ip4("192.0.2.9", "198.51.100.1", 17, 4, 8);
	frame[20] = a, frame[21] = b, frame[22] = c, frame[23] = d;
	ip_put16(frame + 28, 8);
	return 32;
}

/* An extension header of 8 bytes with one option, then UDP. */
static uint32_t ext6(uint8_t next, uint8_t type, uint8_t len, uint8_t data)
{
	uint8_t *e = ip6("2001:db8::9", "2001:db8:1::1", next, 16);
	e[0] = 17;
	e[2] = type, e[3] = len, e[4] = data;
	ip_put16(e + 12, 8);
	return 56;
}

START_TEST(test_attacks)
{
	with_policy(ALL("discard"));
	bad(tcp4("192.0.2.9", 5, "198.51.100.1", 80, 3, 1, 0), IDS_MALFORMED, DROP_IDS_MALFORMED, 3);
	bad(tcp4("192.0.2.9", 5, "198.51.100.1", 80, 6, 1, 0), IDS_MALFORMED, DROP_IDS_MALFORMED, 6);
	good(tcp4("192.0.2.9", 5, "198.51.100.1", 80, 2, 1, 0));
	good(tcp4("192.0.2.9", 5, "198.51.100.1", 80, 0x11, 1, 1));
	bad(tcp4("192.0.2.9", 5, "192.0.2.9", 5, 2, 1, 0), IDS_MALFORMED, DROP_IDS_MALFORMED, 5);
	uint32_t len = tcp4("192.0.2.9", 5, "198.51.100.1", 80, 16, 1, 0);
	frame[32] = 0xf0;
	bad(len, IDS_MALFORMED, DROP_IDS_MALFORMED, 60);
	bad(udp4(1, 2, 21), IDS_MALFORMED, DROP_IDS_MALFORMED, 21);
	bad(udp4(1, 2, 7), IDS_MALFORMED, DROP_IDS_MALFORMED, 7);
	good(udp4(1, 2, 20));
	good(udp4(1, 2, 8)); /* bytes behind it are legal */
	bad(udp4(7, 19, 20), IDS_ECHO, DROP_IDS_ECHO, 19);
	good(udp4(7, 53, 20));
	good(udp4(5353, 19, 20));
	bad(fragment4(0, true, 64), IDS_FRAGMENT, DROP_IDS_FRAGMENT, 84);
	bad(fragment4(248, false, 64), IDS_FRAGMENT, DROP_IDS_FRAGMENT, 248);
	good(fragment4(0, true, 1480));
	good(fragment4(1480, false, 9));
	bad(option4(7, 3, 4, 0), IDS_OPTION, DROP_IDS_OPTION, 7);
	good(option4(148, 4, 0, 0));
	bad(option4(1, 0, 9, 9), IDS_HIDING, DROP_IDS_HIDING, 9);
	good(option4(1, 0, 0, 0));
	len = udp4(1, 2, 20);
	frame[6] = 0x80;
	bad(len, IDS_HIDING, DROP_IDS_HIDING, 0x80);
	ip4("192.0.2.9", "198.51.100.1", 103, 0, 20);
	bad(40, IDS_PROTOCOL, DROP_IDS_PROTOCOL, 103);
	ip4("192.0.2.9", "198.51.100.1", 111, 0, 20);
	good(40);
	ip4("192.0.2.9", "198.51.100.1", 1, 0, 20)[0] = 5;
	bad(40, IDS_REDIRECT, DROP_IDS_REDIRECT, 0);
	ip4("192.0.2.9", "198.51.100.1", 1, 0, 20)[0] = 3;
	good(40);
	ip6("fe80::1", "2001:db8:1::1", 58, 40)[0] = 137;
	bad(80, IDS_REDIRECT, DROP_IDS_REDIRECT, 0);
	bad(ext6(0, 5, 4, 0), IDS_HOP_OPTION, DROP_IDS_HOP_OPTION, 5);
	good(ext6(0, 1, 4, 0));
	bad(ext6(0, 1, 4, 7), IDS_HIDING, DROP_IDS_HIDING, 7);
	bad(ext6(60, 201, 4, 0), IDS_DEST_OPTION, DROP_IDS_DEST_OPTION, 201);
	good(ext6(60, 5, 4, 0)); /* 5 is restricted hop by hop only */
	bad(ext6(60, 9, 5, 0), IDS_MALFORMED, DROP_IDS_MALFORMED, 9); /* longer than its header */
	bad(ext6(43, 4, 0, 0), IDS_NEXT_HEADER, DROP_IDS_NEXT_HEADER, 43);
}
END_TEST

START_TEST(test_outbound)
{
	with_policy(ALL("discard"));
	ip4("192.0.2.9", "198.51.100.1", 132, 0, 20);
	ck_assert(take(40) && !ids_out(w, &pkt));
	ck_assert_uint_eq(pkt.drop, DROP_IDS_OUTBOUND_RAW);
	ip4("192.0.2.9", "198.51.100.1", 1, 0, 20);
	ck_assert(take(40) && ids_out(w, &pkt));
	ck_assert(take(udp4(1, 2, 20)) && ids_out(w, &pkt));
	ip6("2001:db8::9", "2001:db8:1::1", 132, 16);
	ck_assert(take(56) && !ids_out(w, &pkt));
	ck_assert_uint_eq(pkt.drop, DROP_IDS_OUTBOUND_RAW6);
	ip6("2001:db8::9", "2001:db8:1::1", 58, 16);
	ck_assert(take(56) && ids_out(w, &pkt));
}
END_TEST

START_TEST(test_nodiscard)
{
	with_policy(ALL("nodiscard"));
	ck_assert(take(udp4(7, 19, 20)) && ids_in(w, &pkt) && !pkt.drop);
	ck_assert(take(tcp4("192.0.2.9", 5, "198.51.100.1", 80, 3, 1, 0)) && !ids_in(w, &pkt)); /* malformed always goes */
	control(1);
	ck_assert_uint_eq(n_heard, 2);
	ck_assert_ptr_nonnull(strstr(heard[0].text, "EZZ8649I TRMD ATTACK packet would have been discarded:"));
	ck_assert_ptr_nonnull(strstr(heard[0].text, "sipaddr=192.0.2.9,dipaddr=198.51.100.1,sport=7,dport=19,type=PerpEcho,proto=17"));
	ck_assert_ptr_nonnull(strstr(heard[0].text, "probeid=04000501"));
	ck_assert_ptr_nonnull(strstr(heard[1].text, "EZZ8648I"));
}
END_TEST

START_TEST(test_without_policy)
{
	ck_assert(take(udp4(7, 19, 20)) && ids_in(w, &pkt));
	ck_assert(take(fragment4(0, true, 64)) && ids_in(w, &pkt));
	ck_assert(take(tcp4("192.0.2.9", 5, "198.51.100.1", 80, 3, 1, 0)) && !ids_in(w, &pkt));
	control(1);
	ck_assert_uint_eq(n_heard, 0);
	struct ids_counts c;
	ids_counts(ids, &c);
	ck_assert_uint_eq(c.detected[IDS_MALFORMED], 1);
	ck_assert_uint_eq(c.discarded[IDS_MALFORMED], 1);
}
END_TEST

START_TEST(test_parse_refusals)
{
	with_policy(ALL("discard"));
	ip4("192.0.2.9", "198.51.100.1", 17, 0, 8);
	ip_put16(frame + 2, 4000);
	ck_assert(!take(28));
	ids_malformed(w, &pkt);
	control(1);
	ck_assert_uint_eq(n_heard, 1);
	ck_assert_uint_eq(heard[0].event.what, IDS_MALFORMED);
	ck_assert_uint_eq(heard[0].event.value, DROP_IP_SHORT);
	ck_assert(!take(option4(131, 3, 4, 0))); /* a source route is no malformed packet, and 131 is not restricted here */
	ck_assert_uint_eq(pkt.drop, DROP_IP_SOURCE_ROUTE);
	ids_malformed(w, &pkt);
	control(1);
	ck_assert_uint_eq(n_heard, 1);
}
END_TEST

START_TEST(test_suppression)
{
	char path[] = "/tmp/rv-ids-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	ids_trace_to(ids, path);
	with_policy(ALL("discard"));
	unsigned consoles = 0, logs = 0;
	for (unsigned i = 0; i < 350; i++) {
		ck_assert(take(udp4(7, 19, 20)) && !ids_in(w, &pkt));
		control(10);
	}
	for (unsigned i = 0; i < n_heard; i++) {
		consoles += heard[i].console;
		logs += heard[i].log;
	}
	ck_assert_uint_eq(n_heard, IDS_LOGS);
	ck_assert_uint_eq(logs, IDS_LOGS);
	ck_assert_uint_eq(consoles, 2);
	n_heard = 0;
	control(IDS_INTERVAL_MS);
	ck_assert_uint_eq(n_heard, 1);
	ck_assert_uint_eq(heard[0].told, IDS_TOLD_SUPPRESSED);
	ck_assert_uint_eq(heard[0].count, 250);
	ck_assert_msg(strstr(heard[0].text, "EZZ9327I") && strstr(heard[0].text, "type=PerpEcho,count=250"), "%s", heard[0].text);
	ck_assert(take(udp4(7, 19, 20)) && !ids_in(w, &pkt));
	control(1);
	ck_assert_uint_eq(n_heard, 2); /* the new interval tells again */
	n_heard = 0;
	control(IDS_INTERVAL_MS); /* ten minutes: statistics */
	bool statistics = false;
	for (unsigned i = 0; i < n_heard; i++)
		statistics |= heard[i].told == IDS_TOLD_STATISTICS && strstr(heard[i].text, "type=PerpEcho") && heard[i].count == 351;
	ck_assert(statistics);
	struct ids_counts c;
	ids_counts(ids, &c);
	ck_assert_uint_eq(c.traced, IDS_TRACES + 1);
	ck_assert_uint_eq(c.suppressed[IDS_ECHO], 250);
	uint32_t head[8];
	close(fd);
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fread(head, 4, 7, f), 7);
	ck_assert_uint_eq(head[0], 0x0a0d0d0a);
	ck_assert_uint_eq(head[2], 0x1a2b3c4d);
	fclose(f);
	unlink(path);
}
END_TEST

/* Every packet above at every length: nothing is read past its end (the sanitizers would say so), and every answer fits. */
START_TEST(test_truncated)
{
	with_policy(ALL("discard"));
	for (unsigned what = 0; what < 6; what++) {
		uint32_t len = what == 0 ? tcp4("192.0.2.9", 5, "198.51.100.1", 80, 3, 1, 0) : what == 1 ? udp4(7, 19, 20)
			: what == 2 ? option4(7, 3, 4, 0) : what == 3 ? ext6(0, 5, 4, 0) : what == 4 ? ext6(60, 9, 5, 0) : fragment4(0, true, 64);
		for (uint32_t n = 0; n <= len; n++) {
			uint8_t *copy = malloc(n ? n : 1);
			if (what < 3 || what == 5)
				ip_put16(frame + 2, n);
			else
				ip_put16(frame + 4, n < 40 ? 0 : n - 40);
			if (frame[0] >> 4 == 4)
				ip4_checksum(frame);
			memcpy(copy, frame, n);
			pkt = (struct pkt){.buf = copy, .size = n, .len = n};
			if (ip_parse(&pkt))
				ck_assert_int_eq(ids_in(w, &pkt), !pkt.drop);
			else
				ids_malformed(w, &pkt);
			free(copy);
			control(1);
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ids attacks");
	TCase *t = tcase_create("ids attacks");

	tcase_add_checked_fixture(t, ids_setup, ids_teardown);
	tcase_add_test(t, test_attacks);
	tcase_add_test(t, test_outbound);
	tcase_add_test(t, test_nodiscard);
	tcase_add_test(t, test_without_policy);
	tcase_add_test(t, test_parse_refusals);
	tcase_add_test(t, test_suppression);
	tcase_add_test(t, test_truncated);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
