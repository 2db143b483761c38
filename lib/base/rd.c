#include "lib/base/rd.h"
#include <string.h>

const uint8_t *rd_bytes(struct rd *r, size_t len)
{
	if (r->bad || len > (size_t)(r->end - r->p)) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *p = r->p;
	r->p += len;
	return p;
}

void rd_copy(struct rd *r, void *out, size_t len)
{
	const uint8_t *p = rd_bytes(r, len);
	if (p && len)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

static uint64_t be(struct rd *r, size_t len)
{
	const uint8_t *p = rd_bytes(r, len);
	uint64_t v = 0;
	for (size_t i = 0; p && i < len; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t rd_u8(struct rd *r)
{
	return (uint8_t)be(r, 1);
}

uint16_t rd_u16(struct rd *r)
{
	return (uint16_t)be(r, 2);
}

uint32_t rd_u32(struct rd *r)
{
	return (uint32_t)be(r, 4);
}

uint64_t rd_u64(struct rd *r)
{
	return be(r, 8);
}
