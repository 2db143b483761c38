/* pipe: the way of a packet in clear to the decision where it goes.
 *
 *   sort.c: in clear, or opened -> inbound filter -> route: host, stack itself, or out (out.c)
 *
 * The filter sees each packet once on its way in and once on its way out; packets between the host's programs and the wire
 * are local and only out or in. A packet that came through a tunnel is the inner one for filters (RFC 4301 section 5.2, which
 * filter_check enforces). Neighbour discovery is part of the link and is not filtered, as ARP is not. */
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/icmp.h"
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ipsec/pmtu.h"
#include "daemons/stack-core/worker.h"
#include <string.h>

void pipe_drop(struct worker *w, struct pkt *p, unsigned reason)
{
	count_add(&w->drops[reason], cut_packets(p));
	tap_drop(&w->tap, p, reason);
	ids_discarded(w->ids, p);
	pkt_free(w->pool, p);
}

/* A bare TCP segment back to who sent @q, by the way it came: a flood of invented sources must not make us look for their addresses. */
static void tcp_answer(struct worker *w, const struct pkt *q, const struct ids_answer *a)
{
	struct pkt *p = pkt_alloc(w->pool);
	uint32_t header = q->family == 4 ? IP4_HEADER : IP6_HEADER;

	if (!p) {
		count_add(&w->drops[DROP_LINK_NO_BUFFER], 1);
		return;
	}
	uint8_t *h = pkt_data(p), *t = h + header;
	memset(t, 0, 20);
	ip_put16(t, q->dport);
	ip_put16(t + 2, q->sport);
	ip_put32(t + 4, a->seq);
	ip_put32(t + 8, a->ack);
	t[12] = 0x50;
	t[13] = a->flags;
	ip_put16(t + 14, 0xffff);
	uint16_t sum = csum_fold(csum_add(csum_pseudo(&q->dst, &q->src, IP_TCP, 20), t, 20));
	memcpy(t + 16, &sum, 2);
	p->len = header + 20;
	if (q->family == 4)
		ip4_write(h, &q->dst, &q->src, IP_TCP, 64, 0, p->len, 0, true);
	else
		ip6_write(h, &q->dst, &q->src, IP_TCP, 64, 0, 20);
	p->in_link = p->out_link = q->in_link;
	memcpy(p->mac, q->mac, 6);
	if (!ip_parse(p))
		pipe_drop(w, p, p->drop);
	else if (w->stack->links[q->in_link].ethernet && !q->sa_in)
		out_send(w, p);
	else
		pipe_route(w, p);
}

/* By RFC 3704: the way back to the source is by this link (strict), or there is one at all (loose). What came through a tunnel was
 * measured by its selectors. */
static bool way_back(const struct worker *w, const struct pkt *p, const struct fib_route *back)
{
	enum link_urpf how = w->stack->links[p->in_link].urpf;

	if (how == LINK_URPF_OFF || p->sa_in || ip_is_link_local(&p->src) || ip_is_unspecified(&p->src))
		return true;
	return back->kind != FIB_NONE && (how == LINK_URPF_LOOSE || back->link == p->in_link);
}

static bool is_redirect(const struct pkt *p)
{
	return !p->opaque && (p->family == 4 ? p->proto == IPPROTO_IP_ICMP && p->icmp_type == 5 : p->proto == IP_ICMP6 && p->icmp_type == 137);
}

static uint8_t kind_of(const struct worker *w, const struct addr *a)
{
	return fib_route(w->fib, fib_lookup(w->fib, a))->kind;
}

static bool is_home(uint8_t kind)
{
	return kind == FIB_LOCAL || kind == FIB_HOST;
}

bool pipe_is_ours(const struct worker *w, const struct addr *a)
{
	return is_home(kind_of(w, a));
}

/* An address of ours to answer from: of the link the packet came in on, or of any NIC when the host's programs are answered (the
 * TUN's own address would be the host's, and so is a NIC's that the TUN has too: a host believes no packet that claims to be
 * from itself. Then the answer comes in the name of where the packet was going). */
static const struct addr *own_address(const struct worker *w, const struct pkt *bad)
{
	const struct stack *s = w->stack;
	const struct link *l = &s->links[bad->in_link];
	const struct addr *a;

	if (l->type != LINK_TUN || bad->sa_in)
		return link_source(l, bad->family);
	for (unsigned i = 0; i < s->n_links; i++)
		if (s->links[i].type != LINK_TUN && (a = link_source(&s->links[i], bad->family)) && !ip_is_link_local6(a) &&
			kind_of(w, a) != FIB_HOST)
			return a;
	return ip_is_multicast(&bad->dst) || is_home(kind_of(w, &bad->dst)) ? NULL : &bad->dst;
}

/* Path MTU must reach the sender whatever the filters say, or his connections stall (RFC 4301 section 8.2): about a packet that came
 * in clear and was permitted, an answer in clear tells nothing new. Other errors are filtered like any packet. */
void pipe_error(struct worker *w, const struct pkt *bad, enum icmp_why why, uint32_t mtu)
{
	if (!icmp_error_allowed(bad))
		return;
	const struct addr *src = own_address(w, bad);
	if (!src) {
		count_add(&w->drops[DROP_ICMP_NO_SOURCE], 1);
		return;
	}
	unsigned limited = icmp_limit(&w->icmp, &bad->src, w->now_ms);
	if (limited) {
		count_add(&w->drops[limited], 1);
		return;
	}
	struct pkt *p = icmp_error(w->pool, bad, src, why, mtu);
	if (!p) {
		count_add(&w->drops[DROP_LINK_NO_BUFFER], 1);
		return;
	}
	p->unfiltered = why == ICMP_TOO_BIG && !bad->sa_in;
	p->about_sa = bad->sa_in;
	p->about_scope = bad->scope;
	count_add(&w->pass[PASS_ICMP_ERROR], 1);
	pipe_route(w, p);
}

static void link_local_out(struct worker *w, struct pkt *p)
{
	p->nexthop = 0;
	p->out_link = p->in_link;
	p->next_hop = p->dst;
	if (w->stack->links[p->in_link].ethernet)
		out_decide(w, p);
	else
		pipe_drop(w, p, DROP_IP_LINK_LOCAL);
}

void pipe_route(struct worker *w, struct pkt *p)
{
	p->scope = PKT_LOCAL;
	if (ip_is_link_local6(&p->dst)) {
		link_local_out(w, p);
		return;
	}
	p->nexthop = fib_lookup(w->fib, &p->dst);
	switch (fib_route(w->fib, p->nexthop)->kind) {
	case FIB_LINK:
	case FIB_GATEWAY:
		out_decide(w, p);
		break;
	case FIB_HOST:
		out_host(w, p);
		break;
	default:
		pipe_drop(w, p, DROP_IP_NO_ROUTE);
	}
}

/* For an address of the stack itself. */
static void local_in(struct worker *w, struct pkt *p)
{
	count_add(&w->pass[PASS_LOCAL], 1);
	cut_checksum(p);
	if (icmp_is_echo(p)) {
		if (p->l2_group || ip_is_multicast(&p->dst)) {
			pipe_drop(w, p, DROP_IP_ICMP_IGNORED);
		} else if (!icmp_echo(p)) {
			pipe_drop(w, p, p->drop);
		} else {
			count_add(&w->pass[PASS_ECHO], 1);
			pipe_route(w, p);
		}
		return;
	}
	if (p->proto == (p->family == 4 ? IPPROTO_IP_ICMP : IP_ICMP6)) {
		pipe_drop(w, p, DROP_IP_ICMP_IGNORED);
		return;
	}
	ids_closed(w->ids, p);
	pipe_error(w, p, p->proto == IP_UDP || p->proto == IP_TCP ? ICMP_PORT : ICMP_PROTO, 0);
	pipe_drop(w, p, DROP_IP_UNREACHABLE);
}

/* TTL and hop limit, one less; false when used up. */
static bool age(struct pkt *p)
{
	uint8_t *h = pkt_data(p);

	if (p->family == 6)
		return h[7] > 1 && h[7]--;
	if (h[8] <= 1)
		return false;
	uint16_t from, to;
	memcpy(&from, h + 8, 2);
	h[8]--;
	memcpy(&to, h + 8, 2);
	csum_update(h + 10, from, to);
	return true;
}

static void transit(struct worker *w, struct pkt *p, bool from_host)
{
	if (ip_is_multicast(&p->dst) || p->l2_group) {
		pipe_drop(w, p, DROP_IP_MULTICAST);
		return;
	}
	if (ip_is_link_local(&p->src) || ip_is_link_local(&p->dst)) {
		pipe_drop(w, p, DROP_IP_LINK_LOCAL);
		return;
	}
	if (ip_is_unspecified(&p->src)) {
		pipe_drop(w, p, DROP_IP_SOURCE);
		return;
	}
	if (fib_route(w->fib, p->nexthop)->link == p->in_link && w->stack->links[p->in_link].type == LINK_TUN && !p->sa_in) {
		pipe_drop(w, p, DROP_IP_LOOP); /* the host would only send it back */
		return;
	}
	if (!from_host) {
		if (!w->stack->forwarding) {
			pipe_drop(w, p, DROP_IP_FORWARD_OFF);
			return;
		}
		if (!age(p)) {
			pipe_error(w, p, ICMP_TTL, 0);
			pipe_drop(w, p, DROP_IP_TTL);
			return;
		}
		count_add(&w->pass[PASS_FORWARD], 1);
	}
	out_decide(w, p);
}

bool pipe_filter_in(struct worker *w, struct pkt *p)
{
	struct filter_verdict v;

	if (p->family == 4 ? !w->stack->ipsecurity4 : !w->stack->ipsecurity6)
		return true;
	p->inbound = true;
	filter_check(w->filter, p, &v);
	tap_verdict(&w->tap, TAP_FILTER_IN, p, &v);
	count_add(&w->pass[PASS_IN_PERMIT], !p->drop);
	count_add(&w->pass[PASS_ICMP_RETURNED], v.returned);
	if (p->drop && filter_tells(&v, p))
		pipe_error(w, p, ICMP_PROHIBITED, 0);
	return !p->drop;
}

/* What came from outside: the filter, then whether it is a probe or part of a flood. */
static bool admitted(struct worker *w, struct pkt *p, bool home)
{
	struct ids_answer answer;

	if (!pipe_filter_in(w, p)) {
		ids_filtered(w->ids, p);
		return false;
	}
	bool pass = ids_session_in(w->ids, p, home, &answer);
	if (answer.send)
		tcp_answer(w, p, &answer);
	return pass;
}

/* What a router says about the path of a tunnel is for us alone, and no filter's business: pmtu.h has its own, stricter checks.
 * False: it is about something else. */
static bool about_tunnel(struct worker *w, struct pkt *p)
{
	static const uint16_t why[] = {[PMTU_STRANGER] = DROP_PMTU_STRANGER, [PMTU_IMPLAUSIBLE] = DROP_PMTU_IMPLAUSIBLE};

	if (p->sa_in || !(p->family == 4 ? w->stack->path_mtu4 : w->stack->path_mtu6))
		return false;
	enum pmtu_heard heard = pmtu_hear(w->stack->sadb, p, w->now_ms);
	if (heard == PMTU_FOREIGN)
		return false;
	if (heard == PMTU_STRANGER || heard == PMTU_IMPLAUSIBLE) {
		pipe_drop(w, p, why[heard]);
		return true;
	}
	count_add(&w->pass[PASS_PMTU], 1);
	pkt_free(w->pool, p);
	return true;
}

void pipe_clear(struct worker *w, struct pkt *p)
{
	const struct fib_route *r = fib_route(w->fib, p->nexthop), *back = fib_route(w->fib, fib_lookup(w->fib, &p->src));
	bool to_home = is_home(r->kind), src_home = is_home(back->kind);
	bool from_host = w->stack->links[p->in_link].type == LINK_TUN && src_home && !p->sa_in;

	if (src_home && !from_host) {
		pipe_drop(w, p, DROP_IP_SPOOFED);
		return;
	}
	if (back->kind == FIB_BROADCAST || (to_home && !from_host && is_redirect(p))) {
		pipe_drop(w, p, back->kind == FIB_BROADCAST ? DROP_IP_SOURCE : DROP_IP_REDIRECT);
		return;
	}
	if (to_home && !from_host && about_tunnel(w, p))
		return;
	p->scope = to_home || from_host ? PKT_LOCAL : PKT_ROUTED;
	if (ip_is_link_local6(&p->dst) && link_owns(&w->stack->links[p->in_link], &p->dst)) {
		p->scope = PKT_LOCAL;
		if (pipe_filter_in(w, p))
			local_in(w, p);
		else
			pipe_drop(w, p, p->drop);
		return;
	}
	if (!from_host && !admitted(w, p, to_home || r->kind == FIB_BROADCAST)) {
		pipe_drop(w, p, p->drop);
		return;
	}
	if (!way_back(w, p, back)) { /* intrusion detection has seen it: floods come from such */
		pipe_drop(w, p, DROP_IP_REVERSE_PATH);
		return;
	}
	if (from_host)
		ids_session_out(w->ids, p);
	if (w->route_packets)
		count_add(&w->route_packets[p->nexthop], 1);
	tap_route(&w->tap, p, r->kind);
	switch (r->kind) {
	case FIB_LOCAL:
		local_in(w, p);
		break;
	case FIB_HOST:
		out_host(w, p);
		break;
	case FIB_LINK:
	case FIB_GATEWAY:
		transit(w, p, from_host);
		break;
	case FIB_BROADCAST:
		pipe_drop(w, p, DROP_IP_MULTICAST);
		break;
	default:
		if (ip_is_multicast(&p->dst) || p->l2_group) {
			pipe_drop(w, p, DROP_IP_MULTICAST);
			break;
		}
		if (ip_is_link_local6(&p->dst)) {
			pipe_drop(w, p, DROP_IP_LINK_LOCAL);
			break;
		}
		pipe_error(w, p, ICMP_NO_ROUTE, 0);
		pipe_drop(w, p, DROP_IP_NO_ROUTE);
	}
}
