/* icmp: an error quotes as much of the packet as fits in 576 bytes (RFC 1812 4.3.2.3) or the minimum MTU of IPv6 (RFC 4443 2.4). */
#include "daemons/stack-core/ip/icmp.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { QUOTE4 = 576 - IP4_HEADER - 8, QUOTE6 = 1280 - IP6_HEADER - 8 };

struct code {
	uint8_t type4, code4, type6, code6;
};
static const struct code codes[] = {
	[ICMP_NO_ROUTE] = {3, 0, 1, 0},
	[ICMP_HOST_DOWN] = {3, 1, 1, 3},
	[ICMP_PROTO] = {3, 2, 4, 1},
	[ICMP_PORT] = {3, 3, 1, 4},
	[ICMP_PROHIBITED] = {3, 13, 1, 1},
	[ICMP_TTL] = {11, 0, 3, 0},
	[ICMP_TOO_BIG] = {3, 4, 2, 0},
};

void icmp_limits_init(struct icmp_limits *l)
{
	memset(l, 0, sizeof(*l));
	l->all.tokens = ICMP_BURST;
	for (unsigned i = 0; i < ICMP_HOSTS; i++)
		l->host[i].tokens = ICMP_HOST_BURST;
	if (getrandom(l->key, sizeof(l->key), 0) != sizeof(l->key))
		abort(); /* without randomness a stranger could spend another's share */
}

static void fill(struct icmp_bucket *b, unsigned burst, unsigned per_second, uint64_t now_ms)
{
	uint64_t gained = (now_ms - b->at_ms) * per_second / 1000;

	if (!gained)
		return;
	b->at_ms = now_ms;
	b->tokens = gained + b->tokens > burst ? burst : b->tokens + (unsigned)gained;
}

unsigned icmp_limit(struct icmp_limits *l, const struct addr *dst, uint64_t now_ms)
{
	uint64_t w[2], h;

	memcpy(w, dst->b, 16);
	h = (w[0] ^ l->key[0]) * 0x9e3779b97f4a7c15u;
	h = ((h ^ h >> 32) + (w[1] ^ l->key[1])) * 0xd6e8feb86659fd93u;
	struct icmp_bucket *own = &l->host[(h >> 40) % ICMP_HOSTS];
	fill(&l->all, ICMP_BURST, ICMP_PER_SECOND, now_ms);
	fill(own, ICMP_HOST_BURST, ICMP_HOST_PER_SECOND, now_ms);
	if (!own->tokens)
		return DROP_ICMP_LIMITED_HOST;
	if (!l->all.tokens)
		return DROP_ICMP_LIMITED;
	own->tokens--;
	l->all.tokens--;
	return 0;
}

bool icmp_error_allowed(const struct pkt *bad)
{
	if (bad->l2_group || ip_is_multicast(&bad->dst) || ip_is_unspecified(&bad->src) || (bad->fragment && bad->opaque))
		return false;
	if (bad->family == 4 && bad->dst.b[0] == 255)
		return false;
	if (bad->family == 4 && bad->proto == IPPROTO_IP_ICMP)
		return bad->icmp_type == 8 || bad->icmp_type == 0 || bad->icmp_type == 13;
	if (bad->family == 6 && bad->proto == IP_ICMP6)
		return bad->icmp_type >= 128 && bad->icmp_type != 137;
	return true;
}

struct pkt *icmp_error(struct pkt_pool *pool, const struct pkt *bad, const struct addr *src, enum icmp_why why, uint32_t mtu)
{
	const struct code *c = &codes[why];
	bool v4 = bad->family == 4;
	uint32_t header = v4 ? IP4_HEADER : IP6_HEADER, quote = v4 ? QUOTE4 : QUOTE6;
	struct pkt *p = pkt_alloc(pool);

	if (!p)
		return NULL;
	quote = bad->len < quote ? bad->len : quote;
	p->len = header + 8 + quote;
	uint8_t *h = pkt_data(p), *m = h + header;
	memset(m, 0, 8);
	m[0] = v4 ? c->type4 : c->type6;
	m[1] = v4 ? c->code4 : c->code6;
	if (why == ICMP_TOO_BIG)
		ip_put32(m + 4, mtu);
	else if (why == ICMP_PROTO && !v4)
		ip_put32(m + 4, 6); /* the next header field of the fixed header */
	memcpy(m + 8, pkt_data(bad), quote);
	uint64_t sum = csum_add(v4 ? 0 : csum_pseudo(src, &bad->src, IP_ICMP6, 8 + quote), m, 8 + quote);
	uint16_t folded = csum_fold(sum);
	memcpy(m + 2, &folded, 2);
	if (v4)
		ip4_write(h, src, &bad->src, IPPROTO_IP_ICMP, 64, 0xc0, p->len, 0, false);
	else
		ip6_write(h, src, &bad->src, IP_ICMP6, 64, 0, 8 + quote);
	p->in_link = bad->in_link;
	if (ip_parse(p))
		return p;
	pkt_free(pool, p);
	return NULL;
}

bool icmp_is_echo(const struct pkt *p)
{
	return !p->fragment && (p->family == 4 ? p->proto == IPPROTO_IP_ICMP && p->icmp_type == 8
					       : p->proto == IP_ICMP6 && p->icmp_type == 128);
}

bool icmp_echo(struct pkt *p)
{
	uint8_t *h = pkt_data(p), *m = h + p->l4_off;
	uint32_t len = p->len - p->l4_off;
	bool v4 = p->family == 4;
	uint64_t pseudo = v4 ? 0 : csum_pseudo(&p->src, &p->dst, IP_ICMP6, len);

	if (len < 8 || csum_fold(csum_add(pseudo, m, len))) {
		p->drop = DROP_IP_ICMP_CHECKSUM;
		return false;
	}
	m[0] = v4 ? 0 : 129;
	memset(m + 2, 0, 2);
	uint16_t folded = csum_fold(csum_add(pseudo, m, len));
	memcpy(m + 2, &folded, 2);
	if (v4) {
		memcpy(h + 12, p->dst.b, 4);
		memcpy(h + 16, p->src.b, 4);
		h[8] = 64;
		ip4_checksum(h);
	} else {
		memcpy(h + 8, p->dst.b, 16);
		memcpy(h + 24, p->src.b, 16);
		h[7] = 64;
	}
	return ip_parse(p);
}
