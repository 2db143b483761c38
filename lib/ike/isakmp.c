#include "lib/ike/isakmp.h"
#include <string.h>

enum { GENERIC_HEADER = 4, FIXED_LENGTH_AT = 24, NEXT_AT = 16, FIRST_PRIVATE = 128 };

bool isakmp_cookie_zero(const uint8_t cookie[ISAKMP_COOKIE])
{
	static const uint8_t zero[ISAKMP_COOKIE];
	return memcmp(cookie, zero, sizeof(zero)) == 0;
}

int isakmp_header_read(
	const void *data, size_t len, struct isakmp_header *ret, struct ike_refusal *why)
{
	struct rd r = rd_init(data, len);

	memset(ret, 0, sizeof(*ret));
	if (len < ISAKMP_HEADER)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "shorter than an ISAKMP header");
	rd_copy(&r, ret->icookie, ISAKMP_COOKIE);
	rd_copy(&r, ret->rcookie, ISAKMP_COOKIE);
	ret->next = rd_u8(&r);
	ret->version = rd_u8(&r);
	ret->exchange = rd_u8(&r);
	ret->flags = rd_u8(&r);
	ret->id = rd_u32(&r);
	ret->length = rd_u32(&r);
	if (isakmp_cookie_zero(ret->icookie))
		return ike_refuse(why, NOTIFY_INVALID_COOKIE, "the initiator's cookie is zero");
	if (ret->version >> 4 != ISAKMP_VERSION >> 4)
		return ike_refuse(why, NOTIFY_INVALID_MAJOR_VERSION, "not version 1 of IKE");
	if ((ret->version & 0xf) > (ISAKMP_VERSION & 0xf))
		return ike_refuse(why, NOTIFY_INVALID_MINOR_VERSION, "minor version unknown");
	if (ret->flags & ~(ISAKMP_ENCRYPTED | ISAKMP_COMMIT | ISAKMP_AUTH_ONLY))
		return ike_refuse(why, NOTIFY_INVALID_FLAGS, "unknown flags in the header");
	if (ret->length != len)
		return ike_refuse(why, NOTIFY_UNEQUAL_PAYLOAD_LENGTHS,
			"the header's length is not the datagram's");
	return 0;
}

void isakmp_header_write(struct wr *w, const struct isakmp_header *h)
{
	wr_bytes(w, h->icookie, ISAKMP_COOKIE);
	wr_bytes(w, h->rcookie, ISAKMP_COOKIE);
	wr_u8(w, h->next);
	wr_u8(w, h->version);
	wr_u8(w, h->exchange);
	wr_u8(w, h->flags);
	wr_u32(w, h->id);
	wr_u32(w, h->length);
}

/* Types that may stand in a message's chain. Proposals and transforms stand only inside an SA
 * payload. Private ones are vendors' business: they are passed on, and whoever does not know them
 * ignores them. */
static bool type_may_stand(uint8_t type)
{
	switch (type) {
	case ISAKMP_SA:
	case ISAKMP_KE:
	case ISAKMP_ID:
	case ISAKMP_CERT:
	case ISAKMP_CERTREQ:
	case ISAKMP_HASH:
	case ISAKMP_SIG:
	case ISAKMP_NONCE:
	case ISAKMP_NOTIFY:
	case ISAKMP_DELETE:
	case ISAKMP_VID:
	case ISAKMP_NAT_D:
	case ISAKMP_NAT_OA:
		return true;
	}
	return type >= FIRST_PRIVATE;
}

static int take_payload(struct rd *r, uint8_t type, struct isakmp_payload *ret, uint8_t *next,
	struct ike_refusal *why)
{
	const uint8_t *start = r->p;
	uint8_t reserved;
	uint16_t length;

	if (!type_may_stand(type))
		return ike_refuse(why, NOTIFY_INVALID_PAYLOAD_TYPE, "unknown payload type");
	*next = rd_u8(r);
	reserved = rd_u8(r);
	length = rd_u16(r);
	if (!rd_ok(r) || length < GENERIC_HEADER || (size_t)length - GENERIC_HEADER > rd_left(r))
		return ike_refuse(
			why, NOTIFY_PAYLOAD_MALFORMED, "a payload is longer than its message");
	if (reserved)
		return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "a reserved byte is not zero");
	*ret = (struct isakmp_payload){
		type, start, start + GENERIC_HEADER, (size_t)length - GENERIC_HEADER};
	(void)rd_bytes(r, ret->len);
	return 0;
}

int isakmp_walk(uint8_t first, const void *data, size_t len, size_t pad_max,
	struct isakmp_payloads *ret, struct ike_refusal *why)
{
	struct rd r = rd_init(data, len);

	ret->n = 0;
	for (uint8_t type = first; type != ISAKMP_NONE; ret->n++) {
		if (ret->n == ISAKMP_PAYLOADS_MAX)
			return ike_refuse(why, NOTIFY_PAYLOAD_MALFORMED, "too many payloads");
		int rc = take_payload(&r, type, &ret->at[ret->n], &type, why);
		if (rc)
			return rc;
	}
	ret->end = r.p;
	if (!ret->n)
		return ike_refuse(why, NOTIFY_INVALID_PAYLOAD_TYPE, "a message without payloads");
	if (rd_left(&r) > pad_max)
		return ike_refuse(why, NOTIFY_UNEQUAL_PAYLOAD_LENGTHS,
			"bytes are left behind the last payload");
	return 0;
}

const struct isakmp_payload *isakmp_find(const struct isakmp_payloads *p, uint8_t type, size_t nth)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->at[i].type == type && nth-- == 0)
			return &p->at[i];
	}
	return NULL;
}

size_t isakmp_count(const struct isakmp_payloads *p, uint8_t type)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n; i++)
		n += p->at[i].type == type;
	return n;
}

static void put_u16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void isakmp_start(struct isakmp_build *b, void *buf, size_t size, const struct isakmp_header *h)
{
	struct isakmp_header begun = *h;

	b->w = wr_init(buf, size < ISAKMP_MESSAGE_MAX ? size : ISAKMP_MESSAGE_MAX);
	b->open = NULL;
	begun.next = ISAKMP_NONE;
	begun.length = 0;
	isakmp_header_write(&b->w, &begun);
	b->next_at = wr_ok(&b->w) ? b->w.start + NEXT_AT : NULL;
}

void isakmp_open(struct isakmp_build *b, uint8_t type)
{
	uint8_t *header = wr_space(&b->w, GENERIC_HEADER);

	if (!header)
		return;
	memset(header, 0, GENERIC_HEADER);
	*b->next_at = type;
	b->next_at = header;
	b->open = header;
}

void isakmp_close(struct isakmp_build *b)
{
	if (wr_ok(&b->w))
		put_u16(b->open + 2, (size_t)(b->w.p - b->open));
}

void isakmp_add(struct isakmp_build *b, uint8_t type, const void *body, size_t len)
{
	isakmp_open(b, type);
	wr_bytes(&b->w, body, len);
	isakmp_close(b);
}

uint8_t *isakmp_add_hole(struct isakmp_build *b, uint8_t type, size_t len)
{
	isakmp_open(b, type);
	uint8_t *body = wr_space(&b->w, len);
	if (body)
		memset(body, 0, len);
	isakmp_close(b);
	return body;
}

size_t isakmp_finish(struct isakmp_build *b, size_t block)
{
	size_t over = block > 1 ? (wr_len(&b->w) - ISAKMP_HEADER) % block : 0;

	if (!wr_ok(&b->w))
		return 0;
	if (over)
		wr_zero(&b->w, block - over);
	if (!wr_ok(&b->w))
		return 0;
	size_t len = wr_len(&b->w);
	struct wr at = wr_init(b->w.start + FIXED_LENGTH_AT, 4);
	wr_u32(&at, (uint32_t)len);
	return len;
}
