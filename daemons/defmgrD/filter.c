#include "daemons/defmgrD/filter_parts.h"
#include "lib/base/xalloc.h"
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
	const struct filter_protocol *known = filter_protocol_named(text);
	if (known) {
		f->protocol = known->number;
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

static int check_family(const struct filter *f, struct errbuf *e)
{
	unsigned s = f->source.addr.family, d = f->dest.addr.family, p = filter_family(f);
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
