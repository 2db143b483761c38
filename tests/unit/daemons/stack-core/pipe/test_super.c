/* Super-packets through ESP in UDP: what is sealed in one buffer opens again to the same segments, in one buffer or packet by packet by
 * the ordinary code; and damage, replay and strangers cost what is theirs alone. */
#include "daemons/stack-core/ip/checksum.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/worker.h"
#include "tests/support/check_main.h"
#include <string.h>
#include <urcu-qsbr.h>

enum { SEGMENTS = 60, MSS = 1300, ACK = 0x10, PSH = 8, SPI = 0x2001 };

struct kind {
	bool v6, udp, outer6;
	enum crypto_cipher cipher;
	enum crypto_auth auth;
	uint8_t key_len;
	bool esn;
};
static const struct kind kinds[] = {
	{false, false, false, CIPHER_AES_GCM, AUTH_NONE, 20, false},
	{true, false, false, CIPHER_AES_GCM, AUTH_NONE, 36, true},
	{false, false, true, CIPHER_AES_GCM, AUTH_NONE, 20, true},
	{false, true, false, CIPHER_AES_GCM, AUTH_NONE, 20, false},
	{true, true, true, CIPHER_AES_CBC, AUTH_HMAC_SHA2_256_128, 16, true},
	{false, false, false, CIPHER_AES_CBC, AUTH_HMAC_SHA1_96, 32, false},
	{false, false, false, CIPHER_NULL, AUTH_HMAC_SHA2_256_128, 0, false},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct stack *s;
static struct worker *w;
static struct tunnel *t;
static struct pkt *sealed[8], *cut[SEGMENTS + 8];
static unsigned n_sealed, n_cut;
static uint8_t want[SEGMENTS + 8][1600];
static uint32_t want_len[SEGMENTS + 8];
static unsigned n_want;

static struct addr addr(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static unsigned idle(void *arg, struct pkt_pool *pool, struct pkt **out, unsigned max)
{
	(void)arg, (void)pool, (void)out, (void)max;
	return 0;
}

static void ignore(void *arg, const struct pkt *p)
{
	(void)arg, (void)p;
}

static void tunnel_make(const struct kind *k)
{
	struct errbuf e;
	struct sa *in, *out;
	struct sa_params p = {.proto = SA_ESP, .mode = SA_TUNNEL, .spi = SPI, .cipher = k->cipher, .key_len = k->key_len, .auth = k->auth,
		.auth_len = crypto_auth_info(k->auth)->key, .esn = k->esn, .replay = 256, .udp = true, .sport = 4500, .dport = 4500,
		.src = addr(k->outer6 ? "2001:db8::2" : "192.0.2.2"), .dst = addr(k->outer6 ? "2001:db8::1" : "192.0.2.1")};

	for (unsigned i = 0; i < SA_KEY_MAX; i++)
		p.key[i] = p.auth_key[i] = (uint8_t)(i * 3 + 1);
	if (k->esn)
		p.first_seq = 0xfffffff0u; /* the first super-packet crosses 2^32 */
	ck_assert_msg(!sa_new(&p, true, 1, &e, &in), "%s", e.text);
	ck_assert_msg(!sa_new(&p, false, 1, &e, &out), "%s", e.text);
	ck_assert_int_eq(sadb_add(s->sadb, 'M', "t", in, out, true, &e, &t), 0);
}

static void setup(void)
{
	struct errbuf e;

	rcu_register_thread();
	s = stack_new("TEST", 1);
	s->n_links = 1;
	s->links[0].type = LINK_MEMORY;
	s->links[0].ethernet = true;
	s->links[0].addrs[0] = (struct prefix){addr("192.0.2.1"), 24};
	s->links[0].n_addrs = 1;
	s->links[0].gso = s->links[0].uso = true;
	s->links[0].memory = (struct link_memory){idle, ignore, NULL};
	ck_assert_int_eq(stack_open(s, &e), 0);
	s->host_link = 0; /* takes super-packets of UDP, too */
	w = s->workers[0];
	n_sealed = n_want = n_cut = 0;
}

static void teardown(void)
{
	stack_free(s);
	rcu_unregister_thread();
}

/* What the host hands over: @total bytes for the NIC to cut. */
static struct pkt *host_packet(const struct kind *k, uint32_t total)
{
	struct pkt *p = pkt_alloc_large(w->pool);
	struct addr src = addr(k->v6 ? "2001:db8:1::1" : "10.1.0.1"), dst = addr(k->v6 ? "2001:db8:2::1" : "10.2.0.1");
	uint8_t *h = pkt_data(p), proto = k->udp ? IP_UDP : IP_TCP;
	uint32_t ip = k->v6 ? IP6_HEADER : IP4_HEADER, header = k->udp ? 8 : 32, len = header + total;
	uint8_t *l4 = h + ip;

	memset(l4, 0, header);
	ip_put16(l4, 1000);
	ip_put16(l4 + 2, 80);
	if (k->udp) {
		ip_put16(l4 + 4, len);
	} else {
		ip_put32(l4 + 4, 0xffffff00u);
		l4[12] = 0x80;
		l4[13] = ACK | PSH;
	}
	for (uint32_t i = 0; i < total; i++)
		l4[header + i] = (uint8_t)(i * 31 + i / 255);
	p->len = ip + len;
	if (k->v6)
		ip6_write(h, &src, &dst, proto, 64, 2, len);
	else
		ip4_write(h, &src, &dst, proto, 64, 2, p->len, 77, true);
	ck_assert(ip_parse(p));
	uint16_t sum = (uint16_t)~csum_fold(csum_pseudo(&src, &dst, proto, len));
	p->csum_partial = true;
	p->csum_start = p->l4_off;
	p->csum_offset = k->udp ? 6 : 16;
	memcpy(l4 + p->csum_offset, &sum, 2);
	p->gso_size = MSS;
	p->gso_type = k->udp ? PKT_GSO_UDP_L4 : k->v6 ? PKT_GSO_TCP6 : PKT_GSO_TCP4;
	return p;
}

static void expect(void *arg, struct pkt *p)
{
	(void)arg;
	ck_assert_uint_lt(n_want, SEGMENTS + 8);
	want_len[n_want] = p->len;
	memcpy(want[n_want++], pkt_data(p), p->len);
	pkt_free(w->pool, p);
}

static void collect(void *arg, struct pkt *p)
{
	(void)arg;
	cut[n_cut++] = p;
}

static void emit(struct worker *of, struct pkt *out)
{
	ck_assert_ptr_eq(of, w);
	ck_assert_uint_eq(out->drop, 0);
	sealed[n_sealed++] = out;
}

static void seal(const struct kind *k, uint32_t total)
{
	struct pkt *p = host_packet(k, total);

	ck_assert(cut_segments(w->pool, p, expect, NULL));
	super_seal(w, p, t->out, emit);
	pkt_free(w->pool, p);
}

/* As the link gives it. */
static void arrive(struct pkt *p)
{
	ck_assert(p->gso_size && p->gso_type == PKT_GSO_UDP_L4 && p->csum_partial);
	ck_assert_uint_eq((p->len - p->l4_off - 8 + p->gso_size - 1) / p->gso_size <= 64, 1);
	p->sealed = false;
	ck_assert(ip_parse(p));
	ck_assert_uint_eq(p->dport, 4500);
	p->encap = true;
}

static void compare(const struct pkt *p, unsigned i)
{
	uint8_t *h = pkt_data(p);

	ck_assert_uint_eq(p->len, want_len[i]);
	if (p->family == 4) { /* atomic */
		memcpy(h + 4, want[i] + 4, 2);
		ip4_checksum(h);
	}
	ck_assert_mem_eq(h, want[i], p->len);
}

/* All that came out, cut again; how many segments. */
static unsigned cut_all(struct pkt **opened, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(opened[i]->drop, 0);
		ck_assert_uint_eq(opened[i]->sa_in, t->index + 1);
		if (opened[i]->gso_size) {
			ck_assert(cut_segments(w->pool, opened[i], collect, NULL));
			pkt_free(w->pool, opened[i]);
		} else {
			cut[n_cut++] = opened[i];
		}
	}
	return n_cut;
}

static void free_cut(void)
{
	while (n_cut)
		pkt_free(w->pool, cut[--n_cut]);
}

START_TEST(test_round_trip)
{
	const struct kind *k = &kinds[_i];
	struct pkt *out[ESP_SLOTS_MAX];

	tunnel_make(k);
	seal(k, 44 * MSS + 77);
	ck_assert_uint_le(n_sealed, 2);
	for (unsigned i = 0; i < n_sealed; i++) {
		arrive(sealed[i]);
		ck_assert(super_opens(w, sealed[i]));
		unsigned n = super_open(w, sealed[i], out);
		ck_assert_uint_eq(n, 1); /* and whole */
		(void)cut_all(out, n);
	}
	ck_assert_uint_eq(n_cut, n_want);
	for (unsigned i = 0; i < n_cut; i++)
		compare(cut[i], i);
	free_cut();
}
END_TEST

/* A peer that knows nothing of super-packets gets what it can open, and the other way round. */
START_TEST(test_ordinary_end)
{
	const struct kind *k = &kinds[_i];

	tunnel_make(k);
	seal(k, 30 * MSS + 5);
	for (unsigned i = 0; i < n_sealed; i++) {
		arrive(sealed[i]);
		ck_assert(cut_segments(w->pool, sealed[i], collect, NULL));
		pkt_free(w->pool, sealed[i]);
	}
	ck_assert_uint_eq(n_cut, n_want);
	ipsec_in(w->ipsec, cut, n_cut);
	for (unsigned i = 0; i < n_cut; i++) {
		ck_assert_uint_eq(cut[i]->drop, 0);
		ck_assert(ip_parse(cut[i]));
		compare(cut[i], i);
	}
	free_cut();
}
END_TEST

START_TEST(test_damage)
{
	const struct kind *k = &kinds[0];
	struct pkt *out[ESP_SLOTS_MAX];
	uint64_t bad = w->drops[DROP_ESP_AUTH];

	tunnel_make(k);
	seal(k, 30 * MSS);
	ck_assert_uint_eq(n_sealed, 1);
	arrive(sealed[0]);
	uint8_t *slots = pkt_data(sealed[0]) + sealed[0]->l4_off + 8;
	slots[(unsigned)_i * sealed[0]->gso_size + 40] ^= 1;
	(void)cut_all(out, super_open(w, sealed[0], out));
	ck_assert_uint_eq(w->drops[DROP_ESP_AUTH], bad + 1);
	ck_assert_uint_eq(n_cut, n_want - 1);
	for (unsigned i = 0; i < n_cut; i++)
		if (cut[i]->len == want_len[i < (unsigned)_i ? i : i + 1])
			compare(cut[i], i < (unsigned)_i ? i : i + 1);
	free_cut();
}
END_TEST

static struct pkt *copy_of(const struct pkt *p)
{
	struct pkt *c = pkt_alloc_large(w->pool);
	uint8_t *buf = c->buf;

	memcpy(buf, p->buf, p->size);
	*c = *p;
	c->buf = buf;
	return c;
}

START_TEST(test_replay)
{
	struct pkt *out[ESP_SLOTS_MAX];

	tunnel_make(&kinds[0]);
	seal(&kinds[0], 10 * MSS);
	arrive(sealed[0]);
	struct pkt *again = copy_of(sealed[0]);
	ck_assert_uint_eq(cut_all(out, super_open(w, sealed[0], out)), 10);
	ck_assert_uint_eq(super_open(w, again, out), 0);
	ck_assert_uint_eq(w->drops[DROP_ESP_REPLAY], 10);
	free_cut();
}
END_TEST

/* A few short datagrams fit an ordinary buffer, where a ring gives them: they are opened there. */
START_TEST(test_small)
{
	struct pkt *out[ESP_SLOTS_MAX], *p = pkt_alloc(w->pool);
	uint8_t *buf = p->buf;

	tunnel_make(&kinds[_i]);
	seal(&kinds[_i], MSS + 40);
	ck_assert_uint_eq(n_sealed, 1);
	ck_assert_uint_le(sealed[0]->len, PKT_SMALL - PKT_HEADROOM - PKT_TAILROOM);
	*p = *sealed[0];
	p->buf = buf;
	p->size = PKT_SMALL;
	p->off = PKT_HEADROOM;
	memcpy(pkt_data(p), pkt_data(sealed[0]), p->len);
	pkt_free(w->pool, sealed[0]);
	arrive(p);
	ck_assert(super_opens(w, p));
	ck_assert_uint_eq(super_open(w, p, out), 1);
	ck_assert_ptr_eq(out[0], p);
	ck_assert_uint_eq(out[0]->gso_size, MSS);
	ck_assert_uint_eq(cut_all(out, 1), 2);
	for (unsigned i = 0; i < n_cut; i++)
		compare(cut[i], i);
	free_cut();
}
END_TEST

/* Left to the ordinary path: strangers, what is not ESP, what is cut short. */
START_TEST(test_not_ours)
{
	tunnel_make(&kinds[0]);
	seal(&kinds[0], 10 * MSS);
	arrive(sealed[0]);
	struct pkt *p = sealed[0];
	uint8_t *first = pkt_data(p) + p->l4_off + 8, *last = first + 9u * p->gso_size;

	ck_assert(super_opens(w, p));
	last[3] ^= 1; /* another SPI in one of them */
	ck_assert(!super_opens(w, p));
	last[3] ^= 1;
	memset(first, 0, 4); /* IKE */
	ck_assert(!super_opens(w, p));
	ip_put32(first, SPI);
	uint32_t len = p->len;
	p->len = (uint32_t)(last - pkt_data(p)) + 11;
	ck_assert(!super_opens(w, p));
	p->len = p->l4_off + 8u;
	ck_assert(!super_opens(w, p));
	p->len = len;
	p->gso_size = 8;
	ck_assert(!super_opens(w, p));
	pkt_free(w->pool, p);
}
END_TEST

/* Any length of the last slot, down to nothing, is read within its bounds. */
START_TEST(test_truncated)
{
	struct pkt *out[ESP_SLOTS_MAX];

	tunnel_make(&kinds[0]);
	seal(&kinds[0], MSS + 40);
	arrive(sealed[0]);
	uint32_t whole = sealed[0]->l4_off + 8u + sealed[0]->gso_size;
	for (uint32_t len = whole + 12; len < sealed[0]->len; len++) {
		struct pkt *c = copy_of(sealed[0]);
		c->len = len;
		ip_put16(pkt_data(c) + 2, len);
		ip4_checksum(pkt_data(c));
		unsigned n = super_open(w, c, out);
		ck_assert_uint_le(n, 1); /* the first is good, once */
		(void)cut_all(out, n);
		free_cut();
	}
	pkt_free(w->pool, sealed[0]);
}
END_TEST

START_TEST(test_closed)
{
	struct pkt *p;

	tunnel_make(&kinds[0]);
	sadb_activate(t, false);
	p = host_packet(&kinds[0], 5 * MSS);
	struct pkt *out = pkt_alloc_large(w->pool);
	struct esp_slot slot = {.inner = pkt_data(out) + ipsec_slot_front(t->out)};
	slot.len = cut_segment(p, cut_header_len(p), 0, slot.inner);
	out->len = ipsec_slot_front(t->out) + slot.len + ipsec_slot_tail(t->out, slot.len);
	ck_assert_int_eq(ipsec_out_slots(w->ipsec, t->out, out, &slot, 1), DROP_ESP_OUT_NO_SA);
	sadb_activate(t, true);
	atomic_store(&t->out->expired, true);
	ck_assert_int_eq(ipsec_out_slots(w->ipsec, t->out, out, &slot, 1), DROP_ESP_EXPIRED);
	atomic_store(&t->out->expired, false);
	atomic_store(&t->out->seq, t->out->seq_limit);
	ck_assert_int_eq(ipsec_out_slots(w->ipsec, t->out, out, &slot, 1), DROP_ESP_OUT_SEQ);
	pkt_free(w->pool, out);
	pkt_free(w->pool, p);
}
END_TEST

static void emit_lost(struct worker *of, struct pkt *out)
{
	if (out->drop)
		pipe_drop(of, out, out->drop);
	else
		sealed[n_sealed++] = out;
}

/* What is dropped is as many packets as it would have been. */
START_TEST(test_drops_are_of_segments)
{
	tunnel_make(&kinds[0]);
	struct pkt *p = host_packet(&kinds[0], 48 * MSS + 7);
	atomic_store(&t->out->expired, true);
	super_seal(w, p, t->out, emit_lost);
	ck_assert_uint_eq(w->drops[DROP_ESP_EXPIRED], 49);
	ck_assert_uint_eq(n_sealed, 0);
	atomic_store(&t->out->expired, false);

	struct pkt *none = NULL; /* no buffer but for the first */
	for (struct pkt *l; (l = pkt_alloc_large(w->pool)); none = l)
		l->next = none;
	struct pkt *first = none;
	none = none->next;
	pkt_free(w->pool, first);
	super_seal(w, p, t->out, emit_lost);
	ck_assert_uint_eq(n_sealed, 1);
	arrive(sealed[0]);
	ck_assert_uint_eq(cut_packets(sealed[0]) + w->drops[DROP_IP_FRAG_ROOM], 49);
	while (none) {
		struct pkt *next = none->next;
		pkt_free(w->pool, none);
		none = next;
	}
	uint32_t in_one = cut_packets(sealed[0]);
	pipe_drop(w, sealed[0], DROP_LINK_TX);
	ck_assert_uint_eq(w->drops[DROP_LINK_TX], in_one);
	pipe_drop(w, p, DROP_IP_TTL);
	ck_assert_uint_eq(w->drops[DROP_IP_TTL], 49);
}
END_TEST

static Suite *suite(void)
{
	Suite *u = suite_create("super");
	TCase *c = tcase_create("super");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, test_round_trip, 0, KINDS);
	tcase_add_loop_test(c, test_ordinary_end, 0, KINDS);
	tcase_add_loop_test(c, test_damage, 0, 30);
	tcase_add_loop_test(c, test_small, 0, KINDS);
	tcase_add_test(c, test_replay);
	tcase_add_test(c, test_not_ours);
	tcase_add_test(c, test_truncated);
	tcase_add_test(c, test_closed);
	tcase_add_test(c, test_drops_are_of_segments);
	suite_add_tcase(u, c);
	return u;
}

RV_CHECK_MAIN(suite())
