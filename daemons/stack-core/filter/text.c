/* Filters in z/OS's words (the fields of EZD1723I and of ipsec -f, zos.md sections 4 and 6). */
#include "daemons/stack-core/filter/filter.h"
#include <string.h>

const char *filter_proto_text(unsigned proto, char out[32])
{
	const char *name = ipproto_name(proto);

	if (proto >= FILTER_PROTO_ANY)
		return strcpy(out, "ALL");
	if (name)
		(void)snprintf(out, 32, "%s(%u)", name, proto);
	else
		(void)snprintf(out, 32, "%u", proto);
	return out;
}

/* The length of the prefix that lo..hi is, or -1 when it is none. */
static int prefix_of(const struct addr *lo, const struct addr *hi)
{
	int len = 0, bits = (int)(8 * addr_len(lo));
	while (len < bits && !((lo->b[len / 8] ^ hi->b[len / 8]) & 0x80 >> len % 8))
		len++;
	for (int bit = len; bit < bits; bit++)
		if (lo->b[bit / 8] & 0x80 >> bit % 8 || !(hi->b[bit / 8] & 0x80 >> bit % 8))
			return -1;
	return len;
}

const char *filter_addrs_text(
	const struct addr *lo, const struct addr *hi, char out[2 * ADDR_TEXT_MAX])
{
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
	int len = prefix_of(lo, hi);
	addr_text(lo, a);
	if (len < 0)
		(void)snprintf(out, 2 * ADDR_TEXT_MAX, "%s-%s", a, addr_text(hi, b));
	else
		(void)snprintf(out, 2 * ADDR_TEXT_MAX, "%s/%d", a, len);
	return out;
}

const char *filter_range_text(const struct filter_range *r, unsigned max, char out[16])
{
	if (!r->lo && r->hi >= max)
		return strcpy(out, "all");
	if (r->lo == r->hi)
		(void)snprintf(out, 16, "%u", r->lo);
	else
		(void)snprintf(out, 16, "%u-%u", r->lo, r->hi);
	return out;
}
