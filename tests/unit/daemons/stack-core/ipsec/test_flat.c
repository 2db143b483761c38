/* Batches of several SAs: those that alternate are put in order, each packet leaves with its own SA's SPI and the next of
 * its numbers, and each SA counts its own packets, its own failures and its own replays; for the short way of AES-GCM
 * (esp_flat.c) as for the long one. */
#include "tests/unit/daemons/stack-core/ipsec/support.h"
#include "tests/support/check_main.h"

enum { SAS = 5, EACH = 12, N = SAS * EACH, LEN = 80 };

/* Which suite, and whether the short way is open to it. */
static const struct {
	unsigned suite;
	uint8_t outer;
} ways[] = {{0, 4}, {2, 4}, {0, 6}, {3, 4}, {7, 4}};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static struct packet many[N], clear[N];
static struct pkt *batch[N];
static struct tunnel *tunnels[SAS];
static struct loop l;

static void open_all(int way, bool esn)
{
	struct sa_params p = suite_params(&suites[ways[way].suite], SA_TUNNEL, ways[way].outer);
	struct sa *in, *out;

	p.esn = esn;
	loop_open(&l, &p, &p);
	tunnels[0] = l.t;
	for (unsigned i = 1; i < SAS; i++) {
		char name[] = {'s', (char)('0' + i), 0};
		p.spi = 0x1000 + 40 * i; /* the last is equal to the first in its lower bits */
		p.key[0] = (uint8_t)i;
		ck_assert_int_eq(sa_new(&p, true, 1, NULL, &in), 0);
		ck_assert_int_eq(sa_new(&p, false, 1, NULL, &out), 0);
		ck_assert_int_eq(sadb_add(l.db, 'M', name, in, out, true, NULL, &tunnels[i]), 0);
	}
}

/* Packet i belongs to SA i mod SAS, and says who it is. */
static void seal_all(void)
{
	struct sa *sas[N];

	for (unsigned i = 0; i < N; i++) {
		packet_ip(&many[i], 4, LEN);
		pkt_data(&many[i].p)[LEN - 1] = (uint8_t)i;
		packet_copy(&clear[i], &many[i]);
		batch[i] = &many[i].p;
		sas[i] = tunnels[i % SAS]->out;
	}
	ipsec_out(l.w, batch, sas, N);
}

static uint8_t *esp_of(unsigned i)
{
	return pkt_data(&many[i].p) + many[i].p.l4_off;
}

START_TEST(each_packet_gets_its_own_sa)
{
	open_all(_i, false);
	seal_all();
	for (unsigned i = 0; i < N; i++) {
		ck_assert_uint_eq(many[i].p.drop, 0);
		ck_assert_uint_eq(get32(esp_of(i)), tunnels[i % SAS]->out->spi);
		ck_assert_uint_eq(get32(esp_of(i) + 4), i / SAS + 1); /* the order inside an SA is kept */
	}
	for (unsigned i = 0; i < SAS; i++) {
		struct sa_counters c;
		sa_sum(tunnels[i]->out, &c);
		ck_assert_uint_eq(c.packets, EACH);
		ck_assert_uint_eq(c.bytes, EACH * many[i].p.len);
		ck_assert_uint_eq(atomic_load(&tunnels[i]->out->seq), EACH);
	}
	loop_close(&l);
}
END_TEST

START_TEST(each_packet_comes_from_its_own_sa)
{
	open_all(_i, false);
	seal_all();
	uint64_t bytes = EACH * many[0].p.len;
	ipsec_in(l.w, batch, N);
	for (unsigned i = 0; i < N; i++) {
		ck_assert_uint_eq(many[i].p.drop, 0);
		ck_assert_uint_eq(many[i].p.sa_in, tunnels[i % SAS]->index + 1);
		ck_assert_uint_eq(many[i].p.len, LEN);
		ck_assert(!memcmp(pkt_data(&many[i].p), pkt_data(&clear[i].p), LEN));
	}
	for (unsigned i = 0; i < SAS; i++) {
		struct sa_counters c;
		sa_sum(tunnels[i]->in, &c);
		ck_assert_uint_eq(c.packets, EACH);
		ck_assert_uint_eq(c.bytes, bytes);
		ck_assert_uint_eq(c.auth_failed + c.replayed + c.malformed, 0);
		ck_assert_uint_eq(tunnels[i]->in->replay.last, EACH);
	}
	loop_close(&l);
}
END_TEST

/* SA number s: its first s packets were changed on their way. */
START_TEST(each_sa_counts_what_was_tampered_with)
{
	open_all(_i >> 1, _i & 1);
	seal_all();
	for (unsigned i = 0; i < N; i++) {
		if (i / SAS < i % SAS)
			pkt_data(&many[i].p)[many[i].p.len - 1] ^= 0x80;
	}
	ipsec_in(l.w, batch, N);
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(many[i].p.drop, i / SAS < i % SAS ? DROP_ESP_AUTH : 0);
	for (unsigned i = 0; i < SAS; i++) {
		struct sa_counters c;
		sa_sum(tunnels[i]->in, &c);
		ck_assert_uint_eq(c.auth_failed, i);
		ck_assert_uint_eq(c.packets, EACH - i);
		ck_assert_uint_eq(c.replayed + c.malformed, 0);
	}
	loop_close(&l);
}
END_TEST

/* All of them once more in one batch: each SA counts its own. */
START_TEST(each_sa_counts_its_replays)
{
	static struct packet again[N];
	struct sa_counters c;

	open_all(_i, false);
	seal_all();
	for (unsigned i = 0; i < N; i++)
		packet_copy(&again[i], &many[i]);
	ipsec_in(l.w, batch, N);
	for (unsigned i = 0; i < N; i++)
		batch[i] = &again[i].p;
	ipsec_in(l.w, batch, N);
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(again[i].p.drop, DROP_ESP_REPLAY);
	for (unsigned i = 0; i < SAS; i++) {
		sa_sum(tunnels[i]->in, &c);
		ck_assert_uint_eq(c.packets, EACH);
		ck_assert_uint_eq(c.replayed, EACH);
		ck_assert_uint_eq(c.auth_failed, 0);
	}
	loop_close(&l);
}
END_TEST

/* Each of them twice in one batch: both pass the first look, one the second. */
START_TEST(each_sa_counts_its_twins)
{
	static struct packet again[N];
	struct pkt *both[2 * N];
	struct sa_counters c;

	open_all(_i, false);
	seal_all();
	for (unsigned i = 0; i < N; i++) {
		packet_copy(&again[i], &many[i]);
		both[2 * i] = &many[i].p;
		both[2 * i + 1] = &again[i].p;
	}
	ipsec_in(l.w, both, 2 * N);
	for (unsigned i = 0; i < N; i++) {
		ck_assert_uint_eq(many[i].p.drop, 0);
		ck_assert_uint_eq(again[i].p.drop, DROP_ESP_REPLAY);
	}
	for (unsigned i = 0; i < SAS; i++) {
		sa_sum(tunnels[i]->in, &c);
		ck_assert_uint_eq(c.packets, EACH);
		ck_assert_uint_eq(c.replayed, EACH);
	}
	loop_close(&l);
}
END_TEST

/* What a peer may put behind a right ICV: @len bytes at @inside are encrypted as they are. */
static unsigned open_made(const uint8_t *inside, uint32_t len, uint8_t tos)
{
	static struct crypto_worker *crypto;
	static struct packet k;
	const struct sa *sa = tunnels[0]->out;
	uint8_t d[BUF] = {0x45, tos};
	struct crypto_job job = {.key = sa->key,
		.base = d + 20,
		.icv = d + 36 + len,
		.aad = d + 20,
		.aad_len = 8,
		.cipher_off = 16,
		.cipher_len = len,
		.encrypt = true};

	if (!crypto)
		crypto = crypto_worker_new(0);
	put16(d + 2, (uint16_t)(36 + len + 16));
	d[8] = 64;
	d[9] = SA_ESP;
	memcpy(d + 12, sa_outside(sa)->src.b, 4);
	memcpy(d + 16, sa_outside(sa)->dst.b, 4);
	iphdr_checksum(d, 20);
	put32(d + 20, sa->spi);
	put32(d + 24, (uint32_t)atomic_fetch_add(&tunnels[0]->out->seq, 1) + 1);
	memcpy(job.iv, sa->salt, CRYPTO_SALT); /* its IV is 0, of which this SA is far */
	memcpy(d + 36, inside, len);
	ck_assert_uint_eq(crypto_run(crypto, &job, 1), 0);
	packet_set(&k, d, 36 + len + 16);
	return loop_in(&l, &k);
}

START_TEST(what_is_behind_a_right_icv)
{
	struct sa_counters c;
	static struct packet inner;

	open_all(0, false);
	packet_ip(&inner, 4, LEN);
	uint8_t d[LEN + 32] = {0};
	memcpy(d, pkt_data(&inner.p), LEN);
	memcpy(d + LEN, "\1\2\2\4", 4);
	ck_assert_uint_eq(open_made(d, LEN + 4, 0), 0);
	d[LEN + 1] = 3; /* pad bytes are 1, 2, ... */
	ck_assert_uint_eq(open_made(d, LEN + 4, 0), DROP_ESP_PADDING);
	d[LEN + 2] = 255; /* more than there is */
	ck_assert_uint_eq(open_made(d, LEN + 4, 0), DROP_ESP_PADDING);
	memcpy(d + LEN, "\1\2\2\x63", 4);
	ck_assert_uint_eq(open_made(d, LEN + 4, 0), DROP_ESP_INNER);
	memcpy(d + LEN, "\1\2\2\x29", 4); /* it says IPv6 */
	ck_assert_uint_eq(open_made(d, LEN + 4, 0), DROP_ESP_INNER);
	memcpy(d + LEN, "\1\2\2\4", 4);
	ck_assert_uint_eq(open_made(d + 4, LEN, 0), DROP_ESP_INNER); /* no header */
	iphdr_set_tos(d, 0);
	ck_assert_uint_eq(open_made(d, LEN + 4, 3), DROP_ESP_ECN);
	sa_sum(tunnels[0]->in, &c);
	ck_assert_uint_eq(c.malformed, 6);
	memcpy(d + LEN, "\1\2\2\x3b", 4);
	ck_assert_uint_eq(open_made(d, LEN + 4, 0), DROP_ESP_DUMMY);
	memset(d + LEN, 0, 16); /* padding for traffic flow confidentiality */
	memcpy(d + LEN + 16, "\1\2\2\4", 4);
	ck_assert_uint_eq(open_made(d, LEN + 20, 0), 0);
	sa_sum(tunnels[0]->in, &c);
	ck_assert_uint_eq(c.malformed, 6);
	ck_assert_uint_eq(c.packets, 9);
	ck_assert_uint_eq(c.auth_failed + c.replayed, 0);
	loop_close(&l);
}
END_TEST

/* One packet that has no SA any more, and one whose SA is spent, do not take the others with them. */
START_TEST(others_are_not_held_up)
{
	open_all(_i, false);
	sadb_activate(tunnels[1], false);
	atomic_store(&tunnels[3]->out->expired, true);
	seal_all();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(many[i].p.drop, i % SAS == 1 ? DROP_ESP_OUT_NO_SA : i % SAS == 3 ? DROP_ESP_EXPIRED : 0);
	ck_assert_uint_eq(atomic_load(&tunnels[1]->out->seq) + atomic_load(&tunnels[3]->out->seq), 0);
	for (unsigned i = 0; i < N; i++)
		many[i].p.drop = 0;
	atomic_store(&tunnels[4]->in->expired, true);
	struct pkt *rest[N];
	unsigned n = 0;
	for (unsigned i = 0; i < N; i++) {
		if (i % SAS != 1 && i % SAS != 3)
			rest[n++] = &many[i].p;
	}
	ipsec_in(l.w, rest, n);
	for (unsigned i = 0; i < N; i++) {
		if (i % SAS != 1 && i % SAS != 3)
			ck_assert_uint_eq(many[i].p.drop, i % SAS == 4 ? DROP_ESP_EXPIRED : 0);
	}
	loop_close(&l);
}
END_TEST

/* A hard lifetime in bytes ends an SA in its own batch, whichever way its packets go. */
START_TEST(a_lifetime_ends)
{
	open_all(_i, false);
	tunnels[2]->out->hard_bytes = tunnels[0]->in->hard_bytes = 500;
	seal_all();
	ck_assert(atomic_load(&tunnels[2]->out->expired));
	ck_assert(!atomic_load(&tunnels[1]->out->expired));
	ipsec_in(l.w, batch, N);
	ck_assert(atomic_load(&tunnels[0]->in->expired));
	ck_assert(!atomic_load(&tunnels[1]->in->expired));
	loop_close(&l);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/flat");
	TCase *c = tcase_create("several SAs");
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, others_are_not_held_up, 0, WAYS);
	tcase_add_loop_test(c, each_sa_counts_what_was_tampered_with, 0, 2 * WAYS);
	tcase_add_loop_test(c, each_sa_counts_its_replays, 0, WAYS);
	tcase_add_loop_test(c, each_sa_counts_its_twins, 0, WAYS);
	tcase_add_test(c, what_is_behind_a_right_icv);
	tcase_add_loop_test(c, a_lifetime_ends, 0, WAYS);
	tcase_add_loop_test(c, each_packet_gets_its_own_sa, 0, WAYS);
	tcase_add_loop_test(c, each_packet_comes_from_its_own_sa, 0, WAYS);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
