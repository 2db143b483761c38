/* rd: read bounded bytes. Sticky error: read everything, then ask rd_ok() once. A read past the end returns zero
 * (or NULL) and leaves the reader failed for good. Numbers are big-endian (network order). Never allocates. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct rd rd_init(const void *data, size_t len)
{
	const uint8_t *p = data;
	return (struct rd){p, p ? p + len : p, false};
}
static inline bool rd_ok(const struct rd *r)
{
	return !r->bad;
}
static inline size_t rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}
const uint8_t *rd_bytes(struct rd *r, size_t len); /* borrowed from the input; NULL when there are fewer */
void rd_copy(struct rd *r, void *out, size_t len); /* zero-fills @out when there are fewer */
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
