/* AH over ESP of one tunnel (ipsec/bundle.c): what is refused first; then the wire, sizes, numbers. */
#include "tests/unit/daemons/stack-core/ipsec/support.h"
#include "tests/support/check_main.h"

static struct packet k, kept, clear;

struct kind {
	struct suite esp;
	enum crypto_auth ah;
};
static const struct kind kinds[] = {
	{{SA_ESP, CIPHER_AES_CBC, 16, AUTH_AH}, AUTH_HMAC_SHA1_96},
	{{SA_ESP, CIPHER_AES_CBC, 32, AUTH_AH}, AUTH_HMAC_SHA2_256_128},
	{{SA_ESP, CIPHER_3DES_CBC, 24, AUTH_AH}, AUTH_AES128_XCBC_96},
	{{SA_ESP, CIPHER_AES_GCM, 20, AUTH_NONE}, AUTH_HMAC_SHA2_512_256},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void params(const struct kind *kind, enum sa_mode mode, uint8_t outer, struct sa_params *esp, struct sa_params *ah)
{
	const struct suite over = {SA_AH, CIPHER_NULL, 0, kind->ah};

	*esp = suite_params(&kind->esp, mode, outer);
	*ah = suite_params(&over, SA_TRANSPORT, outer);
	ah->spi = 0x2000;
	ah->src = esp->src;
	ah->dst = esp->dst;
	if (kind->esp.auth == AUTH_AH)
		esp->replay = 0;
}

static struct tunnel *add(struct loop *l, const char *name, const struct sa_params *esp, const struct sa_params *ah)
{
	struct errbuf err = {""};
	struct sa *in, *out;
	struct tunnel *t;

	ck_assert_msg(sa_new_bundle(esp, ah, true, 1, &err, &in) == 0, "%s", err.text);
	ck_assert_msg(sa_new_bundle(esp, ah, false, 1, &err, &out) == 0, "%s", err.text);
	ck_assert_msg(sadb_add(l->db, 'M', name, in, out, true, &err, &t) == 0, "%s", err.text);
	return t;
}

/* A database with a tunnel of @esp and @ah in place of loop_open's. */
static void open_pair(struct loop *l, const struct sa_params *esp, const struct sa_params *ah)
{
	struct sa_params any = suite_params(&suites[0], SA_TUNNEL, 4);

	loop_open(l, &any, &any);
	loop_close(l);
	l->t = add(l, "t", esp, ah);
}

START_TEST(refused_parameters)
{
	struct sa_params esp, ah, p, q;
	struct errbuf err = {""};
	struct sa *sa = NULL;

	params(&kinds[0], SA_TUNNEL, 4, &esp, &ah);
	ck_assert_int_lt(sa_new(&esp, true, 1, &err, &sa), 0); /* no integrity, no partner */
	ck_assert_int_lt(sa_new_bundle(&esp, NULL, true, 1, &err, &sa), 0);
	ck_assert_int_lt(sa_new_bundle(&ah, &esp, true, 1, &err, &sa), 0);
	p = esp, p.auth = AUTH_NONE;
	ck_assert_int_lt(sa_new_bundle(&p, &ah, true, 1, &err, &sa), 0);
	p = esp, p.replay = 64; /* numbers that nothing covers */
	ck_assert_int_lt(sa_new_bundle(&p, &ah, true, 1, &err, &sa), 0);
	p = esp, p.esn = true;
	ck_assert_int_lt(sa_new_bundle(&p, &ah, true, 1, &err, &sa), 0);
	p = esp, p.cipher = CIPHER_NULL, p.key_len = 0;
	ck_assert_int_lt(sa_new_bundle(&p, &ah, true, 1, &err, &sa), 0);
	p = esp, p.udp = true, p.sport = p.dport = 4500;
	ck_assert_int_lt(sa_new_bundle(&p, &ah, true, 1, &err, &sa), 0);
	q = ah, q.mode = SA_TUNNEL;
	ck_assert_int_lt(sa_new_bundle(&esp, &q, true, 1, &err, &sa), 0);
	q = ah, q.dst = test_addr(4, 103);
	ck_assert_int_lt(sa_new_bundle(&esp, &q, true, 1, &err, &sa), 0);
	q = ah, q.auth = AUTH_AH, q.auth_len = 0;
	ck_assert_int_lt(sa_new_bundle(&esp, &q, true, 1, &err, &sa), 0);
	ck_assert_ptr_null(sa);
}
END_TEST

/* The packet in k loses the header of @ah_len bytes behind its IP header of 20. */
static void strip_ah(struct packet *p, uint32_t ah_len)
{
	uint8_t *d = pkt_data(&p->p);

	memmove(d + ah_len, d, 20);
	p->p.off += ah_len;
	p->p.len -= ah_len;
	d += ah_len;
	d[9] = SA_ESP;
	put16(d + 2, (uint16_t)p->p.len);
	iphdr_checksum(d, 20);
}

/* Puts the AH of @sa over k. */
static void put_ah(struct loop *l, struct sa *sa)
{
	struct pkt *p = &k.p;

	p->drop = 0;
	ipsec_out(l->w, &p, &sa, 1);
	ck_assert_uint_eq(p->drop, 0);
}

START_TEST(only_both_together)
{
	enum sa_mode mode = _i & 1 ? SA_TRANSPORT : SA_TUNNEL;
	struct sa_params esp, ah, esp2, ah2;
	struct loop l;

	params(&kinds[_i >> 1], mode, 4, &esp, &ah);
	open_pair(&l, &esp, &ah);
	esp2 = esp, ah2 = ah;
	esp2.spi++, ah2.spi++;
	struct tunnel *other = add(&l, "other", &esp2, &ah2);
	uint32_t ah_len = sa_ah_len(l.t->out->over, 4);

	packet_ip(&k, 4, 100);
	ck_assert_uint_eq(loop_out(&l, &k), 0);
	packet_copy(&kept, &k);
	strip_ah(&k, ah_len);
	packet_copy(&clear, &k); /* its ESP */
	ck_assert_uint_eq(loop_in(&l, &k), DROP_BUNDLE_NO_AH);
	ck_assert_uint_eq(k.p.sa_in, 0);

	packet_copy(&k, &clear);
	put_ah(&l, other->out->over);
	ck_assert_uint_eq(loop_in(&l, &k), DROP_BUNDLE_MIXED);
	ck_assert_uint_eq(k.p.sa_in, 0);

	packet_ip(&k, 4, 100);
	if (mode == SA_TUNNEL) { /* between the two gateways */
		struct addr src = esp.src, dst = esp.dst;
		memcpy(pkt_data(&k.p) + 12, src.b, 4);
		memcpy(pkt_data(&k.p) + 16, dst.b, 4);
		iphdr_checksum(pkt_data(&k.p), 20);
	}
	put_ah(&l, l.t->out->over);
	ck_assert_uint_eq(loop_in(&l, &k), DROP_BUNDLE_NO_ESP);
	ck_assert_uint_eq(k.p.sa_in, 0);

	for (uint32_t at = 20; at < kept.p.len; at++) { /* every byte is covered by AH */
		packet_copy(&k, &kept);
		pkt_data(&k.p)[at] ^= 1;
		ck_assert_uint_ne(loop_in(&l, &k), 0);
		ck_assert_uint_eq(k.p.sa_in, 0);
	}
	for (uint32_t len = 0; len < kept.p.len; len++) {
		packet_copy(&k, &kept);
		k.p.len = len;
		ck_assert_uint_ne(loop_in(&l, &k), 0);
	}
	sadb_activate(l.t, false);
	packet_copy(&k, &kept);
	ck_assert_uint_eq(loop_in(&l, &k), DROP_ESP_NO_SA);
	sadb_activate(l.t, true);
	packet_copy(&k, &kept);
	ck_assert_uint_eq(loop_in(&l, &k), 0);
	ck_assert_uint_eq(k.p.sa_in, l.t->index + 1);
	packet_copy(&k, &kept);
	ck_assert_uint_eq(loop_in(&l, &k), DROP_ESP_REPLAY);
	loop_close(&l);
}
END_TEST

/* IP, AH, ESP; the sizes that sa_mtu and sa_overhead promise; both count. */
START_TEST(comes_back)
{
	const struct kind *kind = &kinds[_i >> 3];
	uint8_t family = _i & 1 ? 6 : 4, outer = _i & 2 ? 6 : 4;
	enum sa_mode mode = _i & 4 ? SA_TRANSPORT : SA_TUNNEL;
	struct sa_params esp, ah;
	struct sa_counters sum;
	uint64_t packets = 0;
	struct loop l;

	if (mode == SA_TRANSPORT)
		outer = family;
	params(kind, mode, outer, &esp, &ah);
	ah.esn = true;
	open_pair(&l, &esp, &ah);
	uint32_t header = outer == 6 ? 40 : 20, ah_len = sa_ah_len(l.t->out->over, outer);
	for (uint32_t len = 60; len < 1400; len += len < 120 ? 1 : 37, packets++) {
		packet_ip(&k, family, len);
		packet_copy(&clear, &k);
		ck_assert_uint_eq(loop_out(&l, &k), 0);
		const uint8_t *d = pkt_data(&k.p);
		ck_assert_uint_eq(d[outer == 6 ? 6 : 9], SA_AH);
		ck_assert_uint_eq(k.p.proto, SA_AH);
		ck_assert_uint_eq(d[header], SA_ESP);
		ck_assert_uint_eq(get32(d + header + 4), ah.spi);
		ck_assert_uint_eq(get32(d + header + ah_len), esp.spi);
		ck_assert_uint_le(k.p.len, len + sa_overhead(l.t->out, family));
		ck_assert_uint_ge(sa_mtu(l.t->out, k.p.len, family), len);
		ck_assert_uint_lt(sa_mtu(l.t->out, k.p.len - 1, family), len);
		ck_assert_uint_eq(loop_in(&l, &k), 0);
		ck_assert_uint_eq(k.p.sa_in, l.t->index + 1);
		ck_assert_uint_eq(k.p.len, len);
		ck_assert(!memcmp(pkt_data(&k.p), pkt_data(&clear.p), len));
	}
	const struct sa *all[] = {l.t->in, l.t->in->over, l.t->out, l.t->out->over};
	for (size_t i = 0; i < 4; i++) {
		sa_sum(all[i], &sum);
		ck_assert_uint_eq(atomic_load(&sum.packets), packets);
	}
	loop_close(&l);
}
END_TEST

/* One batch: tunnels with and without AH, and one that is refused between them. */
START_TEST(batches)
{
	enum { N = 200 };
	static struct packet many[N];
	struct pkt *pkts[N];
	struct sa *sas[N];
	struct sa_params esp, ah, plain = suite_params(&suites[0], SA_TUNNEL, 4);
	struct loop l;

	params(&kinds[0], SA_TUNNEL, 4, &esp, &ah);
	open_pair(&l, &esp, &ah);
	plain.spi = 0x3000;
	struct tunnel *alone = add(&l, "alone", &plain, NULL);
	for (unsigned i = 0; i < N; i++) {
		packet_ip(&many[i], 4, 60 + i);
		pkts[i] = &many[i].p;
		sas[i] = i % 7 == 3 ? NULL : i % 3 ? l.t->out : alone->out;
	}
	ipsec_out(l.w, pkts, sas, N);
	unsigned n = 0;
	for (unsigned i = 0; i < N; i++) {
		ck_assert_uint_eq(pkts[i]->drop, sas[i] ? 0 : DROP_ESP_OUT_NO_SA);
		if (sas[i])
			pkts[n++] = pkts[i];
	}
	ipsec_in(l.w, pkts, n);
	for (unsigned i = 0; i < N; i++) {
		if (!sas[i])
			continue;
		ck_assert_uint_eq(many[i].p.drop, 0);
		ck_assert_uint_eq(many[i].p.len, 60 + i);
		ck_assert_uint_eq(many[i].p.sa_in, (sas[i] == alone->out ? alone : l.t)->index + 1);
	}
	loop_close(&l);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/pair");
	TCase *c = tcase_create("pair");
	tcase_set_timeout(c, 60);
	tcase_add_test(c, refused_parameters);
	tcase_add_loop_test(c, only_both_together, 0, KINDS * 2);
	tcase_add_loop_test(c, comes_back, 0, KINDS * 8);
	tcase_add_test(c, batches);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
