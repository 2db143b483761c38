/* The requests of proto/ike.proto. */
#include "daemons/ikeD/iked.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include <strings.h>

enum { LIST_DEFAULT = 500, LIST_MAX = 800, WAIT_MAX_MS = 60000 };

static struct iked *iked_of(struct bus_call *call)
{
	return ((struct daemon *)bus_call_user(call))->state;
}

/* The configured stack, or the call is answered. */
static struct iked_stack *stack_of(struct bus_call *call, const char *name)
{
	struct iked_stack *s = name && *name ? iked_stack_find(iked_of(call), name) : NULL;
	if (!s)
		bus_fail(call, BUS_NOT_FOUND, "stack %.8s has no StackPolicy in iked.conf", name ? name : "");
	return s;
}

static size_t page(const Ike__ListRequest *m)
{
	return !m->has_limit || !m->limit ? LIST_DEFAULT : m->limit > LIST_MAX ? LIST_MAX : m->limit;
}

static bool wanted(const Ike__ListRequest *m, const char *id, const char *local_rule)
{
	bool named = !m->n_ids;
	for (size_t i = 0; i < m->n_ids && !named; i++)
		named = !strcasecmp(m->ids[i], id);
	return named && (!m->local_rule || !*m->local_rule || !strcmp(m->local_rule, local_rule));
}

static const struct ike_child_info *child_next(struct iked_stack *s, const Ike__ListRequest *m, const char *after)
{
	return m->parent && *m->parent ? ike_child_next_of(s->engine, m->parent, after) : ike_child_next(s->engine, after);
}

static const char *after_of(const Ike__ListRequest *m)
{
	return m->after && *m->after ? m->after : NULL;
}

static void on_tunnels(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ListRequest *m = (const Ike__ListRequest *)req;
	struct iked_stack *s = stack_of(call, m->stack);
	Ike__TunnelsReply reply = IKE__TUNNELS_REPLY__INIT;
	const struct ike_p1_info *p;
	struct ike_stats st;
	char at[16] = "";
	size_t max = page(m);
	if (!s)
		return;
	struct iked_tunnel_view *rows = xcalloc(max, sizeof(*rows));
	struct ike_p1_info *infos = xcalloc(max, sizeof(*infos)); /* what the engine lends is gone with the next call */
	Ike__Tunnel **list = xcalloc(max, sizeof(*list));
	(void)snprintf(at, sizeof(at), "%s", after_of(m) ? m->after : "");
	while ((p = ike_p1_next(s->engine, at[0] ? at : NULL))) {
		if (wanted(m, p->tunnel_id, "") && reply.n_tunnels == max) {
			reply.next = at;
			break;
		}
		(void)snprintf(at, sizeof(at), "%s", p->tunnel_id);
		if (!wanted(m, p->tunnel_id, ""))
			continue;
		infos[reply.n_tunnels] = *p;
		view_tunnel(s, &infos[reply.n_tunnels], &rows[reply.n_tunnels]);
		list[reply.n_tunnels] = &rows[reply.n_tunnels].msg;
		reply.n_tunnels++;
	}
	ike_stats(s->engine, &st);
	reply.tunnels = list;
	reply.has_total = true;
	reply.total = st.p1;
	bus_reply(call, &reply.base);
	free(rows);
	free(infos);
	free(list);
}

/* Rows of phase 2, with the children that they borrow their names from. */
struct dyn_rows {
	struct iked_dyn_view *rows;
	struct ike_child *children;
	Ike__DynTunnel **list;
	size_t n, max;
};

static void dyn_rows_init(struct dyn_rows *r, size_t max)
{
	*r = (struct dyn_rows){xcalloc(max, sizeof(*r->rows)), xcalloc(max, sizeof(*r->children)), xcalloc(max, sizeof(*r->list)), 0, max};
}

static void dyn_rows_fini(struct dyn_rows *r)
{
	explicit_bzero(r->children, r->max * sizeof(*r->children));
	free(r->rows);
	free(r->children);
	free(r->list);
}

static void on_dyn_tunnels(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ListRequest *m = (const Ike__ListRequest *)req;
	struct iked_stack *s = stack_of(call, m->stack);
	Ike__DynTunnelsReply reply = IKE__DYN_TUNNELS_REPLY__INIT;
	const struct ike_child_info *c;
	struct dyn_rows r;
	struct ike_stats st;
	char at[16] = "";
	if (!s)
		return;
	dyn_rows_init(&r, page(m));
	(void)snprintf(at, sizeof(at), "%s", after_of(m) ? m->after : "");
	while ((c = child_next(s, m, at[0] ? at : NULL))) {
		bool want = wanted(m, c->child->tunnel_id, c->child->local_rule);
		if (want && r.n == r.max) {
			reply.next = at;
			break;
		}
		(void)snprintf(at, sizeof(at), "%s", c->child->tunnel_id);
		if (!want)
			continue;
		struct ike_child_info copy = *c;
		r.children[r.n] = *c->child;
		copy.child = &r.children[r.n];
		view_dyn(s, &copy, &r.rows[r.n]);
		r.list[r.n] = &r.rows[r.n].msg;
		r.n++;
	}
	ike_stats(s->engine, &st);
	reply.n_tunnels = r.n;
	reply.tunnels = r.list;
	reply.has_total = true;
	reply.total = st.children;
	bus_reply(call, &reply.base);
	dyn_rows_fini(&r);
}

/* --- the stack's view: asked of the stack, whose answer holds what only ikeD may see --- */

struct asked {
	struct iked_stack *stack;
	struct bus_call *call;
	Ike__ListRequest *request;
};

static void stack_row(struct iked_stack *s, const Stack__DynamicTunnel *t, struct dyn_rows *r)
{
	Ike__DynTunnel *m = &r->rows[r->n].msg;
	view_child(s, &r->children[r->n], &r->rows[r->n]);
	m->state = t->state ? t->state : (char *)"";
	m->has_established_us = m->has_refresh_us = m->has_expires_us = m->has_vpn_expires_us = true;
	m->established_us = t->installed_us;
	m->refresh_us = t->soft_us;
	m->expires_us = t->hard_us;
	m->vpn_expires_us = t->vpn_life_us;
	m->has_out_packets = m->has_out_bytes = m->has_in_packets = m->has_in_bytes = true;
	m->out_packets = t->out_packets;
	m->out_bytes = t->out_bytes;
	m->in_packets = t->in_packets;
	m->in_bytes = t->in_bytes;
	m->has_path_mtu = t->has_path_mtu;
	m->path_mtu = t->path_mtu;
	m->has_path_mtu_age_s = t->has_path_mtu_age_s;
	m->path_mtu_age_s = t->path_mtu_age_s;
	r->list[r->n] = m;
	r->n++;
}

static void stack_tunnels_reply(struct asked *a, const Stack__DynamicTunnelsReply *from)
{
	Ike__DynTunnelsReply reply = IKE__DYN_TUNNELS_REPLY__INIT;
	struct dyn_rows r;
	uint64_t wall = iked_wall_us();
	char next[24];
	dyn_rows_init(&r, from->n_tunnels);
	for (size_t i = 0; i < from->n_tunnels; i++)
		if (!tunnel_from_stack(from->tunnels[i], wall, &r.children[r.n]) &&
			wanted(a->request, r.children[r.n].tunnel_id, r.children[r.n].local_rule))
			stack_row(a->stack, from->tunnels[i], &r);
	if (from->has_next) {
		(void)snprintf(next, sizeof(next), "%llu", (unsigned long long)from->next);
		reply.next = next;
	}
	reply.n_tunnels = r.n;
	reply.tunnels = r.list;
	reply.has_total = true;
	reply.total = from->total;
	bus_reply(a->call, &reply.base);
	dyn_rows_fini(&r);
}

static void stack_tunnels_answered(void *arg, enum bus_code code, const char *text, const ProtobufCMessage *reply)
{
	struct asked *a = arg;
	if (code != BUS_OK)
		bus_fail(a->call, code == BUS_NOT_AUTHORIZED ? BUS_INTERNAL : code, "%s", text ? text : "the stack does not answer");
	else
		stack_tunnels_reply(a, (const Stack__DynamicTunnelsReply *)reply);
	protobuf_c_message_free_unpacked(&a->request->base, NULL);
	free(a);
}

/* The request outlives its handler. */
static Ike__ListRequest *request_copy(const ProtobufCMessage *req)
{
	size_t len = protobuf_c_message_get_packed_size(req);
	uint8_t *packed = xcalloc(len, 1);
	(void)protobuf_c_message_pack(req, packed);
	Ike__ListRequest *copy = ike__list_request__unpack(NULL, len, packed);
	free(packed);
	return xcheck(copy);
}

static void on_stack_tunnels(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ListRequest *q = (const Ike__ListRequest *)req;
	struct iked_stack *s = stack_of(call, q->stack);
	Stack__DynamicTunnelsRequest m = STACK__DYNAMIC_TUNNELS_REQUEST__INIT;
	if (!s)
		return;
	m.has_after = after_of(q) != NULL;
	m.after = m.has_after ? strtoull(q->after, NULL, 10) : 0;
	m.has_limit = q->has_limit;
	m.limit = q->limit;
	m.tunnel_id = q->n_ids == 1 ? q->ids[0] : NULL;
	struct asked *a = xnew(struct asked);
	*a = (struct asked){s, call, request_copy(req)};
	bus_client_call(s->client, "stack.DynamicTunnels", &m.base, &stack__dynamic_tunnels_reply__descriptor, IKED_DEADLINE_MS,
		stack_tunnels_answered, a);
}

struct port_row {
	Ike__NatPort m;
	char id[16], local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
};

static void port_fill(struct port_row *row, const struct ike_p1_info *p)
{
	ike__nat_port__init(&row->m);
	(void)snprintf(row->id, sizeof(row->id), "%s", p->tunnel_id);
	row->m.tunnel_id = row->id;
	row->m.local = (char *)addr_text(&p->path.local, row->local);
	row->m.remote = (char *)addr_text(&p->path.remote, row->remote);
	row->m.has_local_port = row->m.has_remote_port = row->m.has_tunnels = true;
	row->m.local_port = p->path.local_port;
	row->m.remote_port = p->path.remote_port;
	row->m.tunnels = p->children;
}

static void on_nat_ports(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ListRequest *m = (const Ike__ListRequest *)req;
	struct iked_stack *s = stack_of(call, m->stack);
	Ike__NatPortsReply reply = IKE__NAT_PORTS_REPLY__INIT;
	const struct ike_p1_info *p;
	char at[16] = "";
	if (!s)
		return;
	struct port_row *rows = xcalloc(LIST_MAX, sizeof(*rows));
	Ike__NatPort **list = xcalloc(LIST_MAX, sizeof(*list));
	while ((p = ike_p1_next(s->engine, at[0] ? at : NULL))) {
		(void)snprintf(at, sizeof(at), "%s", p->tunnel_id);
		if (!p->nat_t || (!p->nat_local && !p->nat_remote) || p->state != IKE_DONE)
			continue;
		reply.total++;
		if (reply.n_ports == LIST_MAX)
			continue;
		port_fill(&rows[reply.n_ports], p);
		list[reply.n_ports] = &rows[reply.n_ports].m;
		reply.n_ports++;
	}
	reply.has_total = true;
	reply.ports = list;
	bus_reply(call, &reply.base);
	free(rows);
	free(list);
}

/* --- activate, deactivate, refresh --- */

static void reply_activated(struct bus_call *call, const char *id, const char *state)
{
	Ike__ActivateReply reply = IKE__ACTIVATE_REPLY__INIT;
	reply.tunnel_id = (char *)id;
	reply.state = (char *)state;
	bus_reply(call, &reply.base);
}

void methods_outcome(struct iked_stack *s, const char *id, bool up, const char *text)
{
	struct iked *k = s->iked;
	for (unsigned i = 0; i < k->n_waiting;) {
		struct iked_waiting w = k->waiting[i];
		if (w.stack != s || strcmp(w.id, id)) {
			i++;
			continue;
		}
		k->waiting[i] = k->waiting[--k->n_waiting];
		if (up)
			reply_activated(w.call, id, "DONE");
		else
			bus_fail(w.call, BUS_CONFLICT, "%s: %.200s", id, text && *text ? text : "the negotiation failed");
	}
}

void methods_expire(struct iked *k, uint64_t now_us)
{
	for (unsigned i = 0; i < k->n_waiting;) {
		struct iked_waiting w = k->waiting[i];
		if (now_us < w.deadline_us) {
			i++;
			continue;
		}
		k->waiting[i] = k->waiting[--k->n_waiting];
		bus_fail(w.call, BUS_UNAVAILABLE, "%s is still being negotiated", w.id);
	}
}

void methods_end(struct iked *k, struct iked_stack *s)
{
	for (unsigned i = 0; i < k->n_waiting;) {
		struct iked_waiting w = k->waiting[i];
		if (s && w.stack != s) {
			i++;
			continue;
		}
		k->waiting[i] = k->waiting[--k->n_waiting];
		bus_fail(w.call, BUS_UNAVAILABLE, "stack %s is not served any more", w.stack->conf.name);
	}
}

static void activated(struct bus_call *call, struct iked_stack *s, const Ike__ActivateRequest *m, const char *id)
{
	struct iked *k = s->iked;
	uint32_t wait = m->wait_ms > WAIT_MAX_MS ? WAIT_MAX_MS : m->wait_ms;
	const struct ike_child_info *c = NULL;
	char at[16] = "";
	while ((c = ike_child_next(s->engine, at[0] ? at : NULL)) && strcmp(c->child->tunnel_id, id))
		(void)snprintf(at, sizeof(at), "%s", c->child->tunnel_id);
	if (!wait || k->n_waiting == IKED_WAITING_MAX || (c && c->state == IKE_CHILD_DONE)) {
		reply_activated(call, id, c ? text_child_state(c->state) : "INIT");
		return;
	}
	struct iked_waiting *w = &k->waiting[k->n_waiting++];
	*w = (struct iked_waiting){.call = call, .stack = s, .deadline_us = iked_now_us() + wait * 1000u};
	(void)snprintf(w->id, sizeof(w->id), "%s", id);
}

static void on_activate(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ActivateRequest *m = (const Ike__ActivateRequest *)req;
	struct iked_stack *s = stack_of(call, m->stack);
	struct errbuf e = {""};
	char id[16] = "";
	if (!s)
		return;
	const struct local_vpn_rule *r = m->local_rule && *m->local_rule ? policy_local_rule(s->conf.policy, m->local_rule) : NULL;
	if (!r) {
		bus_fail(call, BUS_NOT_FOUND, "stack %s has no LocalDynVpnRule %.64s", s->conf.name, m->local_rule ? m->local_rule : "");
		return;
	}
	if (!s->ready) {
		bus_fail(call, BUS_UNAVAILABLE, "stack %s is not running", s->conf.name);
		return;
	}
	int rc = start_local(s, r, &e, id);
	if (rc && rc != -EALREADY)
		bus_fail(call, rc == -ENOENT ? BUS_NOT_FOUND : BUS_CONFLICT, "%s", e.text[0] ? e.text : log_errno(rc));
	else
		activated(call, s, m, id);
	iked_arm(s->iked);
}

struct id_list {
	char (*id)[16];
	size_t n, cap;
};

static void id_add(struct id_list *l, const char *id)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->id = xrealloc(l->id, l->cap, sizeof(*l->id));
	}
	(void)snprintf(l->id[l->n++], sizeof(*l->id), "%s", id);
}

/* "K*" and "Y*" stand for all of a kind. */
static void id_expand(struct iked_stack *s, const char *id, struct id_list *l)
{
	const struct ike_p1_info *p;
	const struct ike_child_info *c;
	char at[16] = "";
	if (!strcasecmp(id, "K*"))
		while ((p = ike_p1_next(s->engine, at[0] ? at : NULL))) {
			(void)snprintf(at, sizeof(at), "%s", p->tunnel_id);
			id_add(l, at);
		}
	else if (!strcasecmp(id, "Y*"))
		while ((c = ike_child_next(s->engine, at[0] ? at : NULL))) {
			(void)snprintf(at, sizeof(at), "%s", c->child->tunnel_id);
			id_add(l, at);
		}
	else {
		(void)snprintf(at, sizeof(at), "%.15s", id);
		at[0] = at[0] == 'k' ? 'K' : at[0] == 'y' ? 'Y' : at[0];
		id_add(l, at);
	}
}

static void change(struct bus_call *call, struct iked_stack *s, size_t n, char *const *ids, bool refresh, bool cascade)
{
	Ike__ChangedReply reply = IKE__CHANGED_REPLY__INIT;
	struct id_list l = {0};
	for (size_t i = 0; i < n; i++)
		id_expand(s, ids[i], &l);
	char **unknown = xcalloc(l.n, sizeof(*unknown));
	for (size_t i = 0; i < l.n; i++) {
		int rc = refresh ? ike_refresh(s->engine, l.id[i], iked_now_us()) :
				   ike_deactivate(s->engine, l.id[i], cascade, iked_now_us());
		if (rc)
			unknown[reply.n_unknown++] = l.id[i];
		else
			reply.changed++;
	}
	reply.has_changed = true;
	reply.unknown = unknown;
	if (!n)
		bus_fail(call, BUS_INVALID, "ids: none given");
	else if (!reply.changed && reply.n_unknown == 1)
		bus_fail(call, BUS_NOT_FOUND, "stack %s has no tunnel %s", s->conf.name, unknown[0]);
	else
		bus_reply(call, &reply.base);
	free(unknown);
	free(l.id);
	iked_arm(s->iked);
}

static void on_deactivate(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__DeactivateRequest *m = (const Ike__DeactivateRequest *)req;
	struct iked_stack *s = stack_of(call, m->stack);
	if (s)
		change(call, s, m->n_ids, m->ids, false, m->cascade);
}

static void on_refresh(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__RefreshRequest *m = (const Ike__RefreshRequest *)req;
	struct iked_stack *s = stack_of(call, m->stack);
	if (s)
		change(call, s, m->n_ids, m->ids, true, false);
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
	{"Tunnels", DISPLAY, TYPES(list_request, tunnels_reply), on_tunnels},
	{"DynTunnels", DISPLAY, TYPES(list_request, dyn_tunnels_reply), on_dyn_tunnels},
	{"StackTunnels", DISPLAY, TYPES(list_request, dyn_tunnels_reply), on_stack_tunnels},
	{"NatPorts", DISPLAY, TYPES(list_request, nat_ports_reply), on_nat_ports},
	{"Activate", CONTROL, TYPES(activate_request, activate_reply), on_activate},
	{"Deactivate", CONTROL, TYPES(deactivate_request, changed_reply), on_deactivate},
	{"Refresh", CONTROL, TYPES(refresh_request, changed_reply), on_refresh},
	{"Stacks", "SERVAUTH", "EZB.NETSTAT.{sysname}.IKED.STACKS", SAF_READ, &common__empty__descriptor, &ike__stacks_reply__descriptor,
		on_stacks},
	{"DefaultStack", "SERVAUTH", "ANY", SAF_NONE, &common__empty__descriptor, &ike__stack_reply__descriptor, on_default_stack},
	{0}};
