/* What a filter becomes in a stack: one for each direction and address family. */
#include "daemons/defmgrD/filter_parts.h"
#include <strings.h>

static const struct filter_protocol protocols[] = {{"icmp", "ICMP", 1, 4}, {"igmp", "IGMP", 2, 4}, {"tcp", "TCP", 6, 0}, {"udp", "UDP", 17, 0},
	{"esp", "ESP", 50, 0}, {"ah", "AH", 51, 0}, {"icmpv6", "ICMPv6", 58, 6}, {"ospf", "OSPF", 89, 0},
	{"ip", "IP", 4, 0}, {"ipip", "IPIP", 94, 0}, {"mipv6", "MIPv6", 135, 6}};
enum { NPROTOCOLS = sizeof(protocols) / sizeof(*protocols) };

const struct filter_protocol *filter_protocol_named(const char *name)
{
	for (unsigned i = 0; i < NPROTOCOLS; i++)
		if (!strcasecmp(name, protocols[i].name))
			return &protocols[i];
	return NULL;
}

const struct filter_protocol *filter_protocol_numbered(int number)
{
	for (unsigned i = 0; i < NPROTOCOLS; i++)
		if (protocols[i].number == number)
			return &protocols[i];
	return NULL;
}

unsigned filter_family(const struct filter *f)
{
	const struct filter_protocol *known = filter_protocol_numbered(f->protocol);
	return known ? known->family : 0;
}

unsigned filter_sides(const struct filter *f, struct filter_side out[FILTER_PARTS_MAX])
{
	unsigned n = 0, family = f->source.addr.family ? f->source.addr.family : f->dest.addr.family;
	if (!family)
		family = filter_family(f);
	for (unsigned v = 4; v <= 6; v += 2) {
		if (family && family != v)
			continue;
		if (f->direction != DEFMGR__FILTER__DIRECTION__OUTBOUND)
			out[n++] = (struct filter_side){v, true};
		if (f->direction != DEFMGR__FILTER__DIRECTION__INBOUND)
			out[n++] = (struct filter_side){v, false};
	}
	return n;
}

unsigned filter_parts(const struct filter *f)
{
	struct filter_side p[FILTER_PARTS_MAX];
	return filter_sides(f, p);
}

struct filter_ends filter_ends_of(const struct filter *f, bool inbound)
{
	if (!inbound && f->direction == DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL)
		return (struct filter_ends){&f->dest, &f->source, f->dport, f->sport};
	return (struct filter_ends){&f->source, &f->dest, f->sport, f->dport};
}

static void expand_one(const struct filter *f, unsigned i, struct filter_side p, bool simulate, struct filter_part *out)
{
	Stack__Defence *m = &out->msg;
	struct filter_ends ends = filter_ends_of(f, p.inbound);
	stack__defence__init(m);
	m->has_id = m->has_extension = m->has_family = m->has_inbound = m->has_routing = true;
	m->has_simulate = m->has_log = m->has_loglimit = m->has_expires_us = true;
	m->id = filter_part_id(f, i);
	m->name = (char *)f->name;
	m->extension = i + 1;
	m->family = p.family;
	if (ends.source->addr.family)
		m->source = (char *)prefix_text(ends.source, out->source);
	if (ends.dest->addr.family)
		m->destination = (char *)prefix_text(ends.dest, out->dest);
	m->has_protocol = f->protocol >= 0;
	m->protocol = (uint32_t)(f->protocol >= 0 ? f->protocol : 0);
	m->has_source_port_low = m->has_source_port_high = ends.sport[0] != 0;
	m->source_port_low = ends.sport[0];
	m->source_port_high = ends.sport[1];
	m->has_dest_port_low = m->has_dest_port_high = ends.dport[0] != 0;
	m->dest_port_low = ends.dport[0];
	m->dest_port_high = ends.dport[1];
	m->has_type = f->type >= 0;
	m->type = (uint32_t)(f->type >= 0 ? f->type : 0);
	m->has_code = f->code >= 0;
	m->code = (uint32_t)(f->code >= 0 ? f->code : 0);
	m->inbound = p.inbound;
	m->routing = f->routing;
	m->has_fragments_only = m->fragments_only = f->fragments;
	m->has_secclass = f->secclass != 0;
	m->secclass = f->secclass;
	m->simulate = simulate || f->mode == DEFMGR__FILTER__MODE__SIMULATE;
	m->log = f->log || m->simulate; /* one that only simulates and did not log would be nothing at all */
	m->loglimit = f->loglimit;
	m->has_global = m->global = f->global;
	m->expires_us = f->expires_us;
	m->has_opaque = m->opaque = f->opaque;
}

unsigned filter_expand(const struct filter *f, bool simulate, struct filter_part out[FILTER_PARTS_MAX])
{
	struct filter_side p[FILTER_PARTS_MAX];
	unsigned n = filter_sides(f, p);
	for (unsigned i = 0; i < n; i++)
		expand_one(f, i, p[i], simulate, &out[i]);
	return n;
}
