/* Files on disk, the questions about peers, and the JSON: modes, both files, the sample of conf/policy, identities, no key in sight. */
#include "lib/base/json.h"
#include "tests/unit/lib/policy/support.h"
#include <sys/stat.h>
#include <unistd.h>

static pid_t owner; /* Check runs each test in a child */
static char dir[64] = "/tmp/rv-policy-XXXXXX";

static const char *file(const char *name, const char *text, mode_t mode)
{
	static char path[2][128];
	static unsigned n;
	char *p = path[n++ % 2];
	(void)snprintf(p, 128, "%s/%s", dir, name);
	FILE *f = fopen(p, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(p, mode), 0);
	return p;
}

#define KEX(identity)                                                                                                  \
	"KeyExchangePolicy { KeyExchangeRule r { LocalSecurityEndpoint { Location 192.0.2.1 }\n"                       \
	"RemoteSecurityEndpoint { " identity "\n Location 192.0.2.0/24 }\n"                                            \
	"KeyExchangeAction { KeyExchangeOffer { Suite VPN-B\n HowToAuthPeers PresharedKey } }\n SharedKey Ascii geheimnis } }\n"

START_TEST(files_with_keys_are_private)
{
	static const mode_t bad[] = {0644, 0604, 0602, 0660, 0641}, good[] = {0640, 0600, 0400, 0440};
	struct ipsec_policy *p;
	struct errbuf e;
	char want[200];
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *path = file("keys", EMPTY KEX(""), bad[i]);
		ck_assert_int_eq(ipsec_policy_load(path, NULL, &e, &p), -EPERM);
		(void)snprintf(want, sizeof(want), "%s: found mode %04o, expected 0640 or less: it holds a SharedKey", path, bad[i]);
		ck_assert_str_eq(e.text, want);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		ck_assert_int_eq(ipsec_policy_load(file("keys", EMPTY KEX(""), good[i]), NULL, &e, &p), 0);
		ipsec_policy_free(p);
	}
	ck_assert_int_eq(ipsec_policy_load(file("plain", EMPTY, 0644), NULL, &e, &p), 0); /* nothing to hide */
	ipsec_policy_free(p);
	const char *common = file("common", KEX(""), 0644);
	ck_assert_int_eq(ipsec_policy_load(file("stack", EMPTY, 0644), common, &e, &p), -EPERM);
}
END_TEST

START_TEST(files_that_are_not_there_or_wrong)
{
	struct ipsec_policy *p = NULL;
	struct errbuf e = {""};
	ck_assert_int_eq(ipsec_policy_load("/nonexistent/x", NULL, &e, &p), -ENOENT);
	ck_assert_str_eq(e.text, "/nonexistent/x: cannot be read: No such file or directory");
	ck_assert_int_eq(ipsec_policy_load(file("wrong", "Nonsense\nNonsense\n", 0600), NULL, &e, &p), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "wrong:1:1: found 'Nonsense'"));
	ck_assert_ptr_nonnull(strstr(e.text, "(and 1 more)"));
	const char *common = file("common", "IpAddr a { Addr x }\nNonsense\n", 0600);
	ck_assert_int_eq(ipsec_policy_load(file("stack", EMPTY, 0600), common, &e, &p), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "common:2:1: found 'Nonsense'"));
	ck_assert_ptr_null(p);
}
END_TEST

START_TEST(rules_are_found_by_both_ends)
{
	static const char text[] = EMPTY
		"KeyExchangeAction a { KeyExchangeOffer { Suite VPN-A } }\n"
		"KeyExchangePolicy { KeyExchangeRule one { LocalSecurityEndpoint { Location 192.0.2.1 }\n"
		" RemoteSecurityEndpoint { Location 198.51.100.0/24 }\n KeyExchangeActionRef a }\n"
		"KeyExchangeRule two { LocalSecurityEndpoint { Identity Fqdn gw.example.com\n Location 192.0.2.0/24 }\n"
		" RemoteSecurityEndpoint { }\n KeyExchangeActionRef a } }\n";
	struct ipsec_policy *p = accepted(text);
	struct addr local, remote;
	size_t at = 0;
	ck_assert_int_eq(addr_parse("192.0.2.1", &local) | addr_parse("198.51.100.9", &remote), 0);
	ck_assert_str_eq(policy_kex_rule(p, &local, &remote, &at)->name, "one");
	ck_assert_str_eq(policy_kex_rule(p, &local, &remote, &at)->name, "two");
	ck_assert_ptr_null(policy_kex_rule(p, &local, &remote, &at));
	ck_assert_ptr_null(policy_kex_rule(p, &local, &remote, &at));
	at = 0;
	ck_assert_int_eq(addr_parse("203.0.113.1", &remote), 0);
	ck_assert_str_eq(policy_kex_rule(p, &local, &remote, &at)->name, "two");
	at = 0;
	ck_assert_int_eq(addr_parse("192.0.3.1", &local), 0);
	ck_assert_ptr_null(policy_kex_rule(p, &local, &remote, &at));
	ck_assert_uint_eq(p->nat_keepalive_s, 20);
	ipsec_policy_free(p);
}
END_TEST

/* The identity of @keyword and @value, as it stands in a payload, against the remote end's Identity @want. */
static bool match(const char *want, const char *keyword, const char *value)
{
	char text[1024];
	struct ident id;
	struct errbuf e;
	(void)snprintf(text, sizeof(text), EMPTY KEX("%s"), want);
	struct ipsec_policy *p = accepted(text);
	ck_assert_int_eq(ident_from_text(keyword, value, &id, &e), 0);
	bool r = policy_identity_match(&p->kex_rules[0].remote.identity, id.type, id.data, id.len);
	ck_assert(!policy_identity_match(&p->kex_rules[0].remote.identity, id.type, id.data, 0));
	ipsec_policy_free(p);
	return r;
}

START_TEST(identities_and_wildcards)
{
	ck_assert(match("", "Fqdn", "any.example.com")); /* no Identity: anybody who has one */
	ck_assert(match("Identity IpAddr 192.0.2.2", "IpAddr", "192.0.2.2"));
	ck_assert(!match("Identity IpAddr 192.0.2.2", "IpAddr", "192.0.2.3"));
	ck_assert(match("Identity IpAddr 192.0.2.0/24", "IpAddr", "192.0.2.3"));
	ck_assert(match("Identity IpAddr 2001:db8::1-2001:db8::9", "IpAddr", "2001:db8::4"));
	ck_assert(!match("Identity IpAddr 2001:db8::1-2001:db8::9", "IpAddr", "2001:db8::a"));
	ck_assert(match("Identity Fqdn gw.example.com", "Fqdn", "GW.example.com"));
	ck_assert(!match("Identity Fqdn gw.example.com", "Fqdn", "gw.example.org"));
	ck_assert(match("Identity Fqdn *.example.com", "Fqdn", "gw.example.com"));
	ck_assert(!match("Identity Fqdn *.example.com", "Fqdn", "example.com"));
	ck_assert(!match("Identity Fqdn *.example.com", "Fqdn", "evilexample.com"));
	ck_assert(!match("Identity Fqdn gw.example.com", "UserAtFqdn", "gw@example.com"));
	ck_assert(match("Identity UserAtFqdn *@example.com", "UserAtFqdn", "anna@example.com"));
	ck_assert(!match("Identity UserAtFqdn anna@example.com", "UserAtFqdn", "otto@example.com"));
	ck_assert(match("Identity X500dn \"CN=*,O=Example,C=US\"", "X500dn", "CN=gw,O=Example,C=US"));
	ck_assert(match("Identity X500dn \"CN=gw,O=Example,C=US\"", "X500dn", "C=US,O=Example,CN=gw"));
	ck_assert(!match("Identity X500dn \"CN=*,O=Example,C=US\"", "X500dn", "CN=gw,OU=x,O=Example,C=US"));
	ck_assert(!match("Identity X500dn \"CN=*,O=Example,C=US\"", "X500dn", "CN=gw,O=Other,C=US"));
}
END_TEST

/* A file of the source tree: the build names sources by their full paths. */
static void source(const char *name, char *out, size_t size)
{
	char path[4096] = __FILE__;
	strcpy(strstr(path, "tests/unit/"), name);
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	size_t n = fread(out, 1, size - 1, f);
	out[n] = 0;
	ck_assert_uint_lt(n, size - 1);
	(void)fclose(f);
}

static unsigned undocumented(const struct conf_stmt *s, const char *page, unsigned depth)
{
	unsigned missing = 0;
	for (; s && s->name && depth < 8; s++) {
		if (!strstr(page, s->name)) {
			fprintf(stderr, "not in the manual page: %s\n", s->name);
			missing++;
		}
		missing += undocumented(s->children, page, depth + 1);
	}
	return missing;
}

static char doubts[2048];

static void note(void *arg, const char *text)
{
	(void)arg;
	(void)strcat(strcat(doubts, text), "\n");
}

static const char *doubts_of(const char *text)
{
	struct ipsec_policy *p = accepted(text);
	doubts[0] = 0;
	size_t n = policy_doubts(p, note, NULL);
	ck_assert_uint_eq(n != 0, doubts[0] != 0);
	ipsec_policy_free(p);
	return doubts;
}

#define TUNNEL                                                                                                          \
	ACTIONS "IpDynVpnAction v { IpDataOffer { HowToEncap Tunnel\n HowToEncrypt DES\n HowToAuth ESP HMAC_SHA1 } }\n"   \
		"IpService ike { Protocol udp\n SourcePortRange 500 }\n"                                               \
		"IpFilterRule t { IpSourceAddr 10.1.0.0/16\n IpDestAddr 10.2.0.0/16\n IpServiceRef all\n"             \
		" IpGenericFilterActionRef ipsec\n IpDynVpnActionRef v }\n"                                            \
		"IpFilterRule i { IpSourceAddr all\n IpDestAddr all\n IpServiceRef ike\n IpGenericFilterActionRef permit }\n"

START_TEST(what_is_hardly_meant)
{
	ck_assert_str_eq(doubts_of(EMPTY), "");
	ck_assert_str_eq(doubts_of(TUNNEL "IpFilterPolicy { IpFilterRuleRef t }\n"),
		"no rule permits IKE (UDP 500, both directions, local) in the clear: no tunnel can be negotiated\n"
		"anchor rules, and no KeyExchangeRule: no tunnel can be negotiated unless another file has one\n"
		"IpDynVpnAction 'v', offer 1: DES and MD5 can be broken\n");
	ck_assert_ptr_null(strstr(doubts_of(TUNNEL "IpFilterPolicy { IpFilterRuleRef i\n IpFilterRuleRef t }\n"), "permits IKE"));
	ck_assert_ptr_nonnull(strstr(doubts_of(EMPTY "LocalDynVpnPolicy { LocalDynVpnRule l { LocalIp 10.1.0.1\n RemoteIp 10.2.0.1 } }\n"),
		"LocalDynVpnRule 'l': no anchor rule covers all of it"));
	ck_assert_str_eq(doubts_of(EMPTY KEX("Identity Fqdn gw.example.com")),
		"KeyExchangeRule 'r': in main mode a preshared key is chosen by address alone, so give the peer a Location of one address\n");
	ck_assert_str_eq(doubts_of(EMPTY KEX("Identity IpAddr 192.0.2.0/24")), "");
	ck_assert_ptr_nonnull(strstr(doubts_of(EMPTY "KeyExchangePolicy { KeyExchangeRule r { LocalSecurityEndpoint { Location 192.0.2.1 }\n"
		"RemoteSecurityEndpoint { }\n KeyExchangeAction { KeyExchangeOffer { HowToEncrypt 3DES\n HowToAuthMsgs MD5\n DHGroup Group2 } } } }\n"),
		"KeyExchangeRule 'r', offer 1: DES, MD5 and Group1 can be broken"));
}
END_TEST

START_TEST(the_manual_page_has_every_statement)
{
	char page[65536];
	source("lib/policy/ravelin-ipsec-policy.5", page, sizeof(page));
	ck_assert_uint_eq(undocumented(ipsec_policy_spec.stmts, page, 0), 0);
}
END_TEST

START_TEST(the_sample_is_good_and_json_shows_no_key)
{
	char text[65536];
	struct json j;
	source("conf/policy/ipsec.policy", text, sizeof(text));
	struct ipsec_policy *p = accepted(text);
	ck_assert(p->n_rules == 6 && p->n_kex_rules == 3 && p->n_local_rules == 1 && p->generation > 0);
	json_init(&j);
	ipsec_policy_json(p, &j);
	ck_assert_ptr_nonnull(strstr(j.buf, "\"shared_key\":true"));
	ck_assert_ptr_nonnull(strstr(j.buf, "\"anchor\":\"Branch\""));
	ck_assert_ptr_nonnull(strstr(j.buf, "\"suite\":\"VPN-B\""));
	ck_assert_ptr_null(strstr(j.buf, "change-me"));
	ck_assert_ptr_null(strstr(j.buf, "000102030405"));
	json_fini(&j);
	ipsec_policy_free(p);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("load");
	TCase *t = tcase_create("load");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, files_with_keys_are_private);
	tcase_add_test(t, files_that_are_not_there_or_wrong);
	tcase_add_test(t, rules_are_found_by_both_ends);
	tcase_add_test(t, identities_and_wildcards);
	tcase_add_test(t, what_is_hardly_meant);
	tcase_add_test(t, the_manual_page_has_every_statement);
	tcase_add_test(t, the_sample_is_good_and_json_shows_no_key);
	suite_add_tcase(s, t);
	return s;
}

static void remove_dir(void)
{
	if (getpid() != owner)
		return;
	static const char *const names[] = {"keys", "plain", "common", "stack", "wrong"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

static Suite *prepared(void)
{
	if (!mkdtemp(dir))
		abort();
	owner = getpid();
	(void)atexit(remove_dir);
	return suite();
}

RV_CHECK_MAIN(prepared())
