/* nest: a tunnel inside a tunnel, both ends of both being this stack and its peers (RFC 4301 sections 4.4.1 and 5.2: each header in turn).
 *
 * A rule that names ESP or AH as its protocol and says ipsec means protected packets: what a first tunnel makes of a packet goes through
 * the tunnel of that rule before it is sent, and what comes out of that tunnel and is ESP or AH for us is opened again. Two layers and
 * no more, so that no policy can make a packet grow without end and no peer can make us open one for ever. Without such a rule nothing
 * here is ever asked. */
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/worker.h"

static bool asked_for(const struct worker *w, uint8_t family)
{
	return filter_nests(w->stack->filters) && (family == 4 ? w->stack->ipsecurity4 : w->stack->ipsecurity6);
}

static struct pkt shape(uint8_t proto, const struct addr *src, const struct addr *dst, bool inbound)
{
	return (struct pkt){.family = dst->family, .proto = proto, .opaque = proto == IP_ESP, .src = *src, .dst = *dst, .scope = PKT_LOCAL,
		.inbound = inbound};
}

static uint8_t secclass_towards(const struct worker *w, const struct addr *dst)
{
	const struct fib_route *r = fib_route(w->fib, fib_lookup(w->fib, dst));

	return r->kind == FIB_LINK || r->kind == FIB_GATEWAY ? w->stack->links[r->link].secclass : 0;
}

bool nest_over(struct worker *w, struct pkt *p, const struct sa *sa)
{
	const struct sa_path *path = sa_outside(sa);
	struct filter_verdict v;

	p->over = NULL;
	if (!asked_for(w, path->dst.family) || path->udp || !path->src.family || !path->dst.family)
		return true;
	struct pkt q = shape(sa->over ? sa->over->proto : sa->proto, &path->src, &path->dst, false);
	q.secclass = secclass_towards(w, &path->dst);
	filter_check(w->filter, &q, &v);
	if (filter_rule_spec(v.rule)->action != FILTER_IPSEC || v.sa == sa)
		return true;
	p->over = v.sa;
	if (!v.drop && v.action == FILTER_HOLD)
		hold_packet(w, p, &q, v.rule);
	else if (!v.sa) /* it must not leave without */
		pipe_drop(w, p, v.drop ? v.drop : DROP_FILTER_NO_TUNNEL);
	return v.sa;
}

void nest_out(struct worker *w, struct pkt **pkts, unsigned n)
{
	struct pkt *again[PKT_BATCH];
	struct sa *over[PKT_BATCH];
	unsigned m = 0;

	for (unsigned i = 0; i < n; i++) {
		if (pkts[i]->drop || !pkts[i]->over)
			continue;
		again[m] = pkts[i];
		over[m++] = pkts[i]->over;
	}
	if (!m)
		return;
	ipsec_out(w->ipsec, again, over, m);
	tap_protected(&w->tap, again, over, m);
	count_add(&w->pass[PASS_NESTED], m);
}

bool nest_in(struct worker *w, struct pkt *p, bool *ret_open)
{
	if (!ip_is_sealed(p->proto) || p->fragment || !asked_for(w, p->family) || !pipe_is_ours(w, &p->dst))
		return false;
	p->scope = PKT_LOCAL;
	if (p->nested)
		p->drop = DROP_ESP_NESTED;
	else if (pipe_is_ours(w, &p->src))
		p->drop = DROP_IP_SPOOFED;
	else
		(void)pipe_filter_in(w, p);
	*ret_open = !p->drop;
	if (p->drop)
		pipe_drop(w, p, p->drop);
	else
		p->nested = true;
	return true;
}

bool nest_missing(struct worker *w, const struct pkt *p, const struct nest_outside *o)
{
	struct filter_verdict v;

	if (p->nested || !ip_is_sealed(o->proto) || !asked_for(w, o->dst.family))
		return false;
	struct pkt q = shape(o->proto, &o->src, &o->dst, true);
	q.secclass = p->secclass;
	q.sa_in = p->sa_in;
	filter_check(w->filter, &q, &v);
	return v.action == FILTER_DENY && filter_rule_spec(v.rule)->action == FILTER_IPSEC;
}
