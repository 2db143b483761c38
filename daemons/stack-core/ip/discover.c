/* discover: only what is asked of our addresses on that link is answered; what is heard goes to the neighbour table only for
 * senders on the link's own networks. */
#include "daemons/stack-core/ip/discover.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include <string.h>

enum { ARP_LEN = 28, ND_NS = 135, ND_NA = 136, ND_REDIRECT = 137, ND_LEN = 24, ND_OPT = 8, OPT_SOURCE = 1, OPT_TARGET = 2 };
static const uint8_t arp_head[6] = {0, 1, 0x08, 0, 6, 4};

static enum discover_result drop(struct pkt *p, enum drop_reason why)
{
	p->drop = (uint16_t)why;
	return DISCOVER_DROP;
}

static void hear(struct discover_heard *h, const struct addr *a, const uint8_t *mac, enum neigh_heard how)
{
	h->valid = true;
	h->how = how;
	h->addr = *a;
	memcpy(h->mac, mac, 6);
}

enum discover_result arp_handle(const struct link *l, struct pkt *p, struct discover_heard *heard)
{
	uint8_t *a = pkt_data(p);

	heard->valid = false;
	if (p->len < ARP_LEN || memcmp(a, arp_head, 6) || (a[8] & 1))
		return drop(p, DROP_ARP_MALFORMED);
	unsigned op = ip_get16(a + 6);
	struct addr sender = addr_v4(a + 14), target = addr_v4(a + 24);
	bool probe = ip_is_unspecified(&sender), ours = link_owns(l, &target);

	if (op != 1 && op != 2)
		return drop(p, DROP_ARP_MALFORMED);
	if (!probe && link_owns(l, &sender)) {
		if (!memcmp(a + 8, l->mac, 6))
			return drop(p, DROP_ARP_IGNORED); /* our own words, come back */
		hear(heard, &sender, a + 8, NEIGH_CONFLICT);
		return drop(p, DROP_ARP_CONFLICT);
	}
	if (!probe && !link_on_net(l, &sender))
		return drop(p, DROP_ARP_IGNORED);
	if (op == 2) {
		hear(heard, &sender, a + 8, ours && !p->l2_group ? NEIGH_ANSWER : NEIGH_ANNOUNCED);
		return DISCOVER_DONE;
	}
	if (!ours) {
		if (!addr_equal(&sender, &target))
			return drop(p, DROP_ARP_IGNORED);
		hear(heard, &sender, a + 8, NEIGH_ANNOUNCED);
		return DISCOVER_DONE;
	}
	if (!probe)
		hear(heard, &sender, a + 8, NEIGH_ASKED);
	memcpy(p->mac, a + 8, 6);
	ip_put16(a + 6, 2);
	memmove(a + 18, a + 8, 10);
	memcpy(a + 8, l->mac, 6);
	memcpy(a + 14, target.b, 4);
	p->len = ARP_LEN;
	p->ethertype = ETHER_ARP;
	return DISCOVER_REPLY;
}

bool nd_is(const struct pkt *p)
{
	return p->family == 6 && p->proto == IP_ICMP6 && !p->fragment && p->icmp_type >= 133 && p->icmp_type <= 137;
}

/* The link-layer address option of that kind; NULL: none. *@ret_bad: the options are malformed. */
static const uint8_t *nd_option(const uint8_t *o, uint32_t len, uint8_t kind, bool *ret_bad)
{
	const uint8_t *found = NULL;

	while (len >= 2 && o[1] && o[1] * 8u <= len) {
		if (o[0] == kind && o[1] == 1)
			found = o + 2;
		len -= o[1] * 8u;
		o += o[1] * 8u;
	}
	*ret_bad = len != 0 || (found && (found[0] & 1));
	return found;
}

static void nd_finish(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t type, uint32_t flags, const struct addr *target,
	const uint8_t *mac, uint8_t option)
{
	uint8_t *m = h + IP6_HEADER;

	ip6_write(h, src, dst, IP_ICMP6, 255, 0, ND_LEN + ND_OPT);
	memset(m, 0, ND_LEN + ND_OPT);
	m[0] = type;
	ip_put32(m + 4, flags);
	memcpy(m + 8, target->b, 16);
	m[ND_LEN] = option;
	m[ND_LEN + 1] = 1;
	memcpy(m + ND_LEN + 2, mac, 6);
	uint16_t sum = csum_fold(csum_add(csum_pseudo(src, dst, IP_ICMP6, ND_LEN + ND_OPT), m, ND_LEN + ND_OPT));
	memcpy(m + 2, &sum, 2);
}

static enum discover_result nd_solicited(const struct link *l, struct pkt *p, const struct addr *target, const uint8_t *option,
	struct discover_heard *heard)
{
	static const uint8_t all[16] = {0xff, 2, [15] = 1};
	bool dad = ip_is_unspecified(&p->src);
	struct addr to = dad ? addr_v6(all) : p->src;

	if (!link_owns(l, target))
		return drop(p, DROP_ND_IGNORED);
	if (dad && option)
		return drop(p, DROP_ND_MALFORMED);
	if (!dad && !link_on_net(l, &p->src))
		return drop(p, DROP_ND_IGNORED);
	if (option)
		hear(heard, &p->src, option, NEIGH_ASKED);
	if (dad)
		memcpy(p->mac, (const uint8_t[6]){0x33, 0x33, 0, 0, 0, 1}, 6);
	else if (option)
		memcpy(p->mac, option, 6);
	p->len = IP6_HEADER + ND_LEN + ND_OPT;
	/* router, solicited (not for duplicate detection), override */
	nd_finish(pkt_data(p), target, &to, ND_NA, dad ? 0xa0000000u : 0xe0000000u, target, l->mac, OPT_TARGET);
	p->ethertype = ETHER_IP6;
	return DISCOVER_REPLY;
}

enum discover_result nd_handle(const struct link *l, struct pkt *p, struct discover_heard *heard)
{
	const uint8_t *h = pkt_data(p), *m = h + p->l4_off;
	uint32_t len = p->len - p->l4_off;
	bool bad;

	heard->valid = false;
	if (p->icmp_type == ND_REDIRECT)
		return drop(p, DROP_ND_REDIRECT);
	if (p->icmp_type != ND_NS && p->icmp_type != ND_NA)
		return drop(p, DROP_ND_IGNORED); /* routes are configured: advertisements change nothing */
	if (h[7] != 255 || p->l4_off != IP6_HEADER || len < ND_LEN || m[1] || (m[8] & 0xff) == 0xff)
		return drop(p, DROP_ND_MALFORMED);
	if (csum_fold(csum_add(csum_pseudo(&p->src, &p->dst, IP_ICMP6, len), m, len)))
		return drop(p, DROP_ND_MALFORMED);
	struct addr target = addr_v6(m + 8);
	bool solicit = p->icmp_type == ND_NS;
	const uint8_t *option = nd_option(m + ND_LEN, len - ND_LEN, solicit ? OPT_SOURCE : OPT_TARGET, &bad);
	if (bad)
		return drop(p, DROP_ND_MALFORMED);
	if (solicit)
		return nd_solicited(l, p, &target, option, heard);
	if (link_owns(l, &target)) {
		if (!memcmp(option ? option : p->mac, l->mac, 6))
			return drop(p, DROP_ND_IGNORED);
		hear(heard, &target, option ? option : p->mac, NEIGH_CONFLICT);
		return drop(p, DROP_ARP_CONFLICT);
	}
	if (!link_on_net(l, &target))
		return drop(p, DROP_ND_IGNORED);
	hear(heard, &target, option ? option : p->mac, (m[4] & 0x40) && !ip_is_multicast(&p->dst) ? NEIGH_ANSWER : NEIGH_ANNOUNCED);
	return DISCOVER_DONE;
}

static void ethernet(uint8_t *f, const uint8_t *to, const uint8_t *from, unsigned type)
{
	memcpy(f, to, 6);
	memcpy(f + 6, from, 6);
	ip_put16(f + 12, type);
}

size_t discover_request(const struct link *l, const struct addr *target, const uint8_t *mac, uint8_t frame[DISCOVER_FRAME_MAX])
{
	static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};
	const struct addr *src = link_source(l, target->family);
	uint8_t *a = frame + ETHER_HEADER;

	/* The source should be on the target's network, or its owner may not answer. */
	for (unsigned i = 0; i < l->n_addrs; i++) {
		struct prefix net = l->addrs[i];
		prefix_mask(&net);
		if (prefix_covers(&net, target)) {
			src = &l->addrs[i].addr;
			break;
		}
	}
	if (ip_is_link_local6(target))
		src = &l->link_local;
	if (!src)
		return 0;
	if (target->family == 4) {
		ethernet(frame, mac ? mac : everyone, l->mac, ETHER_ARP);
		memcpy(a, arp_head, 6);
		ip_put16(a + 6, 1);
		memcpy(a + 8, l->mac, 6);
		memcpy(a + 14, src->b, 4);
		memset(a + 18, 0, 6);
		memcpy(a + 24, target->b, 4);
		return ETHER_HEADER + ARP_LEN;
	}
	const uint8_t *t = target->b;
	uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff, [13] = t[13], [14] = t[14], [15] = t[15]};
	struct addr to = mac ? *target : addr_v6(group);
	ethernet(frame, mac ? mac : (const uint8_t[6]){0x33, 0x33, 0xff, t[13], t[14], t[15]}, l->mac, ETHER_IP6);
	nd_finish(a, src, &to, ND_NS, 0, target, l->mac, OPT_SOURCE);
	return ETHER_HEADER + IP6_HEADER + ND_LEN + ND_OPT;
}

static size_t own4(const struct link *l, const struct addr *own, bool announce, uint8_t *frame)
{
	static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};
	uint8_t *a = frame + ETHER_HEADER;

	ethernet(frame, everyone, l->mac, ETHER_ARP);
	memset(a, 0, ARP_LEN);
	memcpy(a, arp_head, 6);
	ip_put16(a + 6, 1);
	memcpy(a + 8, l->mac, 6);
	if (announce)
		memcpy(a + 14, own->b, 4);
	memcpy(a + 24, own->b, 4);
	return ETHER_HEADER + ARP_LEN;
}

size_t discover_own(const struct link *l, const struct addr *own, bool announce, uint8_t frame[DISCOVER_FRAME_MAX])
{
	static const uint8_t all[16] = {0xff, 2, [15] = 1};
	const struct addr nobody = {.family = 6}, everyone = addr_v6(all);
	const uint8_t *t = own->b;
	uint8_t *h = frame + ETHER_HEADER, *m = h + IP6_HEADER;

	if (own->family == 4)
		return own4(l, own, announce, frame);
	if (announce) {
		ethernet(frame, (const uint8_t[6]){0x33, 0x33, 0, 0, 0, 1}, l->mac, ETHER_IP6);
		nd_finish(h, own, &everyone, ND_NA, 0xa0000000u, own, l->mac, OPT_TARGET); /* router, override */
		return ETHER_HEADER + IP6_HEADER + ND_LEN + ND_OPT;
	}
	uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff, [13] = t[13], [14] = t[14], [15] = t[15]};
	struct addr to = addr_v6(group);
	ethernet(frame, (const uint8_t[6]){0x33, 0x33, 0xff, t[13], t[14], t[15]}, l->mac, ETHER_IP6);
	ip6_write(h, &nobody, &to, IP_ICMP6, 255, 0, ND_LEN); /* no option: there is no source that it could be of */
	memset(m, 0, ND_LEN);
	m[0] = ND_NS;
	memcpy(m + 8, t, 16);
	uint16_t sum = csum_fold(csum_add(csum_pseudo(&nobody, &to, IP_ICMP6, ND_LEN), m, ND_LEN));
	memcpy(m + 2, &sum, 2);
	return ETHER_HEADER + IP6_HEADER + ND_LEN;
}
