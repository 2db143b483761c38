/* What a peer sends to the bus. The first byte chooses: a message type whose body the rest is (unpacked, printed, packed again), a
 * request's frames as a ROUTER hands them over, or a Peer-Address. */
#include "lib/base/path.h"
#include "lib/bus/bus.h"
#include "lib/bus/peer.h"
#include "lib/bus/table.h"
#include "lib/bus/wire.h"
#include "proto/common.pb-c.h"
#include "proto/defmgr.pb-c.h"
#include "proto/stack.pb-c.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const ProtobufCServiceDescriptor *const services[] = {
	&common__daemon__descriptor, &defmgr__defense_manager__descriptor, &stack__stack__descriptor};
static const ProtobufCMessageDescriptor *const events[] = {&common__status__descriptor, &common__event_header__descriptor,
	&common__heartbeat__descriptor, &defmgr__filter_event__descriptor, &defmgr__stack_event__descriptor,
	&stack__started__descriptor, &stack__filter_log__descriptor, &stack__sa_event__descriptor, &stack__neighbour_event__descriptor};

static void body(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len)
{
	struct errbuf e = {""};
	struct json j;
	ProtobufCMessage *m = bus_unpack(d, data, len, &e);
	if (!m) {
		if (!e.text[0])
			abort(); /* a refusal says why */
		return;
	}
	json_init(&j);
	bus_json(&j, m);
	json_fini(&j);
	/* What was accepted is what we would send: it is accepted again. */
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *again = malloc(n ? n : 1);
	if (again && protobuf_c_message_pack(m, again) == n && wire_check(d, again, n, &e))
		abort();
	free(again);
	bus_unpack_free(m);
}

static void any_body(const uint8_t *data, size_t len)
{
	unsigned pick = data[0];
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		if (pick < services[i]->n_methods * 2) {
			const ProtobufCMethodDescriptor *m = &services[i]->methods[pick / 2];
			body(pick & 1 ? m->output : m->input, data + 1, len - 1);
			return;
		}
		pick -= services[i]->n_methods * 2;
	}
	body(events[pick % (sizeof(events) / sizeof(events[0]))], data + 1, len - 1);
}

static void on_call(struct bus_call *c, const ProtobufCMessage *request)
{
	(void)c, (void)request;
}

/* A method name and a body whose string fields go into a resource name. */
static void frames(const uint8_t *data, size_t len)
{
	static const struct bus_method methods[] = {
		{"Ping", "SERVAUTH", "ANY", SAF_READ, &common__empty__descriptor, &common__ping_reply__descriptor, on_call},
		{"Stats", "SERVAUTH", "A.{sysname}.{name}", SAF_READ, &common__empty__descriptor, &common__stats_reply__descriptor, on_call},
		{"Reload", "SERVAUTH", "A", SAF_READ, &common__empty__descriptor, &common__reload_reply__descriptor, on_call},
		{"Methods", "SERVAUTH", "ANY", SAF_READ, &common__empty__descriptor, &common__methods_reply__descriptor, on_call},
		{0}};
	static struct table t;
	struct bus_server_spec spec = {.name = "fuzzD", .service = &common__daemon__descriptor, .methods = methods};
	struct errbuf e = {""};
	char resource[SAF_RESOURCE_MAX];
	if (!t.n_rows && table_build(&t, &spec, &e))
		abort();
	size_t n = len && data[0] < len ? data[0] : len;
	(void)table_find(&t, (const char *)data + (len > n ? 1 : 0), n);
	ProtobufCMessage *m = bus_unpack(&defmgr__update_request__descriptor, data, len, &e);
	if (m && table_resource(&t, "EZB.{sysname}.{stack|GLOBAL}.{name}.{instance|X}", m, resource, &e) == 0)
		for (const char *p = resource; *p; p++)
			if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@#$_-.", *p))
				abort();
	bus_unpack_free(m);
}

static void address(const uint8_t *data, size_t len)
{
	char *text = calloc(1, len + 1);
	struct peer p;
	if (!text)
		return;
	memcpy(text, data, len);
	if (peer_parse(text, &p) == 0 && (p.pid < 0 || p.uid == (uid_t)-1))
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 2)
		return 0;
	if (data[0] == 'R')
		frames(data + 1, len - 1);
	else if (data[0] == 'P')
		address(data + 1, len - 1);
	else
		any_body(data + 1, len - 1);
	return 0;
}
