/* stackctl trace and capture: packets of chosen flows through the stages, as lines, as JSON, or as a file for wireshark. The stack
 * keeps records; this reads them until there are no more, and the stack ends a trace that nobody reads. */
#include "cli/stackctl/trace.h"
#include "cli/stackctl/stackctl.h"
#include "lib/base/ipproto.h"
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 500, STAGES_MAX = 16, SNAP_DEFAULT = 65536 };

static const char OUTPUT_ENDED[] = "output ended";
static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
	(void)signo;
	stopped = 1;
}

void trace_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal};
	(void)sigemptyset(&a.sa_mask);
	(void)sigaction(SIGINT, &a, NULL);
	(void)sigaction(SIGTERM, &a, NULL);
	(void)sigaction(SIGHUP, &a, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

bool trace_stopped(void)
{
	return stopped;
}

/* --- operands --- */

struct operands {
	Stack__TraceRequest *q;
	char *stages[STAGES_MAX];
	const char *file; /* capture */
	bool json, all_stages;
};

static bool number(const struct cli *c, const char *name, const char *text, uint64_t max, protobuf_c_boolean *has, uint32_t *ret)
{
	uint64_t v;
	if (!cli_number(c, name, text, 0, max, &v))
		return false;
	*has = 1;
	*ret = (uint32_t)v;
	return true;
}

static bool protocol(const struct cli *c, const char *text, Stack__TraceRequest *q)
{
	uint16_t v;
	if (ipproto_parse(text, &v)) {
		(void)cli_usage(c, "prot: '%s' is no protocol", text);
		return false;
	}
	q->has_protocol = v != IPPROTO_ALL;
	q->protocol = v;
	return true;
}

static bool spi(const struct cli *c, const char *text, Stack__TraceRequest *q)
{
	char *end;
	errno = 0;
	unsigned long v = strtoul(text, &end, 0);
	if (errno || *end || !isdigit((unsigned char)text[0]) || !v || v > UINT32_MAX) {
		(void)cli_usage(c, "spi: '%s' is no SPI", text);
		return false;
	}
	q->has_spi = true;
	q->spi = (uint32_t)v;
	return true;
}

/* "link-rx,drop" */
static bool stages(const struct cli *c, char *text, struct operands *o)
{
	char *save = NULL;
	for (char *s = strtok_r(text, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
		if (!strcmp(s, "all")) {
			o->all_stages = true;
			o->q->n_stages = 0;
			return true;
		}
		if (o->q->n_stages == STAGES_MAX) {
			(void)cli_usage(c, "too many stages");
			return false;
		}
		o->q->stages[o->q->n_stages++] = s;
	}
	return true;
}

/* -1: not understood, and said; else how many arguments it took. */
static int operand(const struct cli *c, struct operands *o, const char *name, char *value)
{
	Stack__TraceRequest *q = o->q;
	bool capture = c->command->words[0] == 'c';
	if (!strcmp(name, "dropped"))
		return q->has_dropped = q->dropped = true, 1;
	if (capture && !strcmp(name, "cleartext"))
		return q->has_cleartext = q->cleartext = true, 1;
	if (!strcmp(name, "json"))
		return o->json = true, 1;
	if (!value)
		return (void)cli_usage(c, "'%s' is not known, or needs a value", name), -1;
	bool ok = true;
	if (!strcmp(name, "source"))
		q->source = value;
	else if (!strcmp(name, "dest"))
		q->destination = value;
	else if (!strcmp(name, "host"))
		q->host = value;
	else if (!strcmp(name, "tunnel"))
		q->tunnel = value;
	else if (!strcmp(name, "link"))
		q->link = value;
	else if (!strcmp(name, "prot"))
		ok = protocol(c, value, q);
	else if (!strcmp(name, "spi"))
		ok = spi(c, value, q);
	else if (!strcmp(name, "stage"))
		ok = stages(c, value, o);
	else if (!strcmp(name, "srcport"))
		ok = number(c, name, value, 65535, &q->has_source_port, &q->source_port);
	else if (!strcmp(name, "destport"))
		ok = number(c, name, value, 65535, &q->has_dest_port, &q->dest_port);
	else if (!strcmp(name, "port"))
		ok = number(c, name, value, 65535, &q->has_port, &q->port);
	else if (!strcmp(name, "count"))
		ok = number(c, name, value, UINT32_MAX, &q->has_count, &q->count);
	else if (!strcmp(name, "seconds"))
		ok = number(c, name, value, UINT32_MAX, &q->has_seconds, &q->seconds);
	else if (capture && !strcmp(name, "snaplen"))
		ok = number(c, name, value, SNAP_DEFAULT, &q->has_snaplen, &q->snaplen);
	else if (capture && !strcmp(name, "write"))
		o->file = value;
	else
		return (void)cli_usage(c, "'%s' is not known", name), -1;
	return ok ? 2 : -1;
}

static bool operands(const struct cli *c, struct operands *o, int argc, char **argv)
{
	o->q->stages = o->stages;
	for (int i = 0; i < argc;) {
		const char *name = argv[i] + (strncmp(argv[i], "--", 2) ? 0 : 2);
		int n = operand(c, o, name, i + 1 < argc ? argv[i + 1] : NULL);
		if (n < 0)
			return false;
		i += n;
	}
	return true;
}

/* --- reading --- */

struct reading {
	const struct cli *c;
	struct bus_client *client;
	uint64_t id;
	uint64_t records, lost;
	char why[32];
};

static int call(const struct reading *r, const char *method, const ProtobufCMessage *q, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret)
{
	struct errbuf e = {""};
	enum bus_code code = bus_client_call_sync(r->client, method, q, d, r->c->timeout_ms, ret, &e);
	return code == BUS_OK ? CLI_OK : cli_fail(r->c, cli_exit_of(code), "%s", e.text);
}

static int begin(struct reading *r, const Stack__TraceRequest *q)
{
	ProtobufCMessage *m = NULL;
	int rc = call(r, "stack.StartTrace", &q->base, &stack__trace_reply__descriptor, &m);
	if (rc)
		return rc;
	r->id = ((const Stack__TraceReply *)m)->id;
	return stackctl_done(m);
}

/* One answer; *@ret_more: there will be others. */
static int read_some(struct reading *r, trace_fn fn, void *arg, bool *ret_more)
{
	Stack__ReadTraceRequest q = STACK__READ_TRACE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	q.has_id = q.has_wait_ms = true;
	q.id = r->id;
	q.wait_ms = WAIT_MS;
	int rc = call(r, "stack.ReadTrace", &q.base, &stack__read_trace_reply__descriptor, &m);
	if (rc)
		return rc;
	const Stack__ReadTraceReply *a = (const Stack__ReadTraceReply *)m;
	bool ok = true;
	for (size_t i = 0; i < a->n_records && ok; i++, r->records++)
		ok = fn(arg, a->records[i]);
	r->lost = a->lost;
	ok = fn(arg, NULL) && ok;
	*ret_more = ok && !a->ended;
	(void)snprintf(r->why, sizeof(r->why), "%s", !ok ? OUTPUT_ENDED : a->why ? a->why : "stopped");
	return stackctl_done(m);
}

static void stop(struct reading *r)
{
	Stack__StopTraceRequest q = STACK__STOP_TRACE_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	struct errbuf e;
	q.has_id = true;
	q.id = r->id;
	if (bus_client_call_sync(r->client, "stack.StopTrace", &q.base, &stack__changed_reply__descriptor, WAIT_MS, &m, &e) == BUS_OK)
		(void)stackctl_done(m);
}

/* What passed before the signal still comes. */
static int read_all(struct reading *r, trace_fn fn, void *arg)
{
	bool more = true, told = false;
	int rc = CLI_OK;
	while (more && !rc) {
		if (trace_stopped() && !told) {
			stop(r);
			told = true;
		}
		rc = read_some(r, fn, arg, &more);
	}
	if (!told && !strcmp(r->why, OUTPUT_ENDED))
		stop(r);
	return rc;
}

/* --- lines --- */

static size_t add(char *out, size_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static size_t add(char *out, size_t at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = at < TRACE_LINE ? vsnprintf(out + at, TRACE_LINE - at, fmt, ap) : 0;
	va_end(ap);
	return n < 0 ? at : at + (size_t)n;
}

static size_t packet_text(const Stack__TraceRecord *m, char *out, size_t at)
{
	const char *name = m->has_protocol ? ipproto_name(m->protocol) : NULL;
	if (!m->source)
		return add(out, at, " not an IP packet, length %u", m->length);
	if (m->has_source_port)
		at += (size_t)snprintf(out + at, TRACE_LINE - at, strchr(m->source, ':') ? " [%s]:%u > [%s]:%u" : " %s:%u > %s:%u", m->source,
			m->source_port, m->destination, m->dest_port);
	else
		at = add(out, at, " %s > %s", m->source, m->destination);
	at = name ? add(out, at, " %s", name) : add(out, at, " protocol %u", m->protocol);
	if (m->has_icmp_type)
		at = add(out, at, " type %u code %u", m->icmp_type, m->icmp_code);
	at = add(out, at, " length %u", m->length);
	if (m->segment)
		at = add(out, at, " in segments of %u", m->segment);
	return m->fragment ? add(out, at, " fragment") : at;
}

void trace_line(const Stack__TraceRecord *m, char out[TRACE_LINE])
{
	time_t s = (time_t)(m->time_us / 1000000);
	struct tm tm;
	char when[16], who[24];
	(void)strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&s, &tm));
	(void)snprintf(who, sizeof(who), "%u.%u", m->worker, m->packet);
	size_t at = add(out, 0, "%s.%06u %-8s %-10s %-8s", when, (unsigned)(m->time_us % 1000000), who, m->stage, m->verdict);
	at = packet_text(m, out, at);
	at = add(out, at, " %s", m->in_link ? m->in_link : "-");
	if (m->out_link)
		at = add(out, at, ">%s", m->out_link);
	if (m->next_hop)
		at = add(out, at, " via %s", m->next_hop);
	if (m->rule)
		at = add(out, at, " rule %s", m->rule);
	if (m->tunnel_id)
		at = add(out, at, " tunnel %s (%s)", m->tunnel_id, m->tunnel);
	if (m->has_spi)
		at = add(out, at, " SPI 0x%08x", m->spi);
	if (m->reason)
		(void)add(out, at, " %s: %s", m->reason, m->reason_text ? m->reason_text : "");
}

static bool show(void *arg, const Stack__TraceRecord *m)
{
	const struct operands *o = arg;
	char line[TRACE_LINE];
	if (!m)
		return !fflush(stdout) && !ferror(stdout);
	if (o->json) {
		cli_json(&m->base);
	} else {
		trace_line(m, line);
		(void)puts(cli_safe(line));
	}
	return !ferror(stdout);
}

static void summary(const struct reading *r)
{
	(void)fprintf(stderr, "%llu records, %llu lost; ended: %s\n", (unsigned long long)r->records, (unsigned long long)r->lost, r->why);
}

/* Opens the trace and reads it; *@ret_r is its end. */
static int run(struct cli *c, const Stack__TraceRequest *q, trace_fn fn, void *arg)
{
	char daemon[BUS_NAME_MAX + 1];
	struct reading r = {.c = c};
	int rc = cli_stack(c, daemon);
	if (rc)
		return rc;
	trace_signals();
	r.client = bus_client_new(NULL, daemon);
	rc = begin(&r, q);
	if (!rc)
		rc = read_all(&r, fn, arg);
	bus_client_free(r.client);
	if (r.id)
		summary(&r);
	return rc;
}

int stackctl_trace(struct cli *c, int argc, char **argv)
{
	Stack__TraceRequest q = STACK__TRACE_REQUEST__INIT;
	struct operands o = {.q = &q, .json = c->json};
	return operands(c, &o, argc, argv) ? run(c, &q, show, &o) : CLI_USAGE;
}

int stackctl_capture(struct cli *c, int argc, char **argv)
{
	Stack__TraceRequest q = STACK__TRACE_REQUEST__INIT;
	struct operands o = {.q = &q};
	struct capture f = {.snaplen = SNAP_DEFAULT};
	if (!operands(c, &o, argc, argv))
		return CLI_USAGE;
	if (!o.file || c->json || o.json)
		return cli_usage(c, o.file ? "a capture is a file for wireshark: there is no JSON of it" : "--write FILE is needed");
	if (!q.n_stages && !o.all_stages && !q.dropped) {
		o.stages[q.n_stages++] = (char *)"link-rx";
		o.stages[q.n_stages++] = (char *)"link-tx";
	}
	if (!q.has_snaplen || !q.snaplen)
		q.snaplen = SNAP_DEFAULT;
	q.has_snaplen = true;
	f.snaplen = q.snaplen;
	f.c = c;
	f.path = o.file;
	int rc = run(c, &q, capture_packet, &f);
	int closed = capture_end(&f);
	return rc ? rc : closed;
}
