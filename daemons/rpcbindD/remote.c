#include "daemons/rpcbindD/crew.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { GRACE_MS = 1000 };

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
	struct worker *w = crew_worker(r, label);
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
		crew_drain(w);
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
	r->sweep = loop_timer_new(l, crew_sweep, r);
	return r;
}

void remote_configure(struct remote *r, const struct remote_config *c)
{
	bool relabel = r->conf.doi != c->doi || !c->enabled;
	zone_free(&r->conf.zones);
	r->conf = *c;
	while (relabel && r->workers) /* they carry the old one */
		crew_end(r->workers);
}

void remote_free(struct remote *r)
{
	if (!r)
		return;
	for (struct call *c = r->calls; c; c = c->next)
		c->fn = NULL;
	while (r->workers)
		crew_end(r->workers);
	loop_timer_free(r->sweep);
	zone_free(&r->conf.zones);
	free(r);
}
