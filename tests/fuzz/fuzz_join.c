/* Joining and cutting: whatever gather, gro, gro_run and uso make of packets, cutting it gives them again, in order within a flow, and no
 * buffer is lost. Byte 0 of the input says who joins; records of 8 bytes follow, one a packet: shape, size (2 bytes), sequence,
 * TOS, TTL, and a byte that is changed: where and how. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/gather.h"
#include "daemons/stack-core/ip/gro.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ip/uso.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum how { GATHER, GRO, RUN, USO };
enum { RECORD = 8, MANY = 80, SMALL = 256, LARGE = 120, ROOM = PKT_SMALL - PKT_HEADROOM - PKT_TAILROOM, CUT_MAX = 2 * MANY };
enum { V6 = 1, UDP = 2, FLOW = 12, CHANGE_BEFORE = 16, CHANGE_AFTER = 32, NO_DF = 64, PUSH = 128 };

struct seen {
	uint32_t len;
	bool used;
	uint8_t data[ROOM];
};
static struct seen before[MANY], after[CUT_MAX];
static unsigned n_before, n_after;
static struct pkt_pool *pool;
static uint32_t seqs[8];

static void demand(bool good)
{
	if (!good)
		abort();
}

/* --- packets by records --- */

static uint32_t upper(uint8_t *l4, const uint8_t *r, uint32_t size)
{
	uint32_t header = r[0] & UDP ? 8 : 32, *seq = &seqs[r[0] & 7];

	memset(l4, 0, header);
	ip_put16(l4, 4500);
	ip_put16(l4 + 2, (r[0] & FLOW) >> 2);
	if (r[0] & UDP) {
		ip_put16(l4 + 4, header + size);
	} else {
		ip_put32(l4 + 4, *seq + (r[3] & 3 ? 0 : r[3]));
		*seq += size;
		l4[12] = 0x80;
		l4[13] = 0x10 | (r[0] & PUSH ? 8 : 0);
		memset(l4 + 20, 1, 12);
	}
	memset(l4 + header, r[3], size);
	return header + size;
}

/* Ours, for USO: only what we may have copied from others differs. */
static uint32_t ours(const uint8_t *r)
{
	static const uint8_t at[2][3] = {{1, 6, 8}, {1, 3, 7}};
	return at[r[0] & V6][r[6] % 3];
}

static uint32_t build(uint8_t *h, const uint8_t *r, unsigned i, enum how how)
{
	struct addr a4 = {4, {10, 1}}, b4 = {4, {10, 2}}, a6 = {6, {0x20, 1, [15] = 1}}, b6 = {6, {0x20, 1, [15] = 2}};
	uint32_t ip = r[0] & V6 ? IP6_HEADER : IP4_HEADER, len = upper(h + ip, r, ip_get16(r + 1) % 1400), field = ip + (r[0] & UDP ? 6 : 16);
	uint8_t proto = r[0] & UDP ? IP_UDP : IP_TCP;

	if (r[0] & V6)
		ip6_write(h, &a6, &b6, proto, 64 + (r[5] & 3), r[4], len);
	else
		ip4_write(h, &a4, &b4, proto, 64 + (r[5] & 3), r[4], ip + len, (uint16_t)(1000 + i + (r[5] >> 7)), !(r[0] & NO_DF));
	if (r[0] & CHANGE_BEFORE)
		h[how == USO ? ours(r) : r[6] % (ip + 8)] ^= r[7];
	if (!(r[0] & V6))
		ip4_checksum(h);
	uint64_t pseudo = r[0] & V6 ? csum_pseudo(&a6, &b6, proto, len) : csum_pseudo(&a4, &b4, proto, len);
	uint16_t sum = csum_fold(csum_add(pseudo, h + ip, len));
	memcpy(h + field, &sum, 2);
	if ((r[0] & CHANGE_AFTER) && how != USO)
		h[r[6] % (ip + len)] ^= r[7];
	return ip + len;
}

static void remember(struct seen *list, unsigned *n, unsigned max, const uint8_t *d, uint32_t len)
{
	demand(*n < max && len <= ROOM);
	list[*n].len = len;
	list[*n].used = false;
	memcpy(list[(*n)++].data, d, len);
}

/* --- and again one by one --- */

static void piece(void *arg, struct pkt *p)
{
	(void)arg;
	remember(after, &n_after, CUT_MAX, pkt_data(p), p->len);
	pkt_free(pool, p);
}

static void apart(struct pkt *p)
{
	demand(p->off + p->len <= p->size);
	if (!p->gso_size) {
		cut_checksum(p);
		piece(NULL, p);
		return;
	}
	demand(p->size == PKT_LARGE && p->csum_partial && ip_parse(p) && cut_sound(p) && cut_segments(pool, p, piece, NULL));
	pkt_free(pool, p);
}

/* What nobody may rely on: the id of packets that are not to be fragmented, and checksums that are made anew. */
static void plain(struct seen *s, enum how how)
{
	uint8_t *d = s->data;

	if (s->len >= IP4_HEADER && d[0] == 0x45 && (d[6] & 0x40 || how == USO)) {
		memset(d + 4, 0, 2);
		memset(d + 10, 0, 2);
	}
	if (how == USO && s->len >= IP4_HEADER + 8 && d[0] == 0x45 && d[9] == IP_UDP)
		memset(d + IP4_HEADER + 6, 0, 2);
	if (how == USO && s->len >= IP6_HEADER + 8 && d[0] >> 4 == 6 && d[6] == IP_UDP)
		memset(d + IP6_HEADER + 6, 0, 2);
}

static bool same_flow(const struct seen *a, const struct seen *b)
{
	uint32_t ip = a->data[0] >> 4 == 6 ? IP6_HEADER : IP4_HEADER, from = ip == IP6_HEADER ? 8 : 12;

	return a->data[0] == b->data[0] && a->len >= ip + 4 && b->len >= ip + 4 && a->data[ip == IP6_HEADER ? 6 : 9] == b->data[ip == IP6_HEADER ? 6 : 9] &&
		!memcmp(a->data + from, b->data + from, ip - from + 4);
}

static void compare(enum how how)
{
	unsigned at[MANY];

	demand(n_before == n_after);
	for (unsigned i = 0; i < n_before; i++)
		plain(&before[i], how);
	for (unsigned i = 0; i < n_after; i++)
		plain(&after[i], how);
	for (unsigned i = 0; i < n_before; i++) {
		for (at[i] = 0; at[i] < n_after; at[i]++)
			if (!after[at[i]].used && after[at[i]].len == before[i].len && !memcmp(after[at[i]].data, before[i].data, before[i].len))
				break;
		demand(at[i] < n_after);
		after[at[i]].used = true;
		for (unsigned k = 0; k < i; k++)
			demand(at[k] < at[i] || !same_flow(&before[k], &before[i]));
	}
}

/* --- who joins --- */

static void partial(struct pkt *p)
{
	const uint8_t *h = pkt_data(p);
	uint32_t ip = h[0] >> 4 == 6 ? IP6_HEADER : IP4_HEADER;
	struct pkt q = *p;

	if (!ip_parse(&q) || q.len != p->len || q.proto != IP_UDP || q.fragment || q.l4_off != ip)
		return;
	uint16_t sum = (uint16_t)~csum_fold(csum_pseudo(&q.src, &q.dst, IP_UDP, p->len - ip));
	memcpy(pkt_data(p) + ip + 6, &sum, 2);
	p->csum_partial = true;
	p->csum_start = (uint16_t)ip;
	p->csum_offset = 6;
}

static void packets(enum how how, const uint8_t *r, size_t n)
{
	struct link links[2] = {{.gso = true, .uso = true}, {.gso = false}};
	struct pkt *pkts[MANY];
	unsigned got = 0;

	for (size_t i = 0; i < n; i++) {
		struct pkt *p = pkt_alloc(pool);
		demand(p != NULL);
		p->len = build(pkt_data(p), r + i * RECORD, (unsigned)i, how);
		if (how == GATHER)
			partial(p);
		else if (!ip_parse(p)) {
			pkt_free(pool, p);
			continue;
		}
		p->sealed = how == USO;
		struct pkt *done = pkt_alloc(pool);
		memcpy(pkt_data(done), pkt_data(p), p->len);
		done->len = p->len;
		done->csum_partial = p->csum_partial;
		done->csum_start = p->csum_start;
		done->csum_offset = p->csum_offset;
		done->proto = IP_UDP;
		cut_checksum(done);
		remember(before, &n_before, MANY, pkt_data(done), done->len);
		pkt_free(pool, done);
		pkts[got++] = p;
	}
	unsigned left = how == GATHER ? gather(pool, pkts, got) : how == GRO ? gro_merge(pool, links, pkts, got) : uso_merge(pool, links, pkts, got);
	demand(left <= got);
	for (unsigned i = 0; i < left; i++) {
		if (how == GATHER && pkts[i]->csum_partial)
			demand(ip_parse(pkts[i]));
		apart(pkts[i]);
	}
}

/* They lie one behind the other in one large buffer, with gaps, and are joined there or in another. */
static void runs(const uint8_t *r, size_t n, bool udp, bool elsewhere)
{
	struct pkt *p = pkt_alloc_large(pool);
	struct gro_piece pieces[MANY];
	struct gro_run run;
	uint32_t at = PKT_HEADROOM;
	unsigned got = 0;

	for (; got < n && at < 50000; got++) {
		pieces[got].data = p->buf + at;
		pieces[got].len = build(p->buf + at, r + got * RECORD, got, RUN);
		remember(before, &n_before, MANY, pieces[got].data, pieces[got].len);
		at += pieces[got].len + 24;
	}
	for (unsigned i = 0, k; i < got; i += k) {
		k = gro_run(pieces + i, got - i, udp, &run);
		demand(k >= 1 && k <= got - i);
		struct pkt *o = pkt_alloc_large(pool);
		if (k == 1) {
			o->len = pieces[i].len;
			memcpy(pkt_data(o), pieces[i].data, o->len);
			apart(o);
			continue;
		}
		bool last = i + k == got && !elsewhere; /* in the buffer itself nothing may follow that is still needed */
		struct pkt *to = last ? p : o;
		if (gro_join(to, pieces + i, k, &run)) {
			apart(to);
			if (last)
				p = o;
			else
				continue;
		} else {
			demand(to->drop != 0);
			n_before -= k; /* of a run that is no packet: refused as a whole */
			memmove(&before[n_after], &before[n_after + k], (n_before - n_after) * sizeof(*before));
			if (last)
				p->drop = 0;
			pkt_free(pool, o);
		}
	}
	pkt_free(pool, p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pkt *large[LARGE];

	if (!size)
		return 0;
	if (!pool)
		pool = pkt_pool_new(SMALL, LARGE);
	enum how how = data[0] & 3;
	size_t n = (size - 1) / RECORD;
	n = n > MANY ? MANY : n;
	n_before = n_after = 0;
	memset(seqs, 0, sizeof(seqs));
	if (how == RUN)
		runs(data + 1, n, data[0] & 4, data[0] & 8);
	else
		packets(how, data + 1, n);
	compare(how);
	demand(pkt_pool_available(pool) == SMALL);
	for (unsigned i = 0; i < LARGE; i++)
		demand((large[i] = pkt_alloc_large(pool)) != NULL);
	for (unsigned i = 0; i < LARGE; i++)
		pkt_free(pool, large[i]);
	return 0;
}
