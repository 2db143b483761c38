#include "lib/base/rd.h"
#include "lib/base/wr.h"
#include "tests/support/check_main.h"

START_TEST(truncation_at_every_byte_is_sticky)
{
	uint8_t buf[15];
	struct wr w = wr_init(buf, sizeof(buf));
	wr_u8(&w, 1);
	wr_u16(&w, 0x0203);
	wr_u32(&w, 0x04050607);
	wr_u64(&w, 0x08090a0b0c0d0e0full);
	ck_assert(wr_ok(&w));
	ck_assert_uint_eq(wr_len(&w), sizeof(buf));
	for (size_t n = 0; n <= sizeof(buf); n++) {
		struct rd r = rd_init(buf, n);
		rd_u8(&r);
		rd_u16(&r);
		rd_u32(&r);
		uint64_t last = rd_u64(&r);
		ck_assert(rd_ok(&r) == (n == sizeof(buf)));
		ck_assert_uint_eq(last, n == sizeof(buf) ? 0x08090a0b0c0d0e0full : 0);
		if (n < sizeof(buf)) {
			ck_assert_ptr_null(rd_bytes(&r, 0));
			ck_assert_uint_eq(rd_left(&r), 0);
		}
	}
}
END_TEST

START_TEST(write_that_does_not_fit_writes_nothing)
{
	uint8_t buf[3] = {9, 9, 9};
	struct wr w = wr_init(buf, sizeof(buf));
	wr_u32(&w, 1);
	wr_u8(&w, 1);
	ck_assert(!wr_ok(&w));
	ck_assert_uint_eq(wr_len(&w), 0);
	ck_assert_uint_eq(buf[0], 9);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rd");
	TCase *t = tcase_create("bounds");
	tcase_add_test(t, truncation_at_every_byte_is_sticky);
	tcase_add_test(t, write_that_does_not_fit_writes_nothing);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
