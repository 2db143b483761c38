/* INITIAL-CONTACT as peers say it that speak of it only after phase 1: in an informational exchange. */
#include "lib/ike/engine.h"
#include "tests/unit/lib/ike/pair_check.h"

static void say_contact(struct pair *n, unsigned who)
{
	struct p1 *p = p1_between(n->peer[who].k, &n->peer[who].addr, &n->peer[!who].addr);
	uint8_t cookies[2 * IKE_COOKIE];
	struct ike_notification note = {.doi = IKE_DOI_IPSEC, .protocol = IKE_PROTO_ISAKMP, .type = NOTIFY_INITIAL_CONTACT, .spi = cookies,
		.spi_len = sizeof(cookies)};

	ck_assert_ptr_nonnull(p);
	memcpy(cookies, p->icookie, IKE_COOKIE);
	memcpy(cookies + IKE_COOKIE, p->rcookie, IKE_COOKIE);
	send_notify(p, &note);
	pair_pass(n, PAIR_SECOND);
}

START_TEST(what_is_older_goes)
{
	struct pair *n = begin(NULL, NULL);

	pair_pass(n, 5 * PAIR_SECOND);
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "K1", n->now), 0);
	pair_pass(n, 5 * PAIR_SECOND);
	ck_assert_uint_eq(n->peer[1].events[IKE_P1_REFRESHED], 1);
	ck_assert_uint_eq(there(&n->peer[1]), 1);
	say_contact(n, 0);
	ck_assert_uint_eq(there(&n->peer[1]), 0);
	ck_assert_uint_eq(n->peer[1].events[IKE_P2_DOWN], 1);
	pair_free(n);
}
END_TEST

START_TEST(what_is_younger_stays)
{
	struct pair *n = begin(NULL, NULL);

	pair_pass(n, 5 * PAIR_SECOND);
	ck_assert_int_eq(ike_refresh(n->peer[0].k, "Y1", n->now), 0);
	pair_pass(n, 5 * PAIR_SECOND);
	say_contact(n, 0);
	ck_assert_uint_ge(there(&n->peer[1]), 1);
	ck_assert_uint_eq(n->peer[1].events[IKE_P2_DOWN], 0);
	UP(n);
	pair_free(n);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ike.engine.contact");
	TCase *t = tcase_create("contact");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_is_older_goes);
	tcase_add_test(t, what_is_younger_stays);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
