/* saf_verify: refusals, automatic revoke, RESUME, PassTickets once. */
#include "lib/saf/verify/passticket.h"
#include "tests/unit/lib/saf/fixture.h"
#include <time.h>

static const uint8_t key[8] = {0xe0, 0x01, 0x19, 0x35, 0x19, 0x56, 0x19, 0x77};

static int verify(const char *user, const char *password, const char *appl)
{
	struct saf_subject who;
	return saf_verify(saf, user, password, appl, &who);
}

static void define_bob(void)
{
	racf_ok("ADDUSER BOB DFLTGRP(SYS1)");
	racf_ok("ALTUSER BOB PASSWORD('right one') NOEXPIRED");
	racf_ok("SETROPTS PASSWORD(REVOKE(3))");
	publish();
}

START_TEST(refusals)
{
	char path[128];
	define_bob();
	racf_ok("ADDUSER NOPW DFLTGRP(SYS1)");
	racf_ok("ADDUSER NEWPW DFLTGRP(SYS1) PASSWORD(initial)");
	racf_ok("ADDUSER GONE DFLTGRP(SYS1)");
	racf_ok("ALTUSER GONE PASSWORD(x1) NOEXPIRED REVOKE");
	publish();
	ck_assert_int_eq(verify("NOBODY", "x", ""), SAF_V_UNKNOWN);
	ck_assert_int_eq(verify("TOOLONGANAME", "x", ""), SAF_V_UNKNOWN);
	ck_assert_int_eq(verify("", "", ""), SAF_V_UNKNOWN);
	ck_assert_int_eq(verify("BOB", "wrong", ""), SAF_V_BAD);
	ck_assert_int_eq(verify("BOB", "", ""), SAF_V_BAD);
	ck_assert_int_eq(verify("NOPW", "", ""), SAF_V_BAD);
	ck_assert_int_eq(verify("NEWPW", "INITIAL", ""), SAF_V_EXPIRED);
	ck_assert_int_eq(verify("GONE", "X1", ""), SAF_V_REVOKED);
	(void)snprintf(path, sizeof(path), "%s/secrets", saf_dir);
	ck_assert_int_eq(truncate(path, 100), 0);
	ck_assert_int_eq(verify("BOB", "right one", ""), SAF_V_UNAVAILABLE);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(verify("BOB", "right one", ""), SAF_V_UNAVAILABLE);
}
END_TEST

START_TEST(bad_attempts_revoke_and_resume_lifts)
{
	define_bob();
	ck_assert_int_eq(verify("bob", "right one", ""), SAF_V_OK);
	ck_assert_int_eq(verify("BOB", "wrong", ""), SAF_V_BAD);
	ck_assert_int_eq(verify("BOB", "wrong", ""), SAF_V_BAD);
	ck_assert_int_eq(verify("BOB", "right one", ""), SAF_V_OK); /* forgets them */
	ck_assert_int_eq(verify("BOB", "wrong", ""), SAF_V_BAD);
	ck_assert_int_eq(verify("BOB", "wrong", ""), SAF_V_BAD);
	ck_assert_int_eq(verify("BOB", "wrong", ""), SAF_V_REVOKED);
	ck_assert_int_eq(verify("BOB", "right one", ""), SAF_V_REVOKED);
	racf_ok("ALTUSER BOB RESUME");
	publish();
	ck_assert_int_eq(verify("BOB", "right one", ""), SAF_V_OK);
}
END_TEST

START_TEST(a_ticket_is_good_once)
{
	char t[PASSTICKET_MAX];
	uint32_t now = (uint32_t)time(NULL);
	define_bob();
	racf_ok("SETROPTS PASSWORD(REVOKE(200))");
	racf_ok("RDEFINE PTKTDATA MYAPPL SSIGNON(KEYMASKED(E001193519561977))");
	publish();
	ck_assert_int_eq(passticket_make("BOB", "MYAPPL", key, now, t), 0);
	ck_assert_int_eq(verify("BOB", t, "MYAPPL"), SAF_V_BAD); /* class not active */
	racf_ok("SETROPTS CLASSACT(PTKTDATA)");
	publish();
	ck_assert_int_eq(verify("BOB", t, ""), SAF_V_BAD);
	ck_assert_int_eq(verify("BOB", t, "OTHER"), SAF_V_BAD);
	ck_assert_int_eq(verify("BOB", t, "MYAPPL"), SAF_V_OK);
	ck_assert_int_eq(verify("BOB", t, "MYAPPL"), SAF_V_REPLAY);
	ck_assert_int_eq(passticket_make("BOB", "MYAPPL", key, now - 700, t), 0);
	ck_assert_int_eq(verify("BOB", t, "MYAPPL"), SAF_V_BAD);
	racf_ok("RALTER PTKTDATA MYAPPL APPLDATA('NO REPLAY PROTECTION')");
	publish();
	ck_assert_int_eq(passticket_make("BOB", "MYAPPL", key, now + 5, t), 0);
	ck_assert_int_eq(verify("BOB", t, "MYAPPL"), SAF_V_OK);
	ck_assert_int_eq(verify("BOB", t, "MYAPPL"), SAF_V_OK);
}
END_TEST

START_TEST(administrators_make_tickets)
{
	char t[9];
	uint32_t now = (uint32_t)time(NULL);
	define_bob();
	ck_assert_int_eq(registry_passticket(reg, "IBMUSER", "MYAPPL", "BOB", now, t), -ENOENT);
	racf_ok("RDEFINE PTKTDATA MYAPPL SSIGNON(KEYMASKED(0000000000000000))");
	racf_ok("RDEFINE PTKTDATA MYAPPL.SYS1 SSIGNON(KEYMASKED(E001193519561977))");
	racf_ok("SETROPTS CLASSACT(PTKTDATA)");
	publish();
	ck_assert_int_eq(registry_passticket(reg, "IBMUSER", "MYAPPL", "NOBODY", now, t), -ENOENT);
	ck_assert_int_eq(registry_passticket(reg, "IBMUSER", "MY APPL", "BOB", now, t), -EINVAL);
	ck_assert_int_eq(registry_passticket(reg, "IBMUSER", "TOOLONGAPPL", "BOB", now, t), -EINVAL);
	ck_assert_int_eq(registry_passticket(reg, "IBMUSER", "myappl", "bob", now, t), 0);
	ck_assert(passticket_valid("BOB", "MYAPPL", key, t, now)); /* the key of the group's profile */
	ck_assert_int_eq(verify("BOB", t, "MYAPPL"), SAF_V_OK);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("verify");
	TCase *t = tcase_create("logon");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, refusals);
	tcase_add_test(t, bad_attempts_revoke_and_resume_lifts);
	tcase_add_test(t, a_ticket_is_good_once);
	tcase_add_test(t, administrators_make_tickets);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
