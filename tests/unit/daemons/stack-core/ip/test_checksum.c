/* The Internet checksum against the definition (RFC 1071), byte by byte: lengths around each block size, offsets, and bytes that carry. */
#include "daemons/stack-core/ip/checksum.h"
#include "tests/support/check_main.h"
#include <stdlib.h>

enum { ROOM = 70000 };
static uint8_t bytes[ROOM];

static uint16_t slow(const uint8_t *p, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i++) {
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		s = (s & 0xffff) + (s >> 16);
	}
	uint8_t be[2] = {(uint8_t)(~s >> 8), (uint8_t)~s};
	uint16_t ret;
	memcpy(&ret, be, 2);
	return ret;
}

static void fill(unsigned seed, bool high)
{
	for (size_t i = 0; i < ROOM; i++) {
		seed = seed * 1103515245 + 12345;
		bytes[i] = high && seed >> 30 ? 0xff : (uint8_t)(seed >> 16);
	}
}

START_TEST(test_lengths)
{
	for (unsigned round = 0; round < 4; round++) {
		fill(round + 1, round & 1);
		for (size_t n = 0; n < 400; n++)
			for (size_t at = 0; at < 40; at += 3)
				ck_assert_uint_eq(csum_fold(csum_add(0, bytes + at, n)), slow(bytes + at, n));
	}
}
END_TEST

START_TEST(test_long)
{
	fill(9, true);
	for (size_t n = 60000; n < 65536; n += 251)
		ck_assert_uint_eq(csum_fold(csum_add(0, bytes + n % 8, n)), slow(bytes + n % 8, n));
	memset(bytes, 0xff, ROOM);
	ck_assert_uint_eq(csum_fold(csum_add(0, bytes, 65534)), slow(bytes, 65534));
}
END_TEST

START_TEST(test_parts)
{
	fill(5, true);
	for (size_t cut = 0; cut < 600; cut += 2)
		ck_assert_uint_eq(csum_fold(csum_add(csum_add(0, bytes, cut), bytes + cut, 1400 - cut)), slow(bytes, 1400));
}
END_TEST

/* RFC 3720 appendix B.4 has these vectors of the same CRC. */
START_TEST(test_sctp)
{
	memset(bytes, 0, 32);
	ck_assert_uint_eq(csum_sctp(bytes, 32), 0x8a9136aau);
	memset(bytes, 0xff, 32);
	ck_assert_uint_eq(csum_sctp(bytes, 32), 0x62a8ab43u);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	ck_assert_uint_eq(csum_sctp(bytes, 32), 0x46dd794eu);
	ck_assert_uint_eq(csum_sctp((const uint8_t *)"123456789", 9), 0xe3069283u);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("checksum");
	TCase *t = tcase_create("checksum");

	tcase_add_test(t, test_lengths);
	tcase_add_test(t, test_long);
	tcase_add_test(t, test_parts);
	tcase_add_test(t, test_sctp);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
