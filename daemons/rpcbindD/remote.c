#include "daemons/rpcbindD/remote.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RPCBIND_PROG = 100000, SWEEP_MS = 250, GRACE_MS = 1000 };

struct worker {
	struct worker *next;
	struct remote *remote;
	char label[SAF_USER_MAX]; /* "": without labels */
	pid_t pid;
	int channel;
	struct loop_fd *watch;
	uint64_t used;
	unsigned calls;
};

struct call {
	struct call *next;
	uint64_t id, deadline;
	struct worker *worker;
	struct addr client;
	uint16_t client_port, port; /* .port: the worker's; 0 until it says so */
	uint32_t xid;
	remote_fn fn; /* NULL: nobody waits any more */
	void *arg;
};

struct remote {
	struct loop *loop;
	struct saf *saf;
	char sysname[ZONE_NAME_MAX];
	struct remote_config conf;
	struct worker *workers;
	struct call *calls;
	struct loop_timer *sweep;
	uint64_t next_id;
	unsigned draining; /* messages are being taken: what an answer sets off may call again, but ends no worker */
	struct remote_stats stats;
};

/* Programs whose word is worth more from this host than from elsewhere: a call that we pass on would come from here. The
 * NULL procedure, which does nothing, may be called of each: "rpcinfo -b" finds servers by it. */
static const struct {
	uint32_t prog;
	const char *why;
} refused[] = {
	{100003, "nfs: exports to this host would be read and written for others"},
	{100004, "ypserv: maps are served by source address"},
	{100005, "mountd: file handles are given out by source address"},
	{100007, "ypbind: a domain may be set from this host only"},
	{100009, "yppasswdd: passwords"},
	{100017, "rexd: runs commands"},
	{100021, "nlockmgr: locks of this host's own clients"},
	{100024, "status: lock recovery trusts notices of this host"},
	{100026, "bootparamd: names the root file system of a diskless host"},
	{100028, "ypupdated: changes maps"},
	{100029, "keyserv: secret keys of local users"},
	{100069, "ypxfrd: transfers whole maps"},
	{100083, "ttdbserverd: writes files"},
	{100099, "autofs: mounts for this host only"},
	{100133, "nsm_addrand: a notice of the kernel's lock manager"},
	{100227, "nfs_acl: rights of files"},
	{100300, "nisd: a name service that knows its callers by address"},
	{100303, "nispasswdd: passwords"},
};

const char *remote_refuses(uint32_t prog, uint32_t proc)
{
	if (prog == RPCBIND_PROG)
		return "rpcbind: a registry that calls itself, from its own address, registers for everybody";
	for (size_t i = 0; proc && i < sizeof(refused) / sizeof(refused[0]); i++)
		if (refused[i].prog == prog)
			return refused[i].why;
	return NULL;
}

/* --- workers --- */

static void answer(struct call *c, const struct remote_answer *a)
{
	if (c->fn)
		c->fn(c->arg, a);
	c->fn = NULL;
}

/* Takes it out of the list and off its worker; the caller frees it. */
static void unlink_call(struct remote *r, struct call *c)
{
	for (struct call **p = &r->calls; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	c->worker->calls--;
	r->stats.outstanding--;
}

static void end_call(struct remote *r, struct call *c, const struct remote_answer *a)
{
	unlink_call(r, c);
	answer(c, a);
	free(c);
}

static void end_worker(struct worker *w)
{
	struct remote *r = w->remote;
	for (struct worker **p = &r->workers; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			break;
		}
	loop_fd_free(w->watch);
	(void)close(w->channel);
	(void)kill(w->pid, SIGKILL);
	(void)waitpid(w->pid, NULL, 0);
	r->stats.workers--;
	for (struct call *c = r->calls, *next; c; c = next) {
		next = c->next;
		if (c->worker == w) {
			static const struct remote_answer failed = {.status = REMOTE_SYSTEM_ERR, .why = "its worker ended"};
			end_call(r, c, &failed);
			next = r->calls; /* what ran may have ended others */
		}
	}
	free(w);
}

static struct call *find_call(const struct remote *r, const struct worker *w, uint64_t id)
{
	for (struct call *c = r->calls; c; c = c->next)
		if (c->id == id && c->worker == w)
			return c;
	return NULL;
}

static void finished(struct remote *r, struct call *c, const struct worker_reply *m, const uint8_t *results)
{
	static const enum remote_status of[] = {REMOTE_DONE, REMOTE_PROG_UNAVAIL, REMOTE_PROG_MISMATCH, REMOTE_PROC_UNAVAIL, REMOTE_GARBAGE_ARGS,
		REMOTE_SYSTEM_ERR, REMOTE_TOO_WEAK, REMOTE_SYSTEM_ERR, REMOTE_SYSTEM_ERR};
	struct remote_answer a = {.status = m->status < sizeof(of) / sizeof(of[0]) ? of[m->status] : REMOTE_SYSTEM_ERR,
		.low = m->low, .high = m->high, .results = results, .len = m->len};
	r->stats.answered += a.status == REMOTE_DONE;
	r->stats.failed += a.status != REMOTE_DONE;
	r->stats.timed_out += m->status == WORKER_TIMEOUT;
	if (m->status == WORKER_TIMEOUT)
		a.why = "the server did not answer in time";
	end_call(r, c, &a);
}

/* One message of a worker; false when none is there, or it was the last. */
static bool take(struct worker *w)
{
	uint8_t text[sizeof(struct worker_reply) + WORKER_DATA_MAX];
	struct worker_reply m;
	ssize_t n = recv(w->channel, text, sizeof(text), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < (ssize_t)sizeof(m)) {
		end_worker(w);
		return false;
	}
	memcpy(&m, text, sizeof(m));
	struct call *c = find_call(w->remote, w, m.id);
	if (m.len != (size_t)n - sizeof(m) || !c)
		return true;
	if (m.kind == WORKER_PORT)
		c->port = m.port;
	else
		finished(w->remote, c, &m, text + sizeof(m));
	return true;
}

static void drain(struct worker *w)
{
	struct remote *r = w->remote;
	r->draining++;
	for (int budget = WORKER_CALLS * 4; budget && take(w); budget--)
		;
	r->draining--;
}

static void on_worker(void *arg, int fd, unsigned events)
{
	(void)fd, (void)events;
	drain(arg);
}

static void on_sweep(void *arg)
{
	struct remote *r = arg;
	uint64_t now = loop_now_ms();
	for (struct call *c = r->calls, *next; c; c = next) {
		next = c->next;
		if (c->deadline <= now) { /* a worker that does not keep time is not trusted further */
			end_worker(c->worker);
			next = r->calls;
		}
	}
	for (struct worker *w = r->workers, *next; w; w = next) {
		next = w->next;
		if (!w->calls && now - w->used >= r->conf.idle_ms)
			end_worker(w);
	}
	if (r->workers)
		loop_timer_set(r->sweep, SWEEP_MS);
}

/* false: the label cannot be written, so that nothing may go out under it. */
static bool make_label(struct remote *r, const char *name, struct worker_label *out)
{
	struct saf_label value;
	*out = (struct worker_label){.carried = name[0] && r->conf.doi};
	if (!out->carried)
		return true;
	if (saf_label_value(r->saf, name, &value))
		return false;
	int v4 = label_to_cipso(&value, r->conf.doi, out->v4), v6 = label_to_calipso(&value, r->conf.doi, out->v6);
	out->v4_len = v4 > 0 ? (unsigned)v4 : 0;
	out->v6_len = v6 > 0 ? (unsigned)v6 : 0;
	return v4 > 0 || v6 > 0;
}

/* Room for one more, by ending the one that has been idle longest. */
static bool make_room(struct remote *r)
{
	struct worker *oldest = NULL;
	if (r->stats.workers < r->conf.workers)
		return true;
	for (struct worker *w = r->workers; w && !r->draining; w = w->next)
		if (!w->calls && (!oldest || w->used < oldest->used))
			oldest = w;
	if (oldest)
		end_worker(oldest);
	return oldest;
}

static struct worker *worker_for(struct remote *r, const char *name)
{
	struct worker_label label;
	for (struct worker *w = r->workers; w; w = w->next)
		if (strcmp(w->label, name) == 0)
			return w;
	if (!make_label(r, name, &label) || !make_room(r))
		return NULL;
	struct worker *w = xnew(struct worker);
	if (worker_start(&label, &w->pid, &w->channel)) {
		free(w);
		return NULL;
	}
	w->remote = r;
	memcpy(w->label, name, strlen(name) + 1);
	w->watch = loop_fd_new(r->loop, w->channel, LOOP_READ, on_worker, w);
	w->next = r->workers;
	r->workers = w;
	r->stats.workers++;
	r->stats.workers_started++;
	loop_timer_set(r->sweep, SWEEP_MS);
	return w;
}

/* --- calls --- */

/* The label of this call in @out, "" without multilevel security; or why there is none. */
static const char *choose_label(struct remote *r, const struct remote_target *t, const struct remote_client *c, char out[SAF_USER_MAX])
{
	char server[SAF_USER_MAX];
	struct label_source s = {.saf = r->saf, .zones = &r->conf.zones, .sysname = r->sysname, .tcpname = r->conf.tcpname, .doi = r->conf.doi};
	out[0] = 0;
	if (!r->saf || !saf_mls(r->saf))
		return NULL;
	int rc = label_of_client(&s, &c->who, out);
	if (rc)
		return rc == -EACCES ? "the client's packet carries a label that its zone does not permit" : "the client has no security label";
	if (label_of_server(r->saf, t->owner, server))
		return "the server's user has no security label";
	return saf_label_permits(r->saf, out, server, SAF_UPDATE) ? NULL : "the client's label does not permit a call at the server's";
}

static unsigned from_source(const struct remote *r, const struct remote_client *c, bool *ret_same)
{
	unsigned n = 0;
	for (const struct call *k = r->calls; k; k = k->next)
		if (addr_equal(&k->client, &c->who.addr)) {
			n++;
			if (c->port && k->client_port == c->port && k->xid == c->xid)
				*ret_same = true;
		}
	return n;
}

/* What ends a call before it begins. */
static bool stopped(struct remote *r, const struct remote_target *t, const struct remote_client *c, size_t len, struct remote_answer *a)
{
	bool same = false;
	if (!r->conf.enabled) {
		*a = (struct remote_answer){.status = REMOTE_PROG_UNAVAIL, .why = "RemoteCalls no"};
		return true;
	}
	a->why = remote_refuses(t->prog, t->proc);
	if (a->why) {
		r->stats.refused_program++;
		a->status = REMOTE_TOO_WEAK;
		return true;
	}
	if (!t->port || (t->addr.family != 4 && t->addr.family != 6)) {
		a->status = REMOTE_PROG_UNAVAIL;
		return true;
	}
	unsigned n = from_source(r, c, &same);
	if (same) {
		r->stats.duplicates++;
		a->status = REMOTE_SILENT;
		return true;
	}
	if (n >= r->conf.calls_per_source || r->stats.outstanding >= r->conf.calls || len > REMOTE_ARGS_MAX) {
		r->stats.refused_limit++;
		*a = (struct remote_answer){.status = REMOTE_SYSTEM_ERR, .why = "too many calls wait, or the arguments are too long"};
		return true;
	}
	return false;
}

static bool hand_over(struct call *k, const struct remote_target *t, unsigned timeout_ms, const uint8_t *args, size_t len)
{
	struct worker_call m;
	memset(&m, 0, sizeof(m)); /* also what lies between the fields: it goes to another process */
	m.id = k->id;
	m.prog = t->prog;
	m.vers = t->vers;
	m.proc = t->proc;
	m.timeout_ms = timeout_ms;
	m.len = (uint32_t)len;
	m.to = t->addr;
	m.port = t->port;
	struct iovec parts[2] = {{&m, sizeof(m)}, {(void *)(uintptr_t)args, len}};
	struct msghdr h = {.msg_iov = parts, .msg_iovlen = len ? 2 : 1};
	return sendmsg(k->worker->channel, &h, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)(sizeof(m) + len);
}

void remote_call(struct remote *r, const struct remote_target *t, const struct remote_client *c, const uint8_t *args, size_t len,
	remote_fn fn, void *arg)
{
	char label[SAF_USER_MAX];
	struct remote_answer a = {0};
	r->stats.calls++;
	if (stopped(r, t, c, len, &a)) {
		fn(arg, &a);
		return;
	}
	a.why = choose_label(r, t, c, label);
	if (a.why) {
		r->stats.refused_label++;
		a.status = REMOTE_TOO_WEAK;
		fn(arg, &a);
		return;
	}
	struct worker *w = worker_for(r, label);
	struct call *k = xnew(struct call);
	*k = (struct call){.next = r->calls, .id = ++r->next_id, .deadline = loop_now_ms() + r->conf.timeout_ms + GRACE_MS, .worker = w,
		.client = c->who.addr, .client_port = c->port, .xid = c->xid, .fn = fn, .arg = arg};
	if (!w || !hand_over(k, t, r->conf.timeout_ms, args, len)) {
		free(k);
		r->stats.refused_limit++;
		a = (struct remote_answer){.status = REMOTE_SYSTEM_ERR, .why = "no worker takes the call"};
		fn(arg, &a);
		return;
	}
	r->calls = k;
	w->calls++;
	w->used = loop_now_ms();
	r->stats.outstanding++;
}

void remote_cancel(struct remote *r, void *arg)
{
	for (struct call *c = r->calls; c; c = c->next)
		if (c->arg == arg)
			c->fn = NULL;
}

bool remote_label_of(struct remote *r, uint16_t port, char ret_label[SAF_USER_MAX])
{
	/* A worker says its port before it calls: whoever was called and asks finds it, once what waits here is read. */
	for (struct worker *w = r->workers, *next; w; w = next) {
		next = w->next;
		drain(w);
	}
	for (const struct call *c = r->calls; port && c; c = c->next)
		if (c->port == port && c->worker->label[0]) {
			memcpy(ret_label, c->worker->label, SAF_USER_MAX);
			return true;
		}
	return false;
}

void remote_stats(const struct remote *r, struct remote_stats *ret)
{
	*ret = r->stats;
}

struct remote *remote_new(struct loop *l, struct saf *saf, const char *sysname)
{
	struct remote *r = xnew(struct remote);
	r->loop = l;
	r->saf = saf;
	(void)snprintf(r->sysname, sizeof(r->sysname), "%s", sysname);
	r->sweep = loop_timer_new(l, on_sweep, r);
	return r;
}

void remote_configure(struct remote *r, const struct remote_config *c)
{
	bool relabel = r->conf.doi != c->doi || !c->enabled;
	zone_free(&r->conf.zones);
	r->conf = *c;
	while (relabel && r->workers) /* they carry the old one */
		end_worker(r->workers);
}

void remote_free(struct remote *r)
{
	if (!r)
		return;
	for (struct call *c = r->calls; c; c = c->next)
		c->fn = NULL;
	while (r->workers)
		end_worker(r->workers);
	loop_timer_free(r->sweep);
	zone_free(&r->conf.zones);
	free(r);
}
