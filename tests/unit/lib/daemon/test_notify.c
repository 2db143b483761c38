/* sd_notify over a socket of our own, path and abstract, and what must not be spoken to. */
#include "lib/daemon/notify.h"
#include "tests/support/check_main.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listener(const char *name, size_t len)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, name, len);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	return fd;
}

static void heard(int fd, const char *want)
{
	char buf[256];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	ck_assert_int_ge(n, 0);
	buf[n] = '\0';
	ck_assert_str_eq(buf, want);
}

START_TEST(nobody_listens)
{
	unsetenv("NOTIFY_SOCKET");
	notify_init();
	ck_assert_int_eq(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "relative/path", 1);
	notify_init();
	ck_assert_int_eq(notify_send("READY=1"), 0);
	char longname[200] = "/";
	memset(longname + 1, 'a', 150);
	setenv("NOTIFY_SOCKET", longname, 1);
	notify_init();
	ck_assert_int_eq(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	notify_init();
	ck_assert_int_eq(notify_send("READY=1"), -ENOENT);
}
END_TEST

START_TEST(path_socket)
{
	char path[64];
	snprintf(path, sizeof(path), "/tmp/rv-notify.%d", (int)getpid());
	unlink(path);
	int fd = listener(path, strlen(path) + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	notify_init();
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_int_eq(notify_send("READY=1\nSTATUS=x"), 1);
	heard(fd, "READY=1\nSTATUS=x");
	close(fd);
	ck_assert_int_eq(notify_send("STOPPING=1"), -ECONNREFUSED);
	unlink(path);
}
END_TEST

START_TEST(abstract_socket)
{
	char name[64];
	int len = snprintf(name, sizeof(name), "@rv-notify.%d", (int)getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	name[0] = '\0';
	int fd = listener(name, (size_t)len);
	notify_init();
	ck_assert_int_eq(notify_send("WATCHDOG=1"), 1);
	heard(fd, "WATCHDOG=1");
	close(fd);
}
END_TEST

START_TEST(watchdog_is_half_and_only_ours)
{
	char pid[16];
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	notify_init();
	ck_assert_uint_eq(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "2000000", 1);
	notify_init();
	ck_assert_uint_eq(notify_watchdog_ms(), 1000);
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
	setenv("WATCHDOG_USEC", "2000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_init();
	ck_assert_uint_eq(notify_watchdog_ms(), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "500000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	notify_init();
	ck_assert_uint_eq(notify_watchdog_ms(), 250);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("notify");
	TCase *c = tcase_create("notify");
	tcase_add_test(c, nobody_listens);
	tcase_add_test(c, path_socket);
	tcase_add_test(c, abstract_socket);
	tcase_add_test(c, watchdog_is_half_and_only_ours);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
