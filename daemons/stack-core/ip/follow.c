/* follow: see follow.h. An entry goes when all of its packet has passed, so that an identification that is used anew finds nothing old.
 *
 * Whoever sends two firsts under one identification wants the later ones to be taken for the other's: only the first counts, and
 * fragments that would overwrite any of it void the packet. */
#include "daemons/stack-core/ip/follow.h"
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/filter/hash.h"
#include "daemons/stack-core/ip/reass.h"
#include "lib/base/xalloc.h"
#include <string.h>

struct followed {
	bool used, first, bad;
	uint8_t family, proto; /* proto: IPv4 part of the name; then the first's */
	uint8_t named;
	uint8_t icmp_type, icmp_code;
	uint16_t sport, dport, link;
	bool opaque; /* also the first shows nothing: ESP */
	uint32_t id, sa_in;
	struct addr src, dst;
	uint32_t covered;     /* payload of the first */
	uint32_t seen, total; /* bytes that came; of the packet, 0: not known yet */
	uint64_t since_ms;
	struct pkt *held, **last;
	unsigned n_held;
};

struct follow {
	struct hash_key hash;
	unsigned held, large;
	struct followed at[FOLLOW_SETS][FOLLOW_WAYS];
};

struct follow *follow_new(void)
{
	struct follow *f = xcheck(aligned_alloc(64, (sizeof(*f) + 63) & ~(size_t)63));

	memset(f, 0, sizeof(*f));
	hash_key_init(&f->hash);
	return f;
}

void follow_free(struct follow *f)
{
	free(f);
}

unsigned follow_waiting(const struct follow *f)
{
	return f->held;
}

static struct followed *set_of(struct follow *f, const struct pkt *p, const struct fragment *g)
{
	uint64_t w[HASH_WORDS];

	memcpy(w, p->src.b, 16);
	memcpy(w + 2, p->dst.b, 16);
	w[4] = (uint64_t)p->sa_in << 32 ^ g->id ^ (uint64_t)p->in_link << 48;
	return f->at[hash_words(&f->hash, w, HASH_WORDS) % FOLLOW_SETS];
}

static uint8_t name_of(const struct pkt *p)
{
	return p->family == 4 ? p->proto : 0; /* of IPv6 fragments only the first knows */
}

static struct followed *find(struct followed *set, const struct pkt *p, const struct fragment *g)
{
	for (unsigned i = 0; i < FOLLOW_WAYS; i++) {
		struct followed *e = &set[i];
		if (e->used && e->id == g->id && e->named == name_of(p) && e->sa_in == p->sa_in && e->link == p->in_link &&
			addr_equal(&e->src, &p->src) && addr_equal(&e->dst, &p->dst))
			return e;
	}
	return NULL;
}

/* Frees what waits; how many. */
static unsigned let_go(struct follow *f, struct pkt_pool *pool, struct followed *e)
{
	unsigned n = e->n_held;

	while (e->held) {
		struct pkt *p = e->held;
		e->held = p->next;
		f->large -= p->size != PKT_SMALL;
		pkt_free(pool, p);
	}
	f->held -= n;
	e->n_held = 0;
	e->last = &e->held;
	return n;
}

static struct followed *begin(struct follow *f, struct pkt_pool *pool, struct followed *set, const struct pkt *p, const struct fragment *g,
	uint64_t now_ms, uint64_t *drops)
{
	struct followed *e = set;

	for (unsigned i = 1; i < FOLLOW_WAYS && e->used; i++)
		if (!set[i].used || set[i].since_ms < e->since_ms)
			e = &set[i];
	if (e->used)
		count_add(&drops[DROP_IP_FRAG_WAIT], let_go(f, pool, e));
	*e = (struct followed){.used = true, .family = p->family, .named = name_of(p), .id = g->id, .sa_in = p->sa_in, .link = p->in_link,
		.src = p->src, .dst = p->dst, .since_ms = now_ms};
	e->last = &e->held;
	return e;
}

static void tell(const struct followed *e, struct pkt *p)
{
	p->proto = e->proto;
	p->sport = e->sport;
	p->dport = e->dport;
	p->icmp_type = e->icmp_type;
	p->icmp_code = e->icmp_code;
	p->told = !e->opaque;
}

static void account(struct followed *e, const struct fragment *g)
{
	e->seen += g->len;
	if (!g->more)
		e->total = g->off + g->len;
	if (e->total && e->seen >= e->total)
		e->used = false;
}

static struct pkt *lost(struct pkt_pool *pool, struct pkt *p, uint64_t *drops, enum drop_reason why)
{
	count_add(&drops[why], 1);
	pkt_free(pool, p);
	return NULL;
}

/* The first has come: those that waited go with it. */
static struct pkt *lead(struct follow *f, struct pkt_pool *pool, struct followed *e, struct pkt *p, const struct fragment *g, uint64_t *drops)
{
	struct pkt **at = &p->next, *next;
	struct fragment later;

	e->first = true;
	e->proto = p->proto;
	e->opaque = p->opaque;
	e->sport = p->sport;
	e->dport = p->dport;
	e->icmp_type = p->icmp_type;
	e->icmp_code = p->icmp_code;
	e->covered = g->len;
	p->next = NULL;
	account(e, g);
	for (struct pkt *q = e->held; q; q = next) {
		next = q->next;
		q->next = NULL;
		f->held--;
		f->large -= q->size != PKT_SMALL;
		memset(&later, 0, sizeof(later));
		if (e->bad || !fragment_read(q, &later) || later.off < e->covered) {
			e->bad = true;
			(void)lost(pool, q, drops, DROP_IP_OVERLAP);
			continue;
		}
		tell(e, q);
		account(e, &later);
		*at = q;
		at = &q->next;
	}
	e->held = NULL;
	e->last = &e->held;
	e->n_held = 0;
	return p;
}

static struct pkt *wait(struct follow *f, struct pkt_pool *pool, struct followed *e, struct pkt *p, uint64_t *drops)
{
	bool large = p->size != PKT_SMALL;

	if (f->held >= FOLLOW_HELD || e->n_held >= FOLLOW_HELD_EACH || (large && f->large >= FOLLOW_HELD_LARGE))
		return lost(pool, p, drops, DROP_IP_FRAG_WAIT);
	p->next = NULL;
	*e->last = p;
	e->last = &p->next;
	e->n_held++;
	f->held++;
	f->large += large;
	return NULL;
}

struct pkt *follow_add(struct follow *f, struct pkt_pool *pool, struct pkt *p, uint64_t now_ms, uint64_t *drops)
{
	struct fragment g = {0};

	if (!fragment_read(p, &g))
		return lost(pool, p, drops, DROP_IP_FRAGMENT);
	struct followed *set = set_of(f, p, &g), *e = find(set, p, &g);
	if (e && now_ms >= e->since_ms + (e->first && g.off ? FOLLOW_MS : FOLLOW_WAIT_MS)) {
		count_add(&drops[DROP_IP_REASS_TIME], let_go(f, pool, e));
		e->used = false;
		e = NULL;
	}
	if (!e)
		e = begin(f, pool, set, p, &g, now_ms, drops);
	if (!g.off) {
		if (e->first || e->bad)
			return lost(pool, p, drops, DROP_IP_OVERLAP);
		return lead(f, pool, e, p, &g, drops);
	}
	if (!e->first)
		return wait(f, pool, e, p, drops);
	e->bad |= g.off < e->covered;
	if (e->bad)
		return lost(pool, p, drops, DROP_IP_OVERLAP);
	tell(e, p);
	account(e, &g);
	p->next = NULL;
	return p;
}

unsigned follow_expire(struct follow *f, struct pkt_pool *pool, uint64_t now_ms)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FOLLOW_SETS * FOLLOW_WAYS && f->held; i++) {
		struct followed *e = &f->at[i / FOLLOW_WAYS][i % FOLLOW_WAYS];
		if (!e->used || !e->held || now_ms < e->since_ms + FOLLOW_WAIT_MS)
			continue;
		n += let_go(f, pool, e);
		e->used = false;
	}
	return n;
}
