#include "lib/keyring/wire.h"
#include "lib/base/rd.h"
#include "lib/base/wr.h"
#include <string.h>

static void put_data(struct wr *w, const struct wire_msg *m)
{
	wr_u16(w, m->len);
	wr_bytes(w, m->data, m->len);
}

size_t wire_encode(const struct wire_msg *m, uint8_t out[WIRE_MAX])
{
	struct wr w = wr_init(out, WIRE_MAX);
	if (m->len > WIRE_DATA_MAX)
		return 0;
	wr_u8(&w, m->op);
	switch (m->op) {
	case WIRE_READY:
		wr_u8(&w, WIRE_VERSION);
		wr_u16(&w, m->keys);
		break;
	case WIRE_FAILED:
		wr_u8(&w, 0);
		wr_u32(&w, m->status);
		put_data(&w, m);
		break;
	case WIRE_SIGN:
		wr_u8(&w, m->mech);
		wr_u64(&w, m->id);
		wr_bytes(&w, m->key, sizeof(m->key));
		put_data(&w, m);
		break;
	case WIRE_SIGNED:
		wr_u8(&w, 0);
		wr_u64(&w, m->id);
		wr_u32(&w, m->status);
		put_data(&w, m);
		break;
	default:
		return 0;
	}
	return wr_ok(&w) ? wr_len(&w) : 0;
}

static void get_data(struct rd *r, struct wire_msg *m)
{
	m->len = rd_u16(r);
	if (m->len > WIRE_DATA_MAX)
		r->bad = true;
	else
		rd_copy(r, m->data, m->len);
}

int wire_decode(const void *data, size_t len, struct wire_msg *ret)
{
	struct rd r = rd_init(data, len);
	struct wire_msg m = {.op = rd_u8(&r)};
	uint8_t second = rd_u8(&r), wanted = m.op == WIRE_READY ? WIRE_VERSION : 0;
	switch (m.op) {
	case WIRE_READY:
		m.keys = rd_u16(&r);
		break;
	case WIRE_FAILED:
		m.status = rd_u32(&r);
		get_data(&r, &m);
		break;
	case WIRE_SIGN:
		m.mech = wanted = second;
		m.id = rd_u64(&r);
		rd_copy(&r, m.key, sizeof(m.key));
		get_data(&r, &m);
		if (!m.mech || m.mech >= SIGN_MECH_MAX || !m.len || m.len > SIGN_HASH_MAX)
			return -EBADMSG;
		break;
	case WIRE_SIGNED:
		m.id = rd_u64(&r);
		m.status = rd_u32(&r);
		get_data(&r, &m);
		if (!m.status && !m.len)
			return -EBADMSG;
		break;
	default:
		return -EBADMSG;
	}
	if (!rd_ok(&r) || rd_left(&r) || second != wanted)
		return -EBADMSG;
	*ret = m;
	return 0;
}

void wire_set_text(struct wire_msg *m, const char *text)
{
	size_t n = strlen(text);
	m->len = (uint16_t)(n < 240 ? n : 240);
	memcpy(m->data, text, m->len);
}
