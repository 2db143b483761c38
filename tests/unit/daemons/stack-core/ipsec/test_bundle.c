/* What RFC 4303 and 4301 ask beyond one packet and one SA: a receiver that lost 2^32 packets finds the number again (RFC 4303
 * appendix A3), padding for traffic flow confidentiality and dummy packets (2.6, 2.7), and bundles: ESP inside AH, in
 * transport adjacency and around tunnels (RFC 4301 section 4.1, appendix E of RFC 2401's SA bundles). */
#include "tests/unit/daemons/stack-core/ipsec/support.h"
#include "tests/support/check_main.h"

static struct packet k, clear;
static const uint64_t two32 = UINT64_C(1) << 32;

/* Packets that the receiver opens of @n, the sender being @ahead subspaces further. */
static unsigned opened(const struct suite *s, enum sa_mode mode, uint64_t ahead, unsigned n, unsigned *ret_first)
{
	struct sa_params in = suite_params(s, mode, 4), out = in;
	unsigned good = 0;
	struct loop l;

	in.esn = out.esn = true;
	in.first_seq = two32 + 1000;
	out.first_seq = in.first_seq + ahead * two32;
	loop_open(&l, &in, &out);
	*ret_first = n;
	for (unsigned i = 0; i < n; i++) {
		packet_ip(&k, 4, 40 + i % 60);
		packet_copy(&clear, &k);
		ck_assert_uint_eq(loop_out(&l, &k), 0);
		unsigned drop = loop_in(&l, &k);
		if (drop) {
			ck_assert_uint_eq(drop, DROP_ESP_AUTH);
			continue;
		}
		ck_assert_uint_eq(k.p.len, clear.p.len);
		ck_assert(!memcmp(pkt_data(&k.p), pkt_data(&clear.p), clear.p.len));
		*ret_first = good++ ? *ret_first : i;
	}
	if (good)
		ck_assert_uint_eq(replay_last(&l.t->in->replay), out.first_seq + n);
	loop_close(&l);
	return good;
}

START_TEST(resynchronisation)
{
	const struct suite *s = &suites[_i >> 1];
	enum sa_mode mode = _i & 1 ? SA_TRANSPORT : SA_TUNNEL;
	unsigned first;

	ck_assert_uint_eq(opened(s, mode, 0, 10, &first), 10);
	for (uint64_t ahead = 1; ahead <= 4; ahead++) {
		ck_assert_uint_eq(opened(s, mode, ahead, 100, &first), 36); /* after 64 failures, and then all */
		ck_assert_uint_eq(first, 64);
	}
	ck_assert_uint_eq(opened(s, mode, 5, 300, &first), 0); /* too far: a new SA is due */
}
END_TEST

/* A stranger's packets do not move the window, and the next good one is opened. */
START_TEST(garbage_does_not_resynchronise)
{
	struct sa_params p = suite_params(&suites[_i], SA_TUNNEL, 4);
	struct loop l;

	p.esn = true;
	p.first_seq = 7 * two32 + 99;
	loop_open(&l, &p, &p);
	for (unsigned i = 0; i < 500; i++) {
		packet_ip(&k, 4, 80);
		ck_assert_uint_eq(loop_out(&l, &k), 0);
		pkt_data(&k.p)[k.p.len - 1] ^= (uint8_t)(1 + i % 255);
		ck_assert_uint_eq(loop_in(&l, &k), DROP_ESP_AUTH);
	}
	ck_assert_uint_eq(replay_last(&l.t->in->replay), p.first_seq);
	packet_ip(&k, 4, 80);
	ck_assert_uint_eq(loop_out(&l, &k), 0);
	ck_assert_uint_eq(loop_in(&l, &k), 0);
	ck_assert_uint_eq(replay_last(&l.t->in->replay), p.first_seq + 501);
	loop_close(&l);
}
END_TEST

/* NULL encryption: the test can write what stands inside, and sums the ICV with the outbound SA's key. */
static void reseal(struct loop *l, struct packet *p)
{
	const struct sa *sa = l->t->out;
	uint8_t *esp = pkt_data(&p->p) + 20;
	uint32_t covered = p->p.len - 20 - sa->icv_len;
	struct crypto_worker *c = crypto_worker_new(1);
	struct crypto_job job = {.key = sa->key, .base = esp, .icv = esp + covered, .hash_len = covered, .encrypt = true};

	ck_assert_uint_eq(crypto_run(c, &job, 1), 0);
	crypto_worker_free(c);
}

static const struct suite null_sha = {SA_ESP, CIPHER_NULL, 0, AUTH_HMAC_SHA2_256_128};

/* A packet of @inner and @tfc bytes of padding behind it, next header @next. */
static unsigned receive(struct loop *l, uint32_t inner, uint32_t tfc, uint8_t next)
{
	packet_ip(&k, 4, inner + tfc); /* of the right length for the trailer */
	put16(pkt_data(&k.p) + 2, (uint16_t)(inner + tfc));
	iphdr_checksum(pkt_data(&k.p), 20);
	ck_assert_uint_eq(loop_out(l, &k), 0);
	uint8_t *ip = pkt_data(&k.p) + 20 + 8;
	put16(ip + 2, (uint16_t)inner);
	iphdr_checksum(ip, 20);
	k.buf[k.p.off + k.p.len - l->t->out->icv_len - 1] = next;
	reseal(l, &k);
	return loop_in(l, &k);
}

START_TEST(padding_and_dummies)
{
	struct sa_params p = suite_params(&null_sha, SA_TUNNEL, 4);
	struct sa_counters sum;
	struct loop l;

	loop_open(&l, &p, &p);
	for (uint32_t tfc = 0; tfc < 1200; tfc += tfc < 20 ? 1 : 97) {
		ck_assert_uint_eq(receive(&l, 60, tfc, 4), 0);
		ck_assert_uint_eq(k.p.len, 60); /* RFC 4303 2.7: the IP length says where it ends */
		ck_assert_uint_eq(receive(&l, 60, tfc, 59), DROP_ESP_DUMMY);
	}
	ck_assert_uint_eq(receive(&l, 60, 4, 41), DROP_ESP_INNER);
	ck_assert_uint_eq(receive(&l, 60, 4, 17), DROP_ESP_INNER);
	ck_assert_uint_eq(receive(&l, 19, 41, 4), DROP_ESP_INNER); /* shorter than its header */
	sa_sum(l.t->in, &sum);
	ck_assert_uint_eq(sum.malformed, 3); /* a dummy is no fault */
	ck_assert_uint_eq(sum.auth_failed, 0);
	loop_close(&l);
}
END_TEST

static struct tunnel *second(struct loop *l, const struct sa_params *p)
{
	struct sa *in, *out;
	struct tunnel *t;
	struct errbuf err = {""};

	ck_assert_int_eq(sa_new(p, true, 1, &err, &in), 0);
	ck_assert_int_eq(sa_new(p, false, 1, &err, &out), 0);
	ck_assert_msg(sadb_add(l->db, 'M', "second", in, out, true, &err, &t) == 0, "%s", err.text);
	return t;
}

struct bundle {
	struct suite inner, outer;
	enum sa_mode inner_mode, outer_mode;
};
static const struct bundle bundles[] = {
	/* transport adjacency, ESP first and AH around it */
	{{SA_ESP, CIPHER_AES_GCM, 20, AUTH_NONE}, {SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96}, SA_TRANSPORT, SA_TRANSPORT},
	{{SA_ESP, CIPHER_AES_CBC, 16, AUTH_HMAC_SHA1_96}, {SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA2_256_128}, SA_TRANSPORT, SA_TRANSPORT},
	{{SA_ESP, CIPHER_3DES_CBC, 24, AUTH_HMAC_SHA1_96}, {SA_AH, CIPHER_NULL, 0, AUTH_AES128_XCBC_96}, SA_TRANSPORT, SA_TRANSPORT},
	/* an ESP tunnel whose outer header AH protects */
	{{SA_ESP, CIPHER_CHACHA20_POLY1305, 36, AUTH_NONE}, {SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA2_512_256}, SA_TUNNEL, SA_TRANSPORT},
	/* iterated tunnels, both orders */
	{{SA_AH, CIPHER_NULL, 0, AUTH_HMAC_SHA1_96}, {SA_ESP, CIPHER_AES_GCM, 36, AUTH_NONE}, SA_TUNNEL, SA_TUNNEL},
	{{SA_ESP, CIPHER_AES_GCM, 20, AUTH_NONE}, {SA_ESP, CIPHER_AES_CBC, 32, AUTH_HMAC_SHA2_256_128}, SA_TUNNEL, SA_TUNNEL},
};
enum { BUNDLES = sizeof(bundles) / sizeof(bundles[0]) };

START_TEST(bundles_open_layer_by_layer)
{
	const struct bundle *b = &bundles[_i >> 2];
	uint8_t family = _i & 1 ? 6 : 4, outer = _i & 2 ? 6 : 4;
	struct sa_params p = suite_params(&b->inner, b->inner_mode, outer), q = suite_params(&b->outer, b->outer_mode, outer);
	struct loop l;

	q.spi = 0x2000;
	p.esn = true;
	loop_open(&l, &p, &p);
	struct tunnel *t = second(&l, &q);
	for (uint32_t len = 60; len < 1300; len += 61) {
		struct pkt *one = &k.p;
		packet_ip(&k, family, len);
		packet_copy(&clear, &k);
		ck_assert_uint_eq(loop_out(&l, &k), 0);
		ipsec_out(l.w, &one, &t->out, 1);
		ck_assert_uint_eq(k.p.drop, 0);
		ck_assert_uint_eq(k.p.proto, b->outer.proto);
		ck_assert_uint_eq(loop_in(&l, &k), 0);
		ck_assert_uint_eq(k.p.sa_in, t->index + 1);
		ck_assert_uint_ne(k.p.len, clear.p.len); /* still one layer */
		ck_assert_uint_eq(loop_in(&l, &k), 0);
		ck_assert_uint_eq(k.p.sa_in, l.t->index + 1);
		ck_assert_uint_eq(k.p.len, clear.p.len);
		ck_assert(!memcmp(pkt_data(&k.p), pkt_data(&clear.p), clear.p.len));
	}
	loop_close(&l);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack-core/ipsec/bundle");
	TCase *c = tcase_create("bundle");
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, resynchronisation, 0, SUITES * 2);
	tcase_add_loop_test(c, garbage_does_not_resynchronise, 0, SUITES);
	tcase_add_test(c, padding_and_dummies);
	tcase_add_loop_test(c, bundles_open_layer_by_layer, 0, BUNDLES * 4);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
