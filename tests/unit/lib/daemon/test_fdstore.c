/* Descriptors over a run: what was passed is found by name, once; what nobody took is closed and forgotten; keeping sends it. */
#include "lib/daemon/fdstore.h"
#include "lib/daemon/notify.h"
#include "tests/support/check_main.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char path[64];
static int manager;

static void listen_to(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(path, sizeof(path), "/tmp/rv-fdstore.%d", (int)getpid());
	unlink(path);
	strcpy(a.sun_path, path);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&a, sizeof(a)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	notify_init();
}

static void deaf(void)
{
	close(manager);
	unlink(path);
}

/* The next message; its descriptor or -1. */
static int next(char *text, size_t size)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {text, size - 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(manager, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = -1;
	if (c)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void pass(const char *names, int n)
{
	char number[16];
	for (int i = 0; i < n; i++) {
		int fd = open("/dev/null", O_RDONLY);
		ck_assert_int_ge(fd, 0);
		if (fd != 3 + i) {
			ck_assert_int_eq(dup2(fd, 3 + i), 3 + i);
			close(fd);
		}
	}
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof(number), "%d", n);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

START_TEST(found_by_name_once)
{
	pass("a:bb:a.0-1", 3);
	fdstore_init();
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
	ck_assert_int_eq(fdstore_take("b"), -1);
	ck_assert_int_eq(fdstore_take("bb"), 4);
	ck_assert_int_eq(fdstore_take("bb"), -1);
	ck_assert_int_eq(fcntl(4, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fdstore_take("a.0-1"), 5);
	ck_assert_int_eq(fcntl(3, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(fdstore_drop(), 1);
	ck_assert_int_eq(fcntl(3, F_GETFD), -1);
	ck_assert_int_ge(fcntl(4, F_GETFD), 0);
	ck_assert_uint_eq(fdstore_drop(), 0);
}
END_TEST

START_TEST(not_for_us)
{
	pass("a", 1);
	setenv("LISTEN_PID", "1", 1);
	fdstore_init();
	ck_assert_int_eq(fdstore_take("a"), -1);
	ck_assert_ptr_null(getenv("LISTEN_PID"));
	pass("a", 1);
	unsetenv("LISTEN_FDNAMES");
	fdstore_init();
	ck_assert_int_eq(fdstore_take(""), -1);
	pass("a", 1);
	setenv("LISTEN_FDS", "x1", 1);
	fdstore_init();
	ck_assert_int_eq(fdstore_take("a"), -1);
}
END_TEST

START_TEST(fewer_than_said)
{
	char longname[400];
	memset(longname, 'n', sizeof(longname));
	longname[399] = '\0';
	pass(longname, 1);
	close(4);
	setenv("LISTEN_FDS", "2", 1); /* 4 is not open, and has no name */
	fdstore_init();
	ck_assert_int_eq(fdstore_take(""), -1);
	ck_assert_int_eq(fcntl(3, F_GETFD), -1); /* a name that is too long is nobody's */
	ck_assert_uint_eq(fdstore_drop(), 0);
}
END_TEST

START_TEST(kept)
{
	char text[512];
	ck_assert_int_eq(fdstore_keep("a:b", 0), -EINVAL);
	ck_assert_int_eq(fdstore_keep("a\nREADY=1", 0), -EINVAL);
	unsetenv("NOTIFY_SOCKET");
	notify_init();
	ck_assert_int_eq(fdstore_keep("a", 0), 0);
	listen_to();
	int mine[2];
	ck_assert_int_eq(pipe(mine), 0);
	ck_assert_int_eq(fdstore_keep("q.1", mine[1]), 1);
	ck_assert_int_eq(next(text, sizeof(text)), -1);
	ck_assert_str_eq(text, "FDSTOREREMOVE=1\nFDNAME=q.1");
	int got = next(text, sizeof(text));
	ck_assert_str_eq(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=q.1");
	ck_assert_int_ge(got, 0);
	ck_assert_int_eq(write(got, "x", 1), 1);
	ck_assert_int_eq(read(mine[0], text, 1), 1);
	deaf();
}
END_TEST

START_TEST(barrier)
{
	char text[64];
	listen_to();
	ck_assert_int_eq(notify_barrier(20), -ETIMEDOUT);
	close(next(text, sizeof(text)));
	ck_assert_str_eq(text, "BARRIER=1");
	deaf();
	ck_assert_int_lt(notify_barrier(20), 0);
	unsetenv("NOTIFY_SOCKET");
	notify_init();
	ck_assert_int_eq(notify_barrier(20), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fdstore");
	TCase *t = tcase_create("fdstore");
	tcase_add_test(t, found_by_name_once);
	tcase_add_test(t, not_for_us);
	tcase_add_test(t, fewer_than_said);
	tcase_add_test(t, kept);
	tcase_add_test(t, barrier);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
