/* Program 100000, versions 2 to 4: one call, and its answer (RFC 1833). */
#include "daemons/rpcbindD/rpcbind.h"
#include "daemons/rpcbindD/xdr.h"
#include <time.h>

enum { NULLPROC, SET, UNSET, GETADDR, DUMP, CALLIT, GETTIME, UADDR2TADDR, TADDR2UADDR, GETVERSADDR, INDIRECT, GETADDRLIST, GETSTAT };
enum { TADDR_MAX = 128 };

bool rb_get_rpcb(struct rd *r, struct rpcb *ret)
{
	ret->prog = rd_u32(r);
	ret->vers = rd_u32(r);
	return xdr_get_text(r, ret->netid, sizeof(ret->netid) - 1) && xdr_get_text(r, ret->uaddr, sizeof(ret->uaddr) - 1) &&
	       xdr_get_text(r, ret->owner, sizeof(ret->owner) - 1) && rd_ok(r);
}

/* Version 2's mapping as an rpcb: any address of this host. */
static bool get_mapping(struct rd *r, struct rpcb *ret)
{
	ret->prog = rd_u32(r);
	ret->vers = rd_u32(r);
	uint32_t prot = rd_u32(r), port = rd_u32(r);
	(void)snprintf(ret->netid, sizeof(ret->netid), "%s", prot == IPPROTO_UDP ? "udp" : prot == IPPROTO_TCP ? "tcp" : "");
	(void)snprintf(ret->uaddr, sizeof(ret->uaddr), "0.0.0.0.%u.%u", port >> 8 & 255, port & 255);
	ret->owner[0] = 0;
	return rd_ok(r) && port <= 65535;
}

const char *rb_merged(const struct registration *e, const struct rb_caller *c, char out[UADDR_TEXT_MAX])
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
	if (e->netid == NETID_LOCAL || !addr_is_any(&e->addr))
		return e->uaddr;
	if (c->here.family == e->addr.family)
		return uaddr_text(&c->here, e->port, out);
	struct addr loop = e->addr.family == 4 ? addr_v4(v4) : addr_v6(v6);
	return c->local ? uaddr_text(&loop, e->port, out) : e->uaddr;
}

static struct registration *look_up(struct rpcbind *rb, unsigned version, uint32_t prog, uint32_t vers, enum netid n, bool exact)
{
	struct registration *e = n == NETID_NONE ? NULL : exact ? registry_find(rb->registry, prog, vers, n) : registry_find_any(rb->registry, prog, vers, n);
	if (e)
		e->hits[version - 2]++;
	else
		rb_stat_miss(&rb->stat[version - 2], prog, vers, n);
	return e;
}

static bool get_port(struct rpcbind *rb, struct rd *r, struct wr *out)
{
	uint32_t prog = rd_u32(r), vers = rd_u32(r), prot = rd_u32(r);
	(void)rd_u32(r);
	if (!rd_ok(r))
		return false;
	const struct registration *e = look_up(rb, 2, prog, vers, prot == IPPROTO_UDP ? NETID_UDP : prot == IPPROTO_TCP ? NETID_TCP : NETID_NONE, false);
	wr_u32(out, e ? e->port : 0);
	return true;
}

static bool get_addr(struct rpcbind *rb, const struct rb_caller *c, unsigned version, bool exact, struct rd *r, struct wr *out)
{
	struct rpcb q;
	char text[UADDR_TEXT_MAX];
	if (!rb_get_rpcb(r, &q))
		return false;
	enum netid n = c->netid;
	if (n == NETID_LOCAL && q.netid[0]) /* who asks on the local socket asks for servers of every kind */
		n = netid_parse(q.netid);
	const struct registration *e = look_up(rb, version, q.prog, q.vers, n, exact);
	xdr_put_text(out, e ? rb_merged(e, c, text) : "");
	return true;
}

static bool change(struct rpcbind *rb, struct rb_caller *c, unsigned version, bool set, struct rd *r, struct wr *out)
{
	struct rpcb q;
	if (version == 2 ? !get_mapping(r, &q) : !rb_get_rpcb(r, &q))
		return false;
	if (version == 2 && !set)
		q.netid[0] = 0; /* version 2's UNSET ignores protocol and port */
	wr_u32(out, set ? rb_set(rb, c, &q, version) : rb_unset(rb, c, &q, version));
	return true;
}

static void addr_list(struct rpcbind *rb, const struct rb_caller *c, const struct rpcb *q, struct wr *out)
{
	char text[UADDR_TEXT_MAX];
	for (unsigned i = 0; i < NETID_COUNT; i++) {
		const struct registration *e = registry_find(rb->registry, q->prog, q->vers, (enum netid)i);
		if (!e || (e->netid == NETID_LOCAL && !c->local))
			continue;
		wr_u32(out, 1);
		xdr_put_text(out, rb_merged(e, c, text));
		xdr_put_text(out, netid_text(e->netid));
		wr_u32(out, netid_is_udp(e->netid) ? 1 : e->netid == NETID_LOCAL ? 2 : 3);
		xdr_put_text(out, netid_family(e->netid) == 4 ? "inet" : netid_family(e->netid) == 6 ? "inet6" : "loopback");
		xdr_put_text(out, netid_is_udp(e->netid) ? "udp" : e->netid == NETID_LOCAL ? "-" : "tcp");
	}
	wr_u32(out, 0);
}

/* A netbuf holds a struct sockaddr of this host. */
static void uaddr_to_taddr(const struct rb_caller *c, const char *text, struct wr *out)
{
	struct addr a;
	uint16_t port;
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	enum netid n = c->netid == NETID_LOCAL ? strchr(text, ':') ? NETID_TCP6 : NETID_TCP : c->netid;
	if (uaddr_parse(n, text, &a, &port)) {
		wr_u32(out, 0);
		xdr_put_bytes(out, NULL, 0);
		return;
	}
	v4.sin_port = v6.sin6_port = htons(port);
	memcpy(a.family == 4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr, a.b, addr_len(&a));
	wr_u32(out, a.family == 4 ? sizeof(v4) : sizeof(v6));
	xdr_put_bytes(out, a.family == 4 ? (void *)&v4 : (void *)&v6, a.family == 4 ? sizeof(v4) : sizeof(v6));
}

static void taddr_to_uaddr(const uint8_t *p, size_t len, struct wr *out)
{
	char text[UADDR_TEXT_MAX] = "";
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	if (len >= sizeof(v4) && (memcpy(&v4, p, sizeof(v4)), v4.sin_family == AF_INET)) {
		struct addr a = addr_v4(&v4.sin_addr);
		(void)uaddr_text(&a, ntohs(v4.sin_port), text);
	} else if (len >= sizeof(v6) && (memcpy(&v6, p, sizeof(v6)), v6.sin6_family == AF_INET6)) {
		struct addr a = addr_v6(&v6.sin6_addr);
		(void)uaddr_text(&a, ntohs(v6.sin6_port), text);
	}
	xdr_put_text(out, text);
}

/* What versions 3 and 4 have beyond version 2; false: the arguments are garbage. */
static bool serve_more(struct rpcbind *rb, struct rb_caller *c, const struct call_head *h, struct rd *r, struct wr *out)
{
	char text[UADDR_TEXT_MAX];
	struct rpcb q;
	size_t len = 0;
	const uint8_t *p;
	switch (h->proc) {
	case GETTIME:
		wr_u32(out, (uint32_t)time(NULL));
		return true;
	case UADDR2TADDR:
		if (!xdr_get_text(r, text, UADDR_MAX))
			return false;
		uaddr_to_taddr(c, text, out);
		return true;
	case TADDR2UADDR:
		(void)rd_u32(r);
		p = xdr_get_bytes(r, TADDR_MAX, &len);
		if (!p)
			return false;
		taddr_to_uaddr(p, len, out);
		return true;
	case GETVERSADDR:
		return get_addr(rb, c, h->vers, true, r, out);
	case GETADDRLIST:
		if (!rb_get_rpcb(r, &q))
			return false;
		addr_list(rb, c, &q, out);
		return true;
	default: /* GETSTAT */
		rb_stat_write(rb, out);
		return true;
	}
}

static bool serve_one(struct rpcbind *rb, struct rb_caller *c, const struct call_head *h, struct rd *r, struct wr *out)
{
	switch (h->proc) {
	case NULLPROC:
		return true;
	case SET:
	case UNSET:
		return change(rb, c, h->vers, h->proc == SET, r, out);
	case GETADDR:
		return h->vers == 2 ? get_port(rb, r, out) : get_addr(rb, c, h->vers, false, r, out);
	case DUMP:
		c->tail = registry_dump(rb->registry, h->vers, &c->tail_len);
		if (netid_is_udp(c->netid) && !c->local && !rb->conf->dump_udp)
			c->room = CALL_REPLY_HEAD; /* a short question with a long answer, to an address that may be forged */
		return true;
	default:
		return serve_more(rb, c, h, r, out);
	}
}

static void trace(struct rpcbind *rb, const struct rb_caller *c, const struct call_head *h)
{
	char from[ADDR_TEXT_MAX];
	Rpcbind__Call m = RPCBIND__CALL__INIT;
	uint32_t held = 0;
	if (!log_limit_ok(&rb->log_trace, loop_now_ms(), 500, 1000, &held))
		return;
	m.has_version = m.has_procedure = m.has_not_shown = true;
	m.version = h->vers;
	m.procedure = h->proc;
	m.not_shown = held;
	m.netid = (char *)(uintptr_t)netid_text(c->netid);
	m.from = (char *)(uintptr_t)addr_text(&c->addr, from);
	bus_publish(rb->daemon->bus, "rpcbind.call", &m.base);
}

/* Whether the version has the procedure. */
static bool has_proc(const struct call_head *h)
{
	return h->proc <= (h->vers == 2 ? CALLIT : h->vers == 3 ? TADDR2UADDR : GETSTAT);
}

enum rb_outcome rb_serve(struct rpcbind *rb, struct rb_caller *c, const uint8_t *msg, size_t len, struct wr *out)
{
	struct call_head h = {0};
	struct rd r = rd_init(msg, len);
	enum call_verdict v = call_read(&r, &h);
	uint8_t *start = out->p;
	rb->counters.calls++;
	if (v == CALL_DROP) {
		rb->counters.malformed++;
		return RB_SILENT;
	}
	if (v != CALL_GOOD) {
		rb->counters.malformed++;
		call_reply_verdict(out, h.xid, v);
	} else if (h.prog != RPCBIND_PROG) {
		call_reply_accepted(out, h.xid, ACCEPT_PROG_UNAVAIL);
	} else if (h.vers < 2 || h.vers > 4) {
		call_reply_mismatch(out, h.xid, 2, 4);
	} else if (!has_proc(&h)) {
		call_reply_accepted(out, h.xid, ACCEPT_PROC_UNAVAIL);
	} else {
		rb->stat[h.vers - 2].info[h.proc]++;
		if (rb->trace_until_ms)
			trace(rb, c, &h);
		if (h.proc == CALLIT || h.proc == INDIRECT)
			return rb_assist(rb, c, &h, &r, out);
		call_reply_accepted(out, h.xid, ACCEPT_SUCCESS);
		if (!serve_one(rb, c, &h, &r, out)) {
			rb->counters.malformed++;
			c->tail_len = 0;
			out->p = start;
			call_reply_accepted(out, h.xid, ACCEPT_GARBAGE_ARGS);
		}
	}
	if (!wr_ok(out) || (size_t)(out->p - start) + c->tail_len > c->room) { /* over UDP: ask again over TCP */
		rb->counters.too_large++;
		c->tail_len = 0;
		out->bad = false;
		out->p = start;
		call_reply_accepted(out, h.xid, ACCEPT_SYSTEM_ERR);
	}
	return RB_REPLY;
}
