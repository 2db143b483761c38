/* A whole daemon under a private ROOT, as a child process: how it refuses to start, reloads, survives kill -9 and ends. */
#include "lib/daemon/daemon.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "proto/common.pb-c.h"
#include "proto/defmgr.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/unit/lib/bus/fake_saf.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OTHER = 65534 };

static char root[64];
static pid_t child;
static int manager; /* the service manager's socket */
static bool no_saf;

int saf_open(const char *dir, struct saf **ret, struct errbuf *e)
{
	(void)dir;
	if (no_saf)
		return err_set(e, ENOENT, "there is no snapshot");
	*ret = fake_saf;
	return 0;
}

void saf_close(struct saf *s)
{
	(void)s;
}

/* --- the daemon --- */
struct test_state {
	unsigned *level;
};

static const struct conf_stmt stmts[] = {
	{"Level", (const struct conf_operand[]){{"n", CONF_UINT, .dflt = "1", .max = 100, .help = "How much."}, {0}},
		.flags = CONF_ONCE | CONF_REQUIRED, .help = "The only statement."},
	{0},
};
static const struct conf_spec conf = {"testd.conf", CONF_POLICY, stmts};

static int build(struct conf *c, const char *instance, void **ret)
{
	(void)instance;
	struct conf_node *n = conf_top(c, "Level");
	if (conf_uint(n, "n") == 13)
		return conf_node_error(n, "found 13, expected a level that brings luck");
	unsigned *level = xnew(unsigned);
	*level = (unsigned)conf_uint(n, "n");
	*ret = level;
	return 0;
}

static int start(struct daemon *d, void *built, struct errbuf *e)
{
	struct test_state *s = d->state;
	if (*(unsigned *)built == 99) {
		free(built);
		return err_set(e, EIO, "level 99 does not start");
	}
	s->level = built;
	return 0;
}

static int reload(struct daemon *d, void *built, struct errbuf *e)
{
	struct test_state *s = d->state;
	if (*(unsigned *)built == 66) {
		free(built);
		return err_set(e, EINVAL, "level 66 is not for a running daemon");
	}
	free(s->level);
	s->level = built;
	return 0;
}

static void stop(struct daemon *d)
{
	struct test_state *s = d->state;
	free(s->level);
}

static void stats(struct daemon *d, daemon_stat_fn fn, void *arg)
{
	struct test_state *s = d->state;
	fn(arg, "test_level", "The level.", *s->level);
}

static const int caps[] = {CAP_NET_RAW, -1};
static const struct daemon_spec spec = {
	.name = "testD", .package = "test", .summary = "a daemon of the unit tests", .conf = &conf, .conf_path = "testd.conf",
	.conf_env = "TESTD_FILE", .caps = caps, .size = sizeof(struct test_state), .build = build, .built_free = free, .start = start,
	.reload = reload, .stop = stop, .stats = stats,
};

/* --- the test's side --- */
static void write_conf(const char *text)
{
	char path[PATH_TEXT_MAX];
	FILE *f = fopen(path_make(path, "/etc/ravelin/testd.conf"), "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void launch(const struct daemon_spec *what, char *const *argv, const char *watchdog)
{
	char path[PATH_TEXT_MAX];
	int argc = 0;
	while (argv[argc])
		argc++;
	fflush(stdout);
	child = fork();
	if (child)
		return;
	int err = open(path_make(path, "/stderr"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	dup2(err, STDERR_FILENO);
	dup2(err, STDOUT_FILENO);
	signal(SIGTERM, SIG_DFL);
	setenv("NOTIFY_SOCKET", path_make(path, "/notify"), 1);
	if (watchdog)
		setenv("WATCHDOG_USEC", watchdog, 1);
	int status = daemon_main(what, argc, (char **)argv);
	fflush(stdout);
	_exit(status);
}

static int ended(void)
{
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	child = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run(const struct daemon_spec *what, char *const *argv)
{
	launch(what, argv, NULL);
	return ended();
}

/* Waits until the daemon tells the manager a text with @want in it. */
static void told(const char *want)
{
	char buf[600];
	for (int i = 0; i < 200; i++) {
		ssize_t n = recv(manager, buf, sizeof(buf) - 1, 0);
		ck_assert_msg(n >= 0, "nobody said %s", want);
		buf[n] = '\0';
		if (strstr(buf, want))
			return;
	}
	ck_abort_msg("never told: %s", want);
}

static bool logged(const char *want)
{
	static char buf[65536];
	char path[PATH_TEXT_MAX];
	FILE *f = fopen(path_make(path, "/stderr"), "re");
	size_t n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;
	buf[n] = '\0';
	if (f)
		fclose(f);
	return strstr(buf, want) != NULL;
}

static enum bus_code call(const char *method, const ProtobufCMessageDescriptor *reply, ProtobufCMessage **ret, struct errbuf *e)
{
	Common__Empty r = COMMON__EMPTY__INIT;
	struct bus_client *c = bus_client_new(NULL, "testD");
	enum bus_code code = bus_client_call_sync(c, method, &r.base, reply, 5000, ret, e);
	bus_client_free(c);
	return code;
}

static uint64_t stat_value(const char *name)
{
	ProtobufCMessage *m = NULL;
	struct errbuf e = {""};
	uint64_t v = UINT64_MAX;
	ck_assert_msg(call("common.Stats", &common__stats_reply__descriptor, &m, &e) == BUS_OK, "%s", e.text);
	Common__StatsReply *s = (Common__StatsReply *)m;
	for (size_t i = 0; i < s->n_stats; i++)
		if (!strcmp(s->stats[i]->name, name))
			v = s->stats[i]->value;
	protobuf_c_message_free_unpacked(m, NULL);
	return v;
}

static char *plain_args[] = {(char *)"testD", (char *)"--root", root, NULL};

static void setup(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval patience = {10, 0};
	char path[PATH_TEXT_MAX];
	strcpy(root, "/tmp/rv-daemon-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	setenv("RAVELIN_SYSNAME", "SYS1", 1);
	path_set_root(root);
	ck_assert_int_eq(chmod(root, 0755), 0);
	ck_assert_int_eq(mkdir(path_make(path, "/etc"), 0755), 0);
	ck_assert_int_eq(mkdir(path_make(path, "/etc/ravelin"), 0755), 0);
	path_make(path, "/notify");
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(a.sun_path, path);
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(chmod(path, 0777), 0);
	setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	fake_saf_reset();
	fake_saf_rule(0, "EZB.NETSTAT.SYS1.TESTD.STATS", true);
	fake_saf_rule(0, "MVS.SERVMGR.TESTD", true);
	fake_saf_rule(0, "EZB.NETMGMT.SYS1.TESTD.EVENTS", true);
	write_conf("Level 5\n");
}

static void teardown(void)
{
	char command[128];
	if (child > 0) {
		kill(child, SIGKILL);
		(void)ended();
	}
	close(manager);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(bad_configuration_is_78)
{
	char path[PATH_TEXT_MAX], want[600];
	write_conf("Level 101\n");
	ck_assert_int_eq(run(&spec, plain_args), 78);
	path_make(path, "/etc/ravelin/testd.conf");
	snprintf(want, sizeof(want), "%s:1:7: found '101', expected n: a number 0 to 100", path);
	ck_assert(logged(want));
	told("STATUS=configuration refused");
	write_conf("Level 13\n");
	ck_assert_int_eq(run(&spec, plain_args), 78);
	ck_assert(logged(":1:1: found 13, expected a level that brings luck"));
	unlink(path);
	ck_assert_int_eq(run(&spec, plain_args), 78);
	ck_assert(logged("cannot be read: No such file or directory"));
	ck_assert_int_ne(access(path_make(path, "/run/ravelin/testD/rpc"), F_OK), 0);
}
END_TEST

START_TEST(check_only)
{
	char *args[] = {(char *)"testD", (char *)"--root", root, (char *)"--check", NULL};
	char path[PATH_TEXT_MAX];
	ck_assert_int_eq(run(&spec, args), 0);
	ck_assert(logged("testd.conf: no errors"));
	write_conf("Lewel 3\nLevel x\n");
	ck_assert_int_eq(run(&spec, args), 78);
	ck_assert(logged("testd.conf:1:1: found 'Lewel', expected one of Level (did you mean 'Level'?)"));
	ck_assert(logged("testd.conf:2:7: found 'x'"));
	ck_assert_int_ne(access(path_make(path, "/run"), F_OK), 0);
	char *elsewhere[] = {(char *)"testD", (char *)"--config", (char *)"/dev/null", (char *)"--check", NULL};
	ck_assert_int_eq(run(&spec, elsewhere), 78);
	ck_assert(logged("/dev/null:1:1: found no Level, expected one"));
	setenv("TESTD_FILE", "/dev/null", 1);
	ck_assert_int_eq(run(&spec, args), 78);
	unsetenv("TESTD_FILE");
}
END_TEST

START_TEST(statuses_of_other_refusals)
{
	char *bad[] = {(char *)"testD", (char *)"--bad", NULL};
	ck_assert_int_eq(run(&spec, bad), 64);
	no_saf = true;
	ck_assert_int_eq(run(&spec, plain_args), 71);
	ck_assert(logged("there is no snapshot"));
	no_saf = false;
	write_conf("Level 99\n");
	ck_assert_int_eq(run(&spec, plain_args), 71);
	ck_assert(logged("level 99 does not start"));
	write_conf("Level 1\n");
	struct daemon_spec wrong = spec;
	wrong.service = &defmgr__defense_manager__descriptor; /* and no row for it */
	ck_assert_int_eq(run(&wrong, plain_args), 70);
	char *nobody[] = {(char *)"testD", (char *)"--root", root, (char *)"--user", (char *)"no-such-user", NULL};
	if (geteuid() == 0)
		ck_assert_int_eq(run(&spec, nobody), 71);
}
END_TEST

START_TEST(a_second_one_does_not_start)
{
	launch(&spec, plain_args, NULL);
	told("READY=1");
	pid_t first = child;
	ck_assert_int_eq(run(&spec, plain_args), 71);
	child = first;
	ck_assert_uint_eq(stat_value("test_level"), 5);
	kill(child, SIGINT);
	told("STOPPING=1");
	ck_assert_int_eq(ended(), 0);
}
END_TEST

START_TEST(builtin_methods)
{
	ProtobufCMessage *m = NULL;
	struct errbuf e = {""};
	launch(&spec, plain_args, NULL);
	told("READY=1");
	ck_assert_int_eq(call("common.Ping", &common__ping_reply__descriptor, &m, &e), BUS_OK);
	Common__PingReply *p = (Common__PingReply *)m;
	ck_assert_str_eq(p->name, "testD");
	ck_assert_str_eq(p->version, RAVELIN_VERSION);
	ck_assert_str_eq(p->sysname, "SYS1");
	ck_assert_uint_ne(p->boot_id, 0);
	protobuf_c_message_free_unpacked(m, NULL);
	ck_assert_int_eq(call("common.Methods", &common__methods_reply__descriptor, &m, &e), BUS_OK);
	Common__MethodsReply *l = (Common__MethodsReply *)m;
	ck_assert_uint_eq(l->n_methods, 4);
	ck_assert_str_eq(l->methods[2]->name, "common.Reload");
	ck_assert_str_eq(l->methods[2]->class_name, "OPERCMDS");
	ck_assert_str_eq(l->methods[2]->level, "CONTROL");
	ck_assert_str_eq(l->methods[0]->resource, "ANY");
	protobuf_c_message_free_unpacked(m, NULL);
	ck_assert_uint_ge(stat_value("bus_requests_total"), 3);
	fake_saf_rule(0, "EZB.NETSTAT.SYS1.TESTD.STATS", false);
	fake_saf_rule(0, "MVS.SERVMGR.TESTD", false);
	ck_assert_int_eq(call("common.Stats", &common__stats_reply__descriptor, &m, &e), BUS_NOT_AUTHORIZED);
	ck_assert_int_eq(call("common.Reload", &common__reload_reply__descriptor, &m, &e), BUS_NOT_AUTHORIZED);
	char path[PATH_TEXT_MAX];
	ck_assert_int_eq(access(path_make(path, "/var/log/ravelin/testD.audit"), R_OK), 0);
}
END_TEST

struct heard {
	struct loop *loop;
	unsigned loaded, rejected;
	char error[300];
};

static void on_event(void *arg, const struct bus_event_info *info, const void *body, size_t len)
{
	struct heard *h = arg;
	struct errbuf e;
	if (!strcmp(info->topic, "test.conf.loaded"))
		h->loaded++;
	if (strcmp(info->topic, "test.conf.rejected") != 0 || !body)
		return;
	h->rejected++;
	ProtobufCMessage *m = bus_unpack(&common__conf_rejected__descriptor, body, len, &e);
	snprintf(h->error, sizeof(h->error), "%s", ((Common__ConfRejected *)m)->errors[0]);
	bus_unpack_free(m);
}

static void wait_for(struct heard *h, const unsigned *what, unsigned want)
{
	for (uint64_t end = loop_now_ms() + 8000; *what < want && loop_now_ms() < end;)
		loop_run_once(h->loop, 100);
	ck_assert_uint_eq(*what, want);
}

START_TEST(reload_all_or_nothing)
{
	struct heard h = {.loop = loop_new()};
	static const char *const topics[] = {"", NULL};
	launch(&spec, plain_args, NULL);
	told("READY=1");
	struct bus_subscriber *s = bus_subscriber_new(h.loop, "testD", topics, on_event, &h);
	for (int i = 0; i < 5; i++)
		loop_run_once(h.loop, 100);
	h.loaded = 0; /* the one of the start may have been seen */
	write_conf("Level 6\n");
	kill(child, SIGHUP);
	told("RELOADING=1");
	told("READY=1");
	wait_for(&h, &h.loaded, 1);
	ck_assert_uint_eq(stat_value("test_level"), 6);
	write_conf("Level 1000\n");
	kill(child, SIGHUP);
	told("STATUS=reload refused");
	told("READY=1");
	wait_for(&h, &h.rejected, 1);
	ck_assert_ptr_nonnull(strstr(h.error, "testd.conf:1:7: found '1000'"));
	ck_assert_uint_eq(stat_value("test_level"), 6);
	write_conf("Level 66\n"); /* refused by the daemon itself */
	kill(child, SIGHUP);
	wait_for(&h, &h.rejected, 2);
	ck_assert_ptr_nonnull(strstr(h.error, "level 66 is not for a running daemon"));
	ck_assert_uint_eq(stat_value("test_level"), 6);
	ck_assert_uint_eq(stat_value("daemon_reloads_refused_total"), 2);
	ProtobufCMessage *m = NULL;
	struct errbuf e = {""};
	ck_assert_int_eq(call("common.Reload", &common__reload_reply__descriptor, &m, &e), BUS_OK);
	ck_assert_uint_eq(((Common__ReloadReply *)m)->n_errors, 1);
	protobuf_c_message_free_unpacked(m, NULL);
	write_conf("Level 8\n");
	ck_assert_int_eq(call("common.Reload", &common__reload_reply__descriptor, &m, &e), BUS_OK);
	ck_assert_uint_eq(((Common__ReloadReply *)m)->n_errors, 0);
	protobuf_c_message_free_unpacked(m, NULL);
	ck_assert_uint_eq(stat_value("test_level"), 8);
	bus_subscriber_free(s);
	loop_free(h.loop);
	kill(child, SIGTERM);
	ck_assert_int_eq(ended(), 0);
}
END_TEST

START_TEST(killed_and_started_again)
{
	for (int i = 0; i < 3; i++) {
		launch(&spec, plain_args, NULL);
		told("READY=1");
		ck_assert_uint_eq(stat_value("test_level"), 5);
		kill(child, SIGKILL);
		ck_assert_int_eq(ended(), -SIGKILL);
	}
	launch(&spec, plain_args, NULL);
	told("READY=1");
	kill(child, SIGTERM);
	told("STOPPING=1");
	ck_assert_int_eq(ended(), 0);
	char path[PATH_TEXT_MAX];
	uint64_t line, seq;
	ck_assert_int_eq(audit_verify(path_make(path, "/var/log/ravelin/testD.audit"), &line, &seq), AUDIT_OK);
}
END_TEST

START_TEST(watchdog_is_fed)
{
	launch(&spec, plain_args, "200000");
	told("READY=1");
	told("WATCHDOG=1");
	told("WATCHDOG=1");
	told("WATCHDOG=1");
}
END_TEST

static void proc_line(const char *key, char *out, size_t size)
{
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)child);
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			snprintf(out, size, "%s", line + strlen(key));
	fclose(f);
}

START_TEST(privileges_are_gone)
{
	char *args[] = {(char *)"testD", (char *)"--root", root, (char *)"--user", (char *)"nobody", NULL};
	char text[256];
	if (geteuid() != 0)
		return; /* only root has something to drop */
	launch(&spec, args, NULL);
	told("READY=1");
	proc_line("Uid:", text, sizeof(text));
	ck_assert_str_eq(text, "\t65534\t65534\t65534\t65534\n");
	proc_line("CapEff:", text, sizeof(text));
	ck_assert_uint_eq(strtoull(text, NULL, 16), 1ull << CAP_NET_RAW);
	proc_line("CapPrm:", text, sizeof(text));
	ck_assert_uint_eq(strtoull(text, NULL, 16), 1ull << CAP_NET_RAW);
	proc_line("CapBnd:", text, sizeof(text));
	ck_assert_uint_eq(strtoull(text, NULL, 16), 0);
	proc_line("NoNewPrivs:", text, sizeof(text));
	ck_assert_str_eq(text, "\t1\n");
	char path[PATH_TEXT_MAX];
	struct stat st;
	ck_assert_int_eq(stat(path_make(path, "/var/lib/ravelin/testD"), &st), 0);
	ck_assert_uint_eq(st.st_uid, OTHER);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(path_make(path, "/var/log/ravelin/testD.audit"), &st), 0);
	ck_assert_uint_eq(st.st_uid, OTHER);
	ck_assert_uint_eq(stat_value("test_level"), 5);
	/* as root without --user: uid stays, the capabilities go */
	kill(child, SIGTERM);
	ck_assert_int_eq(ended(), 0);
}
END_TEST

START_TEST(root_keeps_only_what_is_named)
{
	char text[256];
	if (geteuid() != 0)
		return;
	launch(&spec, plain_args, NULL);
	told("READY=1");
	proc_line("CapEff:", text, sizeof(text));
	ck_assert_uint_eq(strtoull(text, NULL, 16), 1ull << CAP_NET_RAW);
	snprintf(text, sizeof(text), "/proc/%d/limits", (int)child);
	char line[256];
	bool found = false;
	FILE *f = fopen(text, "re");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		found |= !strncmp(line, "Max core file size        0                    0", 48);
	fclose(f);
	ck_assert(found);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("daemon");
	TCase *c = tcase_create("daemon");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, bad_configuration_is_78);
	tcase_add_test(c, check_only);
	tcase_add_test(c, statuses_of_other_refusals);
	tcase_add_test(c, a_second_one_does_not_start);
	tcase_add_test(c, builtin_methods);
	tcase_add_test(c, reload_all_or_nothing);
	tcase_add_test(c, killed_and_started_again);
	tcase_add_test(c, watchdog_is_fed);
	tcase_add_test(c, privileges_are_gone);
	tcase_add_test(c, root_keeps_only_what_is_named);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
