/* see: what a worker does about a packet while something is watched. */
#include "daemons/stack-core/ip/fib.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/tap/tap.h"
#include <string.h>
#include <time.h>

enum { ENCAP_HEADER = 8 };

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Of the tunnel that @p came by or is to go by, as far as it is known here. */
static const struct tunnel *tunnel_of(const struct tap_set *set, const struct pkt *p, const struct tap_note *note)
{
	if (note->sa)
		return note->sa->tunnel;
	if (note->verdict && note->verdict->action == FILTER_IPSEC && note->verdict->tunnel < SADB_TUNNELS_MAX)
		return sadb_tunnel(set->db, note->verdict->tunnel);
	return p->sa_in && p->sa_in <= SADB_TUNNELS_MAX ? sadb_tunnel(set->db, p->sa_in - 1) : NULL;
}

static uint32_t spi_of(const struct pkt *p, enum tap_stage stage, const struct tap_note *note)
{
	const uint8_t *l4 = pkt_data(p) + p->l4_off;

	if (note->sa)
		return note->sa->spi;
	if (note->verdict && note->verdict->action == FILTER_IPSEC && note->verdict->sa)
		return note->verdict->sa->spi;
	if (stage != TAP_IPSEC_IN && stage != TAP_LINK_RX && stage != TAP_DROP)
		return 0;
	if (p->fragment || p->l4_off + 16u > p->len || !p->l4_off)
		return 0;
	if (p->proto == IP_ESP)
		return ip_get32(l4);
	if (p->proto == IP_AH)
		return ip_get32(l4 + 4);
	return p->proto == IP_UDP && p->encap ? ip_get32(l4 + ENCAP_HEADER) : 0;
}

static enum tap_verdict verdict_of(const struct pkt *p, enum tap_stage stage, const struct tap_note *note)
{
	switch (stage) {
	case TAP_DROP:
		return TAP_DROPPED;
	case TAP_ROUTE:
		return note->route == FIB_LOCAL ? TAP_LOCAL
			: note->route == FIB_HOST ? TAP_HOST
			: note->route == FIB_LINK || note->route == FIB_GATEWAY ? TAP_FORWARD : TAP_NO_ROUTE;
	case TAP_FILTER_IN:
	case TAP_FILTER_OUT:
		if (p->drop || !note->verdict)
			return TAP_DENY;
		return note->verdict->action == FILTER_PERMIT ? TAP_PERMIT
			: note->verdict->action == FILTER_IPSEC ? TAP_PROTECT
			: note->verdict->action == FILTER_HOLD ? TAP_HOLD : TAP_DENY;
	default:
		return TAP_PASS;
	}
}

static void fill(struct tap_worker *w, struct tap_record *r, const struct pkt *p, enum tap_stage stage, const struct tap_note *note)
{
	const struct tunnel *t = tunnel_of(w->set, p, note);

	r->time_us = now_us();
	r->packet = p->tap_packet;
	r->len = p->len;
	r->spi = spi_of(p, stage, note);
	r->tunnel = t ? t->index : UINT32_MAX;
	r->dynamic = t && t->dynamic;
	(void)snprintf(r->tunnel_id, sizeof(r->tunnel_id), "%s", t ? t->id : "");
	(void)snprintf(r->tunnel_name, sizeof(r->tunnel_name), "%s", t ? t->name : "");
	r->drop = stage == TAP_DROP ? (uint16_t)note->reason : p->drop;
	r->in_link = p->in_link;
	r->out_link = tap_leaves(p, stage) ? p->out_link : UINT16_MAX;
	r->sport = p->sport;
	r->dport = p->dport;
	r->segment = p->gso_size;
	r->stage = (uint8_t)stage;
	r->verdict = (uint8_t)verdict_of(p, stage, note);
	r->family = p->family;
	r->proto = p->proto;
	r->icmp_type = p->icmp_type;
	r->icmp_code = p->icmp_code;
	r->worker = (uint8_t)w->index;
	r->tos = p->tos;
	r->fragment = p->fragment;
	r->opaque = p->opaque;
	r->ports = !p->opaque && ipproto_ports(p->proto);
	r->src = p->src;
	r->dst = p->dst;
	r->gateway = stage >= TAP_FILTER_OUT && stage <= TAP_LINK_TX ? p->next_hop : (struct addr){0};
	const struct filter_rule *rule = note->verdict ? note->verdict->rule : NULL;
	(void)snprintf(r->rule, sizeof(r->rule), "%s", rule ? filter_rule_spec(rule)->name : "");
}

/* Takes one of the records that @s may still get. */
static bool take(const struct tap_session *s)
{
	int left = atomic_load_explicit(s->left, memory_order_relaxed);

	while (left > 0)
		if (atomic_compare_exchange_weak_explicit(s->left, &left, left - 1, memory_order_relaxed, memory_order_relaxed))
			return true;
	return false;
}

static uint32_t shown(const struct tap_set *set, const struct tap_spec *s, const struct pkt *p, enum tap_stage stage)
{
	uint32_t n = s->cleartext || tap_open_stage(set, p, stage) ? p->len : tap_headers(p);

	return n < s->snaplen ? n : s->snaplen;
}

/* A record goes to one session, unless all that want it may see as much of it. */
static void record(struct tap_worker *w, enum tap_stage stage, const struct pkt *p, const struct tap_note *note, uint32_t sessions, uint32_t kept)
{
	struct tap_record *r = tap_ring_next(&w->set->rings[w->index], kept);

	if (!r)
		return;
	fill(w, r, p, stage, note);
	r->sessions = sessions;
	r->kept = kept;
	memcpy(r + 1, pkt_data(p), kept);
	tap_ring_commit(&w->set->rings[w->index], r);
}

void tap_see(struct tap_worker *w, enum tap_stage stage, struct pkt *p, const struct tap_note *note)
{
	const struct tap_set *set = w->set;
	const struct tunnel *t = tunnel_of(set, p, note);
	uint32_t spi = spi_of(p, stage, note);

	for (unsigned i = 0; i < TAP_SESSIONS_MAX; i++) {
		const struct tap_session *s = &set->sessions[i];
		if (!s->left)
			continue;
		if (!(p->tap_marks & 1u << i)) {
			if (!tap_spec_match(&s->spec, p, stage, t, spi))
				continue;
			p->tap_marks |= (uint8_t)(1u << i);
			if (!p->tap_packet)
				p->tap_packet = ++w->packet;
		}
		bool wanted = (s->spec.stages & 1u << stage) && (!s->spec.dropped || stage == TAP_DROP);
		if (wanted && take(s))
			record(w, stage, p, note, 1u << i, shown(set, &s->spec, p, stage));
	}
}
