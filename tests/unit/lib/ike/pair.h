/* Two IKE engines in memory, with a clock, a network and a stack each that the test owns. Every datagram passes through
 * struct pair: it can be dropped, delivered twice, late, cut or with a bit turned, all of it the same at each run. */
#pragma once
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/ike/ike.h"
#include "tests/support/memory_signer.h"
#include <stdarg.h>
#include <stdio.h>

enum { PAIR_CHILDREN = 64, PAIR_QUEUE = 512, PAIR_LOG = 32768 };
#define PAIR_SECOND UINT64_C(1000000)
#define PAIR_WALL (UINT64_C(1764000000) * PAIR_SECOND)

struct pair_child {
	struct ike_child c;
	bool there, out;
	uint32_t removed; /* how often */
};
struct pair_peer {
	struct pair *net;
	struct ike *k;
	struct ipsec_policy *policy;
	struct signer *signer;
	struct addr addr;
	struct pair_child children[PAIR_CHILDREN];
	size_t n_children;
	int install_rc;	 /* what the stack answers */
	unsigned twice;	 /* removals of what is not there: a mistake */
	char log[PAIR_LOG]; /* "P1_UP EZD0942I text\n" ... */
	unsigned events[IKE_FLOOD + 1];
};
struct pair_datagram {
	struct ike_path path; /* as the receiver sees it */
	unsigned to;
	uint8_t *data;
	size_t len;
};
enum pair_fault { FAULT_NONE, FAULT_DROP, FAULT_TWICE, FAULT_SWAP, FAULT_CUT, FAULT_FLIP, FAULT_REPLAY_ALL };
struct pair {
	struct pair_peer peer[2];
	struct pair_datagram queue[PAIR_QUEUE];
	size_t n_queue;
	struct pair_datagram held; /* FAULT_SWAP: goes after the next one */
	uint64_t now, random;
	/* the fault hits the datagram with this number, counted from 0 in the order of sending */
	enum pair_fault fault;
	size_t fault_at, fault_arg, sent;
	bool cut_off; /* nothing arrives */
	bool borrowed; /* the policies are not ours to free */
	bool nat;     /* peer 0 is behind one: seen as nat_addr with other ports */
	struct addr nat_addr;
	uint16_t nat_shift;
	/* What becomes of the @number-th datagram, counted as @sent: false: lost. It may change the bytes and shorten the message. */
	bool (*fate)(struct pair *n, struct pair_datagram *d, size_t number);
	/* all datagrams ever sent, for replays */
	struct pair_datagram past[PAIR_QUEUE];
	size_t n_past;
};

static inline struct addr pair_addr(const char *text)
{
	struct addr a = {0};
	if (addr_parse(text, &a))
		abort();
	return a;
}

static inline int pair_random(void *ctx, void *out, size_t len)
{
	struct pair *n = ((struct pair_peer *)ctx)->net;
	uint8_t *p = out;
	for (size_t i = 0; i < len; i++) {
		n->random ^= n->random << 13;
		n->random ^= n->random >> 7;
		n->random ^= n->random << 17;
		p[i] = (uint8_t)(n->random >> 24);
	}
	return 0;
}

static inline void pair_push(struct pair *n, const struct pair_datagram *d, size_t len)
{
	if (n->n_queue == PAIR_QUEUE)
		return;
	struct pair_datagram *q = &n->queue[n->n_queue++];
	*q = *d;
	q->data = xcalloc(1, len + 1);
	memcpy(q->data, d->data, len);
	q->len = len;
}

/* What the network makes of the @at-th datagram, which @me sent along @path. */
static inline void pair_pass_on(struct pair *n, struct pair_datagram *d, unsigned me, const struct ike_path *path, size_t at)
{
	if (n->nat && me == 0) { /* out through the NAT */
		d->path.remote = n->nat_addr;
		d->path.remote_port = (uint16_t)(path->local_port + n->nat_shift);
	} else if (n->nat) { /* back in; what is not addressed to it is lost */
		if (!addr_equal(&path->remote, &n->nat_addr))
			return;
		d->path.local = n->peer[0].addr;
		d->path.local_port = (uint16_t)(path->remote_port - n->nat_shift);
	} else if (!addr_equal(&path->remote, &n->peer[!me].addr)) {
		return;
	}
	if (n->n_past < PAIR_QUEUE) {
		n->past[n->n_past] = *d;
		n->past[n->n_past].data = xcalloc(1, d->len + 1);
		memcpy(n->past[n->n_past++].data, d->data, d->len);
	}
	if (n->cut_off)
		return;
	bool hit = n->fault && at == n->fault_at;
	if (hit && n->fault == FAULT_DROP)
		return;
	if (hit && n->fault == FAULT_CUT) {
		pair_push(n, d, d->len ? n->fault_arg % d->len : 0);
		return;
	}
	if (hit && n->fault == FAULT_SWAP) {
		n->held = *d;
		n->held.data = xcalloc(1, d->len + 1);
		memcpy(n->held.data, d->data, d->len);
		return;
	}
	pair_push(n, d, d->len);
	if (hit && n->fault == FAULT_FLIP && d->len)
		n->queue[n->n_queue - 1].data[n->fault_arg / 8 % d->len] ^= (uint8_t)(1 << n->fault_arg % 8);
	if (hit && n->fault == FAULT_TWICE)
		pair_push(n, d, d->len);
	if (n->held.data) {
		pair_push(n, &n->held, n->held.len);
		free(n->held.data);
		n->held.data = NULL;
	}
}

static inline void pair_send(void *ctx, const struct ike_path *path, const void *data, size_t len)
{
	struct pair_peer *from = ctx;
	struct pair *n = from->net;
	unsigned me = from == &n->peer[1];
	struct pair_datagram d = {.to = !me, .data = memcpy(xcalloc(1, len + 1), data, len), .len = len};
	size_t at = n->sent++;

	d.path = (struct ike_path){path->remote, path->local, path->remote_port, path->local_port};
	if (!n->fate || n->fate(n, &d, at))
		pair_pass_on(n, &d, me, path, at);
	free(d.data);
}

static inline struct pair_child *pair_find(struct pair_peer *p, const char *id, uint32_t generation)
{
	for (size_t i = 0; i < p->n_children; i++)
		if (!strcmp(p->children[i].c.tunnel_id, id) && p->children[i].c.generation == generation)
			return &p->children[i];
	return NULL;
}

static inline int pair_install(void *ctx, const struct ike_child *c)
{
	struct pair_peer *p = ctx;
	if (p->install_rc && p->install_rc != -EINPROGRESS)
		return p->install_rc;
	if (p->n_children == PAIR_CHILDREN)
		return -ENOSPC;
	p->children[p->n_children++] = (struct pair_child){.c = *c, .there = true};
	return p->install_rc;
}

static inline void pair_ready(void *ctx, const struct ike_child *c)
{
	struct pair_peer *p = ctx;
	struct pair_child *x = pair_find(p, c->tunnel_id, c->generation);
	if (!x || !x->there) {
		p->twice++;
		return;
	}
	for (size_t i = 0; i < p->n_children; i++) /* one is used, the others are only understood */
		if (!strcmp(p->children[i].c.tunnel_id, c->tunnel_id))
			p->children[i].out = false;
	x->out = true;
}

static inline void pair_remove(void *ctx, const struct ike_child *c, const char *why)
{
	struct pair_child *x = pair_find(ctx, c->tunnel_id, c->generation);
	(void)why;
	if (!x || !x->there) {
		((struct pair_peer *)ctx)->twice++;
		return;
	}
	x->there = x->out = false;
	x->removed++;
}

static inline void pair_event(void *ctx, const struct ike_event *e)
{
	static const char *const names[] = {"P1_UP", "P1_REFRESHED", "P1_FAILED", "P1_DOWN", "P2_UP", "P2_REFRESHED", "P2_FAILED",
		"P2_DOWN", "PEER_DEAD", "PEER_MOVED", "RULE_REPLACED", "PROTOCOL_ERROR", "FLOOD"};
	struct pair_peer *p = ctx;
	size_t at = strlen(p->log);
	p->events[e->kind]++;
	(void)snprintf(p->log + at, sizeof(p->log) - at, "%s %s %s\n", names[e->kind], e->message ? e->message : "-", e->text ? e->text : "-");
}

static const struct ike_ops pair_ops = {pair_send, pair_random, pair_install, pair_ready, pair_remove, pair_event};

static inline void pair_again(struct pair *n, const struct pair_datagram *d)
{
	if (n->peer[d->to].k)
		ike_input(n->peer[d->to].k, &d->path, d->data, d->len, n->now, PAIR_WALL + n->now);
}

/* The datagram that has waited longest arrives; false: none waits. */
static inline bool pair_deliver(struct pair *n)
{
	if (!n->n_queue)
		return false;
	struct pair_datagram d = n->queue[0];
	memmove(n->queue, n->queue + 1, --n->n_queue * sizeof(d));
	pair_again(n, &d);
	free(d.data);
	return true;
}

static inline void pair_lose(struct pair *n)
{
	while (n->n_queue)
		free(n->queue[--n->n_queue].data);
}

/* Delivers what is on the wire, and lets the signers answer, until nothing moves. */
static inline void pair_run(struct pair *n)
{
	unsigned answers = 1;
	for (unsigned turns = 0; (n->n_queue || answers) && turns < 10000; turns++) {
		for (unsigned guard = 0; pair_deliver(n); guard++)
			if (guard == 100000)
				abort(); /* two ends that answer each other for ever */
		answers = 0;
		for (unsigned i = 0; i < 2; i++)
			if (n->peer[i].signer)
				answers += memory_signer_run(n->peer[i].signer);
	}
}

/* Time passes: each deadline on the way is kept. */
static inline void pair_pass(struct pair *n, uint64_t us)
{
	uint64_t end = n->now + us;
	pair_run(n);
	for (unsigned turns = 0; turns < 1000000; turns++) {
		uint64_t due = UINT64_MAX;
		for (unsigned i = 0; i < 2; i++)
			if (n->peer[i].k && ike_deadline(n->peer[i].k) < due)
				due = ike_deadline(n->peer[i].k);
		if (due > end)
			break;
		if (due > n->now)
			n->now = due;
		for (unsigned i = 0; i < 2; i++)
			if (n->peer[i].k)
				ike_tick(n->peer[i].k, n->now, PAIR_WALL + n->now);
		pair_run(n);
	}
	n->now = end;
}

/* What one side's policy says; NULL or 0: the default. */
struct pair_policy {
	const char *offers; /* whole KeyExchangeOffer statements */
	const char *initiate, *respond, *key, *local_id, *remote_id, *remote_location, *data, *pfs, *pfs_ok, *initiation, *vpn, *nat, *more_rules,
		*mine, *yours, *service;
};
#define PAIR_OFFER(enc, hash, peers, group, rest)                                                                                            \
	"KeyExchangeOffer { HowToEncrypt " enc "\n HowToAuthMsgs " hash "\n HowToAuthPeers " peers "\n DHGroup " group "\n" rest "}\n"
#define PAIR_PSK PAIR_OFFER("AES_CBC KeyLength 128", "SHA2_256", "PresharedKey", "Group19", "")
#define PAIR_RSA PAIR_OFFER("AES_CBC KeyLength 128", "SHA2_256", "RsaSignature", "Group19", "")
#define PAIR_DATA "IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_CBC KeyLength 128\n HowToAuth ESP HMAC_SHA2_256_128\n}\n"

static inline struct ipsec_policy *pair_policy(const char *me, const char *peer, const char *mine, const char *yours, const struct pair_policy *o)
{
#define OR(field, value) (o->field ? o->field : (value))
	char text[8192], mine_id[80], peer_id[80];
	struct conf *c = NULL;
	struct ipsec_policy *p = NULL;

	(void)snprintf(mine_id, sizeof(mine_id), "IpAddr %s", me);
	(void)snprintf(peer_id, sizeof(peer_id), "IpAddr %s", peer);
	int n = snprintf(text, sizeof(text),
		"IpGenericFilterAction protect { IpFilterAction IpSec }\n"
		"IpService all { %s\n Direction Bidirectional\n Routing Either }\n"
		"IpDynVpnAction vpn { Initiation %s\n InitiateWithPfs %s\n AcceptablePfs %s\n %s %s }\n"
		"IpLocalStartAction start { AllowOnDemand Yes\n LocalIpGranularity Rule\n RemoteIpGranularity Rule\n"
		" LocalSecurityEndpointAddr %s\n RemoteSecurityEndpointAddr %s }\n"
		"IpFilterPolicy { IpFilterRule nets { IpSourceAddr %s\n IpDestAddr %s\n IpServiceRef all\n IpGenericFilterActionRef protect\n"
		" IpDynVpnActionRef vpn\n IpLocalStartActionRef start } }\n"
		"KeyExchangePolicy { AllowNat %s\n NatKeepAliveInterval 20\n%s"
		"KeyExchangeRule gw { LocalSecurityEndpoint { Identity %s\n Location %s }\n"
		" RemoteSecurityEndpoint { Identity %s\n Location %s }\n"
		" KeyExchangeAction { HowToInitiate %s\n HowToRespond %s\n%s }\n SharedKey Ascii %s\n } }\n",
		OR(service, "Protocol all"), OR(initiation, "Either"), OR(pfs, "None"), OR(pfs_ok, "None"), OR(vpn, ""), OR(data, PAIR_DATA), me, peer, OR(mine, mine),
		OR(yours, yours), OR(nat, "No"), OR(more_rules, ""), OR(local_id, mine_id), me, OR(remote_id, peer_id), OR(remote_location, peer),
		OR(initiate, "Main"), OR(respond, "Either"), OR(offers, PAIR_PSK), OR(key, "both-know-it"));
	if (n < 0 || (size_t)n >= sizeof(text))
		abort();
	if (conf_parse(&ipsec_policy_spec, "f", text, strlen(text), &c) || ipsec_policy_build(c, NULL, &p)) {
		fprintf(stderr, "%s\n%s\n", c && conf_error_count(c) ? conf_error(c, 0) : "?", text);
		abort();
	}
	return p;
#undef OR
}

#define PAIR_LEFT "192.0.2.1"
#define PAIR_RIGHT "192.0.2.2"
#define PAIR_LEFT_NET "10.1.0.0/24"
#define PAIR_RIGHT_NET "10.2.0.0/24"

static inline void pair_start(struct pair_peer *p, const struct ike_limits *l)
{
	struct ike_config c = {.ops = &pair_ops, .ctx = p, .policy = p->policy, .signer = p->signer, .esn_allowed = true};
	if (l)
		c.limits = *l;
	if (ike_new(&c, p->net->now, &p->k))
		abort();
}

static inline struct pair *pair_begin(struct ipsec_policy *left, struct ipsec_policy *right, struct signer *sl, struct signer *sr)
{
	struct pair *n = xnew(struct pair);

	n->now = 1000 * PAIR_SECOND;
	n->random = 0x9e3779b97f4a7c15;
	n->nat_addr = pair_addr("192.0.2.77");
	n->nat_shift = 20000;
	for (unsigned i = 0; i < 2; i++) {
		n->peer[i].net = n;
		n->peer[i].addr = pair_addr(i ? PAIR_RIGHT : PAIR_LEFT);
		n->peer[i].signer = i ? sr : sl;
		n->peer[i].policy = i ? right : left;
		pair_start(&n->peer[i], NULL);
	}
	pair_run(n);
	return n;
}

/* With policies that stay the caller's. */
static inline struct pair *pair_new_of(struct ipsec_policy *left, struct ipsec_policy *right)
{
	struct pair *n = pair_begin(left, right, NULL, NULL);
	n->borrowed = true;
	return n;
}

static inline struct pair *pair_new(const struct pair_policy *left, const struct pair_policy *right, struct signer *sl, struct signer *sr)
{
	static const struct pair_policy none;

	return pair_begin(pair_policy(PAIR_LEFT, PAIR_RIGHT, PAIR_LEFT_NET, PAIR_RIGHT_NET, left ? left : &none),
		pair_policy(PAIR_RIGHT, PAIR_LEFT, PAIR_RIGHT_NET, PAIR_LEFT_NET, right ? right : &none), sl, sr);
}

static inline void pair_free(struct pair *n)
{
	for (unsigned i = 0; i < 2; i++) {
		ike_free(n->peer[i].k);
		if (!n->borrowed)
			ipsec_policy_free(n->peer[i].policy);
		signer_free(n->peer[i].signer);
	}
	for (size_t i = 0; i < n->n_queue; i++)
		free(n->queue[i].data);
	for (size_t i = 0; i < n->n_past; i++)
		free(n->past[i].data);
	free(n->held.data);
	free(n);
}

/* "10.1.0.0/24" as range */
static inline struct addr_range pair_range(const char *text)
{
	struct prefix p;
	struct addr_range r;
	if (prefix_parse(text, &p))
		abort();
	r.lo = r.hi = p.addr;
	for (size_t bit = p.len; bit < addr_len(&p.addr) * 8; bit++)
		r.hi.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return r;
}

static inline int pair_activate_sel(struct pair *n, unsigned who, const struct selector *sel, char id[16])
{
	struct pair_peer *p = &n->peer[who];
	struct errbuf e = {""};
	struct ike_activate a = {.rule = policy_rule_find(p->policy, "nets"), .sel = *sel, .local_endpoint = p->addr,
		.remote_endpoint = n->peer[!who].addr};
	if (who == 1 && n->nat)
		a.remote_endpoint = n->nat_addr;
	return ike_activate(p->k, &a, n->now, &e, id);
}

static inline int pair_activate(struct pair *n, unsigned who, char id[16])
{
	struct selector s = {pair_range(who ? PAIR_RIGHT_NET : PAIR_LEFT_NET), pair_range(who ? PAIR_LEFT_NET : PAIR_RIGHT_NET),
		POLICY_PROTO_ALL, 0, 0};
	return pair_activate_sel(n, who, &s, id);
}

static inline bool pair_half_equal(const struct ike_sa_half *a, const struct ike_sa_half *b)
{
	return a->spi == b->spi && a->enc_key_len == b->enc_key_len && a->auth_key_len == b->auth_key_len &&
		!memcmp(a->enc_key, b->enc_key, a->enc_key_len) && !memcmp(a->auth_key, b->auth_key, a->auth_key_len);
}

/* How many SAs carry traffic from @who to the other: outbound in use here, and the same SA inbound there. *@lost: outbound SAs in use
 * here which the other end does not have: their packets would be lost. */
static inline unsigned pair_flows(const struct pair *n, unsigned who, unsigned *lost)
{
	const struct pair_peer *a = &n->peer[who], *b = &n->peer[!who];
	unsigned good = 0;
	*lost = 0;
	for (size_t i = 0; i < a->n_children; i++) {
		bool found = false;
		if (!a->children[i].there || !a->children[i].out)
			continue;
		for (size_t j = 0; j < b->n_children; j++)
			found = found || (b->children[j].there && pair_half_equal(&a->children[i].c.out, &b->children[j].c.in) &&
						 a->children[i].c.esp == b->children[j].c.esp && a->children[i].c.auth == b->children[j].c.auth &&
						 a->children[i].c.esn == b->children[j].c.esn && a->children[i].c.tunnel == b->children[j].c.tunnel &&
						 a->children[i].c.udp == b->children[j].c.udp && a->children[i].c.bundle == b->children[j].c.bundle &&
						 pair_half_equal(&a->children[i].c.out_ah, &b->children[j].c.in_ah));
		good += found;
		*lost += !found;
	}
	return good;
}

static inline bool pair_up(const struct pair *n)
{
	unsigned lost_a, lost_b;
	return pair_flows(n, 0, &lost_a) && pair_flows(n, 1, &lost_b) && !lost_a && !lost_b;
}
