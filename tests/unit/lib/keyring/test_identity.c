/* Identities and patterns: what is refused, what matches, what must not. */
#include "lib/keyring/identity.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct ident of(const char *keyword, const char *value)
{
	struct ident id;
	struct errbuf e = {""};
	ck_assert_msg(
		ident_from_text(keyword, value, &id, &e) == 0, "%s %s: %s", keyword, value, e.text);
	return id;
}

START_TEST(text_is_refused)
{
	static const struct {
		const char *keyword, *value, *why;
	} cases[] = {
		{"Nonsense", "x", "IpAddr, Fqdn, UserAtFqdn or X500dn"},
		{"IpAddr", "300.1.1.1", "not an address"},
		{"IpAddr", "", "not an address"},
		{"Fqdn", "", "empty"},
		{"Fqdn", "a b", "not printable"},
		{"Fqdn", "anna@example.com", "with an @"},
		{"UserAtFqdn", "example.com", "not user@name"},
		{"UserAtFqdn", "@example.com", "not user@name"},
		{"UserAtFqdn", "a@b@c", "not user@name"},
		{"X500dn", "", "empty"},
		{"X500dn", "CN", "ATTRIBUTE=value"},
		{"X500dn", "XX=a", "no attribute"},
		{"X500dn", "CN=", "without a value"},
		{"X500dn", "CN=a,", "ATTRIBUTE=value"},
		{"X500dn", "CN=\"a", "closing quote"},
		{"X500dn", "CN=a\\", "backslash"},
		{"X500dn", "CN=a+OU=b", "not supported"},
		{"X500dn", "CN=a,C=USA", "not a value for C"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ident id;
		struct errbuf e = {""};
		ck_assert_int_eq(
			ident_from_text(cases[i].keyword, cases[i].value, &id, &e), -EINVAL);
		ck_assert_msg(strstr(e.text, cases[i].why) != NULL, "%s '%s': %s", cases[i].keyword,
			cases[i].value, e.text);
	}
}
END_TEST

START_TEST(wire_is_refused)
{
	struct ident id, dn = of("X500dn", "CN=gw,C=US");
	uint8_t big[IDENT_DATA_MAX + 1] = {'a'};
	ck_assert_int_eq(ident_from_wire(IDENT_FQDN, big, sizeof(big), &id, NULL), -EMSGSIZE);
	ck_assert_int_eq(ident_from_wire(4, "\0\0\0\0\0\0\0\0", 8, &id, NULL),
		-EPROTONOSUPPORT); /* a subnet */
	ck_assert_int_eq(ident_from_wire(11, "key", 3, &id, NULL), -EPROTONOSUPPORT);
	ck_assert_int_eq(ident_from_wire(0, "", 0, &id, NULL), -EPROTONOSUPPORT);
	for (size_t len = 0; len < 20; len++)
		ck_assert_int_eq(
			ident_from_wire(IDENT_IPV4, big, len, &id, NULL), len == 4 ? 0 : -EINVAL);
	for (size_t len = 0; len < 20; len++)
		ck_assert_int_eq(
			ident_from_wire(IDENT_IPV6, big, len, &id, NULL), len == 16 ? 0 : -EINVAL);
	ck_assert_int_eq(ident_from_wire(IDENT_FQDN, "a\0b", 3, &id, NULL), -EINVAL);
	ck_assert_int_eq(ident_from_wire(IDENT_FQDN, "gw\n", 3, &id, NULL), -EINVAL);
	for (size_t len = 0; len <= dn.len; len++)
		ck_assert_int_eq(ident_from_wire(IDENT_DN, dn.data, len, &id, NULL),
			len == dn.len ? 0 : -EINVAL);
	dn.data[dn.len] = 0;
	ck_assert_int_eq(ident_from_wire(IDENT_DN, dn.data, dn.len + 1U, &id, NULL), -EINVAL);
}
END_TEST

START_TEST(text_comes_back)
{
	char text[IDENT_TEXT_MAX];
	static const char *const same[][2] = {{"IpAddr", "192.0.2.1"}, {"IpAddr", "2001:db8::1"},
		{"Fqdn", "gw.example.com"}, {"UserAtFqdn", "anna@example.com"},
		{"X500dn", "CN=gw,OU=net,O=Example,C=US"}};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct ident id = of(same[i][0], same[i][1]);
		ck_assert_str_eq(ident_text(&id, text), same[i][1]);
		ck_assert_str_eq(ident_type_text(id.type), same[i][0]);
	}
	struct ident id = of("X500dn", " cn = \"Smith, J\" , o=A\\+B ");
	ck_assert_str_eq(ident_text(&id, text), "CN=Smith\\, J,O=A\\+B");
}
END_TEST

START_TEST(equality)
{
	static const struct {
		const char *keyword, *a, *b;
		bool same;
	} cases[] = {
		{"IpAddr", "192.0.2.1", "192.0.2.1", true},
		{"IpAddr", "192.0.2.1", "192.0.2.2", false},
		{"Fqdn", "GW.example.com", "gw.Example.COM", true},
		{"Fqdn", "gw.example.com", "gw.example.co", false},
		{"UserAtFqdn", "anna@EXAMPLE.com", "anna@example.com", true},
		{"UserAtFqdn", "Anna@example.com", "anna@example.com", false},
		{"X500dn", "CN=Gw,O=Example  Inc", "cn=gw,o=example inc", true},
		{"X500dn", "CN=gw,O=Example", "O=Example,CN=gw", false}, /* a sequence */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ident a = of(cases[i].keyword, cases[i].a),
			     b = of(cases[i].keyword, cases[i].b);
		ck_assert_msg(
			ident_equal(&a, &b) == cases[i].same, "%s / %s", cases[i].a, cases[i].b);
	}
	struct ident a = of("IpAddr", "1.2.3.4"), none = {0};
	ck_assert(!ident_equal(&none, &none));
	ck_assert(!ident_equal(&a, &none));
}
END_TEST

START_TEST(patterns_are_refused)
{
	static const char *const bad[][2] = {{"IpAddr", "192.0.2.1/24"}, {"IpAddr", "192.0.2.0/33"},
		{"IpAddr", "192.0.2.9-192.0.2.1"}, {"IpAddr", "192.0.2.1-2001:db8::1"},
		{"IpAddr", "x"}, {"Fqdn", "*a.com"}, {"Fqdn", "a.*.com"}, {"Fqdn", "*.*"},
		{"UserAtFqdn", "a*@b.com"}, {"UserAtFqdn", "*@*"}, {"UserAtFqdn", "b.com"},
		{"X500dn", "CN"}, {"Other", "*"}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ident_pattern *p = NULL;
		struct errbuf e = {""};
		ck_assert_msg(ident_pattern_new(bad[i][0], bad[i][1], &p, &e) == -EINVAL, "%s %s",
			bad[i][0], bad[i][1]);
		ck_assert_uint_gt(strlen(e.text), 5);
	}
}
END_TEST

START_TEST(patterns_match)
{
	static const struct {
		const char *keyword, *pattern, *value;
		bool fits;
	} cases[] = {
		{"IpAddr", "*", "192.0.2.1", true},
		{"IpAddr", "*", "2001:db8::1", true},
		{"IpAddr", "192.0.2.0/24", "192.0.2.255", true},
		{"IpAddr", "192.0.2.0/24", "192.0.3.0", false},
		{"IpAddr", "192.0.2.4-192.0.2.6", "192.0.2.6", true},
		{"IpAddr", "192.0.2.4-192.0.2.6", "192.0.2.7", false},
		{"IpAddr", "192.0.2.4-192.0.2.6", "192.0.2.3", false},
		{"IpAddr", "2001:db8::/32", "2001:db9::", false},
		{"IpAddr", "0.0.0.0/0", "2001:db8::1", false},
		{"Fqdn", "*", "x", true},
		{"Fqdn", "*.example.com", "a.b.EXAMPLE.com", true},
		{"Fqdn", "*.example.com", "example.com", false},
		{"Fqdn", "*.example.com", ".example.com", false},
		{"Fqdn", "*.example.com", "badexample.com", false},
		{"Fqdn", "gw.example.com", "gw.example.com.evil", false},
		{"UserAtFqdn", "*@example.com", "anna@example.com", true},
		{"UserAtFqdn", "*@example.com", "anna@mail.example.com", false},
		{"UserAtFqdn", "*@*.example.com", "anna@mail.example.com", true},
		{"UserAtFqdn", "anna@example.com", "Anna@example.com", false},
		{"X500dn", "*", "CN=a", true},
		{"X500dn", "CN=*,O=Example,C=US", "CN=gw,O=Example,C=US", true},
		{"X500dn", "C=US,CN=*,O=example", "CN=gw,O=Example,C=US", true}, /* any order */
		{"X500dn", "CN=*,O=Example", "CN=gw,O=Example,C=US", false}, /* an attribute more */
		{"X500dn", "CN=*,O=Example,C=US", "CN=gw,O=Example", false},
		{"X500dn", "CN=*,O=Example,C=US", "CN=gw,O=Other,C=US", false},
		{"X500dn", "CN=gw,OU=*,OU=net", "CN=gw,OU=net,OU=deep",
			true}, /* the literal chooses first */
		{"X500dn", "CN=gw,OU=*,OU=net", "CN=gw,OU=a,OU=b", false},
		{"X500dn", "CN=\"*\",O=Example", "CN=gw,O=Example",
			false}, /* a quoted star is a star */
		{"X500dn", "CN=\"*\",O=Example", "CN=\"*\",O=Example", true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ident id = of(cases[i].keyword, cases[i].value);
		struct ident_pattern *p = NULL;
		struct errbuf e = {""};
		ck_assert_msg(ident_pattern_new(cases[i].keyword, cases[i].pattern, &p, &e) == 0,
			"%s: %s", cases[i].pattern, e.text);
		ck_assert_msg(ident_pattern_match(p, &id) == cases[i].fits, "%s / %s",
			cases[i].pattern, cases[i].value);
		struct ident other = of(id.type == IDENT_FQDN ? "IpAddr" : "Fqdn",
			id.type == IDENT_FQDN ? "1.2.3.4" : "x");
		ck_assert(!ident_pattern_match(p, &other)); /* not even by * */
		ident_pattern_free(p);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("identity");
	TCase *t = tcase_create("identity");
	tcase_add_test(t, text_is_refused);
	tcase_add_test(t, wire_is_refused);
	tcase_add_test(t, text_comes_back);
	tcase_add_test(t, equality);
	tcase_add_test(t, patterns_are_refused);
	tcase_add_test(t, patterns_match);
	suite_add_tcase(s, t);
	return s;
}
RV_CHECK_MAIN(suite())
