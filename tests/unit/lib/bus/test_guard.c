/* A stranger against a server that is busy with something else: what whole requests and connections may cost it. */
#include "lib/bus/guard.h"
#include "tests/unit/lib/bus/fixture.h"
#include "tests/unit/lib/bus/raw.h"
#include <sys/resource.h>

enum { MIB = 1 << 20, TRIES = 100 };

static void setup(void)
{
	(void)signal(SIGPIPE, SIG_IGN); /* writes to connections that are refused */
	bus_setup();
}

static struct loop *loop;
static struct bus_client *busy;

static void keep_busy(void)
{
	loop = loop_new();
	busy = server_occupy(loop);
}

static void let_go(void)
{
	server_release();
	bus_client_free(busy);
	loop_free(loop);
}

/* --- requests that wait --- */

/* One whole request of 1 MiB, that nobody is authorised for. */
static bool send_large(int fd)
{
	enum { HEAD = 24 };
	static uint8_t r[HEAD + MIB] = "\1\12defmgr.Add\1\1X\2";
	for (unsigned i = 0; i < 8; i++)
		r[HEAD - 8 + i] = (uint8_t)((uint64_t)MIB >> (56 - 8 * i));
	for (size_t n = 0; n < sizeof(r);) {
		ssize_t w = send(fd, r + n, sizeof(r) - n, MSG_NOSIGNAL);
		if (w <= 0)
			return false;
		n += (size_t)w;
	}
	return true;
}

/* As many connections as one gets, and requests on each until it is ended or nothing more is taken. */
static unsigned requests_taken(unsigned *ret_connections)
{
	struct timeval patience = {0, 300000};
	unsigned taken = 0, connections = 0;
	for (unsigned i = 0; i < TRIES; i++) {
		int fd = raw_connect("");
		if (fd < 0)
			continue;
		connections++;
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		for (unsigned k = 0; k < 1000 && send_large(fd); k++)
			taken++;
	}
	*ret_connections = connections;
	return taken;
}

static bool flood(void)
{
	unsigned connections, taken = requests_taken(&connections);
	/* Connections that were ended give way to others: it is what waits that is limited. */
	if (connections > 1 && taken >= 48 && taken < 80)
		return true;
	(void)fprintf(stderr, "%u requests were taken on %u connections\n", taken, connections);
	return false;
}

static bool is_answered(void)
{
	struct errbuf e = {""};
	return call_add(NULL, &e) == BUS_NOT_AUTHORIZED;
}

START_TEST(requests_that_wait_are_limited)
{
	struct errbuf e = {""};
	server_start();
	ck_assert_int_eq(call_add(NULL, &e), BUS_OK);
	size_t before = server_resident();
	keep_busy();
	ck_assert(as_uid(OTHER, flood));
	size_t grown = server_resident() - before;
	ck_assert_msg(grown > 40 * (size_t)MIB && grown < 100 * (size_t)MIB, "%zu MiB", grown / MIB);
	let_go();
	ck_assert_int_eq(call_add(NULL, &e), BUS_OK);
	ck_assert_uint_gt(counter("overfull"), 0);
	ck_assert(as_uid(OTHER, is_answered)); /* nothing is held against him for ever */
}
END_TEST

static bool flood_one(void)
{
	int fd = raw_connect("");
	unsigned taken = 0;
	while (taken < 100 && send_large(fd))
		taken++;
	return taken >= 14 && taken < 20;
}

START_TEST(one_connection_has_its_own_limit)
{
	server_start();
	keep_busy();
	ck_assert(as_uid(OTHER, flood_one));
	ck_assert(flood_one()); /* and root's is the same */
	let_go();
	ck_assert_uint_eq(counter("overfull"), 2);
}
END_TEST

/* Three times what may wait, but never at once: taken requests are not held, whether their sender stays or not. */
static bool one_after_the_other(void)
{
	for (unsigned i = 0; i < 200; i++) {
		int fd = raw_connect("");
		uint8_t b[2];
		if (fd < 0 || !send_large(fd) || (i % 2 && !read_all(fd, b, sizeof(b))))
			return false;
		(void)close(fd);
		if (i % 16 == 15)
			(void)counter("overfull"); /* waits for the server */
	}
	return true;
}

START_TEST(what_was_taken_is_not_held)
{
	server_start();
	ck_assert(as_uid(OTHER, one_after_the_other));
	ck_assert_uint_eq(counter("overfull"), 0);
	ck_assert(as_uid(OTHER, is_answered));
}
END_TEST

/* --- connections --- */

static bool crowd(void)
{
	unsigned n = 0;
	for (unsigned i = 0; i < TRIES; i++)
		n += raw_connect("") >= 0;
	return n == BUS_CONNECTIONS_UID_MAX;
}

static bool crowd_and_wait(void)
{
	if (!crowd())
		return false;
	(void)usleep(500000);
	return true;
}

START_TEST(connections_of_a_user_are_limited)
{
	server_start();
	ck_assert(as_uid(OTHER, crowd_and_wait));
	ck_assert_uint_eq(counter("crowded"), TRIES - BUS_CONNECTIONS_UID_MAX);
	ck_assert(as_uid(OTHER, is_answered)); /* they are gone, and so is what they counted */
	for (unsigned i = 0; i < TRIES; i++)
		ck_assert_int_ge(raw_connect(""), 0); /* root */
}
END_TEST

static bool crowd_of_two(void)
{
	return as_uid(OTHER - 1, crowd);
}

START_TEST(another_user_is_not_kept_out)
{
	server_start();
	pid_t pid = fork();
	if (!pid) {
		ck_assert_int_eq(setresuid(OTHER, OTHER, OTHER), 0);
		(void)crowd();
		(void)pause();
	}
	for (unsigned i = 0; i < 200 && counter("crowded") < TRIES - BUS_CONNECTIONS_UID_MAX; i++)
		(void)usleep(20000);
	ck_assert(crowd_of_two());
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}
END_TEST

/* libzmq's own accept aborts the process at EMFILE. */
START_TEST(no_descriptor_left_is_survived)
{
	struct rlimit few = {40, 40};
	int fds[TRIES];
	struct errbuf e;
	server_start();
	ck_assert_int_eq(call_add(NULL, &e), BUS_OK);
	ck_assert_int_eq(prlimit(server_pid, RLIMIT_NOFILE, &few, NULL), 0);
	unsigned refused = 0;
	for (unsigned i = 0; i < TRIES; i++) {
		fds[i] = raw_connect("");
		refused += fds[i] < 0;
	}
	ck_assert_uint_gt(refused, 50);
	for (unsigned i = 0; i < TRIES; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	(void)usleep(200000);
	ck_assert_int_eq(call_add(NULL, &e), BUS_OK);
	ck_assert_uint_ge(counter("crowded"), refused);
}
END_TEST

/* --- other descriptors of the process --- */

/* A number that was a guarded socket's stands for something else after close(2). */
START_TEST(other_sockets_are_left_alone)
{
	static const struct gate_limits one = {1, 1, 1, 1};
	struct gate *g = gate_new(&one);
	int pair[2], fd = socket(AF_UNIX, SOCK_STREAM, 0);
	uint8_t b[4] = {0};
	ck_assert_int_ge(fd, 0);
	guard_listener(fd, g);
	guard_gate_free(g);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(fd), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(pair[0], fd);
	ck_assert_int_eq(write(pair[1], "abcd", 4), 4);
	ck_assert_int_eq(recv(pair[0], b, 4, 0), 4); /* no greeting of ZMTP, and nobody minds */
	ck_assert_int_eq(memcmp(b, "abcd", 4), 0);
	(void)close(pair[0]);
	(void)close(pair[1]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus guard");
	TCase *t = tcase_create("guard");
	tcase_add_checked_fixture(t, setup, bus_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, requests_that_wait_are_limited);
	tcase_add_test(t, one_connection_has_its_own_limit);
	tcase_add_test(t, what_was_taken_is_not_held);
	tcase_add_test(t, connections_of_a_user_are_limited);
	tcase_add_test(t, another_user_is_not_kept_out);
	tcase_add_test(t, no_descriptor_left_is_survived);
	tcase_add_test(t, other_sockets_are_left_alone);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
