/* NIST's vectors of IKEv1's key derivation (vectors/nist_ikev1.txt) against ours. */
#include "lib/ike/keymat.h"
#include "tests/support/check_main.h"
#include <stdio.h>
#include <string.h>

enum { LINE = 1024, VALUE = 256 };

struct value {
	uint8_t p[VALUE];
	size_t len;
};
struct vector {
	char auth[16], hash[16];
	struct value cky_i, cky_r, ni, nr, psk, gxy, skeyid, d, a, e;
};

static void hex(const char *text, struct value *v)
{
	v->len = 0;
	for (; text[0] && text[1]; text += 2) {
		unsigned byte;
		ck_assert_uint_lt(v->len, VALUE);
		ck_assert_int_eq(sscanf(text, "%2x", &byte), 1);
		v->p[v->len++] = (uint8_t)byte;
	}
	ck_assert_msg(!*text && v->len, "half a byte");
}

static void take(struct vector *v, const char *key, const char *text)
{
	const struct {
		const char *key;
		struct value *to;
	} all[] = {{"cky_i", &v->cky_i}, {"cky_r", &v->cky_r}, {"ni", &v->ni}, {"nr", &v->nr}, {"psk", &v->psk}, {"gxy", &v->gxy},
		{"skeyid", &v->skeyid}, {"skeyid_d", &v->d}, {"skeyid_a", &v->a}, {"skeyid_e", &v->e}};

	if (!strcmp(key, "auth") || !strcmp(key, "hash")) {
		(void)snprintf(key[0] == 'a' ? v->auth : v->hash, sizeof(v->auth), "%.15s", text);
		return;
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (!strcmp(key, all[i].key)) {
			hex(text, all[i].to);
			return;
		}
	ck_abort_msg("a line that begins with %s", key);
}

static struct ike_suite suite_of(const struct vector *v)
{
	static const struct {
		const char *text;
		uint16_t hash;
	} hashes[] = {{"sha1", IKE_HASH_SHA1}, {"sha2-256", IKE_HASH_SHA2_256}, {"sha2-384", IKE_HASH_SHA2_384}, {"sha2-512", IKE_HASH_SHA2_512}};
	struct kex_offer o = {.enc = IKE_ENC_AES, .key_bits = 128, .group = 2, .auth = strcmp(v->auth, "psk") ? IKE_AUTH_RSA_SIG : IKE_AUTH_PSK};
	struct ike_suite s;

	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++)
		if (!strcmp(v->hash, hashes[i].text))
			o.hash = hashes[i].hash;
	ck_assert_int_eq(ike_suite_of(&o, &s), 0);
	return s;
}

static void same(const struct value *want, const uint8_t *got, size_t len)
{
	ck_assert_uint_eq(want->len, len);
	ck_assert_mem_eq(want->p, got, len);
}

static void check(const struct vector *v)
{
	struct ike_suite s = suite_of(v);
	struct ike_kex x = {.ni = IKE_PART(v->ni.p, v->ni.len), .nr = IKE_PART(v->nr.p, v->nr.len), .gxy = IKE_PART(v->gxy.p, v->gxy.len),
		.psk = IKE_PART(v->psk.p, v->psk.len)};
	struct ike_skeys k = {0};

	ck_assert_uint_eq(v->cky_i.len, ISAKMP_COOKIE);
	ck_assert_uint_eq(v->cky_r.len, ISAKMP_COOKIE);
	memcpy(x.icookie, v->cky_i.p, ISAKMP_COOKIE);
	memcpy(x.rcookie, v->cky_r.p, ISAKMP_COOKIE);
	if (strcmp(v->auth, "chain")) {
		ck_assert_int_eq(ike_skeys_derive(&s, &x, &k), 0);
	} else {
		ck_assert_uint_eq(v->skeyid.len, s.prf_len);
		memcpy(k.skeyid, v->skeyid.p, s.prf_len);
		ck_assert_int_eq(ike_skeys_expand(&s, &x, &k), 0);
	}
	same(&v->skeyid, k.skeyid, s.prf_len);
	same(&v->d, k.d, s.prf_len);
	same(&v->a, k.a, s.prf_len);
	same(&v->e, k.e, s.prf_len);
	ck_assert_mem_eq(k.enc_key, v->e.p, s.key_len); /* it is long enough (appendix B) */
	/* and everything counts */
	x.rcookie[7] ^= 1;
	ck_assert_int_eq(ike_skeys_expand(&s, &x, &k), 0);
	ck_assert_mem_ne(k.d, v->d.p, s.prf_len);
	ike_skeys_wipe(&k);
}

START_TEST(vectors)
{
	char path[512], line[LINE], key[32], text[LINE];
	const char *here = __FILE__, *slash = strrchr(here, '/');
	struct vector v = {0};
	unsigned n = 0;

	(void)snprintf(path, sizeof(path), "%.*s/vectors/nist_ikev1.txt", (int)(slash - here), here);
	FILE *f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s cannot be read", path);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (!strcmp(line, "end\n")) {
			check(&v);
			memset(&v, 0, sizeof(v));
			n++;
			continue;
		}
		ck_assert_int_eq(sscanf(line, "%31s %1023s", key, text), 2);
		take(&v, key, text);
	}
	(void)fclose(f);
	ck_assert_uint_eq(n, 23);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.nist");
	TCase *t = tcase_create("nist");
	tcase_add_test(t, vectors);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
