/* Phase 1 SAs with a lifesize: what counts, renewal ahead of it, and the end. Dead peer detection makes the bytes. */
#include "tests/unit/lib/ike/pair_check.h"

#define SIZE_OFFER(kb)                                                                                                               \
	PAIR_OFFER("AES_CBC KeyLength 128", "SHA2_256", "PresharedKey", "Group19",                                                   \
		"RefreshLifesizeProposed " kb "\n RefreshLifesizeAccepted 1 1000\n")

static uint64_t bytes_of(struct pair *n, unsigned who)
{
	const struct ike_p1_info *i = ike_p1_next(n->peer[who].k, NULL);
	ck_assert_msg(i != NULL, "no phase 1\nleft:\n%sright:\n%s", n->peer[0].log, n->peer[1].log);
	return i->bytes;
}

START_TEST(refuses_another_size)
{
	char id[16];
	struct pair *n = pair_new(&(struct pair_policy){.offers = SIZE_OFFER("2000")}, &(struct pair_policy){.offers = SIZE_OFFER("20")}, NULL, NULL);
	ck_assert_int_eq(pair_activate(n, 0, id), 0);
	pair_pass(n, 400 * PAIR_SECOND);
	ck_assert(!pair_up(n));
	SAYS(n, 1, "NO-PROPOSAL-CHOSEN");
	pair_free(n);
}
END_TEST

START_TEST(strangers_do_not_count)
{
	/* What comes under the SA's cookies and is not good, or was there before, uses nothing up. */
	struct pair_policy o = {.offers = SIZE_OFFER("2")};
	struct pair *n = begin(&o, &o);
	uint64_t before[2] = {bytes_of(n, 0), bytes_of(n, 1)};
	size_t past = n->n_past;
	for (unsigned round = 0; round < 100; round++)
		for (size_t i = 6; i < past; i++) {
			struct pair_datagram d = n->past[i];
			d.data = xcalloc(1, d.len);
			memcpy(d.data, n->past[i].data, d.len);
			pair_again(n, &d);
			d.data[20] ^= (uint8_t)(1 + round); /* another message id */
			d.data[40] ^= 1;
			pair_again(n, &d);
			free(d.data);
		}
	pair_run(n);
	ck_assert_uint_eq(bytes_of(n, 0), before[0]);
	ck_assert_uint_eq(bytes_of(n, 1), before[1]);
	pair_free(n);
}
END_TEST

START_TEST(both_count_the_same)
{
	struct pair_policy o = {.offers = SIZE_OFFER("1000")};
	struct pair *n = begin(&o, &o);
	uint64_t want = 0;
	for (size_t i = 6; i < n->n_past; i++)
		want += n->past[i].len - 28; /* quick mode: all but the headers */
	ck_assert_uint_eq(bytes_of(n, 0), want);
	ck_assert_uint_eq(bytes_of(n, 1), want);
	always_up(n, 100);
	ck_assert_uint_gt(bytes_of(n, 0), want);
	ck_assert_uint_eq(bytes_of(n, 0), bytes_of(n, 1));
	ck_assert_uint_eq(ike_p1_next(n->peer[0].k, NULL)->life_kb, 1000);
	ck_assert_uint_eq(ike_p1_next(n->peer[0].k, NULL)->generation, 1);
	pair_free(n);
	n = begin(NULL, NULL); /* counted without a limit, too */
	ck_assert_uint_eq(bytes_of(n, 0), want);
	ck_assert_uint_eq(ike_p1_next(n->peer[0].k, NULL)->life_kb, 0);
	pair_free(n);
}
END_TEST

START_TEST(renewed_ahead)
{
	static const char *const modes[] = {"Main", "Aggressive"};
	struct pair_policy o = {.offers = SIZE_OFFER("2"), .initiate = modes[_i]};
	struct pair *n = begin(&o, &o);
	for (unsigned i = 0; i < 100; i++) {
		always_up(n, 10);
		ck_assert_uint_lt(bytes_of(n, 0), 2048);
		ck_assert_uint_lt(bytes_of(n, 1), 2048);
	}
	const struct ike_p1_info *i = ike_p1_next(n->peer[0].k, NULL);
	ck_assert_str_eq(i->tunnel_id, "K1");
	ck_assert_uint_ge(i->generation, 3);
	ck_assert_uint_le(i->generation, 20); /* not without a pause */
	ck_assert_uint_eq(i->children, 1);
	for (unsigned k = 0; k < 2; k++) {
		ck_assert_uint_eq(n->peer[k].events[IKE_P1_FAILED], 0);
		ck_assert_uint_eq(n->peer[k].children[0].removed, 0);
		ck_assert_uint_ge(n->peer[k].events[IKE_P1_REFRESHED], 2);
	}
	pair_free(n);
}
END_TEST

START_TEST(ends_when_it_is_used_up)
{
	/* The peer does not renew any more: then its bytes are the end of it, and the tunnel goes on without. */
	struct pair_policy o = {.offers = SIZE_OFFER("2")}, no = o;
	struct pair *n = begin(&o, &o);
	no.respond = "Aggressive";
	struct ipsec_policy *willing = n->peer[1].policy;
	no.initiate = "DoNot";
	struct ipsec_policy *silent = pair_policy(PAIR_RIGHT, PAIR_LEFT, PAIR_RIGHT_NET, PAIR_LEFT_NET, &no);
	ike_policy(n->peer[1].k, silent, n->now);
	for (unsigned s = 0; s < 1000 && !n->peer[0].events[IKE_P1_DOWN] && !n->peer[1].events[IKE_P1_DOWN]; s++)
		always_up(n, 1);
	ck_assert_uint_ge(n->peer[0].events[IKE_P1_DOWN] + n->peer[1].events[IKE_P1_DOWN], 1);
	ck_assert_msg(strstr(n->peer[0].log, "K1 is expired") || strstr(n->peer[1].log, "K1 is expired"), "%s%s", n->peer[0].log, n->peer[1].log);
	ck_assert_uint_eq(n->peer[0].events[IKE_P2_DOWN], 0);
	UP(n);
	ipsec_policy_free(willing);
	n->peer[1].policy = silent;
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.size");
	TCase *t = tcase_create("size");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, refuses_another_size);
	tcase_add_test(t, strangers_do_not_count);
	tcase_add_test(t, both_count_the_same);
	tcase_add_loop_test(t, renewed_ahead, 0, 2);
	tcase_add_test(t, ends_when_it_is_used_up);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
