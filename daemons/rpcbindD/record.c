#include "daemons/rpcbindD/record.h"
#include <stdbool.h>
#include <string.h>

ssize_t record_next(const uint8_t *p, size_t len, uint8_t gather[RECORD_MAX], const uint8_t **ret_text, size_t *ret_len)
{
	size_t at = 0, total = 0;
	bool gathered = false;
	for (;;) {
		if (len - at < 4)
			return 0;
		uint32_t mark = (uint32_t)p[at] << 24 | (uint32_t)p[at + 1] << 16 | (uint32_t)p[at + 2] << 8 | p[at + 3], n = mark & 0x7fffffff;
		bool last = mark >> 31;
		if (n > RECORD_MAX - total || (!n && !last)) /* one without bytes could go on for ever */
			return -1;
		if (len - at - 4 < n)
			return 0;
		if (last && !gathered) {
			*ret_text = p + at + 4;
			*ret_len = n;
			return (ssize_t)(at + 4 + n);
		}
		memcpy(gather + total, p + at + 4, n);
		gathered = true;
		total += n;
		at += 4 + n;
		if (last) {
			*ret_text = gather;
			*ret_len = total;
			return (ssize_t)at;
		}
	}
}
