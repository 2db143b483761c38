/* tunnels_events: what happens to dynamic tunnels, told to ikeD: a packet wants one, a limit is reached, the first packet came, the
 * peer is elsewhere, a packet came by an SPI that nobody knows. Strangers cause some of these: those are limited, and
 * what was left out is counted in the next. Audit: 77 a tunnel was added, 78 removed. */
#include "daemons/stack-core/core.h"
#include "lib/log/log.h"
#include "proto/stack.pb-c.h"

enum { WANTS_SECOND = 1000, UNKNOWN_SECOND = 10, SMF_TUNNEL_ADDED = 77, SMF_TUNNEL_REMOVED = 78 };

#define SET(m, field, value)                                                                                  \
	do {                                                                                                  \
		(m).has_##field = true;                                                                       \
		(m).field = (value);                                                                          \
	} while (0)

static bool may_tell(struct token_bucket *b, unsigned per_second)
{
	uint64_t now = loop_now_ms(), gained = (now - b->at_ms) * per_second / 1000;

	if (gained) {
		b->at_ms = now;
		b->tokens = gained + b->tokens > per_second ? per_second : b->tokens + (unsigned)gained;
	}
	if (b->tokens) {
		b->tokens--;
		return true;
	}
	b->suppressed++;
	return false;
}

void tunnels_want(void *arg, const struct hold_want *want)
{
	struct core *k = arg;
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
	Stack__Acquire m = STACK__ACQUIRE__INIT;

	if (filter_dynamic_coming(k->stack->filters, &want->src, &want->dst, want->proto) || !may_tell(&k->wants, WANTS_SECOND))
		return;
	m.rule = (char *)want->rule;
	m.vpn_action = (char *)want->vpn;
	m.source = (char *)addr_text(&want->src, src);
	m.destination = (char *)addr_text(&want->dst, dst);
	SET(m, protocol, want->proto);
	if (want->ports) {
		SET(m, source_port, want->sport);
		SET(m, dest_port, want->dport);
	}
	SET(m, held, want->held);
	SET(m, suppressed, k->wants.suppressed + want->suppressed);
	k->wants.suppressed = 0;
	bus_publish(k->daemon->bus, "stack.acquire", &m.base);
}

static void tell(struct core *k, const char *topic, const struct tunnel *t, const struct generation *g, const char *why,
	const struct ipsec_notice *from)
{
	Stack__TunnelEvent m = STACK__TUNNEL_EVENT__INIT;
	char remote[ADDR_TEXT_MAX];

	m.tunnel_id = (char *)t->id;
	SET(m, generation, g->number);
	m.why = (char *)why;
	if (from) {
		m.remote = (char *)addr_text(&from->remote, remote);
		SET(m, remote_port, from->port);
	}
	bus_publish(k->daemon->bus, topic, &m.base);
}

static void unknown(struct core *k, const struct ipsec_notice *n)
{
	Stack__UnknownSpi m = STACK__UNKNOWN_SPI__INIT;
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];

	if (!may_tell(&k->unknown, UNKNOWN_SECOND))
		return;
	m.local = (char *)addr_text(&n->local, local);
	m.remote = (char *)addr_text(&n->remote, remote);
	SET(m, spi, n->spi);
	SET(m, protocol, n->proto == SA_AH ? 2 : 3);
	SET(m, suppressed, k->unknown.suppressed);
	if (n->udp) {
		SET(m, udp, true);
		SET(m, remote_port, n->port);
	}
	k->unknown.suppressed = 0;
	bus_publish(k->daemon->bus, "stack.spi.unknown", &m.base);
}

void tunnels_notice(void *arg, const struct ipsec_notice *n)
{
	struct core *k = arg;

	if (n->kind == NOTICE_UNKNOWN_SPI) {
		unknown(k, n);
		return;
	}
	/* The tunnel may be another one by now: its inbound SPI says so. */
	struct tunnel *t = sadb_tunnel(k->stack->sadb, n->tunnel);
	struct generation *g = t ? t->gens : NULL;
	while (g && g->in->spi != n->spi)
		g = g->older;
	if (!g)
		return;
	if (n->kind == NOTICE_TRAFFIC) {
		tell(k, "stack.tunnel.traffic", t, g, NULL, NULL);
		return;
	}
	const struct sa_path *in = sa_outside(g->in);
	bool told = addr_equal(&g->moved, &n->remote) && g->moved_port == n->port;
	if (told || (in->sport == n->port && addr_equal(&in->src, &n->remote)))
		return;
	g->moved = n->remote;
	g->moved_port = n->port;
	tell(k, "stack.tunnel.moved", t, g, "authenticated packet from another address or port", n);
}

static void limit(void *arg, struct tunnel *t, struct generation *g, enum dynamic_limit what, const char *why)
{
	struct core *k = arg;

	if (what == DYNAMIC_HARD)
		log_notice("tunnel expired", "tunnel", t->id, "generation", log_u64(g->number), "why", why);
	tell(k, what == DYNAMIC_HARD ? "stack.tunnel.hard" : "stack.tunnel.soft", t, g, why, NULL);
}

void tunnels_second(struct core *k)
{
	dynamic_lifetimes(k->stack->sadb, loop_now_ms(), limit, k);
}

void tunnels_audit(struct core *k, const struct tunnel *t, const struct generation *g, bool added, const char *why)
{
	struct json *j = audit_begin(k->daemon->audit, AUDIT_TCPIP, added ? SMF_TUNNEL_ADDED : SMF_TUNNEL_REMOVED, 0);
	const struct sa_path *path = sa_outside(g->out);
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
	struct sa_counters in, out;

	sa_sum(g->in, &in);
	sa_sum(g->out, &out);
	json_kv_str(j, "stack", k->stack->name);
	json_kv_str(j, "tunnel", t->id);
	json_kv_u64(j, "generation", g->number);
	json_kv_str(j, "rule", t->name);
	json_kv_str(j, "local", addr_text(&path->src, local));
	json_kv_str(j, "remote", addr_text(&path->dst, remote));
	json_kv_u64(j, "inbound_spi", g->in->spi);
	json_kv_u64(j, "outbound_spi", g->out->spi);
	if (g->in->over) {
		json_kv_u64(j, "inbound_ah_spi", g->in->over->spi);
		json_kv_u64(j, "outbound_ah_spi", g->out->over->spi);
	}
	json_kv_str(j, "protocol", g->in->over ? "AH+ESP" : g->in->proto == SA_AH ? "AH" : "ESP");
	json_kv_str(j, "encryption", sa_cipher_text(g->in));
	json_kv_str(j, "authentication", sa_auth_text(g->in->over ? g->in->over : g->in));
	json_kv_bool(j, "udp", path->udp);
	if (!added) {
		json_kv_str(j, "why", why);
		json_kv_u64(j, "inbound_bytes", atomic_load(&in.bytes));
		json_kv_u64(j, "outbound_bytes", atomic_load(&out.bytes));
	}
	(void)audit_commit(k->daemon->audit);
}
