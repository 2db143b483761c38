/* Refusals of the parser, and that nothing is read past the end: every packet is cut at every byte. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct addr a4(const char *t)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(t, &a), 0);
	return a;
}

/* The packet in memory of exactly its size, so that ASan sees a read past it. */
static unsigned parse(const uint8_t *data, uint32_t len, struct pkt *ret)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct pkt p = {.buf = copy, .size = len, .len = len};

	memcpy(copy, data, len);
	bool ok = ip_parse(&p);
	ck_assert_int_eq(ok, p.drop == 0);
	free(copy);
	if (ret)
		*ret = p;
	return p.drop;
}

static uint32_t tcp4(uint8_t *b)
{
	struct addr s = a4("192.0.2.1"), d = a4("198.51.100.7");

	memset(b, 0, 60);
	ip4_write(b, &s, &d, IP_TCP, 64, 0, 40, 1, true);
	ip_put16(b + 20, 4000);
	ip_put16(b + 22, 80);
	b[32] = 0x50;
	return 40;
}

static uint32_t udp6(uint8_t *b)
{
	struct addr s = a4("2001:db8::1"), d = a4("2001:db8:1::2");

	memset(b, 0, 80);
	ip6_write(b, &s, &d, 0, 64, 0, 8 + 8 + 4);
	b[40] = IP_UDP; /* hop-by-hop options, padding */
	b[42] = 1;
	b[43] = 4;
	ip_put16(b + 48, 53);
	ip_put16(b + 50, 5353);
	return 60;
}

START_TEST(test_truncated)
{
	uint8_t b[80];
	for (uint32_t len = tcp4(b), i = 0; i < len; i++)
		ck_assert_uint_ne(parse(b, i, NULL), 0);
	for (uint32_t len = udp6(b), i = 0; i < len; i++)
		ck_assert_uint_ne(parse(b, i, NULL), 0);
}
END_TEST

START_TEST(test_refused)
{
	uint8_t b[80];
	uint32_t len = tcp4(b);

	b[0] = 0x55;
	ck_assert_uint_eq(parse(b, len, NULL), DROP_IP_VERSION);
	tcp4(b);
	b[0] = 0x44;
	ck_assert_uint_eq(parse(b, len, NULL), DROP_IP_HEADER);
	tcp4(b);
	b[10] ^= 1;
	ck_assert_uint_eq(parse(b, len, NULL), DROP_IP_CHECKSUM);
	tcp4(b);
	b[12] = 224;
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, len, NULL), DROP_IP_SOURCE);
	tcp4(b);
	b[16] = 127;
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, len, NULL), DROP_IP_MARTIAN);
	tcp4(b);
	ip_put16(b + 6, 1); /* offset 8: overwrites the TCP flags */
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, len, NULL), DROP_IP_TINY_FRAGMENT);
	tcp4(b);
	ip_put16(b + 6, 0x1fff);
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, len, NULL), DROP_IP_FRAGMENT);
	tcp4(b);
	ip_put16(b + 2, 36);
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, len, NULL), DROP_IP_L4_SHORT);
}
END_TEST

/* What no wire carries, as source and as destination. */
START_TEST(test_martians)
{
	static const struct {
		const char *address;
		unsigned src, dst;
	} rows[] = {
		{"0.1.2.3", DROP_IP_MARTIAN, DROP_IP_MARTIAN}, {"127.0.0.1", DROP_IP_MARTIAN, DROP_IP_MARTIAN},
		{"240.0.0.1", DROP_IP_SOURCE, DROP_IP_MARTIAN}, {"255.255.255.254", DROP_IP_SOURCE, DROP_IP_MARTIAN},
		{"255.255.255.255", DROP_IP_SOURCE, 0}, {"224.0.0.5", DROP_IP_SOURCE, 0}, {"10.0.0.1", 0, 0}, {"169.254.0.1", 0, 0},
		{"::", 0, DROP_IP_MARTIAN}, {"::1", DROP_IP_MARTIAN, DROP_IP_MARTIAN}, {"::10.0.0.1", DROP_IP_MARTIAN, DROP_IP_MARTIAN},
		{"::ffff:10.0.0.1", DROP_IP_MARTIAN, DROP_IP_MARTIAN}, {"ff00::1", DROP_IP_SOURCE, DROP_IP_MARTIAN},
		{"ff11::1", DROP_IP_SOURCE, DROP_IP_MARTIAN}, {"ff02::1", DROP_IP_SOURCE, 0}, {"fe80::1", 0, 0}, {"fd00::1", 0, 0},
		{"64:ff9b::a00:1", 0, 0},
	};
	uint8_t b[80];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a;
		ck_assert_int_eq(addr_parse(rows[i].address, &a), 0);
		for (unsigned side = 0; side < 2; side++) {
			uint32_t len = a.family == 4 ? tcp4(b) : udp6(b);
			memcpy(b + (a.family == 4 ? 12 + 4 * side : 8 + 16 * side), a.b, a.family == 4 ? 4 : 16);
			if (a.family == 4)
				ip4_checksum(b);
			ck_assert_msg(parse(b, len, NULL) == (side ? rows[i].dst : rows[i].src), "%s as %s", rows[i].address, side ? "destination" : "source");
		}
	}
}
END_TEST

START_TEST(test_source_route)
{
	uint8_t b[80] = {0};
	struct addr s = a4("192.0.2.1"), d = a4("198.51.100.7");

	ip4_write(b, &s, &d, IP_UDP, 64, 0, 36, 1, false);
	b[0] = 0x47;
	b[20] = 131;
	b[21] = 7;
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, 36, NULL), DROP_IP_SOURCE_ROUTE);
	b[20] = 7; /* record route is allowed */
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, 36, NULL), 0);
	b[21] = 9; /* beyond the header */
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, 36, NULL), DROP_IP_HEADER);
}
END_TEST

START_TEST(test_ipv6_headers)
{
	uint8_t b[80];
	struct pkt p;

	udp6(b);
	ck_assert_uint_eq(parse(b, 60, &p), 0);
	ck_assert_uint_eq(p.proto, IP_UDP);
	ck_assert_uint_eq(p.l4_off, 48);
	ck_assert_uint_eq(p.sport, 53);
	ck_assert_uint_eq(p.dport, 5353);
	b[41] = 200; /* longer than the packet */
	ck_assert_uint_eq(parse(b, 60, NULL), DROP_IP_EXTENSION);
	udp6(b);
	b[6] = 43; /* routing header type 0 */
	b[42] = 0;
	ck_assert_uint_eq(parse(b, 60, NULL), DROP_IP_SOURCE_ROUTE);
	udp6(b);
	b[40] = 0; /* hop-by-hop options again */
	ck_assert_uint_eq(parse(b, 60, NULL), DROP_IP_EXTENSION);
}
END_TEST

START_TEST(test_fields)
{
	uint8_t b[80];
	struct pkt p;

	tcp4(b);
	memset(b + 40, 0xee, 20); /* link padding is cut off */
	ck_assert_uint_eq(parse(b, 60, &p), 0);
	ck_assert_uint_eq(p.len, 40);
	ck_assert_uint_eq(p.sport, 4000);
	ck_assert_uint_eq(p.dport, 80);
	ck_assert(!p.fragment && !p.opaque);
	ip_put16(b + 6, 4);
	ip4_checksum(b);
	ck_assert_uint_eq(parse(b, 40, &p), 0);
	ck_assert(p.fragment && p.opaque);
	ck_assert_uint_eq(p.sport, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("parse");
	TCase *c = tcase_create("parse");

	tcase_add_test(c, test_truncated);
	tcase_add_test(c, test_refused);
	tcase_add_test(c, test_martians);
	tcase_add_test(c, test_source_route);
	tcase_add_test(c, test_ipv6_headers);
	tcase_add_test(c, test_fields);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
