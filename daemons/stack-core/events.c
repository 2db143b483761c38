/* events: what happens to packets, told on the bus and in the log. A permit that its rule asks to log goes out as
 * stack.filter.permitted, denials by policy and by defences as stack.filter.denied, simulated denials as stack.filter.simulated. */
#include "daemons/stack-core/core.h"
#include "lib/log/log.h"
#include "proto/stack.pb-c.h"
#include <time.h>

#define NETMGMT "SERVAUTH", "EZB.NETMGMT.{sysname}.{instance}.EVENTS"

const struct bus_event core_events[] = {
	{"stack.started", &stack__started__descriptor, NETMGMT},
	{"stack.filter.denied", &stack__filter_log__descriptor, NETMGMT},
	{"stack.filter.permitted", &stack__filter_log__descriptor, NETMGMT},
	{"stack.filter.simulated", &stack__filter_log__descriptor, NETMGMT},
	{"stack.sa.up", &stack__sa_event__descriptor, NETMGMT},
	{"stack.sa.down", &stack__sa_event__descriptor, NETMGMT},
	{"stack.sa.rejected", &stack__sa_event__descriptor, NETMGMT},
	{"stack.acquire", &stack__acquire__descriptor, NETMGMT},
	{"stack.tunnel.soft", &stack__tunnel_event__descriptor, NETMGMT},
	{"stack.tunnel.hard", &stack__tunnel_event__descriptor, NETMGMT},
	{"stack.tunnel.traffic", &stack__tunnel_event__descriptor, NETMGMT},
	{"stack.tunnel.moved", &stack__tunnel_event__descriptor, NETMGMT},
	{"stack.spi.unknown", &stack__unknown_spi__descriptor, NETMGMT},
	{"stack.port.denied", &stack__port_denied__descriptor, NETMGMT},
	{"stack.ids.attack", &stack__ids_event__descriptor, NETMGMT},
	{"stack.ids.scan", &stack__ids_event__descriptor, NETMGMT},
	{"stack.ids.tr", &stack__ids_event__descriptor, NETMGMT},
	{"stack.address.conflict", &stack__address_event__descriptor, NETMGMT},
	{"stack.link.added", &stack__link_event__descriptor, NETMGMT},
	{"stack.link.removed", &stack__link_event__descriptor, NETMGMT},
	{"stack.link.down", &stack__link_event__descriptor, NETMGMT},
	{"stack.link.up", &stack__link_event__descriptor, NETMGMT},
	{"stack.link.changed", &stack__link_event__descriptor, NETMGMT},
	{"stack.neighbour.changed", &stack__neighbour_event__descriptor, NETMGMT},
	{0},
};

enum { LOG_BATCH = 256 };

uint64_t core_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void events_started(struct core *k)
{
	Stack__Started m = STACK__STARTED__INIT;

	m.stack = k->stack->name;
	m.has_ipsecurity = true;
	m.ipsecurity = k->stack->ipsecurity4 || k->stack->ipsecurity6;
	bus_publish(k->daemon->bus, "stack.started", &m.base);
}

static const char *topic_of(unsigned msg)
{
	switch (msg) {
	case FILTER_MSG_PERMITTED:
		return "stack.filter.permitted";
	case FILTER_MSG_SIMULATED:
	case FILTER_MSG_SIMULATED_LIMITED:
		return "stack.filter.simulated";
	default:
		return "stack.filter.denied";
	}
}

static void one_record(void *arg, const struct filter_log *rec)
{
	struct core *k = arg;
	const struct link *l = rec->link < k->stack->n_links ? &k->stack->links[rec->link] : NULL;
	char text[1024], src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX], ours[ADDR_TEXT_MAX];
	const struct addr *own = l ? link_source(l, rec->src.family) : NULL;
	const struct tunnel *t = rec->tunnel == UINT32_MAX ? NULL : sadb_tunnel(k->stack->sadb, rec->tunnel);
	Stack__FilterLog m = STACK__FILTER_LOG__INIT;

	filter_log_text(rec, l ? l->name : NULL, own ? addr_text(own, ours) : NULL, t ? t->id : NULL, text, sizeof(text));
	m.message = text;
	m.rule = (char *)rec->name;
	m.has_extension = m.has_protocol = m.has_inbound = m.has_length = true;
	m.extension = rec->ext;
	m.source = (char *)addr_text(&rec->src, src);
	m.destination = (char *)addr_text(&rec->dst, dst);
	m.protocol = rec->proto;
	m.inbound = rec->inbound;
	m.length = rec->len;
	m.has_source_port = m.has_dest_port = ipproto_ports(rec->proto) && !rec->opaque;
	m.source_port = rec->sport;
	m.dest_port = rec->dport;
	m.link = l ? (char *)l->name : NULL;
	m.has_suppressed = rec->suppressed != 0;
	m.suppressed = rec->suppressed;
	m.tunnel_id = t ? (char *)t->id : NULL;
	log_notice(text, "stack", k->stack->name);
	bus_publish(k->daemon->bus, topic_of(rec->msg), &m.base);
}

void events_filters(struct core *k, uint64_t now_us)
{
	(void)filter_log_read(k->stack->filters, now_us, LOG_BATCH, one_record, k);
}

void events_neighbour(void *arg, const struct neigh *n)
{
	struct core *k = arg;
	char address[ADDR_TEXT_MAX], mac_text[18];
	uint8_t mac[6];
	Stack__Neighbour m = STACK__NEIGHBOUR__INIT;
	Stack__NeighbourEvent e = STACK__NEIGHBOUR_EVENT__INIT;

	neigh_mac(n, mac);
	(void)snprintf(mac_text, sizeof(mac_text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	m.address = (char *)addr_text(&n->addr, address);
	m.mac = mac_text;
	m.link = k->stack->links[n->link].name;
	m.state = (char *)neigh_state_text(neigh_state(n));
	e.neighbour = &m;
	if (k->daemon->bus)
		bus_publish(k->daemon->bus, "stack.neighbour.changed", &e.base);
}

void events_conflict(void *arg, uint16_t link, const struct addr *a, const uint8_t mac[6], bool refused)
{
	struct core *k = arg;
	char address[ADDR_TEXT_MAX], mac_text[18];
	Stack__AddressEvent m = STACK__ADDRESS_EVENT__INIT;

	(void)snprintf(mac_text, sizeof(mac_text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	m.address = (char *)addr_text(a, address);
	m.link = k->stack->links[link].name;
	m.mac = mac_text;
	m.has_refused = true;
	m.refused = refused;
	if (refused)
		log_error("somebody else has an address of this stack: it is not used", "address", address, "link", m.link, "mac", mac_text);
	else
		log_warning("somebody else claims an address of this stack", "address", address, "link", m.link, "mac", mac_text);
	if (k->daemon->bus)
		bus_publish(k->daemon->bus, "stack.address.conflict", &m.base);
}

void events_link(void *arg, const struct link *l, enum links_what what)
{
	static const char *const topics[] = {"stack.link.added", "stack.link.removed", "stack.link.changed"};
	static const char *const texts[] = {"interface added", "interface removed", "interface changed"};
	struct core *k = arg;
	Stack__LinkEvent m = STACK__LINK_EVENT__INIT;

	m.link = (char *)(uintptr_t)l->name;
	m.device = (char *)(uintptr_t)l->device;
	log_notice(texts[what], "stack", k->stack->name, "interface", l->name, "device", l->device);
	if (k->daemon->bus)
		bus_publish(k->daemon->bus, topics[what], &m.base);
}

void events_device(void *arg, const struct link *l, bool up, const char *why)
{
	struct core *k = arg;
	Stack__LinkEvent m = STACK__LINK_EVENT__INIT;

	m.link = (char *)(uintptr_t)l->name;
	m.device = (char *)(uintptr_t)l->device;
	m.why = up ? NULL : (char *)(uintptr_t)why;
	if (up)
		log_notice("interface up", "stack", k->stack->name, "interface", l->name, "device", l->device);
	else
		log_warning("interface down", "stack", k->stack->name, "interface", l->name, "device", l->device, "why", why);
	if (k->daemon->bus)
		bus_publish(k->daemon->bus, up ? "stack.link.up" : "stack.link.down", &m.base);
}

void events_tunnel(struct core *k, const struct tunnel *t, const char *why)
{
	bool up = atomic_load(&t->active), rejected = why != NULL;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
	Stack__Sa m = STACK__SA__INIT;
	Stack__SaEvent e = STACK__SA_EVENT__INIT;

	m.tunnel_id = (char *)t->id;
	m.name = (char *)t->name;
	m.state = up ? (char *)"Active" : (char *)"Inactive";
	m.local = (char *)addr_text(&sa_outside(t->in)->dst, local);
	m.remote = (char *)addr_text(&sa_outside(t->in)->src, remote);
	e.sa = &m;
	e.why = rejected ? (char *)why : up ? (char *)"activated" : (char *)"deactivated";
	if (rejected)
		log_warning("protected packets refused", "tunnel", t->name, "why", why);
	else
		log_notice(up ? "tunnel active" : "tunnel inactive", "tunnel", t->name, "id", t->id, "local", local, "remote", remote);
	bus_publish(k->daemon->bus, rejected ? "stack.sa.rejected" : up ? "stack.sa.up" : "stack.sa.down", &e.base);
}
