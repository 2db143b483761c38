/* returned: ICMP errors and tunnels (RFC 4301 section 6.2).
 *
 * A router behind the peer that cannot pass a packet on tells its sender, and it is none of the hosts that the tunnel was made for. Its
 * message goes the way that the answer to the packet would have gone, and may when the packet in it, source and destination
 * reversed, is one that the tunnel carries. What is asked first is the message as such:
 *
 *   a rule for ICMP decides: what it says counts, as the RFC's convention has it (the operator wanted errors without inspection, or none);
 *   another rule protects it, and it came through that tunnel: the packet in it has to fit, too, unless the operator says no;
 *   no rule permits it, or one in clear where it has to do with a tunnel: the packet in it decides.
 *
 * Between a router on our side and the tunnel a message is in clear; it is let in when its answer would be, and then goes out by
 * a tunnel or not at all. Defensive filters count always. Nobody negotiates a tunnel for an error. */
#include "daemons/stack-core/ip/quote.h"
#include "daemons/stack-core/filter/set.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/parse.h"

struct answer {
	struct pkt p; /* the returned packet, reversed */
	struct found f;
	struct filter_verdict v;
};

void filter_set_returned(struct filter_set *fs, bool v4, bool v6)
{
	atomic_store_explicit(&fs->trusts_icmp4, !v4, memory_order_relaxed);
	atomic_store_explicit(&fs->trusts_icmp6, !v6, memory_order_relaxed);
}

/* The operator meant ICMP when he wrote it. */
static bool names_icmp(const struct filter_rule *r)
{
	for (; r; r = r->anchor)
		if (r->spec.proto == IPPROTO_IP_ICMP || r->spec.proto == IP_ICMP6)
			return true;
	return false;
}

static bool is_final(const struct filter_rule *r)
{
	return r->kind == FILTER_DEFENSIVE || (r->spec.action == FILTER_DENY && names_icmp(r));
}

static bool trusts(const struct filter_set *fs, const struct pkt *p)
{
	return atomic_load_explicit(p->family == 4 ? &fs->trusts_icmp4 : &fs->trusts_icmp6, memory_order_relaxed);
}

static enum filter_msg refuse(struct pkt *p, struct filter_verdict *v, enum drop_reason why)
{
	v->action = FILTER_DENY;
	v->sa = NULL;
	v->tunnel = UINT32_MAX;
	v->drop = p->drop = (uint16_t)why;
	return FILTER_MSG_MISMATCH;
}

/* False: what is in @p is no packet. */
static bool ask(struct filter_worker *w, const struct pkt *p, struct answer *a)
{
	if (!quote_reversed(p, &a->p))
		return false;
	if (!p->inbound && p->about_scope)
		a->p.scope = p->about_scope;
	a->f = (struct found){0};
	a->v = (struct filter_verdict){.action = FILTER_DENY, .tunnel = UINT32_MAX};
	filter_look_up(w, &a->p, &a->f, &a->v.cached);
	(void)filter_apply(w, a->f.rule, &a->p, &a->v);
	return true;
}

static enum filter_msg adopt(struct pkt *p, const struct answer *a, struct found *f, struct filter_verdict *v)
{
	const struct filter_rule *simulated = v->simulated;

	*v = a->v;
	v->simulated = simulated;
	v->returned = true;
	*f = a->f;
	p->drop = 0;
	p->vouched |= p->inbound;
	return FILTER_MSG_PERMITTED;
}

static enum filter_msg opened(struct filter_worker *w, struct pkt *p, struct found *f, struct filter_verdict *v, enum filter_msg msg)
{
	bool denied = v->action == FILTER_DENY;
	struct answer a;

	if (!denied && (names_icmp(f->rule) || trusts(w->set, p)))
		return msg;
	if (!ask(w, p, &a))
		return refuse(p, v, DROP_FILTER_ICMP_QUOTE);
	if (a.v.action != FILTER_IPSEC)
		return refuse(p, v, DROP_FILTER_ICMP_RETURNED);
	return denied ? adopt(p, &a, f, v) : msg;
}

static enum filter_msg inbound(struct filter_worker *w, struct pkt *p, struct found *f, struct filter_verdict *v, enum filter_msg msg)
{
	struct answer a;

	if (v->action == FILTER_DENY && is_final(f->rule))
		return msg;
	if (p->sa_in)
		return opened(w, p, f, v, msg);
	if (v->action != FILTER_DENY || p->scope != PKT_ROUTED || !ask(w, p, &a) || a.v.action != FILTER_PERMIT)
		return msg;
	return adopt(p, &a, f, v);
}

static enum filter_msg outbound(struct filter_worker *w, struct pkt *p, struct found *f, struct filter_verdict *v, enum filter_msg msg)
{
	bool denied = v->action == FILTER_DENY, only_tunnel = p->vouched && !p->sa_in;
	struct answer a;

	if (v->action == FILTER_IPSEC || (denied && is_final(f->rule)))
		return msg;
	if (!denied && names_icmp(f->rule) && !p->about_sa && !only_tunnel)
		return msg;
	if (!ask(w, p, &a))
		return only_tunnel ? refuse(p, v, DROP_FILTER_ICMP_QUOTE) : msg;
	if (a.v.action == FILTER_IPSEC || (denied && a.v.action == FILTER_PERMIT && p->sa_in))
		return adopt(p, &a, f, v);
	if (only_tunnel || (a.f.rule->spec.action == FILTER_IPSEC && !denied)) /* its tunnel is not there: not in clear */
		return refuse(p, v, a.v.action == FILTER_HOLD ? DROP_FILTER_NO_TUNNEL : a.v.drop ? a.v.drop : DROP_FILTER_ICMP_RETURNED);
	return msg;
}

enum filter_msg filter_returned(struct filter_worker *w, struct pkt *p, struct found *f, struct filter_verdict *v, enum filter_msg msg)
{
	if (v->action == FILTER_HOLD)
		return msg;
	return p->inbound ? inbound(w, p, f, v, msg) : outbound(w, p, f, v, msg);
}
