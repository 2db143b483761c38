/* gro_pieces: the same rule as gro.c's, for packets that lie in one buffer and have not been parsed: what does not look plain at the
 * first glance is no run, and goes its way alone. UDP datagrams join where they would be cut the same again, too. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/gro.h"
#include "daemons/stack-core/ip/parse.h"
#include <string.h>

enum { TCP_ACK = 0x10, TCP_PSH = 8, DF = 0x40, UDP = 8 };

/* The IP header of a packet without options or extension headers that is whole and right; 0: something else. */
static uint32_t ip_plain(const struct gro_piece *p, uint8_t *ret_proto)
{
	const uint8_t *h = p->data;

	if (p->len > IP4_HEADER && h[0] == 0x45) {
		*ret_proto = h[9];
		return ip_get16(h + 2) == p->len && !(h[6] & 0x3f) && !h[7] && !csum_fold(csum_add(0, h, IP4_HEADER)) ? IP4_HEADER : 0;
	}
	if (p->len > IP6_HEADER && h[0] >> 4 == 6) {
		*ret_proto = h[6];
		return ip_get16(h + 4) + (uint32_t)IP6_HEADER == p->len ? IP6_HEADER : 0;
	}
	return 0;
}

static bool sum_right(const struct gro_piece *p, uint32_t l4, uint8_t proto)
{
	const uint8_t *h = p->data;
	uint32_t len = p->len - l4, addrs = l4 == IP4_HEADER ? 8 : 32;
	uint8_t tail[4] = {0, proto, (uint8_t)(len >> 8), (uint8_t)len};
	uint64_t sum = csum_add(csum_add(0, h + l4 - addrs, addrs), tail, sizeof(tail));

	return !csum_fold(csum_add(sum, h + l4, len));
}

/* Bytes of headers of a piece that may be one of a run; 0: not. */
static uint32_t plain(const struct gro_piece *p, uint32_t *ret_l4, uint8_t *ret_proto)
{
	uint32_t l4 = ip_plain(p, ret_proto), header = l4 + UDP;
	const uint8_t *t = p->data + l4;

	*ret_l4 = l4;
	if (!l4 || p->len <= header)
		return 0;
	if (*ret_proto == IP_TCP) {
		if (p->len < l4 + 20)
			return 0;
		header = l4 + (t[12] >> 4) * 4u;
		if (header < l4 + 20 || header >= p->len || (t[13] & ~TCP_PSH) != TCP_ACK)
			return 0;
	} else if (*ret_proto != IP_UDP || ip_get16(t + 4) != p->len - l4 || !(t[6] | t[7])) {
		return 0;
	}
	return sum_right(p, l4, *ret_proto) ? header : 0;
}

static bool same_ip(const uint8_t *x, const uint8_t *y, uint32_t l4, unsigned nth)
{
	if (l4 == IP6_HEADER)
		return !memcmp(x, y, 4) && !memcmp(x + 6, y + 6, 34);
	return x[1] == y[1] && !memcmp(x + 6, y + 6, 4) && !memcmp(x + 12, y + 12, 8) &&
		((x[6] & DF) || (uint16_t)(ip_get16(x + 4) + nth) == ip_get16(y + 4));
}

static bool same_l4(const uint8_t *s, const uint8_t *t, uint32_t len, uint8_t proto, uint32_t seq)
{
	if (memcmp(s, t, 4)) /* ports */
		return false;
	return proto == IP_UDP || (ip_get32(t + 4) == seq && !memcmp(s + 8, t + 8, 5) && !memcmp(s + 14, t + 14, 2) &&
		!memcmp(s + 18, t + 18, len - 18));
}

unsigned gro_run(const struct gro_piece *pieces, unsigned n, bool udp, struct gro_run *ret)
{
	const uint8_t *x = pieces[0].data;
	uint8_t proto, other;
	uint32_t l4, header = plain(&pieces[0], &l4, &proto), at;

	if (!header || (proto == IP_UDP && !udp))
		return 1;
	uint32_t mss = pieces[0].len - header, seq = proto == IP_TCP ? ip_get32(x + l4 + 4) : 0, total = pieces[0].len;
	unsigned run = 1;
	for (bool open = proto == IP_UDP || !(x[l4 + 13] & TCP_PSH); open && run < n; run++) {
		const struct gro_piece *p = &pieces[run];
		uint32_t payload = p->len - header;
		if (p->len <= header || payload > mss || total + payload > 65535 || (proto == IP_UDP && run == GRO_DATAGRAMS))
			break;
		if (!same_ip(x, p->data, l4, run) || !same_l4(x + l4, p->data + l4, header - l4, proto, seq + run * mss))
			break;
		if (plain(p, &at, &other) != header)
			break;
		total += payload;
		open = payload == mss && (proto == IP_UDP || !(p->data[l4 + 13] & TCP_PSH));
	}
	*ret = (struct gro_run){.header = header, .l4 = l4, .mss = mss, .proto = proto};
	return run;
}

static void lengths(const struct gro_run *r, uint8_t *h, uint32_t len)
{
	if (r->proto == IP_UDP)
		ip_put16(h + r->l4 + 4, len - r->l4);
	if (r->l4 == IP6_HEADER) {
		ip_put16(h + 4, len - IP6_HEADER);
		return;
	}
	ip_put16(h + 2, len);
	ip4_checksum(h);
}

bool gro_join(struct pkt *p, const struct gro_piece *pieces, unsigned n, const struct gro_run *r)
{
	const uint8_t *first = pieces[0].data;
	bool within = first >= p->buf && first < p->buf + p->size;

	p->off = within ? (uint32_t)(first - p->buf) : PKT_HEADROOM;
	uint8_t *h = pkt_data(p), *to = h + pieces[0].len, psh = 0;
	if (!within)
		memcpy(h, first, pieces[0].len);
	for (unsigned i = 1; i < n; i++) {
		uint32_t payload = pieces[i].len - r->header;
		psh = r->proto == IP_TCP ? pieces[i].data[r->l4 + 13] & TCP_PSH : 0;
		memmove(to, pieces[i].data + r->header, payload);
		to += payload;
	}
	p->len = (uint32_t)(to - h);
	if (psh)
		h[r->l4 + 13] |= psh;
	lengths(r, h, p->len);
	p->gso_size = p->gso_type = 0;
	p->csum_partial = false;
	if (!ip_parse(p))
		return false;
	uint32_t field = r->proto == IP_TCP ? 16 : 6;
	uint16_t sum = (uint16_t)~csum_fold(csum_pseudo(&p->src, &p->dst, r->proto, p->len - r->l4));
	memcpy(h + r->l4 + field, &sum, 2);
	p->gso_size = (uint16_t)r->mss;
	p->gso_type = r->proto == IP_UDP ? PKT_GSO_UDP_L4 : p->family == 4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
	p->csum_partial = true;
	p->csum_start = p->l4_off;
	p->csum_offset = (uint16_t)field;
	return true;
}
