/* The calling side, run directories, and the start of a server. */
#include "lib/bus/endpoint.h"
#include "tests/unit/lib/bus/fixture.h"
#include <fcntl.h>
#include <sys/file.h>

static struct errbuf e;

static enum bus_code call_update(unsigned ms)
{
	Defmgr__UpdateRequest r = DEFMGR__UPDATE_REQUEST__INIT;
	return call_text("defmgr.Update", &r.base, &defmgr__change_reply__descriptor, ms, NULL, &e);
}

START_TEST(dead_daemon_ends_a_call_at_its_deadline)
{
	uint64_t start = loop_now_ms();
	ck_assert_int_eq(call_update(200), BUS_UNAVAILABLE);
	ck_assert_str_eq(e.text, "testD is not running");
	ck_assert_uint_ge(loop_now_ms() - start, 199);
	ck_assert_uint_lt(loop_now_ms() - start, 2000);
	server_start();
	server_stop(SIGKILL); /* leaves its socket file */
	ck_assert_int_eq(call_update(100), BUS_UNAVAILABLE);
	ck_assert_str_eq(e.text, "testD is not running");
}
END_TEST

START_TEST(silent_daemon_is_told_from_a_dead_one)
{
	server_start();
	ck_assert_int_eq(call_update(150), BUS_UNAVAILABLE);
	ck_assert_str_eq(e.text, "testD did not answer within 150 ms");
	(void)kill(server_pid, SIGSTOP);
	ck_assert_int_eq(call_add(NULL, &e) == BUS_OK, 0);
	ck_assert_str_eq(e.text, "testD did not answer within 5000 ms");
	(void)kill(server_pid, SIGCONT);
}
END_TEST

START_TEST(names_that_are_no_daemons)
{
	static const char *const bad[] = {"", "../x", "a/b", ".hidden", "-x", "a b", "123456789012345678901234567890123"};
	Common__Empty r = COMMON__EMPTY__INIT;
	ProtobufCMessage *m;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bus_client *c = bus_client_new(NULL, bad[i]);
		ck_assert_int_eq(bus_client_call_sync(c, "x.Y", &r.base, &common__empty__descriptor, 100, &m, &e), BUS_LIMIT);
		bus_client_free(c);
	}
}
END_TEST

struct result {
	unsigned n;
	enum bus_code code;
	char text[256];
};

static void on_reply(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct result *r = arg;
	r->n++;
	r->code = code;
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
	ck_assert((code == BUS_OK) == (reply != NULL));
}

START_TEST(async_calls_end_once)
{
	Defmgr__UpdateRequest never = DEFMGR__UPDATE_REQUEST__INIT;
	Defmgr__AddRequest add = DEFMGR__ADD_REQUEST__INIT;
	struct loop *l = loop_new();
	struct bus_client *c = bus_client_new(l, "testD");
	struct result a = {0}, b = {0}, d = {0};
	server_start();
	bus_client_call(c, "defmgr.Update", &never.base, &defmgr__change_reply__descriptor, 200, on_reply, &a);
	bus_client_call(c, "defmgr.Add", &add.base, &defmgr__add_reply__descriptor, 5000, on_reply, &b);
	for (uint64_t end = loop_now_ms() + 1000; loop_now_ms() < end;)
		(void)loop_run_once(l, 20);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_int_eq(a.code, BUS_UNAVAILABLE);
	ck_assert_str_eq(a.text, "testD did not answer within 200 ms");
	ck_assert_uint_eq(b.n, 1);
	ck_assert_int_eq(b.code, BUS_OK);
	bus_client_call(c, "defmgr.Update", &never.base, &defmgr__change_reply__descriptor, 60000, on_reply, &d);
	bus_client_free(c);
	ck_assert_uint_eq(d.n, 1);
	ck_assert_int_eq(d.code, BUS_UNAVAILABLE);
	loop_free(l);
}
END_TEST

START_TEST(client_survives_restart_of_the_daemon)
{
	Defmgr__AddRequest add = DEFMGR__ADD_REQUEST__INIT;
	Defmgr__ForceInactiveRequest quit = DEFMGR__FORCE_INACTIVE_REQUEST__INIT;
	ProtobufCMessage *m;
	struct bus_client *c = bus_client_new(NULL, "testD");
	server_start();
	ck_assert_int_eq(
		bus_client_call_sync(c, "defmgr.ForceInactive", &quit.base, &defmgr__change_reply__descriptor, 300, &m, &e), BUS_UNAVAILABLE);
	ck_assert_str_eq(e.text, "testD is not running");
	(void)waitpid(server_pid, NULL, 0);
	ck_assert_int_eq(bus_client_call_sync(c, "defmgr.Add", &add.base, &defmgr__add_reply__descriptor, 100, &m, &e), BUS_UNAVAILABLE);
	server_start();
	ck_assert_int_eq(bus_client_call_sync(c, "defmgr.Add", &add.base, &defmgr__add_reply__descriptor, 5000, &m, &e), BUS_OK);
	protobuf_c_message_free_unpacked(m, NULL);
	/* What was asked before the restart is not done after it. */
	ck_assert_uint_eq(counter("requests"), 2);
	bus_client_free(c);
}
END_TEST

/* --- run directory --- */

START_TEST(second_instance_does_not_steal_the_socket)
{
	pid_t second;
	server_start();
	ck_assert_int_eq(server_start_as(0, &second), -EADDRINUSE);
	(void)waitpid(second, NULL, 0);
	ck_assert_int_eq(call_add(NULL, &e), BUS_OK);
	server_stop(SIGKILL);
	server_start(); /* a stale socket and lock file are no obstacle */
	ck_assert_int_eq(call_add(NULL, &e), BUS_OK);
}
END_TEST

static bool cannot_lock(void)
{
	char path[PATH_TEXT_MAX];
	return open(path_make(path, "/run/ravelin/testD/lock"), O_RDONLY) < 0 && errno == EACCES;
}

static bool cannot_put_a_socket(void)
{
	char path[PATH_TEXT_MAX];
	return open(path_make(path, "/run/ravelin/testD/rpc2"), O_CREAT | O_RDWR, 0600) < 0 && errno == EACCES &&
		unlink(path_make(path, "/run/ravelin/testD/rpc")) < 0;
}

START_TEST(strangers_can_connect_and_no_more)
{
	char path[PATH_TEXT_MAX];
	struct stat st;
	(void)umask(077);
	server_start();
	ck_assert_int_eq(stat(path_make(path, "/run/ravelin/testD"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	ck_assert_int_eq(stat(path_make(path, "/run/ravelin/testD/rpc"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0666);
	ck_assert_int_eq(stat(path_make(path, "/run/ravelin/testD/events"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0666);
	ck_assert(as_uid(OTHER, cannot_lock));
	ck_assert(as_uid(OTHER, cannot_put_a_socket));
}
END_TEST

START_TEST(directory_that_others_can_write_is_refused)
{
	char path[PATH_TEXT_MAX];
	pid_t pid;
	server_start();
	server_stop(SIGKILL);
	path_make(path, "/run/ravelin/testD");
	ck_assert_int_eq(chmod(path, 0777), 0);
	ck_assert_int_eq(server_start_as(0, &pid), -EPERM);
	(void)waitpid(pid, NULL, 0);
	ck_assert_int_eq(chmod(path, 0755), 0);
	ck_assert_int_eq(chown(path, OTHER, OTHER), 0);
	ck_assert_int_eq(server_start_as(0, &pid), -EPERM);
	(void)waitpid(pid, NULL, 0);
}
END_TEST

/* Somebody else answers: the directory does not belong to the uid at the other end. */
START_TEST(impostor_is_not_believed)
{
	char path[PATH_TEXT_MAX];
	server_start();
	ck_assert_int_eq(call_add(NULL, &e), BUS_OK);
	ck_assert_int_eq(chown(path_make(path, "/run/ravelin/testD"), OTHER, OTHER), 0);
	ck_assert_int_eq(call_add(NULL, &e), BUS_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(e.text, "owner"));
}
END_TEST

static void count_name(void *arg, const char *name)
{
	*(unsigned *)arg += strcmp(name, "testD") == 0 ? 1 : 100;
}

START_TEST(discovery_finds_the_living)
{
	unsigned n = 0;
	bus_discover(count_name, &n);
	ck_assert_uint_eq(n, 0);
	server_start();
	bus_discover(count_name, &n);
	ck_assert_uint_eq(n, 1);
	server_stop(SIGKILL);
	bus_discover(count_name, &n);
	ck_assert_uint_eq(n, 1);
}
END_TEST

/* --- tables --- */

static void refused_at_start(struct bus_server_spec spec, const char *why)
{
	struct loop *l = loop_new();
	struct bus_server *b = NULL;
	ck_assert_int_eq(bus_server_new(l, &spec, &b, &e), -EINVAL);
	ck_assert_msg(strstr(e.text, why) != NULL, "%s", e.text);
	loop_free(l);
}

START_TEST(tables_that_do_not_fit_stop_the_daemon)
{
	enum { N = sizeof(methods) / sizeof(methods[0]) };
	struct served s = {0};
	struct bus_method m[N + 1];
	struct bus_event ev[3];
	struct bus_server_spec spec = server_spec(&s);
	spec.methods = m;
	spec.events = ev;
#define FRESH() (memcpy(m, methods, sizeof(methods)), memcpy(ev, events, sizeof(ev)))
	FRESH();
	m[N - 2] = (struct bus_method){0};
	refused_at_start(spec, "defmgr.ForceInactive: the service has it");
	FRESH();
	m[N - 1] = m[0];
	m[N - 1].name = "Extra";
	m[N] = (struct bus_method){0};
	refused_at_start(spec, "Extra: the method table has it");
	FRESH();
	m[0].resource = NULL;
	refused_at_start(spec, "defmgr.Add: has no SAF class, resource and level");
	FRESH();
	m[0].resource = "";
	refused_at_start(spec, "has no SAF");
	FRESH();
	m[0].class_name = NULL;
	refused_at_start(spec, "has no SAF");
	FRESH();
	m[0].level = SAF_NONE;
	refused_at_start(spec, "has no SAF");
	FRESH();
	m[0].fn = NULL;
	refused_at_start(spec, "no handler");
	FRESH();
	m[0].request = &common__empty__descriptor;
	refused_at_start(spec, "types differ");
	FRESH();
	m[0].resource = "T.{nothing}.X";
	refused_at_start(spec, "{nothing} in its resource is no string");
	FRESH();
	m[0].resource = "T.{filters}.X";
	refused_at_start(spec, "no string");
	FRESH();
	m[0].resource = "T.{instance}.X"; /* this daemon has none */
	refused_at_start(spec, "{instance}");
	FRESH();
	m[0].resource = "T.{stack";
	refused_at_start(spec, "bad resource template");
	FRESH();
	ev[0].topic = "defmgr.stack";
	refused_at_start(spec, "could not tell them apart");
	FRESH();
	ev[1].topic = "defmgr.heartbeat.x";
	refused_at_start(spec, "could not tell them apart");
	FRESH();
	ev[0].resource = NULL;
	refused_at_start(spec, "defmgr.filter.added: has no message type");
	FRESH();
	ev[0].resource = "T.{stack}";
	refused_at_start(spec, "no string");
}
END_TEST

START_TEST(second_service_is_held_to_the_same_rules)
{
	struct served s = {0};
	struct bus_server_spec spec = server_spec(&s);
	spec.extra_service = &common__daemon__descriptor;
	refused_at_start(spec, "common.Ping: the service has it");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus client");
	TCase *t = tcase_create("client");
	tcase_add_checked_fixture(t, bus_setup, bus_teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, dead_daemon_ends_a_call_at_its_deadline);
	tcase_add_test(t, silent_daemon_is_told_from_a_dead_one);
	tcase_add_test(t, names_that_are_no_daemons);
	tcase_add_test(t, async_calls_end_once);
	tcase_add_test(t, client_survives_restart_of_the_daemon);
	tcase_add_test(t, second_instance_does_not_steal_the_socket);
	tcase_add_test(t, strangers_can_connect_and_no_more);
	tcase_add_test(t, directory_that_others_can_write_is_refused);
	tcase_add_test(t, impostor_is_not_believed);
	tcase_add_test(t, discovery_finds_the_living);
	tcase_add_test(t, tables_that_do_not_fit_stop_the_daemon);
	tcase_add_test(t, second_service_is_held_to_the_same_rules);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
