#include "daemons/defmgrD/filter.h"
#include "lib/base/xalloc.h"
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const struct {
	const char *name;   /* as typed */
	const char *report; /* as messages print it */
	uint8_t number;
	uint8_t family; /* 0: both */
} protocols[] = {{"icmp", "ICMP", 1, 4}, {"igmp", "IGMP", 2, 4}, {"tcp", "TCP", 6, 0}, {"udp", "UDP", 17, 0},
	{"esp", "ESP", 50, 0}, {"ah", "AH", 51, 0}, {"icmpv6", "ICMPv6", 58, 6}, {"ospf", "OSPF", 89, 0},
	{"ip", "IP", 4, 0}, {"ipip", "IPIP", 94, 0}, {"mipv6", "MIPv6", 135, 6}};
enum { NPROTOCOLS = sizeof(protocols) / sizeof(*protocols) };

bool filter_name_ok(const char *name)
{
	size_t n = strlen(name);
	if (!n || n > FILTER_NAME_MAX || name[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("@#$_.:-", name[i]))
			return false;
	return true;
}

static int parse_prefix(const char *operand, const char *text, struct prefix *ret, struct errbuf *e)
{
	struct prefix p = {0};
	if (text && *text && strcasecmp(text, "all")) {
		switch (prefix_parse(text, &p)) {
		case 0:
			break;
		case -ERANGE:
			return err_set(e, EINVAL, "%s: prefix length of '%.60s' is too long; allowed: 0-32 for IPv4, 0-128 for IPv6",
				operand, text);
		case -EDOM:
			return err_set(e, EINVAL, "%s: '%.60s' has bits set behind its prefix length; allowed: all, address or "
				"address/prefixLength", operand, text);
		default:
			return err_set(e, EINVAL, "%s: found '%.60s'; allowed: all, address or address/prefixLength", operand, text);
		}
	}
	*ret = p;
	return 0;
}

static int parse_protocol(const char *text, struct filter *f, struct errbuf *e)
{
	f->protocol = FILTER_ANY;
	f->opaque = false;
	if (!text || !*text || !strcasecmp(text, "all"))
		return 0;
	if (!strcasecmp(text, "opaque")) {
		f->opaque = true;
		return 0;
	}
	for (unsigned i = 0; i < NPROTOCOLS; i++)
		if (!strcasecmp(text, protocols[i].name)) {
			f->protocol = protocols[i].number;
			return 0;
		}
	size_t digits = strspn(text, "0123456789");
	unsigned long n = digits && digits <= 3 && !text[digits] ? strtoul(text, NULL, 10) : 256;
	if (n > 255)
		return err_set(e, EINVAL, "prot: found '%.40s'; allowed: all, tcp, udp, icmp, icmpv6, ospf, igmp, esp, ah, opaque "
			"or 0-255", text);
	f->protocol = (int16_t)n;
	return 0;
}

static int parse_ports(const char *operand, bool has_low, uint32_t low, bool has_high, uint32_t high, const struct filter *f,
	uint16_t ret[2], struct errbuf *e)
{
	ret[0] = ret[1] = 0;
	if (!has_low && !has_high)
		return 0;
	if (f->protocol != IPPROTO_TCP && f->protocol != IPPROTO_UDP)
		return err_set(e, EINVAL, "%s: allowed only with prot tcp or udp", operand);
	if (!has_high)
		high = low;
	if (!has_low || low < 1 || low > 65535 || high < low || high > 65535)
		return err_set(e, EINVAL, "%s: found %u-%u; allowed: all or n[-m] of 1-65535", operand, has_low ? low : 0, high);
	ret[0] = (uint16_t)low;
	ret[1] = (uint16_t)high;
	return 0;
}

static int parse_type_code(const Defmgr__Filter *m, struct filter *f, struct errbuf *e)
{
	bool icmp = f->protocol == IPPROTO_ICMP || f->protocol == IPPROTO_ICMPV6;
	f->type = f->code = FILTER_ANY;
	if (m->has_type) {
		if (!icmp && f->protocol != 89)
			return err_set(e, EINVAL, "type: allowed only with prot icmp, icmpv6 or ospf");
		if (m->type > 255)
			return err_set(e, EINVAL, "type: found %u; allowed: all or 0-255", m->type);
		f->type = (int16_t)m->type;
	}
	if (m->has_code) {
		if (!icmp)
			return err_set(e, EINVAL, "code: allowed only with prot icmp or icmpv6");
		if (m->code > 255)
			return err_set(e, EINVAL, "code: found %u; allowed: all or 0-255", m->code);
		f->code = (int16_t)m->code;
	}
	return 0;
}

/* The family that the filter is bound to by its protocol: 4, 6, or 0 for none. */
static unsigned protocol_family(const struct filter *f)
{
	for (unsigned i = 0; i < NPROTOCOLS; i++)
		if (protocols[i].number == f->protocol)
			return protocols[i].family;
	return 0;
}

static int check_family(const struct filter *f, struct errbuf *e)
{
	unsigned s = f->source.addr.family, d = f->dest.addr.family, p = protocol_family(f);
	if (s && d && s != d)
		return err_set(e, EINVAL, "srcip and destip: found an IPv%u and an IPv%u address; allowed: the same family for both", s, d);
	unsigned a = s ? s : d;
	if (a && p && a != p)
		return err_set(e, EINVAL, "prot: found a protocol of IPv%u with an IPv%u address; allowed: the same family for both", p, a);
	return 0;
}

static int parse_limits(const Defmgr__Filter *m, struct errbuf *e)
{
	if (m->has_secclass && m->secclass > 255)
		return err_set(e, EINVAL, "secclass: found %u; allowed: 0-255", m->secclass);
	if (m->has_loglimit && m->loglimit > FILTER_LOGLIMIT_MAX)
		return err_set(e, EINVAL, "loglimit: found %u; allowed: 0-9999", m->loglimit);
	if (m->has_lifetime_min && (m->lifetime_min < 1 || m->lifetime_min > FILTER_LIFETIME_MAX))
		return err_set(e, EINVAL, "lifetime: found %u; allowed: 1-20160 minutes", m->lifetime_min);
	return 0;
}

void filter_limit(struct filter *f, const Defmgr__Filter *m, const struct filter_limits *limits)
{
	f->loglimit = m->has_loglimit ? (uint16_t)m->loglimit : limits->default_loglimit;
	f->lifetime_min = m->has_lifetime_min ? m->lifetime_min : FILTER_LIFETIME_DEFAULT;
	if (f->lifetime_min > limits->max_lifetime)
		f->lifetime_min = limits->max_lifetime;
	f->expires_us = f->updated_us + f->lifetime_min * 60000000ull;
}

static int parse_matching(const Defmgr__Filter *m, struct filter *f, struct errbuf *e)
{
	int rc = parse_prefix("srcip", m->source, &f->source, e);
	if (!rc)
		rc = parse_prefix("destip", m->destination, &f->dest, e);
	if (!rc)
		rc = parse_protocol(m->protocol, f, e);
	if (!rc)
		rc = parse_ports("srcport", m->has_source_port_low, m->source_port_low, m->has_source_port_high, m->source_port_high,
			f, f->sport, e);
	if (!rc)
		rc = parse_ports("destport", m->has_dest_port_low, m->dest_port_low, m->has_dest_port_high, m->dest_port_high, f,
			f->dport, e);
	if (!rc)
		rc = parse_type_code(m, f, e);
	return rc ? rc : check_family(f, e);
}

int filter_parse(const Defmgr__Filter *m, const struct filter_limits *limits, uint64_t now_us, struct filter *ret, struct errbuf *e)
{
	struct filter f = {0};
	if (!m->name || !filter_name_ok(m->name))
		return err_set(e, EINVAL, "-N: found '%.40s'; allowed: 1-32 letters, digits and @ # $ _ . : - (not first)",
			m->name ? m->name : "");
	memcpy(f.name, m->name, strlen(m->name));
	int rc = parse_matching(m, &f, e);
	if (!rc)
		rc = parse_limits(m, e);
	if (rc)
		return rc;
	f.direction = (uint8_t)(m->has_direction && m->direction ? m->direction : DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL);
	f.routing = (uint8_t)(m->has_routing && m->routing ? m->routing : DEFMGR__FILTER__ROUTING__LOCAL);
	f.mode = (uint8_t)(m->has_mode && m->mode ? m->mode : DEFMGR__FILTER__MODE__BLOCK);
	if (f.direction > DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL || f.routing > DEFMGR__FILTER__ROUTING__EITHER ||
		f.mode > DEFMGR__FILTER__MODE__SIMULATE)
		return err_set(e, EINVAL, "dir, routing or mode: not one of the documented values");
	f.fragments = m->has_fragments_only && m->fragments_only;
	f.secclass = (uint8_t)(m->has_secclass ? m->secclass : 0);
	f.log = !m->has_log || m->log;
	f.added_us = f.updated_us = now_us;
	filter_limit(&f, m, limits);
	*ret = f;
	return 0;
}

int filter_update_check(const Defmgr__UpdateRequest *u, struct errbuf *e)
{
	if (!u->name || !filter_name_ok(u->name))
		return err_set(e, EINVAL, "-N: found '%.40s'; allowed: 1-32 letters, digits and @ # $ _ . : - (not first)",
			u->name ? u->name : "");
	if (!(u->has_mode && u->mode) && !u->has_log && !u->has_loglimit && !u->has_lifetime_min)
		return err_set(e, EINVAL, "update: nothing to change; allowed: mode, log, loglimit, lifetime");
	Defmgr__Filter m = DEFMGR__FILTER__INIT;
	m.has_loglimit = u->has_loglimit;
	m.loglimit = u->loglimit;
	m.has_lifetime_min = u->has_lifetime_min;
	m.lifetime_min = u->lifetime_min;
	return parse_limits(&m, e);
}

void filter_update(struct filter *f, const Defmgr__UpdateRequest *u, const struct filter_limits *limits, uint64_t now_us)
{
	if (u->has_mode && u->mode)
		f->mode = (uint8_t)u->mode;
	if (u->has_log)
		f->log = u->log;
	if (u->has_loglimit)
		f->loglimit = (uint16_t)u->loglimit;
	if (u->has_lifetime_min)
		f->lifetime_min = u->lifetime_min;
	if (f->lifetime_min > limits->max_lifetime)
		f->lifetime_min = limits->max_lifetime;
	f->updated_us = now_us;
	f->expires_us = now_us + f->lifetime_min * 60000000ull;
}

/* Which families and directions the filter stands for, in the order of the extensions. */
struct part {
	unsigned family;
	bool inbound;
};

static unsigned parts_of(const struct filter *f, struct part out[FILTER_PARTS_MAX])
{
	unsigned n = 0, family = f->source.addr.family ? f->source.addr.family : f->dest.addr.family;
	if (!family)
		family = protocol_family(f);
	for (unsigned v = 4; v <= 6; v += 2) {
		if (family && family != v)
			continue;
		if (f->direction != DEFMGR__FILTER__DIRECTION__OUTBOUND)
			out[n++] = (struct part){v, true};
		if (f->direction != DEFMGR__FILTER__DIRECTION__INBOUND)
			out[n++] = (struct part){v, false};
	}
	return n;
}

unsigned filter_parts(const struct filter *f)
{
	struct part p[FILTER_PARTS_MAX];
	return parts_of(f, p);
}

/* Addresses and ports as they are for one direction. */
struct ends {
	const struct prefix *source, *dest;
	const uint16_t *sport, *dport;
};

static struct ends ends_of(const struct filter *f, bool inbound)
{
	if (!inbound && f->direction == DEFMGR__FILTER__DIRECTION__BIDIRECTIONAL)
		return (struct ends){&f->dest, &f->source, f->dport, f->sport};
	return (struct ends){&f->source, &f->dest, f->sport, f->dport};
}

static void expand_one(const struct filter *f, unsigned i, struct part p, bool simulate, struct filter_part *out)
{
	Stack__Defence *m = &out->msg;
	struct ends ends = ends_of(f, p.inbound);
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
	struct part p[FILTER_PARTS_MAX];
	unsigned n = parts_of(f, p);
	for (unsigned i = 0; i < n; i++)
		expand_one(f, i, p[i], simulate, &out[i]);
	return n;
}

/* What was typed: one word, or a number. */
static const char *protocol_text(const struct filter *f, char out[16])
{
	if (f->opaque)
		return memcpy(out, "opaque", 7);
	if (f->protocol < 0)
		return memcpy(out, "all", 4);
	for (unsigned i = 0; i < NPROTOCOLS; i++)
		if (protocols[i].number == f->protocol) {
			(void)snprintf(out, 16, "%s", protocols[i].name);
			return out;
		}
	(void)snprintf(out, 16, "%d", f->protocol);
	return out;
}

static void view_ends(Defmgr__Filter *m, const struct ends *ends, struct filter_view *out)
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
	struct ends ends = {&f->source, &f->dest, f->sport, f->dport};
	if (part < FILTER_PARTS_MAX) {
		struct part p[FILTER_PARTS_MAX];
		(void)parts_of(f, p);
		ends = ends_of(f, p[part].inbound);
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

int filter_from_stored(const Defmgr__Filter *m, struct filter *ret, struct errbuf *e)
{
	static const struct filter_limits none = {FILTER_LIFETIME_MAX, 0};
	struct filter f;
	int rc = filter_parse(m, &none, m->updated_us, &f, e);
	if (rc)
		return rc;
	if (!m->id || !m->expires_us || (m->user && strlen(m->user) >= sizeof(f.user)))
		return err_set(e, EINVAL, "stored filter '%s' is incomplete", f.name);
	f.id = m->id;
	f.global = m->global;
	f.added_us = m->added_us;
	f.expires_us = m->expires_us;
	if (m->user)
		memcpy(f.user, m->user, strlen(m->user));
	if (m->rule) {
		f.origin = xnew(struct filter_origin);
		(void)snprintf(f.origin->rule, sizeof(f.origin->rule), "%s", m->rule);
		(void)snprintf(f.origin->event, sizeof(f.origin->event), "%s", m->event ? m->event : "");
		f.origin->events = m->events;
	}
	*ret = f;
	return 0;
}

static const char *protocol_report(const struct filter *f, char out[16])
{
	if (f->opaque || f->protocol < 0) {
		(void)snprintf(out, 16, "%s", f->opaque ? "Opaque" : "ALL");
		return out;
	}
	for (unsigned i = 0; i < NPROTOCOLS; i++)
		if (protocols[i].number == f->protocol) {
			(void)snprintf(out, 16, "%s(%d)", protocols[i].report, f->protocol);
			return out;
		}
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

static void tags_text(const struct filter *f, const struct ends *ends, char out[64])
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
	struct part p[FILTER_PARTS_MAX];
	(void)parts_of(f, p);
	struct ends ends = ends_of(f, p[part].inbound);
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
