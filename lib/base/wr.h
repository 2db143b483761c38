/* wr: write bounded bytes, the twin of rd. Sticky error: a write that does not fit writes nothing and leaves the
 * writer failed; ask wr_ok() once. Numbers go out big-endian. Never allocates. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wr {
	uint8_t *start, *p, *end;
	bool bad;
};

static inline struct wr wr_init(void *buf, size_t len)
{
	uint8_t *p = buf;
	return (struct wr){p, p, p ? p + len : p, false};
}
static inline bool wr_ok(const struct wr *w)
{
	return !w->bad;
}
static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}
uint8_t *wr_space(struct wr *w, size_t len); /* reserves; NULL when it does not fit */
void wr_bytes(struct wr *w, const void *data, size_t len);
void wr_zero(struct wr *w, size_t len);
void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_u64(struct wr *w, uint64_t v);
