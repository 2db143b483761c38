/* Defensive filters from the request to the stack: bench_defmgr.
 *
 *   defmgr.add.enforced   ms from sending one add until it is acknowledged, which is after the stack has it; median of 300
 *                         adds beside one durable commit of the same row by SQLite on the same disk
 *   defmgr.add.rate       adds a second of one client in bulk (500 a request, 8 requests on their way), median of 5 runs of 20,000,
 *                         beside SQLite inserting the same rows in transactions of 500
 *   defmgr.held.100000    filters held when 100,000 were added
 *   defmgr.install.100000 ms from the start of a stack until it has all of them again, median of 5
 *
 * Runs defmgrD and tests/support/fake_stack of the same build under a private ROOT. */
#include "daemons/defmgrD/filter.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/bus/bus.h"
#include "proto/common.pb-c.h"
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GROUP = 500, CALLS = 8, RUNS = 5, PER_RUN = 20000, HELD = 100000, SINGLE = 300 };

static char root[64], build[PATH_MAX];
static pid_t stack_pid, daemon_pid;
static struct loop *loop;
static struct bus_client *client;

static double now_ms(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static void line(const char *name, double value, const char *unit, const char *peer, double peers, double ratio)
{
	if (peer)
		(void)printf("%s\t%.3f\t%s\t%s\t%.3f\t%.3f\n", name, value, unit, peer, peers, ratio);
	else
		(void)printf("%s\t%.3f\t%s\t-\t-\t-\n", name, value, unit);
	(void)fflush(stdout);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

static void end(pid_t *pid)
{
	if (*pid > 0) {
		(void)kill(*pid, SIGKILL);
		(void)waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

static void clean(void)
{
	end(&daemon_pid);
	end(&stack_pid);
	(void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void __attribute__((noreturn)) die(const char *what)
{
	(void)fprintf(stderr, "bench_defmgr: %s\n", what);
	exit(1);
}

/* @program relative to the build directory; what it says goes into ROOT/log. */
static pid_t start(const char *program, const char *arg, int input)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	char path[PATH_MAX + 64], log[128];
	(void)snprintf(path, sizeof(path), "%s/%s", build, program);
	(void)snprintf(log, sizeof(log), "%s/log", root);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	(void)dup2(fd, 1);
	(void)dup2(fd, 2);
	if (input >= 0)
		(void)dup2(input, 0);
	if (arg && input >= 0)
		execl(path, path, arg, "-", (char *)NULL);
	else
		execl(path, path, arg, (char *)NULL);
	_exit(127);
}

static const char saf[] = "SETROPTS CLASSACT(SERVAUTH) GENERIC(SERVAUTH)\n"
			  "RDEFINE SERVAUTH EZB.** UACC(NONE)\nPERMIT EZB.** CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)\n"
			  "RDEFINE SERVAUTH RAVELIN.** UACC(NONE)\nPERMIT RAVELIN.** CLASS(SERVAUTH) ID(IBMUSER) ACCESS(READ)\n";

static void load_saf(void)
{
	int fds[2], status;
	if (pipe(fds) || write(fds[1], saf, sizeof(saf) - 1) != (ssize_t)sizeof(saf) - 1)
		die("no pipe");
	(void)close(fds[1]);
	pid_t pid = start("cli/safctl", "--init", -1);
	(void)waitpid(pid, &status, 0);
	pid = start("cli/safctl", "-f", fds[0]);
	(void)waitpid(pid, &status, 0);
	(void)close(fds[0]);
	if (status)
		die("safctl refused its commands");
}

static uint32_t installed(void)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	ProtobufCMessage *reply = NULL;
	struct bus_client *c = bus_client_new(NULL, "defmgrD");
	enum bus_code code = bus_client_call_sync(c, "defmgr.Stacks", &m.base, &defmgr__stacks_reply__descriptor, 500, &reply, NULL);
	bus_client_free(c);
	if (code != BUS_OK)
		return 0;
	const Defmgr__StacksReply *r = (const Defmgr__StacksReply *)reply;
	uint32_t n = r->n_stacks && r->stacks[0]->installed ? r->stacks[0]->filters + 1 : 0;
	protobuf_c_message_free_unpacked(reply, NULL);
	return n;
}

static void set_up(void)
{
	char path[PATH_TEXT_MAX];
	memcpy(root, "/var/tmp/rv-bench-XXXXXX", 25);
	if (!mkdtemp(root))
		die("no directory");
	(void)atexit(clean);
	(void)setenv("RAVELIN_ROOT", root, 1);
	(void)setenv("RAVELIN_SYSNAME", "BENCH", 1);
	path_set_root(root);
	(void)mkdir(path_make(path, "/etc"), 0755);
	(void)mkdir(path_make(path, "/etc/ravelin"), 0755);
	FILE *f = fopen(path_make(path, "/etc/ravelin/dmd.conf"), "w");
	if (!f)
		die("no dmd.conf");
	(void)fputs("DmConfig { SyslogLevel 3 }\nDmStackConfig BENCH { Mode Active }\n", f);
	(void)fclose(f);
	load_saf();
	stack_pid = start("tests/bench/fake_stack", "BENCH", -1);
	daemon_pid = start("daemons/defmgrD/defmgrD", NULL, -1);
	for (int i = 0; i < 400 && !installed(); i++)
		(void)usleep(20000);
	if (!installed())
		die("defmgrD and its stack do not run");
}

struct text {
	char name[16], source[20];
};

static void make(Defmgr__Filter *f, struct text *t, unsigned i)
{
	defmgr__filter__init(f);
	(void)snprintf(t->name, sizeof(t->name), "b%u", i);
	(void)snprintf(t->source, sizeof(t->source), "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
	f->name = t->name;
	f->source = t->source;
}

static unsigned calls, failed;

static void answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	(void)arg, (void)reply;
	calls--;
	if (code != BUS_OK && !failed++)
		(void)fprintf(stderr, "bench_defmgr: %s\n", text);
}

static double add_bulk(unsigned from, unsigned n)
{
	static Defmgr__Filter filters[GROUP], *ptrs[GROUP];
	static struct text texts[GROUP];
	double t = now_ms();
	for (unsigned at = from; at < from + n; at += GROUP) {
		Defmgr__AddRequest m = DEFMGR__ADD_REQUEST__INIT;
		for (unsigned i = 0; i < GROUP; i++) {
			make(&filters[i], &texts[i], at + i);
			ptrs[i] = &filters[i];
		}
		m.stack = (char *)"BENCH";
		m.n_filters = GROUP;
		m.filters = ptrs;
		while (calls >= CALLS)
			(void)loop_run_once(loop, 100);
		calls++;
		bus_client_call(client, "defmgr.Add", &m.base, &defmgr__add_reply__descriptor, 30000, answered, NULL);
	}
	while (calls)
		(void)loop_run_once(loop, 100);
	if (failed)
		die("an add failed");
	return now_ms() - t;
}

static void delete_all(void)
{
	Defmgr__DeleteRequest m = DEFMGR__DELETE_REQUEST__INIT;
	m.stack = (char *)"BENCH";
	m.has_all = m.all = true;
	calls++;
	bus_client_call(client, "defmgr.Delete", &m.base, &defmgr__change_reply__descriptor, 30000, answered, NULL);
	while (calls)
		(void)loop_run_once(loop, 100);
}

static sqlite3 *peer_open(void)
{
	sqlite3 *db;
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/peer.db", root);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
		sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT "
				 "EXISTS f(id INTEGER PRIMARY KEY, body BLOB)", NULL, NULL, NULL) != SQLITE_OK)
		die("no peer database");
	return db;
}

/* ms for @n rows in transactions of @each; the rows are as long as a stored filter. */
static double peer_insert(sqlite3 *db, unsigned n, unsigned each, double *ret_each)
{
	sqlite3_stmt *q;
	static const char body[96];
	if (sqlite3_prepare_v2(db, "INSERT INTO f(body) VALUES(?1)", -1, &q, NULL) != SQLITE_OK)
		die("no peer statement");
	double begin = now_ms();
	for (unsigned i = 0; i < n; i += each) {
		double t = now_ms();
		(void)sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
		for (unsigned k = 0; k < each; k++) {
			(void)sqlite3_bind_blob(q, 1, body, sizeof(body), SQLITE_STATIC);
			(void)sqlite3_step(q);
			(void)sqlite3_reset(q);
		}
		(void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
		if (ret_each)
			ret_each[i / each] = now_ms() - t;
	}
	(void)sqlite3_finalize(q);
	return now_ms() - begin;
}

static void bench_enforced(sqlite3 *peer)
{
	double ours[SINGLE], theirs[SINGLE];
	struct bus_client *c = bus_client_new(NULL, "defmgrD");
	for (unsigned i = 0; i < SINGLE; i++) {
		Defmgr__Filter f, *ptr = &f;
		struct text text;
		ProtobufCMessage *reply = NULL;
		Defmgr__AddRequest m = DEFMGR__ADD_REQUEST__INIT;
		make(&f, &text, i);
		m.stack = (char *)"BENCH";
		m.n_filters = 1;
		m.filters = &ptr;
		double t = now_ms();
		if (bus_client_call_sync(c, "defmgr.Add", &m.base, &defmgr__add_reply__descriptor, 5000, &reply, NULL) != BUS_OK ||
			((Defmgr__AddReply *)reply)->n_pending)
			die("an add was not installed");
		ours[i] = now_ms() - t;
		protobuf_c_message_free_unpacked(reply, NULL);
	}
	bus_client_free(c);
	(void)peer_insert(peer, SINGLE, 1, theirs);
	double a = median(ours, SINGLE), b = median(theirs, SINGLE);
	line("defmgr.add.enforced", a, "ms", "sqlite commit", b, a / b);
	delete_all();
}

static void bench_rate(sqlite3 *peer)
{
	double ours[RUNS], theirs[RUNS];
	for (unsigned i = 0; i < RUNS; i++) {
		ours[i] = PER_RUN / add_bulk(0, PER_RUN) * 1e3;
		theirs[i] = PER_RUN / peer_insert(peer, PER_RUN, GROUP, NULL) * 1e3;
		delete_all();
	}
	double a = median(ours, RUNS), b = median(theirs, RUNS);
	line("defmgr.add.rate", a, "adds/s", "sqlite insert", b, a / b);
}

static void bench_held(void)
{
	double ms[RUNS];
	(void)add_bulk(0, HELD);
	line("defmgr.held.100000", installed() - 1, "filters", NULL, 0, 0);
	for (unsigned i = 0; i < RUNS; i++) {
		end(&stack_pid);
		while (installed()) /* until defmgrD has seen that it is gone */
			(void)usleep(20000);
		double t = now_ms();
		stack_pid = start("tests/bench/fake_stack", "BENCH", -1);
		while (!installed())
			(void)usleep(2000);
		ms[i] = now_ms() - t;
	}
	line("defmgr.install.100000", median(ms, RUNS), "ms", NULL, 0, 0);
}

int main(void)
{
	ssize_t n = readlink("/proc/self/exe", build, sizeof(build) - 1);
	if (n < 0)
		die("no /proc");
	for (int i = 0; i < 3; i++) /* BUILD/tests/bench/bench_defmgr */
		(void)dirname(build);
	set_up();
	loop = loop_new();
	client = bus_client_new(loop, "defmgrD");
	sqlite3 *peer = peer_open();
	bench_enforced(peer);
	bench_rate(peer);
	bench_held();
	(void)sqlite3_close(peer);
	bus_client_free(client);
	loop_free(loop);
	return 0;
}
