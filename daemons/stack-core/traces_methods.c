/* traces_methods: what stackctl trace and capture ask for. */
#include "daemons/stack-core/core.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/traces.h"
#include "lib/base/xalloc.h"
#include "proto/stack.pb-c.h"
#include <stdlib.h>
#include <string.h>

enum { COUNT_DEFAULT = 10000, SECONDS_DEFAULT = 600, LIMIT_DEFAULT = 1000, LIMIT_MAX = 2000, RECORD_TEXT = 256 };

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

static struct core *core_of(const struct bus_call *call)
{
	return ((struct daemon *)bus_call_user(call))->state;
}

/* An absent prefix is any address. */
static int prefix_of(const char *text, const char *what, struct prefix *ret, struct errbuf *e)
{
	if (!text || !*text || !prefix_parse(text, ret))
		return 0;
	return err_set(e, EINVAL, "%s '%.60s' is no address or prefix", what, text);
}

static int port_of(uint32_t port, const char *what, uint16_t *ret, struct errbuf *e)
{
	*ret = (uint16_t)port;
	return port > 65535 ? err_set(e, EINVAL, "%s %u is no port", what, port) : 0;
}

static int stages_of(const Stack__TraceRequest *q, uint32_t *ret, struct errbuf *e)
{
	*ret = q->n_stages ? 0 : TAP_ANY_STAGE;
	for (size_t i = 0; i < q->n_stages; i++) {
		int s = tap_stage_find(q->stages[i]);
		if (s < 0)
			return err_set(e, EINVAL, "'%.30s' is no stage", q->stages[i]);
		*ret |= 1u << s;
	}
	return 0;
}

static int link_of(const struct stack *s, const char *name, int *ret, struct errbuf *e)
{
	*ret = -1;
	if (!name || !*name)
		return 0;
	for (unsigned i = 0; i < s->n_links; i++)
		if (!strcmp(s->links[i].name, name))
			*ret = (int)i;
	return *ret < 0 ? err_set(e, EINVAL, "there is no interface %.30s", name) : 0;
}

static int spec_of(const struct stack *s, const Stack__TraceRequest *q, struct tap_spec *ret, struct errbuf *e)
{
	*ret = (struct tap_spec){.proto = TAP_PROTO_ANY, .spi = q->spi, .dropped = q->dropped, .snaplen = q->snaplen, .cleartext = q->cleartext};
	if (q->has_protocol && q->protocol > 255)
		return err_set(e, EINVAL, "%u is no IP protocol", q->protocol);
	if (q->has_protocol)
		ret->proto = (uint16_t)q->protocol;
	if (q->tunnel && strlen(q->tunnel) >= sizeof(ret->tunnel))
		return err_set(e, EINVAL, "the tunnel's name is too long");
	(void)snprintf(ret->tunnel, sizeof(ret->tunnel), "%s", q->tunnel ? q->tunnel : "");
	int r = prefix_of(q->source, "source", &ret->src, e);
	r = r ? r : prefix_of(q->destination, "destination", &ret->dst, e);
	r = r ? r : prefix_of(q->host, "host", &ret->host, e);
	r = r ? r : port_of(q->source_port, "source port", &ret->sport, e);
	r = r ? r : port_of(q->dest_port, "destination port", &ret->dport, e);
	r = r ? r : port_of(q->port, "port", &ret->port, e);
	r = r ? r : link_of(s, q->link, &ret->link, e);
	return r ? r : stages_of(q, &ret->stages, e);
}

/* Bytes of packets need more than to know that they pass; what tunnels protect needs a word of its own. */
static bool may(struct bus_call *call, const struct core *k, const Stack__TraceRequest *q)
{
	char resource[128];

	(void)snprintf(resource, sizeof(resource), "EZB.TRCCTL.%s.%s.PKTTRACE", k->daemon->sysname, k->stack->name);
	if (q->snaplen && !bus_call_check(call, "SERVAUTH", resource, SAF_UPDATE))
		return false;
	(void)snprintf(resource, sizeof(resource), "EZB.TRCSEC.%s.%s.IPSEC", k->daemon->sysname, k->stack->name);
	return !q->cleartext || bus_call_check(call, "SERVAUTH", resource, SAF_READ);
}

void method_trace_start(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__TraceRequest *q = (const Stack__TraceRequest *)request;
	struct core *k = core_of(call);
	Stack__TraceReply reply = STACK__TRACE_REPLY__INIT;
	struct errbuf e = {""};
	struct tap_spec s;
	uint32_t count = q->has_count ? q->count : COUNT_DEFAULT, seconds = q->has_seconds ? q->seconds : SECONDS_DEFAULT;

	if (!may(call, k, q))
		return;
	if (!seconds || seconds > TRACE_SECONDS_MAX) {
		bus_fail(call, BUS_INVALID, "a trace lasts from 1 to %u seconds", TRACE_SECONDS_MAX);
		return;
	}
	if (spec_of(k->stack, q, &s, &e) < 0 || tap_spec_check(&s, &e) < 0) {
		bus_fail(call, BUS_INVALID, "%s", e.text);
		return;
	}
	if (!count || count > TAP_COUNT_MAX) {
		bus_fail(call, BUS_INVALID, "from 1 to %u records can be asked for", TAP_COUNT_MAX);
		return;
	}
	const struct trace *t = traces_start(k, &s, bus_call_subject(call), count, seconds, &e);
	if (!t) {
		bus_fail(call, BUS_LIMIT, "%s", e.text);
		return;
	}
	SET(reply, id, t->id);
	SET(reply, count, count);
	SET(reply, seconds, seconds);
	bus_reply(call, &reply.base);
}

struct row {
	Stack__TraceRecord m;
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX], gateway[ADDR_TEXT_MAX];
};

static char *link_name(const struct stack *s, uint16_t link)
{
	return link < s->n_links ? (char *)(uintptr_t)s->links[link].name : NULL;
}

static void flow_fill(struct row *row, const struct tap_record *r)
{
	if (r->src.family)
		row->m.source = (char *)addr_text(&r->src, row->src);
	if (r->dst.family)
		row->m.destination = (char *)addr_text(&r->dst, row->dst);
	if (r->family)
		SET(row->m, protocol, r->proto);
	if (r->ports) {
		SET(row->m, source_port, r->sport);
		SET(row->m, dest_port, r->dport);
	}
	if (r->family && !r->opaque && r->proto == (r->family == 4 ? 1 : 58)) {
		SET(row->m, icmp_type, r->icmp_type);
		SET(row->m, icmp_code, r->icmp_code);
	}
	SET(row->m, length, r->len);
	SET(row->m, tos, r->tos);
	SET(row->m, fragment, r->fragment);
	if (r->segment)
		SET(row->m, segment, r->segment);
}

static void row_fill(const struct stack *s, struct row *row, const struct tap_record *r)
{
	stack__trace_record__init(&row->m);
	SET(row->m, time_us, r->time_us);
	SET(row->m, worker, r->worker);
	SET(row->m, packet, r->packet);
	row->m.stage = (char *)(uintptr_t)tap_stage_text(r->stage);
	row->m.verdict = (char *)(uintptr_t)tap_verdict_text(r->verdict);
	if (r->drop) {
		row->m.reason = (char *)(uintptr_t)drop_name(r->drop);
		row->m.reason_text = (char *)(uintptr_t)drop_help(r->drop);
	}
	if (*r->rule)
		row->m.rule = (char *)(uintptr_t)r->rule;
	if (*r->tunnel_id) {
		row->m.tunnel_id = (char *)(uintptr_t)r->tunnel_id;
		row->m.tunnel = (char *)(uintptr_t)r->tunnel_name;
	}
	if (r->spi)
		SET(row->m, spi, r->spi);
	row->m.in_link = link_name(s, r->in_link);
	row->m.out_link = link_name(s, r->out_link);
	if (r->gateway.family)
		row->m.next_hop = (char *)addr_text(&r->gateway, row->gateway);
	flow_fill(row, r);
	if (r->kept) {
		row->m.has_data = true;
		row->m.data = (ProtobufCBinaryData){r->kept, (uint8_t *)(uintptr_t)tap_data(r)};
	}
}

void traces_answer(struct core *k, struct trace *t)
{
	Stack__ReadTraceReply reply = STACK__READ_TRACE_REPLY__INIT;
	struct row *rows = xcalloc(t->limit, sizeof(*rows));
	Stack__TraceRecord **list = xcalloc(t->limit, sizeof(*list));
	const struct tap_record *r;
	struct bus_call *call = t->waits;
	size_t at = 0, taken = 0, bytes = 0;

	while (reply.n_records < t->limit && (r = traces_next(t, &at))) {
		bytes += RECORD_TEXT + r->kept;
		if (reply.n_records && bytes > TRACE_REPLY)
			break;
		row_fill(k->stack, &rows[reply.n_records], r);
		list[reply.n_records] = &rows[reply.n_records].m;
		reply.n_records++;
		taken = at;
	}
	reply.records = list;
	SET(reply, lost, traces_lost(k, t));
	SET(reply, ended, t->slot < 0 && t->head + taken == t->tail);
	reply.why = reply.ended ? (char *)(uintptr_t)t->why : NULL;
	t->waits = NULL;
	t->read_ms = loop_now_ms();
	bus_reply(call, &reply.base);
	free(list);
	free(rows);
	traces_taken(t, taken);
	if (reply.ended)
		traces_forget(t);
}

/* NULL: there is no such trace of the caller's, and it was told so. */
static struct trace *own(struct bus_call *call, uint64_t id)
{
	struct trace *t = traces_find(core_of(call), id);

	if (t && t->uid == bus_call_subject(call)->uid)
		return t;
	bus_fail(call, BUS_NOT_FOUND, "there is no such trace of yours: it has ended, or was not read for too long");
	return NULL;
}

void method_trace_read(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__ReadTraceRequest *q = (const Stack__ReadTraceRequest *)request;
	struct core *k = core_of(call);
	struct trace *t = own(call, q->id);
	unsigned limit = q->has_limit && q->limit ? q->limit : LIMIT_DEFAULT, wait = q->wait_ms;

	if (!t)
		return;
	if (t->waits) {
		bus_fail(call, BUS_CONFLICT, "another read of this trace waits already");
		return;
	}
	t->waits = call;
	t->limit = limit < LIMIT_MAX ? limit : LIMIT_MAX;
	t->wait_ms = loop_now_ms() + (wait < TRACE_WAIT_MS ? wait : TRACE_WAIT_MS);
	if (t->head < t->tail || t->slot < 0 || !wait)
		traces_answer(k, t);
}

void method_trace_stop(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__StopTraceRequest *q = (const Stack__StopTraceRequest *)request;
	struct core *k = core_of(call);
	struct trace *t = own(call, q->id);
	Stack__ChangedReply reply = STACK__CHANGED_REPLY__INIT;

	if (!t)
		return;
	SET(reply, changed, t->slot >= 0);
	traces_stop(k, t, "stopped");
	bus_reply(call, &reply.base);
}
