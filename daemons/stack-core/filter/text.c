/* Filters in z/OS's words (the fields of EZD1723I and of ipsec -f, zos.md sections 4 and 6). */
#include "daemons/stack-core/filter/filter.h"
#include <string.h>
#include <strings.h>

static const struct {
	const char *name, *text;
	uint16_t proto;
} protocols[] = {
	{"tcp", "TCP", 6},
	{"udp", "UDP", 17},
	{"icmp", "ICMP", 1},
	{"icmpv6", "ICMPv6", 58},
	{"ospf", "OSPF", 89},
	{"igmp", "IGMP", 2},
	{"ip", "IP", 4},
	{"esp", "ESP", 50},
	{"ah", "AH", 51},
	{"ipip", "IPIP", 94},
	{"mipv6", "MIPv6", 135},
	{"sctp", "SCTP", 132},
	{"ipv6", "IPv6", 41},
	{"gre", "GRE", 47},
};

const char *filter_proto_text(unsigned proto, char out[32])
{
	if (proto >= FILTER_PROTO_ANY)
		return strcpy(out, "ALL");
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		if (protocols[i].proto == proto) {
			(void)snprintf(out, 32, "%s(%u)", protocols[i].text, proto);
			return out;
		}
	(void)snprintf(out, 32, "%u", proto);
	return out;
}

int filter_proto_parse(const char *text, uint16_t *ret)
{
	if (!strcasecmp(text, "all") || !strcmp(text, "*")) {
		*ret = FILTER_PROTO_ANY;
		return 0;
	}
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		if (!strcasecmp(text, protocols[i].name)) {
			*ret = protocols[i].proto;
			return 0;
		}
	size_t n = strlen(text);
	if (!n || n > 3 || strspn(text, "0123456789") != n)
		return -EINVAL;
	unsigned v = 0;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (unsigned)(text[i] - '0');
	if (v > UINT8_MAX)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
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
