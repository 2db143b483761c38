/* A stack that only remembers: stands in for stack-core where a test or a benchmark is about defmgrD. It answers stack.Defend and
 * stack.DefenceMatches as stack-core does, lists what it holds by stack.Filters, and lets filters expire by the wall clock. Run
 * as `fake_stack NAME --root DIR`. */
#include "lib/base/xalloc.h"
#include "lib/daemon/daemon.h"
#include "proto/common.pb-c.h"
#include "proto/stack.pb-c.h"
#include <time.h>

enum { BUCKETS = 1 << 18, PAGE = 4000 };

struct held {
	uint64_t id, expires_us;
	char name[33];
	bool simulate, inbound, global;
	uint32_t extension, family;
	struct held *next;
};

struct state {
	struct held *buckets[BUCKETS];
	uint32_t count, excludes;
};

static struct state state;

static struct held **find(uint64_t id)
{
	struct held **h = &state.buckets[(id * 0x9e3779b97f4a7c15ull) >> 46];
	while (*h && (*h)->id != id)
		h = &(*h)->next;
	return h;
}

static void drop(struct held **h)
{
	struct held *gone = *h;
	*h = gone->next;
	free(gone);
	state.count--;
}

static void forget_all(void)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		while (state.buckets[i])
			drop(&state.buckets[i]);
}

static void hold(const Stack__Defence *d)
{
	struct held **at = find(d->id);
	if (!*at) {
		*at = xnew(struct held);
		(*at)->id = d->id;
		state.count++;
	}
	struct held *h = *at;
	(void)snprintf(h->name, sizeof(h->name), "%s", d->name ? d->name : "");
	h->expires_us = d->expires_us;
	h->simulate = d->simulate;
	h->inbound = d->inbound;
	h->global = d->global;
	h->extension = d->extension;
	h->family = d->family;
}

static void on_defend(struct bus_call *call, const ProtobufCMessage *req)
{
	const Stack__DefendRequest *q = (const Stack__DefendRequest *)req;
	Stack__DefendReply reply = STACK__DEFEND_REPLY__INIT;
	if (q->reset)
		forget_all();
	if (q->set_excludes)
		state.excludes = (uint32_t)q->n_excludes;
	for (size_t i = 0; i < q->n_remove; i++) {
		struct held **h = find(q->remove[i]);
		if (*h)
			drop(h);
	}
	for (size_t i = 0; i < q->n_add; i++)
		hold(q->add[i]);
	reply.has_installed = true;
	reply.installed = state.count;
	bus_reply(call, &reply.base);
}

static void on_matches(struct bus_call *call, const ProtobufCMessage *req)
{
	const Stack__DefenceMatchesRequest *q = (const Stack__DefenceMatchesRequest *)req;
	Stack__DefenceMatchesReply reply = STACK__DEFENCE_MATCHES_REPLY__INIT;
	reply.ids = xcalloc(q->n_ids, sizeof(uint64_t));
	reply.matches = xcalloc(q->n_ids, sizeof(uint64_t));
	for (size_t i = 0; i < q->n_ids; i++) {
		if (!*find(q->ids[i]))
			continue;
		reply.ids[reply.n_ids++] = q->ids[i];
		reply.matches[reply.n_matches++] = q->ids[i] % 1000;
	}
	bus_reply(call, &reply.base);
	free(reply.ids);
	free(reply.matches);
}

static uint64_t now_us(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

/* The first PAGE of what is in force; total counts all of it. */
static void on_filters(struct bus_call *call, const ProtobufCMessage *req)
{
	static Stack__Filter filters[PAGE], *ptrs[PAGE];
	Stack__FiltersReply reply = STACK__FILTERS_REPLY__INIT;
	uint64_t now = now_us();
	(void)req;
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct held *h = state.buckets[i]; h; h = h->next) {
			if (h->expires_us <= now)
				continue;
			reply.total++;
			if (reply.n_filters == PAGE)
				continue;
			Stack__Filter *f = &filters[reply.n_filters];
			stack__filter__init(f);
			f->name = h->name;
			f->has_extension = f->has_id = true;
			f->extension = h->extension;
			f->id = h->id;
			f->type = (char *)"Defensive";
			f->action = (char *)(h->simulate ? "Defensive Simulate" : "Defensive Block");
			f->direction = (char *)(h->inbound ? "Inbound" : "Outbound");
			ptrs[reply.n_filters++] = f;
		}
	reply.has_total = true;
	reply.filters = ptrs;
	bus_reply(call, &reply.base);
}

static void on_other(struct bus_call *call, const ProtobufCMessage *req)
{
	(void)req;
	bus_fail(call, BUS_NOT_FOUND, "this stack only remembers defensive filters");
}

#define DISPLAY "EZB.IPSECCMD.{sysname}.{instance}.DISPLAY"
#define DEFEND "RAVELIN.STACK.{sysname}.{instance}.DEFEND"

/* What it does; the rest of the service is there and refused, so that the table is whole whatever the service gains. */
static const struct bus_method done[] = {
	{"Filters", "SERVAUTH", DISPLAY, SAF_READ, &stack__filters_request__descriptor, &stack__filters_reply__descriptor, on_filters},
	{"Defend", "SERVAUTH", DEFEND, SAF_READ, &stack__defend_request__descriptor, &stack__defend_reply__descriptor, on_defend},
	{"DefenceMatches", "SERVAUTH", DISPLAY, SAF_READ, &stack__defence_matches_request__descriptor,
		&stack__defence_matches_reply__descriptor, on_matches}};
static struct bus_method methods[128];

static void fill_methods(void)
{
	const ProtobufCServiceDescriptor *d = &stack__stack__descriptor;
	for (unsigned i = 0; i < d->n_methods && i < 127; i++) {
		const ProtobufCMethodDescriptor *m = &d->methods[i];
		methods[i] = (struct bus_method){m->name, "SERVAUTH", DISPLAY, SAF_READ, m->input, m->output, on_other};
		for (size_t k = 0; k < sizeof(done) / sizeof(*done); k++)
			if (!strcmp(done[k].name, m->name))
				methods[i] = done[k];
	}
}

static const struct bus_event events[] = {
	{"stack.started", &stack__started__descriptor, "SERVAUTH", "EZB.NETMGMT.{sysname}.{instance}.EVENTS"}, {NULL}};

static int start(struct daemon *d, void *built, struct errbuf *e)
{
	Stack__Started m = STACK__STARTED__INIT;
	(void)built;
	(void)e;
	m.stack = (char *)d->instance;
	m.has_ipsecurity = m.ipsecurity = true;
	bus_publish(d->bus, "stack.started", &m.base);
	return 0;
}

static void stop(struct daemon *d)
{
	(void)d;
	forget_all();
}

int main(int argc, char **argv)
{
	static const struct daemon_spec spec = {
		.name = "stack-core",
		.package = "stack",
		.summary = "a stack that only remembers, for tests",
		.instanced = true,
		.service = &stack__stack__descriptor,
		.methods = methods,
		.events = events,
		.start = start,
		.stop = stop,
	};
	fill_methods();
	return daemon_main(&spec, argc, argv);
}
