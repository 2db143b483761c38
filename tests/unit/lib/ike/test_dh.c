#include "lib/ike/dh.h"
#include "tests/support/check_main.h"
#include "tests/unit/lib/ike/vectors.h"
#include <string.h>

enum { VECTORS = sizeof(dh_vectors) / sizeof(dh_vectors[0]) };
static const uint16_t all[] = {1, 2, 5, 14, 15, 16, 19, 20, 21, 24};

START_TEST(unknown_groups_are_refused)
{
	struct dh_key *k = NULL;
	for (uint16_t g = 0; g < 40; g++) {
		bool known = false;
		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
			known = known || all[i] == g;
		ck_assert_int_eq(dh_group_known(g), known);
		ck_assert_int_eq(dh_public_len(g) != 0, known);
		if (!known)
			ck_assert_int_eq(dh_key_new(g, &k), -EPROTONOSUPPORT);
	}
	ck_assert_ptr_null(k);
}
END_TEST

START_TEST(vectors_from_integers)
{
	uint8_t secret[DH_SHARED_MAX];
	struct dh_key *k;
	const uint16_t group = dh_vectors[_i].group;

	ck_assert_uint_eq(dh_public_len(group), dh_vectors[_i].public_len);
	ck_assert_uint_eq(dh_shared_len(group), dh_vectors[_i].shared_len);
	ck_assert_int_eq(dh_key_import(group, dh_vectors[_i].private, dh_vectors[_i].private_len,
				 dh_vectors[_i].public, dh_vectors[_i].public_len, &k),
		0);
	ck_assert_int_eq(dh_key_group(k), group);
	ck_assert_mem_eq(dh_key_public(k), dh_vectors[_i].public, dh_vectors[_i].public_len);
	ck_assert_int_eq(
		dh_shared(k, dh_vectors[_i].peer, dh_vectors[_i].public_len, secret, NULL), 0);
	ck_assert_mem_eq(secret, dh_vectors[_i].shared, dh_vectors[_i].shared_len);
	dh_key_free(k);
}
END_TEST

START_TEST(two_ends_agree)
{
	struct dh_key *a, *b;
	uint8_t x[DH_SHARED_MAX], y[DH_SHARED_MAX];
	const uint16_t g = all[_i];

	ck_assert_int_eq(dh_key_new(g, &a), 0);
	ck_assert_int_eq(dh_key_new(g, &b), 0);
	ck_assert(memcmp(dh_key_public(a), dh_key_public(b), dh_public_len(g)) != 0);
	ck_assert_int_eq(dh_shared(a, dh_key_public(b), dh_public_len(g), x, NULL), 0);
	ck_assert_int_eq(dh_shared(b, dh_key_public(a), dh_public_len(g), y, NULL), 0);
	ck_assert_mem_eq(x, y, dh_shared_len(g));
	dh_key_free(a);
	dh_key_free(b);
}
END_TEST

START_TEST(every_other_length_is_refused)
{
	struct dh_key *k;
	uint8_t peer[DH_PUBLIC_MAX + 8] = {[0] = 1}, secret[DH_SHARED_MAX];
	const uint16_t g = all[_i];

	ck_assert_int_eq(dh_key_new(g, &k), 0);
	memcpy(peer, dh_key_public(k), dh_public_len(g));
	for (size_t len = 0; len <= dh_public_len(g) + 8; len++) {
		struct ike_refusal why = {0};
		if (len == dh_public_len(g))
			continue;
		ck_assert_int_eq(dh_shared(k, peer, len, secret, &why), -EPROTO);
		ck_assert_uint_eq(why.notify, NOTIFY_INVALID_KEY_INFORMATION);
	}
	dh_key_free(k);
}
END_TEST

static void refused(const struct dh_key *k, const uint8_t *peer, uint16_t g)
{
	struct ike_refusal why = {0};
	uint8_t secret[DH_SHARED_MAX];

	ck_assert_int_eq(dh_shared(k, peer, dh_public_len(g), secret, &why), -EPROTO);
	ck_assert_uint_eq(why.notify, NOTIFY_INVALID_KEY_INFORMATION);
}

/* 0, 1, p-1, p, p+1 and all ones must go; 2 and p-2 may stay. */
START_TEST(numbers_out_of_range)
{
	const uint16_t g = dh_vectors[_i].group;
	const size_t len = dh_vectors[_i].public_len;
	uint8_t peer[DH_PUBLIC_MAX] = {0}, secret[DH_SHARED_MAX];
	struct dh_key *k;

	if (g >= 19)
		return;
	ck_assert_int_eq(dh_key_new(g, &k), 0);
	refused(k, peer, g);
	peer[len - 1] = 1;
	refused(k, peer, g);
	peer[len - 1] = 2;
	ck_assert_int_eq(dh_shared(k, peer, len, secret, NULL), 0);
	memset(peer, 0xff, len);
	refused(k, peer, g);
	memcpy(peer, dh_vectors[_i].prime, len);
	refused(k, peer, g);
	peer[len - 1]--; /* primes here end in ff */
	refused(k, peer, g);
	peer[len - 1]--;
	ck_assert_int_eq(dh_shared(k, peer, len, secret, NULL), 0);
	dh_key_free(k);
}
END_TEST

START_TEST(points_off_the_curve)
{
	const uint16_t g = dh_vectors[_i].group;
	uint8_t peer[DH_PUBLIC_MAX] = {0};
	struct dh_key *k;

	if (g < 19)
		return;
	ck_assert_int_eq(dh_key_new(g, &k), 0);
	refused(k, peer, g);
	for (size_t at = 0; at < dh_vectors[_i].public_len; at += 7) {
		memcpy(peer, dh_vectors[_i].peer, dh_vectors[_i].public_len);
		peer[at] ^= 0x10;
		refused(k, peer, g);
	}
	dh_key_free(k);
}
END_TEST

/* Group 24's subgroup has 256 bits of 2048: a number outside it would tell bits of the private
 * value. */
START_TEST(outside_the_subgroup)
{
	uint8_t peer[DH_PUBLIC_MAX] = {0};
	struct dh_key *k;

	ck_assert_int_eq(dh_key_new(24, &k), 0);
	for (uint8_t y = 2; y < 8; y++) {
		peer[255] = y;
		refused(k, peer, 24);
	}
	dh_key_free(k);
}
END_TEST

START_TEST(import_refuses)
{
	struct dh_key *k = NULL;
	ck_assert_int_eq(dh_key_import(3, "x", 1, "y", 1, &k), -EPROTONOSUPPORT);
	ck_assert_int_eq(dh_key_import(2, dh2_private, 0, dh2_public, 128, &k), -EINVAL);
	ck_assert_int_eq(dh_key_import(2, dh2_private, 40, dh2_public, 127, &k), -EINVAL);
	ck_assert_int_eq(dh_key_import(19, dh19_private, 33, dh19_public, 64, &k), -EINVAL);
	ck_assert_ptr_null(k);
}
END_TEST

START_TEST(pool_gives_each_key_once)
{
	struct dh_pool *p = dh_pool_new();
	struct dh_key *k[5];

	dh_pool_want(p, 19, 3);
	dh_pool_want(p, 3, 3); /* unknown: ignored */
	for (int i = 0; i < 3; i++)
		ck_assert(dh_pool_work(p));
	ck_assert(!dh_pool_work(p));
	ck_assert(!dh_pool_lacks(p));
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(dh_pool_take(p, 19, &k[i]), 0);
		for (int j = 0; j < i; j++)
			ck_assert(memcmp(dh_key_public(k[i]), dh_key_public(k[j]), 64) != 0);
	}
	ck_assert(dh_pool_lacks(p));
	ck_assert(dh_pool_work(p));
	dh_pool_want(p, 19, 0);
	ck_assert(!dh_pool_work(p));
	ck_assert(!dh_pool_lacks(p));
	for (int i = 0; i < 5; i++)
		dh_key_free(k[i]);
	ck_assert_int_eq(dh_pool_take(p, 3, &k[0]), -EPROTONOSUPPORT);
	dh_pool_free(p);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("dh");
	TCase *t = tcase_create("dh");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, unknown_groups_are_refused);
	tcase_add_loop_test(t, vectors_from_integers, 0, VECTORS);
	tcase_add_loop_test(t, two_ends_agree, 0, sizeof(all) / sizeof(all[0]));
	tcase_add_loop_test(t, every_other_length_is_refused, 0, sizeof(all) / sizeof(all[0]));
	tcase_add_loop_test(t, numbers_out_of_range, 0, VECTORS);
	tcase_add_loop_test(t, points_off_the_curve, 0, VECTORS);
	tcase_add_test(t, outside_the_subgroup);
	tcase_add_test(t, import_refuses);
	tcase_add_test(t, pool_gives_each_key_once);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
