#include "daemons/rpcbindD/label.h"
#include "lib/base/rd.h"
#include "lib/base/wr.h"
#include <string.h>

enum { OPT_END = 0, OPT_NOP = 1, OPT_CIPSO = 134, TAG_BITMAP = 1, TAG_ENUM = 2, TAG_RANGE = 5, CATEGORIES = 256, BITMAP_BYTES = 30 };

static int set_categories(struct saf_label *l, unsigned from, unsigned to)
{
	if (from > to)
		return -EINVAL;
	if (to >= CATEGORIES)
		return -ERANGE;
	for (unsigned c = from; c <= to; c++)
		l->categories[c / 64] |= 1ull << c % 64;
	return 0;
}

static bool has_category(const struct saf_label *l, unsigned c)
{
	return l->categories[c / 64] >> c % 64 & 1;
}

static int read_bitmap(struct rd *r, struct saf_label *l)
{
	for (unsigned c = 0; rd_left(r); c += 8) {
		uint8_t bits = rd_u8(r);
		for (unsigned i = 0; i < 8; i++)
			if (bits & 0x80u >> i && set_categories(l, c + i, c + i))
				return -ERANGE;
	}
	return 0;
}

static int read_enumerated(struct rd *r, struct saf_label *l)
{
	int rc = 0;
	while (!rc && rd_left(r)) {
		unsigned c = rd_u16(r);
		rc = rd_ok(r) ? set_categories(l, c, c) : -EINVAL;
	}
	return rc;
}

/* Pairs of highest and lowest category; the last pair may leave out its lowest, 0. */
static int read_ranges(struct rd *r, struct saf_label *l)
{
	int rc = 0;
	while (!rc && rd_left(r)) {
		unsigned high = rd_u16(r), low = rd_left(r) ? rd_u16(r) : 0;
		rc = rd_ok(r) ? set_categories(l, low, high) : -EINVAL;
	}
	return rc;
}

/* One tag; 1: a kind that is not known here. */
static int read_tag(struct rd *r, struct saf_label *ret)
{
	struct saf_label l = {0};
	uint8_t type = rd_u8(r), len = rd_u8(r);
	const uint8_t *body = len >= 2 ? rd_bytes(r, (size_t)len - 2) : NULL;
	if (!body)
		return -EINVAL;
	if (type != TAG_BITMAP && type != TAG_ENUM && type != TAG_RANGE)
		return 1;
	struct rd t = rd_init(body, (size_t)len - 2);
	(void)rd_u8(&t); /* alignment */
	l.level = rd_u8(&t);
	if (!rd_ok(&t))
		return -EINVAL;
	int rc = type == TAG_BITMAP ? read_bitmap(&t, &l) : type == TAG_ENUM ? read_enumerated(&t, &l) : read_ranges(&t, &l);
	if (!rc)
		*ret = l;
	return rc;
}

static int read_option(const uint8_t *body, size_t len, uint32_t doi, struct saf_label *ret)
{
	struct rd r = rd_init(body, len);
	if (rd_u32(&r) != doi || !rd_ok(&r))
		return -EINVAL;
	int rc = 1;
	while (rc == 1 && rd_left(&r))
		rc = read_tag(&r, ret);
	return rc == 1 ? -EINVAL : rc;
}

int label_from_cipso(const uint8_t *options, size_t len, uint32_t doi, struct saf_label *ret)
{
	struct saf_label l;
	struct rd r = rd_init(options, len);
	int rc = -ENOENT;
	while (rd_left(&r)) {
		uint8_t type = rd_u8(&r);
		if (type == OPT_END)
			break;
		if (type == OPT_NOP)
			continue;
		uint8_t n = rd_u8(&r);
		const uint8_t *body = rd_ok(&r) && n >= 2 ? rd_bytes(&r, (size_t)n - 2) : NULL;
		if (!body)
			return -EINVAL;
		if (type != OPT_CIPSO)
			continue;
		if (rc != -ENOENT)
			return -EINVAL;
		rc = read_option(body, (size_t)n - 2, doi, &l);
		if (rc)
			return rc;
	}
	if (!rc)
		*ret = l;
	return rc;
}

static void write_bitmap(struct wr *w, const struct saf_label *l, unsigned bytes)
{
	for (unsigned b = 0; b < bytes; b++) {
		unsigned bits = 0;
		for (unsigned i = 0; i < 8; i++)
			bits |= has_category(l, b * 8 + i) ? 0x80u >> i : 0;
		wr_u8(w, (uint8_t)bits);
	}
}

int label_to_cipso(const struct saf_label *l, uint32_t doi, uint8_t out[LABEL_CIPSO_MAX])
{
	struct wr w = wr_init(out, LABEL_CIPSO_MAX);
	unsigned bytes = 0, count = 0;
	for (unsigned c = 0; c < CATEGORIES; c++)
		if (has_category(l, c)) {
			bytes = c / 8 + 1;
			count++;
		}
	bool map = bytes <= BITMAP_BYTES;
	unsigned tag = 4 + (map ? bytes : 2 * count);
	if (l->level == 0 || l->level > 255 || tag + 6 > LABEL_CIPSO_MAX)
		return -ERANGE;
	wr_u8(&w, OPT_CIPSO);
	wr_u8(&w, (uint8_t)(6 + tag));
	wr_u32(&w, doi);
	wr_u8(&w, map ? TAG_BITMAP : TAG_ENUM);
	wr_u8(&w, (uint8_t)tag);
	wr_u8(&w, 0);
	wr_u8(&w, (uint8_t)l->level);
	if (map)
		write_bitmap(&w, l, bytes);
	for (unsigned c = 0; !map && c < CATEGORIES; c++)
		if (has_category(l, c))
			wr_u16(&w, (uint16_t)c);
	while (wr_len(&w) % 4)
		wr_u8(&w, OPT_END);
	return wr_ok(&w) ? (int)wr_len(&w) : -ERANGE;
}

/* RFC 5570 section 5.1.5: the CRC-16 of RFC 1662 appendix C over the option, its own field taken as zero. */
static uint16_t calipso_checksum(const uint8_t *p, size_t len)
{
	unsigned crc = 0xffff;
	for (size_t i = 0; i < len; i++) {
		crc ^= i == 8 || i == 9 ? 0u : p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x8408u : crc >> 1;
	}
	return (uint16_t)~crc;
}

int label_to_calipso(const struct saf_label *l, uint32_t doi, uint8_t out[LABEL_CALIPSO_MAX])
{
	struct wr w = wr_init(out, LABEL_CALIPSO_MAX);
	unsigned words = 0; /* of 64 bits: the length counts 32-bit words and is even */
	for (unsigned c = 0; c < CATEGORIES; c++)
		words = has_category(l, c) ? c / 64 + 1 : words;
	if (l->level == 0 || l->level > 255)
		return -ERANGE;
	wr_u8(&w, 0);			     /* the kernel knows what follows */
	wr_u8(&w, (uint8_t)(1 + words));     /* in 8 octets, without the first */
	wr_u8(&w, 7);
	wr_u8(&w, (uint8_t)(8 + 8 * words));
	wr_u32(&w, doi);
	wr_u8(&w, (uint8_t)(2 * words));
	wr_u8(&w, (uint8_t)l->level);
	wr_u16(&w, 0);
	write_bitmap(&w, l, 8 * words);
	uint16_t crc = calipso_checksum(out + 2, 10 + 8 * words);
	out[10] = (uint8_t)crc;
	out[11] = (uint8_t)(crc >> 8);
	wr_u32(&w, 0x01020000); /* PadN: 4 octets in all */
	return wr_ok(&w) ? (int)wr_len(&w) : -ERANGE;
}

static int label_of_user(struct saf *s, uid_t uid, char ret_label[SAF_USER_MAX])
{
	struct saf_subject who;
	bool revoked = false;
	if (saf_user_by_uid(s, uid, &who, &revoked) || revoked || !who.seclabel[0])
		return -ENOENT;
	memcpy(ret_label, who.seclabel, SAF_USER_MAX);
	return 0;
}

int label_of_server(struct saf *s, uid_t uid, char ret_label[SAF_USER_MAX])
{
	return label_of_user(s, uid, ret_label);
}

int label_of_client(const struct label_source *s, const struct label_client *c, char ret_label[SAF_USER_MAX])
{
	char zone[SAF_USER_MAX], carried[SAF_USER_MAX];
	struct saf_label value;
	if (c->local)
		return c->uid < 0 ? -ENOENT : label_of_user(s->saf, (uid_t)c->uid, ret_label);
	if (zone_label(s->zones, s->saf, s->sysname, s->tcpname, &c->addr, zone))
		return -ENOENT;
	int rc = s->doi ? label_from_cipso(c->options, c->options_len, s->doi, &value) : -ENOENT;
	if (rc == -ENOENT) {
		memcpy(ret_label, zone, SAF_USER_MAX);
		return 0;
	}
	if (rc || saf_label_by_value(s->saf, &value, carried) || !saf_label_permits(s->saf, zone, carried, SAF_READ))
		return -EACCES;
	memcpy(ret_label, carried, SAF_USER_MAX);
	return 0;
}
