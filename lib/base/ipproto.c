/* See ipproto.h. */
#include "lib/base/ipproto.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *word, *name;
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

enum { PROTOCOLS = sizeof(protocols) / sizeof(*protocols) };

const char *ipproto_name(unsigned proto)
{
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (protocols[i].proto == proto)
			return protocols[i].name;
	return NULL;
}

int ipproto_parse(const char *text, uint16_t *ret)
{
	if (!strcasecmp(text, "all") || !strcmp(text, "*")) {
		*ret = IPPROTO_ALL;
		return 0;
	}
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (!strcasecmp(text, protocols[i].word)) {
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

bool ipproto_typed(unsigned proto)
{
	return proto == 1 || proto == 58 || proto == 89 || proto == 135;
}

bool ipproto_ports(unsigned proto)
{
	return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136;
}
