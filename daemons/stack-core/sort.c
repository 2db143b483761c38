/* sort: the first half of the pipe: from the link to packets in clear.
 *
 *   receive -> parse -> attack? -> neighbours -> fragments for us put together -> ours and ESP, AH or ESP in UDP? open it, parse again
 *   -> attack? -> pipe.c
 *
 * What is opened waits until the batch is sorted, for the crypto library is quickest with many packets at once. */
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/worker.h"
#include <string.h>

enum { PORT_NATT = 4500 };

static bool for_us(const struct worker *w, const struct pkt *p)
{
	uint8_t kind = fib_route(w->fib, p->nexthop)->kind;
	return kind == FIB_LOCAL || kind == FIB_HOST;
}

static void discovered(struct worker *w, struct pkt *p, enum discover_result r, const struct discover_heard *heard)
{
	if (heard->valid) {
		struct ring_msg m = {RING_HEARD, p->in_link, heard->addr, {0}, heard->how};
		memcpy(m.mac, heard->mac, 6);
		if (!worker_post(w, &m))
			count_add(&w->drops[DROP_NEIGH_RING], 1);
	}
	if (r == DISCOVER_DROP) {
		pipe_drop(w, p, p->drop);
		return;
	}
	count_add(&w->pass[PASS_ARP], 1);
	if (r == DISCOVER_REPLY) {
		p->out_link = p->in_link;
		out_send(w, p);
	} else {
		pkt_free(w->pool, p);
	}
}

static void clear_flush(struct worker *w)
{
	unsigned n = w->n_clear;

	w->n_clear = 0;
	filter_prefetch(w->filter, w->clear, n);
	for (unsigned i = 0; i < n; i++)
		pipe_clear(w, w->clear[i]);
}

static void clear_push(struct worker *w, struct pkt *p)
{
	if (w->n_clear == PKT_BATCH)
		clear_flush(w);
	w->clear[w->n_clear++] = p;
}

/* Fragments for us, and of the host's programs, are put together before anything is decided: later ones do not show what the
 * first one was. IPv6 packets of the host stay as they are, for only their sender may fragment them; they and those that pass through
 * learn from their first what filters ask (RFC 4301 section 7.3). NULL: it waits, is lost, or has gone on. */
static struct pkt *defrag(struct worker *w, struct pkt *p)
{
	bool tun = w->stack->links[p->in_link].type == LINK_TUN && !p->sa_in;
	uint16_t drop;

	if (tun ? p->family == 6 : !for_us(w, p)) {
		if (p->family == 4 ? !w->stack->ipsecurity4 : !w->stack->ipsecurity6)
			return p;
		for (struct pkt *next, *one = reass_follow(w->reass, w->pool, p, w->now_ms, w->drops); one; one = next) {
			next = one->next;
			one->next = NULL;
			one->nexthop = fib_lookup(w->fib, &one->dst); /* it may have waited */
			clear_push(w, one);
		}
		return NULL;
	}
	struct pkt *whole = reass_add(w->reass, w->pool, p, w->now_ms, &drop);
	if (drop)
		count_add(&w->drops[drop], 1);
	if (!whole)
		return NULL;
	count_add(&w->pass[PASS_REASSEMBLED], 1);
	if (!ip_parse(whole))
		ids_malformed(w->ids, whole);
	if (whole->drop || (!tun && !ids_whole(w->ids, whole))) {
		pipe_drop(w, whole, whole->drop);
		return NULL;
	}
	return whole;
}

/* What came out of ESP or AH: again it may be anything. */
static void opened(struct worker *w, struct pkt *p)
{
	bool again;

	if (p->drop || !ids_in(w->ids, p)) {
		pipe_drop(w, p, p->drop);
		return;
	}
	count_add(&w->pass[PASS_DECAP], 1);
	tap_stage(&w->tap, TAP_OPENED, p);
	p->l2_group = p->encap = false;
	p->nexthop = fib_lookup(w->fib, &p->dst);
	bool nested = p->nested;
	if (p->fragment && !(p = defrag(w, p)))
		return;
	p->nested |= nested;
	if (!nest_in(w, p, &again)) {
		clear_push(w, p);
	} else if (again) { /* the array's beginning is free by now: see esp_flush */
		tap_stage(&w->tap, TAP_IPSEC_IN, p);
		w->esp[w->n_esp++] = p;
	}
}

/* Opens what is protected; the inner packets go on in clear, or, tunnels in a tunnel, wait for the next of two turns. */
static void esp_turn(struct worker *w)
{
	struct nest_outside o[PKT_BATCH];
	unsigned n = w->n_esp;
	bool nests = filter_nests(w->stack->filters);

	w->n_esp = 0;
	for (unsigned i = 0; nests && i < n; i++)
		o[i] = (struct nest_outside){w->esp[i]->proto, w->esp[i]->src, w->esp[i]->dst};
	ipsec_in(w->ipsec, w->esp, n);
	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = w->esp[i];
		if (!p->drop) {
			p->csum_partial = false;
			if (!ip_parse(p))
				ids_malformed(w->ids, p);
		}
		if (nests && !p->drop && nest_missing(w, p, &o[i]))
			p->drop = DROP_FILTER_CLEAR;
		opened(w, p);
	}
}

static void esp_flush(struct worker *w)
{
	while (w->n_esp)
		esp_turn(w);
}

/* Is @p, ESP or AH for an address of ours, to be opened? If not it is dropped. */
static bool may_open(struct worker *w, struct pkt *p)
{
	p->scope = PKT_LOCAL;
	if (pipe_is_ours(w, &p->src))
		p->drop = DROP_IP_SPOOFED;
	else if (filter_predecap(w->stack->filters))
		(void)pipe_filter_in(w, p);
	if (p->drop) {
		pipe_drop(w, p, p->drop);
		return false;
	}
	tap_stage(&w->tap, TAP_IPSEC_IN, p);
	return true;
}

/* ESP or AH, bare or in UDP. */
static void sealed_in(struct worker *w, struct pkt *p)
{
	if (p->fragment || p->gso_size) {
		pipe_drop(w, p, DROP_ESP_FRAGMENT);
		return;
	}
	if (!may_open(w, p))
		return;
	if (w->n_esp == PKT_BATCH)
		esp_flush(w);
	w->esp[w->n_esp++] = p;
}

/* A super-packet of ESP in UDP. */
static void super_in(struct worker *w, struct pkt *p)
{
	struct pkt *inner[ESP_SLOTS_MAX];

	p->encap = true;
	if (!may_open(w, p))
		return;
	esp_flush(w); /* what came before it stays before it */
	unsigned n = super_open(w, p, inner);
	for (unsigned i = 0; i < n; i++) {
		if (inner[i]->drop)
			ids_malformed(w->ids, inner[i]);
		opened(w, inner[i]);
	}
}

static void natt_in(struct worker *w, struct pkt *p);

static void natt_piece(void *arg, struct pkt *p)
{
	natt_in(arg, p);
}

/* A datagram for UDP port 4500 (RFC 3948 section 2): a keepalive, ESP, or, behind four zero bytes or with an SPI that we do not
 * know, something for the program that has the port. */
static void natt_in(struct worker *w, struct pkt *p)
{
	const uint8_t *udp = pkt_data(p) + p->l4_off;
	uint32_t avail = p->len - p->l4_off, len = ip_get16(udp + 4);

	if (p->gso_size && super_opens(w, p)) {
		super_in(w, p);
		return;
	}
	if (p->gso_size) { /* datagrams that a kernel joined, or did not cut yet */
		p->encap = true;
		if (!cut_segments(w->pool, p, natt_piece, w))
			pipe_drop(w, p, p->drop ? p->drop : DROP_IP_SEGMENT);
		else
			pkt_free(w->pool, p);
		return;
	}
	if (len <= avail && len == 9 && udp[8] == 0xff) {
		count_add(&w->pass[PASS_KEEPALIVE], 1);
		pkt_free(w->pool, p);
		return;
	}
	uint32_t spi = len <= avail && len >= 12 ? ip_get32(udp + 8) : 0;
	p->encap = spi && ipsec_knows(w->ipsec, p, spi);
	if (p->encap)
		sealed_in(w, p);
	else
		clear_push(w, p);
}

/* One frame: neighbour messages are handled at once, the rest is sorted into what is to be opened and what is in clear. */
static void sort_in(struct worker *w, struct pkt *p)
{
	const struct link *l = &w->stack->links[p->in_link];
	struct discover_heard heard;

	if (p->drop) {
		pipe_drop(w, p, p->drop);
		return;
	}
	if (l->ethernet && p->ethertype == ETHER_ARP) {
		enum discover_result r = arp_handle(l, p, &heard);
		discovered(w, p, r, &heard);
		return;
	}
	if (!ip_parse(p) || (l->ethernet && p->ethertype != (p->family == 4 ? ETHER_IP4 : ETHER_IP6))) {
		ids_malformed(w->ids, p);
		pipe_drop(w, p, p->drop ? p->drop : DROP_IP_VERSION);
		return;
	}
	tap_stage(&w->tap, TAP_LINK_RX, p);
	if ((p->csum_partial || p->gso_size) && !cut_sound(p)) {
		pipe_drop(w, p, p->drop);
		return;
	}
	if (l->type == LINK_TUN ? !ids_out(w->ids, p) : !ids_in(w->ids, p)) {
		pipe_drop(w, p, p->drop);
		return;
	}
	if (l->ethernet && nd_is(p)) {
		enum discover_result r = nd_handle(l, p, &heard);
		discovered(w, p, r, &heard);
		return;
	}
	p->nexthop = fib_lookup(w->fib, &p->dst);
	if (p->fragment && !(p = defrag(w, p)))
		return;
	if (l->type != LINK_TUN && for_us(w, p)) {
		if (ip_is_sealed(p->proto)) {
			sealed_in(w, p);
			return;
		}
		if (p->proto == IP_UDP && p->dport == PORT_NATT && !p->fragment) {
			natt_in(w, p);
			return;
		}
	}
	clear_push(w, p);
}

void pipe_batch(struct worker *w, struct pkt **pkts, unsigned n)
{
	w->n_esp = w->n_clear = 0;
	count_add(&w->pass[PASS_RX], n);
	for (unsigned i = 0; i < n; i++)
		sort_in(w, pkts[i]);
	esp_flush(w);
	clear_flush(w);
	out_flush(w);
}
