/* methods: what stackctl and ipsec ask of a stack. Rows of a reply hold their own text, so that one array is the whole reply. */
#include "daemons/stack-core/core.h"
#include "daemons/stack-core/worker.h"
#include "daemons/stack-core/ipsec/pmtu.h"
#include "lib/base/xalloc.h"
#include "lib/log/log.h"
#include "proto/common.pb-c.h"
#include "proto/stack.pb-c.h"
#include <string.h>

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

static struct core *core_of(const struct bus_call *call)
{
	struct daemon *d = bus_call_user(call);
	return d->state;
}

static void mac_text(const uint8_t mac[6], char out[18])
{
	(void)snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

struct link_row {
	Stack__Link m;
	char mac[18], addrs[LINK_ADDRS_MAX + 1][PREFIX_TEXT_MAX];
	char *list[LINK_ADDRS_MAX + 1];
};

static void link_fill(struct link_row *row, const struct link *l)
{
	struct link_counters c;

	stack__link__init(&row->m);
	link_sum(l, &c);
	row->m.name = (char *)l->name;
	row->m.type = (char *)link_type_text(l->type);
	row->m.device = (char *)l->device;
	row->m.driver = (char *)link_driver_text(l);
	if (l->vlan)
		SET(row->m, vlan_id, l->vlan);
	SET(row->m, up, link_up(l));
	SET(row->m, downs, l->downs);
	SET(row->m, mtu, l->mtu);
	for (unsigned i = 0; i < l->n_addrs; i++)
		row->list[row->m.n_addresses++] = (char *)prefix_text(&l->addrs[i], row->addrs[i]);
	if (l->link_local.family) {
		struct prefix ll = {l->link_local, 64};
		row->list[row->m.n_addresses] = (char *)prefix_text(&ll, row->addrs[row->m.n_addresses]);
		row->m.n_addresses++;
	}
	row->m.addresses = row->list;
	if (l->ethernet) {
		mac_text(l->mac, row->mac);
		row->m.mac = row->mac;
	}
	SET(row->m, rx_packets, c.rx_packets);
	SET(row->m, rx_bytes, c.rx_bytes);
	SET(row->m, tx_packets, c.tx_packets);
	SET(row->m, tx_bytes, c.tx_bytes);
	SET(row->m, rx_dropped, c.rx_dropped);
	SET(row->m, tx_dropped, c.tx_dropped);
}

static void method_links(struct bus_call *call, const ProtobufCMessage *request)
{
	const struct stack *s = core_of(call)->stack;
	struct link_row *rows = xcalloc(s->n_links, sizeof(*rows));
	Stack__Link *list[LINKS_MAX];
	Stack__LinksReply reply = STACK__LINKS_REPLY__INIT;

	(void)request;
	for (unsigned i = 0; i < s->n_links; i++) {
		if (!s->links[i].n_queues)
			continue;
		link_fill(&rows[i], &s->links[i]);
		list[reply.n_links++] = &rows[i].m;
	}
	reply.links = list;
	bus_reply(call, &reply.base);
	free(rows);
}

enum { ROUTES_SHOWN = 8192 };

struct route_row {
	Stack__Route m;
	char dst[PREFIX_TEXT_MAX], gateway[ADDR_TEXT_MAX];
};

static void route_fill(struct route_row *row, const struct stack *s, uint32_t index)
{
	const struct fib_route *r = fib_route(s->fib, index);

	stack__route__init(&row->m);
	row->m.destination = (char *)prefix_text(&r->dst, row->dst);
	switch (r->kind) {
	case FIB_GATEWAY:
		row->m.gateway = (char *)addr_text(&r->gateway, row->gateway);
		break;
	case FIB_LINK:
		row->m.gateway = (char *)"=";
		break;
	case FIB_BROADCAST:
		row->m.gateway = (char *)"broadcast";
		break;
	default:
		row->m.gateway = r->kind == FIB_HOST ? (char *)"host" : (char *)"local";
	}
	row->m.link = (char *)s->links[r->link].name;
	SET(row->m, packets, stack_route_packets(s, index));
}

static void method_routes(struct bus_call *call, const ProtobufCMessage *request)
{
	const struct stack *s = core_of(call)->stack;
	unsigned n = fib_count(s->fib) < ROUTES_SHOWN ? fib_count(s->fib) : ROUTES_SHOWN;
	struct route_row *rows = xcalloc(n, sizeof(*rows));
	Stack__Route **list = xcalloc(n, sizeof(*list));
	Stack__RoutesReply reply = STACK__ROUTES_REPLY__INIT;

	(void)request;
	for (unsigned i = 0; i < n; i++) {
		route_fill(&rows[i], s, i + 1);
		list[i] = &rows[i].m;
	}
	reply.n_routes = n;
	reply.routes = list;
	bus_reply(call, &reply.base);
	free(list);
	free(rows);
}

struct neigh_row {
	Stack__Neighbour m;
	char address[ADDR_TEXT_MAX], mac[18];
};
struct neigh_rows {
	const struct stack *stack;
	struct neigh_row *rows;
	Stack__Neighbour **list;
	unsigned n;
	uint64_t now_ms;
};

static void neigh_fill(void *arg, const struct neigh *n)
{
	struct neigh_rows *all = arg;
	struct neigh_row *row = &all->rows[all->n];
	uint8_t mac[6];

	stack__neighbour__init(&row->m);
	neigh_mac(n, mac);
	mac_text(mac, row->mac);
	row->m.address = (char *)addr_text(&n->addr, row->address);
	row->m.mac = row->mac;
	row->m.link = (char *)all->stack->links[n->link].name;
	row->m.state = (char *)neigh_state_text(neigh_state(n));
	SET(row->m, age_ms, all->now_ms - n->since_ms);
	all->list[all->n++] = &row->m;
}

static void method_neighbours(struct bus_call *call, const ProtobufCMessage *request)
{
	struct stack *s = core_of(call)->stack;
	unsigned n = neigh_count(s->neigh);
	struct neigh_rows all = {s, xcalloc(n, sizeof(struct neigh_row)), xcalloc(n, sizeof(Stack__Neighbour *)), 0, loop_now_ms()};
	Stack__NeighboursReply reply = STACK__NEIGHBOURS_REPLY__INIT;

	(void)request;
	neigh_each(s->neigh, neigh_fill, &all);
	reply.n_neighbours = all.n;
	reply.neighbours = all.list;
	bus_reply(call, &reply.base);
	free(all.list);
	free(all.rows);
}

struct sa_row {
	Stack__Sa m;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
};

static void sa_fill(struct sa_row *row, const struct tunnel *t, const struct sa *sa)
{
	const struct sa_path *path = sa_outside(sa);
	struct sa_counters c;

	stack__sa__init(&row->m);
	sa_sum(sa, &c);
	row->m.tunnel_id = (char *)t->id;
	row->m.name = (char *)t->name;
	row->m.state = atomic_load(&sa->expired) ? (char *)"Expired"
		: !atomic_load(&t->active) ? (char *)"Inactive"
		: t->dynamic && !sa->inbound && t->out != sa && t->out != sa->under ? (char *)"Shadow" : (char *)"Active";
	row->m.direction = sa->inbound ? (char *)"Inbound" : (char *)"Outbound";
	row->m.protocol = sa->proto == SA_ESP ? path->udp ? (char *)"ESP/UDP" : (char *)"ESP" : (char *)"AH";
	row->m.mode = sa->mode == SA_TUNNEL ? (char *)"Tunnel" : (char *)"Transport";
	row->m.local = (char *)addr_text(sa->inbound ? &path->dst : &path->src, row->local);
	row->m.remote = (char *)addr_text(sa->inbound ? &path->src : &path->dst, row->remote);
	row->m.encryption = (char *)sa_cipher_text(sa);
	row->m.authentication = (char *)sa_auth_text(sa);
	SET(row->m, spi, sa->spi);
	SET(row->m, esn, sa->esn);
	SET(row->m, replay_window, sa->inbound ? sa->replay.size : 0);
	SET(row->m, seq, sa->inbound ? sa->replay.last : atomic_load(&sa->seq));
	SET(row->m, packets, atomic_load(&c.packets));
	SET(row->m, bytes, atomic_load(&c.bytes));
	SET(row->m, auth_failed, atomic_load(&c.auth_failed));
	SET(row->m, replayed, atomic_load(&c.replayed));
	uint64_t now = loop_now_ms();
	uint32_t mtu = sa->inbound ? 0 : pmtu_known(t, now);
	if (mtu) {
		SET(row->m, path_mtu, mtu);
		SET(row->m, path_mtu_age_s, (uint32_t)(pmtu_age_ms(t, now) / 1000));
	}
}

enum { SAS_SHOWN = 2000 }; /* what a reply holds; DynamicTunnels has pages */

static void sa_add(Stack__Sa **list, struct sa_row *rows, unsigned *n, const struct tunnel *t, const struct sa *in, const struct sa *out)
{
	if (*n + 4 > SAS_SHOWN)
		return;
	for (; in; in = in->over, ++*n) {
		sa_fill(&rows[*n], t, in);
		list[*n] = &rows[*n].m;
	}
	for (; out; out = out->over, ++*n) {
		sa_fill(&rows[*n], t, out);
		list[*n] = &rows[*n].m;
	}
}

static void method_sas(struct bus_call *call, const ProtobufCMessage *request)
{
	struct sadb *db = core_of(call)->stack->sadb;
	struct sa_row *rows = xcalloc(SAS_SHOWN, sizeof(*rows));
	Stack__Sa **list = xcalloc(SAS_SHOWN, sizeof(*list));
	Stack__SasReply reply = STACK__SAS_REPLY__INIT;
	unsigned n = 0;

	(void)request;
	for (struct tunnel *t = sadb_next(db, NULL); t && n < SAS_SHOWN; t = sadb_next(db, t)) {
		if (!t->dynamic)
			sa_add(list, rows, &n, t, t->in, t->out);
		for (const struct generation *g = t->gens; g; g = g->older)
			sa_add(list, rows, &n, t, g->in, g->out);
	}
	reply.n_sas = n;
	reply.sas = list;
	bus_reply(call, &reply.base);
	free(list);
	free(rows);
}

static void counter_fill(Stack__Counter *m, const char *stage, const char *name, const char *help, uint64_t packets, bool is_drop)
{
	stack__counter__init(m);
	m->stage = (char *)stage;
	m->name = (char *)name;
	m->help = (char *)help;
	SET(*m, packets, packets);
	SET(*m, drop, is_drop);
}

static void method_counters(struct bus_call *call, const ProtobufCMessage *request)
{
	uint64_t pass[PASS_MAX], drops[DROP_MAX];
	Stack__Counter rows[PASS_MAX + DROP_MAX], *list[PASS_MAX + DROP_MAX];
	Stack__CountersReply reply = STACK__COUNTERS_REPLY__INIT;
	unsigned n = 0;

	(void)request;
	stack_counters(core_of(call)->stack, pass, drops);
	for (unsigned i = 0; i < PASS_MAX; i++, n++)
		counter_fill(&rows[n], pass_stage(i), pass_name(i), pass_help(i), pass[i], false);
	for (unsigned i = DROP_NONE + 1; i < DROP_MAX; i++, n++)
		counter_fill(&rows[n], drop_stage(i), drop_name(i), drop_help(i), drops[i], true);
	for (unsigned i = 0; i < n; i++)
		list[i] = &rows[i];
	reply.n_counters = n;
	reply.counters = list;
	bus_reply(call, &reply.base);
}

static void method_tunnel(struct bus_call *call, const ProtobufCMessage *request)
{
	const Stack__TunnelRequest *q = (const Stack__TunnelRequest *)request;
	struct core *k = core_of(call);
	Stack__ChangedReply reply = STACK__CHANGED_REPLY__INIT;

	if (!q->name || !*q->name || !q->has_activate) {
		bus_fail(call, BUS_INVALID, "name and activate are needed");
		return;
	}
	struct tunnel *t = sadb_find(k->stack->sadb, q->name);
	if (!t || t->dynamic) {
		bus_fail(call, BUS_NOT_FOUND, "there is no manual tunnel %s", q->name);
		return;
	}
	SET(reply, changed, atomic_load(&t->active) != (bool)q->activate);
	if (reply.changed) {
		sadb_activate(t, q->activate);
		core_resolve(k);
		events_tunnel(k, t, NULL);
	}
	bus_reply(call, &reply.base);
}

#define NETSTAT(what) "SERVAUTH", "EZB.NETSTAT.{sysname}.{instance}." what, SAF_READ
#define IPSECCMD(what) "SERVAUTH", "EZB.IPSECCMD.{sysname}.{instance}." what, SAF_READ
#define TUNNEL "SERVAUTH", "RAVELIN.STACK.{sysname}.{instance}.TUNNEL", SAF_READ
#define PKTTRACE "SERVAUTH", "EZB.TRCCTL.{sysname}.{instance}.PKTTRACE", SAF_READ
#define REPLY(name) &stack__##name##_reply__descriptor

const struct bus_method core_methods[] = {
	{"Links", NETSTAT("LINKS"), &common__empty__descriptor, REPLY(links), method_links},
	{"Routes", NETSTAT("ROUTES"), &common__empty__descriptor, REPLY(routes), method_routes},
	{"Neighbours", NETSTAT("NEIGHBOURS"), &common__empty__descriptor, REPLY(neighbours), method_neighbours},
	{"Counters", NETSTAT("COUNTERS"), &common__empty__descriptor, REPLY(counters), method_counters},
	{"Meters", NETSTAT("COUNTERS"), &common__empty__descriptor, REPLY(meters), method_meters},
	{"Flows", NETSTAT("CONN"), &common__empty__descriptor, REPLY(flows), method_flows},
	{"StartTrace", PKTTRACE, &stack__trace_request__descriptor, REPLY(trace), method_trace_start},
	{"ReadTrace", PKTTRACE, &stack__read_trace_request__descriptor, REPLY(read_trace), method_trace_read},
	{"StopTrace", PKTTRACE, &stack__stop_trace_request__descriptor, REPLY(changed), method_trace_stop},
	{"Ports", NETSTAT("PORTLIST"), &common__empty__descriptor, REPLY(ports), method_ports},
	{"PortCheck", "SERVAUTH", "RAVELIN.STACK.{sysname}.{instance}.PORTCHECK", SAF_READ, &stack__port_check_request__descriptor,
		REPLY(port_check), method_port_check},
	{"Ids", NETSTAT("IDS"), &stack__ids_request__descriptor, REPLY(ids), method_ids},
	{"Sas", IPSECCMD("DISPLAY"), &common__empty__descriptor, REPLY(sas), method_sas},
	{"Filters", IPSECCMD("DISPLAY"), &stack__filters_request__descriptor, REPLY(filters), method_filters},
	{"TrafficTest", IPSECCMD("DISPLAY"), &stack__traffic_test_request__descriptor, REPLY(filters), method_traffic},
	{"FilterSwitch", IPSECCMD("CONTROL"), &stack__switch_request__descriptor, REPLY(changed), method_switch},
	{"Tunnel", IPSECCMD("CONTROL"), &stack__tunnel_request__descriptor, REPLY(changed), method_tunnel},
	{"Defend", "SERVAUTH", "RAVELIN.STACK.{sysname}.{instance}.DEFEND", SAF_READ, &stack__defend_request__descriptor, REPLY(defend),
		method_defend},
	{"InstallTunnel", TUNNEL, &stack__install_tunnel_request__descriptor, REPLY(changed), method_install},
	{"ReadyTunnel", TUNNEL, &stack__ready_tunnel_request__descriptor, REPLY(changed), method_ready},
	{"RemoveTunnel", TUNNEL, &stack__remove_tunnel_request__descriptor, REPLY(changed), method_remove},
	{"MoveTunnel", TUNNEL, &stack__move_tunnel_request__descriptor, REPLY(changed), method_move},
	{"DynamicTunnels", TUNNEL, &stack__dynamic_tunnels_request__descriptor, REPLY(dynamic_tunnels), method_dynamic},
	{"DefenceMatches", IPSECCMD("DISPLAY"), &stack__defence_matches_request__descriptor, REPLY(defence_matches), method_matches},
	{0},
};
