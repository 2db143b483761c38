/* ports: PORT statements between the profile, SAF and the kernel's tables (port/control.h), and netstat -o's table. */
#include "daemons/stack-core/ports.h"
#include "daemons/stack-core/core.h"
#include "lib/base/xalloc.h"
#include "lib/bus/authority.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include "proto/stack.pb-c.h"
#include <netinet/in.h>
#include <string.h>

struct core_ports {
	struct port_control *control; /* NULL: not attached yet */
	const struct port_table *table;
	bool told; /* that it is not enforced */
	struct log_limit limit, denied_limit;
	struct bus_stats stats;
	uint64_t denied, destroyed, destroy_failed, saf_changes;
};

static const char *pins(void)
{
	const char *dir = getenv("RAVELIN_PORT_PINS");
	return dir && *dir ? dir : PORT_PINS;
}

/* The question that the kernel answered from its tables is asked again, for the record: ICH408I line and SMF type 80. */
static void saf_record(struct core *k, const struct port_event *e, char reason[SAF_REASON_MAX])
{
	struct core_ports *p = k->ports;
	struct authority a = {k->daemon->saf, k->daemon->audit, &p->limit, &p->stats};
	struct saf_subject who;
	char resource[SAF_RESOURCE_MAX];

	if (!e->saf || e->saf > p->table->n_resources)
		return;
	(void)port_control_resource(k->daemon->sysname, k->stack->name, p->table->resources[e->saf - 1], resource);
	authority_subject(&a, e->uid, &who);
	struct question q = {&who, "SERVAUTH", resource, SAF_READ, e->listening ? "listen" : "bind", (pid_t)e->pid, false};
	(void)authority_check(&a, &q, reason);
}

static void record(struct core *k, const struct port_event *e, const char *job, const char *why)
{
	struct json *j = audit_begin(k->daemon->audit, AUDIT_RACF, 2, 1);

	json_kv_u64(j, "uid", e->uid);
	json_kv_u64(j, "pid", e->pid);
	json_kv_str(j, "what", e->listening ? "listen" : "bind");
	json_kv_u64(j, "port", e->port);
	json_kv_str(j, "protocol", e->protocol == IPPROTO_TCP ? "TCP" : "UDP");
	json_kv_str(j, "job", job);
	json_kv_str(j, "reason", why);
	(void)audit_commit(k->daemon->audit);
}

static void publish(struct core *k, const struct port_event *e, const char *job, const char *why)
{
	Stack__PortDenied m = STACK__PORT_DENIED__INIT;
	char comm[sizeof(e->comm) + 1] = "";

	memcpy(comm, e->comm, sizeof(e->comm));
	for (char *c = comm; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?'; /* the program chose it */
	m.has_port = m.has_uid = m.has_pid = m.has_listening = m.has_family = true;
	m.port = e->port;
	m.uid = e->uid;
	m.pid = e->pid;
	m.listening = e->listening;
	m.family = e->family;
	m.protocol = (char *)(e->protocol == IPPROTO_TCP ? "TCP" : "UDP");
	m.job = (char *)job;
	m.command = comm;
	m.why = (char *)why;
	if (e->saf && e->saf <= k->ports->table->n_resources)
		m.saf_name = k->ports->table->resources[e->saf - 1];
	bus_publish(k->daemon->bus, "stack.port.denied", &m.base);
}

static void tell(struct core *k, const struct port_event *e)
{
	struct core_ports *p = k->ports;
	char job[PORT_JOB + 1] = "", reason[SAF_REASON_MAX] = "";
	uint32_t suppressed = 0;

	memcpy(job, e->job, PORT_JOB);
	p->denied++;
	if (e->why == PORT_SAF)
		saf_record(k, e, reason);
	const char *why = *reason ? reason : port_why_text(e->why);
	if (!*reason)
		record(k, e, job, why);
	if (log_limit_ok(&p->denied_limit, loop_now_ms(), 20, 1000, &suppressed))
		log_notice("port access refused", "port", log_u64(e->port), "protocol", e->protocol == IPPROTO_TCP ? "TCP" : "UDP", "uid",
			log_u64(e->uid), "pid", log_u64(e->pid), "job", job, "at", e->listening ? "listen" : "bind", "reason", why,
			"suppressed", log_u64(suppressed));
	publish(k, e, job, why);
}

static void on_denied(void *arg, const struct port_event *e)
{
	struct core *k = arg;
	struct core_ports *p = k->ports;

	if (!p->table)
		return;
	if (e->listening) { /* first of all: it listens already */
		int r = port_destroy_listener(e->port, e->cookie);
		p->destroyed += r == 0;
		p->destroy_failed += r < 0 && r != -ENOENT;
		if (r < 0 && r != -ENOENT)
			log_error("a listener that is not allowed could not be ended", "port", log_u64(e->port), "reason", strerror(-r));
	}
	tell(k, e);
}

static bool saf_permits(struct core *k, uid_t uid, const char *saf)
{
	struct saf_subject who;
	char resource[SAF_RESOURCE_MAX];
	bool revoked = false;

	(void)port_control_resource(k->daemon->sysname, k->stack->name, saf, resource);
	return k->daemon->saf && !saf_user_by_uid(k->daemon->saf, uid, &who, &revoked) && !revoked &&
		saf_check(k->daemon->saf, &who, "SERVAUTH", resource, SAF_READ, NULL) == SAF_ALLOWED;
}

/* The listen that ravelin-portrun holds up is decided as the kernel decides (port_table_decide is its specification). */
void method_port_check(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__PortCheckRequest *q = (const Stack__PortCheckRequest *)request;
	struct core *k = ((struct daemon *)bus_call_user(call))->state;
	Stack__PortCheckReply reply = STACK__PORT_CHECK_REPLY__INIT;
	struct port_event e = {.protocol = IPPROTO_TCP, .listening = 1};
	char job[PORT_JOB + 1] = "";
	enum port_why why = PORT_ALLOWED;

	if (!q->has_port || !q->port || q->port > 65535 || !q->has_uid || (q->job && strlen(q->job) > PORT_JOB)) {
		bus_fail(call, BUS_INVALID, "port, uid and a job name of at most %d characters are needed", PORT_JOB);
		return;
	}
	if (k->ports && k->ports->table) {
		if (q->job)
			memcpy(job, q->job, strlen(q->job));
		if (k->ports->control)
			(void)port_control_exe(k->ports->control, q->exe_inode, q->exe_device, job);
		const struct port_stmt *s = port_table_decide(k->ports->table, PORT_TCP, (uint16_t)q->port, job, q->uid, true, &why);
		if (s && why == PORT_ALLOWED && s->saf[0] && !saf_permits(k, q->uid, s->saf)) {
			why = PORT_SAF;
			e.saf = port_table_resource(k->ports->table, s->saf);
		}
	}
	if (why != PORT_ALLOWED) {
		e.why = (uint8_t)why;
		e.port = (uint16_t)q->port;
		e.uid = q->uid;
		e.pid = q->pid;
		e.family = q->family == 6 ? 6 : 4;
		memcpy(e.job, job, PORT_JOB);
		tell(k, &e);
	}
	reply.has_allowed = true;
	reply.allowed = why == PORT_ALLOWED;
	reply.why = (char *)(uintptr_t)port_why_text(why);
	bus_reply(call, &reply.base);
}

static int attach(struct core *k, struct errbuf *e)
{
	struct core_ports *p = k->ports;

	if (!p->control) {
		int r = port_control_open(k->daemon->loop, pins(), k->stack->name, on_denied, k, e, &p->control);
		if (r < 0)
			return r;
	}
	int r = port_control_apply(p->control, p->table, k->daemon->saf, k->daemon->sysname, k->stack->name, e);
	if (!r)
		log_notice("port access is controlled", "statements", log_u64(p->table ? p->table->n : 0));
	return r;
}

int ports_apply(struct core *k, const struct port_table *t, struct errbuf *e)
{
	struct errbuf why = {""};

	if (!k->ports) {
		if (!t)
			return 0;
		k->ports = xnew(struct core_ports);
	}
	const struct port_table *old = k->ports->table;
	k->ports->table = t;
	int r = attach(k, &why);
	if (!r)
		return 0;
	if (!k->ports->control) { /* not attached: the stack runs, and says that ports are open */
		if (!k->ports->told)
			log_error("PORT statements are not enforced", "reason", why.text);
		k->ports->told = true;
		return 0;
	}
	k->ports->table = old;
	return err_set(e, -r, "%s", why.text);
}

void ports_second(struct core *k)
{
	struct errbuf e = {""};

	if (k->ports && k->ports->table && !k->ports->control)
		(void)attach(k, &e);
}

void ports_follow(struct core *k)
{
	struct core_ports *p = k->ports;
	unsigned changed = 0;

	if (!p || !p->table || !p->control)
		return;
	if (port_control_follow(p->control, k->daemon->saf, &changed) < 0)
		log_error("port access: users could not all be changed in the kernel's table");
	p->saf_changes += changed;
}

void ports_free(struct core *k)
{
	if (!k->ports)
		return;
	port_control_free(k->ports->control);
	free(k->ports);
	k->ports = NULL;
}

void ports_stats(struct core *k, uint64_t ret[PORT_COUNTS])
{
	memset(ret, 0, PORT_COUNTS * sizeof(*ret));
	if (k->ports && k->ports->control)
		port_control_counts(k->ports->control, ret);
}

/* netstat -o's flags (zos.md section 8). */
static void flags_of(const struct port_table *t, const struct port_stmt *s, char out[16])
{
	size_t n = 0;

	if (s->autolog && !s->unrsv)
		out[n++] = 'A';
	if (s->bind.family)
		out[n++] = 'B';
	if (s->delayacks && !s->unrsv && s->protocol == PORT_TCP)
		out[n++] = 'D';
	if (s->saf[0])
		out[n++] = 'F';
	if (s->unrsv && s->protocol == PORT_TCP && !t->when_bind)
		out[n++] = 'L';
	if (s->range)
		out[n++] = 'R';
	if (s->shareport || s->shareport_wlm)
		out[n++] = 'S';
	if (s->use == PORT_USE_RESERVED)
		out[n++] = 'U';
	if (s->unrsv && (s->protocol == PORT_UDP || t->when_bind))
		out[n++] = 'W';
	if (s->deny)
		out[n++] = 'X';
	out[n] = 0;
}

struct port_row {
	Stack__Port m;
	char job[PORT_JOB + 2], flags[16], bind[ADDR_TEXT_MAX];
};

static void fill(const struct port_table *t, const struct port_stmt *s, struct port_row *row)
{
	Stack__Port *m = &row->m;

	stack__port__init(m);
	m->has_unrsv = m->has_first = m->has_last = true;
	m->unrsv = s->unrsv;
	m->first = s->unrsv ? 0 : s->first;
	uint32_t last = (uint32_t)s->first + s->count - 1;
	m->last = s->unrsv ? 0 : last > 65535 ? 65535 : last;
	m->protocol = (char *)(s->protocol == PORT_TCP ? "TCP" : "UDP");
	(void)snprintf(row->job, sizeof(row->job), "%s%s", s->job, s->partial ? "*" : "");
	m->user = s->use == PORT_USE_RESERVED ? (char *)"RESERVED" : s->use == PORT_USE_AUTHPORT ? (char *)"AUTHPORT" : row->job;
	flags_of(t, s, row->flags);
	m->flags = row->flags;
	m->saf_name = (char *)s->saf;
	if (s->bind.family)
		m->bind = (char *)addr_text(&s->bind, row->bind);
}

void method_ports(struct bus_call *call, const ProtobufCMessage *request)
{
	struct core *k = ((struct daemon *)bus_call_user(call))->state;
	Stack__PortsReply reply = STACK__PORTS_REPLY__INIT;
	const struct port_table *t = k->ports ? k->ports->table : NULL;
	size_t n = t ? t->n : 0, at = 0;
	struct port_row *rows = xcalloc(n, sizeof(*rows));
	Stack__Port **list = xcalloc(n, sizeof(*list));
	uint64_t counts[PORT_COUNTS];

	(void)request;
	for (unsigned unrsv = 0; unrsv < 2; unrsv++) /* UNRSV comes last */
		for (size_t i = 0; i < n; i++)
			if (t->stmts[i].unrsv == unrsv) {
				fill(t, &t->stmts[i], &rows[at]);
				list[at] = &rows[at].m;
				at++;
			}
	ports_stats(k, counts);
	reply.n_ports = n;
	reply.ports = list;
	reply.has_enforced = reply.has_restrict_low_tcp = reply.has_restrict_low_udp = true;
	reply.enforced = k->ports && k->ports->control && t;
	reply.restrict_low_tcp = t && t->low[PORT_TCP];
	reply.restrict_low_udp = t && t->low[PORT_UDP];
	reply.has_checked = reply.has_denied = true;
	reply.checked = counts[PORT_COUNT_CHECKED];
	reply.denied = counts[PORT_COUNT_DENIED];
	bus_reply(call, &reply.base);
	free(list);
	free(rows);
}
