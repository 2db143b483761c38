/* Ranges of addresses: how they are written, and what lies in them. */
#include "lib/policy/ipsec.h"
#include <string.h>
#include <strings.h>

bool addr_range_covers(const struct addr_range *r, const struct addr *a)
{
	return !r->lo.family ||
	       (r->lo.family == a->family && memcmp(a->b, r->lo.b, addr_len(a)) >= 0 && memcmp(a->b, r->hi.b, addr_len(a)) <= 0);
}

bool addr_range_contains(const struct addr_range *outer, const struct addr_range *inner)
{
	return !outer->lo.family ||
	       (inner->lo.family && addr_range_covers(outer, &inner->lo) && addr_range_covers(outer, &inner->hi));
}

bool addr_range_single(const struct addr_range *r)
{
	return r->lo.family && addr_equal(&r->lo, &r->hi);
}

struct addr_range addr_range_prefix(const struct prefix *p)
{
	struct addr_range r = {p->addr, p->addr};
	for (unsigned bit = p->len; bit < 8 * addr_len(&p->addr); bit++)
		r.hi.b[bit / 8] = (uint8_t)(r.hi.b[bit / 8] | 0x80u >> bit % 8);
	return r;
}

/* The length of the prefix that lo..hi is, or -1 when it is none. */
static int prefix_len(const struct addr_range *r)
{
	int len = 0, bits = (int)(8 * addr_len(&r->lo));
	while (len < bits && !((r->lo.b[len / 8] ^ r->hi.b[len / 8]) & 0x80 >> len % 8))
		len++;
	for (int bit = len; bit < bits; bit++)
		if (r->lo.b[bit / 8] & 0x80 >> bit % 8 || !(r->hi.b[bit / 8] & 0x80 >> bit % 8))
			return -1;
	return len;
}

const char *addr_range_text(const struct addr_range *r, char out[RANGE_TEXT_MAX])
{
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
	if (!r->lo.family)
		return strcpy(out, "All");
	int len = prefix_len(r);
	addr_text(&r->lo, a);
	if (addr_range_single(r))
		(void)snprintf(out, RANGE_TEXT_MAX, "%s", a);
	else if (len < 0)
		(void)snprintf(out, RANGE_TEXT_MAX, "%s-%s", a, addr_text(&r->hi, b));
	else
		(void)snprintf(out, RANGE_TEXT_MAX, "%s/%d", a, len);
	return out;
}

static int parse_ends(const char *text, struct addr_range *ret)
{
	const char *dash = strchr(text, '-');
	char low[ADDR_TEXT_MAX];
	struct addr_range r;
	size_t n = dash ? (size_t)(dash - text) : 0;
	if (!n || n >= sizeof(low))
		return -EINVAL;
	memcpy(low, text, n);
	low[n] = 0;
	if (addr_parse(low, &r.lo) < 0 || addr_parse(dash + 1, &r.hi) < 0 || r.lo.family != r.hi.family)
		return -EINVAL;
	if (memcmp(r.lo.b, r.hi.b, sizeof(r.lo.b)) > 0)
		return -ERANGE;
	*ret = r;
	return 0;
}

int addr_range_parse(const char *text, struct addr_range *ret)
{
	struct prefix p = {.len = 0};
	bool all = !strncasecmp(text, "all", 3) || !strncasecmp(text, "any", 3);
	if (!strcmp(text, "*") || (all && !text[3])) {
		*ret = (struct addr_range){{0}, {0}};
		return 0;
	}
	if (all && (text[3] == '4' || text[3] == '6') && !text[4]) {
		p.addr.family = (uint8_t)(text[3] - '0');
		*ret = addr_range_prefix(&p);
		return 0;
	}
	int rc = prefix_parse(text, &p);
	if (rc == -EDOM)
		return rc;
	if (rc)
		return parse_ends(text, ret);
	*ret = addr_range_prefix(&p);
	return 0;
}
