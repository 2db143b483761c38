#include "daemons/defmgrD/store.h"
#include "lib/base/xalloc.h"
#include "tests/support/check_main.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static void setup(void)
{
	memcpy(dir, "/tmp/rv-store-XXXXXX", 21);
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	static const char *const names[] = {"filters.db", "filters.db-wal", "filters.db-shm"};
	char path[128];
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

static struct filter model(uint64_t id)
{
	Defmgr__Filter m = DEFMGR__FILTER__INIT;
	static const struct filter_limits limits = {1440, 0};
	struct filter f;
	char name[33];
	(void)snprintf(name, sizeof(name), "f%llu", (unsigned long long)id);
	m.name = name;
	ck_assert_int_eq(filter_parse(&m, &limits, 1000000, &f, NULL), 0);
	f.id = id;
	return f;
}

static struct store *open_store(void)
{
	struct store *s = NULL;
	struct errbuf e = {""};
	ck_assert_msg(!store_open(dir, &s, &e), "%s", e.text);
	return s;
}

struct seen {
	uint64_t count, last;
};

static void see(void *arg, const struct filter *f)
{
	struct seen *s = arg;
	ck_assert_uint_gt(f->id, s->last);
	s->last = f->id;
	s->count++;
}

static struct seen load(struct store *s, const char *scope)
{
	struct seen seen = {0};
	unsigned bad = 99;
	ck_assert_int_eq(store_load(s, scope, see, &seen, &bad), 0);
	ck_assert_uint_eq(bad, 0);
	return seen;
}

START_TEST(refuses_a_second_owner_and_no_directory)
{
	struct store *s = open_store(), *other = NULL;
	struct errbuf e;
	struct filter f = model(1);
	ck_assert_int_eq(store_begin(s), 0);
	ck_assert_int_eq(store_put(s, "A", &f), 0);
	ck_assert_int_eq(store_commit(s), 0);
	ck_assert_int_ne(store_open(dir, &other, &e), 0);
	ck_assert_ptr_null(other);
	ck_assert_int_ne(store_open("/nowhere/at/all", &other, &e), 0);
	store_close(s);
}
END_TEST

START_TEST(keeps_what_was_committed)
{
	struct store *s = open_store();
	struct filter f = model(1);
	ck_assert_int_eq(store_begin(s), 0);
	ck_assert_int_eq(store_put(s, "A", &f), 0);
	f = model(2);
	ck_assert_int_eq(store_put(s, STORE_GLOBAL, &f), 0);
	ck_assert_int_eq(store_set_known(s, "A", true), 0);
	ck_assert_int_eq(store_commit(s), 0);
	ck_assert_int_eq(store_begin(s), 0);
	f = model(3);
	ck_assert_int_eq(store_put(s, "A", &f), 0);
	store_rollback(s);
	store_close(s);
	s = open_store();
	ck_assert_uint_eq(load(s, "A").count, 1);
	ck_assert_uint_eq(load(s, STORE_GLOBAL).last, 2);
	ck_assert(store_known(s, "A"));
	ck_assert(!store_known(s, "B"));
	ck_assert_uint_eq(store_last_id(s), 2);
	ck_assert_int_eq(store_purge(s, 1000000 + 30 * 60000000ull - 1), 0);
	ck_assert_uint_eq(load(s, "A").count, 1);
	ck_assert_int_eq(store_purge(s, 1000000 + 30 * 60000000ull), 0);
	ck_assert_uint_eq(load(s, "A").count, 0);
	store_close(s);
}
END_TEST

/* Commits ids from @first on for ever, telling each one after its commit. */
static void writer(int fd, uint64_t first)
{
	struct store *s = NULL;
	if (store_open(dir, &s, NULL))
		_exit(1);
	for (uint64_t id = first;; id += 2) {
		struct filter a = model(id), b = model(id + 1);
		if (store_begin(s) || store_put(s, "A", &a) || store_put(s, "A", &b) || store_commit(s) ||
			write(fd, &id, sizeof(id)) != (ssize_t)sizeof(id))
			_exit(2);
	}
}

/* kill -9 at random moments: all that was acknowledged is there, and no half transaction. */
START_TEST(survives_kill_9)
{
	uint64_t acknowledged = 0;
	for (unsigned round = 0; round < 12; round++) {
		int fds[2];
		ck_assert_int_eq(pipe(fds), 0);
		pid_t pid = fork();
		ck_assert_int_ge(pid, 0);
		if (!pid)
			writer(fds[1], acknowledged + 1);
		(void)close(fds[1]);
		uint64_t id = 0;
		if (read(fds[0], &id, sizeof(id)) == (ssize_t)sizeof(id))
			(void)usleep(2000 + round * 700);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		uint64_t last = id;
		while (read(fds[0], &id, sizeof(id)) == (ssize_t)sizeof(id))
			last = id;
		(void)close(fds[0]);
		(void)waitpid(pid, NULL, 0);
		struct store *s = open_store();
		struct seen seen = load(s, "A");
		ck_assert_uint_gt(last, 0);
		ck_assert_uint_ge(seen.last, last + 1);
		ck_assert_uint_eq(seen.last % 2, 0);
		ck_assert_uint_eq(seen.count, seen.last);
		acknowledged = seen.last;
		store_close(s);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("store");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, refuses_a_second_owner_and_no_directory);
	tcase_add_test(t, keeps_what_was_committed);
	tcase_add_test(t, survives_kill_9);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
