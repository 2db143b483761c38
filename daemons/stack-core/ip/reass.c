/* reass: see reass.h. Each packet being put together has one large buffer with its final layout: headers in front of
 * HEAD, payload behind; ranges that have come are a short sorted list. */
#include "daemons/stack-core/ip/reass.h"
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ip/follow.h"
#include "daemons/stack-core/ip/parse.h"
#include "lib/base/xalloc.h"
#include <string.h>

enum { HEAD = 256 /* place of the payload behind the buffer's headroom: what headers of a first fragment may need */ };

struct range {
	uint32_t from, to;
};

struct whole {
	struct pkt *p; /* NULL: free. Its fields are the first fragment's, once that came */
	struct addr src, dst;
	uint32_t id, sa_in;
	uint8_t proto;
	uint16_t link;
	bool first, bad;
	uint32_t head, end; /* end 0: the last fragment has not come */
	uint64_t since_ms;
	unsigned n;
	struct range ranges[REASS_FRAGMENTS];
};

struct reass {
	struct whole at[REASS_PACKETS];
	unsigned n;
	struct follow *follow;
};

struct reass *reass_new(void)
{
	struct reass *r = xnew(struct reass);

	r->follow = follow_new();
	return r;
}

void reass_free(struct reass *r)
{
	if (r)
		follow_free(r->follow);
	free(r);
}

unsigned reass_waiting(const struct reass *r)
{
	return r->n + follow_waiting(r->follow);
}

struct pkt *reass_follow(struct reass *r, struct pkt_pool *pool, struct pkt *p, uint64_t now_ms, uint64_t *drops)
{
	return follow_add(r->follow, pool, p, now_ms, drops);
}

static void give_up(struct reass *r, struct pkt_pool *pool, struct whole *w)
{
	pkt_free(pool, w->p);
	w->p = NULL;
	r->n--;
}

unsigned reass_expire(struct reass *r, struct pkt_pool *pool, uint64_t now_ms)
{
	unsigned n = follow_expire(r->follow, pool, now_ms);

	for (unsigned i = 0; i < REASS_PACKETS && r->n; i++)
		if (r->at[i].p && now_ms >= r->at[i].since_ms + REASS_MS) {
			give_up(r, pool, &r->at[i]);
			n++;
		}
	return n;
}

static bool look4(const struct pkt *p, struct fragment *f)
{
	const uint8_t *h = pkt_data(p);
	uint16_t flags = ip_get16(h + 6);

	f->head = f->at = (h[0] & 15u) * 4;
	f->id = ip_get16(h + 4);
	f->off = (flags & 0x1fffu) * 8;
	f->more = flags & 0x2000;
	f->proto = h[9];
	f->len = p->len - f->at;
	return true;
}

/* The parser has walked this chain and found it good. */
static bool look6(const struct pkt *p, struct fragment *f)
{
	const uint8_t *h = pkt_data(p);
	uint32_t at = IP6_HEADER;
	uint8_t next = h[6];

	f->names = 6;
	for (unsigned i = 0; i < IP6_EXT_MAX && next != 44; i++) {
		if (at + 8 > p->len)
			return false;
		next = h[at];
		f->names = at;
		at += (h[at + 1] + 1u) * 8;
	}
	if (next != 44 || at + 8 > p->len)
		return false;
	f->head = f->skip = at;
	f->at = at + 8;
	f->proto = h[at];
	f->id = ip_get32(h + at + 4);
	f->off = ip_get16(h + at + 2) & 0xfff8u;
	f->more = h[at + 3] & 1;
	f->len = p->len - f->at;
	return true;
}

bool fragment_read(const struct pkt *p, struct fragment *f)
{
	return p->family == 4 ? look4(p, f) : look6(p, f);
}

static struct whole *find(struct reass *r, const struct pkt *p, const struct fragment *f)
{
	for (unsigned i = 0; i < REASS_PACKETS; i++) {
		struct whole *w = &r->at[i];
		if (w->p && w->id == f->id && w->proto == f->proto && w->sa_in == p->sa_in && w->link == p->in_link &&
			addr_equal(&w->src, &p->src) && addr_equal(&w->dst, &p->dst))
			return w;
	}
	return NULL;
}

static struct whole *begin(struct reass *r, struct pkt_pool *pool, const struct pkt *p, const struct fragment *f, uint64_t now_ms)
{
	struct whole *w = &r->at[0];

	for (unsigned i = 1; i < REASS_PACKETS && w->p; i++)
		if (!r->at[i].p || r->at[i].since_ms < w->since_ms)
			w = &r->at[i];
	if (w->p)
		give_up(r, pool, w);
	struct pkt *big = pkt_alloc_large(pool);
	if (!big)
		return NULL;
	*w = (struct whole){.p = big, .src = p->src, .dst = p->dst, .id = f->id, .sa_in = p->sa_in, .proto = f->proto, .link = p->in_link,
		.since_ms = now_ms};
	r->n++;
	return w;
}

/* 0: a new range; 1: exactly what is there already; -1: it does not fit. */
static int range_add(struct whole *w, uint32_t from, uint32_t to)
{
	unsigned i = 0;

	while (i < w->n && w->ranges[i].from < from)
		i++;
	if (i < w->n && w->ranges[i].from == from && w->ranges[i].to == to)
		return 1;
	if ((i < w->n && w->ranges[i].from < to) || (i && w->ranges[i - 1].to > from) || w->n == REASS_FRAGMENTS)
		return -1;
	memmove(&w->ranges[i + 1], &w->ranges[i], (w->n - i) * sizeof(*w->ranges));
	w->ranges[i] = (struct range){from, to};
	w->n++;
	return 0;
}

static bool complete(const struct whole *w)
{
	uint32_t to = 0;

	if (!w->first || !w->end)
		return false;
	for (unsigned i = 0; i < w->n && w->ranges[i].from == to; i++)
		to = w->ranges[i].to;
	return to == w->end;
}

/* Headers of the first fragment in front of the payload. */
static void take_head(struct whole *w, const struct pkt *p, const struct fragment *f)
{
	uint8_t *buf = w->p->buf;
	uint32_t size = w->p->size;

	*w->p = *p;
	w->p->buf = buf;
	w->p->size = size;
	w->p->next = NULL;
	w->p->off = PKT_HEADROOM + HEAD - f->head;
	memcpy(pkt_data(w->p), pkt_data(p), f->head);
	if (f->skip)
		pkt_data(w->p)[f->names] = f->proto;
	w->head = f->head;
	w->first = true;
}

static struct pkt *finish(struct reass *r, struct whole *w)
{
	struct pkt *p = w->p;
	uint8_t *h = pkt_data(p);

	w->p = NULL;
	r->n--;
	p->len = w->head + w->end;
	p->fragment = p->opaque = p->told = p->csum_partial = false;
	p->gso_size = p->gso_type = 0;
	p->whole = true;
	if (p->family == 4) {
		ip_put16(h + 2, p->len);
		ip_put16(h + 6, 0);
		ip4_checksum(h);
	} else {
		ip_put16(h + 4, p->len - IP6_HEADER);
	}
	return p;
}

/* 0, or why the fragment is lost. */
static uint16_t put(struct whole *w, const struct pkt *p, const struct fragment *f)
{
	uint32_t to = f->off + f->len;

	if (w->bad)
		return DROP_IP_FRAGMENT;
	int r = f->head <= HEAD && f->len && to + (f->off ? f->head : 0) <= 65535 && !(w->end && (to > w->end || (!f->more && to != w->end)))
			? range_add(w, f->off, to) : -1;
	if (!f->more && r == 0 && w->n && w->ranges[w->n - 1].to > to)
		r = -1;
	if (r < 0) { /* what is known of it is wrong somewhere: nothing of it can be believed */
		w->bad = true;
		return DROP_IP_OVERLAP;
	}
	if (r > 0)
		return DROP_IP_OVERLAP;
	memcpy(w->p->buf + PKT_HEADROOM + HEAD + f->off, pkt_data(p) + f->at, f->len);
	if (!f->more)
		w->end = to;
	if (!f->off)
		take_head(w, p, f);
	return 0;
}

struct pkt *reass_add(struct reass *r, struct pkt_pool *pool, struct pkt *p, uint64_t now_ms, uint16_t *ret_drop)
{
	struct fragment f = {0};
	struct pkt *done = NULL;

	*ret_drop = 0;
	if (!fragment_read(p, &f)) {
		*ret_drop = DROP_IP_FRAGMENT;
	} else {
		struct whole *w = find(r, p, &f);
		if (!w)
			w = begin(r, pool, p, &f, now_ms);
		*ret_drop = w ? put(w, p, &f) : DROP_IP_FRAG_ROOM;
		if (w && !*ret_drop && complete(w))
			done = finish(r, w);
	}
	pkt_free(pool, p);
	return done;
}
