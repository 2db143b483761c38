/* INITIAL-CONTACT as peers say it that speak of it only after phase 1: in an informational exchange. */
#include "lib/ike/engine.h"
#include "tests/unit/lib/ike/pair/pair.h"

static void say_contact(struct p1 *p)
{
	uint8_t cookies[2 * IKE_COOKIE];
	struct ike_notification n = {.doi = IKE_DOI_IPSEC,
		.protocol = IKE_PROTO_ISAKMP,
		.type = NOTIFY_INITIAL_CONTACT,
		.spi = cookies,
		.spi_len = sizeof(cookies)};

	memcpy(cookies, p->icookie, IKE_COOKIE);
	memcpy(cookies + IKE_COOKIE, p->rcookie, IKE_COOKIE);
	send_notify(p, &n);
}

static void up(void)
{
	char id[16] = "";

	pair_simple(KEX_PSK, VPN_GCM);
	ck_assert_int_eq(activate(id), 0);
	pass(5 * SECOND);
	check_agreed();
}

static struct p1 *newest_p1(unsigned end)
{
	return p1_between(net.peer[end].ike, &newest(end)->child.path.local, &newest(end)->child.path.remote);
}

START_TEST(what_is_older_goes)
{
	up();
	ck_assert_int_eq(ike_refresh(net.peer[0].ike, "K1", net.now), 0);
	pass(5 * SECOND);
	ck_assert_uint_eq(net.peer[1].events[IKE_P1_REFRESHED], 1);
	ck_assert_uint_eq(alive(1), 1);
	say_contact(newest_p1(0));
	pass(1 * SECOND);
	ck_assert_uint_eq(alive(1), 0);
	ck_assert_uint_eq(net.peer[1].events[IKE_P2_DOWN], 1);
	pair_stop();
}
END_TEST

START_TEST(what_is_younger_stays)
{
	up();
	char *y = newest(0)->child.tunnel_id;
	pass(5 * SECOND);
	ck_assert_int_eq(ike_refresh(net.peer[0].ike, y, net.now), 0);
	pass(5 * SECOND);
	say_contact(newest_p1(0));
	pass(1 * SECOND);
	ck_assert_uint_ge(alive(1), 1);
	ck_assert_uint_eq(net.peer[1].events[IKE_P2_DOWN], 0);
	check_agreed();
	pair_stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("contact");
	TCase *t = tcase_create("contact");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_is_older_goes);
	tcase_add_test(t, what_is_younger_stays);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
