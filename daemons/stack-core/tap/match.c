/* match: is this packet one that a session asks for, and how much of it may be shown? */
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/tap/tap.h"
#include <string.h>

enum { UDP_HEADER = 8, ICMP_HEADER = 8, ESP_HEADER = 8, AH_HEADER = 12, TCP_HEADER = 20 };

static const char *const stage_texts[TAP_STAGES] = {
#define TAP_TEXT(name, text) [TAP_##name] = text,
	TAP_STAGES_LIST(TAP_TEXT)
#undef TAP_TEXT
};

const char *tap_stage_text(unsigned stage)
{
	return stage < TAP_STAGES ? stage_texts[stage] : "?";
}

int tap_stage_find(const char *text)
{
	for (int i = 0; i < TAP_STAGES; i++)
		if (!strcmp(stage_texts[i], text))
			return i;
	return -1;
}

const char *tap_verdict_text(unsigned verdict)
{
	static const char *const texts[] = {"pass", "permit", "deny", "protect", "hold", "local", "host", "forward", "no route", "dropped"};

	return verdict < sizeof(texts) / sizeof(texts[0]) ? texts[verdict] : "?";
}

static bool mixed(const struct prefix *a, const struct prefix *b)
{
	return a->addr.family && b->addr.family && a->addr.family != b->addr.family;
}

int tap_spec_check(const struct tap_spec *s, struct errbuf *e)
{
	if (mixed(&s->src, &s->dst) || mixed(&s->src, &s->host) || mixed(&s->dst, &s->host))
		return err_set(e, EINVAL, "the addresses are of different families");
	if (s->proto > TAP_PROTO_ANY)
		return err_set(e, EINVAL, "%u is no IP protocol", s->proto);
	if ((s->sport || s->dport || s->port) && s->proto != TAP_PROTO_ANY && !ipproto_ports((uint8_t)s->proto))
		return err_set(e, EINVAL, "protocol %u has no ports", s->proto);
	if (!s->stages || (s->stages & ~(uint32_t)TAP_ANY_STAGE))
		return err_set(e, EINVAL, "no such stage");
	if (s->dropped && !(s->stages & 1u << TAP_DROP))
		return err_set(e, EINVAL, "dropped packets are seen at the stage drop only");
	if (s->snaplen > TAP_SNAP_MAX)
		return err_set(e, EINVAL, "at most %u bytes of a packet can be kept", TAP_SNAP_MAX);
	return 0;
}

static bool within(const struct prefix *p, const struct addr *a)
{
	return !p->addr.family || (p->addr.family == a->family && prefix_covers(p, a));
}

static bool ports_match(const struct tap_spec *s, const struct pkt *p)
{
	if (!s->sport && !s->dport && !s->port)
		return true;
	if (p->opaque || !ipproto_ports(p->proto))
		return false;
	return (!s->sport || s->sport == p->sport) && (!s->dport || s->dport == p->dport) &&
		(!s->port || s->port == p->sport || s->port == p->dport);
}

bool tap_leaves(const struct pkt *p, enum tap_stage stage)
{
	return (stage >= TAP_FILTER_OUT && stage <= TAP_LINK_TX) || (stage == TAP_DROP && p->next_hop.family);
}

bool tap_spec_match(const struct tap_spec *s, const struct pkt *p, enum tap_stage stage, const struct tunnel *t, uint32_t spi)
{
	if (!within(&s->src, &p->src) || !within(&s->dst, &p->dst))
		return false;
	if (s->host.addr.family && !within(&s->host, &p->src) && !within(&s->host, &p->dst))
		return false;
	if (s->proto != TAP_PROTO_ANY && s->proto != p->proto)
		return false;
	if (!ports_match(s, p))
		return false;
	if (*s->tunnel && (!t || (strcmp(s->tunnel, t->name) && strcmp(s->tunnel, t->id))))
		return false;
	if (s->spi && s->spi != spi)
		return false;
	return s->link < 0 || s->link == p->in_link || (tap_leaves(p, stage) && s->link == p->out_link);
}

bool tap_open_stage(const struct tap_set *set, const struct pkt *p, enum tap_stage stage)
{
	switch (stage) {
	case TAP_IPSEC_IN:
	case TAP_IPSEC_OUT:
		return true;
	case TAP_LINK_RX:
		return !(set->secret >> p->in_link & 1);
	case TAP_LINK_TX:
		return !(set->secret >> p->out_link & 1);
	default:
		return false;
	}
}

uint32_t tap_headers(const struct pkt *p)
{
	const uint8_t *l4 = pkt_data(p) + p->l4_off;
	uint32_t least = p->family == 6 ? IP6_HEADER : IP4_HEADER, n = p->l4_off > least ? p->l4_off : least;

	if (p->l4_off >= least && !p->opaque && p->l4_off < p->len) {
		uint32_t left = p->len - p->l4_off;
		switch (p->proto) {
		case IP_TCP:
			n += left > 12 && (l4[12] >> 4) * 4u > TCP_HEADER ? (l4[12] >> 4) * 4u : TCP_HEADER;
			break;
		case IP_UDP:
			n += UDP_HEADER;
			break;
		case IPPROTO_IP_ICMP:
		case IP_ICMP6:
			n += ICMP_HEADER;
			break;
		}
	} else if (p->l4_off >= least && ip_is_sealed(p->proto)) {
		n += p->proto == IP_ESP ? ESP_HEADER : AH_HEADER;
	}
	return n < p->len ? n : p->len;
}
