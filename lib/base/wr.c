#include "lib/base/wr.h"
#include <string.h>

uint8_t *wr_space(struct wr *w, size_t len)
{
	if (w->bad || len > (size_t)(w->end - w->p)) {
		w->bad = true;
		return NULL;
	}
	uint8_t *p = w->p;
	w->p += len;
	return p;
}

void wr_bytes(struct wr *w, const void *data, size_t len)
{
	uint8_t *p = wr_space(w, len);
	if (p && len)
		memcpy(p, data, len);
}

void wr_zero(struct wr *w, size_t len)
{
	uint8_t *p = wr_space(w, len);
	if (p)
		memset(p, 0, len);
}

static void be(struct wr *w, uint64_t v, size_t len)
{
	uint8_t *p = wr_space(w, len);
	for (size_t i = 0; p && i < len; i++)
		p[i] = (uint8_t)(v >> 8 * (len - 1 - i));
}

void wr_u8(struct wr *w, uint8_t v)
{
	be(w, v, 1);
}

void wr_u16(struct wr *w, uint16_t v)
{
	be(w, v, 2);
}

void wr_u32(struct wr *w, uint32_t v)
{
	be(w, v, 4);
}

void wr_u64(struct wr *w, uint64_t v)
{
	be(w, v, 8);
}
