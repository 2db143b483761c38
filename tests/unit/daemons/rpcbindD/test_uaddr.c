#include "daemons/rpcbindD/uaddr.h"
#include "tests/support/check_main.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

START_TEST(refuses_what_is_no_address)
{
	static const char *const bad[] = {"", ".", "..", "1.2.3.4", "1.2.3.4.5", "1.2.3.4.0.256", "1.2.3.4.256.0", "1.2.3.4.-1.5", "1.2.3.4.+1.5", "1.2.3.4.01.5",
		"1.2.3.4.1.5.", "1.2.3.4..5", "1.2.3.4. 1.5", "1.2.3.256.1.5", "01.2.3.4.1.5", "a.b.c.d.1.5", "::1.1.5", "1.2.3.4.5.6.7", "1.2.3.4.0x1.1",
		"1.2.3.4.1.5\n", "999999999999999999999999999999999999999999999999999999999999.1.1"};
	static const char *const bad6[] = {"::", "::1", "::.1", ":::.1.1", "1.2.3.4.1.1", "2001:db8::1.1.256", "2001:db8::g.1.1", "fe80::1%lo.1.1", "[::1].1.1"};
	struct addr a;
	uint16_t port;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ck_assert_msg(uaddr_parse(NETID_TCP, bad[i], &a, &port) == -EINVAL, "'%s'", bad[i]);
		ck_assert_int_eq(port, 0);
	}
	for (size_t i = 0; i < sizeof(bad6) / sizeof(*bad6); i++)
		ck_assert_msg(uaddr_parse(NETID_UDP6, bad6[i], &a, &port) == -EINVAL, "'%s'", bad6[i]);
	ck_assert_int_eq(uaddr_parse(NETID_NONE, "1.2.3.4.1.5", &a, &port), -EINVAL);
}
END_TEST

START_TEST(refuses_paths_that_hide_something)
{
	char longest[UADDR_MAX + 2];
	struct addr a;
	uint16_t port;
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[UADDR_MAX + 1] = 0;
	ck_assert_int_eq(uaddr_parse(NETID_LOCAL, longest, &a, &port), -EINVAL);
	longest[UADDR_MAX] = 0;
	ck_assert_int_eq(uaddr_parse(NETID_LOCAL, longest, &a, &port), 0);
	ck_assert_int_eq(uaddr_parse(NETID_LOCAL, "", &a, &port), -EINVAL);
	ck_assert_int_eq(uaddr_parse(NETID_LOCAL, "/run/\x1b[2Jx", &a, &port), -EINVAL);
	ck_assert_int_eq(uaddr_parse(NETID_LOCAL, "/run/x\x7f", &a, &port), -EINVAL);
	ck_assert_int_eq(uaddr_parse(NETID_LOCAL, "/run/x.sock", &a, &port), 0);
	ck_assert_int_eq(a.family, 0);
}
END_TEST

/* Every port, there and back. */
START_TEST(text_and_back)
{
	static const char *const hosts[] = {"0.0.0.0", "255.255.255.255", "192.0.2.1"}, *const hosts6[] = {"::", "::1", "2001:db8::1:2"};
	for (unsigned family = 0; family < 2; family++) {
		for (unsigned i = 0; i < 3; i++) {
			const char *host = family ? hosts6[i] : hosts[i];
			for (unsigned p = 0; p <= 65535; p += p < 300 ? 1 : 97) {
				char text[UADDR_TEXT_MAX], again[UADDR_TEXT_MAX];
				struct addr a;
				uint16_t port;
				(void)snprintf(text, sizeof(text), "%s.%u.%u", host, p >> 8, p & 255);
				ck_assert_int_eq(uaddr_parse(family ? NETID_TCP6 : NETID_UDP, text, &a, &port), 0);
				ck_assert_uint_eq(port, p);
				ck_assert_str_eq(uaddr_text(&a, port, again), text);
			}
		}
	}
}
END_TEST

START_TEST(netids)
{
	static const char *const none[] = {"", "UDP", "udp ", "sctp", "udp66", "localx", "-"};
	for (unsigned i = 0; i < NETID_COUNT; i++)
		ck_assert_uint_eq(netid_parse(netid_text((enum netid)i)), i);
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		ck_assert_uint_eq(netid_parse(none[i]), NETID_NONE);
	ck_assert_uint_eq(netid_parse("unix"), NETID_LOCAL);
	ck_assert_str_eq(netid_text(NETID_NONE), "-");
	ck_assert(netid_is_udp(NETID_UDP) && netid_is_udp(NETID_UDP6) && !netid_is_udp(NETID_TCP) && !netid_is_udp(NETID_LOCAL));
	ck_assert_uint_eq(netid_family(NETID_TCP6), 6);
	ck_assert_uint_eq(netid_family(NETID_LOCAL), 0);
}
END_TEST

START_TEST(kinds_of_addresses)
{
	static const struct {
		const char *text;
		bool any, loopback;
	} cases[] = {{"0.0.0.0", true, false}, {"::", true, false}, {"127.0.0.1", false, true}, {"127.9.9.9", false, true}, {"::1", false, true},
		{"128.0.0.1", false, false}, {"::2", false, false}, {"1::1", false, false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct addr a;
		ck_assert_int_eq(addr_parse(cases[i].text, &a), 0);
		ck_assert_int_eq(addr_is_any(&a), cases[i].any);
		ck_assert_int_eq(addr_is_loopback(&a), cases[i].loopback);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("uaddr");
	TCase *t = tcase_create("uaddr");
	tcase_add_test(t, refuses_what_is_no_address);
	tcase_add_test(t, refuses_paths_that_hide_something);
	tcase_add_test(t, text_and_back);
	tcase_add_test(t, netids);
	tcase_add_test(t, kinds_of_addresses);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
