/* Calls through real workers to a server of this process, with and without labels. */
#include "daemons/rpcbindD/remote.h"
#include "lib/base/rd.h"
#include "lib/base/wr.h"
#include "tests/unit/daemons/rpcbindD/labels.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

enum { PROG = 0x20000077, PROC_ECHO = 1, PROC_SILENT = 2, PROC_MISMATCH = 3, PROC_AUTH = 4, PROC_STRANGE = 5, PROC_LONG = 6 };

static int server = -1;
static uint16_t server_port;
static struct loop *loop;
static struct remote *remote;
static struct sockaddr_storage last_from; /* who called the server last */
static uint32_t last_words[10];

/* One call: answered as its procedure says. */
static void serve(void *arg, int fd, unsigned events)
{
	static uint8_t in[65536], out[65536];
	socklen_t len = sizeof(last_from);
	(void)arg, (void)events;
	ssize_t n = recvfrom(fd, in, sizeof(in), MSG_DONTWAIT, (struct sockaddr *)&last_from, &len);
	if (n < 40)
		return;
	struct rd r = rd_init(in, (size_t)n);
	struct wr w = wr_init(out, sizeof(out));
	for (int i = 0; i < 10; i++)
		last_words[i] = rd_u32(&r);
	uint32_t proc = last_words[5];
	if (proc == PROC_SILENT)
		return;
	wr_u32(&w, proc == PROC_STRANGE ? last_words[0] + 1 : last_words[0]);
	wr_u32(&w, 1);
	wr_u32(&w, proc == PROC_AUTH);
	wr_u32(&w, proc == PROC_AUTH);
	wr_u32(&w, proc == PROC_AUTH ? 5 : 0);
	wr_u32(&w, proc == PROC_MISMATCH ? 2 : proc > PROC_LONG ? 3 : 0);
	if (proc == PROC_MISMATCH) {
		wr_u32(&w, 2);
		wr_u32(&w, 4);
	}
	if (proc == PROC_ECHO)
		wr_bytes(&w, in + 40, (size_t)n - 40);
	if (proc == PROC_LONG)
		wr_zero(&w, WORKER_DATA_MAX + 4);
	(void)sendto(fd, out, wr_len(&w), 0, (struct sockaddr *)&last_from, len);
}

static struct loop_fd *watch;

static void set_up(struct saf *saf, unsigned timeout_ms)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	loop = loop_new();
	server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(getsockname(server, (struct sockaddr *)&a, &len), 0);
	server_port = ntohs(a.sin_port);
	watch = loop_fd_new(loop, server, LOOP_READ, serve, NULL);
	remote = remote_new(loop, saf, "SYS1");
	struct remote_config c = {.enabled = true, .workers = 2, .calls = 8, .calls_per_source = 4, .timeout_ms = timeout_ms, .idle_ms = 60000, .tcpname = "TCPIP"};
	remote_configure(remote, &c);
}

static void tear_down(void)
{
	remote_free(remote);
	loop_fd_free(watch);
	(void)close(server);
	loop_free(loop);
}

struct heard {
	unsigned times;
	enum remote_status status;
	uint32_t low, high;
	size_t len;
	char text[64], why[128];
};

static void hear(void *arg, const struct remote_answer *a)
{
	struct heard *h = arg;
	h->times++;
	h->status = a->status;
	h->low = a->low;
	h->high = a->high;
	h->len = a->len;
	if (a->len && a->len < sizeof(h->text))
		memcpy(h->text, a->results, a->len);
	(void)snprintf(h->why, sizeof(h->why), "%s", a->why ? a->why : "");
}

static struct remote_target target(uint32_t proc)
{
	static const uint8_t here[4] = {127, 0, 0, 1};
	return (struct remote_target){.prog = PROG, .vers = 2, .proc = proc, .addr = addr_v4(here), .port = server_port, .owner = 7001};
}

static struct remote_client client(uint32_t xid, uint8_t host)
{
	const uint8_t there[4] = {192, 0, 2, host};
	return (struct remote_client){.who = {.uid = LABEL_UID_UNKNOWN, .addr = addr_v4(there)}, .port = 700, .xid = xid};
}

static void begin(struct heard *h, uint32_t proc, uint32_t xid, const char *args)
{
	struct remote_target t = target(proc);
	struct remote_client c = client(xid, 1);
	*h = (struct heard){0};
	remote_call(remote, &t, &c, (const uint8_t *)args, strlen(args), hear, h);
}

static void wait_for(struct heard *h)
{
	uint64_t end = loop_now_ms() + 20000;
	while (!h->times && loop_now_ms() < end)
		(void)loop_run_once(loop, 50);
	ck_assert_uint_eq(h->times, 1);
}

START_TEST(off_is_off)
{
	struct heard h = {0};
	struct remote_stats s;
	set_up(NULL, 1000);
	remote_configure(remote, &(struct remote_config){.enabled = false, .workers = 2, .calls = 8, .calls_per_source = 4});
	begin(&h, PROC_ECHO, 1, "text");
	ck_assert_uint_eq(h.times, 1);
	ck_assert_int_eq(h.status, REMOTE_PROG_UNAVAIL);
	remote_stats(remote, &s);
	ck_assert_uint_eq(s.workers_started, 0);
	tear_down();
}
END_TEST

START_TEST(some_programs_are_never_called)
{
	struct heard h = {0};
	struct remote_client c = client(1, 1);
	set_up(NULL, 1000);
	ck_assert_ptr_nonnull(remote_refuses(100000, 0)); /* the registry not even for nothing */
	ck_assert_ptr_nonnull(remote_refuses(100005, 1));
	ck_assert_ptr_nonnull(remote_refuses(100009, 1));
	ck_assert_ptr_null(remote_refuses(100005, 0));
	ck_assert_ptr_null(remote_refuses(PROG, 1));
	for (uint32_t prog = 100000; prog <= 100005; prog += 5) {
		struct remote_target t = target(PROC_ECHO);
		t.prog = prog;
		h = (struct heard){0};
		remote_call(remote, &t, &c, NULL, 0, hear, &h);
		ck_assert_uint_eq(h.times, 1);
		ck_assert_int_eq(h.status, REMOTE_TOO_WEAK);
	}
	struct remote_target none = target(PROC_ECHO);
	none.port = 0;
	h = (struct heard){0};
	remote_call(remote, &none, &c, NULL, 0, hear, &h);
	ck_assert_int_eq(h.status, REMOTE_PROG_UNAVAIL);
	ck_assert_int_lt((int)recv(server, h.text, sizeof(h.text), MSG_DONTWAIT), 0);
	tear_down();
}
END_TEST

START_TEST(answers_come_back)
{
	struct heard h;
	set_up(NULL, 10000);
	begin(&h, PROC_ECHO, 1, "some text");
	ck_assert_uint_eq(h.times, 0);
	wait_for(&h);
	ck_assert_int_eq(h.status, REMOTE_DONE);
	ck_assert_uint_eq(h.len, 9);
	ck_assert_mem_eq(h.text, "some text", 9);
	ck_assert_uint_eq(last_words[6] | last_words[7] | last_words[8] | last_words[9], 0); /* no credentials */
	ck_assert_uint_ge(ntohs(((struct sockaddr_in *)&last_from)->sin_port), 1024);
	begin(&h, PROC_MISMATCH, 2, "");
	wait_for(&h);
	ck_assert_int_eq(h.status, REMOTE_PROG_MISMATCH);
	ck_assert_uint_eq(h.low, 2);
	ck_assert_uint_eq(h.high, 4);
	begin(&h, PROC_AUTH, 3, "");
	wait_for(&h);
	ck_assert_int_eq(h.status, REMOTE_TOO_WEAK);
	begin(&h, 99, 4, "");
	wait_for(&h);
	ck_assert_int_eq(h.status, REMOTE_PROC_UNAVAIL);
	begin(&h, PROC_LONG, 5, "");
	wait_for(&h);
	ck_assert_int_eq(h.status, REMOTE_SYSTEM_ERR);
	struct remote_target gone = target(PROC_ECHO);
	struct remote_client c = client(6, 1);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)) | getsockname(fd, (struct sockaddr *)&a, &len) | close(fd), 0);
	gone.port = ntohs(a.sin_port);
	h = (struct heard){0};
	remote_call(remote, &gone, &c, NULL, 0, hear, &h);
	wait_for(&h);
	ck_assert_int_eq(h.status, REMOTE_PROG_UNAVAIL); /* nobody is there: known at once */
	tear_down();
}
END_TEST

START_TEST(bounds)
{
	struct heard h[6] = {0}, late;
	struct remote_stats s;
	uint8_t *big = calloc(1, REMOTE_ARGS_MAX + 1);
	set_up(NULL, 800);
	for (unsigned i = 0; i < 5; i++)
		begin(&h[i], PROC_SILENT, i + 1, "");
	ck_assert_uint_eq(h[3].times, 0);
	ck_assert_int_eq(h[4].status, REMOTE_SYSTEM_ERR); /* the fifth of a source */
	begin(&h[5], PROC_SILENT, 2, "");
	ck_assert_int_eq(h[5].status, REMOTE_SILENT); /* a retransmission */
	for (uint8_t host = 2; host < 7; host++) {
		struct remote_target t = target(PROC_SILENT);
		struct remote_client c = client(1, host);
		late = (struct heard){0};
		remote_call(remote, &t, &c, NULL, 0, hear, host < 6 ? NULL : &late); /* those that wait are cancelled next */
		if (host < 6)
			remote_cancel(remote, NULL);
	}
	ck_assert_int_eq(late.status, REMOTE_SYSTEM_ERR); /* the ninth in all */
	remote_stats(remote, &s);
	ck_assert_uint_eq(s.outstanding, 8);
	for (unsigned i = 0; i < 4; i++) {
		wait_for(&h[i]);
		ck_assert_int_eq(h[i].status, REMOTE_SYSTEM_ERR); /* its deadline */
	}
	uint64_t end = loop_now_ms() + 20000;
	for (s.outstanding = 1; s.outstanding && loop_now_ms() < end; remote_stats(remote, &s))
		(void)loop_run_once(loop, 50);
	ck_assert_uint_eq(s.outstanding, 0);
	ck_assert_uint_eq(s.timed_out, 8);
	ck_assert_uint_eq(s.duplicates, 1);
	struct remote_target t = target(PROC_ECHO);
	struct remote_client c = client(9, 1);
	h[0] = (struct heard){0};
	remote_call(remote, &t, &c, big, REMOTE_ARGS_MAX + 1, hear, &h[0]);
	ck_assert_int_eq(h[0].status, REMOTE_SYSTEM_ERR);
	begin(&h[1], PROC_STRANGE, 10, "x"); /* an answer to another call is none */
	wait_for(&h[1]);
	ck_assert_int_eq(h[1].status, REMOTE_SYSTEM_ERR);
	free(big);
	tear_down();
}
END_TEST

static long status_field(pid_t pid, const char *name, int base)
{
	char path[64], text[256];
	long v = -1;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(text, sizeof(text), f))
		if (!strncmp(text, name, strlen(name)) && text[strlen(name)] == ':')
			v = strtol(text + strlen(name) + 1, NULL, base);
	if (f)
		(void)fclose(f);
	return v;
}

/* The only child of this process. */
static pid_t child(void)
{
	char path[64];
	int pid = 0;
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		(void)fclose(f);
	}
	return pid;
}

START_TEST(worker_has_no_authority)
{
	struct heard h;
	int secret = open("/etc/passwd", O_RDONLY);
	set_up(NULL, 10000);
	begin(&h, PROC_ECHO, 1, "");
	wait_for(&h);
	pid_t pid = child();
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(status_field(pid, "CapEff", 16), 0);
	ck_assert_int_eq(status_field(pid, "CapPrm", 16), 0);
	ck_assert_int_eq(status_field(pid, "CapAmb", 16), 0);
	ck_assert_int_eq(status_field(pid, "NoNewPrivs", 10), 1);
	ck_assert_int_eq(status_field(pid, "Seccomp", 10), 2);
	(void)close(secret);
	/* An answer of a worker that dies is an error, and the next call has another. */
	begin(&h, PROC_SILENT, 2, "");
	(void)kill(pid, SIGKILL);
	wait_for(&h);
	ck_assert_int_eq(h.status, REMOTE_SYSTEM_ERR);
	begin(&h, PROC_ECHO, 3, "again");
	wait_for(&h);
	ck_assert_int_eq(h.status, REMOTE_DONE);
	ck_assert_int_ne(child(), pid);
	tear_down();
	ck_assert_int_eq(child(), 0);
}
END_TEST

START_TEST(idle_workers_end)
{
	struct heard h;
	struct remote_stats s;
	set_up(NULL, 10000);
	remote_configure(remote, &(struct remote_config){.enabled = true, .workers = 1, .calls = 1, .calls_per_source = 1, .timeout_ms = 10000, .idle_ms = 100});
	begin(&h, PROC_ECHO, 1, "");
	wait_for(&h);
	uint64_t end = loop_now_ms() + 20000;
	for (s.workers = 1; s.workers && loop_now_ms() < end; remote_stats(remote, &s))
		(void)loop_run_once(loop, 50);
	ck_assert_uint_eq(s.workers, 0);
	ck_assert_int_eq(child(), 0);
	tear_down();
}
END_TEST

static enum remote_status local_call(int64_t uid, uid_t owner, char label[SAF_USER_MAX])
{
	static uint32_t xid;
	struct heard h = {0};
	struct remote_target t = target(PROC_ECHO);
	struct remote_client c = client(++xid, 1);
	t.owner = owner;
	c.who.local = true;
	c.who.uid = uid;
	label[0] = 0;
	memset(&last_from, 0, sizeof(last_from));
	remote_call(remote, &t, &c, (const uint8_t *)"hi", 2, hear, &h);
	struct pollfd p = {.fd = server, .events = POLLIN};
	if (!h.times && poll(&p, 1, 10000) == 1) { /* the server was called, and asks under which label */
		uint8_t peek[64];
		socklen_t len = sizeof(last_from);
		(void)recvfrom(server, peek, sizeof(peek), MSG_PEEK, (struct sockaddr *)&last_from, &len);
		(void)remote_label_of(remote, ntohs(((struct sockaddr_in *)&last_from)->sin_port), label);
	}
	wait_for(&h);
	return h.status;
}

START_TEST(labels_decide)
{
	struct saf_box b;
	char label[SAF_USER_MAX];
	struct remote_stats s;
	box_labels(&b, "SETROPTS MLS(FAILURES)");
	set_up(b.saf, 10000);
	ck_assert_int_eq(local_call(LABEL_UID_UNKNOWN, 7001, label), REMOTE_TOO_WEAK);
	ck_assert_int_eq(local_call(7004, 7001, label), REMOTE_TOO_WEAK);
	ck_assert_int_eq(local_call(7001, 7004, label), REMOTE_TOO_WEAK); /* the server has none */
	ck_assert_int_eq(local_call(7001, 7002, label), REMOTE_TOO_WEAK);
	ck_assert_int_eq(local_call(7003, 7001, label), REMOTE_TOO_WEAK);
	ck_assert_int_eq(local_call(7001, 7003, label), REMOTE_TOO_WEAK); /* writes down */
	remote_stats(remote, &s);
	ck_assert_uint_eq(s.workers_started, 0);
	ck_assert_uint_eq(s.refused_label, 6);
	ck_assert_int_eq(local_call(7001, 7001, label), REMOTE_DONE);
	ck_assert_str_eq(label, "SECRED");
	ck_assert_int_eq(local_call(7002, 7006, label), REMOTE_DONE); /* SYSMULTI serves all */
	ck_assert_str_eq(label, "SECBLUE");
	ck_assert_int_eq(local_call(7003, 7006, label), REMOTE_DONE); /* the third: an idle worker made room */
	ck_assert_str_eq(label, "PUBLIC");
	remote_stats(remote, &s);
	ck_assert_uint_eq(s.workers, 2);
	ck_assert_uint_eq(s.workers_started, 3);
	ck_assert(!remote_label_of(remote, 0, label));
	ck_assert(!remote_label_of(remote, server_port, label));
	tear_down();
	box_close(&b);
}
END_TEST

START_TEST(label_that_cannot_be_carried_makes_no_call)
{
	struct saf_box b;
	char label[SAF_USER_MAX];
	box_labels(&b, "SETROPTS MLACTIVE(FAILURES)");
	set_up(b.saf, 2000);
	struct remote_config c = {.enabled = true, .workers = 2, .calls = 8, .calls_per_source = 4, .timeout_ms = 2000, .idle_ms = 60000, .doi = 0x7ffffff1, .tcpname = "TCPIP"};
	remote_configure(remote, &c);
	ck_assert_int_eq(local_call(7001, 7001, label), REMOTE_SYSTEM_ERR); /* the kernel knows no such DOI, or the worker may not */
	ck_assert_int_eq(last_from.ss_family, 0);
	ck_assert_int_eq(local_call(7006, 7006, label), REMOTE_SYSTEM_ERR); /* SYSMULTI has no level to write */
	ck_assert_int_eq(last_from.ss_family, 0);
	tear_down();
	box_close(&b);
}
END_TEST

START_TEST(answers_are_parsed_with_care)
{
	struct worker_reply m = {0};
	const uint8_t *results = NULL;
	uint8_t good[] = {0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 'o', 'k', '!', '!'};
	for (size_t n = 0; n < 28; n++)
		ck_assert(!worker_parse(good, n, 9, &m, &results));
	ck_assert(!worker_parse(good, sizeof(good), 8, &m, &results));
	ck_assert(worker_parse(good, sizeof(good), 9, &m, &results));
	ck_assert_int_eq(m.status, WORKER_SUCCESS);
	ck_assert_uint_eq(m.len, 4);
	ck_assert_mem_eq(results, "ok!!", 4);
	good[19] = 0xff; /* a verifier longer than the datagram */
	good[18] = 0x01;
	ck_assert(!worker_parse(good, sizeof(good), 9, &m, &results));
	good[16] = 0xff;
	ck_assert(!worker_parse(good, sizeof(good), 9, &m, &results));
	good[7] = 0; /* a call */
	ck_assert(!worker_parse(good, sizeof(good), 9, &m, &results));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("remote");
	TCase *t = tcase_create("remote");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, off_is_off);
	tcase_add_test(t, some_programs_are_never_called);
	tcase_add_test(t, answers_come_back);
	tcase_add_test(t, bounds);
	tcase_add_test(t, worker_has_no_authority);
	tcase_add_test(t, idle_workers_end);
	tcase_add_test(t, labels_decide);
	tcase_add_test(t, label_that_cannot_be_carried_makes_no_call);
	tcase_add_test(t, answers_are_parsed_with_care);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
