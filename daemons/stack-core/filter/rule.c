/* What a simple filter is, whether it makes sense, and whether a packet is meant by it. */
#include "daemons/stack-core/filter/rule.h"
#include "daemons/stack-core/drop.h"
#include <string.h>
#include <strings.h>

static struct addr ones(uint8_t family)
{
	struct addr a = {.family = family};
	memset(a.b, 0xff, family == 4 ? 4 : 16);
	return a;
}

void filter_spec_init(struct filter_spec *s, uint8_t family, bool inbound)
{
	*s = (struct filter_spec){.action = FILTER_DENY,
		.family = family,
		.inbound = inbound,
		.scope = PKT_LOCAL | PKT_ROUTED,
		.proto = FILTER_PROTO_ANY,
		.a = {0, UINT16_MAX},
		.b = {0, UINT16_MAX}};
	s->src_lo = s->dst_lo = (struct addr){.family = family};
	s->src_hi = s->dst_hi = ones(family);
}

static void spread(const struct prefix *p, struct addr *lo, struct addr *hi)
{
	*lo = *hi = p->addr;
	for (unsigned bit = p->len; bit < 8 * addr_len(&p->addr); bit++)
		hi->b[bit / 8] = (uint8_t)(hi->b[bit / 8] | 0x80u >> bit % 8);
}

void filter_spec_source(struct filter_spec *s, const struct prefix *p)
{
	spread(p, &s->src_lo, &s->src_hi);
}

void filter_spec_dest(struct filter_spec *s, const struct prefix *p)
{
	spread(p, &s->dst_lo, &s->dst_hi);
}

void filter_spec_mirror(const struct filter_spec *s, struct filter_spec *ret)
{
	struct filter_spec m = *s;
	m.inbound = !s->inbound;
	m.src_lo = s->dst_lo;
	m.src_hi = s->dst_hi;
	m.dst_lo = s->src_lo;
	m.dst_hi = s->src_hi;
	if (ipproto_ports(s->proto)) {
		m.a = s->b;
		m.b = s->a;
	}
	*ret = m;
}

static int addresses_check(const struct filter_spec *s, struct errbuf *err)
{
	const struct addr *all[] = {&s->src_lo, &s->src_hi, &s->dst_lo, &s->dst_hi};
	for (size_t i = 0; i < 4; i++)
		if (all[i]->family != s->family)
			return err_set(err, EINVAL,
				"filter '%s': address of another family than the filter's",
				s->name);
	if (memcmp(s->src_lo.b, s->src_hi.b, 16) > 0 || memcmp(s->dst_lo.b, s->dst_hi.b, 16) > 0)
		return err_set(
			err, EINVAL, "filter '%s': address range ends before it begins", s->name);
	return 0;
}

static bool limits_l4(const struct filter_spec *s)
{
	uint16_t max = ipproto_typed(s->proto) ? UINT8_MAX : UINT16_MAX;
	return s->a.lo || s->a.hi < max || s->b.lo || s->b.hi < max;
}

int filter_spec_check(const struct filter_spec *s, struct errbuf *err)
{
	if (!memchr(s->name, 0, sizeof(s->name)) || !memchr(s->vpn, 0, sizeof(s->vpn)))
		return err_set(err, EINVAL, "filter name too long");
	if (!*s->name)
		return err_set(err, EINVAL, "filter without a name");
	if (s->family != 4 && s->family != 6)
		return err_set(err, EINVAL, "filter '%s': family is neither 4 nor 6", s->name);
	if (s->action > FILTER_SIMULATE)
		return err_set(err, EINVAL, "filter '%s': unknown action", s->name);
	if (!s->scope || s->scope & ~(PKT_LOCAL | PKT_ROUTED))
		return err_set(err, EINVAL, "filter '%s': routing is not local, routed or either",
			s->name);
	if (s->proto > FILTER_PROTO_ANY)
		return err_set(
			err, EINVAL, "filter '%s': protocol %u is over 255", s->name, s->proto);
	if (s->a.lo > s->a.hi || s->b.lo > s->b.hi)
		return err_set(err, EINVAL, "filter '%s': range ends before it begins", s->name);
	if (limits_l4(s) && s->opaque)
		return err_set(err, EINVAL,
			"filter '%s': opaque packets show no ports, type or code", s->name);
	if (limits_l4(s) && !ipproto_typed(s->proto) && !ipproto_ports(s->proto))
		return err_set(err, EINVAL, "filter '%s': its protocol has no ports, type or code",
			s->name);
	if (!memchr(s->group, 0, sizeof(s->group)) || !memchr(s->start, 0, sizeof(s->start)))
		return err_set(err, EINVAL, "filter '%s': name of group or start action too long", s->name);
	if (s->anchor && s->action != FILTER_IPSEC)
		return err_set(err, EINVAL, "filter '%s': only an IpSec action makes an anchor", s->name);
	if ((s->action == FILTER_IPSEC) != (*s->vpn != 0))
		return err_set(err, EINVAL,
			"filter '%s': a VPN action belongs to an IpSec action, and to it alone",
			s->name);
	return addresses_check(s, err);
}

void rule_init(
	struct filter_rule *r, const struct filter_spec *s, enum filter_kind kind, uint64_t prio)
{
	r->prio = prio;
	r->kind = (uint8_t)kind;
	r->spec = *s;
	r->log_on = s->log || s->action == FILTER_SIMULATE;
	r->needs_l4 = limits_l4(s);
}

bool filter_tells(const struct filter_verdict *v, const struct pkt *p)
{
	return v->rule && v->rule->spec.discard_icmp && (p->drop == DROP_FILTER_DENY || p->drop == DROP_FILTER_IMPLICIT);
}

const struct filter_spec *filter_rule_spec(const struct filter_rule *r)
{
	return &r->spec;
}

enum filter_kind filter_rule_kind(const struct filter_rule *r)
{
	return r->kind;
}

uint32_t filter_tunnel(const struct filter_rule *r)
{
	return atomic_load_explicit(&r->tunnel, memory_order_relaxed) - 1;
}

bool rule_expired(const struct filter_rule *r, uint64_t now_us)
{
	return r->spec.expires_us && now_us >= r->spec.expires_us;
}

static bool within(const struct addr *lo, const struct addr *hi, const struct addr *a)
{
	size_t n = lo->family == 4 ? 4 : 16;
	return memcmp(a->b, lo->b, n) >= 0 && memcmp(a->b, hi->b, n) <= 0;
}

bool rule_match(const struct filter_rule *r, const struct pkt *p, uint64_t now_us)
{
	const struct filter_spec *s = &r->spec;
	if (!(s->scope & p->scope) || (s->secclass && s->secclass != p->secclass))
		return false;
	if ((s->fragments_only && !p->fragment) || (s->opaque && !pkt_hidden(p)))
		return false;
	if (s->proto != FILTER_PROTO_ANY && s->proto != p->proto)
		return false;
	if (r->needs_l4) {
		uint16_t a, b;
		rule_packet_l4(p, &a, &b);
		if (pkt_hidden(p) || a < s->a.lo || a > s->a.hi || b < s->b.lo || b > s->b.hi)
			return false;
	}
	return within(&s->src_lo, &s->src_hi, &p->src) && within(&s->dst_lo, &s->dst_hi, &p->dst) &&
	       !rule_expired(r, now_us) && (!r->anchor || rule_match(r->anchor, p, now_us));
}
