#include "lib/ike/attr.h"
#include <errno.h>

enum { BASIC = 0x8000 };

int attr_next(struct rd *r, struct ike_attr *ret)
{
	if (rd_ok(r) && !rd_left(r))
		return 0;
	uint16_t type = rd_u16(r);
	ret->basic = type & BASIC;
	ret->type = type & (uint16_t)~BASIC;
	ret->len = ret->basic ? 2 : rd_u16(r);
	ret->data = rd_bytes(r, ret->len);
	return rd_ok(r) ? 1 : -EPROTO;
}

uint64_t attr_number(const struct ike_attr *a)
{
	uint64_t v = 0;
	for (size_t i = 0; i < a->len; i++) {
		if (v >> 56)
			return UINT64_MAX;
		v = v << 8 | a->data[i];
	}
	return v;
}

void attr_write(struct wr *w, uint16_t type, uint16_t value)
{
	wr_u16(w, type | BASIC);
	wr_u16(w, value);
}

void attr_write_u32(struct wr *w, uint16_t type, uint32_t value)
{
	if (value <= UINT16_MAX) {
		attr_write(w, type, (uint16_t)value);
		return;
	}
	wr_u16(w, type);
	wr_u16(w, 4);
	wr_u32(w, value);
}
