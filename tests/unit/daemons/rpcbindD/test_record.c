#include "daemons/rpcbindD/record.h"
#include "lib/base/wr.h"
#include "tests/support/check_main.h"
#include <string.h>

static uint8_t raw[4 * RECORD_MAX], gather[RECORD_MAX];
static struct wr w;
static const uint8_t *text;
static size_t len;

static void begin(void)
{
	w = wr_init(raw, sizeof(raw));
}

static void fragment(size_t n, bool last, uint8_t fill)
{
	wr_u32(&w, (last ? 0x80000000u : 0) | (uint32_t)n);
	uint8_t *p = wr_space(&w, n);
	ck_assert_ptr_nonnull(p);
	memset(p, fill, n);
}

/* In memory of exactly @n bytes, where a byte too many is seen. */
static ssize_t next(size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	memcpy(copy, raw, n);
	ssize_t took = record_next(copy, n, gather, &text, &len);
	free(copy);
	return took;
}

START_TEST(too_much)
{
	static const uint32_t marks[] = {0xffffffff, 0x7fffffff, 0x80000000u | (RECORD_MAX + 1), RECORD_MAX + 1, 0};
	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		begin();
		wr_u32(&w, marks[i]);
		ck_assert_int_eq(next(4), -1); /* by its mark alone: nothing is waited for */
	}
	begin();
	fragment(RECORD_MAX, false, 1);
	fragment(1, true, 2);
	ck_assert_int_eq(next(wr_len(&w)), -1);
	begin();
	fragment(10, false, 1);
	fragment(0, false, 2);
	ck_assert_int_eq(next(wr_len(&w)), -1);
}
END_TEST

START_TEST(cut_at_every_byte)
{
	begin();
	fragment(8, false, 1);
	fragment(3, false, 2);
	fragment(0, true, 3);
	for (size_t n = 0; n < wr_len(&w); n++)
		ck_assert_int_eq(next(n), 0);
	ck_assert_int_eq(next(wr_len(&w)), (ssize_t)wr_len(&w));
	ck_assert_uint_eq(len, 11);
	ck_assert_mem_eq(text, "\1\1\1\1\1\1\1\1\2\2\2", 11);
}
END_TEST

START_TEST(largest)
{
	begin();
	fragment(RECORD_MAX, true, 7);
	ck_assert_int_eq(record_next(raw, wr_len(&w), gather, &text, &len), RECORD_MAX + 4);
	ck_assert_ptr_eq(text, raw + 4); /* not copied */
	ck_assert_uint_eq(len, RECORD_MAX);
	begin();
	for (unsigned i = 0; i < RECORD_MAX / 2; i++)
		fragment(2, i == RECORD_MAX / 2 - 1, (uint8_t)i);
	ck_assert_int_eq(next(wr_len(&w)), RECORD_MAX * 3);
	ck_assert_uint_eq(len, RECORD_MAX);
	for (unsigned i = 0; i < RECORD_MAX; i++)
		ck_assert_uint_eq(text[i], i / 2 & 255);
}
END_TEST

START_TEST(one_after_the_other)
{
	begin();
	fragment(4, true, 1);
	fragment(0, true, 0);
	fragment(5, true, 2);
	size_t at = 0;
	static const size_t want[] = {4, 0, 5};
	for (size_t i = 0; i < 3; i++) {
		ssize_t took = record_next(raw + at, wr_len(&w) - at, gather, &text, &len);
		ck_assert_int_eq(took, (ssize_t)want[i] + 4);
		ck_assert_uint_eq(len, want[i]);
		at += (size_t)took;
	}
	ck_assert_uint_eq(at, wr_len(&w));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("record");
	TCase *t = tcase_create("record");
	tcase_add_test(t, too_much);
	tcase_add_test(t, cut_at_every_byte);
	tcase_add_test(t, largest);
	tcase_add_test(t, one_after_the_other);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
