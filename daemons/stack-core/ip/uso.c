/* uso: two datagrams are joined when cutting the result would give exactly them: same addresses, ports, TOS, TTL and DF, and equal
 * length but for the last. The kernel cuts only what has a checksum to be filled in, so that each piece gets one; RFC 3948
 * 2.1 lets receivers take either. */
#include "daemons/stack-core/ip/uso.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include <string.h>

enum { UDP = 8 };

struct flow {
	unsigned at; /* place of the head in the list */
	uint32_t mss, segments;
	bool open;
};

static bool plain(const struct pkt *p)
{
	const uint8_t *h = pkt_data(p);

	if (!p->sealed || p->proto != IP_UDP || p->gso_size || p->size != PKT_SMALL || p->len <= p->l4_off + (uint32_t)UDP)
		return false;
	return p->family == 4 ? p->l4_off == IP4_HEADER && !(h[6] & 0x3f) && !h[7] : p->l4_off == IP6_HEADER;
}

static bool same_flow(const struct pkt *a, const struct pkt *b)
{
	return a->out_link == b->out_link && a->family == b->family && a->proto == b->proto && addr_equal(&a->dst, &b->dst) &&
		addr_equal(&a->src, &b->src);
}

static bool same_headers(const struct pkt *a, const struct pkt *b)
{
	const uint8_t *x = pkt_data(a), *y = pkt_data(b);
	bool ip = a->family == 4 ? x[1] == y[1] && x[6] == y[6] && x[8] == y[8] : !memcmp(x, y, 4) && x[7] == y[7];

	return ip && !memcmp(x + a->l4_off, y + b->l4_off, 4); /* both ports */
}

static bool join(struct pkt_pool *pool, struct pkt **pkts, struct flow *f, struct pkt *p)
{
	struct pkt *head = pkts[f->at];
	uint32_t payload = p->len - p->l4_off - UDP;

	if (!f->open || payload > f->mss || f->segments == USO_SEGMENTS || head->len + payload > USO_BYTES || !same_headers(head, p))
		return false;
	if (f->segments == 1) {
		head = pkt_enlarge(pool, head);
		if (!head)
			return false;
		pkts[f->at] = head;
	}
	memcpy(pkt_data(head) + head->len, pkt_data(p) + p->l4_off + UDP, payload);
	head->len += payload;
	f->segments++;
	f->open = payload == f->mss;
	pkt_free(pool, p);
	return true;
}

void uso_finish(struct pkt *p, uint32_t mss)
{
	uint8_t *h = pkt_data(p), *u = h + p->l4_off;
	uint32_t len = p->len - p->l4_off;

	if (p->family == 4) {
		ip_put16(h + 2, p->len);
		ip4_checksum(h);
	} else {
		ip_put16(h + 4, len);
	}
	ip_put16(u + 4, len);
	uint16_t sum = (uint16_t)~csum_fold(csum_pseudo(&p->src, &p->dst, IP_UDP, len));
	memcpy(u + 6, &sum, 2);
	p->gso_size = (uint16_t)mss;
	p->gso_type = PKT_GSO_UDP_L4;
	p->csum_partial = true;
	p->csum_start = p->l4_off;
	p->csum_offset = 6;
}

static void finish(struct pkt *p, const struct flow *f)
{
	if (f->segments > 1)
		uso_finish(p, f->mss);
}

unsigned uso_merge(struct pkt_pool *pool, const struct link *links, struct pkt **pkts, unsigned n)
{
	struct flow flows[USO_FLOWS];
	unsigned n_flows = 0, left = 0;

	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = pkts[i];
		bool good = links[p->out_link].uso && plain(p);
		struct flow *f = NULL;
		for (unsigned k = 0; k < n_flows && !f; k++)
			if (same_flow(pkts[flows[k].at], p))
				f = &flows[k];
		if (f && good && join(pool, pkts, f, p))
			continue;
		pkts[left++] = p;
		if (f)
			finish(pkts[f->at], f);
		if (f && !good) {
			*f = flows[--n_flows]; /* a longer one, say: later ones must not overtake it */
			continue;
		}
		if (!good || (!f && n_flows == USO_FLOWS))
			continue;
		f = f ? f : &flows[n_flows++];
		*f = (struct flow){left - 1, p->len - p->l4_off - UDP, 1, true};
	}
	for (unsigned k = 0; k < n_flows; k++)
		finish(pkts[flows[k].at], &flows[k]);
	return left;
}
