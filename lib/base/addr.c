#include "lib/base/addr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct addr addr_v4(const void *four)
{
	struct addr a = {.family = 4};
	memcpy(a.b, four, 4);
	return a;
}

struct addr addr_v6(const void *sixteen)
{
	struct addr a = {.family = 6};
	memcpy(a.b, sixteen, 16);
	return a;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

int addr_parse(const char *text, struct addr *ret)
{
	struct addr a = {0};
	if (inet_pton(AF_INET, text, a.b) == 1)
		a.family = 4;
	else if (inet_pton(AF_INET6, text, a.b) == 1)
		a.family = 6;
	else
		return -EINVAL;
	*ret = a;
	return 0;
}

const char *addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	if (!a->family || !inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, out, ADDR_TEXT_MAX))
		memcpy(out, "-", 2);
	return out;
}

int prefix_parse(const char *text, struct prefix *ret)
{
	char buf[ADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	if (n >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, n);
	buf[n] = 0;

	struct prefix p;
	if (addr_parse(buf, &p.addr))
		return -EINVAL;
	size_t bits = addr_len(&p.addr) * 8;
	p.len = (uint8_t)bits;
	if (slash) {
		const char *d = slash + 1;
		size_t digits = strspn(d, "0123456789");
		if (!digits || digits > 3 || d[digits])
			return -EINVAL;
		unsigned long len = strtoul(d, NULL, 10);
		if (len > bits)
			return -ERANGE;
		p.len = (uint8_t)len;
	}
	struct prefix masked = p;
	prefix_mask(&masked);
	if (!addr_equal(&masked.addr, &p.addr))
		return -EDOM;
	*ret = p;
	return 0;
}

const char *prefix_text(const struct prefix *p, char out[PREFIX_TEXT_MAX])
{
	char a[ADDR_TEXT_MAX];
	(void)snprintf(out, PREFIX_TEXT_MAX, "%s/%u", addr_text(&p->addr, a), p->len);
	return out;
}

bool prefix_covers(const struct prefix *p, const struct addr *a)
{
	if (p->addr.family != a->family)
		return false;
	unsigned whole = p->len / 8, rest = p->len % 8;
	if (memcmp(p->addr.b, a->b, whole))
		return false;
	return !rest || !((p->addr.b[whole] ^ a->b[whole]) >> (8 - rest));
}

void prefix_mask(struct prefix *p)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = p->len > i * 8 ? p->len - i * 8 : 0;
		if (keep < 8)
			p->addr.b[i] &= (uint8_t)~(0xffu >> keep);
	}
}
