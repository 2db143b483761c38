/* Displays: of what the engine has, a page a request; and of what the stack has, which is asked of it. */
#include "daemons/ikeD/methods.h"
#include "lib/base/xalloc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LIST_DEFAULT = 500, LIST_MAX = 800 };


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

/* A page of what the engine shows one after the other, each after the id of the one before. */
struct page {
	const Ike__ListRequest *request;
	size_t n, max;
	char at[16]; /* the last that was looked at */
	bool full;   /* there is more */
};

static void page_begin(struct page *p, const Ike__ListRequest *m)
{
	*p = (struct page){.request = m};
	p->max = !m->has_limit || !m->limit ? LIST_DEFAULT : m->limit > LIST_MAX ? LIST_MAX : m->limit;
	(void)snprintf(p->at, sizeof(p->at), "%s", after_of(m) ? m->after : "");
}

static const char *page_after(const struct page *p)
{
	return p->at[0] ? p->at : NULL;
}

/* true: the row p->n of the page is this one's. false: it is not wanted, or the page is full. */
static bool page_takes(struct page *p, const char *id, const char *local_rule)
{
	bool want = wanted(p->request, id, local_rule);
	p->full = want && p->n == p->max;
	if (!p->full)
		(void)snprintf(p->at, sizeof(p->at), "%s", id);
	return want && !p->full;
}

void list_tunnels(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ListRequest *m = (const Ike__ListRequest *)req;
	struct iked_stack *s = methods_stack(call, m->stack);
	Ike__TunnelsReply reply = IKE__TUNNELS_REPLY__INIT;
	const struct ike_p1_info *p;
	struct ike_stats st;
	struct page g;
	if (!s)
		return;
	page_begin(&g, m);
	struct iked_tunnel_view *rows = xcalloc(g.max, sizeof(*rows));
	struct ike_p1_info *infos = xcalloc(g.max, sizeof(*infos)); /* what the engine lends is gone with the next call */
	Ike__Tunnel **list = xcalloc(g.max, sizeof(*list));
	while (!g.full && (p = ike_p1_next(s->engine, page_after(&g)))) {
		if (!page_takes(&g, p->tunnel_id, ""))
			continue;
		infos[g.n] = *p;
		view_tunnel(s, &infos[g.n], &rows[g.n]);
		list[g.n] = &rows[g.n].msg;
		g.n++;
	}
	ike_stats(s->engine, &st);
	reply.next = g.full ? g.at : NULL;
	reply.n_tunnels = g.n;
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

void list_dyn_tunnels(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ListRequest *m = (const Ike__ListRequest *)req;
	struct iked_stack *s = methods_stack(call, m->stack);
	Ike__DynTunnelsReply reply = IKE__DYN_TUNNELS_REPLY__INIT;
	const struct ike_child_info *c;
	struct dyn_rows r;
	struct ike_stats st;
	struct page g;
	if (!s)
		return;
	page_begin(&g, m);
	dyn_rows_init(&r, g.max);
	while (!g.full && (c = child_next(s, m, page_after(&g)))) {
		if (!page_takes(&g, c->child->tunnel_id, c->child->local_rule))
			continue;
		struct ike_child_info copy = *c;
		r.children[r.n] = *c->child;
		copy.child = &r.children[r.n];
		view_dyn(s, &copy, &r.rows[r.n]);
		r.list[r.n] = &r.rows[r.n].msg;
		g.n = ++r.n;
	}
	ike_stats(s->engine, &st);
	reply.next = g.full ? g.at : NULL;
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

void list_stack_tunnels(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ListRequest *q = (const Ike__ListRequest *)req;
	struct iked_stack *s = methods_stack(call, q->stack);
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

void list_nat_ports(struct bus_call *call, const ProtobufCMessage *req)
{
	const Ike__ListRequest *m = (const Ike__ListRequest *)req;
	struct iked_stack *s = methods_stack(call, m->stack);
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
