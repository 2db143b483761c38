/* Scans: every way of probing is found, ordinary traffic is not; thresholds, intervals, exclusions; bounded under invented sources. */
#include "tests/unit/daemons/stack-core/ids/support.h"

#define GLOBAL(more) "IDSRule g { ConditionType ScanGlobal\n IDSScanGlobalCondition { " more " }\n IDSAction { ActionType SCAN_GLOBAL } }\n"
#define EVENT(proto, level)                                                                                                      \
	"IDSRule s_" proto " { ConditionType ScanEvent\n IDSScanEventCondition { Protocol " proto "\n Sensitivity " level " }\n" \
	"IDSAction { ActionType SCAN_EVENT count } }\n"
#define MEDIUM GLOBAL("") EVENT("TCP", "Medium") EVENT("UDP", "Medium") EVENT("ICMP", "Medium")

#define PEER "192.0.2.9"
#define HOST "198.51.100.1"
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static void in(uint32_t len)
{
	struct ids_answer a;
	ck_assert(take(len));
	ck_assert(ids_session_in(w, &pkt, true, &a));
	ck_assert(!a.send);
}

static void out(uint32_t len)
{
	ck_assert(take(len));
	ids_session_out(w, &pkt);
}

static void syn_closed(const char *src, unsigned port)
{
	in(tcp4(src, 40000, HOST, port, SYN, 1, 0));
	out(tcp4(HOST, port, src, 40000, RST | ACK, 0, 2));
	control(10);
}

static void open_and(const char *src, unsigned sport, unsigned port, uint8_t last)
{
	in(tcp4(src, sport, HOST, port, SYN, 1, 0));
	out(tcp4(HOST, port, src, sport, SYN | ACK, 9, 2));
	in(tcp4(src, sport, HOST, port, last, 2, last == ACK ? 10 : 0));
	control(1);
}

/* @src's datagram found no port: what the host says about it. */
static uint32_t unreachable(const char *src, unsigned sport, unsigned dport, uint8_t ttl)
{
	uint8_t inner[28];
	uint8_t *u = ip4(src, HOST, 17, 0, 8);
	ip_put16(u, sport);
	ip_put16(u + 2, dport);
	frame[8] = ttl;
	memcpy(inner, frame, 28);
	u = ip4(HOST, src, 1, 0, 36);
	u[0] = 3, u[1] = 3;
	memcpy(u + 8, inner, 28);
	return 64;
}

static unsigned scans(void)
{
	unsigned n = 0;
	for (unsigned i = 0; i < n_heard; i++)
		n += heard[i].told == IDS_TOLD_SCAN;
	return n;
}

START_TEST(test_syn_scan)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 4; i++)
		syn_closed(PEER, 5000 + i);
	ck_assert_uint_eq(scans(), 0);
	syn_closed(PEER, 5004);
	ck_assert_uint_eq(scans(), 1);
	ck_assert(heard[0].fast && heard[0].count == 5);
	ck_assert_msg(strstr(heard[0].text, "EZZ8643I") && strstr(heard[0].text, "sipaddr=192.0.2.9,scantype=F,pthreshold=5,pinterval=1,events=5"), "%s", heard[0].text);
	for (unsigned i = 0; i < 200; i++)
		syn_closed(PEER, 6000 + i);
	ck_assert_uint_eq(scans(), 1); /* once an interval */
	control(60000);
	for (unsigned i = 0; i < 5; i++)
		syn_closed(PEER, 7000 + i);
	ck_assert_uint_eq(scans(), 2);
	struct ids_scanner s[4];
	ck_assert_uint_eq(ids_scanners(ids, now_ms, s, 4), 1);
	ck_assert(s[0].reported && s[0].slow > 180 && s[0].slow < 240); /* 210, estimated */
}
END_TEST

START_TEST(test_open_ports)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 5; i++)
		open_and(PEER, 40000, 20 + i, RST); /* a SYN scan of open ports */
	ck_assert_uint_eq(scans(), 1);
}
END_TEST

START_TEST(test_flag_scans)
{
	static const uint8_t flags[] = {0, FIN, FIN | 8 | 32};
	with_policy(GLOBAL("") EVENT("TCP", "Low"));
	for (unsigned f = 0; f < 3; f++) {
		char src[32];
		(void)snprintf(src, sizeof(src), "192.0.2.%u", f + 1);
		for (unsigned i = 0; i < 5; i++) {
			in(tcp4(src, 40000, HOST, 5000 + i, flags[f], 1, 0));
			control(10);
		}
		ck_assert_uint_eq(scans(), f + 1);
	}
}
END_TEST

START_TEST(test_ack_scan)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 5; i++) {
		in(tcp4(PEER, 40000, HOST, 5000 + i, ACK, 1, 77));
		out(tcp4(HOST, 5000 + i, PEER, 40000, RST, 77, 0));
		control(10);
	}
	ck_assert_uint_eq(scans(), 1);
}
END_TEST

START_TEST(test_udp_scan)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 5; i++) {
		out(unreachable(PEER, 40000, 100 + i, 60));
		control(10);
	}
	ck_assert_uint_eq(scans(), 1);
	ck_assert_uint_eq(heard[0].event.protocol, IDS_UDP);
}
END_TEST

START_TEST(test_icmp_sweep)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 5; i++) {
		char dst[32];
		(void)snprintf(dst, sizeof(dst), "198.51.100.%u", i + 1);
		ip4(PEER, dst, 1, 0, 20)[0] = 13;
		in(40);
		ip4("192.0.2.10", dst, 1, 0, 20)[0] = 8; /* ping is normal */
		in(40);
		control(10);
	}
	ck_assert_uint_eq(scans(), 1);
}
END_TEST

/* nmap -T1: fifteen seconds between two probes. */
START_TEST(test_slow)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 9; i++) {
		syn_closed(PEER, 5000 + i);
		control(15000);
	}
	ck_assert_uint_eq(scans(), 0);
	syn_closed(PEER, 5009);
	ck_assert_uint_eq(scans(), 1);
	ck_assert(!heard[0].fast);
	ck_assert_ptr_nonnull(strstr(heard[0].text, "scantype=S"));
	n_heard = 0;
	for (unsigned i = 0; i < 30; i++) { /* slower than the slow interval */
		syn_closed("192.0.2.44", 5000 + i);
		control(800000);
	}
	ck_assert_uint_eq(scans(), 0);
}
END_TEST

START_TEST(test_ordinary)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 300; i++) { /* a busy web client, some of whose connections are reset */
		open_and("192.0.2.20", 30000 + i, 80, i % 7 ? ACK : RST);
		if (i % 5 == 0)
			syn_closed("192.0.2.20", 443);
	}
	for (unsigned i = 0; i < 300; i++) { /* passive FTP: many ports, all open; late segments are reset */
		open_and("192.0.2.21", 31000 + i, 50000 + i, ACK);
		control(5000);
		in(tcp4("192.0.2.21", 31000 + i, HOST, 50000 + i, ACK, 3, 11));
		out(tcp4(HOST, 50000 + i, "192.0.2.21", 31000 + i, RST, 11, 0));
	}
	for (unsigned i = 0; i < 300; i++) { /* a resolver's answers that come too late */
		uint8_t *u = ip4(HOST, "192.0.2.53", 17, 0, 8);
		ip_put16(u, 33000 + i);
		ip_put16(u + 2, 53);
		out(28);
		control(2000);
		out(unreachable("192.0.2.53", 53, 33000 + i, 60));
	}
	for (unsigned i = 0; i < 300; i++) { /* a web client of this host that closes before its server has said all */
		out(tcp4(HOST, 34000 + i, "192.0.2.80", 80, SYN, 1, 0));
		in(tcp4("192.0.2.80", 80, HOST, 34000 + i, SYN | ACK, 9, 2));
		control(1000);
		in(tcp4("192.0.2.80", 80, HOST, 34000 + i, ACK, 10, 2));
		out(tcp4(HOST, 34000 + i, "192.0.2.80", 80, RST, 2, 0));
	}
	for (unsigned i = 0; i < 30; i++) /* traceroute */
		out(unreachable("192.0.2.22", 40000, 33434 + i, 1));
	control(10);
	ck_assert_uint_eq(scans(), 0);
}
END_TEST

START_TEST(test_exclusion)
{
	with_policy(GLOBAL("IDSExclusion { ExcludedAddrPort 192.0.2.0/28 }") EVENT("TCP", "Medium"));
	for (unsigned i = 0; i < 10; i++)
		syn_closed(PEER, 5000 + i);
	ck_assert_uint_eq(scans(), 0);
	for (unsigned i = 0; i < 10; i++)
		syn_closed("192.0.2.16", 5000 + i);
	ck_assert_uint_eq(scans(), 1);
	with_policy(MEDIUM "IDSRule not { ConditionType ScanEvent\n Priority 5\n IDSScanEventCondition { Protocol TCP\n LocalPortRange 8000 8100 }\n"
		    "IDSAction { ActionType SCAN_EVENT exclude } }\n");
	for (unsigned i = 0; i < 10; i++)
		syn_closed("192.0.2.17", 8000 + i);
	ck_assert_uint_eq(scans(), 1);
}
END_TEST

/* A hundred thousand invented sources; a scanner among them, ten probes a second, is found; memory does not grow. */
START_TEST(test_spoofed)
{
	with_policy(MEDIUM);
	unsigned probes = 0;
	for (uint32_t i = 0; i < 100000; i++) {
		char src[32];
		(void)snprintf(src, sizeof(src), "%u.%u.%u.9", 11 + i / 65536, i / 256 % 256, i % 256);
		in(tcp4(src, 40000, HOST, 5000, 0, 1, 0));
		if (i % 1667 == 0)
			in(tcp4(PEER, 40000, HOST, 9000 + probes++, 0, 1, 0));
		if (i % 256 == 255)
			control(15);
	}
	control(1);
	ck_assert_uint_ge(scans(), 1);
	for (unsigned i = 0; i < n_heard; i++)
		ck_assert(heard[i].told != IDS_TOLD_SCAN || strstr(heard[i].text, "sipaddr=192.0.2.9,"));
	struct ids_counts c;
	ids_counts(ids, &c);
	ck_assert_uint_le(c.sources, 16384);
	ck_assert_uint_ge(c.evicted, 80000);
	ck_assert_uint_eq(c.lost, 0);
}
END_TEST

/* Sources can be invented, five probes each: what is told is bounded, and the rest is a number. */
START_TEST(test_told_is_bounded)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 1500; i++) {
		char src[32];
		(void)snprintf(src, sizeof(src), "11.0.%u.%u", i / 256, i % 256);
		for (unsigned k = 0; k < 5; k++)
			in(tcp4(src, 40000, HOST, 5000 + k, 0, 1, 0));
		if (i % 256 == 255)
			control(1);
	}
	control(1);
	ck_assert_uint_eq(scans(), IDS_SCANS);
	n_heard = 0;
	control(IDS_INTERVAL_MS);
	ck_assert_uint_eq(n_heard, 1);
	ck_assert_uint_eq(heard[0].told, IDS_TOLD_SUPPRESSED);
	ck_assert_uint_eq(heard[0].count, 500);
	ck_assert_ptr_nonnull(strstr(heard[0].text, "EZZ9327I"));
}
END_TEST

START_TEST(test_closed_and_filtered)
{
	with_policy(MEDIUM);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert(take(tcp4(PEER, 40000, HOST, 5000 + i, SYN, 1, 0)));
		ids_closed(w, &pkt);
		ck_assert(take(tcp4("192.0.2.10", 40000, HOST, 5000 + i, SYN, 1, 0)));
		ids_filtered(w, &pkt);
		ck_assert(take(tcp4("192.0.2.11", 40000, HOST, 5000 + i, ACK, 1, 0))); /* of a connection that was: no probe */
		ids_filtered(w, &pkt);
		control(1);
	}
	ck_assert_uint_eq(scans(), 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ids scans");
	TCase *t = tcase_create("ids scans");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, ids_setup, ids_teardown);
	tcase_add_test(t, test_syn_scan);
	tcase_add_test(t, test_open_ports);
	tcase_add_test(t, test_flag_scans);
	tcase_add_test(t, test_ack_scan);
	tcase_add_test(t, test_udp_scan);
	tcase_add_test(t, test_icmp_sweep);
	tcase_add_test(t, test_slow);
	tcase_add_test(t, test_ordinary);
	tcase_add_test(t, test_exclusion);
	tcase_add_test(t, test_spoofed);
	tcase_add_test(t, test_told_is_bounded);
	tcase_add_test(t, test_closed_and_filtered);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
