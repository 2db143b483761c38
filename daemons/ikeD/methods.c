/* The requests of proto/ike.proto. */
#include "daemons/ikeD/methods.h"
#include "lib/base/xalloc.h"

static struct iked *iked_of(struct bus_call *call)
{
	return ((struct daemon *)bus_call_user(call))->state;
}

struct iked_stack *methods_stack(struct bus_call *call, const char *name)
{
	struct iked_stack *s = name && *name ? iked_stack_find(iked_of(call), name) : NULL;
	if (!s)
		bus_fail(call, BUS_NOT_FOUND, "stack %.8s has no StackPolicy in iked.conf", name ? name : "");
	return s;
}

/* --- the daemon itself --- */

struct stack_row {
	Ike__StacksReply__Stack m;
	char text[IKED_ADDRS_MAX][ADDR_TEXT_MAX], *list[IKED_ADDRS_MAX];
};

static void stack_fill(struct stack_row *row, struct iked_stack *s)
{
	struct ike_stats st;
	ike__stacks_reply__stack__init(&row->m);
	ike_stats(s->engine, &st);
	row->m.name = s->conf.name;
	row->m.policy = s->conf.file;
	row->m.has_running = row->m.has_ready = row->m.has_tunnels = row->m.has_dynamic_tunnels = row->m.has_half_open = true;
	row->m.running = s->running;
	row->m.ready = s->ready;
	row->m.tunnels = st.p1;
	row->m.dynamic_tunnels = st.children;
	row->m.half_open = st.half_open;
	for (unsigned i = 0; i < s->n_sockets; i++)
		if (s->sockets[i].port == IKED_PORT && row->m.n_addresses < IKED_ADDRS_MAX) {
			row->list[row->m.n_addresses] = (char *)addr_text(&s->sockets[i].addr, row->text[row->m.n_addresses]);
			row->m.n_addresses++;
		}
	row->m.addresses = row->list;
}

static void on_stacks(struct bus_call *call, const ProtobufCMessage *req)
{
	struct iked *k = iked_of(call);
	struct stack_row *rows = xcalloc(k->n_stacks, sizeof(*rows));
	Ike__StacksReply__Stack *list[IKED_STACKS_MAX];
	Ike__StacksReply reply = IKE__STACKS_REPLY__INIT;
	(void)req;
	for (unsigned i = 0; i < k->n_stacks; i++) {
		stack_fill(&rows[i], k->stacks[i]);
		list[i] = &rows[i].m;
	}
	reply.n_stacks = k->n_stacks;
	reply.stacks = list;
	if (k->signer) {
		const struct keyring *ring = signer_local_ring(k->signer);
		reply.keyring = (char *)keyring_name(ring);
		reply.has_certificates = true;
		reply.certificates = (uint32_t)keyring_count(ring);
	}
	bus_reply(call, &reply.base);
	free(rows);
}

static void on_default_stack(struct bus_call *call, const ProtobufCMessage *req)
{
	struct iked *k = iked_of(call);
	Ike__StackReply reply = IKE__STACK_REPLY__INIT;
	(void)req;
	if (!k->n_stacks) {
		bus_fail(call, BUS_NOT_FOUND, "no stack has a StackPolicy in iked.conf");
		return;
	}
	reply.stack = k->stacks[0]->conf.name;
	bus_reply(call, &reply.base);
}

#define CONTROL "SERVAUTH", "EZB.IPSECCMD.{sysname}.{stack}.CONTROL", SAF_READ
#define DISPLAY "SERVAUTH", "EZB.IPSECCMD.{sysname}.{stack}.DISPLAY", SAF_READ
#define TYPES(request, reply) &ike__##request##__descriptor, &ike__##reply##__descriptor

const struct bus_method iked_methods[] = {
	{"Tunnels", DISPLAY, TYPES(list_request, tunnels_reply), list_tunnels},
	{"DynTunnels", DISPLAY, TYPES(list_request, dyn_tunnels_reply), list_dyn_tunnels},
	{"StackTunnels", DISPLAY, TYPES(list_request, dyn_tunnels_reply), list_stack_tunnels},
	{"NatPorts", DISPLAY, TYPES(list_request, nat_ports_reply), list_nat_ports},
	{"Activate", CONTROL, TYPES(activate_request, activate_reply), change_activate},
	{"Deactivate", CONTROL, TYPES(deactivate_request, changed_reply), change_deactivate},
	{"Refresh", CONTROL, TYPES(refresh_request, changed_reply), change_refresh},
	{"Stacks", "SERVAUTH", "EZB.NETSTAT.{sysname}.IKED.STACKS", SAF_READ, &common__empty__descriptor, &ike__stacks_reply__descriptor,
		on_stacks},
	{"DefaultStack", "SERVAUTH", "ANY", SAF_NONE, &common__empty__descriptor, &ike__stack_reply__descriptor, on_default_stack},
	{0}};
