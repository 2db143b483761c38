/* gro_run and gro_join against the rule itself, by many random streams: what is joined and cut again is what came in, byte for byte but
 * for the IP identification of packets that no router may cut (RFC 6864); and a run ends where a model says that it has to. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/gro.h"
#include "daemons/stack-core/ip/parse.h"
#include "tests/support/check_main.h"
#include <stdlib.h>

enum { MAX = 58, ROOM = 1600, FRONT = 24, LONGEST = 1000 /* all fit the buffer */, ACK = 0x10, PSH = 8, ECE = 0x40, CWR = 0x80 };

/* One packet of a stream, before it is bytes. */
struct seg {
	uint32_t seq, ack, payload, ts;
	uint16_t sport, window, id;
	uint8_t flags, tos, ttl;
	bool v6, udp, df, bad_sum, bad_ip, options;
};

static struct pkt_pool *pool;
static struct pkt *large;
static struct gro_piece pieces[MAX];
static uint8_t copies[MAX][ROOM];
static struct pkt *out[MAX];
static unsigned n_out, seed;

static unsigned dice(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

static uint32_t write_l4(uint8_t *t, const struct seg *g)
{
	ip_put16(t, g->sport);
	ip_put16(t + 2, 80);
	if (g->udp) {
		ip_put16(t + 4, 8 + g->payload);
		ip_put16(t + 6, 0);
		return 8;
	}
	uint32_t header = g->options ? 32 : 20;
	memset(t + 4, 0, header - 4);
	ip_put32(t + 4, g->seq);
	ip_put32(t + 8, g->ack);
	t[12] = (uint8_t)(header / 4 << 4);
	t[13] = g->flags;
	ip_put16(t + 14, g->window);
	if (g->options) {
		static const uint8_t ts[4] = {1, 1, 8, 10};
		memcpy(t + 20, ts, 4);
		ip_put32(t + 24, g->ts);
	}
	return header;
}

static uint32_t write_seg(uint8_t *h, const struct seg *g)
{
	static const uint8_t six[16] = {0x20, 1, 0xd, 0xb8};
	struct addr src = {.family = 4, .b = {10, 0, 0, 1}}, dst = {.family = 4, .b = {10, 0, 0, 2}};
	uint32_t ip = g->v6 ? IP6_HEADER : IP4_HEADER;
	uint8_t proto = g->udp ? IP_UDP : IP_TCP, *t = h + ip;

	if (g->v6)
		src = dst = addr_v6(six);
	uint32_t header = write_l4(t, g), len = header + g->payload;
	for (uint32_t i = 0; i < g->payload; i++)
		t[header + i] = (uint8_t)(g->seq + i * 7);
	if (g->v6)
		ip6_write(h, &src, &dst, proto, g->ttl, g->tos, len);
	else
		ip4_write(h, &src, &dst, proto, g->ttl, g->tos, ip + len, g->id, g->df);
	uint16_t sum = csum_fold(csum_add(csum_pseudo(&src, &dst, proto, len), t, len));
	sum = !sum && g->udp ? 0xffff : sum;
	memcpy(t + (g->udp ? 6 : 16), &sum, 2);
	if (g->bad_sum)
		t[header] ^= 0x20;
	if (g->bad_ip && !g->v6)
		h[10] ^= 1;
	return ip + len;
}

static uint32_t lay(const struct seg *segs, unsigned n)
{
	uint8_t *at = pkt_data(large);

	for (unsigned i = 0; i < n; i++) {
		at += FRONT;
		pieces[i].data = at;
		pieces[i].len = write_seg(at, &segs[i]);
		memcpy(copies[i], at, pieces[i].len);
		at += pieces[i].len + FRONT;
	}
	return (uint32_t)(at - pkt_data(large));
}

static bool right(const struct seg *g)
{
	return !g->bad_sum && !(g->bad_ip && !g->v6) && g->payload && (g->udp || (g->flags & ~PSH) == ACK);
}

/* May @b, the @nth, follow in a run that begins with @a and whose last is @last? */
static bool follows(const struct seg *a, const struct seg *last, const struct seg *b, unsigned nth)
{
	if (!right(b) || a->v6 != b->v6 || a->udp != b->udp || a->sport != b->sport || a->tos != b->tos || a->ttl != b->ttl || b->payload > a->payload)
		return false;
	if (!a->v6 && (a->df != b->df || (!a->df && b->id != (uint16_t)(a->id + nth))))
		return false;
	if (nth > 1 && last->payload != a->payload)
		return false;
	if (a->udp)
		return true;
	return !(last->flags & PSH) && a->options == b->options && a->ack == b->ack && a->window == b->window && (!a->options || a->ts == b->ts) &&
		b->seq == a->seq + nth * a->payload;
}

static unsigned model(const struct seg *s, unsigned n, bool udp)
{
	unsigned run = 1;

	if (!right(&s[0]) || (s[0].udp && !udp))
		return 1;
	while (run < n && follows(&s[0], &s[run - 1], &s[run], run))
		run++;
	return run;
}

static void collect(void *arg, struct pkt *p)
{
	(void)arg;
	out[n_out++] = p;
}

static void cut_again(struct pkt *p, unsigned first, unsigned n, bool df)
{
	n_out = 0;
	ck_assert(cut_segments(pool, p, collect, NULL));
	ck_assert_uint_eq(n_out, n);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *h = pkt_data(out[i]);
		ck_assert_uint_eq(out[i]->len, pieces[first + i].len);
		if (df && p->family == 4) { /* atomic: the identification says nothing */
			memcpy(h + 4, copies[first + i] + 4, 2);
			ip4_checksum(h);
		}
		ck_assert_mem_eq(h, copies[first + i], out[i]->len);
		pkt_free(pool, out[i]);
	}
}

static void one_round(const struct seg *segs, unsigned n, bool udp, unsigned *joined)
{
	struct gro_run how;
	bool taken = false;

	large->off = PKT_HEADROOM;
	large->len = lay(segs, n);
	for (unsigned i = 0, run; i < n; i += run) {
		run = gro_run(pieces + i, n - i, udp, &how);
		ck_assert_uint_eq(run, model(segs + i, n - i, udp));
		if (run == 1)
			continue;
		*joined += run;
		struct pkt *p = taken ? pkt_alloc_large(pool) : large;
		ck_assert(gro_join(p, pieces + i, run, &how));
		ck_assert_uint_eq(p->gso_size, segs[i].payload);
		ck_assert(p->csum_partial);
		cut_again(p, i, run, segs[i].df);
		if (taken)
			pkt_free(pool, p);
		taken = true;
	}
}

static struct seg first_of(bool v6, bool udp)
{
	return (struct seg){.seq = dice(2) ? 0xffffff00u : dice(1000000), .ack = 7, .payload = dice(4) ? 900 : 1 + dice(LONGEST), .ts = 99, .sport = 1000,
		.window = 500, .id = (uint16_t)(65530 + dice(10)), .flags = ACK, .tos = (uint8_t)dice(4), .ttl = 64, .v6 = v6, .udp = udp, .df = dice(4),
		.options = dice(2)};
}

static void disturb(struct seg *g)
{
	switch (dice(18)) {
	case 0: g->flags |= PSH; break;
	case 1: g->flags |= ECE; break;
	case 2: g->flags |= CWR; break;
	case 3: g->tos ^= 3; break; /* congestion experienced */
	case 4: g->seq++; break; /* a hole */
	case 5: g->seq--; break;
	case 6: g->ts++; break;
	case 7: g->ack++; break;
	case 8: g->window++; break;
	case 9: g->sport++; break;
	case 10: g->bad_sum = true; break;
	case 11: g->bad_ip = true; break;
	case 12: g->id++; break;
	case 13: g->ttl--; break;
	case 14: g->payload = 1 + dice(g->payload); break;
	case 15: g->options = !g->options; break;
	case 16: g->df = !g->df; break;
	default: g->payload = g->payload + 8 > LONGEST ? LONGEST : g->payload + 8;
	}
}

static unsigned streams(bool v6, bool udp, unsigned rounds)
{
	static struct seg segs[MAX];
	unsigned joined = 0;

	for (unsigned r = 0; r < rounds; r++) {
		unsigned n = 2 + dice(MAX - 2), odds = 1 + dice(60);
		struct seg g = first_of(v6, udp);
		for (unsigned i = 0; i < n; i++) {
			segs[i] = g;
			if (!dice(odds))
				disturb(&segs[i]);
			g.seq += segs[i].payload;
			g.id++;
		}
		if (dice(2))
			segs[n - 1].payload = 1 + dice(segs[n - 1].payload);
		one_round(segs, n, true, &joined);
	}
	return joined;
}

static void setup(void)
{
	pool = pkt_pool_new(256, 8);
	large = pkt_alloc_large(pool);
}

static void teardown(void)
{
	pkt_free(pool, large);
	pkt_pool_free(pool);
}

START_TEST(test_streams)
{
	seed = 77u + (unsigned)_i;
	ck_assert_uint_gt(streams(_i & 1, _i & 2, 700), 3000); /* and not all was left alone */
}
END_TEST

START_TEST(test_no_udp)
{
	struct seg segs[3] = {{.payload = 100, .sport = 1, .ttl = 64, .df = true, .udp = true}};
	struct gro_run how;

	segs[1] = segs[2] = segs[0];
	large->off = PKT_HEADROOM;
	(void)lay(segs, 3);
	ck_assert_uint_eq(gro_run(pieces, 3, false, &how), 1);
	ck_assert_uint_eq(gro_run(pieces, 3, true, &how), 3);
}
END_TEST

/* Nothing a peer writes makes us read past a piece. */
START_TEST(test_truncated)
{
	struct seg segs[2] = {{.payload = 50, .seq = 1, .sport = 1, .ttl = 64, .flags = ACK, .df = true, .v6 = _i & 1, .udp = _i & 2}};
	struct gro_run how;

	segs[1] = segs[0];
	segs[1].seq += 50;
	large->off = PKT_HEADROOM;
	(void)lay(segs, 2);
	for (uint32_t len = 1; len < pieces[0].len; len++) {
		uint8_t *exact = malloc(len);
		memcpy(exact, copies[0], len);
		struct gro_piece cut[2] = {{exact, len}, pieces[1]};
		ck_assert_uint_eq(gro_run(cut, 2, true, &how), 1);
		struct gro_piece late[2] = {pieces[0], {exact, len}};
		ck_assert_uint_eq(gro_run(late, 2, true, &how), 1);
		free(exact);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("gro_pieces");
	TCase *t = tcase_create("gro_pieces");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, test_streams, 0, 4);
	tcase_add_test(t, test_no_udp);
	tcase_add_loop_test(t, test_truncated, 0, 4);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
