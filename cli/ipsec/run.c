#include "cli/ipsec/run.h"
#include "lib/base/xalloc.h"
#include "proto/common.pb-c.h"

int run_failed(enum bus_code code, const char *text)
{
	(void)fprintf(stderr, "ipsec: %s\n", text && *text ? text : "failed");
	switch (code) {
	case BUS_NOT_AUTHORIZED:
		return RUN_NOT_AUTHORIZED;
	case BUS_INVALID:
		return RUN_USAGE;
	default:
		return RUN_FAILED;
	}
}

int run_call(const char *daemon, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
	ProtobufCMessage **ret_reply)
{
	/* one connection for as long as the calls go to the same daemon */
	static struct bus_client *client;
	static char connected[BUS_NAME_MAX];
	struct errbuf e = {""};
	if (!client || strcmp(connected, daemon)) {
		if (client)
			bus_client_free(client);
		client = bus_client_new(NULL, daemon);
		(void)snprintf(connected, sizeof(connected), "%s", daemon);
	}
	enum bus_code code = bus_client_call_sync(client, method, request, reply, RUN_DEADLINE_MS, ret_reply, &e);
	return code == BUS_OK ? RUN_DONE : run_failed(code, e.text);
}

struct only_stack {
	char name[9];
	unsigned count;
};

static void see_daemon(void *arg, const char *name)
{
	struct only_stack *s = arg;
	if (!strncmp(name, "stack-core@", 11) && strlen(name + 11) <= 8) {
		(void)snprintf(s->name, sizeof(s->name), "%s", name + 11);
		s->count++;
	}
}

int run_default_stack(struct ipsec_command *c, bool defence)
{
	if (c->stack[0] || c->global)
		return RUN_DONE;
	struct only_stack only = {0};
	if (!defence)
		bus_discover(see_daemon, &only);
	if (only.count == 1) {
		memcpy(c->stack, only.name, sizeof(c->stack));
		return RUN_DONE;
	}
	Common__Empty m = COMMON__EMPTY__INIT;
	ProtobufCMessage *reply = NULL;
	int rc = run_call("defmgrD", "defmgr.DefaultStack", &m.base, &defmgr__stack_reply__descriptor, &reply);
	if (rc)
		return rc;
	const char *name = ((const Defmgr__StackReply *)reply)->stack;
	rc = ipsec_stack_name(name ? name : "", c->stack, NULL) ? run_failed(BUS_NOT_FOUND, "no default stack") : RUN_DONE;
	protobuf_c_message_free_unpacked(reply, NULL);
	return rc;
}

int run_stack_call(struct ipsec_command *c, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, ProtobufCMessage **ret_reply)
{
	char daemon[BUS_NAME_MAX];
	int rc = run_default_stack(c, false);
	if (rc)
		return rc;
	(void)snprintf(daemon, sizeof(daemon), "stack-core@%s", c->stack);
	return run_call(daemon, method, request, reply, ret_reply);
}

void run_json(const ProtobufCMessage *m)
{
	struct json j;
	json_init(&j);
	bus_json(&j, m);
	(void)puts(j.buf);
	json_fini(&j);
}

int run_command(struct ipsec_command *c)
{
	switch (c->primary) {
	case IPSEC_DEFENCE:
		return run_defence(c);
	case IPSEC_FILTER:
		return run_filter(c);
	case IPSEC_MANUAL:
		return run_manual(c);
	case IPSEC_TRAFFIC:
		return run_traffic(c);
	case IPSEC_INTERFACE:
		return run_interface(c);
	case IPSEC_IKE:
		return run_ike(c);
	case IPSEC_DYNAMIC:
		return run_dynamic(c);
	case IPSEC_NATT:
		return run_natt(c);
	default:
		return RUN_USAGE;
	}
}
