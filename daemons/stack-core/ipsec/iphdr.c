/* iphdr: RFC 791 and RFC 8200 headers. */
#include "daemons/stack-core/ipsec/iphdr.h"
#include <string.h>

enum { NH_HOPOPTS = 0, NH_ROUTING = 43, NH_FRAGMENT = 44, NH_DSTOPTS = 60, EXT_MAX = 16 };

static bool layout_v4(const uint8_t *d, uint32_t len, struct iphdr_layout *l)
{
	if (len < IP_V4_MIN)
		return false;
	l->hdr_len = (d[0] & 15U) * 4;
	l->total = get16(d + 2);
	l->next_off = 9;
	l->proto = d[9];
	l->fragment = (get16(d + 6) & 0x3fff) != 0; /* more fragments, or an offset */
	return l->hdr_len >= IP_V4_MIN && l->total >= l->hdr_len && l->total <= len;
}

/* Is the destination options header at @off followed by a routing header? Then it belongs to the
 * hops. */
static bool before_routing(const uint8_t *d, uint32_t off)
{
	return d[off] == NH_ROUTING;
}

static bool layout_v6(const uint8_t *d, uint32_t len, bool all, struct iphdr_layout *l)
{
	if (len < IP_V6_LEN)
		return false;
	l->total = IP_V6_LEN + get16(d + 4);
	l->hdr_len = IP_V6_LEN;
	l->next_off = 6;
	l->proto = d[6];
	if (l->total > len)
		return false;
	for (int i = 0; i < EXT_MAX; i++) {
		if (l->proto == NH_FRAGMENT) {
			l->fragment = true;
			return true;
		}
		if (l->proto != NH_HOPOPTS && l->proto != NH_ROUTING && l->proto != NH_DSTOPTS)
			return true;
		if (l->total - l->hdr_len < 8)
			return false;
		if (l->proto == NH_DSTOPTS && !all && !before_routing(d, l->hdr_len))
			return true;
		uint32_t ext = (d[l->hdr_len + 1] + 1U) * 8;
		if (l->total - l->hdr_len < ext)
			return false;
		l->next_off = l->hdr_len;
		l->proto = d[l->hdr_len];
		l->hdr_len += ext;
	}
	return false;
}

static bool layout(const uint8_t *d, uint32_t len, bool all, struct iphdr_layout *ret)
{
	struct iphdr_layout l = {0};

	if (len < 1)
		return false;
	l.family = d[0] >> 4;
	bool good =
		l.family == 4 ? layout_v4(d, len, &l) : l.family == 6 && layout_v6(d, len, all, &l);
	*ret = l;
	return good;
}

bool iphdr_outgoing(const uint8_t *d, uint32_t len, struct iphdr_layout *ret)
{
	return layout(d, len, false, ret);
}

bool iphdr_incoming(const uint8_t *d, uint32_t len, struct iphdr_layout *ret)
{
	return layout(d, len, true, ret);
}

uint16_t iphdr_sum(const uint8_t *d, uint32_t len)
{
	uint64_t sum = 0;
	uint32_t word;

	for (; len >= 4;
		d += 4, len -= 4) { /* the sum does not mind the byte order (RFC 1071 2B) */
		memcpy(&word, d, 4);
		sum += word;
	}
	if (len) {
		word = 0;
		memcpy(&word, d, len);
		sum += word;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	uint16_t host = (uint16_t)sum;
	return get16((const uint8_t *)&host);
}

void iphdr_checksum(uint8_t *d, uint32_t hdr_len)
{
	put16(d + 10, 0);
	put16(d + 10, (uint16_t)~iphdr_sum(d, hdr_len));
}

void iphdr_set_total(uint8_t *d, const struct iphdr_layout *l, uint32_t total)
{
	if (l->family == 4) {
		put16(d + 2, (uint16_t)total);
		iphdr_checksum(d, (d[0] & 15U) * 4);
	} else {
		put16(d + 4, (uint16_t)(total - IP_V6_LEN));
	}
}

void iphdr_set_tos(uint8_t *d, uint8_t tos)
{
	if (d[0] >> 4 == 4) {
		d[1] = tos;
		iphdr_checksum(d, (d[0] & 15U) * 4);
	} else {
		d[0] = (uint8_t)((d[0] & 0xf0) | tos >> 4);
		d[1] = (uint8_t)((d[1] & 0x0f) | tos << 4);
	}
}
