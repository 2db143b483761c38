/* A server of proto/defmgr.proto in a process of its own, whose handlers each do one thing that a test needs:
 *   Add            answers at once               T.{stack|NONE}.CONTROL
 *   Update         never answers, and with a limit keeps the server until server_release   T.NONE.CONTROL
 *   Delete         answers after 50 ms           T.NONE.CONTROL
 *   List           .limit filters with names     T.NONE.CONTROL
 *   UpdateGlobal   publishes .loglimit events    T.NONE.CONTROL
 *   DeleteGlobal   checks T.MORE itself          T.NONE.CONTROL
 *   ForceInactive  ends the process              T.NONE.CONTROL
 *   Stacks         the server's counters         ANY
 * and common.Ping, ANY. */
#pragma once
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/bus/bus.h"
#include "proto/common.pb-c.h"
#include "proto/defmgr.pb-c.h"
#include "tests/support/check_main.h"
#include "tests/unit/lib/bus/fake_saf.h"
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTROL "T.NONE.CONTROL"
enum { OTHER = 65534 };

struct served {
	struct loop *loop;
	struct bus_server *bus;
	struct bus_call *later;
	struct loop_timer *timer;
	unsigned flushed;
};

static char root[64], audit_path[PATH_TEXT_MAX];
static pid_t server_pid;

static void on_add(struct bus_call *c, const ProtobufCMessage *request)
{
	Defmgr__AddReply r = DEFMGR__ADD_REPLY__INIT;
	r.has_added = 1;
	r.added = (uint32_t)((const Defmgr__AddRequest *)request)->n_filters;
	bus_reply(c, &r.base);
}

static void on_never(struct bus_call *c, const ProtobufCMessage *request)
{
	char busy[PATH_TEXT_MAX];
	(void)c;
	(void)path_make(busy, "/busy");
	while (((const Defmgr__UpdateRequest *)request)->has_loglimit && access(busy, F_OK) == 0)
		(void)usleep(2000);
}

static void answer_later(void *arg)
{
	struct served *s = arg;
	Defmgr__ChangeReply r = DEFMGR__CHANGE_REPLY__INIT;
	r.has_changed = 1;
	r.changed = 77;
	bus_reply(s->later, &r.base);
}

static void on_later(struct bus_call *c, const ProtobufCMessage *request)
{
	(void)request;
	struct served *s = bus_call_user(c);
	s->later = c;
	loop_timer_set(s->timer, 50);
}

static void on_list(struct bus_call *c, const ProtobufCMessage *request)
{
	static char name[] = "a filter with a name of some length";
	size_t n = ((const Defmgr__ListRequest *)request)->limit;
	Defmgr__ListReply r = DEFMGR__LIST_REPLY__INIT;
	Defmgr__Filter f = DEFMGR__FILTER__INIT;
	f.name = name;
	r.n_filters = n;
	r.filters = xcalloc(n, sizeof(*r.filters));
	for (size_t i = 0; i < n; i++)
		r.filters[i] = &f;
	bus_reply(c, &r.base);
	free(r.filters);
}

static void on_publish(struct bus_call *c, const ProtobufCMessage *request)
{
	struct served *s = bus_call_user(c);
	Defmgr__ChangeReply r = DEFMGR__CHANGE_REPLY__INIT;
	Defmgr__Filter f = DEFMGR__FILTER__INIT;
	Defmgr__FilterEvent e = DEFMGR__FILTER_EVENT__INIT;
	Defmgr__StackEvent st = DEFMGR__STACK_EVENT__INIT;
	e.filter = &f;
	f.has_id = st.has_filters = 1;
	for (uint32_t i = 1; i <= ((const Defmgr__UpdateRequest *)request)->loglimit; i++) {
		f.id = st.filters = i;
		bus_publish(s->bus, "defmgr.filter.added", &e.base);
	}
	bus_publish(s->bus, "defmgr.stack.installed", &st.base);
	bus_reply(c, &r.base);
}

static void on_more(struct bus_call *c, const ProtobufCMessage *request)
{
	(void)request;
	Defmgr__ChangeReply r = DEFMGR__CHANGE_REPLY__INIT;
	if (bus_call_check(c, "SERVAUTH", "T.MORE", SAF_READ))
		bus_reply(c, &r.base);
}

static void on_fail(struct bus_call *c, const ProtobufCMessage *request)
{
	(void)request;
	bus_fail(c, BUS_NOT_FOUND, "no %s of user %s", "filter", bus_call_subject(c)->user);
}

static void on_exit_now(struct bus_call *c, const ProtobufCMessage *request)
{
	(void)c, (void)request;
	_exit(0);
}

static void on_counters(struct bus_call *c, const ProtobufCMessage *request)
{
	(void)request;
	struct served *s = bus_call_user(c);
	struct bus_stats b;
	bus_server_stats(s->bus, &b);
	const struct {
		const char *name;
		uint64_t value;
	} list[] = {{"requests", b.requests}, {"refused", b.refused}, {"malformed", b.malformed}, {"oversized", b.oversized},
		{"overfull", b.overfull}, {"crowded", b.crowded},
		{"replies_dropped", b.replies_dropped}, {"events", b.events}, {"unauthorized", b.unauthorized},
		{"subscriptions_refused", b.subscriptions_refused}, {"flushed", s->flushed}};
	enum { N = sizeof(list) / sizeof(list[0]) };
	Defmgr__StacksReply r = DEFMGR__STACKS_REPLY__INIT;
	Defmgr__StacksReply__Stack stacks[N], *at[N];
	for (unsigned i = 0; i < N; i++) {
		at[i] = &stacks[i];
		defmgr__stacks_reply__stack__init(at[i]);
		stacks[i].name = (char *)(uintptr_t)list[i].name;
		stacks[i].has_filters = 1;
		stacks[i].filters = (uint32_t)list[i].value;
	}
	r.stacks = at;
	r.n_stacks = N;
	bus_reply(c, &r.base);
}

#define ROW(name, resource, req, rep, fn) {name, "SERVAUTH", resource, SAF_READ, &req##__descriptor, &rep##__descriptor, fn}
static const struct bus_method methods[] = {
	ROW("Add", "T.{stack|NONE}.CONTROL", defmgr__add_request, defmgr__add_reply, on_add),
	{"AddGlobal", "AUDITED", CONTROL, SAF_READ, &defmgr__add_request__descriptor, &defmgr__add_reply__descriptor, on_add},
	ROW("Update", CONTROL, defmgr__update_request, defmgr__change_reply, on_never),
	ROW("UpdateGlobal", CONTROL, defmgr__update_request, defmgr__change_reply, on_publish),
	ROW("Delete", CONTROL, defmgr__delete_request, defmgr__change_reply, on_later),
	ROW("DeleteGlobal", CONTROL, defmgr__delete_request, defmgr__change_reply, on_more),
	ROW("List", CONTROL, defmgr__list_request, defmgr__list_reply, on_list),
	ROW("ListGlobal", CONTROL, defmgr__list_request, defmgr__list_reply, on_fail),
	ROW("Stacks", "ANY", common__empty, defmgr__stacks_reply, on_counters),
	ROW("ForceInactive", CONTROL, defmgr__force_inactive_request, defmgr__change_reply, on_exit_now),
	{0},
};
static const struct bus_event events[] = {
	{"defmgr.filter.added", &defmgr__filter_event__descriptor, "SERVAUTH", "T.FILTER.EVENTS"},
	{"defmgr.stack.installed", &defmgr__stack_event__descriptor, "SERVAUTH", "T.STACK.EVENTS"},
	{0},
};

/* The service that the rows above answer, by hand: proto/defmgr.proto's own may grow. */
#define RPC(name, req, rep) {name, &req##__descriptor, &rep##__descriptor}
static const ProtobufCMethodDescriptor rpcs[] = {
	RPC("Add", defmgr__add_request, defmgr__add_reply),
	RPC("AddGlobal", defmgr__add_request, defmgr__add_reply),
	RPC("Delete", defmgr__delete_request, defmgr__change_reply),
	RPC("DeleteGlobal", defmgr__delete_request, defmgr__change_reply),
	RPC("ForceInactive", defmgr__force_inactive_request, defmgr__change_reply),
	RPC("List", defmgr__list_request, defmgr__list_reply),
	RPC("ListGlobal", defmgr__list_request, defmgr__list_reply),
	RPC("Stacks", common__empty, defmgr__stacks_reply),
	RPC("Update", defmgr__update_request, defmgr__change_reply),
	RPC("UpdateGlobal", defmgr__update_request, defmgr__change_reply),
};
static const unsigned rpcs_by_name[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
static const ProtobufCServiceDescriptor service = {.magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC, .name = "defmgr.Test",
	.package = "defmgr", .n_methods = 10, .methods = rpcs, .method_indices_by_name = rpcs_by_name};

static void on_ping(struct bus_call *c, const ProtobufCMessage *request)
{
	(void)request;
	struct served *s = bus_call_user(c);
	Common__PingReply r = COMMON__PING_REPLY__INIT;
	r.has_boot_id = true;
	r.boot_id = bus_server_boot_id(s->bus);
	bus_reply(c, &r.base);
}

static const ProtobufCMethodDescriptor ping_rpcs[] = {RPC("Ping", common__empty, common__ping_reply)};
static const unsigned ping_by_name[] = {0};
static const ProtobufCServiceDescriptor ping_service = {.magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC, .name = "common.Test",
	.package = "common", .n_methods = 1, .methods = ping_rpcs, .method_indices_by_name = ping_by_name};
static const struct bus_method ping_methods[] = {ROW("Ping", "ANY", common__empty, common__ping_reply, on_ping), {0}};

static void on_flush(void *arg)
{
	((struct served *)arg)->flushed++;
}

static inline struct bus_server_spec server_spec(struct served *s)
{
	return (struct bus_server_spec){.name = "testD", .service = &service, .methods = methods,
		.events = events, .saf = fake_saf, .user = s, .flush = on_flush};
}

static void serve(int ready)
{
	struct served s = {.loop = loop_new()};
	struct bus_server_spec spec = server_spec(&s);
	struct errbuf e = {""};
	spec.extra_service = &ping_service;
	spec.extra_methods = ping_methods;
	spec.extra_user = &s;
	(void)signal(SIGTERM, SIG_DFL); /* Check's handler ends the test itself */
	(void)audit_open(audit_path, "testD", &spec.audit);
	s.timer = loop_timer_new(s.loop, answer_later, &s);
	int r = bus_server_new(s.loop, &spec, &s.bus, &e);
	if (r)
		(void)fprintf(stderr, "server: %s\n", e.text);
	if (write(ready, &r, sizeof(r)) != sizeof(r) || r)
		_exit(1);
	(void)loop_run(s.loop);
	_exit(0);
}

static inline void on_no_answer(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	(void)arg, (void)code, (void)text, (void)reply;
}

/* Returns what bus_server_new said in the child (as @uid). */
static int server_start_as(uid_t uid, pid_t *ret_pid)
{
	int fds[2], r = -1;
	ck_assert_int_eq(pipe(fds), 0);
	*ret_pid = fork();
	if (!*ret_pid) {
		(void)close(fds[0]);
		if (uid && setresuid(uid, uid, uid) != 0)
			_exit(2);
		serve(fds[1]);
	}
	(void)close(fds[1]);
	if (read(fds[0], &r, sizeof(r)) != sizeof(r))
		r = -EPIPE;
	(void)close(fds[0]);
	return r;
}

static void server_start(void)
{
	ck_assert_int_eq(server_start_as(0, &server_pid), 0);
}

static void server_stop(int signo)
{
	if (server_pid <= 0)
		return;
	(void)kill(server_pid, signo);
	(void)waitpid(server_pid, NULL, 0);
	server_pid = 0;
}

/* The server's loop takes nothing from now on until it is released; libzmq's thread goes on. */
static inline struct bus_client *server_occupy(struct loop *l)
{
	Defmgr__UpdateRequest r = DEFMGR__UPDATE_REQUEST__INIT;
	char busy[PATH_TEXT_MAX];
	FILE *f = fopen(path_make(busy, "/busy"), "we");
	ck_assert_ptr_nonnull(f);
	(void)fclose(f);
	struct bus_client *c = bus_client_new(l, "testD");
	r.has_loglimit = true;
	bus_client_call(c, "defmgr.Update", &r.base, &defmgr__change_reply__descriptor, 60000, on_no_answer, NULL);
	for (uint64_t end = loop_now_ms() + 500; loop_now_ms() < end;)
		(void)loop_run_once(l, 50);
	return c;
}

static inline void server_release(void)
{
	char busy[PATH_TEXT_MAX];
	(void)unlink(path_make(busy, "/busy"));
}

static inline size_t server_resident(void)
{
	char path[64];
	unsigned long pages = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)server_pid);
	FILE *s = fopen(path, "re");
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(fscanf(s, "%*u %lu", &pages), 1);
	(void)fclose(s);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void bus_setup(void)
{
	strcpy(root, "/tmp/rv-bus-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	(void)chmod(root, 0755);
	path_set_root(root);
	(void)path_make(audit_path, "/audit");
	fake_saf_reset();
	fake_saf_rule(0, CONTROL, true);
	fake_saf_rule(0, "T.FILTER.EVENTS", true);
	fake_saf_rule(0, "T.STACK.EVENTS", true);
}

static void bus_teardown(void)
{
	char command[128];
	server_stop(SIGKILL);
	(void)snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

/* Runs @fn in a child with @uid; true when it returned true. */
static inline bool as_uid(uid_t uid, bool (*fn)(void))
{
	int status;
	pid_t pid = fork();
	if (!pid)
		_exit(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0 && fn() ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static inline enum bus_code call_text(const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, unsigned ms, ProtobufCMessage **ret, struct errbuf *e)
{
	struct bus_client *c = bus_client_new(NULL, "testD");
	ProtobufCMessage *m = NULL;
	enum bus_code code = bus_client_call_sync(c, method, request, reply, ms, &m, e);
	bus_client_free(c);
	if (ret)
		*ret = m;
	else if (m)
		protobuf_c_message_free_unpacked(m, NULL);
	return code;
}

static inline enum bus_code call_add(const char *stack, struct errbuf *e)
{
	Defmgr__AddRequest r = DEFMGR__ADD_REQUEST__INIT;
	r.stack = (char *)(uintptr_t)stack;
	return call_text("defmgr.Add", &r.base, &defmgr__add_reply__descriptor, 5000, NULL, e);
}

static inline uint32_t counter(const char *name)
{
	Common__Empty r = COMMON__EMPTY__INIT;
	ProtobufCMessage *m;
	struct errbuf e;
	uint32_t v = UINT32_MAX;
	if (call_text("defmgr.Stacks", &r.base, &defmgr__stacks_reply__descriptor, 5000, &m, &e) != BUS_OK)
		return v;
	Defmgr__StacksReply *s = (Defmgr__StacksReply *)m;
	for (size_t i = 0; i < s->n_stacks; i++)
		if (!strcmp(s->stacks[i]->name, name))
			v = s->stacks[i]->filters;
	protobuf_c_message_free_unpacked(m, NULL);
	return v;
}

static inline enum bus_code publish(uint32_t n)
{
	Defmgr__UpdateRequest r = DEFMGR__UPDATE_REQUEST__INIT;
	struct errbuf e;
	r.has_loglimit = 1;
	r.loglimit = n;
	return call_text("defmgr.UpdateGlobal", &r.base, &defmgr__change_reply__descriptor, 20000, NULL, &e);
}

static inline bool audit_has(const char *text)
{
	static char buf[1 << 20];
	FILE *f = fopen(audit_path, "re");
	size_t n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;
	buf[n] = 0;
	if (f)
		(void)fclose(f);
	return strstr(buf, text) != NULL;
}
