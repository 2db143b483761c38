/* The packet in an ICMP error: what is read of it, in buffers that end where the error ends. */
#include "daemons/stack-core/ip/quote.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <string.h>

enum { MAX = 600 };

static uint8_t bytes[MAX];
static uint32_t n;

static struct addr addr(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static void add(const uint8_t *d, uint32_t len)
{
	memcpy(bytes + n, d, len);
	n += len;
}

/* An error about a packet from us to a peer, whose first header names @proto; what is behind its fixed header is to be added. */
static void begin(uint8_t family, uint8_t proto, uint32_t total)
{
	struct addr router = addr(family == 4 ? "192.0.2.7" : "2001:db8::7"), us = addr(family == 4 ? "192.0.2.1" : "2001:db8::1"),
		    peer = addr(family == 4 ? "198.51.100.2" : "2001:db8:9::2");
	static const uint8_t icmp4[8] = {3, 4}, icmp6[8] = {2, 0};

	memset(bytes, 0, sizeof(bytes));
	n = family == 4 ? IP4_HEADER : IP6_HEADER;
	if (family == 4)
		ip4_write(bytes, &router, &us, IPPROTO_IP_ICMP, 64, 0, n, 0, false);
	else
		ip6_write(bytes, &router, &us, IP_ICMP6, 64, 0, 0);
	add(family == 4 ? icmp4 : icmp6, 8);
	if (family == 4)
		ip4_write(bytes + n, &us, &peer, proto, 64, 0, total, 9, true);
	else
		ip6_write(bytes + n, &us, &peer, proto, 64, 0, total - IP6_HEADER);
	n += family == 4 ? IP4_HEADER : IP6_HEADER;
}

static uint8_t *quoted(void)
{
	return bytes + (bytes[0] >> 4 == 4 ? IP4_HEADER : IP6_HEADER) + 8;
}

static void behind(void)
{
	static const uint8_t upper[8] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0};
	add(upper, 8);
}

static void extension(uint8_t next, uint8_t eights)
{
	uint8_t h[256] = {next, (uint8_t)(eights - 1)};
	add(h, eights * 8u);
}

static void fragment(uint8_t next, uint16_t off_more)
{
	uint8_t h[8] = {next, 0, (uint8_t)(off_more >> 8), (uint8_t)off_more, 1, 2, 3, 4};
	add(h, 8);
}

/* The first @len bytes, parsed, in memory of exactly that size. */
static bool at_length(uint32_t len, bool (*fn)(const struct pkt *p, void *arg), void *arg)
{
	uint8_t *exact = malloc(len);

	ck_assert_ptr_nonnull(exact);
	memcpy(exact, bytes, len);
	if (exact[0] >> 4 == 4) {
		ip_put16(exact + 2, len);
		ip4_checksum(exact);
	} else {
		ip_put16(exact + 4, len - IP6_HEADER);
	}
	struct pkt p = {.buf = exact, .size = len, .len = len};
	ck_assert(ip_parse(&p));
	ck_assert(quote_is_error(&p));
	bool good = fn(&p, arg);
	free(exact);
	return good;
}

static bool reads(const struct pkt *p, void *arg)
{
	struct quote q, *ret = arg;
	bool good = quote_read(p, &q);

	ck_assert(!good || (q.l4 >= pkt_data(p) && q.l4 + q.left == pkt_data(p) + p->len));
	q.l4 = NULL; /* goes with the buffer */
	*ret = q;
	return good;
}

static bool reverses(const struct pkt *p, void *arg)
{
	return quote_reversed(p, arg);
}

/* Every length of the error: good from @least on and never before. */
static void from(uint32_t least, struct quote *ret)
{
	uint32_t first = (bytes[0] >> 4 == 4 ? IP4_HEADER : IP6_HEADER) + 8;
	struct quote q;

	for (uint32_t len = first; len < n; len++)
		ck_assert_msg(at_length(len, reads, &q) == (len >= least), "%u of %u", len, n);
	ck_assert(at_length(n, reads, ret) == (n >= least));
}

START_TEST(refused4)
{
	static const struct {
		uint8_t at, value;
	} bad[] = {{0, 0x65}, {0, 0x44}, {0, 0x4f}, {7, 1}, {6, 0x20 + 0x1f}};
	struct quote q;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		begin(4, IP_UDP, 1500);
		behind();
		ck_assert(at_length(n, reads, &q));
		quoted()[bad[i].at] = bad[i].value;
		ck_assert_msg(!at_length(n, reads, &q), "%u", i);
	}
	begin(4, IP_UDP, 19); /* shorter than its header */
	behind();
	ck_assert(!at_length(n, reads, &q));
}
END_TEST

START_TEST(refused6)
{
	struct quote q;

	begin(6, IP_UDP, 1500);
	behind();
	ck_assert(at_length(n, reads, &q));
	quoted()[0] = 0x45;
	ck_assert(!at_length(n, reads, &q));
	begin(6, 44, 1500); /* a later fragment */
	fragment(IP_ESP, 8);
	behind();
	ck_assert(!at_length(n, reads, &q));
	begin(6, 60, 1500); /* more options than came back */
	extension(IP_ESP, 2);
	quoted()[IP6_HEADER + 1] = 3;
	behind();
	ck_assert(!at_length(n, reads, &q));
	begin(6, 60, 40 + 8); /* longer than it says itself to be */
	extension(60, 1);
	extension(IP_ESP, 1);
	behind();
	ck_assert(!at_length(n, reads, &q));
	begin(6, 60, 1280); /* options without end */
	for (unsigned i = 0; i <= IP6_EXT_MAX; i++)
		extension(60, 1);
	behind();
	ck_assert(!at_length(n, reads, &q));
}
END_TEST

START_TEST(read4)
{
	struct addr us = addr("192.0.2.1"), peer = addr("198.51.100.2");
	struct quote q;

	begin(4, IP_ESP, 1500);
	behind();
	from(20 + 8 + 20 + 8, &q); /* RFC 792: the header and 64 bits */
	ck_assert(q.proto == IP_ESP && q.df && !q.fragment && q.total == 1500 && q.left == 8);
	ck_assert(addr_equal(&q.src, &us) && addr_equal(&q.dst, &peer));
	begin(4, IP_UDP, 1500);
	uint8_t options[12] = {1};
	add(options, 12);
	quoted()[0] = 0x48;
	ip_put16(quoted() + 6, 0x2000); /* the first of its fragments */
	behind();
	behind();
	from(20 + 8 + 32 + 8, &q);
	ck_assert(q.proto == IP_UDP && !q.df && q.fragment && q.left == 16);
}
END_TEST

START_TEST(read6)
{
	struct addr us = addr("2001:db8::1"), peer = addr("2001:db8:9::2");
	struct quote q;

	begin(6, IP_ESP, 1500);
	behind();
	from(40 + 8 + 40, &q);
	ck_assert(q.proto == IP_ESP && q.df && !q.fragment && q.total == 1500 && q.left == 8);
	ck_assert(addr_equal(&q.src, &us) && addr_equal(&q.dst, &peer));
	begin(6, 0, 1500); /* hop by hop, routing, options, fragment, options */
	extension(43, 1);
	extension(60, 3);
	extension(44, 2);
	fragment(60, 1);
	extension(IP_ESP, 1);
	behind();
	from(40 + 8 + 40 + 8 + 24 + 16 + 8 + 8, &q);
	ck_assert(q.proto == IP_ESP && q.fragment && q.left == 8);
	begin(6, 44, 1500); /* atomic (RFC 6946) */
	fragment(IP_AH, 0);
	behind();
	from(40 + 8 + 40 + 8, &q);
	ck_assert(q.proto == IP_AH && !q.fragment && q.left == 8);
	begin(6, 60, 1280); /* as many as a packet may have */
	for (unsigned i = 0; i < IP6_EXT_MAX; i++)
		extension(i + 1 < IP6_EXT_MAX ? 60 : IP_TCP, 1);
	behind();
	from(40 + 8 + 40 + 8 * IP6_EXT_MAX, &q);
	ck_assert(q.proto == IP_TCP);
}
END_TEST

START_TEST(reversed)
{
	static const uint8_t protos[] = {IP_TCP, IP_UDP};
	struct pkt r;

	for (unsigned i = 0; i < 4; i++) {
		uint8_t family = i & 1 ? 4 : 6;
		begin(family, family == 4 ? protos[i / 2] : 60, 1400);
		if (family == 6)
			extension(protos[i / 2], 1);
		uint32_t least = n + (family == 4 ? 8 : 4);
		behind();
		for (uint32_t len = (family == 4 ? IP4_HEADER : IP6_HEADER) + 8u; len <= n; len++)
			ck_assert_int_eq(at_length(len, reverses, &r), len >= least);
		ck_assert(r.proto == protos[i / 2] && r.sport == 0x5678 && r.dport == 0x1234);
		struct addr us = addr(family == 4 ? "192.0.2.1" : "2001:db8::1");
		ck_assert(addr_equal(&r.dst, &us));
		bytes[family == 4 ? 19 : 39]++; /* to somebody else than who sent it */
		ck_assert(!at_length(n, reverses, &r));
	}
	begin(6, IP_ICMP6, 1400); /* an error about an error */
	behind();
	quoted()[IP6_HEADER] = 1;
	ck_assert(!at_length(n, reverses, &r));
	quoted()[IP6_HEADER] = 128;
	ck_assert(at_length(n, reverses, &r) && r.icmp_type == 128 && r.icmp_code == 0x34);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("quote");
	TCase *t = tcase_create("quote");
	tcase_add_test(t, refused4);
	tcase_add_test(t, refused6);
	tcase_add_test(t, read4);
	tcase_add_test(t, read6);
	tcase_add_test(t, reversed);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
