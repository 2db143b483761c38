/* RACDCERT: who may what, and what its operands refuse. Files as the commands leave them are looked
 * at by tests/system/60-racdcert.py. */
#include "lib/keyring/racdcert/racdcert.h"
#include "lib/base/path.h"
#include "lib/keyring/keyring.h"
#include "tests/support/check_main.h"
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], said[8192];
static struct registry *reg;

static int run_as(const char *user, bool admin, const char *command)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct racdcert_env env = {.registry = reg, .user = user, .may_administer = admin};
	int rc = racdcert_run(&env, command, NULL, out);
	(void)fclose(out);
	(void)snprintf(said, sizeof(said), "%s", text);
	free(text);
	if (env.refused)
		ck_assert_int_eq(rc, RACF_REFUSED);
	return env.refused ? -EACCES : rc;
}

static void admin(const char *command)
{
	int rc = run_as("", true, command);
	ck_assert_msg(rc <= RACF_WARNED && rc >= 0, "%s: %d %s", command, rc, said);
}

static void saf(const char *command)
{
	FILE *out = fopen("/dev/null", "we");
	struct errbuf e = {""};
	ck_assert_int_le(registry_run(reg, command, "IBMUSER", NULL, out), RACF_WARNED);
	ck_assert_msg(registry_commit(reg, &e) == 0, "%s", e.text);
	(void)fclose(out);
}

static void setup(void)
{
	struct errbuf e = {""};
	(void)snprintf(root, sizeof(root), "/tmp/rv-racd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	ck_assert_int_eq(chmod(root, 0755), 0);
	path_set_root(root);
	ck_assert_msg(registry_open(NULL, true, &reg, &e) == 0, "%s", e.text);
	saf("ADDUSER ANNA OMVS(UID(20041))");
	saf("ADDUSER BOB OMVS(UID(20042))");
	saf("SETROPTS CLASSACT(FACILITY) GENERIC(FACILITY)");
}

static void teardown(void)
{
	char command[128];
	registry_close(reg);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(which_commands)
{
	ck_assert(racdcert_is("RACDCERT LIST"));
	ck_assert(racdcert_is("  racdcert CERTAUTH LIST"));
	ck_assert(racdcert_is("RACDC LIST"));
	ck_assert(!racdcert_is("RACDCERTX LIST"));
	ck_assert(!racdcert_is("RLIST"));
	ck_assert(!racdcert_is(""));
}
END_TEST

START_TEST(nobody_without_a_profile)
{
	static const char *const commands[] = {"RACDCERT ADDRING(r)", "RACDCERT DELRING(r)",
		"RACDCERT LISTRING(*)", "RACDCERT LIST",
		"RACDCERT ADD('/etc/hostname') WITHLABEL('x')",
		"RACDCERT GENCERT SUBJECTSDN(CN('x')) WITHLABEL('x')",
		"RACDCERT GENREQ(LABEL('x')) DSN('/x')", "RACDCERT ALTER(LABEL('x')) TRUST",
		"RACDCERT CONNECT(LABEL('x') RING(r))", "RACDCERT REMOVE(LABEL('x') RING(r))",
		"RACDCERT DELETE(LABEL('x'))", "RACDCERT EXPORT(LABEL('x')) DSN('/x')",
		"RACDCERT ADDCRL(r) DSN('/x')"};
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		ck_assert_msg(
			run_as("ANNA", false, commands[i]) == -EACCES, "%s: %s", commands[i], said);
		ck_assert_ptr_nonnull(strstr(said, "IRRD101I"));
	}
	ck_assert_int_eq(
		run_as("", false, "RACDCERT CERTAUTH LIST"), -EACCES); /* no SAF user at all */
	ck_assert_int_eq(run_as("NOBODY", false, "RACDCERT CERTAUTH LIST"), -EACCES);
}
END_TEST

START_TEST(levels)
{
	saf("RDEFINE FACILITY IRR.DIGTCERT.* UACC(NONE)");
	saf("PERMIT IRR.DIGTCERT.* CLASS(FACILITY) ID(ANNA) ACCESS(READ)");
	ck_assert_int_eq(run_as("ANNA", false, "RACDCERT ADDRING(own)"), 0);
	ck_assert_int_eq(
		run_as("ANNA", false,
			"RACDCERT ID(ANNA) GENCERT SUBJECTSDN(CN('a')) WITHLABEL('a') NISTECC"),
		0);
	ck_assert_int_eq(run_as("ANNA", false, "RACDCERT ID(BOB) ADDRING(other)"), -EACCES);
	ck_assert_ptr_nonnull(strstr(said, "ACCESS INTENT(UPDATE)"));
	ck_assert_int_eq(run_as("ANNA", false, "RACDCERT CERTAUTH LIST"), -EACCES);
	ck_assert_ptr_nonnull(strstr(said, "ACCESS INTENT(CONTROL)"));
	saf("PERMIT IRR.DIGTCERT.* CLASS(FACILITY) ID(ANNA) ACCESS(UPDATE)");
	ck_assert_int_eq(run_as("ANNA", false, "RACDCERT ID(BOB) ADDRING(other)"), 0);
	ck_assert_int_eq(
		run_as("ANNA", false,
			"RACDCERT SITE GENCERT SUBJECTSDN(CN('s')) WITHLABEL('s') NISTECC"),
		-EACCES);
	saf("PERMIT IRR.DIGTCERT.* CLASS(FACILITY) ID(ANNA) ACCESS(CONTROL)");
	ck_assert_int_eq(
		run_as("ANNA", false,
			"RACDCERT SITE GENCERT SUBJECTSDN(CN('s')) WITHLABEL('s') NISTECC"),
		0);
	ck_assert_int_eq(run_as("BOB", false, "RACDCERT LISTRING(*)"), -EACCES);
}
END_TEST

START_TEST(signing_and_connecting_need_the_right_over_both)
{
	admin("RACDCERT CERTAUTH GENCERT SUBJECTSDN(CN('CA')) WITHLABEL('CA') NISTECC");
	admin("RACDCERT ID(BOB) GENCERT SUBJECTSDN(CN('b')) WITHLABEL('b') NISTECC "
	      "SIGNWITH(CERTAUTH LABEL('CA'))");
	admin("RACDCERT SITE GENCERT SUBJECTSDN(CN('s')) WITHLABEL('s') NISTECC");
	saf("RDEFINE FACILITY IRR.DIGTCERT.* UACC(READ)");
	ck_assert_int_eq(run_as("ANNA", false,
				 "RACDCERT GENCERT SUBJECTSDN(CN('a')) WITHLABEL('a') NISTECC "
				 "SIGNWITH(CERTAUTH LABEL('CA'))"),
		-EACCES);
	ck_assert_int_eq(run_as("ANNA", false, "RACDCERT ADDRING(r)"), 0);
	ck_assert_int_eq(run_as("ANNA", false, "RACDCERT CONNECT(CERTAUTH LABEL('CA') RING(r))"),
		0); /* public */
	ck_assert_int_eq(run_as("ANNA", false,
				 "RACDCERT CONNECT(CERTAUTH LABEL('CA') RING(r) USAGE(PERSONAL))"),
		-EACCES); /* its key would follow */
	ck_assert_int_eq(
		run_as("ANNA", false, "RACDCERT CONNECT(SITE LABEL('s') RING(r))"), -EACCES);
	ck_assert_int_eq(
		run_as("ANNA", false, "RACDCERT CONNECT(ID(BOB) LABEL('b') RING(r))"), -EACCES);
	saf("PERMIT IRR.DIGTCERT.* CLASS(FACILITY) ID(ANNA) ACCESS(UPDATE)");
	ck_assert_int_eq(run_as("ANNA", false, "RACDCERT CONNECT(ID(BOB) LABEL('b') RING(r))"), 0);
	struct keyring *k = NULL;
	struct errbuf e = {""};
	struct keyring_spec spec = {.name = "anna/r", .uid = (uid_t)-1};
	ck_assert_msg(keyring_open(&spec, &k, &e) == 0, "%s", e.text);
	ck_assert(!keyring_find(k, "b")->has_key); /* Bob's key stays Bob's */
	ck_assert_uint_eq(keyring_count(k), 2);
	keyring_unref(k);
}
END_TEST

START_TEST(operands)
{
	static const char *const bad[][2] = {
		{"RACDCERT", "MISSING FUNCTION"},
		{"RACDCERT ID(ANNA)", "MISSING FUNCTION"},
		{"RACDCERT ID(ANNA) ADDRING", "MISSING RING NAME"},
		{"RACDCERT ID(ANNA) ADDRING(a b)", "MISSING RING NAME"},
		{"RACDCERT ID(ANNA) ADDRING('a/b')", "INVALID RING"},
		{"RACDCERT ID() LIST", "INVALID ID"},
		{"RACDCERT ID(ANNA) CONNECT(LABEL('x'))", "MISSING RING"},
		{"RACDCERT ID(ANNA) CONNECT(RING(r))", "MISSING LABEL"},
		{"RACDCERT ID(ANNA) CONNECT(LABEL('x') RING(r) USAGE(FRIEND))", "INVALID USAGE"},
		{"RACDCERT ID(ANNA) CONNECT(LABEL('x') RING(r) COLOUR)", "INVALID KEYWORD"},
		{"RACDCERT ID(ANNA) ALTER(LABEL('x'))", "TRUST or NOTRUST"},
		{"RACDCERT ID(ANNA) ALTER(LABEL('x')) TRUST NOTRUST", "TRUST or NOTRUST"},
		{"RACDCERT ID(ANNA) EXPORT(LABEL('x')) DSN('/x') FORMAT(PKCS7DER)",
			"INVALID FORMAT"},
		{"RACDCERT ID(ANNA) EXPORT(LABEL('x'))", "MISSING DSN"},
		{"RACDCERT ID(ANNA) ADD", "MISSING FILE NAME"},
		{"RACDCERT ID(ANNA) GENCERT SUBJECTSDN(XX('a')) WITHLABEL('x')",
			"INVALID SUBJECTSDN"},
		{"RACDCERT ID(ANNA) GENCERT SUBJECTSDN(C('USA')) WITHLABEL('x') NISTECC",
			"INVALID C"},
		{"RACDCERT ID(ANNA) GENCERT SUBJECTSDN(CN('a')) WITHLABEL('x') NISTECC SIZE(512)",
			"INVALID SIZE"},
		{"RACDCERT ID(ANNA) GENCERT SUBJECTSDN(CN('a')) WITHLABEL('x') NISTECC "
		 "KEYUSAGE(ALL)",
			"INVALID KEYUSAGE"},
		{"RACDCERT ID(ANNA) GENCERT SUBJECTSDN(CN('a')) WITHLABEL('x') NISTECC "
		 "ALTNAME(EMAIL('x'))",
			"INVALID EMAIL"},
		{"RACDCERT ID(ANNA) GENCERT SUBJECTSDN(CN('a')) WITHLABEL('x') NOTBEFORE(DATE(1)) "
		 "NISTECC",
			"INVALID NOTBEFORE"},
		{"RACDCERT ID(ANNA) GENCERT SUBJECTSDN(CN('a')) WITHLABEL('x') "
		 "NOTBEFORE(DATE(2030-01-01)) NOTAFTER(DATE(2029-01-01))",
			"expire before"},
		{"RACDCERT ID(ANNA) GENCERT('/x') SUBJECTSDN(CN('a')) WITHLABEL('x')",
			"MISSING SIGNWITH"},
		{"RACDCERT ID(ANNA", "missing ')'"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = run_as("", true, bad[i][0]);
		ck_assert_msg(rc >= RACF_REFUSED, "%s: %d %s", bad[i][0], rc, said);
		ck_assert_msg(strstr(said, bad[i][1]) != NULL, "%s: %s", bad[i][0], said);
	}
	struct stat st;
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/var/lib/ravelin/keyring/ANNA/.certs/x", root);
	ck_assert_int_ne(stat(path, &st), 0);
}
END_TEST

START_TEST(what_outlives_its_signer_is_not_trusted)
{
	admin("RACDCERT CERTAUTH GENCERT SUBJECTSDN(CN('CA')) WITHLABEL('CA') NISTECC "
	      "NOTAFTER(DATE(2030-01-01))");
	admin("RACDCERT ID(ANNA) GENCERT SUBJECTSDN(CN('a')) WITHLABEL('a') NISTECC "
	      "NOTAFTER(DATE(2031-01-01)) SIGNWITH(CERTAUTH LABEL('CA'))");
	ck_assert_ptr_nonnull(strstr(said, "IRRD113I"));
	admin("RACDCERT ID(ANNA) LIST(LABEL('a'))");
	ck_assert_ptr_nonnull(strstr(said, "Status: NOTRUST"));
	ck_assert_ptr_nonnull(strstr(said, "End Date:   2031/01/01 23:59:59"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("racdcert");
	TCase *t = tcase_create("racdcert");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, which_commands);
	tcase_add_test(t, nobody_without_a_profile);
	tcase_add_test(t, levels);
	tcase_add_test(t, signing_and_connecting_need_the_right_over_both);
	tcase_add_test(t, operands);
	tcase_add_test(t, what_outlives_its_signer_is_not_trusted);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
