#include "daemons/rpcbindD/store.h"
#include "tests/support/check_main.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[96];

static void make_dir(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/rv-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/registry.db", dir);
}

static void drop_dir(void)
{
	static const char *const names[] = {"", "-wal", "-shm", "-journal"};
	char text[128];
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(text, sizeof(text), "%s%s", path, names[i]);
		(void)unlink(text);
	}
	(void)rmdir(dir);
}

static struct store *open_store(void)
{
	struct store *s = NULL;
	struct errbuf e = {""};
	ck_assert_msg(store_open(path, &s, &e) == 0, "%s", e.text);
	return s;
}

static struct registration entry(uint32_t prog)
{
	struct registration e = {.prog = prog, .vers = prog ^ 0xffffffff, .netid = (enum netid)(prog % NETID_COUNT), .owner = prog + 7};
	(void)snprintf(e.uaddr, sizeof(e.uaddr), "/run/it's %u", prog);
	return e;
}

struct seen {
	unsigned n, wrong;
	bool progs[200];
};

static void see(void *arg, uint32_t prog, uint32_t vers, enum netid n, const char *uaddr, uid_t owner)
{
	struct seen *s = arg;
	struct registration e = entry(prog);
	s->n++;
	s->wrong += prog >= 200 || vers != e.vers || n != e.netid || strcmp(uaddr, e.uaddr) != 0 || owner != e.owner;
	if (prog < 200)
		s->progs[prog] = true;
}

static struct seen load(struct store *s)
{
	struct seen seen = {0};
	ck_assert_int_eq(store_load(s, see, &seen), 0);
	ck_assert_uint_eq(seen.wrong, 0);
	return seen;
}

START_TEST(a_place_that_is_none)
{
	struct store *s = NULL;
	struct errbuf e = {""};
	ck_assert_int_ne(store_open("/tmp/rv-no-such-dir/registry.db", &s, &e), 0);
	ck_assert_ptr_null(s);
	ck_assert_ptr_nonnull(strstr(e.text, "/tmp/rv-no-such-dir/registry.db"));
	store_close(NULL);
}
END_TEST

START_TEST(put_and_delete)
{
	struct registration a = entry(1), b = entry(2);
	struct store *s = open_store();
	ck_assert_uint_eq(load(s).n, 0);
	ck_assert_int_eq(store_put(s, &a), 0);
	ck_assert_int_eq(store_put(s, &b), 0);
	ck_assert_int_eq(store_put(s, &b), 0);
	ck_assert_int_eq(store_delete(s, &a), 0);
	ck_assert_int_eq(store_delete(s, &a), 0);
	store_close(s);
	s = open_store();
	struct seen seen = load(s);
	ck_assert(seen.n == 1 && seen.progs[2]);
	ck_assert_int_eq(store_clear(s), 0);
	ck_assert_uint_eq(load(s).n, 0);
	store_close(s);
}
END_TEST

/* Killed at once after each acknowledgement: everything acknowledged is there. */
START_TEST(killed)
{
	for (uint32_t upto = 1; upto < 200; upto += 33) {
		int pipes[2];
		char c;
		ck_assert_int_eq(pipe(pipes), 0);
		pid_t pid = fork();
		if (!pid) {
			struct store *s = open_store();
			for (uint32_t i = 0; i < 200; i++) {
				struct registration e = entry(i);
				if (store_put(s, &e) || write(pipes[1], "x", 1) != 1)
					_exit(1);
			}
			(void)pause();
			_exit(1);
		}
		for (uint32_t i = 0; i < upto; i++)
			ck_assert_int_eq(read(pipes[0], &c, 1), 1);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		(void)close(pipes[0]);
		(void)close(pipes[1]);
		struct store *s = open_store();
		struct seen seen = load(s);
		for (uint32_t i = 0; i < upto; i++)
			ck_assert_msg(seen.progs[i], "%u of %u is lost", i, upto);
		ck_assert_int_eq(store_clear(s), 0);
		store_close(s);
	}
}
END_TEST

/* Another boot, or a file that is no database: nothing is believed, and the daemon starts. */
START_TEST(damaged)
{
	struct registration a = entry(1);
	struct store *s = open_store();
	ck_assert_int_eq(store_put(s, &a), 0);
	store_close(s);
	int fd = open(path, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq((int)write(fd, "this is no database at all, and never was one", 45), 45);
	(void)close(fd);
	s = open_store();
	ck_assert_uint_eq(load(s).n, 0);
	ck_assert_int_eq(store_put(s, &a), 0);
	store_close(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("store");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, make_dir, drop_dir);
	tcase_add_test(t, a_place_that_is_none);
	tcase_add_test(t, put_and_delete);
	tcase_add_test(t, killed);
	tcase_add_test(t, damaged);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
