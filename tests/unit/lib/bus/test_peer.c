#include "lib/bus/peer.h"
#include "tests/support/check_main.h"
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(what_is_not_three_numbers_is_refused)
{
	static const char *const bad[] = {"", ":", "::", ":::", "127.0.0.1", "::1", "localhost", "localhost:0:0", ":0:0", "0:0:1",
		"localhost:0:0:", "localhost::0:1", "localhost:0:0:x", "localhost:-1:0:1", "localhost:0:0:1 ",
		"localhost:4294967296:0:1", "localhost:4294967295:0:1", "localhost:00000000000:0:1", "localhost:0:0:99999999999",
		"localhost:0:0:4294967295", "localhost: 0:0:1"};
	struct peer p = {7, 7, 7};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_lt(peer_parse(bad[i], &p), 0);
		ck_assert_uint_eq(p.uid, 7);
	}
	ck_assert_int_lt(peer_parse(NULL, &p), 0);
}
END_TEST

START_TEST(last_three_fields_count)
{
	static const char *const good[] = {"localhost:33:44:55", ":33:44:55", "0:0:1:33:44:55", "a host:1:33:44:55"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct peer p;
		ck_assert_int_eq(peer_parse(good[i], &p), 0);
		ck_assert_uint_eq(p.uid, 33);
		ck_assert_uint_eq(p.gid, 44);
		ck_assert_int_eq(p.pid, 55);
	}
}
END_TEST

/* What libzmq's Peer-Address looks like is not in its manual: this pins it, for ipc and for tcp, on both sides. */
static void exchange(const char *address, uid_t uid, char out[128], struct peer *ret, int *ret_parsed, pid_t *ret_pid)
{
	char end[256];
	size_t len = sizeof(end);
	void *ctx = zmq_ctx_new(), *s = zmq_socket(ctx, ZMQ_ROUTER);
	ck_assert_int_eq(zmq_bind(s, address), 0);
	ck_assert_int_eq(zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, end, &len), 0);
	if (!strncmp(end, "ipc://", 6))
		ck_assert_int_eq(chmod(end + 6, 0666), 0);
	pid_t pid = fork();
	if (!pid) {
		if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
			_exit(1);
		void *c2 = zmq_ctx_new(), *d = zmq_socket(c2, ZMQ_DEALER);
		zmq_connect(d, end);
		zmq_send(d, "x", 1, 0);
		zmq_close(d);
		zmq_ctx_term(c2);
		_exit(0);
	}
	zmq_msg_t id, m;
	zmq_msg_init(&id);
	zmq_msg_init(&m);
	ck_assert_int_ge(zmq_msg_recv(&id, s, 0), 0);
	ck_assert_int_ge(zmq_msg_recv(&m, s, 0), 0);
	(void)snprintf(out, 128, "%s", zmq_msg_gets(&m, "Peer-Address"));
	*ret_parsed = peer_of(&m, ret);
	*ret_pid = pid;
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	zmq_msg_close(&id);
	zmq_msg_close(&m);
	zmq_close(s);
	zmq_ctx_term(ctx);
}

START_TEST(peer_address_of_ipc_is_host_uid_gid_pid)
{
	char dir[] = "/tmp/rv-peer-XXXXXX", address[64], text[128], want[128];
	struct peer p;
	int parsed;
	pid_t pid;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)chmod(dir, 0755);
	(void)snprintf(address, sizeof(address), "ipc://%s/s", dir);
	exchange(address, 65534, text, &p, &parsed, &pid);
	(void)snprintf(want, sizeof(want), ":65534:65534:%d", pid);
	ck_assert_uint_gt(strlen(text), strlen(want) - 1);
	ck_assert_str_eq(text + strlen(text) - strlen(want), want);
	ck_assert_int_eq(parsed, 0);
	ck_assert_uint_eq(p.uid, 65534);
	ck_assert_int_eq(p.pid, pid);
	(void)rmdir(dir);
}
END_TEST

START_TEST(peer_address_of_tcp_names_nobody)
{
	char text[128];
	struct peer p;
	int parsed;
	pid_t pid;
	exchange("tcp://127.0.0.1:*", 0, text, &p, &parsed, &pid);
	ck_assert_str_eq(text, "127.0.0.1");
	ck_assert_int_lt(parsed, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus peer");
	TCase *t = tcase_create("peer");
	tcase_add_test(t, what_is_not_three_numbers_is_refused);
	tcase_add_test(t, last_three_fields_count);
	tcase_add_test(t, peer_address_of_ipc_is_host_uid_gid_pid);
	tcase_add_test(t, peer_address_of_tcp_names_nobody);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
