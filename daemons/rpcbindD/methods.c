/* The requests of proto/rpcbind.proto. */
#include "daemons/rpcbindD/rpcbind.h"
#include "daemons/rpcbindD/service.h"
#include "lib/base/xalloc.h"
#include "proto/common.pb-c.h"

enum { LIST_DEFAULT = 500, LIST_MAX = 1000, TRACE_MAX = 3600 };

static struct rpcbind *rb_of(struct bus_call *call)
{
	return ((struct daemon *)bus_call_user(call))->state;
}

struct row {
	Rpcbind__Registration m;
	char owner[SAF_USER_MAX];
};

static void fill(struct rpcbind *rb, const struct registration *e, struct row *r)
{
	struct saf_subject who = {.user = ""};
	rpcbind__registration__init(&r->m);
	(void)saf_user_by_uid(rb->daemon->saf, e->owner, &who, NULL);
	memcpy(r->owner, who.user, sizeof(r->owner));
	r->m.has_program = r->m.has_version = r->m.has_owner_uid = r->m.has_lookups = r->m.has_built_in = true;
	r->m.program = e->prog;
	r->m.version = e->vers;
	r->m.netid = (char *)(uintptr_t)netid_text(e->netid);
	r->m.address = (char *)(uintptr_t)e->uaddr;
	r->m.owner_uid = e->owner;
	r->m.owner = r->owner;
	r->m.service = (char *)(uintptr_t)service_name(e->prog);
	r->m.lookups = e->hits[0] + e->hits[1] + e->hits[2];
	r->m.built_in = e->built_in;
}

static void do_list(struct bus_call *call, const ProtobufCMessage *request)
{
	const Rpcbind__ListRequest *q = (const Rpcbind__ListRequest *)request;
	struct rpcbind *rb = rb_of(call);
	Rpcbind__ListReply m = RPCBIND__LIST_REPLY__INIT;
	unsigned limit = q->has_limit && q->limit && q->limit < LIST_MAX ? q->limit : q->has_limit && q->limit ? LIST_MAX : LIST_DEFAULT, at = 0;
	struct row *rows = xcalloc(limit, sizeof(*rows));
	Rpcbind__Registration **ptrs = xcalloc(limit, sizeof(*ptrs));
	for (const struct registration *e = registry_first(rb->registry); e; e = e->after) {
		if (q->has_program && e->prog != q->program)
			continue;
		if (at++ < (q->has_after ? q->after : 0))
			continue;
		if (m.n_registrations == limit) {
			m.has_next = true;
			m.next = at - 1;
			break;
		}
		fill(rb, e, &rows[m.n_registrations]);
		ptrs[m.n_registrations] = &rows[m.n_registrations].m;
		m.n_registrations++;
	}
	m.registrations = ptrs;
	m.has_total = true;
	m.total = registry_count(rb->registry);
	bus_reply(call, &m.base);
	free(rows);
	free(ptrs);
}

static const char *const procedures[3][RB_PROCS] = {{"NULL", "SET", "UNSET", "GETPORT", "DUMP", "CALLIT"},
	{"NULL", "SET", "UNSET", "GETADDR", "DUMP", "CALLIT", "GETTIME", "UADDR2TADDR", "TADDR2UADDR"},
	{"NULL", "SET", "UNSET", "GETADDR", "DUMP", "BCAST", "GETTIME", "UADDR2TADDR", "TADDR2UADDR", "GETVERSADDR", "INDIRECT", "GETADDRLIST", "GETSTAT"}};

static void do_stat(struct bus_call *call, const ProtobufCMessage *request)
{
	static Rpcbind__StatReply__Procedure procs[3 * RB_PROCS], *proc_ptrs[3 * RB_PROCS];
	static Rpcbind__StatReply__Miss misses[3 * RB_MISSES], *miss_ptrs[3 * RB_MISSES];
	const struct rpcbind *rb = rb_of(call);
	Rpcbind__StatReply m = RPCBIND__STAT_REPLY__INIT;
	(void)request;
	for (unsigned v = 0; v < 3; v++) {
		for (unsigned i = 0; i < RB_PROCS && procedures[v][i]; i++) {
			Rpcbind__StatReply__Procedure *p = proc_ptrs[m.n_procedures] = &procs[m.n_procedures];
			rpcbind__stat_reply__procedure__init(p);
			m.n_procedures++;
			p->has_version = p->has_calls = true;
			p->version = v + 2;
			p->name = (char *)(uintptr_t)procedures[v][i];
			p->calls = rb->stat[v].info[i];
		}
		for (unsigned i = 0; i < rb->stat[v].nmisses; i++) {
			Rpcbind__StatReply__Miss *p = miss_ptrs[m.n_misses] = &misses[m.n_misses];
			rpcbind__stat_reply__miss__init(p);
			m.n_misses++;
			p->has_version = p->has_program = p->has_program_version = p->has_failures = true;
			p->version = v + 2;
			p->program = rb->stat[v].misses[i].prog;
			p->program_version = rb->stat[v].misses[i].vers;
			p->netid = (char *)(uintptr_t)netid_text(rb->stat[v].misses[i].netid);
			p->failures = rb->stat[v].misses[i].failures;
		}
	}
	m.procedures = proc_ptrs;
	m.misses = miss_ptrs;
	bus_reply(call, &m.base);
}

static void do_unset(struct bus_call *call, const ProtobufCMessage *request)
{
	const Rpcbind__UnsetRequest *q = (const Rpcbind__UnsetRequest *)request;
	struct rpcbind *rb = rb_of(call);
	Rpcbind__UnsetReply m = RPCBIND__UNSET_REPLY__INIT;
	enum netid n = q->netid && q->netid[0] ? netid_parse(q->netid) : NETID_NONE;
	if (!q->has_program || !q->has_version || (q->netid && q->netid[0] && n == NETID_NONE)) {
		bus_fail(call, BUS_INVALID, "expected program, version, and a netid of udp, tcp, udp6, tcp6, local or none");
		return;
	}
	m.has_removed = true;
	for (unsigned i = 0; i < NETID_COUNT; i++) {
		struct registration *e = n == NETID_NONE || n == i ? registry_find(rb->registry, q->program, q->version, (enum netid)i) : NULL;
		if (!e || e->built_in)
			continue;
		if (rb_remove(rb, e)) {
			bus_fail(call, BUS_INTERNAL, "the registrations cannot be stored");
			return;
		}
		m.removed++;
	}
	if (m.removed)
		bus_reply(call, &m.base);
	else
		bus_fail(call, BUS_NOT_FOUND, "program %u version %u is not registered so, or by the registry itself", q->program, q->version);
}

static void do_trace(struct bus_call *call, const ProtobufCMessage *request)
{
	const Rpcbind__TraceRequest *q = (const Rpcbind__TraceRequest *)request;
	struct rpcbind *rb = rb_of(call);
	Rpcbind__TraceReply m = RPCBIND__TRACE_REPLY__INIT;
	m.has_seconds = true;
	m.seconds = q->seconds < TRACE_MAX ? q->seconds : TRACE_MAX;
	rb->trace_until_ms = m.seconds ? loop_now_ms() + m.seconds * 1000ull : 0;
	bus_reply(call, &m.base);
}

static void do_label_of(struct bus_call *call, const ProtobufCMessage *request)
{
	const Rpcbind__LabelRequest *q = (const Rpcbind__LabelRequest *)request;
	Rpcbind__LabelReply m = RPCBIND__LABEL_REPLY__INIT;
	char label[SAF_USER_MAX];
	if (!q->has_port || !q->port || q->port > 65535) {
		bus_fail(call, BUS_INVALID, "expected the UDP port that the call came from");
		return;
	}
	if (!remote_label_of(rb_of(call)->remote, (uint16_t)q->port, label)) {
		bus_fail(call, BUS_NOT_FOUND, "no labelled call of this host's registry comes from UDP port %u", q->port);
		return;
	}
	m.label = label;
	bus_reply(call, &m.base);
}

#define DISPLAY "EZB.RPCBIND.{sysname}.{name}.DISPLAY"
#define CONTROL "EZB.RPCBIND.{sysname}.{name}.CONTROL"
#define EVENTS "EZB.NETMGMT.{sysname}.{name}.EVENTS"

const struct bus_method rb_methods[] = {
	{"List", "SERVAUTH", DISPLAY, SAF_READ, &rpcbind__list_request__descriptor, &rpcbind__list_reply__descriptor, do_list},
	{"Stat", "SERVAUTH", DISPLAY, SAF_READ, &common__empty__descriptor, &rpcbind__stat_reply__descriptor, do_stat},
	{"Unset", "SERVAUTH", CONTROL, SAF_READ, &rpcbind__unset_request__descriptor, &rpcbind__unset_reply__descriptor, do_unset},
	{"Trace", "SERVAUTH", CONTROL, SAF_READ, &rpcbind__trace_request__descriptor, &rpcbind__trace_reply__descriptor, do_trace},
	{"LabelOf", "SERVAUTH", "EZB.RPCBIND.{sysname}.{name}.LABEL", SAF_READ, &rpcbind__label_request__descriptor, &rpcbind__label_reply__descriptor, do_label_of},
	{NULL}};

const struct bus_event rb_events[] = {
	{"rpcbind.set", &rpcbind__changed__descriptor, "SERVAUTH", EVENTS},
	{"rpcbind.unset", &rpcbind__changed__descriptor, "SERVAUTH", EVENTS},
	{"rpcbind.refused", &rpcbind__refused__descriptor, "SERVAUTH", EVENTS},
	{"rpcbind.limited", &rpcbind__limited__descriptor, "SERVAUTH", EVENTS},
	{"rpcbind.call", &rpcbind__call__descriptor, "SERVAUTH", EVENTS},
	{NULL}};
