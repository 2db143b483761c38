#include "lib/ike/payload.h"
#include <string.h>

static bool contiguous(const uint8_t *mask, size_t len)
{
	bool ended = false;
	for (size_t bit = 0; bit < len * 8; bit++) {
		bool set = mask[bit / 8] >> (7 - bit % 8) & 1;
		if (set && ended)
			return false;
		ended = ended || !set;
	}
	return true;
}

static bool text_ok(const struct ike_id *id)
{
	return id->len && id->len < POLICY_ID_MAX && !memchr(id->data, 0, id->len);
}

static const char *id_fault(const struct ike_id *id)
{
	size_t one = id->type == IKE_ID_IPV4 || id->type == IKE_ID_IPV4_SUBNET ||
				     id->type == IKE_ID_IPV4_RANGE
			     ? 4
			     : 16;

	switch (id->type) {
	case IKE_ID_IPV4:
	case IKE_ID_IPV6:
		return id->len == one ? NULL : "an address identity of the wrong length";
	case IKE_ID_IPV4_SUBNET:
	case IKE_ID_IPV6_SUBNET:
		if (id->len != 2 * one)
			return "a subnet identity of the wrong length";
		return contiguous(id->data + one, one) ? NULL : "a subnet mask with holes";
	case IKE_ID_IPV4_RANGE:
	case IKE_ID_IPV6_RANGE:
		if (id->len != 2 * one)
			return "a range identity of the wrong length";
		return memcmp(id->data, id->data + one, one) <= 0
			       ? NULL
			       : "a range that ends before it begins";
	case IKE_ID_FQDN:
	case IKE_ID_USER_FQDN:
		return text_ok(id) ? NULL
				   : "a name identity that is empty, too long or holds a zero";
	case IKE_ID_DER_DN:
	case IKE_ID_KEY_ID:
		return id->len ? NULL : "an empty identity";
	}
	return "unknown type of identity";
}

int ike_id_read(const void *body, size_t len, struct ike_id *ret, struct ike_refusal *why)
{
	struct rd r = rd_init(body, len);
	struct ike_id id;

	id.type = rd_u8(&r);
	id.protocol = rd_u8(&r);
	id.port = rd_u16(&r);
	id.len = rd_left(&r);
	id.data = rd_bytes(&r, id.len);
	if (!rd_ok(&r))
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "ID payload too short");
	const char *fault = id_fault(&id);
	if (fault)
		return ike_refuse(why, NOTIFY_INVALID_ID_INFORMATION, fault);
	*ret = id;
	return 0;
}

void ike_id_write(struct wr *w, const struct ike_id *id)
{
	wr_u8(w, id->type);
	wr_u8(w, id->protocol);
	wr_u16(w, id->port);
	wr_bytes(w, id->data, id->len);
}

/* -1 when lo..hi is no subnet; its prefix length otherwise. */
static int subnet_bits(const uint8_t *lo, const uint8_t *hi, size_t len)
{
	int bits = 0;
	bool ended = false;

	for (size_t bit = 0; bit < len * 8; bit++) {
		bool l = lo[bit / 8] >> (7 - bit % 8) & 1, h = hi[bit / 8] >> (7 - bit % 8) & 1;
		if (l != h || ended) {
			if (l || !h)
				return -1;
			ended = true;
		} else {
			bits++;
		}
	}
	return bits;
}

static void write_mask(struct wr *w, int bits, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int here = bits - (int)i * 8;
		wr_u8(w, (uint8_t)(here >= 8 ? 0xff : here <= 0 ? 0 : (0xff00 >> here) & 0xff));
	}
}

void ike_id_write_range(
	struct wr *w, const struct addr_range *r, uint8_t family, uint16_t protocol, uint16_t port)
{
	struct addr_range all = {{.family = family}, {.family = family}};
	size_t len;
	int bits;

	if (!r->lo.family) {
		memset(all.hi.b, 0xff, family == 4 ? 4 : 16);
		r = &all;
	}
	len = addr_len(&r->lo);
	bits = subnet_bits(r->lo.b, r->hi.b, len);
	if (bits == (int)len * 8)
		wr_u8(w, len == 4 ? IKE_ID_IPV4 : IKE_ID_IPV6);
	else if (bits >= 0)
		wr_u8(w, len == 4 ? IKE_ID_IPV4_SUBNET : IKE_ID_IPV6_SUBNET);
	else
		wr_u8(w, len == 4 ? IKE_ID_IPV4_RANGE : IKE_ID_IPV6_RANGE);
	wr_u8(w, protocol > UINT8_MAX ? 0 : (uint8_t)protocol);
	wr_u16(w, port);
	wr_bytes(w, r->lo.b, len);
	if (bits == (int)len * 8)
		return;
	if (bits >= 0)
		write_mask(w, bits, len);
	else
		wr_bytes(w, r->hi.b, len);
}

int ike_id_range(const struct ike_id *id, struct addr_range *ret, struct ike_refusal *why)
{
	bool v4 = id->type == IKE_ID_IPV4 || id->type == IKE_ID_IPV4_SUBNET ||
		  id->type == IKE_ID_IPV4_RANGE;
	size_t one = v4 ? 4 : 16;
	struct addr_range r = {{.family = v4 ? 4 : 6}, {.family = v4 ? 4 : 6}};

	switch (id->type) {
	case IKE_ID_IPV4:
	case IKE_ID_IPV6:
		memcpy(r.lo.b, id->data, one);
		memcpy(r.hi.b, id->data, one);
		break;
	case IKE_ID_IPV4_SUBNET:
	case IKE_ID_IPV6_SUBNET:
		for (size_t i = 0; i < one; i++) {
			r.lo.b[i] = id->data[i] & id->data[one + i];
			r.hi.b[i] = id->data[i] | (uint8_t)~id->data[one + i];
		}
		break;
	case IKE_ID_IPV4_RANGE:
	case IKE_ID_IPV6_RANGE:
		memcpy(r.lo.b, id->data, one);
		memcpy(r.hi.b, id->data + one, one);
		break;
	default:
		return ike_refuse(
			why, NOTIFY_INVALID_ID_INFORMATION, "an identity that names no addresses");
	}
	*ret = r;
	return 0;
}

int ike_notification_read(
	const void *body, size_t len, struct ike_notification *ret, struct ike_refusal *why)
{
	struct rd r = rd_init(body, len);
	struct ike_notification n;

	n.doi = rd_u32(&r);
	n.protocol = rd_u8(&r);
	n.spi_len = rd_u8(&r);
	n.type = rd_u16(&r);
	if (n.spi_len > IKE_SPI_MAX)
		return ike_refuse(why, NOTIFY_INVALID_SPI, "a notify with an SPI too long");
	n.spi = rd_bytes(&r, n.spi_len);
	n.len = rd_left(&r);
	n.data = rd_bytes(&r, n.len);
	if (!rd_ok(&r))
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "NOTIFY payload too short");
	if (n.doi != IKE_DOI_IPSEC && n.doi != IKE_DOI_GENERIC)
		return ike_refuse(why, NOTIFY_DOI_NOT_SUPPORTED, "a notify of another DOI");
	*ret = n;
	return 0;
}

void ike_notification_write(struct wr *w, const struct ike_notification *n)
{
	wr_u32(w, n->doi);
	wr_u8(w, n->protocol);
	wr_u8(w, n->spi_len);
	wr_u16(w, n->type);
	wr_bytes(w, n->spi, n->spi_len);
	wr_bytes(w, n->data, n->len);
}

int ike_deletion_read(
	const void *body, size_t len, struct ike_deletion *ret, struct ike_refusal *why)
{
	struct rd r = rd_init(body, len);
	struct ike_deletion d;
	uint32_t doi = rd_u32(&r);

	d.protocol = rd_u8(&r);
	d.spi_len = rd_u8(&r);
	d.n = rd_u16(&r);
	if (!rd_ok(&r))
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "DELETE payload too short");
	if (doi != IKE_DOI_IPSEC && doi != IKE_DOI_GENERIC)
		return ike_refuse(why, NOTIFY_DOI_NOT_SUPPORTED, "a delete of another DOI");
	if (d.protocol < IKE_PROTO_ISAKMP || d.protocol > IPSEC_PROTO_ESP)
		return ike_refuse(why, NOTIFY_INVALID_PROTOCOL_ID, "a delete of unknown protocol");
	if (d.spi_len != (d.protocol == IKE_PROTO_ISAKMP ? 2 * 8 : 4))
		return ike_refuse(why, NOTIFY_INVALID_SPI, "a delete with SPIs of wrong length");
	if (!d.n || d.n > IKE_DELETE_MAX)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "a delete of none or too many");
	d.spis = rd_bytes(&r, (size_t)d.n * d.spi_len);
	if (!rd_ok(&r) || rd_left(&r))
		return ike_refuse(
			why, NOTIFY_PAYLOAD_MALFORMED, "DELETE payload not as long as it says");
	*ret = d;
	return 0;
}

void ike_deletion_write(struct wr *w, const struct ike_deletion *d)
{
	wr_u32(w, IKE_DOI_IPSEC);
	wr_u8(w, d->protocol);
	wr_u8(w, d->spi_len);
	wr_u16(w, d->n);
	wr_bytes(w, d->spis, (size_t)d->n * d->spi_len);
}

int ike_cert_read(const void *body, size_t len, struct ike_cert *ret, struct ike_refusal *why)
{
	struct rd r = rd_init(body, len);
	struct ike_cert c;

	c.encoding = rd_u8(&r);
	c.len = rd_left(&r);
	c.data = rd_bytes(&r, c.len);
	if (!rd_ok(&r))
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "certificate payload too short");
	*ret = c;
	return 0;
}

void ike_cert_write(struct wr *w, const struct ike_cert *c)
{
	wr_u8(w, c->encoding);
	wr_bytes(w, c->data, c->len);
}

int ike_nat_oa_read(const void *body, size_t len, struct addr *ret, struct ike_refusal *why)
{
	struct rd r = rd_init(body, len);
	uint8_t type = rd_u8(&r);
	const uint8_t *reserved = rd_bytes(&r, 3);
	size_t want = type == IKE_ID_IPV4 ? 4 : 16;
	const uint8_t *data = rd_bytes(&r, want);

	if (!rd_ok(&r) || rd_left(&r) || (type != IKE_ID_IPV4 && type != IKE_ID_IPV6))
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "NAT-OA payload is no address");
	if (reserved[0] | reserved[1] | reserved[2])
		return ike_refuse(
			why, NOTIFY_PAYLOAD_MALFORMED, "NAT-OA's reserved bytes are not zero");
	*ret = type == IKE_ID_IPV4 ? addr_v4(data) : addr_v6(data);
	return 0;
}

void ike_nat_oa_write(struct wr *w, const struct addr *a)
{
	wr_u8(w, a->family == 4 ? IKE_ID_IPV4 : IKE_ID_IPV6);
	wr_zero(w, 3);
	wr_bytes(w, a->b, addr_len(a));
}

int ike_nonce_check(size_t len, struct ike_refusal *why)
{
	if (len < IKE_NONCE_MIN || len > IKE_NONCE_MAX)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "a nonce too short or too long");
	return 0;
}
