/* gates: the set-up of two gateways whose policies mirror each other, for fuzz_worker: @me is 1 or 2. Tunnels in IPv4, in IPv6, in UDP, in
 * a tunnel, ESP without encryption, AH; networks 10.ME.n.0/24 and 2001:db8:MEn::/64, one for each. */
#pragma once
#include "daemons/stack-core/filter/policy.h"
#include "daemons/stack-core/stack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIRE = 0, HOST = 1 };

static void demand(bool good)
{
	if (!good)
		abort();
}

#define TUNNEL(name, family, mode, more)                                                                                                \
	"IpManVpnAction " name " { LocalSecurityEndpointAddr " family "%1$d\n RemoteSecurityEndpointAddr " family "%2$d\n"               \
	" HowToEncap " mode "\n" more "}\n"
#define KEYS(base, key)                                                                                                                 \
	" EncryptInboundSa " base "%1$d 0x%1$d" key "\n EncryptOutboundSa " base "%2$d 0x%2$d" key "\n"
#define MACS(base, key)                                                                                                                 \
	" AuthInboundSa " base "%1$d 0x%1$d" key "\n AuthOutboundSa " base "%2$d 0x%2$d" key "\n"
#define GCM(base) " HowToEncrypt AES_GCM KeyLength 128\n HowToAuth ESP NULL\n" KEYS(base, "123456789abcdef0123456789abcdef01234" base)
#define SHA(proto, base) " HowToEncrypt DoNot\n HowToAuth " proto " HMAC_SHA1\n" MACS(base, "123456789abcdef0123456789abcdef01234567")
#define RULE(name, src, dst, service, vpn)                                                                                              \
	"IpFilterRule " name " { IpSourceAddr " src "\n IpDestAddr " dst "\n IpServiceRef " service "\n"                                  \
	" IpGenericFilterActionRef ipsec\n IpManVpnActionRef " vpn " }\n"

static const char gates_text[] = "IpService all { Protocol all\n Routing Either }\nIpService esp { Protocol esp\n Routing Either }\n"
	"IpGenericFilterAction ipsec { IpFilterAction IpSec }\nIpGenericFilterAction permit { IpFilterAction Permit }\n"
	TUNNEL("plain", "192.0.2.", "Tunnel", GCM("100")) TUNNEL("six", "2001:db8::", "Tunnel", GCM("200"))
	TUNNEL("udp", "192.0.2.", "Tunnel", " UdpEncapsulation Yes\n" GCM("300"))
	TUNNEL("clear", "192.0.2.", "Tunnel", SHA("ESP", "400")) TUNNEL("ah", "192.0.2.", "Tunnel", SHA("AH", "500"))
	TUNNEL("inner", "192.0.2.10", "Tunnel", GCM("600"))
	"IpFilterPolicy {\n"
	RULE("r1", "10.%1$d.1.0/24", "10.%2$d.1.0/24", "all", "plain") RULE("r2", "10.%1$d.2.0/24", "10.%2$d.2.0/24", "all", "six")
	RULE("r3", "10.%1$d.3.0/24", "10.%2$d.3.0/24", "all", "udp") RULE("r4", "10.%1$d.4.0/24", "10.%2$d.4.0/24", "all", "clear")
	RULE("r5", "10.%1$d.5.0/24", "10.%2$d.5.0/24", "all", "ah") RULE("r6", "10.%1$d.6.0/24", "10.%2$d.6.0/24", "all", "inner")
	RULE("s1", "2001:db8:%1$d1::/48", "2001:db8:%2$d1::/48", "all", "plain") RULE("s3", "2001:db8:%1$d3::/48", "2001:db8:%2$d3::/48", "all", "udp")
	RULE("s4", "2001:db8:%1$d4::/48", "2001:db8:%2$d4::/48", "all", "clear")
	RULE("over", "192.0.2.10%1$d", "192.0.2.10%2$d", "esp", "plain")
	"IpFilterRule rest4 { IpSourceAddr all4\n IpDestAddr all4\n IpServiceRef all\n IpGenericFilterActionRef permit }\n"
	"IpFilterRule rest6 { IpSourceAddr all6\n IpDestAddr all6\n IpServiceRef all\n IpGenericFilterActionRef permit }\n}\n";

static uint32_t gates_tunnel(void *arg, const char *vpn)
{
	const struct tunnel *t = sadb_find(((struct stack *)arg)->sadb, vpn);
	return t ? t->index : UINT32_MAX;
}

static void gates_policy(struct stack *s, int me)
{
	static char text[16384];
	struct ipsec_policy *parsed;
	struct conf *c = NULL;
	struct policy p;
	struct errbuf e;

	demand(snprintf(text, sizeof(text), gates_text, me, 3 - me) < (int)sizeof(text));
	if (conf_parse(&ipsec_policy_spec, "f", text, strlen(text), &c) || ipsec_policy_build(c, NULL, &parsed) || policy_build(parsed, &p)) {
		fprintf(stderr, "%s\n", conf_error(c, 0));
		abort();
	}
	demand(manual_apply(s->sadb, p.tunnels, p.n_tunnels, &e) == 0);
	struct filter_install i = {.rules = p.rules, .n = p.n, .loaded = true, .find = gates_tunnel, .find_arg = s};
	demand(filter_install(s->filters, FILTER_POLICY, &i, &e) == 0);
	policy_fini(&p);
	ipsec_policy_free(parsed);
}

static struct addr gates_addr(const char *format, int a)
{
	char text[64];
	struct addr ret;

	(void)snprintf(text, sizeof(text), format, a);
	demand(addr_parse(text, &ret) == 0);
	return ret;
}

static void gates_links(struct stack *s, int me)
{
	struct link *w = &s->links[WIRE], *h = &s->links[HOST];

	(void)snprintf(w->name, sizeof(w->name), "WIRE");
	w->type = h->type = LINK_MEMORY;
	w->ethernet = true;
	w->mac[5] = (uint8_t)me;
	w->addrs[0] = (struct prefix){gates_addr("192.0.2.%d", me), 24};
	w->addrs[1] = (struct prefix){gates_addr("2001:db8::%d", me), 64};
	w->addrs[2] = (struct prefix){gates_addr("192.0.2.10%d", me), 32};
	w->n_addrs = 3;
	(void)snprintf(h->name, sizeof(h->name), "HOST");
	h->addrs[0] = (struct prefix){gates_addr("10.%d.0.1", me), 16};
	h->addrs[1] = (struct prefix){gates_addr("2001:db8:%d0::1", me), 64};
	h->n_addrs = 2;
	for (int i = 1; i < 6; i++) {
		h->addrs[h->n_addrs++] = (struct prefix){gates_addr(me == 1 ? "10.1.%d.1" : "10.2.%d.1", i), 24};
		h->addrs[h->n_addrs++] = (struct prefix){gates_addr(me == 1 ? "2001:db8:1%d::1" : "2001:db8:2%d::1", i), 64};
	}
	h->addrs[h->n_addrs++] = (struct prefix){gates_addr("10.%d.6.1", me), 24};
}

static void gates_routes(struct stack *s, int me)
{
	struct fib_route r[8] = {{.dst = {gates_addr("10.%d.0.0", 3 - me), 16}, .gateway = gates_addr("192.0.2.%d", 3 - me)}};
	unsigned n = 1;
	struct errbuf e;

	for (int i = 0; i < 6; i++)
		r[n++] = (struct fib_route){.dst = {gates_addr(me == 1 ? "2001:db8:2%d::" : "2001:db8:1%d::", i), 64}, .gateway = gates_addr("2001:db8::%d", 3 - me)};
	r[n++] = (struct fib_route){.dst = {gates_addr("192.0.2.10%d", 3 - me), 32}, .gateway = gates_addr("192.0.2.%d", 3 - me)};
	for (unsigned i = 0; i < n; i++) {
		r[i].kind = FIB_GATEWAY;
		r[i].link = WIRE;
	}
	demand(stack_routes(s, r, n, &e) == 0);
}
