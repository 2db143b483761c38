/* A snapshot that is short or changed anywhere is refused whole, at open and at reload. */
#include "tests/unit/lib/saf/fixture.h"
#include <fcntl.h>
#include <sys/stat.h>

static char file[128];
static uint8_t *good;
static size_t size;

static void fill(void)
{
	FILE *f;
	setup();
	racf_ok("ADDUSER BOB DFLTGRP(SYS1) OMVS(UID(1001))");
	racf_ok("RDEFINE SERVAUTH EZB.** UACC(READ)");
	racf_ok("RDEFINE SERVAUTH EZB.A.B UACC(NONE)");
	racf_ok("PERMIT EZB.A.B CLASS(SERVAUTH) ID(BOB) ACCESS(READ)");
	publish();
	(void)snprintf(file, sizeof(file), "%s/snapshot", saf_dir);
	f = fopen(file, "re");
	ck_assert_ptr_nonnull(f);
	good = malloc(1 << 20);
	size = fread(good, 1, 1 << 20, f);
	(void)fclose(f);
	ck_assert_uint_gt(size, 500);
}

static void drain(void)
{
	free(good);
	teardown();
}

/* As the writer does: a new file in the place of the old one. */
static void put(const uint8_t *data, size_t len)
{
	ck_assert_int_eq(unlink(file), 0);
	FILE *f = fopen(file, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

static int opens(void)
{
	struct saf *s = NULL;
	int rc = saf_open(saf_dir, &s, NULL);
	saf_close(s);
	return rc;
}

static void bump(void)
{
	char path[128];
	uint64_t g;
	(void)snprintf(path, sizeof(path), "%s/generation", saf_dir);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &g, sizeof(g), 0), sizeof(g));
	g++;
	ck_assert_int_eq(pwrite(fd, &g, sizeof(g), 0), sizeof(g));
	(void)close(fd);
}

START_TEST(truncated_anywhere)
{
	for (size_t len = 0; len < size; len += len < 400 || size - len < 64 ? 1 : 13) {
		put(good, len);
		ck_assert_msg(opens() < 0, "opened with %zu of %zu bytes", len, size);
	}
	good[size] = 0;
	put(good, size + 1);
	ck_assert_int_lt(opens(), 0);
	put(good, size);
	ck_assert_int_eq(opens(), 0);
}
END_TEST

START_TEST(changed_anywhere)
{
	for (size_t at = 0; at < size; at += at < 400 ? 1 : 7) {
		good[at] ^= 0x40;
		put(good, size);
		ck_assert_msg(opens() < 0, "opened with byte %zu changed", at);
		good[at] ^= 0x40;
	}
	put(good, size);
	ck_assert_int_eq(opens(), 0);
}
END_TEST

START_TEST(a_reader_refuses_until_a_good_one_comes)
{
	ck_assert_int_eq(may("BOB", "EZB.A.B", SAF_READ), SAF_ALLOWED);
	put(good, size / 2);
	bump();
	ck_assert_int_eq(may("BOB", "EZB.A.B", SAF_READ), SAF_REFUSED);
	ck_assert_int_eq(may("BOB", "EZB.OTHER", SAF_READ), SAF_REFUSED);
	ck_assert_int_eq(may("BOB", "NOT.COVERED", SAF_READ), SAF_REFUSED);
	ck_assert_int_eq(unlink(file), 0);
	bump();
	ck_assert_int_eq(may("BOB", "EZB.A.B", SAF_READ), SAF_REFUSED);
	racf_ok("ALTUSER BOB NAME('BOB')");
	publish();
	ck_assert_int_eq(may("BOB", "EZB.A.B", SAF_READ), SAF_ALLOWED);
}
END_TEST

START_TEST(the_writer_mends_what_it_finds_damaged)
{
	struct errbuf e;
	registry_close(reg);
	put(good, size - 1);
	ck_assert_int_eq(registry_open(saf_dir, false, &reg, &e), 0);
	ck_assert_int_eq(opens(), 0);
	ck_assert_int_eq(may("BOB", "EZB.A.B", SAF_READ), SAF_ALLOWED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("damage");
	TCase *t = tcase_create("snapshot");
	tcase_add_checked_fixture(t, fill, drain);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, truncated_anywhere);
	tcase_add_test(t, changed_anywhere);
	tcase_add_test(t, a_reader_refuses_until_a_good_one_comes);
	tcase_add_test(t, the_writer_mends_what_it_finds_damaged);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
