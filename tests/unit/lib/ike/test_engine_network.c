/* A network that loses, repeats, reorders, cuts and changes datagrams, and strangers who send their own. */
#include "tests/unit/lib/ike/pair_check.h"

START_TEST(cut_at_every_byte)
{
	/* Each message arrives cut off once, whole when it is sent again. */
	for (size_t at = 0; at < 9; at++) {
		for (size_t cut = 0; cut < 400; cut += at % 2 ? 29 : 31) {
			char id[16];
			struct pair *n = pair_new(NULL, NULL, NULL, NULL);
			n->fault = FAULT_CUT, n->fault_at = at, n->fault_arg = cut;
			ck_assert_int_eq(pair_activate(n, 0, id), 0);
			pair_pass(n, 60 * PAIR_SECOND);
			UP(n);
			pair_free(n);
		}
	}
}
END_TEST

START_TEST(lost_twice_or_late)
{
	static const enum pair_fault faults[] = {FAULT_DROP, FAULT_TWICE, FAULT_SWAP};
	for (size_t at = 0; at < 18; at++) {
		char id[16];
		struct pair *n = pair_new(&(struct pair_policy){.pfs = "Group19", .initiate = at < 9 ? "Main" : "Aggressive"},
			&(struct pair_policy){.pfs_ok = "Group19"}, NULL, NULL);
		n->fault = faults[_i], n->fault_at = at % 9;
		ck_assert_int_eq(pair_activate(n, 0, id), 0);
		pair_pass(n, 60 * PAIR_SECOND);
		UP(n);
		ck_assert_uint_eq(n->peer[0].n_children, 1);
		ck_assert_uint_eq(n->peer[1].n_children, 1);
		ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
		pair_free(n);
	}
}
END_TEST

START_TEST(flipped)
{
	/* A turned bit never makes two ends that believe in different keys; in clear messages it may end the negotiation. */
	uint64_t dice = UINT64_C(88172645463325252) + (uint64_t)_i;
	for (unsigned i = 0; i < 60; i++) {
		char id[16];
		unsigned lost;
		struct pair *n = pair_new(NULL, NULL, NULL, NULL);
		dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
		n->fault = FAULT_FLIP, n->fault_at = (size_t)_i, n->fault_arg = (size_t)(dice % 4000);
		ck_assert_int_eq(pair_activate(n, 0, id), 0);
		pair_pass(n, 300 * PAIR_SECOND);
		(void)pair_flows(n, 0, &lost);
		ck_assert_msg(!lost, "bit %zu of message %d\n%s%s", n->fault_arg, _i, n->peer[0].log, n->peer[1].log);
		(void)pair_flows(n, 1, &lost);
		ck_assert_msg(!lost, "bit %zu of message %d\n%s%s", n->fault_arg, _i, n->peer[0].log, n->peer[1].log);
		ck_assert_uint_eq(n->peer[0].twice + n->peer[1].twice, 0);
		pair_free(n);
	}
}
END_TEST

START_TEST(all_replayed)
{
	/* Everything once more, also much later: nothing new comes of it, and old messages are not decrypted. */
	struct pair *n = begin(NULL, NULL);
	struct ike_stats before[2], after[2];
	size_t past = n->n_past, sent;
	for (unsigned round = 0; round < 2; round++) {
		ike_stats(n->peer[0].k, &before[0]);
		ike_stats(n->peer[1].k, &before[1]);
		sent = n->sent;
		for (size_t i = 0; i < past; i++)
			pair_again(n, &n->past[i]);
		pair_run(n);
		UP(n);
		for (unsigned k = 0; k < 2; k++) {
			ike_stats(n->peer[k].k, &after[k]);
			ck_assert_uint_eq(after[k].p1_up, 1);
			ck_assert_uint_eq(after[k].p2_up, 1);
			ck_assert_uint_eq(after[k].decrypt_failed, before[k].decrypt_failed);
			ck_assert_uint_le(after[k].children, 1);
		}
		ck_assert_uint_le(n->sent - sent, 2 * past);
		pair_pass(n, 1000 * PAIR_SECOND);
	}
	pair_free(n);
}
END_TEST

static bool lose_a_third(struct pair *n, struct pair_datagram *d, size_t number)
{
	uint8_t dice;
	(void)d, (void)number;
	(void)pair_random(&n->peer[0], &dice, 1);
	return dice % 3;
}

START_TEST(a_third_may_be_lost)
{
	unsigned good = 0;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		char id[16];
		struct pair *n = pair_new(NULL, NULL, NULL, NULL);
		n->random = seed * 0x9e3779b97f4a7c15;
		n->fate = lose_a_third;
		ck_assert_int_eq(pair_activate(n, 0, id), 0);
		pair_pass(n, 120 * PAIR_SECOND);
		n->fate = NULL;
		pair_pass(n, 60 * PAIR_SECOND);
		good += pair_up(n);
		pair_free(n);
	}
	ck_assert_uint_ge(good, 15); /* most come through; the others gave up, and say so */
}
END_TEST

/* Backwards, and after hours. */
START_TEST(the_past_again)
{
	struct pair *n = begin(NULL, NULL);
	struct ike_stats st;
	size_t past = n->n_past;
	for (unsigned round = 0; round < 2; round++)
		for (size_t i = 0; i < past; i++) {
			pair_again(n, &n->past[round ? i : past - 1 - i]);
			pair_pass(n, round ? 600 * PAIR_SECOND : 1000);
		}
	UP(n);
	pair_pass(n, 600 * PAIR_SECOND);
	for (unsigned i = 0; i < 2; i++) {
		ike_stats(n->peer[i].k, &st);
		ck_assert_uint_le(st.p1, 2);
		ck_assert_uint_eq(st.half_open, 0);
	}
	pair_free(n);
}
END_TEST

START_TEST(noise)
{
	struct pair *n = pair_new(NULL, NULL, NULL, NULL);
	struct ike_path path = {n->peer[1].addr, n->peer[0].addr, 500, 500};
	char id[16];
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t m[300];
		(void)pair_random(&n->peer[0], m, sizeof(m));
		if (i % 2) { /* a header that leads further in */
			static const uint8_t types[] = {2, 4, 5, 32};
			memset(m + 8, 0, i % 3 ? 8 : 0);
			m[16] = (uint8_t)(i % 14);
			m[17] = 0x10;
			m[18] = types[i % 4];
			m[19] = (uint8_t)(i % 5 == 0);
			memset(m + 20, 0, 6);
			m[26] = sizeof(m) >> 8;
			m[27] = sizeof(m) & 0xff;
		}
		ike_input(n->peer[1].k, &path, m, i % 7 ? sizeof(m) : i % sizeof(m), n->now, PAIR_WALL + n->now);
		n->now += 1000;
		pair_lose(n);
		n->peer[1].log[0] = 0;
	}
	ck_assert_uint_eq(there(&n->peer[1]), 0);
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, 60 * PAIR_SECOND);
	UP(n);
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.network");
	TCase *t = tcase_create("network");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, noise);
	tcase_add_test(t, cut_at_every_byte);
	tcase_add_loop_test(t, lost_twice_or_late, 0, 3);
	tcase_add_test(t, a_third_may_be_lost);
	tcase_add_loop_test(t, flipped, 0, 9);
	tcase_add_test(t, all_replayed);
	tcase_add_test(t, the_past_again);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
