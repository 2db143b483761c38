/* stackctl: what a stack is, has and does. Each command is one call to stack-core and its answer as
 * a table, or as JSON. */
#include "cli/stackctl/stackctl.h"
#include "lib/daemon/metrics.h"
#include "proto/common.pb-c.h"
#include "proto/stack.pb-c.h"
#include <string.h>
#include <inttypes.h>

int stackctl_call(const struct cli *c, const char *method, const ProtobufCMessage *q,
	const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret)
{
	char daemon[BUS_NAME_MAX + 1];
	int rc = cli_stack(c, daemon);
	return rc ? rc : cli_call(c, daemon, method, q, d, ret);
}

/* A call without operands: *@ret is the answer still to be printed, NULL when it was printed as
 * JSON. */
static int ask(const struct cli *c, const char *method, const ProtobufCMessageDescriptor *d,
	ProtobufCMessage **ret)
{
	Common__Empty q = COMMON__EMPTY__INIT;
	int rc = stackctl_call(c, method, &q.base, d, ret);
	if (rc || !c->json)
		return rc;
	cli_json(*ret);
	protobuf_c_message_free_unpacked(*ret, NULL);
	*ret = NULL;
	return CLI_OK;
}

int stackctl_done(ProtobufCMessage *m)
{
	protobuf_c_message_free_unpacked(m, NULL);
	return CLI_OK;
}

static const char *joined(size_t n, char *const *v, char *out, size_t size)
{
	size_t at = 0;
	out[0] = 0;
	for (size_t i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s", i ? " " : "", v[i]);
	return out;
}

static int run_links(struct cli *c, int argc, char **argv)
{
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = ask(c, "stack.Links", &stack__links_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Stack__LinksReply *r = (const Stack__LinksReply *)m;
	struct cli_table *t = cli_table_new("NAME", "TYPE", "DEVICE", "DRIVER", "VLAN", "STATE", "MTU", "MAC", "RX",
		"RX-DROP", "TX", "TX-DROP", "ADDRESSES", NULL);
	for (size_t i = 0; i < r->n_links; i++) {
		const Stack__Link *l = r->links[i];
		char addresses[400], mtu[16], vlan[16] = "-";
		(void)snprintf(mtu, sizeof(mtu), "%u", l->mtu);
		if (l->has_vlan_id)
			(void)snprintf(vlan, sizeof(vlan), "%u", l->vlan_id);
		cli_table_row(t, l->name, l->type, l->device, l->driver && *l->driver ? l->driver : "-", vlan, l->up ? "up" : "down", mtu, l->mac && *l->mac ? l->mac : "-",
			cli_u64(l->rx_packets), cli_u64(l->rx_dropped), cli_u64(l->tx_packets),
			cli_u64(l->tx_dropped),
			joined(l->n_addresses, l->addresses, addresses, sizeof(addresses)), NULL);
	}
	cli_table_end(t);
	return stackctl_done(m);
}

static int run_routes(struct cli *c, int argc, char **argv)
{
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = ask(c, "stack.Routes", &stack__routes_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Stack__RoutesReply *r = (const Stack__RoutesReply *)m;
	struct cli_table *t = cli_table_new("DESTINATION", "GATEWAY", "LINK", "PACKETS", NULL);
	for (size_t i = 0; i < r->n_routes; i++)
		cli_table_row(t, r->routes[i]->destination,
			r->routes[i]->gateway ? r->routes[i]->gateway : "=", r->routes[i]->link,
			cli_u64(r->routes[i]->packets), NULL);
	cli_table_end(t);
	return stackctl_done(m);
}

static int run_neighbours(struct cli *c, int argc, char **argv)
{
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = ask(c, "stack.Neighbours", &stack__neighbours_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Stack__NeighboursReply *r = (const Stack__NeighboursReply *)m;
	struct cli_table *t = cli_table_new("ADDRESS", "MAC", "LINK", "STATE", "AGE(MS)", NULL);
	for (size_t i = 0; i < r->n_neighbours; i++) {
		const Stack__Neighbour *n = r->neighbours[i];
		cli_table_row(t, n->address, n->mac, n->link, n->state, cli_u64(n->age_ms), NULL);
	}
	cli_table_end(t);
	return stackctl_done(m);
}

/* netstat -o */
static int run_ports(struct cli *c, int argc, char **argv)
{
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = ask(c, "stack.Ports", &stack__ports_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Stack__PortsReply *r = (const Stack__PortsReply *)m;
	struct cli_table *t = cli_table_new("PORT#", "PROT", "USER", "FLAGS", "RANGE", "SAF NAME", "BIND", NULL);
	for (size_t i = 0; i < r->n_ports; i++) {
		const Stack__Port *p = r->ports[i];
		char port[16], range[24] = "";
		(void)snprintf(port, sizeof(port), "%u", p->first);
		if (p->last != p->first)
			(void)snprintf(range, sizeof(range), "%u-%u", p->first, p->last);
		cli_table_row(t, p->unrsv ? "UNRSV" : port, p->protocol, p->user, *p->flags ? p->flags : "-", *range ? range : "-",
			*p->saf_name ? p->saf_name : "-", p->bind ? p->bind : "-", NULL);
	}
	cli_table_end(t);
	(void)printf("Restrict low ports: TCP %s, UDP %s\n%s; %llu binds checked, %llu refused\n", r->restrict_low_tcp ? "yes" : "no",
		r->restrict_low_udp ? "yes" : "no",
		r->enforced ? "Enforced" : r->n_ports ? "NOT ENFORCED: attach with ravelin-portguard" : "Nothing to enforce",
		(unsigned long long)r->checked, (unsigned long long)r->denied);
	return stackctl_done(m);
}

static int run_sas(struct cli *c, int argc, char **argv)
{
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = ask(c, "stack.Sas", &stack__sas_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Stack__SasReply *r = (const Stack__SasReply *)m;
	struct cli_table *t = cli_table_new("TUNNEL", "NAME", "STATE", "DIR", "PROTO", "MODE",
		"LOCAL", "REMOTE", "SPI", "ENCRYPTION", "AUTHENTICATION", "PACKETS", "BYTES",
		"AUTH-FAILED", "REPLAYED", "PATH-MTU", "AGE(S)", NULL);
	for (size_t i = 0; i < r->n_sas; i++) {
		const Stack__Sa *s = r->sas[i];
		char spi[16];
		(void)snprintf(spi, sizeof(spi), "0x%08x", s->spi);
		cli_table_row(t, s->tunnel_id, s->name, s->state, s->direction, s->protocol,
			s->mode, s->local, s->remote, spi, s->encryption, s->authentication,
			cli_u64(s->packets), cli_u64(s->bytes), cli_u64(s->auth_failed),
			cli_u64(s->replayed), s->path_mtu ? cli_u64(s->path_mtu) : "-", s->path_mtu ? cli_u64(s->path_mtu_age_s) : "-", NULL);
	}
	cli_table_end(t);
	return stackctl_done(m);
}

/* Packet threads, and the flows whose answer by the filters each remembers. */
static int run_workers(struct cli *c, int argc, char **argv)
{
	ProtobufCMessage *m = NULL;
	(void)argc, (void)argv;
	int rc = ask(c, "stack.Meters", &stack__meters_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Stack__MetersReply *r = (const Stack__MetersReply *)m;
	struct cli_table *t = cli_table_new("WORKER", "BATCHES", "PACKETS", "BUSY(MS)", "CACHE", "HITS", "MISSES", "HIT%", NULL);
	for (size_t i = 0; i < r->n_workers; i++) {
		const Stack__WorkerMeter *w = r->workers[i];
		uint64_t asked = w->cache_hits + w->cache_misses;
		char part[16] = "-";
		if (asked)
			(void)snprintf(part, sizeof(part), "%.1f", 100.0 * (double)w->cache_hits / (double)asked);
		cli_table_row(t, cli_u64(w->worker), cli_u64(w->batches), cli_u64(w->packets), cli_u64(w->busy_ns / 1000000),
			cli_u64(w->cache_entries), cli_u64(w->cache_hits), cli_u64(w->cache_misses), part, NULL);
	}
	cli_table_end(t);
	return stackctl_done(m);
}

static int tunnel(struct cli *c, char *name, bool activate)
{
	Stack__TunnelRequest q = STACK__TUNNEL_REQUEST__INIT;
	ProtobufCMessage *m = NULL;
	q.name = name;
	q.has_activate = true;
	q.activate = activate;
	int rc = stackctl_call(c, "stack.Tunnel", &q.base, &stack__changed_reply__descriptor, &m);
	if (rc)
		return rc;
	if (c->json)
		cli_json(m);
	else
		(void)printf("%u changed\n", ((const Stack__ChangedReply *)m)->changed);
	return stackctl_done(m);
}

static int run_activate(struct cli *c, int argc, char **argv)
{
	(void)argc;
	return tunnel(c, argv[0], true);
}

static int run_deactivate(struct cli *c, int argc, char **argv)
{
	(void)argc;
	return tunnel(c, argv[0], false);
}

/* --- counters --- */

static int counters(struct cli *c, bool drops_only)
{
	ProtobufCMessage *m = NULL;
	Common__Empty q = COMMON__EMPTY__INIT;
	int rc =
		stackctl_call(c, "stack.Counters", &q.base, &stack__counters_reply__descriptor, &m);
	if (rc)
		return rc;
	Stack__CountersReply *r = (Stack__CountersReply *)m;
	size_t n = 0;
	for (size_t i = 0; drops_only && i < r->n_counters;
		i++) { /* those that count drops and have seen one come first */
		Stack__Counter *k = r->counters[i];
		if (!k->drop || !k->packets)
			continue;
		r->counters[i] = r->counters[n];
		r->counters[n++] = k;
	}
	size_t all = r->n_counters;
	r->n_counters = drops_only ? n : all;
	if (c->json) {
		cli_json(m);
	} else {
		struct cli_table *t =
			cli_table_new("STAGE", "NAME", "KIND", "PACKETS", "WHAT", NULL);
		for (size_t i = 0; i < r->n_counters; i++) {
			const Stack__Counter *k = r->counters[i];
			cli_table_row(t, k->stage, k->name, k->drop ? "drop" : "pass",
				cli_u64(k->packets), k->help, NULL);
		}
		cli_table_end(t);
	}
	r->n_counters = all;
	return stackctl_done(m);
}

static int run_counters(struct cli *c, int argc, char **argv)
{
	(void)argc, (void)argv;
	return counters(c, false);
}

static int run_drops(struct cli *c, int argc, char **argv)
{
	(void)argc, (void)argv;
	return counters(c, true);
}

static int run_stats(struct cli *c, int argc, char **argv)
{
	ProtobufCMessage *m = NULL;
	char daemon[BUS_NAME_MAX + 1];
	if (argc && strcmp(argv[0], "--openmetrics"))
		return cli_usage(c, "'%s' is not --openmetrics", argv[0]);
	int rc = cli_stack(c, daemon);
	rc = rc ? rc : ask(c, "common.Stats", &common__stats_reply__descriptor, &m);
	if (rc || !m)
		return rc;
	const Common__StatsReply *r = (const Common__StatsReply *)m;
	if (argc) {
		metrics_print(r, daemon, stdout);
		return stackctl_done(m);
	}
	struct cli_table *t = cli_table_new("NAME", "VALUE", "WHAT", NULL);
	for (size_t i = 0; i < r->n_stats; i++)
		cli_table_row(
			t, r->stats[i]->name, cli_u64(r->stats[i]->value), r->stats[i]->help, NULL);
	cli_table_end(t);
	return stackctl_done(m);
}

static const struct cli_command commands[] = {
	{"links", "", "links of the stack, their addresses and packets", 0, 0, run_links},
	{"routes", "", "routes, and packets that took them", 0, 0, run_routes},
	{"ports", "", "port reservations and who may use the others (netstat -o)", 0, 0, run_ports},
	{"neighbours", "", "addresses on the links and their MACs", 0, 0, run_neighbours},
	{"workers", "", "packet threads and their flow caches", 0, 0, run_workers},
	{"sas", "", "security associations", 0, 0, run_sas},
	{"sas activate", "NAME", "let a manual tunnel carry traffic", 1, 1, run_activate},
	{"sas deactivate", "NAME", "stop a manual tunnel: its traffic is dropped", 1, 1,
		run_deactivate},
	{"filters", "[current|policy|profile|defensive]",
		"filters in order of search, with matches", 0, 1, stackctl_filters},
	{"filters switch", "default|policy", "which filters are in force behind the defences", 1, 1,
		stackctl_switch},
	{"filters test", "SOURCE DESTINATION [prot N] [srcport N] [destport N] [dir in|out]",
		"every filter that such traffic could match", 2, 10, stackctl_test},
	{"defences", "", "defensive filters, newest first", 0, 0, stackctl_defences},
	{"ids", "[summary|protocol TCP|UDP]", "attacks, scans and regulated ports (netstat -k)", 0, 2, stackctl_ids},
	{"counters", "", "packets by stage", 0, 0, run_counters},
	{"drops", "", "packets dropped, by reason", 0, 0, run_drops},
	{"top", "[--once] [--interval SECONDS] [--count N]", "load of workers, links, tunnels; drops by reason: live", 0, 5, stackctl_top},
	{"trace", "[source A] [dest A] [host A] [prot P] [srcport N] [destport N] [port N] [tunnel NAME] [spi N] [link NAME] [stage S,...] [dropped]"
		  " [count N] [seconds N]",
		"packets of chosen flows through the stages, a line each", 0, 40, stackctl_trace},
	{"capture", "--write FILE|- [--stage S,...] [--snaplen N] [--cleartext] [what trace has...]", "the same as a pcapng file for wireshark", 1, 40,
		stackctl_capture},
	{"stats", "[--openmetrics]", "figures of the daemon", 0, 1, run_stats},
	{0},
};

int main(int argc, char **argv)
{
	static const struct cli_spec spec = {.name = "stackctl",
		.summary = "show and steer a stack",
		.commands = commands,
		.stacked = true};
	return cli_main(&spec, argc, argv);
}
