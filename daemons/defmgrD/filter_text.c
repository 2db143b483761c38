/* A filter as a person sees it: in displays and events, and in the messages EZD1723I to EZD1726I. */
#include "daemons/defmgrD/filter_parts.h"
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What was typed: one word, or a number. */
static const char *protocol_text(const struct filter *f, char out[16])
{
	if (f->opaque)
		return memcpy(out, "opaque", 7);
	if (f->protocol < 0)
		return memcpy(out, "all", 4);
	const struct filter_protocol *known = filter_protocol_numbered(f->protocol);
	if (known)
		(void)snprintf(out, 16, "%s", known->name);
	else
		(void)snprintf(out, 16, "%d", f->protocol);
	return out;
}

static void view_ends(Defmgr__Filter *m, const struct filter_ends *ends, struct filter_view *out)
{
	m->source = ends->source->addr.family ? (char *)prefix_text(ends->source, out->source) : (char *)"all";
	m->destination = ends->dest->addr.family ? (char *)prefix_text(ends->dest, out->dest) : (char *)"all";
	m->has_source_port_low = m->has_source_port_high = ends->sport[0] != 0;
	m->source_port_low = ends->sport[0];
	m->source_port_high = ends->sport[1];
	m->has_dest_port_low = m->has_dest_port_high = ends->dport[0] != 0;
	m->dest_port_low = ends->dport[0];
	m->dest_port_high = ends->dport[1];
}

static void view_common(const struct filter *f, Defmgr__Filter *m)
{
	m->name = (char *)f->name;
	m->has_type = f->type >= 0;
	m->type = (uint32_t)(f->type >= 0 ? f->type : 0);
	m->has_code = f->code >= 0;
	m->code = (uint32_t)(f->code >= 0 ? f->code : 0);
	m->has_direction = m->has_routing = m->has_mode = m->has_log = m->has_loglimit = m->has_lifetime_min = true;
	m->direction = f->direction;
	m->routing = f->routing;
	m->mode = f->mode;
	m->log = f->log;
	m->loglimit = f->loglimit;
	m->lifetime_min = f->lifetime_min;
	m->has_fragments_only = m->has_secclass = m->has_global = true;
	m->fragments_only = f->fragments;
	m->secclass = f->secclass;
	m->global = f->global;
	m->user = (char *)f->user;
	m->has_added_us = m->has_updated_us = m->has_expires_us = m->has_id = true;
	m->added_us = f->added_us;
	m->updated_us = f->updated_us;
	m->expires_us = f->expires_us;
	if (f->origin) {
		m->rule = f->origin->rule;
		m->event = f->origin->event;
		m->has_events = true;
		m->events = f->origin->events;
	}
}

void filter_view(const struct filter *f, unsigned part, const char *stack, struct filter_view *out)
{
	Defmgr__Filter *m = &out->msg;
	defmgr__filter__init(m);
	view_common(f, m);
	m->protocol = (char *)protocol_text(f, out->protocol);
	m->stack = (char *)stack;
	m->id = f->id;
	struct filter_ends ends = {&f->source, &f->dest, f->sport, f->dport};
	if (part < FILTER_PARTS_MAX) {
		struct filter_side p[FILTER_PARTS_MAX];
		(void)filter_sides(f, p);
		ends = filter_ends_of(f, p[part].inbound);
		m->direction = p[part].inbound ? DEFMGR__FILTER__DIRECTION__INBOUND : DEFMGR__FILTER__DIRECTION__OUTBOUND;
		m->has_extension = true;
		m->extension = part + 1;
		m->id = filter_part_id(f, part);
		view_ends(m, &ends, out);
		if (!ends.source->addr.family)
			m->source = p[part].family == 4 ? (char *)"0.0.0.0/0" : (char *)"::/0";
		if (!ends.dest->addr.family)
			m->destination = p[part].family == 4 ? (char *)"0.0.0.0/0" : (char *)"::/0";
		return;
	}
	view_ends(m, &ends, out);
}

static const char *protocol_report(const struct filter *f, char out[16])
{
	if (f->opaque || f->protocol < 0) {
		(void)snprintf(out, 16, "%s", f->opaque ? "Opaque" : "ALL");
		return out;
	}
	const struct filter_protocol *known = filter_protocol_numbered(f->protocol);
	if (known)
		(void)snprintf(out, 16, "%s(%d)", known->report, f->protocol);
	else
		(void)snprintf(out, 16, "%d", f->protocol);
	return out;
}

static void range_text(char out[16], const uint16_t r[2])
{
	if (!r[0])
		(void)snprintf(out, 16, "all");
	else if (r[0] == r[1])
		(void)snprintf(out, 16, "%u", r[0]);
	else
		(void)snprintf(out, 16, "%u-%u", r[0], r[1]);
}

static void tags_text(const struct filter *f, const struct filter_ends *ends, char out[64])
{
	char a[16], b[16];
	if (f->protocol == IPPROTO_TCP || f->protocol == IPPROTO_UDP) {
		range_text(a, ends->sport);
		range_text(b, ends->dport);
		(void)snprintf(out, 64, "sport= %s dport= %s ", a, b);
	} else if (f->protocol == IPPROTO_ICMP || f->protocol == IPPROTO_ICMPV6) {
		(void)snprintf(a, sizeof(a), f->type < 0 ? "all" : "%d", f->type);
		(void)snprintf(b, sizeof(b), f->code < 0 ? "all" : "%d", f->code);
		(void)snprintf(out, 64, "type= %s code= %s ", a, b);
	} else if (f->protocol == 89) {
		(void)snprintf(a, sizeof(a), f->type < 0 ? "all" : "%d", f->type);
		(void)snprintf(out, 64, "type= %s ", a);
	} else {
		out[0] = 0;
	}
}

const char *filter_log_text(const struct filter *f, unsigned part, enum filter_message msg, char out[FILTER_LOG_TEXT_MAX])
{
	static const char *const verbs[] = {"added", "updated", "deleted", "expired"};
	static const char *const routings[] = {"", "local", "routed", "either"};
	struct filter_view v;
	char when[32], tags[64], proto[16];
	struct filter_side p[FILTER_PARTS_MAX];
	(void)filter_sides(f, p);
	struct filter_ends ends = filter_ends_of(f, p[part].inbound);
	filter_view(f, part, NULL, &v);
	tags_text(f, &ends, tags);
	time_t t = (time_t)((msg == FILTER_ADDED ? f->added_us : f->updated_us) / 1000000);
	if (msg == FILTER_EXPIRED)
		t = (time_t)(f->expires_us / 1000000);
	if (msg == FILTER_DELETED)
		t = time(NULL);
	struct tm tm;
	(void)strftime(when, sizeof(when), "%m/%d/%Y %H:%M:%S", gmtime_r(&t, &tm));
	(void)snprintf(out, FILTER_LOG_TEXT_MAX,
		"EZD%dI Defensive filter %s: %s filter rule= %s ext= %u sipaddr= %s dipaddr= %s proto= %s %sfragmentsonly= %s dir= %s "
		"routing= %s mode= %s log= %s lifetime= %u userid= %s global= %s loglimit= %u",
		msg, verbs[msg - FILTER_ADDED], when, f->name, part + 1, v.msg.source, v.msg.destination,
		protocol_report(f, proto), tags, f->fragments ? "yes" : "no", p[part].inbound ? "inbound" : "outbound",
		routings[f->routing], f->mode == DEFMGR__FILTER__MODE__SIMULATE ? "simulate" : "block", f->log ? "yes" : "no",
		f->lifetime_min, f->user, f->global ? "yes" : "no", f->loglimit);
	return out;
}
