/* xdr: the few XDR types of RFC 1833 over rd and wr (RFC 4506): counted bytes, padded to four. */
#pragma once
#include "lib/base/rd.h"
#include "lib/base/wr.h"
#include <string.h>

/* Counted bytes of at most @max, borrowed; NULL and a failed reader when there are more or fewer. */
static inline const uint8_t *xdr_get_bytes(struct rd *r, size_t max, size_t *ret_len)
{
	uint32_t len = rd_u32(r);
	if (len > max) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *p = rd_bytes(r, (len + 3u) & ~3u);
	*ret_len = p ? len : 0;
	return p;
}
/* Text of at most @max characters, without NUL within, into @out (max + 1 bytes). */
static inline bool xdr_get_text(struct rd *r, char *out, size_t max)
{
	size_t len = 0;
	const uint8_t *p = xdr_get_bytes(r, max, &len);
	out[0] = 0;
	if (!p || memchr(p, 0, len)) {
		r->bad = true;
		return false;
	}
	memcpy(out, p, len);
	out[len] = 0;
	return true;
}
static inline void xdr_put_bytes(struct wr *w, const void *p, size_t len)
{
	wr_u32(w, (uint32_t)len);
	if (len)
		wr_bytes(w, p, len);
	wr_zero(w, (4 - len % 4) % 4);
}
static inline void xdr_put_text(struct wr *w, const char *text)
{
	xdr_put_bytes(w, text, strlen(text));
}
