/* Traffic regulation: the Percentage rule, the pool, what gives a connection back, constrained and back, nolimit; real UDP queues. */
#include "tests/unit/daemons/stack-core/ids/support.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define TCP_RULE(total, percent, what)                                                                                         \
	"IDSRule p { ConditionType TR\n IDSTRCondition { Protocol TCP\n LocalPortRange 80\n TotalConnections " total "\n Percentage " \
	percent " }\n IDSAction { ActionType TR " what "\n IDSReportSet { TypeActions LOG CONSOLE } } }\n"
#define HOST "198.51.100.1"
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
static struct ids_answer answer;

static bool opens(const char *src, unsigned sport)
{
	ck_assert(take(tcp4(src, sport, HOST, 80, SYN, 100, 0)));
	bool pass = ids_session_in(w, &pkt, true, &answer);
	ck_assert_uint_eq(pkt.drop, pass ? 0 : DROP_IDS_TR_TCP);
	ck_assert_int_eq(answer.send, !pass);
	ck_assert(pass || (answer.flags == (RST | ACK) && answer.ack == 101));
	return pass;
}

static void segment(const char *src, unsigned sport, uint8_t flags, bool from_client)
{
	struct ids_answer a;
	ck_assert(take(from_client ? tcp4(src, sport, HOST, 80, flags, 1, 1) : tcp4(HOST, 80, src, sport, flags, 1, 1)));
	if (from_client)
		ck_assert(ids_session_in(w, &pkt, true, &a));
	else
		ids_session_out(w, &pkt);
}

static struct ids_pool pool(void)
{
	struct ids_pool p[4];
	ck_assert_uint_eq(ids_pools(ids, p, 4), 1);
	return p[0];
}

static unsigned fill(const char *src, unsigned from, unsigned n)
{
	unsigned got = 0;
	for (unsigned i = 0; i < n; i++)
		got += opens(src, from + i);
	return got;
}

/* 1000 connections, 10 percent: while h < 10 % of (1000 - used) one more is allowed. */
START_TEST(test_percentage)
{
	with_policy(TCP_RULE("1000", "10", "limit"));
	unsigned used = 0, held[20] = {0};
	for (unsigned host = 0; host < 20; host++) {
		char src[32];
		(void)snprintf(src, sizeof(src), "192.0.2.%u", host + 1);
		for (unsigned i = 0; i < 200; i++) {
			bool rule = used < 1000 && (!held[host] || held[host] * 100 < 10 * (1000 - used));
			ck_assert_int_eq(opens(src, 1000 + i), rule);
			held[host] += rule;
			used += rule;
		}
		control(1);
	}
	ck_assert_uint_eq(held[0], 91); /* 91 * 10 = 910 > 909: the rule refuses the 92nd */
	ck_assert_uint_eq(pool().used, used);
	ck_assert(pool().refused == 20 * 200 - used);
}
END_TEST

START_TEST(test_one_each)
{
	with_policy(TCP_RULE("10", "1", "limit"));
	for (unsigned i = 0; i < 10; i++) { /* a host without one gets one while any is free */
		char src[32];
		(void)snprintf(src, sizeof(src), "192.0.2.%u", i + 1);
		ck_assert(opens(src, 1));
		ck_assert(!opens(src, 2));
	}
	ck_assert(!opens("192.0.2.99", 1));
	ck_assert(opens("192.0.2.1", 1)); /* a SYN sent again is no second connection */
	ck_assert_uint_eq(pool().used, 10);
	control(1);
	unsigned refused = 0, consoles = 0, entered = 0;
	for (unsigned i = 0; i < n_heard; i++) {
		refused += heard[i].told == IDS_TOLD_TR;
		consoles += heard[i].console;
		entered += heard[i].told == IDS_TOLD_CONSTRAINED && heard[i].entered;
	}
	ck_assert_uint_eq(refused, 11);
	ck_assert_uint_eq(consoles, 1); /* the first of a constrained period */
	ck_assert_uint_eq(entered, 1);
	ck_assert_msg(strstr(heard[0].text, "EZZ9324I TRMD TCP connection refused:") && strstr(heard[0].text, "total=10,percent=1") &&
		strstr(heard[0].text, "host_current=1"), "%s", heard[0].text);
}
END_TEST

START_TEST(test_given_back)
{
	with_policy(TCP_RULE("10", "100", "limit"));
	ck_assert_uint_eq(fill("192.0.2.1", 1, 3), 3);
	segment("192.0.2.1", 1, RST, true);
	ck_assert_uint_eq(pool().used, 2);
	segment("192.0.2.1", 2, RST | ACK, false);
	ck_assert_uint_eq(pool().used, 1);
	segment("192.0.2.1", 3, FIN | ACK, true);
	segment("192.0.2.1", 3, FIN | ACK, true);
	ck_assert_uint_eq(pool().used, 1); /* one side alone is half closed */
	segment("192.0.2.1", 3, FIN | ACK, false);
	ck_assert_uint_eq(pool().used, 0);
	segment("192.0.2.1", 3, RST, true);
	ck_assert_uint_eq(pool().used, 0);
	ck_assert_uint_eq(fill("192.0.2.1", 10, 3), 3);
	for (unsigned i = 0; i < 100; i++)
		control(1000); /* this host has no such sockets */
	ck_assert_uint_eq(pool().used, 0);
}
END_TEST

START_TEST(test_constrained)
{
	with_policy(TCP_RULE("100", "100", "limit"));
	for (unsigned host = 0; host < 89; host++) {
		char src[32];
		(void)snprintf(src, sizeof(src), "192.0.2.%u", host + 1);
		ck_assert(opens(src, 1));
	}
	control(1);
	ck_assert(n_heard == 0 && !pool().constrained);
	ck_assert(opens("192.0.2.90", 1));
	control(1);
	ck_assert(n_heard == 1 && pool().constrained && heard[0].entered);
	segment("192.0.2.90", 1, RST, true);
	segment("192.0.2.89", 1, RST, true);
	control(1);
	ck_assert(pool().constrained); /* 88: not below 88 % */
	segment("192.0.2.88", 1, RST, true);
	control(1);
	ck_assert(!pool().constrained && n_heard == 2 && !heard[1].entered);
}
END_TEST

START_TEST(test_nolimit)
{
	with_policy(TCP_RULE("10", "10", "nolimit"));
	ck_assert_uint_eq(fill("192.0.2.1", 1, 20), 20);
	control(1);
	ck_assert_uint_ge(n_heard, 19);
	ck_assert_ptr_nonnull(strstr(heard[0].text, "would have been refused"));
	ck_assert_uint_eq(pool().used, 20);
	ck_assert(take(tcp4("192.0.2.1", 5, HOST, 81, SYN, 1, 0)) && ids_session_in(w, &pkt, true, &answer)); /* of no rule */
}
END_TEST

static bool datagram(unsigned port)
{
	uint8_t *u = ip4("192.0.2.1", HOST, 17, 0, 8);
	ip_put16(u + 2, port);
	ip_put16(u + 4, 8);
	ck_assert(take(28));
	return ids_session_in(w, &pkt, true, &answer);
}

/* A real socket of this host whose program does not read. */
START_TEST(test_udp_queue)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(to);
	char text[512], b[64];
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&to, len), 0);
	ck_assert_int_eq(getsockname(s, (struct sockaddr *)&to, &len), 0);
	unsigned port = ntohs(to.sin_port);
	(void)snprintf(text, sizeof(text), "IDSRule q { ConditionType TR\n IDSTRCondition { Protocol UDP\n LocalPortRange %u\n UDPQueueSize VERY_SHORT }\n"
		"IDSAction { ActionType TR limit } }\n", port);
	with_policy(text);
	control(30);
	for (unsigned i = 0; i < 5; i++)
		ck_assert(datagram(port));
	control(30);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(sendto(c, "datagram", 8, 0, (struct sockaddr *)&to, len), 8);
	control(30);
	ck_assert_uint_ge(pool().used, 15);
	ck_assert(!datagram(port));
	ck_assert_uint_eq(pkt.drop, DROP_IDS_TR_UDP);
	ck_assert(!datagram(port));
	ck_assert(datagram(port ^ 1));
	control(30);
	ck_assert_uint_eq(n_heard, 1); /* once while it is constrained */
	ck_assert_ptr_nonnull(strstr(heard[0].text, "EZZ8638I TRMD UDP constrained entry logged:"));
	ck_assert_ptr_nonnull(strstr(heard[0].text, "qsize=16"));
	while (recv(s, b, sizeof(b), 0) > 0)
		;
	control(30);
	ck_assert(datagram(port));
	control(30);
	ck_assert_uint_eq(pool().refused, 2);
	close(s);
	close(c);
}
END_TEST

/* What comes between two looks at the queue counts too. */
START_TEST(test_udp_burst)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(to);
	char text[512];
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned passed = 0;
	ck_assert_int_eq(bind(s, (struct sockaddr *)&to, len), 0);
	ck_assert_int_eq(getsockname(s, (struct sockaddr *)&to, &len), 0);
	(void)snprintf(text, sizeof(text), "IDSRule q { ConditionType TR\n IDSTRCondition { Protocol UDP\n LocalPortRange %u\n UDPQueueSize SHORT }\n"
		"IDSAction { ActionType TR limit } }\n", ntohs(to.sin_port));
	with_policy(text);
	control(30);
	for (unsigned i = 0; i < 1000; i++)
		passed += datagram(ntohs(to.sin_port));
	ck_assert_uint_eq(passed, 231); /* 90 percent of 256 */
	close(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ids regulation");
	TCase *t = tcase_create("ids regulation");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, ids_setup, ids_teardown);
	tcase_add_test(t, test_percentage);
	tcase_add_test(t, test_one_each);
	tcase_add_test(t, test_given_back);
	tcase_add_test(t, test_constrained);
	tcase_add_test(t, test_nolimit);
	tcase_add_test(t, test_udp_queue);
	tcase_add_test(t, test_udp_burst);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
