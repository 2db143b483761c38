/* attack: what is wrong with one packet, seen alone. Every check reads only what ip_parse found to be there; a packet without options,
 * extension headers, fragments and policy costs a few comparisons. */
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ids/worker.h"
#include "daemons/stack-core/ip/parse.h"

enum { IP6_HOP = 0, IP6_ROUTING = 43, IP6_FRAGMENT = 44, IP6_DEST = 60, ICMP_REDIRECT_TYPE = 5, ICMP6_REDIRECT = 137 };
enum { FIRST_MIN = 576, OFFSET_MIN = 256, PADN = 1 };

static const uint16_t reasons[IDS_ATTACKS] = {
#define REASON(name, word, text) [IDS_##name] = DROP_IDS_##name,
	IDS_ATTACK_TYPES(REASON)
#undef REASON
};

static bool spend(atomic_int *left)
{
	return atomic_load_explicit(left, memory_order_relaxed) > 0 && atomic_fetch_sub_explicit(left, 1, memory_order_relaxed) > 0;
}

static void tell(struct ids_worker *w, const struct pkt *p, const struct ids_rule *r, unsigned probe, uint32_t value, bool discard)
{
	enum ids_attack a = r->attack;
	uint32_t correlator = 0;
	struct ids_event *e = NULL;
	if (spend(&w->ids->log_left[a]) && (e = post_next(w, p, IDS_EV_ATTACK, probe))) {
		e->what = (uint8_t)a;
		e->value = value;
		e->discarded = discard;
		correlator = e->correlator;
		post_commit(w);
		w->told = true;
	}
	if (r->report.trace && spend(&w->ids->trace_left[a]))
		post_trace(w, p, correlator, probe, r->report.trace_size);
}

/* @always: it is dropped policy or not. */
static bool found(struct ids_worker *w, const struct pkt *p, enum ids_attack a, unsigned probe, uint32_t value, bool always)
{
	const struct ids_rule *r = w->policy ? w->policy->attacks[a] : NULL;
	if (r && ids_excluded(r, &p->src, p->sport))
		r = NULL;
	if (!r && !always)
		return false;
	bool discard = always || r->discard;
	bump(&w->detected[a]);
	if (discard)
		bump(&w->discarded[a]);
	if (r)
		tell(w, p, r, probe, value, discard);
	return discard;
}

bool attack_found(struct ids_worker *w, struct pkt *p, enum ids_attack a, unsigned probe, uint32_t value)
{
	if (!found(w, p, a, probe, value, a == IDS_MALFORMED || a == IDS_FLOOD))
		return false;
	p->drop = reasons[a];
	return true;
}

void attack_flood(struct ids_worker *w, struct pkt *p)
{
	const struct ids_rule *r = w->policy ? w->policy->attacks[IDS_FLOOD] : NULL;
	bump(&w->detected[IDS_FLOOD]);
	bump(&w->discarded[IDS_FLOOD]);
	if (r && r->report.trace && spend(&w->ids->trace_left[IDS_FLOOD]))
		post_trace(w, p, 0, IDS_PROBE_FLOOD_SYN, r->report.trace_size);
	p->drop = DROP_IDS_FLOOD;
}

void attack_flood_began(struct ids_worker *w, const struct pkt *p)
{
	const struct ids_rule *r = w->policy ? w->policy->attacks[IDS_FLOOD] : NULL;
	if (r)
		tell(w, p, r, IDS_PROBE_FLOOD_START, p->dport, true);
}

static bool wants(const struct ids_worker *w, enum ids_attack a)
{
	return w->policy && w->policy->attacks[a];
}

static bool wants_value(const struct ids_worker *w, enum ids_attack a, uint8_t value)
{
	return wants(w, a) && ids_bit(&w->policy->attacks[a]->values, value);
}

/* Options of the IPv4 header: restricted ones, and bytes behind their end. ip_parse saw that their lengths fit. */
static bool options4(struct ids_worker *w, struct pkt *p, const uint8_t *h)
{
	uint32_t i = IP4_HEADER, end = p->l4_off;
	while (i < end) {
		uint8_t type = h[i];
		if (wants_value(w, IDS_OPTION, type) && attack_found(w, p, IDS_OPTION, IDS_PROBE_OPTION4, type))
			return false;
		if (!type)
			break;
		i += type == 1 ? 1 : h[i + 1];
	}
	for (; i < end && wants(w, IDS_HIDING); i++)
		if (h[i])
			return !attack_found(w, p, IDS_HIDING, IDS_PROBE_HIDE_END, h[i]);
	return true;
}

/* Options of one hop-by-hop or destination header (RFC 8200 section 4.2). One whose lengths do not fit is malformed. */
static bool options6(struct ids_worker *w, struct pkt *p, const uint8_t *o, uint32_t len, enum ids_attack a)
{
	for (uint32_t i = 2; i < len;) {
		uint8_t type = o[i];
		if (wants_value(w, a, type) && attack_found(w, p, a, a == IDS_HOP_OPTION ? IDS_PROBE_HOP6 : IDS_PROBE_DEST6, type))
			return false;
		if (!type) {
			i++;
			continue;
		}
		if (i + 2 > len || i + 2 + o[i + 1] > len)
			return !attack_found(w, p, IDS_MALFORMED, IDS_PROBE_PARSE, type);
		for (uint32_t k = 0; type == PADN && k < o[i + 1] && wants(w, IDS_HIDING); k++)
			if (o[i + 2 + k]) {
				if (attack_found(w, p, IDS_HIDING, IDS_PROBE_HIDE_PAD, o[i + 2 + k]))
					return false;
				break;
			}
		i += 2u + o[i + 1];
	}
	return true;
}

/* The chain up to the transport header, which ip_parse has walked. */
static bool chain6(struct ids_worker *w, struct pkt *p, const uint8_t *h)
{
	uint32_t at = IP6_HEADER;
	uint8_t next = h[6];
	while (at < p->l4_off) {
		uint32_t size = next == IP6_FRAGMENT ? 8 : (h[at + 1] + 1u) * 8;
		if (wants_value(w, IDS_NEXT_HEADER, next) && attack_found(w, p, IDS_NEXT_HEADER, IDS_PROBE_NEXT6, next))
			return false;
		if ((next == IP6_HOP || next == IP6_DEST) && !options6(w, p, h + at, size, next == IP6_HOP ? IDS_HOP_OPTION : IDS_DEST_OPTION))
			return false;
		next = h[at];
		at += size;
	}
	return !(wants_value(w, IDS_NEXT_HEADER, next) && attack_found(w, p, IDS_NEXT_HEADER, IDS_PROBE_NEXT6, next));
}

/* A path cuts at 576 bytes at the least (RFC 791): shorter first fragments, and later ones that begin inside what the first must have
 * held, are made to slip headers past a filter (RFC 1858). */
static bool fragment(struct ids_worker *w, struct pkt *p, const uint8_t *h)
{
	if (!wants(w, IDS_FRAGMENT))
		return true;
	uint32_t off = p->family == 4 ? (ip_get16(h + 6) & 0x1fffu) * 8 : p->opaque ? ip_get16(h + p->l4_off - 6) & 0xfff8u : 0;
	if (!off && p->len < FIRST_MIN)
		return !attack_found(w, p, IDS_FRAGMENT, IDS_PROBE_FIRST_SHORT, p->len);
	return !(off && off < OFFSET_MIN && attack_found(w, p, IDS_FRAGMENT, IDS_PROBE_LATER_LOW, off));
}

static bool tcp(struct ids_worker *w, struct pkt *p, const uint8_t *l4)
{
	uint32_t header = (l4[12] >> 4) * 4u;
	uint8_t flags = l4[13];
	if ((flags & TCP_SYN) && (flags & (TCP_FIN | TCP_RST)))
		return !attack_found(w, p, IDS_MALFORMED, IDS_PROBE_FLAGS, flags);
	if (header < 20 || (!p->fragment && header > p->len - p->l4_off))
		return !attack_found(w, p, IDS_MALFORMED, IDS_PROBE_OFFSET, header);
	if (p->sport == p->dport && addr_equal(&p->src, &p->dst))
		return !attack_found(w, p, IDS_MALFORMED, IDS_PROBE_LAND, p->sport);
	return true;
}

static bool udp(struct ids_worker *w, struct pkt *p, const uint8_t *l4)
{
	uint32_t len = ip_get16(l4 + 4);
	if (!p->fragment && !p->gso_size && (len < 8 || len > p->len - p->l4_off) && !(p->family == 6 && !len))
		return !attack_found(w, p, IDS_MALFORMED, IDS_PROBE_UDP_LENGTH, len);
	if (!wants(w, IDS_ECHO))
		return true;
	const struct ids_rule *r = w->policy->attacks[IDS_ECHO];
	return !(ids_port(r->local, p->dport) && ids_port(r->remote, p->sport) && attack_found(w, p, IDS_ECHO, IDS_PROBE_ECHO_PORTS, p->dport));
}

static bool transport(struct ids_worker *w, struct pkt *p, const uint8_t *h)
{
	const uint8_t *l4 = h + p->l4_off;
	switch (p->proto) {
	case IP_TCP:
		return tcp(w, p, l4);
	case IP_UDP:
		return udp(w, p, l4);
	case IPPROTO_IP_ICMP:
		return !(p->family == 4 && p->icmp_type == ICMP_REDIRECT_TYPE && attack_found(w, p, IDS_REDIRECT, IDS_PROBE_REDIRECT4, p->icmp_code));
	case IP_ICMP6:
		return !(p->family == 6 && p->icmp_type == ICMP6_REDIRECT && attack_found(w, p, IDS_REDIRECT, IDS_PROBE_REDIRECT6, p->icmp_code));
	default:
		return true;
	}
}

bool ids_in(struct ids_worker *w, struct pkt *p)
{
	const uint8_t *h = pkt_data(p);
	if (p->family == 4) {
		if (wants_value(w, IDS_PROTOCOL, p->proto) && attack_found(w, p, IDS_PROTOCOL, IDS_PROBE_PROTOCOL4, p->proto))
			return false;
		if (p->l4_off > IP4_HEADER && !options4(w, p, h))
			return false;
		if ((h[6] & 0x80) && wants(w, IDS_HIDING) && attack_found(w, p, IDS_HIDING, IDS_PROBE_HIDE_FLAG, h[6]))
			return false;
	} else if ((p->l4_off > IP6_HEADER || wants(w, IDS_NEXT_HEADER)) && !chain6(w, p, h)) {
		return false;
	}
	if (p->fragment && !fragment(w, p, h))
		return false;
	return p->opaque ? true : transport(w, p, h);
}

bool ids_whole(struct ids_worker *w, struct pkt *p)
{
	return p->opaque || transport(w, p, pkt_data(p));
}

/* TCP and UDP are what ordinary sockets send; of the rest a program may send what the rule lists. */
bool ids_out(struct ids_worker *w, struct pkt *p)
{
	enum ids_attack a = p->family == 4 ? IDS_OUTBOUND_RAW : IDS_OUTBOUND_RAW6;
	if (p->proto == IP_TCP || p->proto == IP_UDP || !wants(w, a) || wants_value(w, a, p->proto))
		return true;
	return !attack_found(w, p, a, p->family == 4 ? IDS_PROBE_RAW : IDS_PROBE_RAW6, p->proto);
}

static void addresses(struct pkt *p, const uint8_t *h)
{
	if (p->family == 4 && p->len >= IP4_HEADER) {
		p->src = addr_v4(h + 12);
		p->dst = addr_v4(h + 16);
	} else if (p->family == 6 && p->len >= IP6_HEADER) {
		p->src = addr_v6(h + 8);
		p->dst = addr_v6(h + 24);
	}
}

/* A source route is well-formed: it is an attack only where policy restricts the option or header. */
void ids_malformed(struct ids_worker *w, struct pkt *p)
{
	const uint8_t *h = pkt_data(p);
	addresses(p, h);
	if (p->drop != DROP_IP_SOURCE_ROUTE) {
		(void)found(w, p, IDS_MALFORMED, IDS_PROBE_PARSE, p->drop, true);
		return;
	}
	if (p->family == 6 && wants_value(w, IDS_NEXT_HEADER, IP6_ROUTING))
		(void)found(w, p, IDS_NEXT_HEADER, IDS_PROBE_NEXT6, IP6_ROUTING, true);
	for (uint32_t i = IP4_HEADER; p->family == 4 && i < p->l4_off && h[i];) {
		if ((h[i] == 131 || h[i] == 137) && wants_value(w, IDS_OPTION, h[i])) {
			(void)found(w, p, IDS_OPTION, IDS_PROBE_OPTION4, h[i], true);
			return;
		}
		i += h[i] == 1 ? 1 : h[i + 1] < 2 ? 255u : h[i + 1];
	}
}
