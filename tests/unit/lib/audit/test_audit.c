#include "lib/audit/audit.h"
#include "tests/support/check_main.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128], head[160];

static void setup(void)
{
	/* In memory: files cut and written a thousand times over would be flushed each time on ext4. */
	strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/rv-audit-XXXXXX" : "/tmp/rv-audit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/x.audit", dir);
	(void)snprintf(head, sizeof(head), "%s.head", path);
}

static void teardown(void)
{
	(void)unlink(path);
	(void)unlink(head);
	(void)rmdir(dir);
}

static struct audit *opened(void)
{
	struct audit *a = NULL;
	ck_assert_int_eq(audit_open(path, "testD", &a), 0);
	return a;
}

static void write_records(struct audit *a, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct json *j = audit_begin(a, AUDIT_RACF, 2, 1);
		json_kv_str(j, "user", "BOB");
		json_kv_u64(j, "i", i);
		ck_assert_int_eq(audit_commit(a), 0);
	}
}

static void make(unsigned n)
{
	struct audit *a = opened();
	write_records(a, n);
	audit_close(a);
}

static size_t load(char *buf, size_t cap)
{
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	size_t n = fread(buf, 1, cap - 1, f);
	(void)fclose(f);
	buf[n] = 0;
	return n;
}

static void store(const char *buf, size_t n)
{
	FILE *f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(buf, 1, n, f), n);
	(void)fclose(f);
}

static int verdict(uint64_t *ret_line, uint64_t *ret_seq)
{
	return audit_verify(path, ret_line, ret_seq);
}

static int verdict_only(void)
{
	uint64_t line, seq;
	return verdict(&line, &seq);
}

static char buf[65536];

START_TEST(missing_file_is_an_error)
{
	ck_assert_int_eq(verdict_only(), -ENOENT);
	struct audit *a;
	ck_assert_int_eq(audit_open("/nonexistent/x.audit", "testD", &a), -ENOENT);
}
END_TEST

START_TEST(every_changed_byte_is_found)
{
	make(3);
	size_t n = load(buf, sizeof(buf));
	for (size_t i = 0; i < n; i++) {
		buf[i] ^= 1;
		store(buf, n);
		ck_assert_int_ne(verdict_only(), AUDIT_OK);
		buf[i] ^= 1;
	}
	store(buf, n);
	ck_assert_int_eq(verdict_only(), AUDIT_OK);
}
END_TEST

START_TEST(cut_at_every_byte_is_found)
{
	make(3);
	size_t n = load(buf, sizeof(buf));
	for (size_t i = 0; i < n; i++) {
		store(buf, i);
		ck_assert_int_eq(verdict_only(), AUDIT_TRUNCATED);
	}
}
END_TEST

START_TEST(removed_line_is_a_gap_at_its_place)
{
	make(5);
	size_t n = load(buf, sizeof(buf));
	char *second = strchr(buf, '\n') + 1, *third = strchr(second, '\n') + 1;
	memmove(second, third, n - (size_t)(third - buf));
	store(buf, n - (size_t)(third - second));
	uint64_t line, seq;
	ck_assert_int_eq(verdict(&line, &seq), AUDIT_GAP);
	ck_assert_uint_eq(line, 2);
	ck_assert_uint_eq(seq, 3);
}
END_TEST

START_TEST(edited_line_is_named)
{
	make(5);
	size_t n = load(buf, sizeof(buf));
	char *bob = strstr(strchr(buf, '\n'), "BOB");
	memcpy(bob, "EVE", 3);
	store(buf, n);
	uint64_t line, seq;
	ck_assert_int_eq(verdict(&line, &seq), AUDIT_EDITED);
	ck_assert_uint_eq(line, 2);
	ck_assert_uint_eq(seq, 2);
}
END_TEST

START_TEST(missing_head_is_found)
{
	make(2);
	ck_assert_int_eq(unlink(head), 0);
	ck_assert_int_eq(verdict_only(), AUDIT_TRUNCATED);
}
END_TEST

START_TEST(head_one_behind_is_a_crash_not_an_edit)
{
	char old[256];
	make(2);
	FILE *f = fopen(head, "re");
	size_t n = fread(old, 1, sizeof(old), f);
	(void)fclose(f);
	make(1);
	f = fopen(head, "we");
	ck_assert_uint_eq(fwrite(old, 1, n, f), n);
	(void)fclose(f);
	ck_assert_int_eq(verdict_only(), AUDIT_OK);
	make(1);
	uint64_t line, seq;
	ck_assert_int_eq(verdict(&line, &seq), AUDIT_OK);
	ck_assert_uint_eq(seq, 4);
}
END_TEST

START_TEST(chain_is_resumed_and_written_once_only)
{
	struct audit *a = opened(), *b = NULL;
	write_records(a, 2);
	ck_assert_int_eq(audit_open(path, "testD", &b), -EBUSY);
	audit_close(a);
	a = opened();
	ck_assert_uint_eq(audit_seq(a), 2);
	write_records(a, 2);
	audit_close(a);
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	uint64_t line, seq;
	ck_assert_int_eq(verdict(&line, &seq), AUDIT_OK);
	ck_assert_uint_eq(line, 4);
	ck_assert_uint_eq(seq, 4);
}
END_TEST

START_TEST(torn_last_line_is_set_aside)
{
	make(2);
	size_t n = load(buf, sizeof(buf));
	memcpy(buf + n, "{\"seq\":3,\"ti", 12);
	store(buf, n + 12);
	ck_assert_int_eq(verdict_only(), AUDIT_TRUNCATED);
	make(1);
	uint64_t line, seq;
	ck_assert_int_eq(verdict(&line, &seq), AUDIT_OK);
	ck_assert_uint_eq(seq, 4);
	(void)load(buf, sizeof(buf));
	ck_assert_ptr_nonnull(strstr(buf, "\"found\":\"torn\""));
	ck_assert_ptr_nonnull(strstr(buf, "\"torn\":\"{\\\"seq\\\":3,\\\"ti\""));
}
END_TEST

START_TEST(truncation_stays_visible_after_resume)
{
	make(4);
	(void)load(buf, sizeof(buf));
	char *third = strchr(strchr(buf, '\n') + 1, '\n') + 1;
	store(buf, (size_t)(third - buf));
	make(1);
	uint64_t line, seq;
	ck_assert_int_eq(verdict(&line, &seq), AUDIT_GAP);
	ck_assert_uint_eq(line, 3);
	ck_assert_uint_eq(seq, 5);
	(void)load(buf, sizeof(buf));
	ck_assert_ptr_nonnull(strstr(buf, "\"found\":\"truncated\""));
}
END_TEST

static int failure_calls, failure_err;
static void on_failure(void *arg, int err)
{
	(void)arg;
	failure_calls++;
	failure_err = err;
}

/* RLIMIT_FSIZE stops a write in its middle as a full disk does. */
START_TEST(full_disk_is_reported_once_and_survived)
{
	struct rlimit old, small;
	struct audit *a = opened();
	audit_on_failure(a, on_failure, NULL);
	write_records(a, 2);
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 900; /* the third record fits in part only */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	int failed = 0;
	for (int i = 0; i < 5; i++) {
		struct json *j = audit_begin(a, AUDIT_RACF, 2, 1);
		json_kv_str(j, "user", "MALLORY");
		failed += audit_commit(a) < 0;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ck_assert_int_gt(failed, 2);
	ck_assert_uint_eq(audit_lost(a), (uint64_t)failed);
	ck_assert_int_eq(failure_calls, 1);
	ck_assert_int_eq(failure_err, ENOSPC);
	write_records(a, 2);
	ck_assert_int_eq(failure_calls, 2);
	ck_assert_int_eq(failure_err, 0);
	audit_close(a);
	ck_assert_int_eq(verdict_only(), AUDIT_OK);
	size_t n = load(buf, sizeof(buf));
	ck_assert_uint_gt(n, 900);
	char want[32];
	(void)snprintf(want, sizeof(want), "\"lost\":%d,", failed);
	char *lost = strstr(buf, want);
	ck_assert_ptr_nonnull(lost);
	ck_assert_ptr_null(strstr(lost + 1, "\"lost\""));
}
END_TEST

START_TEST(link_in_place_of_the_file_is_refused)
{
	struct audit *a = NULL;
	(void)unlink(path);
	ck_assert_int_eq(symlink("/dev/full", path), 0);
	ck_assert_int_eq(audit_open(path, "testD", &a), -ELOOP);
}
END_TEST

START_TEST(without_a_file_records_are_only_formatted)
{
	struct json *j = audit_begin(NULL, AUDIT_TCPIP, 1, 0);
	json_kv_str(j, "k", "v\n\xff");
	ck_assert_int_eq(audit_commit(NULL), 0);
	ck_assert_ptr_nonnull(strstr(j->buf, "\"k\":\"v\\u000a\\ufffd\"}"));
	ck_assert_uint_eq(audit_lost(NULL), 0);
	audit_close(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("audit");
	TCase *t = tcase_create("audit");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, missing_file_is_an_error);
	tcase_add_test(t, every_changed_byte_is_found);
	tcase_add_test(t, cut_at_every_byte_is_found);
	tcase_add_test(t, removed_line_is_a_gap_at_its_place);
	tcase_add_test(t, edited_line_is_named);
	tcase_add_test(t, missing_head_is_found);
	tcase_add_test(t, head_one_behind_is_a_crash_not_an_edit);
	tcase_add_test(t, chain_is_resumed_and_written_once_only);
	tcase_add_test(t, torn_last_line_is_set_aside);
	tcase_add_test(t, truncation_stays_visible_after_resume);
	tcase_add_test(t, full_disk_is_reported_once_and_survived);
	tcase_add_test(t, link_in_place_of_the_file_is_refused);
	tcase_add_test(t, without_a_file_records_are_only_formatted);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
