#include "daemons/rpcbindD/uaddr.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[NETID_COUNT] = {"udp", "tcp", "udp6", "tcp6", "local"};

const char *netid_text(enum netid n)
{
	return n < NETID_COUNT ? names[n] : "-";
}

enum netid netid_parse(const char *text)
{
	for (unsigned i = 0; i < NETID_COUNT; i++)
		if (!strcmp(text, names[i]))
			return (enum netid)i;
	return strcmp(text, "unix") ? NETID_NONE : NETID_LOCAL;
}

static int octet(const char *p, size_t len)
{
	int v = 0;
	if (len < 1 || len > 3 || (len > 1 && p[0] == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + p[i] - '0';
	}
	return v > 255 ? -1 : v;
}

static int parse_local(const char *text)
{
	size_t n = strlen(text);
	if (n == 0 || n > UADDR_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -EINVAL;
	return 0;
}

int uaddr_parse(enum netid n, const char *text, struct addr *ret_addr, uint16_t *ret_port)
{
	char host[ADDR_TEXT_MAX + 1];
	*ret_addr = (struct addr){0};
	*ret_port = 0;
	if (n == NETID_LOCAL)
		return parse_local(text);
	const char *low = strrchr(text, '.'), *high = NULL;
	for (const char *p = text; low && p < low; p++)
		if (*p == '.')
			high = p;
	if (!high || (size_t)(high - text) >= sizeof(host))
		return -EINVAL;
	int h = octet(high + 1, (size_t)(low - high - 1)), l = octet(low + 1, strlen(low + 1));
	memcpy(host, text, (size_t)(high - text));
	host[high - text] = 0;
	if (h < 0 || l < 0 || addr_parse(host, ret_addr) || ret_addr->family != netid_family(n))
		return -EINVAL;
	*ret_port = (uint16_t)(h << 8 | l);
	return 0;
}

const char *uaddr_text(const struct addr *a, uint16_t port, char out[UADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];
	(void)snprintf(out, UADDR_TEXT_MAX, "%s.%u.%u", addr_text(a, host), port >> 8u, port & 255u);
	return out;
}

bool addr_is_any(const struct addr *a)
{
	static const uint8_t zero[16];
	return memcmp(a->b, zero, 16) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = {[15] = 1};
	return a->family == 4 ? a->b[0] == 127 : a->family == 6 && memcmp(a->b, one, 16) == 0;
}
