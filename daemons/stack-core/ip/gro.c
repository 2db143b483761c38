/* gro: two segments are joined when cutting the result again would give exactly them: same addresses, ports, TTL, TOS, DF set,
 * acknowledgement, window and options, in sequence, of equal size but the last, and both with a right checksum (the joined
 * one gets a new one, and must not make a damaged segment good). */
#include "daemons/stack-core/ip/gro.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include <string.h>

enum { TCP_ACK = 0x10, TCP_PSH = 8 };

struct flow {
	unsigned at; /* place of the head in the list */
	uint32_t next_seq, mss, header;
	bool open, joined;
};

static uint32_t tcp_header(const struct pkt *p)
{
	return (pkt_data(p)[p->l4_off + 12] >> 4) * 4u;
}

/* The length of the headers of a plain data segment, else 0. */
static uint32_t plain(const struct pkt *p)
{
	const uint8_t *h = pkt_data(p), *t = h + p->l4_off;

	if (p->proto != IP_TCP || p->fragment || p->gso_size || p->csum_partial || p->size != PKT_SMALL)
		return 0;
	if (p->family == 4 ? p->l4_off != IP4_HEADER || !(h[6] & 0x40) : p->l4_off != IP6_HEADER)
		return 0;
	uint32_t header = p->l4_off + tcp_header(p);
	if (tcp_header(p) < 20 || header >= p->len || (t[13] & ~TCP_PSH) != TCP_ACK)
		return 0;
	uint32_t len = p->len - p->l4_off;
	return csum_fold(csum_add(csum_pseudo(&p->src, &p->dst, IP_TCP, len), t, len)) ? 0 : header;
}

static bool same_flow(const struct pkt *a, const struct pkt *b)
{
	return a->out_link == b->out_link && a->proto == b->proto && a->sport == b->sport && a->dport == b->dport &&
		addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst);
}

static bool same_headers(const struct pkt *a, const struct pkt *b, uint32_t header)
{
	const uint8_t *x = pkt_data(a), *y = pkt_data(b), *s = x + a->l4_off, *t = y + b->l4_off;
	bool ip = a->family == 4 ? x[1] == y[1] && x[6] == y[6] && x[8] == y[8] : !memcmp(x, y, 4) && x[7] == y[7];

	return ip && !memcmp(s + 8, t + 8, 5) && !memcmp(s + 14, t + 14, 2) && !memcmp(s + 18, t + 18, header - a->l4_off - 18);
}

/* Joins @p to the head of @f; false: it does not fit. */
static bool join(struct pkt_pool *pool, struct pkt **pkts, struct flow *f, struct pkt *p, uint32_t header)
{
	struct pkt *head = pkts[f->at];
	uint32_t payload = p->len - header;

	if (!f->open || header != f->header || payload > f->mss || head->len + payload > GRO_BYTES ||
		ip_get32(pkt_data(p) + p->l4_off + 4) != f->next_seq || !same_headers(head, p, header))
		return false;
	if (!f->joined) {
		head = pkt_enlarge(pool, head);
		if (!head)
			return false;
		pkts[f->at] = head;
		f->joined = true;
	}
	memcpy(pkt_data(head) + head->len, pkt_data(p) + header, payload);
	head->len += payload;
	f->next_seq += payload;
	uint8_t psh = pkt_data(p)[p->l4_off + 13] & TCP_PSH;
	pkt_data(head)[head->l4_off + 13] |= psh;
	if (payload < f->mss || psh)
		f->open = false;
	pkt_free(pool, p);
	return true;
}

static void finish(struct pkt *p, const struct flow *f)
{
	uint8_t *h = pkt_data(p), *t = h + p->l4_off;

	if (p->family == 4) {
		ip_put16(h + 2, p->len);
		ip4_checksum(h);
	} else {
		ip_put16(h + 4, p->len - IP6_HEADER);
	}
	uint16_t sum = (uint16_t)~csum_fold(csum_pseudo(&p->src, &p->dst, IP_TCP, p->len - p->l4_off));
	memcpy(t + 16, &sum, 2);
	p->gso_size = (uint16_t)f->mss;
	p->gso_type = p->family == 4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
	p->csum_partial = true;
	p->csum_start = p->l4_off;
	p->csum_offset = 16;
}

unsigned gro_merge(struct pkt_pool *pool, const struct link *links, struct pkt **pkts, unsigned n)
{
	struct flow flows[GRO_FLOWS];
	unsigned n_flows = 0, left = 0;

	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = pkts[i];
		uint32_t header = links[p->out_link].gso ? plain(p) : 0;
		struct flow *f = NULL;
		for (unsigned k = 0; k < n_flows && !f; k++)
			if (same_flow(pkts[flows[k].at], p))
				f = &flows[k];
		if (f && header && join(pool, pkts, f, p, header))
			continue;
		pkts[left++] = p;
		if (f && f->joined)
			finish(pkts[f->at], f);
		if (f && !header) {
			*f = flows[--n_flows]; /* something else of that flow: later segments start anew behind it */
			continue;
		}
		if (!header || (!f && n_flows == GRO_FLOWS))
			continue;
		f = f ? f : &flows[n_flows++];
		*f = (struct flow){left - 1, ip_get32(pkt_data(p) + p->l4_off + 4) + p->len - header, p->len - header, header,
			!(pkt_data(p)[p->l4_off + 13] & TCP_PSH), false};
	}
	for (unsigned k = 0; k < n_flows; k++)
		if (flows[k].joined)
			finish(pkts[flows[k].at], &flows[k]);
	return left;
}
