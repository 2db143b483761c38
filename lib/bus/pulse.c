#include "lib/base/xalloc.h"
#include "lib/bus/bus.h"
#include "proto/common.pb-c.h"

struct bus_pulse {
	struct bus_pulse_spec spec;
	struct bus_client *client;
	struct bus_subscriber *events;
	bool asking;
};

static void on_answer(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct bus_pulse *p = arg;
	(void)text;
	p->asking = false;
	if (code == BUS_OK)
		p->spec.seen(p->spec.arg, ((const Common__PingReply *)reply)->boot_id);
	else if (code == BUS_UNAVAILABLE)
		p->spec.silent(p->spec.arg);
}

static void on_event(void *arg, const struct bus_event_info *info, const void *body, size_t len)
{
	struct bus_pulse *p = arg;
	if (info->boot_id)
		p->spec.seen(p->spec.arg, info->boot_id);
	p->spec.event(p->spec.arg, info, body, len);
}

struct bus_pulse *bus_pulse_new(struct loop *l, const struct bus_pulse_spec *spec)
{
	struct bus_pulse *p = xnew(struct bus_pulse);
	p->spec = *spec;
	p->spec.name = NULL; /* borrowed until here, as the topics */
	p->spec.topics = NULL;
	p->client = bus_client_new(l, spec->name);
	p->events = bus_subscriber_new(l, spec->name, spec->topics, on_event, p);
	return p;
}

void bus_pulse_free(struct bus_pulse *p)
{
	if (!p)
		return;
	bus_subscriber_free(p->events);
	bus_client_free(p->client);
	free(p);
}

void bus_pulse_ask(struct bus_pulse *p)
{
	Common__Empty m = COMMON__EMPTY__INIT;
	if (p->asking)
		return;
	p->asking = true;
	bus_client_call(p->client, "common.Ping", &m.base, &common__ping_reply__descriptor, p->spec.deadline_ms, on_answer, p);
}

struct bus_client *bus_pulse_client(struct bus_pulse *p)
{
	return p->client;
}
