/* out: the way of a packet from the route to the link.
 *
 *   outbound filter -> fits the link or the tunnel? cut or refuse -> ESP/AH -> route of the outer packet -> link address -> send
 *
 * The protected packet is not filtered again: its rule permitted it. Packets that wait for a link address are few and for a short
 * time; what is more is dropped and counted. */
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/gro.h"
#include "daemons/stack-core/ip/icmp.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ip/uso.h"
#include "daemons/stack-core/ipsec/pmtu.h"
#include "daemons/stack-core/worker.h"
#include <string.h>

static void transmit(struct worker *w, uint16_t link)
{
	struct txq *q = &w->tx[link];

	if (!q->n)
		return;
	link_tx(&w->stack->links[link], w->index, q->pkts, q->n);
	for (unsigned i = 0; i < q->n; i++) {
		if (q->pkts[i]->drop) {
			count_add(&w->drops[q->pkts[i]->drop], cut_packets(q->pkts[i]));
			tap_drop(&w->tap, q->pkts[i], q->pkts[i]->drop);
		} else {
			count_add(&w->pass[PASS_TX], 1);
		}
		pkt_free(w->pool, q->pkts[i]);
	}
	q->n = 0;
}

void out_send(struct worker *w, struct pkt *p)
{
	struct txq *q = &w->tx[p->out_link];

	tap_stage(&w->tap, TAP_LINK_TX, p);
	q->pkts[q->n++] = p;
	if (q->n == PKT_BATCH)
		transmit(w, p->out_link);
}

static bool waiting_for(const struct worker *w, const struct pkt *p, unsigned *ret_n)
{
	unsigned n = 0;

	for (const struct pkt *o = w->pending; o; o = o->next)
		n += o->out_link == p->out_link && addr_equal(&o->next_hop, &p->next_hop);
	*ret_n = n;
	return n;
}

static void wait_for(struct worker *w, struct pkt *p)
{
	unsigned n;
	bool large = p->size != PKT_SMALL;

	if (!waiting_for(w, p, &n)) {
		struct ring_msg m = {.type = RING_WANT, .link = p->out_link, .addr = p->next_hop};
		if (!worker_post(w, &m)) {
			pipe_drop(w, p, DROP_NEIGH_RING);
			return;
		}
	}
	if (n >= WORKER_PENDING_HOP || w->n_pending >= WORKER_PENDING_MAX || (large && w->n_pending_large >= WORKER_PENDING_LARGE)) {
		pipe_drop(w, p, DROP_NEIGH_QUEUE);
		return;
	}
	count_add(&w->pass[PASS_NEIGH_WAIT], 1);
	p->since_ms = w->now_ms;
	p->next = NULL;
	*w->pending_tail = p;
	w->pending_tail = &p->next;
	w->n_pending++;
	w->n_pending_large += large;
}

/* Next hop's link address, then the link. */
static void resolve(struct worker *w, struct pkt *p)
{
	bool failed;

	if (!w->stack->links[p->out_link].ethernet || neigh_lookup(w->stack->neigh, p->out_link, &p->next_hop, p->mac, &failed)) {
		p->ethertype = 0;
		out_send(w, p);
	} else if (failed) {
		if (!p->sa_in && !p->sealed && !ip_is_sealed(p->proto))
			pipe_error(w, p, ICMP_HOST_DOWN, 0);
		pipe_drop(w, p, DROP_NEIGH_TIMEOUT);
	} else {
		wait_for(w, p);
	}
}

void out_pending(struct worker *w)
{
	struct pkt *list = w->pending;
	uint8_t mac[6];
	bool failed;

	w->pending = NULL;
	w->pending_tail = &w->pending;
	w->n_pending = w->n_pending_large = 0;
	while (list) {
		struct pkt *p = list;
		list = p->next;
		bool known = neigh_lookup(w->stack->neigh, p->out_link, &p->next_hop, mac, &failed);
		if (known || failed || w->now_ms >= p->since_ms + WORKER_PENDING_MS) {
			if (!known && !failed)
				pipe_drop(w, p, DROP_NEIGH_TIMEOUT);
			else
				resolve(w, p);
			continue;
		}
		p->next = NULL;
		*w->pending_tail = p;
		w->pending_tail = &p->next;
		w->n_pending++;
		w->n_pending_large += p->size != PKT_SMALL;
	}
}

static void hop(const struct fib_route *r, struct pkt *p)
{
	p->out_link = r->link;
	p->next_hop = r->kind == FIB_GATEWAY ? r->gateway : p->dst;
}

static uint32_t mtu_of(const struct worker *w, const struct fib_route *r, uint16_t link)
{
	uint32_t mtu = w->stack->links[link].mtu;
	return r->mtu && r->mtu < mtu ? r->mtu : mtu;
}

static void outer_piece(void *arg, struct pkt *p)
{
	resolve(arg, p);
}

/* A protected packet finds its own way. True: it has one, and fits. */
static bool outer(struct worker *w, struct pkt *p)
{
	const struct fib_route *r = fib_route(w->fib, fib_lookup(w->fib, &p->dst));

	if (p->drop) {
		pipe_drop(w, p, p->drop);
		return false;
	}
	count_add(&w->pass[PASS_ENCAP], 1);
	if (r->kind != FIB_LINK && r->kind != FIB_GATEWAY) {
		pipe_drop(w, p, r->kind == FIB_NONE ? DROP_IP_NO_ROUTE : DROP_IP_LOOP);
		return false;
	}
	hop(r, p);
	uint32_t mtu = mtu_of(w, r, p->out_link), len = p->gso_size ? p->l4_off + 8u + p->gso_size : p->len;
	if (len <= mtu)
		return true;
	if (p->gso_size || p->family == 6 || (pkt_data(p)[6] & 0x40) || !cut_fragments4(w->pool, p, mtu, outer_piece, w))
		pipe_drop(w, p, p->drop ? p->drop : DROP_IP_TOO_BIG);
	else
		pkt_free(w->pool, p);
	return false;
}

static void outers(struct worker *w, struct pkt **pkts, unsigned n)
{
	unsigned fit = 0;

	for (unsigned i = 0; i < n; i++)
		if (outer(w, pkts[i]))
			pkts[fit++] = pkts[i];
	unsigned joined = uso_merge(w->pool, w->stack->links, pkts, fit);
	count_add(&w->pass[PASS_JOINED], fit - joined);
	for (unsigned i = 0; i < joined; i++)
		resolve(w, pkts[i]);
}

static void sealed(struct worker *w, struct pkt *p)
{
	if (outer(w, p))
		resolve(w, p);
}

/* In order: ordinary packets in runs, for the crypto library is quickest with many; super-packets one by one. */
static void protect_all(struct worker *w, struct pkt **pkts, struct sa **sas, unsigned n)
{
	for (unsigned at = 0, run; at < n; at += run) {
		for (run = 0; at + run < n && !pkts[at + run]->gso_size;)
			run++;
		if (run) {
			ipsec_out(w->ipsec, pkts + at, sas + at, run);
			tap_protected(&w->tap, pkts + at, sas + at, run);
			if (filter_nests(w->stack->filters))
				nest_out(w, pkts + at, run);
			outers(w, pkts + at, run);
			continue;
		}
		run = 1;
		super_seal(w, pkts[at], sas[at], sealed);
		pkt_free(w->pool, pkts[at]);
	}
}

void out_flush(struct worker *w)
{
	struct pkt *protect[PKT_BATCH];
	struct sa *sas[PKT_BATCH];

	while (w->n_out) {
		unsigned n = 0, all = w->n_out;
		for (unsigned i = 0; i < all; i++) {
			if (w->out_sa[i]) {
				sas[n] = w->out_sa[i];
				protect[n++] = w->out[i];
			}
		}
		/* Those in clear leave the array before anything (an ICMP error) can be added to it. */
		struct pkt *clear[PKT_BATCH];
		unsigned n_clear = 0;
		for (unsigned i = 0; i < all; i++)
			if (!w->out_sa[i])
				clear[n_clear++] = w->out[i];
		w->n_out = 0;
		unsigned joined = gro_merge(w->pool, w->stack->links, clear, n_clear);
		count_add(&w->pass[PASS_JOINED], n_clear - joined);
		for (unsigned i = 0; i < joined; i++)
			resolve(w, clear[i]);
		protect_all(w, protect, sas, n);
	}
	for (unsigned i = 0; i < w->stack->n_links; i++)
		transmit(w, (uint16_t)i);
}

static void emit(struct worker *w, struct pkt *p, struct sa *sa)
{
	if (w->n_out == PKT_BATCH)
		out_flush(w);
	w->out[w->n_out] = p;
	w->out_sa[w->n_out++] = sa;
}

static void piece(void *arg, struct pkt *p)
{
	struct worker *w = arg;
	emit(w, p, w->cut_sa);
}

/* Too long for where it goes: cut it if it may be cut, else say so to its sender. */
static void too_big(struct worker *w, struct pkt *p, struct sa *sa, uint32_t mtu)
{
	bool may_cut = p->family == 4 && !(pkt_data(p)[6] & 0x40) && !p->gso_size;

	if (!may_cut) {
		pipe_error(w, p, ICMP_TOO_BIG, mtu);
		pipe_drop(w, p, DROP_IP_TOO_BIG);
		return;
	}
	cut_checksum(p);
	w->cut_sa = sa;
	if (!cut_fragments4(w->pool, p, mtu, piece, w)) {
		pipe_drop(w, p, p->drop);
		return;
	}
	count_add(&w->pass[PASS_FRAGMENTED], 1);
	pkt_free(w->pool, p);
}

static bool takes(const struct link *l, const struct pkt *p)
{
	return p->gso_type == PKT_GSO_UDP_L4 ? l->uso : l->gso;
}

/* Super-packets stay whole where the link takes them, or, protected, @uplink does. */
static void super(struct worker *w, struct pkt *p, struct sa *sa, uint32_t mtu, const struct link *uplink)
{
	uint32_t len = cut_segment_len(p);

	if (!len) {
		pipe_drop(w, p, DROP_IP_SEGMENT);
		return;
	}
	if (len > mtu && p->len > mtu) {
		too_big(w, p, sa, mtu);
		return;
	}
	if (sa ? uplink && uplink->uso && ipsec_takes_slots(sa) : takes(&w->stack->links[p->out_link], p)) {
		emit(w, p, sa);
		return;
	}
	w->cut_sa = sa;
	if (!cut_segments(w->pool, p, piece, w)) {
		pipe_drop(w, p, p->drop);
		return;
	}
	count_add(&w->pass[PASS_SEGMENTED], 1);
	pkt_free(w->pool, p);
}

/* False: p->drop says why, or, with *ret_held, @p is not ours any more: it waits for its tunnel. */
static bool filtered_out(struct worker *w, struct pkt *p, struct sa **ret_sa, bool *ret_held)
{
	struct filter_verdict v;

	*ret_sa = NULL;
	*ret_held = false;
	if (p->unfiltered)
		return true;
	if (p->family == 4 ? !w->stack->ipsecurity4 : !w->stack->ipsecurity6)
		return true;
	p->inbound = false;
	p->secclass = w->stack->links[p->out_link].secclass; /* of the link it leaves by */
	filter_check(w->filter, p, &v);
	tap_verdict(&w->tap, TAP_FILTER_OUT, p, &v);
	if (p->drop && filter_tells(&v, p))
		pipe_error(w, p, ICMP_PROHIBITED, 0);
	if (p->drop)
		return false;
	if (v.action == FILTER_HOLD) {
		*ret_held = true;
		hold_packet(w, p, p, v.rule);
		return false;
	}
	*ret_sa = v.sa;
	if (v.action == FILTER_IPSEC && !v.sa) {
		p->drop = DROP_FILTER_NO_TUNNEL;
		return false;
	}
	count_add(&w->pass[PASS_OUT_PERMIT], 1);
	count_add(&w->pass[PASS_ICMP_RETURNED], v.returned);
	return true;
}

void out_decide(struct worker *w, struct pkt *p)
{
	const struct fib_route *r = fib_route(w->fib, p->nexthop);
	struct sa *sa;
	bool held;

	if (r->kind != FIB_NONE)
		hop(r, p);
	if (!filtered_out(w, p, &sa, &held)) {
		if (!held)
			pipe_drop(w, p, p->drop);
		return;
	}
	const struct link *uplink = NULL;
	uint32_t mtu = mtu_of(w, r, p->out_link);
	p->over = NULL;
	if (sa && !nest_over(w, p, sa))
		return;
	if (sa) {
		const struct sa *over = p->over;
		const struct addr *end = &sa_outside(over ? over : sa)->dst;
		const struct fib_route *o = fib_route(w->fib, fib_lookup(w->fib, end->family ? end : &p->dst));
		if (o->kind == FIB_LINK || o->kind == FIB_GATEWAY) {
			uplink = over ? NULL : &w->stack->links[o->link];
			mtu = mtu_of(w, o, o->link);
		}
		if (over)
			mtu = sa_mtu(over, pmtu_limit(over->tunnel, mtu, w->now_ms), sa_outside(sa)->dst.family);
		mtu = sa_mtu(sa, pmtu_limit(sa->tunnel, mtu, w->now_ms), p->family);
	}
	if (p->gso_size) {
		super(w, p, sa, mtu, uplink);
		return;
	}
	if (p->len > mtu) {
		too_big(w, p, sa, mtu);
		return;
	}
	if (p->csum_partial && (sa || !w->stack->links[p->out_link].gso))
		cut_checksum(p);
	emit(w, p, sa);
}

/* The host's programs take any size that is a super-packet; others have to fit the TUN. */
void out_host(struct worker *w, struct pkt *p)
{
	const struct fib_route *r = fib_route(w->fib, p->nexthop);

	p->out_link = r->link;
	if (w->stack->links[p->in_link].type == LINK_TUN && p->in_link == p->out_link && !p->sa_in && p->scope != PKT_LOCAL) {
		pipe_drop(w, p, DROP_IP_LOOP);
		return;
	}
	count_add(&w->pass[PASS_HOST], 1);
	if (!p->gso_size && !p->whole && p->len > w->stack->links[r->link].mtu) {
		too_big(w, p, NULL, w->stack->links[r->link].mtu);
		return;
	}
	if (p->gso_size && !takes(&w->stack->links[r->link], p))
		super(w, p, NULL, w->stack->links[r->link].mtu, NULL);
	else
		emit(w, p, NULL);
}
