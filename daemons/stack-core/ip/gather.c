/* gather: two datagrams are joined when cutting the result gives them again: same addresses, ports, TOS or flow label, TTL, not to be
 * fragmented (so that an IP ID says nothing, RFC 6864 section 4.1), equal length but the last, and both with a checksum that the host
 * left to us: there is none yet that could be wrong. Whatever else is of UDP ends all runs, for it may belong to any flow (a later
 * fragment shows no ports) and must not be overtaken. */
#include "daemons/stack-core/ip/gather.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include <string.h>

enum { UDP = 8, DF = 0x40, UDP_SUM = 6 };

struct run {
	unsigned at; /* place of the head in the list */
	uint32_t header, mss, segments;
	bool open;
};

/* Bytes of headers of a datagram that may be one of a run; 0: it may not. */
static uint32_t plain(const struct pkt *p)
{
	const uint8_t *h = pkt_data(p);
	uint32_t ip = p->len > IP4_HEADER && h[0] == 0x45 ? IP4_HEADER : p->len > IP6_HEADER && h[0] >> 4 == 6 ? IP6_HEADER : 0;

	if (!ip || p->len <= ip + UDP || p->drop || p->gso_size || p->size != PKT_SMALL)
		return 0;
	if (!p->csum_partial || p->csum_start != ip || p->csum_offset != UDP_SUM || ip_get16(h + ip + 4) != p->len - ip)
		return 0;
	if (ip == IP6_HEADER)
		return h[6] == IP_UDP && ip_get16(h + 4) + ip == p->len ? ip + UDP : 0;
	if (h[9] != IP_UDP || h[6] != DF || h[7] || ip_get16(h + 2) != p->len || csum_fold(csum_add(0, h, ip)))
		return 0;
	return ip + UDP;
}

/* Of another transport protocol: it is of no flow of datagrams, whatever else it is. */
static bool foreign(const struct pkt *p)
{
	const uint8_t *h = pkt_data(p);

	return p->len > IP4_HEADER && h[0] >> 4 == 4 ? h[9] != IP_UDP : p->len > IP6_HEADER && h[0] >> 4 == 6 && h[6] == IP_TCP;
}

static bool same_flow(const struct pkt *a, const struct pkt *b, uint32_t header)
{
	const uint8_t *x = pkt_data(a), *y = pkt_data(b);
	uint32_t addrs = header == IP4_HEADER + UDP ? 8 : 32;

	return x[0] == y[0] && !memcmp(x + header - UDP - addrs, y + header - UDP - addrs, addrs + 4); /* with the ports */
}

static bool same_ip(const uint8_t *x, const uint8_t *y, uint32_t header)
{
	return header == IP4_HEADER + UDP ? x[1] == y[1] && x[8] == y[8] : !memcmp(x, y, 4) && x[7] == y[7];
}

/* Joins @p to the head of @r; false: it does not fit. */
static bool join(struct pkt_pool *pool, struct pkt **pkts, struct run *r, struct pkt *p, unsigned *heads)
{
	struct pkt *head = pkts[r->at];
	uint32_t payload = p->len - r->header;

	if (!r->open || payload > r->mss || r->segments == GATHER_SEGMENTS || head->len + payload > GATHER_BYTES ||
		!same_ip(pkt_data(head), pkt_data(p), r->header))
		return false;
	if (r->segments == 1) {
		head = *heads < GATHER_HEADS ? pkt_enlarge(pool, head) : NULL;
		if (!head)
			return false;
		++*heads;
		pkts[r->at] = head;
	}
	memcpy(pkt_data(head) + head->len, pkt_data(p) + r->header, payload);
	head->len += payload;
	r->segments++;
	r->open = payload == r->mss;
	pkt_free(pool, p);
	return true;
}

/* The checksum stays to be filled in; what is there for a start is the pseudo header's with the length of all. */
static void finish(struct pkt *p, const struct run *r)
{
	uint8_t *h = pkt_data(p), *u = h + r->header - UDP;
	uint32_t old = ip_get16(u + 4), len = p->len - (r->header - UDP);

	if (r->segments == 1)
		return;
	if (p->csum_start == IP4_HEADER) {
		ip_put16(h + 2, p->len);
		ip4_checksum(h);
	} else {
		ip_put16(h + 4, len);
	}
	ip_put16(u + 4, len);
	ip_put16(u + UDP_SUM, (uint16_t)((ip_get16(u + UDP_SUM) + len - old) % 0xffff));
	p->gso_size = (uint16_t)r->mss;
	p->gso_type = PKT_GSO_UDP_L4;
}

static struct run *run_of(struct run *runs, unsigned n, struct pkt *const *pkts, const struct pkt *p, uint32_t header)
{
	for (unsigned i = n; i-- > 0;)
		if (runs[i].header == header && same_flow(pkts[runs[i].at], p, header))
			return &runs[i];
	return NULL;
}

static void finish_all(const struct run *runs, unsigned *n, struct pkt *const *pkts)
{
	for (unsigned i = 0; i < *n; i++)
		finish(pkts[runs[i].at], &runs[i]);
	*n = 0;
}

unsigned gather(struct pkt_pool *pool, struct pkt **pkts, unsigned n)
{
	struct run runs[GATHER_FLOWS];
	unsigned n_runs = 0, left = 0, heads = 0;

	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = pkts[i];
		uint32_t header = plain(p);
		struct run *r = header ? run_of(runs, n_runs, pkts, p, header) : NULL;
		if (r && join(pool, pkts, r, p, &heads))
			continue;
		pkts[left++] = p;
		if (!header) {
			if (!foreign(p))
				finish_all(runs, &n_runs, pkts);
			continue;
		}
		if (r)
			finish(pkts[r->at], r);
		else if (n_runs == GATHER_FLOWS)
			finish_all(runs, &n_runs, pkts);
		if (!r)
			r = &runs[n_runs++];
		*r = (struct run){left - 1, header, p->len - header, 1, true};
	}
	finish_all(runs, &n_runs, pkts);
	return left;
}
