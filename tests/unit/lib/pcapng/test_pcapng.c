#include "lib/pcapng/pcapng.h"
#include "tests/support/check_main.h"
#include <stdlib.h>
#include <string.h>

static struct pcapng f;
static char *file;
static size_t size;
static FILE *out;

static void setup(void)
{
	out = open_memstream(&file, &size);
	ck_assert_ptr_nonnull(out);
}

static void teardown(void)
{
	(void)fclose(out);
	free(file);
}

static uint32_t word(size_t at)
{
	uint32_t v;
	ck_assert_uint_le(at + 4, size);
	memcpy(&v, file + at, 4);
	return v;
}

/* Walks blocks by their length, which stands at both ends; how many. */
static unsigned blocks(uint32_t *types, unsigned max)
{
	unsigned n = 0;
	ck_assert(pcapng_flush(&f));
	ck_assert_uint_eq(f.size, size);
	for (size_t at = 0; at < size; n++) {
		uint32_t len = word(at + 4);
		ck_assert_uint_ge(len, 12);
		ck_assert_uint_eq(len % 4, 0);
		ck_assert_uint_eq(word(at + len - 4), len);
		if (n < max)
			types[n] = word(at);
		at += len;
	}
	return n;
}

START_TEST(blocks_are_whole_whatever_their_lengths)
{
	uint8_t data[64];
	char comment[80];
	uint32_t types[600];
	unsigned want = 3;
	memset(data, 0xa5, sizeof(data));
	pcapng_begin(&f, out, "test");
	ck_assert_uint_eq(pcapng_interface(&f, "a", NULL, 100), 0);
	ck_assert_uint_eq(pcapng_interface(&f, NULL, "the second one", 0), 1);
	for (uint32_t kept = 0; kept < 20; kept++)
		for (size_t text = 0; text < 10; text++) {
			memset(comment, 'x', sizeof(comment));
			comment[text] = 0;
			pcapng_packet(&f, &(struct pcapng_packet){.interface = kept & 1, .time_us = 0x123456789abcull, .data = data,
				.kept = kept, .len = 1500, .direction = kept % 3, .comments = {comment, text & 1 ? "again" : NULL}});
			want++;
		}
	ck_assert_uint_eq(blocks(types, 600), want);
	ck_assert_uint_eq(types[0], 0x0a0d0d0a);
	ck_assert_uint_eq(types[1], 1);
	ck_assert_uint_eq(types[2], 1);
	ck_assert_uint_eq(types[3], 6);
}
END_TEST

START_TEST(a_packet_says_when_where_and_how_long)
{
	pcapng_begin(&f, out, NULL);
	size_t at = f.size;
	(void)pcapng_interface(&f, "if", "x", 77);
	ck_assert(pcapng_flush(&f));
	ck_assert_uint_eq(word(at + 8), 101);
	ck_assert_uint_eq(word(at + 12), 77);
	at = f.size;
	pcapng_packet(&f, &(struct pcapng_packet){.time_us = 0x123456789abcull, .data = "abcde", .kept = 5, .len = 9, .direction = PCAPNG_OUTBOUND,
		.comments = {"why"}});
	ck_assert(pcapng_flush(&f));
	ck_assert_uint_eq(word(at + 12), 0x1234);
	ck_assert_uint_eq(word(at + 16), 0x56789abc);
	ck_assert_uint_eq(word(at + 20), 5);
	ck_assert_uint_eq(word(at + 24), 9);
	ck_assert_mem_eq(file + at + 28, "abcde\0\0\0", 8);
	ck_assert_uint_eq(word(at + 36), 1 | 3 << 16);
	ck_assert_mem_eq(file + at + 40, "why\0", 4);
	ck_assert_uint_eq(word(at + 44), 2 | 4 << 16);
	ck_assert_uint_eq(word(at + 48), PCAPNG_OUTBOUND);
}
END_TEST

START_TEST(long_texts_are_cut)
{
	char text[PCAPNG_TEXT_MAX * 2];
	uint32_t types[4];
	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = 0;
	pcapng_begin(&f, out, text);
	(void)pcapng_interface(&f, text, text, 0);
	pcapng_packet(&f, &(struct pcapng_packet){.data = "", .comments = {text, text, text, text}});
	ck_assert_uint_eq(blocks(types, 4), 3);
	ck_assert_uint_lt(size, 8 * PCAPNG_TEXT_MAX);
}
END_TEST

START_TEST(a_full_disk_is_told)
{
	FILE *full = fopen("/dev/full", "w");
	ck_assert_ptr_nonnull(full);
	pcapng_begin(&f, full, NULL);
	ck_assert(!pcapng_flush(&f));
	(void)fclose(full);
}
END_TEST

static Suite *suite(void)
{
	Suite *su = suite_create("pcapng");
	TCase *c = tcase_create("pcapng");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, blocks_are_whole_whatever_their_lengths);
	tcase_add_test(c, a_packet_says_when_where_and_how_long);
	tcase_add_test(c, long_texts_are_cut);
	tcase_add_test(c, a_full_disk_is_told);
	suite_add_tcase(su, c);
	return su;
}

RV_CHECK_MAIN(suite())
