/* closed: probes that found nothing: datagrams to ports that nobody has, told by this host's ICMP, by a filter, or by the stack itself. */
#include "daemons/stack-core/ids/worker.h"
#include "daemons/stack-core/ip/parse.h"

enum { ICMP_UNREACH = 3, ICMP_PORT_UNREACH = 3, ICMP6_UNREACH = 1, ICMP6_PORT_UNREACH = 4 };

bool closed_looked_for(const struct ids_worker *w)
{
	return w->policy && w->policy->scan_level[IDS_UDP] != IDS_NOTHING;
}

/* This host says that a datagram found no port: the packet it cites tells who sent it. */
static void unreachable(struct ids_worker *w, const struct pkt *p)
{
	const uint8_t *in = pkt_data(p) + p->l4_off + 8;
	uint32_t left = p->len - p->l4_off - 8, at = p->family == 4 ? (in[0] & 15u) * 4 : IP6_HEADER;
	struct pkt cited = {.family = p->family, .proto = IP_UDP, .in_link = p->in_link, .len = left};
	if (left < at + 4 || at < IP4_HEADER || in[p->family == 4 ? 9 : 6] != IP_UDP)
		return;
	cited.src = p->family == 4 ? addr_v4(in + 12) : addr_v6(in + 8);
	cited.dst = p->family == 4 ? addr_v4(in + 16) : addr_v6(in + 24);
	cited.sport = ip_get16(in + at);
	cited.dport = ip_get16(in + at + 2);
	if (session_sent(w, &cited.dst, cited.dport, &cited.src, cited.sport))
		return; /* a late answer to us */
	bool traced = cited.dport >= 33434 && cited.dport <= 33690 && in[p->family == 4 ? 8 : 7] < 32;
	probe_event(w, &cited, IDS_UDP, traced ? IDS_NORMAL : cited.dport < 1024 ? IDS_VERY : IDS_POSSIBLY, IDS_PROBE_SCAN_UDP);
}

void closed_told(struct ids_worker *w, const struct pkt *p)
{
	uint32_t inner = p->family == 4 ? IP4_HEADER : IP6_HEADER;
	bool port = p->family == 4 ? p->proto == IPPROTO_IP_ICMP && p->icmp_type == ICMP_UNREACH && p->icmp_code == ICMP_PORT_UNREACH
				   : p->proto == IP_ICMP6 && p->icmp_type == ICMP6_UNREACH && p->icmp_code == ICMP6_PORT_UNREACH;
	if (port && p->len >= p->l4_off + 8u + inner + 8u)
		unreachable(w, p);
}

static void no_port(struct ids_worker *w, const struct pkt *p, unsigned tcp_probe, unsigned udp_probe, bool low)
{
	enum ids_class class = low && p->dport < 1024 ? IDS_VERY : IDS_POSSIBLY;
	if (p->opaque)
		return;
	if (p->proto == IP_TCP) {
		uint8_t flags = pkt_data(p)[p->l4_off + 13];
		if (!(flags & (TCP_ACK | TCP_RST)))
			probe_event(w, p, IDS_TCP, flags & TCP_SYN ? class : IDS_VERY, flags & TCP_SYN ? tcp_probe : IDS_PROBE_SCAN_FLAGS);
		else if ((flags & (TCP_ACK | TCP_RST | TCP_SYN)) == TCP_ACK && low)
			probe_event(w, p, IDS_TCP, IDS_POSSIBLY, IDS_PROBE_SCAN_STRAY);
	} else if (p->proto == IP_UDP && closed_looked_for(w) && !p->l2_group && !ip_is_multicast(&p->dst) &&
		   !session_sent(w, &p->dst, p->dport, &p->src, p->sport)) {
		bool traced = p->dport >= 33434 && p->dport <= 33690 && pkt_data(p)[p->family == 4 ? 8 : 7] < 32;
		probe_event(w, p, IDS_UDP, traced ? IDS_NORMAL : class, udp_probe);
	}
}

void ids_filtered(struct ids_worker *w, const struct pkt *p)
{
	no_port(w, p, IDS_PROBE_SCAN_FILTERED, IDS_PROBE_SCAN_FILTERED, false);
}

void ids_closed(struct ids_worker *w, const struct pkt *p)
{
	if (p->proto == IP_TCP && !p->opaque)
		session_refused(w, p);
	no_port(w, p, IDS_PROBE_SCAN_CLOSED, IDS_PROBE_SCAN_UDP, true);
}
