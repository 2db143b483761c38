/* cut: copies, because each piece gets headers of its own in front of its bytes. */
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include <string.h>

enum { TCP_FIN = 1, TCP_PSH = 8, TCP_CWR = 0x80, SCTP_SUM = 8, SCTP_HEADER = 12 };

/* A CRC, which no offload header can say of a packet but by its place: who takes a packet on would take it for a sum. */
static bool is_sctp(const struct pkt *p)
{
	return p->proto == IP_SCTP && p->csum_start == p->l4_off && p->csum_offset == SCTP_SUM && p->len >= p->l4_off + (uint32_t)SCTP_HEADER;
}

static void sctp_checksum(uint8_t *l4, uint32_t len)
{
	memset(l4 + SCTP_SUM, 0, 4);
	uint32_t crc = csum_sctp(l4, len);
	for (unsigned i = 0; i < 4; i++)
		l4[SCTP_SUM + i] = (uint8_t)(crc >> 8 * i);
}

void cut_checksum(struct pkt *p)
{
	if (!p->csum_partial)
		return;
	uint8_t *d = pkt_data(p);
	if (is_sctp(p)) {
		sctp_checksum(d + p->l4_off, p->len - p->l4_off);
		p->csum_partial = false;
		return;
	}
	uint16_t sum = csum_fold(csum_add(0, d + p->csum_start, p->len - p->csum_start));
	if (!sum && p->proto == IP_UDP)
		sum = 0xffff;
	memcpy(d + p->csum_start + p->csum_offset, &sum, 2);
	p->csum_partial = false;
}

static bool is_tcp(const struct pkt *p)
{
	unsigned t = p->gso_type & ~(unsigned)PKT_GSO_ECN;
	return p->proto == IP_TCP && t == (p->family == 4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6);
}

/* Bytes before the payload, of which there may be none; 0: nothing that we can cut. */
static uint32_t headers(const struct pkt *p)
{
	uint32_t len = 0;

	if (p->fragment)
		return 0;
	if (is_tcp(p))
		len = p->l4_off + (pkt_data(p)[p->l4_off + 12] >> 4) * 4u;
	else if (p->proto == IP_UDP && p->gso_type == PKT_GSO_UDP_L4)
		len = p->l4_off + 8u;
	if (is_tcp(p) && len < p->l4_off + 20u)
		return 0;
	return len <= p->len ? len : 0;
}

uint32_t cut_header_len(const struct pkt *p)
{
	uint32_t len = headers(p);
	return len < p->len ? len : 0;
}

static bool checksum_sound(const struct pkt *p)
{
	uint32_t field = (uint32_t)p->csum_start + p->csum_offset, own = p->l4_off + (p->proto == IP_TCP ? 16u : 6u);

	if (p->fragment || p->csum_start < p->l4_off || field + 2 > p->len)
		return false;
	if (p->proto != IP_TCP && p->proto != IP_UDP)
		return field >= p->l4_off + 4u;
	return field == own || (p->csum_start > p->l4_off && field >= p->l4_off + (p->proto == IP_TCP ? 20u : 8u));
}

bool cut_sound(struct pkt *p)
{
	uint32_t len = p->gso_size ? headers(p) : 0;

	if (p->csum_partial && !checksum_sound(p))
		p->drop = DROP_LINK_FRAME;
	else if (p->gso_size && !len)
		p->drop = DROP_IP_SEGMENT;
	else if (p->gso_size && p->len - len <= p->gso_size)
		p->gso_size = p->gso_type = 0; /* a single segment is an ordinary packet */
	if (!p->drop && p->csum_partial && is_sctp(p))
		cut_checksum(p);
	return !p->drop;
}

uint32_t cut_segment_len(const struct pkt *p)
{
	uint32_t h = cut_header_len(p);
	return h ? h + p->gso_size : 0;
}

uint32_t cut_packets(const struct pkt *p)
{
	uint32_t h = p->gso_size ? cut_header_len(p) : 0;

	return !p->gso_size || p->len <= p->gso_size ? 1 : (p->len - h + p->gso_size - 1) / p->gso_size;
}

static struct pkt *piece_new(struct pkt_pool *pool, const struct pkt *p, uint32_t len)
{
	bool small = len <= PKT_SMALL - PKT_HEADROOM - PKT_TAILROOM;
	struct pkt *s = small ? pkt_alloc(pool) : pkt_alloc_large(pool);

	if (!s)
		return NULL;
	uint8_t *buf = s->buf;
	uint32_t size = s->size;
	*s = *p;
	s->buf = buf;
	s->size = size;
	s->off = PKT_HEADROOM;
	s->len = len;
	s->gso_size = s->gso_type = 0;
	s->csum_partial = false;
	s->next = NULL;
	return s;
}

static void ip_length(const struct pkt *p, uint8_t *h, uint32_t len, uint32_t id_add)
{
	if (p->family == 6) {
		ip_put16(h + 4, len - IP6_HEADER);
		return;
	}
	ip_put16(h + 2, len);
	ip_put16(h + 4, (uint16_t)(ip_get16(h + 4) + id_add));
	ip4_checksum(h);
}

static void transport(const struct pkt *p, uint8_t *l4, uint32_t len, uint32_t at, bool last)
{
	uint32_t field = 16;

	if (p->proto == IP_TCP) {
		ip_put32(l4 + 4, ip_get32(l4 + 4) + at);
		l4[13] &= (uint8_t)~((last ? 0 : TCP_FIN | TCP_PSH) | (at ? TCP_CWR : 0));
	} else {
		ip_put16(l4 + 4, len);
		field = 6;
	}
	memset(l4 + field, 0, 2);
	if (p->encap) /* its ICV does better, and is checked next */
		return;
	uint16_t sum = csum_fold(csum_add(csum_pseudo(&p->src, &p->dst, p->proto, len), l4, len));
	if (!sum && p->proto == IP_UDP)
		sum = 0xffff;
	memcpy(l4 + field, &sum, 2);
}

uint32_t cut_segment(const struct pkt *p, uint32_t header, uint32_t at, uint8_t *to)
{
	uint32_t left = p->len - header - at, n = left < p->gso_size ? left : p->gso_size;

	memcpy(to, pkt_data(p), header);
	memcpy(to + header, pkt_data(p) + header + at, n);
	ip_length(p, to, header + n, at / p->gso_size);
	transport(p, to + p->l4_off, header + n - p->l4_off, at, n == left);
	return header + n;
}

bool cut_segments(struct pkt_pool *pool, struct pkt *p, cut_fn emit, void *arg)
{
	uint32_t header = cut_header_len(p), total = p->len - header;

	if (!header || !p->gso_size || !total) {
		p->drop = DROP_IP_SEGMENT;
		return false;
	}
	for (uint32_t at = 0; at < total; at += p->gso_size) {
		uint32_t n = total - at < p->gso_size ? total - at : p->gso_size;
		struct pkt *s = piece_new(pool, p, header + n);
		if (!s) {
			p->drop = DROP_IP_FRAG_ROOM;
			p->len -= at;
			return false;
		}
		(void)cut_segment(p, header, at, pkt_data(s));
		emit(arg, s);
	}
	return true;
}

/* The header of a fragment that is not the first carries only options that ask to be copied; we copy none but plain headers. */
bool cut_fragments4(struct pkt_pool *pool, struct pkt *p, uint32_t mtu, cut_fn emit, void *arg)
{
	const uint8_t *h = pkt_data(p);
	uint32_t header = (h[0] & 15u) * 4, frag = ip_get16(h + 6), base = frag & 0x1fff;

	if (mtu < header + 8) {
		p->drop = DROP_IP_TOO_BIG;
		return false;
	}
	uint32_t step = (mtu - header) & ~7u, total = p->len - header;
	for (uint32_t at = 0; at < total; at += step) {
		uint32_t n = total - at < step ? total - at : step;
		bool last = at + n == total;
		struct pkt *s = piece_new(pool, p, header + n);
		if (!s) {
			p->drop = DROP_IP_FRAG_ROOM;
			return false;
		}
		uint8_t *d = pkt_data(s);
		memcpy(d, h, header);
		memcpy(d + header, h + header + at, n);
		ip_put16(d + 2, s->len);
		ip_put16(d + 6, (base + at / 8) | (last ? frag & 0x2000 : 0x2000));
		ip4_checksum(d);
		s->fragment = true;
		s->opaque = base || at;
		emit(arg, s);
	}
	return true;
}
