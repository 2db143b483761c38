#include "lib/ike/crypto.h"
#include "lib/ike/keymat.h"
#include "lib/ike/natd.h"
#include "tests/support/check_main.h"
#include "tests/unit/lib/ike/vectors.h"
#include <string.h>

enum { SUITES = sizeof(kdf_vectors) / sizeof(kdf_vectors[0]) };

static void fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i * 13);
}

START_TEST(suites_that_are_refused)
{
	struct kex_offer o = {.enc = 7, .key_bits = 128, .hash = 2, .auth = 1, .group = 14}, bad;
	struct ike_suite s = {.enc = 99};

#define REFUSED(field, value)                                                                      \
	bad = o;                                                                                   \
	bad.field = value;                                                                         \
	ck_assert_int_eq(ike_suite_of(&bad, &s), -EPROTONOSUPPORT)
	REFUSED(enc, 0);
	REFUSED(enc, 2);
	REFUSED(key_bits, 0);
	REFUSED(key_bits, 127);
	REFUSED(key_bits, 512);
	REFUSED(hash, 0);
	REFUSED(hash, 3);
	REFUSED(hash, 7);
	REFUSED(auth, 0);
	REFUSED(auth, 2);
	REFUSED(auth, 65001);
	REFUSED(group, 0);
	REFUSED(group, 3);
	ck_assert_uint_eq(s.enc, 99);
	ck_assert_int_eq(ike_suite_of(&o, &s), 0);
	ck_assert_uint_eq(s.prf_len, 20);
	ck_assert_uint_eq(s.key_len, 16);
}
END_TEST

/* RFC 3566 section 4 and RFC 4434 section 5. */
START_TEST(xcbc_vectors)
{
	static const struct {
		size_t len;
		uint8_t mac[16];
	} macs[] = {{0, {0x75, 0xf0, 0x25, 0x1d, 0x52, 0x8a, 0xc0, 0x1c, 0x45, 0x73, 0xdf, 0xd5,
				0x84, 0xd7, 0x9f, 0x29}},
		{3, {0x5b, 0x37, 0x65, 0x80, 0xae, 0x2f, 0x19, 0xaf, 0xe7, 0x21, 0x9c, 0xee, 0xf1,
			    0x72, 0x75, 0x6f}},
		{16, {0xd2, 0xa2, 0x46, 0xfa, 0x34, 0x9b, 0x68, 0xa7, 0x99, 0x98, 0xa4, 0x39, 0x4f,
			     0xf7, 0xa2, 0x63}},
		{20, {0x47, 0xf5, 0x1b, 0x45, 0x64, 0x96, 0x62, 0x15, 0xb8, 0x98, 0x5c, 0x63, 0x05,
			     0x5e, 0xd3, 0x08}},
		{32, {0xf5, 0x4f, 0x0e, 0xc8, 0xd2, 0xb9, 0xf3, 0xd3, 0x68, 0x07, 0x73, 0x4b, 0xd5,
			     0x28, 0x3f, 0xd4}},
		{34, {0xbe, 0xcb, 0xb3, 0xbc, 0xcd, 0xb5, 0x18, 0xa3, 0x06, 0x77, 0xd5, 0x48, 0x1f,
			     0xb6, 0xb4, 0xd8}}};
	static const uint8_t prf10[16] = {0x0f, 0xa0, 0x87, 0xaf, 0x7d, 0x86, 0x6e, 0x76, 0x53,
		0x43, 0x4e, 0x60, 0x2f, 0xdd, 0xe8, 0x35};
	static const uint8_t prf18[16] = {0x8c, 0xd3, 0xc9, 0x3a, 0xe5, 0x98, 0xa9, 0x80, 0x30,
		0x06, 0xff, 0xb6, 0x7c, 0x40, 0xe9, 0xe4};
	uint8_t key[18], msg[34], out[16], split[16];

	for (uint8_t i = 0; i < 34; i++)
		msg[i] = i;
	memcpy(key, msg, 16);
	key[16] = 0xed;
	key[17] = 0xcb;
	for (size_t i = 0; i < sizeof(macs) / sizeof(macs[0]); i++) {
		ck_assert_int_eq(xcbc_mac(key, &IKE_PART(msg, macs[i].len), 1, out), 0);
		ck_assert_mem_eq(out, macs[i].mac, 16);
		for (size_t cut = 0; cut <= macs[i].len; cut++) {
			struct ike_part parts[] = {{msg, cut}, {msg + cut, macs[i].len - cut}};
			ck_assert_int_eq(xcbc_mac(key, parts, 2, split), 0);
			ck_assert_mem_eq(split, macs[i].mac, 16);
		}
	}
	ck_assert_int_eq(xcbc_prf(key, 16, &IKE_PART(msg, 20), 1, out), 0);
	ck_assert_mem_eq(out, macs[3].mac, 16);
	ck_assert_int_eq(xcbc_prf(key, 10, &IKE_PART(msg, 20), 1, out), 0);
	ck_assert_mem_eq(out, prf10, 16);
	ck_assert_int_eq(xcbc_prf(key, 18, &IKE_PART(msg, 20), 1, out), 0);
	ck_assert_mem_eq(out, prf18, 16);
}
END_TEST

struct inputs {
	uint8_t ni[16], nr[32], gxy[128], psk[21], gxi[128], gxr[128], sai[52], idi[8], idr[20],
		rest[77], gqm[128];
	struct ike_kex x;
};

static void make_inputs(struct inputs *in)
{
	memset(in, 0, sizeof(*in));
	fill(in->ni, sizeof(in->ni), 1);
	fill(in->nr, sizeof(in->nr), 2);
	fill(in->gxy, sizeof(in->gxy), 3);
	fill(in->psk, sizeof(in->psk), 4);
	fill(in->x.icookie, ISAKMP_COOKIE, 5);
	fill(in->x.rcookie, ISAKMP_COOKIE, 6);
	fill(in->gxi, sizeof(in->gxi), 7);
	fill(in->gxr, sizeof(in->gxr), 8);
	fill(in->sai, sizeof(in->sai), 9);
	fill(in->idi, sizeof(in->idi), 10);
	fill(in->idr, sizeof(in->idr), 11);
	fill(in->rest, sizeof(in->rest), 12);
	fill(in->gqm, sizeof(in->gqm), 14);
	in->x.ni = IKE_PART(in->ni, sizeof(in->ni));
	in->x.nr = IKE_PART(in->nr, sizeof(in->nr));
	in->x.gxi = IKE_PART(in->gxi, sizeof(in->gxi));
	in->x.gxr = IKE_PART(in->gxr, sizeof(in->gxr));
	in->x.gxy = IKE_PART(in->gxy, sizeof(in->gxy));
	in->x.psk = IKE_PART(in->psk, sizeof(in->psk));
	in->x.sai = IKE_PART(in->sai, sizeof(in->sai));
}

START_TEST(key_derivation_vectors)
{
	struct inputs in;
	struct ike_suite s;
	struct ike_skeys k;
	uint8_t iv[IKE_BLOCK_MAX];

	make_inputs(&in);
	ck_assert_int_eq(ike_suite_of(&kdf_vectors[_i].offer, &s), 0);
	ck_assert_int_eq(ike_skeys_derive(&s, &in.x, &k), 0);
	ck_assert_mem_eq(k.skeyid, kdf_vectors[_i].skeyid, s.prf_len);
	ck_assert_mem_eq(k.d, kdf_vectors[_i].d, s.prf_len);
	ck_assert_mem_eq(k.a, kdf_vectors[_i].a, s.prf_len);
	ck_assert_mem_eq(k.e, kdf_vectors[_i].e, s.prf_len);
	ck_assert_mem_eq(k.enc_key, kdf_vectors[_i].key, s.key_len);
	ck_assert_int_eq(ike_iv_phase1(&s, &in.x, iv), 0);
	ck_assert_mem_eq(iv, kdf_vectors[_i].iv, s.block);
	ck_assert_int_eq(ike_iv_exchange(&s, iv, 0x89abcdef, iv), 0);
	ck_assert_mem_eq(iv, kdf_vectors[_i].iv2, s.block);
	ike_skeys_wipe(&k);
	static const struct ike_skeys wiped;
	ck_assert_mem_eq(&k, &wiped, sizeof(k));
}
END_TEST

START_TEST(hash_vectors)
{
	struct inputs in;
	struct ike_suite s;
	struct ike_skeys k;
	uint8_t out[IKE_PRF_MAX];
	struct ike_part none = {NULL, 0}, rest;

	make_inputs(&in);
	rest = IKE_PART(in.rest, sizeof(in.rest));
	ck_assert_int_eq(ike_suite_of(&kdf_vectors[_i].offer, &s), 0);
	ck_assert_int_eq(ike_skeys_derive(&s, &in.x, &k), 0);
	ck_assert_int_eq(
		ike_auth_hash(&s, &k, &in.x, true, IKE_PART(in.idi, sizeof(in.idi)), out), 0);
	ck_assert_mem_eq(out, kdf_vectors[_i].hash_i, s.prf_len);
	ck_assert_int_eq(
		ike_auth_hash(&s, &k, &in.x, false, IKE_PART(in.idr, sizeof(in.idr)), out), 0);
	ck_assert_mem_eq(out, kdf_vectors[_i].hash_r, s.prf_len);
	ck_assert_int_eq(ike_hash12(&s, &k, 0x89abcdef, none, rest, out), 0);
	ck_assert_mem_eq(out, kdf_vectors[_i].hash1, s.prf_len);
	ck_assert_int_eq(ike_hash12(&s, &k, 0x89abcdef, in.x.ni, rest, out), 0);
	ck_assert_mem_eq(out, kdf_vectors[_i].hash2, s.prf_len);
	ck_assert_int_eq(ike_hash3(&s, &k, 0x89abcdef, in.x.ni, in.x.nr, out), 0);
	ck_assert_mem_eq(out, kdf_vectors[_i].hash3, s.prf_len);
	ck_assert(ike_hash_equal(&s, out, kdf_vectors[_i].hash3, s.prf_len));
	ck_assert(!ike_hash_equal(&s, out, kdf_vectors[_i].hash3, s.prf_len - 1u));
	ck_assert(!ike_hash_equal(&s, out, kdf_vectors[_i].hash2, s.prf_len));
}
END_TEST

START_TEST(keymat_vectors)
{
	struct inputs in;
	struct ike_suite s;
	struct ike_skeys k;
	uint8_t out[137];
	struct ike_part none = {NULL, 0};

	make_inputs(&in);
	ck_assert_int_eq(ike_suite_of(&kdf_vectors[_i].offer, &s), 0);
	ck_assert_int_eq(ike_skeys_derive(&s, &in.x, &k), 0);
	for (size_t len = 0; len <= 136; len++) {
		memset(out, 0xee, sizeof(out));
		ck_assert_int_eq(ike_keymat(&s, &k, IKE_PART(in.gqm, sizeof(in.gqm)), 3, 0x01234567,
					 in.x.ni, in.x.nr, out, len),
			0);
		ck_assert_mem_eq(out, kdf_vectors[_i].keymat_pfs, len);
		ck_assert_uint_eq(out[len], 0xee);
	}
	ck_assert_int_eq(ike_keymat(&s, &k, none, 3, 0x01234567, in.x.ni, in.x.nr, out, 44), 0);
	ck_assert_mem_eq(out, kdf_vectors[_i].keymat, 44);
}
END_TEST

START_TEST(cbc_chains_and_refuses_odd_lengths)
{
	struct ike_suite s;
	uint8_t key[32], iv[16], iv2[16], first[16], text[64], data[64];

	fill(key, sizeof(key), 50);
	fill(iv, sizeof(iv), 60);
	fill(text, sizeof(text), 70);
	ck_assert_int_eq(ike_suite_of(&kdf_vectors[_i].offer, &s), 0);
	memcpy(data, text, 64);
	memcpy(iv2, iv, 16);
	memcpy(first, iv, 16);
	for (size_t len = 0; len < 64; len++) {
		if (!len || len % s.block) {
			ck_assert_int_eq(ike_encrypt(&s, key, iv, data, len), -EINVAL);
			ck_assert_int_eq(ike_decrypt(&s, key, iv, data, len), -EINVAL);
		}
	}
	ck_assert_mem_eq(iv, first, 16);
	ck_assert_mem_eq(data, text, 64);
	ck_assert_int_eq(ike_encrypt(&s, key, iv, data, 32), 0);
	ck_assert_mem_eq(iv, data + 32 - s.block, s.block);
	ck_assert_int_eq(ike_encrypt(&s, key, iv, data + 32, 32), 0);
	ck_assert(memcmp(data, text, 64) != 0);
	ck_assert_int_eq(ike_decrypt(&s, key, iv2, data, 64), 0);
	ck_assert_mem_eq(data, text, 64);
	ck_assert_mem_eq(iv2, iv, s.block);
}
END_TEST

/* FIPS 81's example of DES-CBC: the key alone, without the legacy provider. */
START_TEST(des_is_des)
{
	static const struct kex_offer o = {.enc = 1, .hash = 2, .auth = 1, .group = 1};
	static const uint8_t key[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
	static const uint8_t want[8] = {0xe5, 0xc7, 0xcd, 0xde, 0x87, 0x2b, 0xf2, 0x7c};
	uint8_t iv[16] = {0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef}, data[9] = "Now is t";
	struct ike_suite s;

	ck_assert_int_eq(ike_suite_of(&o, &s), 0);
	ck_assert_int_eq(ike_encrypt(&s, key, iv, data, 8), 0);
	ck_assert_mem_eq(data, want, 8);
}
END_TEST

START_TEST(key_sizes)
{
	static const struct {
		uint8_t proto;
		uint16_t esp, bits, auth, enc_len, auth_len;
	} good[] = {{3, 2, 0, 1, 8, 16}, {3, 3, 0, 2, 24, 20}, {3, 11, 0, 2, 0, 20},
		{3, 12, 0, 9, 16, 16}, {3, 12, 128, 2, 16, 20}, {3, 12, 256, 5, 32, 32},
		{3, 12, 192, 6, 24, 48}, {3, 13, 128, 7, 20, 64}, {3, 20, 128, 0, 20, 0},
		{3, 20, 256, 0, 36, 0}, {3, 23, 128, 0, 20, 0}, {3, 16, 128, 0, 19, 0},
		{2, 0, 0, 1, 0, 16}, {2, 0, 0, 2, 0, 20}, {2, 0, 0, 5, 0, 32}, {2, 0, 0, 9, 0, 16},
		{2, 0, 0, 11, 0, 20}, {2, 0, 0, 13, 0, 36}},
	  bad[] = {{3, 0, 0, 2}, {3, 11, 0, 0}, {3, 12, 100, 2}, {3, 12, 129, 2}, {3, 12, 0, 3},
		  {3, 20, 128, 2}, {3, 20, 64, 0}, {3, 12, 0, 11}, {3, 3, 128, 2}, {2, 0, 0, 0},
		  {2, 12, 0, 2}, {1, 3, 0, 2}, {4, 3, 0, 2}, {3, 1, 0, 2}};
	uint16_t enc, auth;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(ike_key_sizes(bad[i].proto, bad[i].esp, bad[i].bits, bad[i].auth,
					 &enc, &auth),
			-EPROTONOSUPPORT);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(ike_key_sizes(good[i].proto, good[i].esp, good[i].bits,
					 good[i].auth, &enc, &auth),
			0);
		ck_assert_uint_eq(enc, good[i].enc_len);
		ck_assert_uint_eq(auth, good[i].auth_len);
	}
}
END_TEST

START_TEST(natd_vectors)
{
	struct inputs in;
	uint8_t out[IKE_HASH_MAX];
	struct addr a = {4, {192, 0, 2, 33}}, unset = {0};
	uint16_t hash = kdf_vectors[_i].offer.hash;

	make_inputs(&in);
	ck_assert_int_eq(natd_hash(hash, in.x.icookie, in.x.rcookie, &unset, 500, out), -EINVAL);
	ck_assert_int_eq(natd_hash(hash, in.x.icookie, in.x.rcookie, &a, 500, out), 0);
	ck_assert_mem_eq(out, kdf_vectors[_i].natd, ike_hash_len(hash));
}
END_TEST

struct natd_case {
	uint8_t hashes[3][20];
	struct isakmp_payloads p;
	struct isakmp_header h;
};

static const struct addr local = {4, {192, 0, 2, 1}}, remote = {4, {198, 51, 100, 7}};

static void natd_payloads(
	struct natd_case *c, const struct addr *dest, const struct addr *src, uint16_t port)
{
	memset(c, 0, sizeof(*c));
	fill(c->h.icookie, 8, 1);
	fill(c->h.rcookie, 8, 2);
	ck_assert_int_eq(natd_hash(2, c->h.icookie, c->h.rcookie, dest, 500, c->hashes[0]), 0);
	ck_assert_int_eq(natd_hash(2, c->h.icookie, c->h.rcookie, src, port, c->hashes[1]), 0);
	for (size_t i = 0; i < 3; i++)
		c->p.at[i] = (struct isakmp_payload){ISAKMP_NAT_D, NULL, c->hashes[i], 20};
	c->p.n = 2;
}

START_TEST(natd_judges)
{
	struct natd_case c;
	struct natd_result r = {0};
	struct ike_refusal why;
	struct addr private = {4, {10, 0, 0, 1}};

#define JUDGE() natd_judge(2, &c.h, &c.p, ISAKMP_NAT_D, &local, 500, &remote, 500, &r, &why)
	natd_payloads(&c, &local, &remote, 500);
	ck_assert_int_eq(JUDGE(), 0);
	ck_assert(!r.local && !r.remote);
	natd_payloads(&c, &private, &remote, 500);
	ck_assert_int_eq(JUDGE(), 0);
	ck_assert(r.local && !r.remote);
	natd_payloads(&c, &local, &private, 500);
	ck_assert_int_eq(JUDGE(), 0);
	ck_assert(!r.local && r.remote);
	natd_payloads(&c, &local, &remote, 501);
	ck_assert_int_eq(JUDGE(), 0);
	ck_assert(!r.local && r.remote);
	natd_payloads(&c, &local, &private, 500); /* a peer of two addresses */
	memcpy(c.hashes[2], c.hashes[1], 20);
	ck_assert_int_eq(natd_hash(2, c.h.icookie, c.h.rcookie, &remote, 500, c.hashes[2]), 0);
	c.p.n = 3;
	ck_assert_int_eq(JUDGE(), 0);
	ck_assert(!r.local && !r.remote);
	c.p.n = 1;
	ck_assert_int_eq(JUDGE(), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why.text, "rsn=2"));
	c.p.n = 2;
	c.p.at[1].len = 19;
	ck_assert_int_eq(JUDGE(), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why.text, "rsn=1"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("crypto");
	TCase *t = tcase_create("crypto");
	tcase_add_test(t, suites_that_are_refused);
	tcase_add_test(t, xcbc_vectors);
	tcase_add_loop_test(t, key_derivation_vectors, 0, SUITES);
	tcase_add_loop_test(t, hash_vectors, 0, SUITES);
	tcase_add_loop_test(t, keymat_vectors, 0, SUITES);
	tcase_add_loop_test(t, cbc_chains_and_refuses_odd_lengths, 0, SUITES);
	tcase_add_test(t, des_is_des);
	tcase_add_test(t, key_sizes);
	tcase_add_loop_test(t, natd_vectors, 0, SUITES);
	tcase_add_test(t, natd_judges);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
