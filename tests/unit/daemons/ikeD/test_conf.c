#include "daemons/ikeD/iked.h"
#include "lib/base/path.h"
#include "tests/support/check_main.h"
#include "tests/support/refusals.h"
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void write_policy(const char *text)
{
	char path[PATH_TEXT_MAX];
	FILE *f = fopen(path_make(path, "/etc/ravelin/p.policy"), "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
}

static void setup(void)
{
	char path[PATH_TEXT_MAX];
	(void)snprintf(root, sizeof(root), "/tmp/rv-iked-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	path_set_root(root);
	ck_assert_int_eq(mkdir(path_make(path, "/etc"), 0755), 0);
	ck_assert_int_eq(mkdir(path_make(path, "/etc/ravelin"), 0755), 0);
	write_policy("IpFilterPolicy { }\n");
}

static void teardown(void)
{
	char path[PATH_TEXT_MAX];
	(void)unlink(path_make(path, "/etc/ravelin/p.policy"));
	(void)rmdir(path_make(path, "/etc/ravelin"));
	(void)rmdir(path_make(path, "/etc"));
	(void)rmdir(root);
	path_set_root("");
}

static void *build(const char *text, char error[REFUSAL_TEXT_MAX])
{
	struct conf *c = NULL;
	void *built = NULL;
	int rc = conf_parse(&iked_conf_spec, "iked.conf", text, strlen(text), &c);
	if (!rc)
		rc = iked_conf_build(c, NULL, &built);
	(void)snprintf(error, 512, "%s", conf_error_count(c) ? conf_error(c, 0) : "");
	ck_assert_int_eq(rc == 0, built != NULL);
	conf_free(c);
	return built;
}

START_TEST(refuses)
{
	static const struct refusal bad[] = {{"IkeConfig { IkeRetries 0 }", "iked.conf:1:"}, {"IkeConfig { IkeRetries 9 }", "iked.conf:1:"},
		{"IkeConfig { IkeInitWait 16 }", "15"}, {"IkeConfig { SMF119 All }", "IKEALL"}, {"IkeConfig { FIPS140 yes }", "FIPS"},
		{"IkeConfig { KeyRing a/b/c }", "userid/ring"}, {"IkeConfig { KeyRing toolongname/ring }", "userid/ring"},
		{"IkeConfig { DeadPeerInterval 60\nDeadPeerTimeout 60 }", "DeadPeerTimeout"}, {"IkeConfig { HalfOpenLimit 1 }", "iked.conf:1:"},
		{"IkeConfig { Nonsense 1 }", "Nonsense"}, {"NssStackConfig TCPCS { ClientName a }", "Network Security Services"},
		{"StackPolicy", "iked.conf:1:"}, {"StackPolicy TCPCS", "iked.conf:1:"}, {"StackPolicy TOOLONGNAME p.policy", "iked.conf:1:"},
		{"StackPolicy A-B p.policy", "stack name"}, {"StackPolicy A missing.policy", "missing.policy"},
		{"StackPolicy A p.policy\nStackPolicy a p.policy", "iked.conf:2:"}, {"IkeConfig {", "iked.conf:1:"}};
	ck_refusals(build, bad, sizeof(bad) / sizeof(*bad));
}
END_TEST

START_TEST(refuses_a_bad_policy_with_its_line)
{
	char e[512];
	write_policy("IpFilterPolicy {\n  Nonsense yes\n}\n");
	ck_assert_ptr_null(build("StackPolicy A p.policy", e));
	ck_assert_msg(strstr(e, "p.policy:2:") != NULL, "%s", e);
}
END_TEST

START_TEST(refuses_too_many)
{
	char text[8192] = "", e[512];
	for (int i = 0; i <= IKED_STACKS_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "StackPolicy S%d p.policy\n", i);
	ck_assert_ptr_null(build(text, e));
	ck_assert_ptr_nonnull(strstr(e, "at most 16"));
	memcpy(text, "IkeConfig {\n", 13);
	for (int i = 0; i <= IKED_CAS_MAX; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "SupportedCertAuth ca%d\n", i);
	memcpy(text + strlen(text), "}\n", 3);
	ck_assert_ptr_null(build(text, e));
	ck_assert_ptr_nonnull(strstr(e, "at most 64"));
}
END_TEST

START_TEST(takes_all_and_defaults)
{
	char e[512];
	struct iked_conf *c = build("", e);
	ck_assert_msg(c != NULL, "%s", e);
	ck_assert_uint_eq(c->retries, 6);
	ck_assert_uint_eq(c->init_wait_s, 2);
	ck_assert_uint_eq(c->smf, 0);
	ck_assert_uint_eq(c->n_stacks, 0);
	ck_assert(c->esn && !c->keyring_given);
	ck_assert_str_eq(c->keyring, "iked/keyring");
	iked_conf_free(c);
	c = build("IkeConfig { IkeRetries 3 }\nikeconfig\n{\n  SMF119 IKETunnel\n  smf119 DynTunnel\n  IkeSyslogLevel 1\n  IkeSyslogLevel 2\n"
		  "  KeyRing other/ring\n  SupportedCertAuth 'Test CA'\n  SupportedCertAuth b\n  ExtendedSequenceNumbers no\n"
		  "  HalfOpenLimit 100 10\n  NetworkSecurityServer host Identity Fqdn a.b\n  Echo yes\n}\n"
		  "StackPolicy left p.policy\nStackPolicy RIGHT /etc/ravelin/p.policy\n", e);
	ck_assert_msg(c != NULL, "%s", e);
	ck_assert_uint_eq(c->retries, 6); /* the last IkeConfig wins, whole */
	ck_assert_uint_eq(c->smf, SMF_IKE_TUNNEL | SMF_DYN_TUNNEL);
	ck_assert_uint_eq(c->syslog_level, 2);
	ck_assert_str_eq(c->keyring, "other/ring");
	ck_assert(c->keyring_given && !c->esn);
	ck_assert_uint_eq(c->n_cas, 2);
	ck_assert_str_eq(c->cas[0], "Test CA");
	ck_assert_uint_eq(c->half_open, 100);
	ck_assert_uint_eq(c->half_open_source, 10);
	ck_assert_uint_eq(c->n_stacks, 2);
	ck_assert_str_eq(c->stacks[0].name, "LEFT");
	ck_assert_ptr_nonnull(c->stacks[1].policy);
	iked_conf_free(c);
}
END_TEST

/* Any beginning of a good file: judged, never a crash. */
START_TEST(every_truncation)
{
	static const char text[] = "IkeConfig { SMF119 IKEALL KeyRing a/b SupportedCertAuth c }\nStackPolicy LEFT p.policy\n";
	for (size_t n = 0; n < sizeof(text); n++) {
		char part[sizeof(text)], e[512];
		memcpy(part, text, n);
		part[n] = '\0';
		struct iked_conf *c = build(part, e);
		ck_assert(c != NULL || e[0] != '\0');
		iked_conf_free(c);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("iked.conf");
	TCase *t = tcase_create("conf");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, refuses);
	tcase_add_test(t, refuses_a_bad_policy_with_its_line);
	tcase_add_test(t, refuses_too_many);
	tcase_add_test(t, takes_all_and_defaults);
	tcase_add_test(t, every_truncation);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
