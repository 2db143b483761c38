/* pair: two IKE engines that talk to each other in memory, with a clock and a network that a test owns. What they send waits in
 * one queue in the order sent; a test's hook decides what becomes of each datagram. What they install is kept as a stack
 * would keep it, so that a test can ask whether both ends have the same tunnel. */
#pragma once
#include "lib/base/xalloc.h"
#include "lib/ike/ike.h"
#include "tests/support/check_main.h"
#include <string.h>

enum { QUEUE_MAX = 4096, TUNNELS_MAX = 64, RECORD_MAX = 256, SECOND = 1000000 };

struct datagram {
	unsigned to; /* 0 or 1 */
	struct ike_path path; /* as the receiver sees it */
	size_t len;
	uint8_t *data;
};

struct kept {
	struct ike_child child;
	bool ready, removed;
};

struct peer {
	struct ike *ike;
	struct ipsec_policy *policy;
	struct kept tunnels[TUNNELS_MAX];
	unsigned n_tunnels, removed, events[IKE_FLOOD + 1];
	char last[512]; /* text of the last failure */
};

static struct pair {
	struct peer peer[2];
	struct datagram queue[QUEUE_MAX];
	unsigned head, tail, sent; /* sent: number of the datagram that is next */
	uint64_t now;
	/* What becomes of datagram @number: false: lost. It may change @d's bytes. */
	bool (*fate)(struct datagram *d, unsigned number);
	struct datagram record[RECORD_MAX];
	unsigned n_record;
	uint64_t seed;
	unsigned index[2];
	/* A NAT between: @path, as the sender gave it, becomes what the receiver sees. */
	void (*nat)(unsigned from, struct ike_path *path);
} net;

#define WALL(now) ((now) + 1700000000ull * SECOND)

static inline struct peer *peer_of(void *ctx)
{
	return &net.peer[*(unsigned *)ctx];
}

static inline void datagram_put(unsigned to, const struct ike_path *seen, const void *data, size_t len)
{
	ck_assert_uint_lt(net.tail - net.head, QUEUE_MAX);
	struct datagram *d = &net.queue[net.tail++ % QUEUE_MAX];
	*d = (struct datagram){.to = to, .path = *seen, .len = len, .data = xcalloc(1, len)};
	memcpy(d->data, data, len);
}

static inline void on_send(void *ctx, const struct ike_path *path, const void *data, size_t len)
{
	struct ike_path seen = {path->remote, path->local, path->remote_port, path->local_port};
	if (net.nat)
		net.nat(*(unsigned *)ctx, &seen);
	ck_assert_uint_gt(len, 0);
	datagram_put(!*(unsigned *)ctx, &seen, data, len);
}

static inline int on_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	for (size_t i = 0; i < len; i++) { /* xorshift: tests repeat */
		net.seed ^= net.seed << 13;
		net.seed ^= net.seed >> 7;
		net.seed ^= net.seed << 17;
		((uint8_t *)out)[i] = (uint8_t)(net.seed >> 24);
	}
	return 0;
}

static inline struct kept *kept_find(struct peer *p, const char *id, uint32_t generation)
{
	for (unsigned i = 0; i < p->n_tunnels; i++)
		if (!strcmp(p->tunnels[i].child.tunnel_id, id) && p->tunnels[i].child.generation == generation && !p->tunnels[i].removed)
			return &p->tunnels[i];
	return NULL;
}

static inline int on_install(void *ctx, const struct ike_child *c)
{
	struct peer *p = peer_of(ctx);
	ck_assert_uint_lt(p->n_tunnels, TUNNELS_MAX);
	ck_assert_ptr_null(kept_find(p, c->tunnel_id, c->generation));
	ck_assert_uint_ge(c->in.spi, 256);
	p->tunnels[p->n_tunnels++] = (struct kept){.child = *c};
	return 0;
}

static inline void on_ready(void *ctx, const struct ike_child *c)
{
	struct kept *k = kept_find(peer_of(ctx), c->tunnel_id, c->generation);
	ck_assert_ptr_nonnull(k); /* installed first */
	k->ready = true;
}

static inline void on_remove(void *ctx, const struct ike_child *c, const char *why)
{
	struct peer *p = peer_of(ctx);
	struct kept *k = kept_find(p, c->tunnel_id, c->generation);
	ck_assert_ptr_nonnull(why);
	if (!k)
		return; /* it had not been installed yet */
	k->removed = true;
	p->removed++;
}

static inline void on_event(void *ctx, const struct ike_event *e)
{
	struct peer *p = peer_of(ctx);
	p->events[e->kind]++;
	if (e->text && (e->kind == IKE_P1_FAILED || e->kind == IKE_P2_FAILED))
		(void)snprintf(p->last, sizeof(p->last), "%s", e->text);
}

static const struct ike_ops pair_ops = {
	.send = on_send, .random = on_random, .install = on_install, .outbound_ready = on_ready, .remove = on_remove, .event = on_event};

static inline struct ipsec_policy *policy_of(const char *text)
{
	struct ipsec_policy *p = NULL;
	struct conf *c;
	int rc = conf_parse(&ipsec_policy_spec, "p", text, strlen(text), &c);
	if (!rc)
		rc = ipsec_policy_build(c, NULL, &p);
	ck_assert_msg(!rc, "%s", conf_error(c, 0));
	return p;
}

/* A policy of one end: @kex is inside the action, @vpn inside IpDynVpnAction, @local 1 or 2: 192.0.2.1 with 10.1/16, or 192.0.2.2 with 10.2/16. */
static inline struct ipsec_policy *end_policy(unsigned local, const char *key, const char *kex, const char *vpn)
{
	char text[8192];
	unsigned remote = 3 - local;
	(void)snprintf(text, sizeof(text),
		"IpService all { Protocol all\n Routing Either }\nIpGenericFilterAction ipsec { IpFilterAction IpSec }\n"
		"IpDynVpnAction v {\n%s\n}\nIpLocalStartAction s { AllowOnDemand Yes\n LocalIpGranularity Rule\n RemoteIpGranularity Rule\n"
		" LocalSecurityEndpointAddr 192.0.2.%u\n RemoteSecurityEndpointAddr 192.0.2.%u }\n"
		"IpFilterPolicy { IpFilterRule net { IpSourceAddr 10.%u.0.0/16\n IpDestAddr 10.%u.0.0/16\n IpServiceRef all\n"
		" IpGenericFilterActionRef ipsec\n IpDynVpnActionRef v\n IpLocalStartActionRef s } }\n"
		"LocalDynVpnPolicy { LocalDynVpnRule l { LocalIp 10.%u.0.0/16\n RemoteIp 10.%u.0.0/16 } }\n"
		"KeyExchangePolicy { KeyExchangeRule k { LocalSecurityEndpoint { Location 192.0.2.%u }\n"
		" RemoteSecurityEndpoint { Identity IpAddr 192.0.2.%u\n Location 192.0.2.%u }\n KeyExchangeAction {\n%s\n}\n%s%s\n} }\n",
		vpn, local, remote, local, remote, local, remote, local, remote, remote, kex, *key ? "SharedKey Ascii " : "", key);
	return policy_of(text);
}

#define KEX_PSK                                                                                                        \
	"KeyExchangeOffer { HowToEncrypt AES_CBC KeyLength 128\n HowToAuthMsgs SHA2_256\n HowToAuthPeers PresharedKey\n"    \
	" DHGroup Group19 }\n"
#define VPN_GCM "IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_GCM KeyLength 128 }\n"

static inline void engine_start(unsigned i)
{
	net.index[i] = i;
	struct ike_config c = {.ops = &pair_ops, .ctx = &net.index[i], .policy = net.peer[i].policy, .esn_allowed = true};
	ck_assert_int_eq(ike_new(&c, net.now, &net.peer[i].ike), 0);
}

static inline void pair_start(struct ipsec_policy *a, struct ipsec_policy *b)
{
	memset(&net, 0, sizeof(net));
	net.now = 1000ull * SECOND;
	net.seed = 0x9e3779b97f4a7c15;
	net.peer[0].policy = a;
	net.peer[1].policy = b;
	engine_start(0);
	engine_start(1);
}

static inline void pair_simple(const char *kex, const char *vpn)
{
	pair_start(end_policy(1, "geheim", kex, vpn), end_policy(2, "geheim", kex, vpn));
}

static inline void queue_clear(void)
{
	for (; net.head != net.tail; net.head++)
		free(net.queue[net.head % QUEUE_MAX].data);
}

static inline void pair_stop(void)
{
	queue_clear();
	for (unsigned i = 0; i < net.n_record; i++)
		free(net.record[i].data);
	for (unsigned i = 0; i < 2; i++) {
		ike_free(net.peer[i].ike);
		ipsec_policy_free(net.peer[i].policy);
	}
}

static inline void give(const struct datagram *d)
{
	if (net.peer[d->to].ike)
		ike_input(net.peer[d->to].ike, &d->path, d->data, d->len, net.now, WALL(net.now));
}

/* Delivers until nothing is under way. */
static inline void flow(void)
{
	for (unsigned guard = 0; net.head != net.tail; guard++) {
		ck_assert_uint_lt(guard, 100000); /* two ends that answer each other for ever */
		struct datagram d = net.queue[net.head++ % QUEUE_MAX];
		bool passes = !net.fate || net.fate(&d, net.sent);
		net.sent++;
		if (passes && net.n_record < RECORD_MAX) {
			net.record[net.n_record] = d;
			net.record[net.n_record].data = memcpy(xcalloc(1, d.len), d.data, d.len);
			net.n_record++;
		}
		if (passes)
			give(&d);
		free(d.data);
	}
}

/* Lets time pass, deadline by deadline. */
static inline void pass(uint64_t us)
{
	uint64_t end = net.now + us;
	for (unsigned guard = 0;; guard++) {
		ck_assert_uint_lt(guard, 1000000); /* a deadline that stays in the past */
		flow();
		uint64_t next = end;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t d = net.peer[i].ike ? ike_deadline(net.peer[i].ike) : UINT64_MAX;
			next = d < next ? d : next;
		}
		if (next > net.now)
			net.now = next;
		for (unsigned i = 0; i < 2; i++)
			if (net.peer[i].ike)
				ike_tick(net.peer[i].ike, net.now, WALL(net.now));
		flow();
		if (net.now >= end)
			return;
	}
}

/* End 0 asks for its local rule. */
static inline int activate(char id[16])
{
	const struct ipsec_policy *p = net.peer[0].policy;
	struct ike_activate a = {.local_rule = "l"};
	struct errbuf e = {""};
	ck_assert_int_eq(policy_local_anchor(p, policy_local_rule(p, "l"), &a.rule, &a.sel), 0);
	a.local_endpoint = a.rule->start->local_endpoint;
	a.remote_endpoint = a.rule->start->remote_endpoint;
	int rc = ike_activate(net.peer[0].ike, &a, net.now, &e, id);
	ck_assert_msg(rc || *id, "no id");
	return rc;
}

static inline unsigned alive(unsigned i)
{
	unsigned n = 0;
	for (unsigned k = 0; k < net.peer[i].n_tunnels; k++)
		n += net.peer[i].tunnels[k].ready && !net.peer[i].tunnels[k].removed;
	return n;
}

/* The newest ready tunnel of end @i; NULL. */
static inline struct kept *newest(unsigned i)
{
	struct kept *best = NULL;
	for (unsigned k = 0; k < net.peer[i].n_tunnels; k++) {
		struct kept *t = &net.peer[i].tunnels[k];
		if (t->ready && !t->removed && (!best || t->child.generation >= best->child.generation))
			best = t;
	}
	return best;
}

static inline bool half_equal(const struct ike_sa_half *a, const struct ike_sa_half *b)
{
	return a->spi == b->spi && a->enc_key_len == b->enc_key_len && a->auth_key_len == b->auth_key_len &&
	       !memcmp(a->enc_key, b->enc_key, a->enc_key_len) && !memcmp(a->auth_key, b->auth_key, a->auth_key_len);
}

/* Some ready tunnel of end 1 is the other end of @t. */
static inline struct kept *other_end(const struct kept *t)
{
	for (unsigned k = 0; k < net.peer[1].n_tunnels; k++) {
		struct kept *o = &net.peer[1].tunnels[k];
		if (!o->removed && half_equal(&t->child.out, &o->child.in) && half_equal(&t->child.in, &o->child.out))
			return o;
	}
	return NULL;
}

/* What one end uses, the other has under the same keys, for mirrored traffic. */
static inline void check_agreed(void)
{
	struct kept *a = newest(0);
	ck_assert_msg(a != NULL, "no tunnel: %s / %s", net.peer[0].last, net.peer[1].last);
	struct kept *b = other_end(a);
	ck_assert_msg(b != NULL, "the ends do not have the same keys");
	ck_assert_int_ne(memcmp(a->child.in.enc_key, a->child.out.enc_key, a->child.in.enc_key_len), 0);
	ck_assert(a->child.esp == b->child.esp && a->child.auth == b->child.auth && a->child.key_bits == b->child.key_bits &&
		  a->child.tunnel == b->child.tunnel && a->child.udp == b->child.udp && a->child.esn == b->child.esn &&
		  a->child.pfs_group == b->child.pfs_group && a->child.initiator != b->child.initiator);
	ck_assert(addr_range_contains(&a->child.sel.local, &b->child.sel.remote) && addr_range_contains(&b->child.sel.remote, &a->child.sel.local));
	ck_assert(addr_range_contains(&a->child.sel.remote, &b->child.sel.local) && addr_range_contains(&b->child.sel.local, &a->child.sel.remote));
	ck_assert(a->child.sel.protocol == b->child.sel.protocol);
	ck_assert_str_eq(a->child.rule, "net");
	ck_assert_str_eq(b->child.rule, "net");
}
