/* Classic PassTickets: the vectors of zos.md section 1, and what is refused. */
#include "lib/saf/verify/passticket.h"
#include "tests/support/check_main.h"
#include <string.h>

static const uint8_t tom_key[8] = {0xe0, 0x01, 0x19, 0x35, 0x19, 0x56, 0x19, 0x77};
static const uint8_t user_key[8] = {0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6, 0xa7, 0xb8};

START_TEST(refusals)
{
	char t[PASSTICKET_MAX];
	uint8_t other[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	ck_assert_int_lt(passticket_make("", "APPL", tom_key, 1, t), 0);
	ck_assert_int_lt(passticket_make("NINECHARS", "APPL", tom_key, 1, t), 0);
	ck_assert_int_lt(passticket_make("TOM", "AP PL", tom_key, 1, t), 0);
	ck_assert_int_lt(passticket_make("tom", "APPL", tom_key, 1, t), 0);
	ck_assert(!passticket_valid("TOM", "TSOM4381", tom_key, "HRWDTRQC", 1234567890 + 601));
	ck_assert(!passticket_valid("TOM", "TSOM4381", tom_key, "HRWDTRQC", 1234567890 - 601));
	ck_assert(!passticket_valid("TIM", "TSOM4381", tom_key, "HRWDTRQC", 1234567890));
	ck_assert(!passticket_valid("TOM", "TSOM4382", tom_key, "HRWDTRQC", 1234567890));
	ck_assert(!passticket_valid("TOM", "TSOM4381", other, "HRWDTRQC", 1234567890));
	ck_assert(!passticket_valid("TOM", "TSOM4381", tom_key, "HRWDTRQ", 1234567890));
	ck_assert(!passticket_valid("TOM", "TSOM4381", tom_key, "HRWDTRQCX", 1234567890));
	ck_assert(!passticket_valid("TOM", "TSOM4381", tom_key, "HRWDTRQ-", 1234567890));
	ck_assert(!passticket_valid("TOM", "TSOM4381", tom_key, "", 1234567890));
}
END_TEST

START_TEST(vectors)
{
	static const uint8_t tom[12] = {0xe3, 0xd6, 0xd4, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
	static const uint8_t ibmuser[12] = {0xc9, 0xc2, 0xd4, 0xe4, 0xe2, 0xc5, 0xd9, 0x55, 0x55, 0x55, 0x55, 0x55};
	char t[PASSTICKET_MAX];
	uint8_t pad[12];
	passticket_text(0x07247f79, t);
	ck_assert_str_eq(t, "QHOAH1TV");
	ck_assert_uint_eq(passticket_permute(1, 0x017b), 0xa32a);
	passticket_pad("TOM", pad);
	ck_assert_int_eq(memcmp(pad, tom, 12), 0);
	passticket_pad("IBMUSER", pad);
	ck_assert_int_eq(memcmp(pad, ibmuser, 12), 0);
	ck_assert_uint_eq(passticket_r5("TOM", "TSOM4381", tom_key, 1234567890), 0xb5677502);
	ck_assert_uint_eq(passticket_r5("USERID", "APPNAME", user_key, 1000000000), 0x965aa7c9);
	ck_assert_int_eq(passticket_make("TOM", "TSOM4381", tom_key, 1234567890, t), 0);
	ck_assert_str_eq(t, "HRWDTRQC");
	ck_assert_int_eq(passticket_make("USERID", "APPNAME", user_key, 1000000000, t), 0);
	ck_assert_str_eq(t, "ZWB0GDYJ");
}
END_TEST

START_TEST(valid_for_ten_minutes_either_way)
{
	char t[PASSTICKET_MAX];
	for (uint32_t when = 1700000000; when < 1700200000; when += 997) {
		ck_assert_int_eq(passticket_make("USERID", "APPNAME", user_key, when, t), 0);
		ck_assert(passticket_valid("USERID", "APPNAME", user_key, t, when));
		ck_assert(passticket_valid("USERID", "APPNAME", user_key, t, (int64_t)when + 600));
		ck_assert(passticket_valid("USERID", "APPNAME", user_key, t, (int64_t)when - 600));
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("passticket");
	TCase *t = tcase_create("classic");
	tcase_add_test(t, refusals);
	tcase_add_test(t, vectors);
	tcase_add_test(t, valid_for_ten_minutes_either_way);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
