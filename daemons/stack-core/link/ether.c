/* ether: the Ethernet header, with and without an 802.1Q tag.
 *
 * Received frames reach a packet socket with their outer tag taken off by the kernel and told beside them; AF_XDP shows it where it
 * was. A tag that is still inside after one was taken off is a provider's double tag, which is no link of ours. */
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/link/driver.h"
#include <string.h>

enum { VLAN_ID = 0x0fff };

/* Takes the tag out of the frame: the IP header begins behind it. */
static bool untag(struct pkt *p, uint16_t *ret_tci)
{
	const uint8_t *tag = pkt_data(p);

	if (p->len < ETHER_TAG)
		return false;
	*ret_tci = ip_get16(tag);
	p->ethertype = ip_get16(tag + 2);
	p->off += ETHER_TAG;
	p->len -= ETHER_TAG;
	if (p->csum_partial) {
		if (p->csum_start < ETHER_TAG)
			return false;
		p->csum_start = (uint16_t)(p->csum_start - ETHER_TAG);
	}
	return true;
}

void ether_in(const struct link *l, struct pkt *p, uint32_t frame_len, bool tagged, uint16_t tpid, uint16_t tci)
{
	const uint8_t *eth = pkt_data(p) - ETHER_HEADER;

	if (frame_len < ETHER_HEADER) {
		p->drop = DROP_LINK_FRAME;
		return;
	}
	p->ethertype = ip_get16(eth + 12);
	p->l2_group = eth[0] & 1;
	memcpy(p->mac, eth + 6, 6);
	if (!p->l2_group && memcmp(eth, l->mac, 6)) {
		p->drop = DROP_LINK_OTHER_HOST;
		return;
	}
	if (tagged && tpid != ETHER_VLAN) {
		p->drop = DROP_LINK_VLAN;
		return;
	}
	if (!tagged && p->ethertype == ETHER_VLAN && !untag(p, &tci)) {
		p->drop = DROP_LINK_FRAME;
		return;
	}
	p->vlan = tci & VLAN_ID;
	if (p->ethertype != ETHER_IP4 && p->ethertype != ETHER_IP6 && p->ethertype != ETHER_ARP)
		p->drop = DROP_LINK_TYPE;
}

unsigned ether_out(const struct link *l, const struct pkt *p)
{
	unsigned len = l->vlan ? ETHER_HEADER + ETHER_TAG : ETHER_HEADER;
	uint8_t *data = pkt_data(p), *eth = data - len;

	memcpy(eth, p->mac, 6);
	memcpy(eth + 6, l->mac, 6);
	if (l->vlan) {
		ip_put16(eth + 12, ETHER_VLAN);
		ip_put16(eth + 14, l->vlan);
	}
	ip_put16(data - 2, p->ethertype == ETHER_ARP ? ETHER_ARP : p->family == 4 ? ETHER_IP4 : ETHER_IP6);
	return len;
}
