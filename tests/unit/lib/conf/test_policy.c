/* Policy form: what is refused, word for word, and what a good file gives. */
#include "tests/unit/lib/conf/sample.h"

START_TEST(unknown_statement_names_the_near_one)
{
	refused(&dm_spec, "DmStackConfig A\n{\n  Mod Active\n}\n", 1,
		"f:3:3: found 'Mod', expected one of Mode, MaxLifetime, DefaultLogLimit, Exclude or '}' (did you mean 'Mode'?)");
	refused(&dm_spec, "DmCofnig\n{\n  Anything { 1 }\n}\n", 1,
		"f:1:1: found 'DmCofnig', expected one of DmConfig, DmStackConfig (did you mean 'DmConfig'?)");
	refused(&dm_spec, "Zebra 7\n", 1, "f:1:1: found 'Zebra', expected one of DmConfig, DmStackConfig");
}
END_TEST

START_TEST(wrong_values_say_what_is_allowed)
{
	refused(&dm_spec, "DmStackConfig A {\n Mode Passive\n}", 1,
		"f:2:7: found 'Passive', expected mode: Active, Simulate or Inactive");
	refused(&dm_spec, "DmStackConfig A {\n MaxLifetime 0\n}", 1,
		"f:2:14: found '0', expected minutes: a number 1 to 20160");
	refused(&dm_spec, "DmStackConfig A {\n MaxLifetime 20161\n}", 1,
		"f:2:14: found '20161', expected minutes: a number 1 to 20160");
	refused(&dm_spec, "DmStackConfig A {\n MaxLifetime 99999999999999999999999\n}", 1,
		"f:2:14: found '99999999999999999999999', expected minutes: a number 1 to 20160");
	refused(&dm_spec, "DmStackConfig A {\n MaxLifetime -1\n}", 1,
		"f:2:14: found '-1', expected minutes: a number 1 to 20160");
	refused(&dm_spec, "DmStackConfig A {\n Exclude 10.0.0.1/8\n}", 1,
		"f:2:10: found '10.0.0.1/8', expected address: an IP address or address/length without host bits");
	refused(&dm_spec, "DmStackConfig A {\n Exclude 10.0.0.0/33\n}", 1,
		"f:2:10: found '10.0.0.0/33', expected address: an IP address or address/length");
	refused(&dm_spec, "DmStackConfig TOOLONGNAME { }", 1,
		"f:1:15: found 'TOOLONGNAME', expected stackname: a name of at most 8 characters (letters, digits, @ # $ _ - . * %)");
}
END_TEST

START_TEST(missing_and_surplus_operands)
{
	refused(&dm_spec, "DmStackConfig A {\n MaxLifetime\n}", 1,
		"f:2:13: found end of line, expected minutes: a number 1 to 20160");
	refused(&dm_spec, "DmStackConfig A {\n Exclude 1.2.3.4 5.6.7.8\n}", 1,
		"f:2:18: found '5.6.7.8' behind Exclude, expected end of line");
	refused(&dm_spec, "DmStackConfig A {\n Exclude\n}", 1,
		"f:2:9: found end of line, expected address: an IP address or address/length");
	refused(&dm_spec, "DmStackConfig\n{\n}", 1,
		"f:1:14: found end of line, expected stackname: a name of at most 8 characters (letters, digits, @ # $ _ - . * %)");
	refused(&dm_spec, "DmStackConfig {\n}", 1,
		"f:1:15: found '{', expected stackname: a name of at most 8 characters (letters, digits, @ # $ _ - . * %)");
	refused(&dm_spec, "DmConfig { SyslogLevel 1\n SyslogLevel 2 }", 1, "f:2:2: found a second SyslogLevel, expected one");
	refused(&policy_spec, "IpManVpnAction a { PassthroughDF No Maybe\n }", 1,
		"f:1:37: found 'Maybe', expected df: Clear or Set");
}
END_TEST

START_TEST(braces)
{
	refused(&dm_spec, "DmConfig\nSyslogLevel 7\n}\n", 1, "f:2:1: found 'SyslogLevel', expected '{' of DmConfig (line 1)");
	refused(&dm_spec, "DmConfig\n{\nSyslogLevel 7\n", 1, "f:4:1: found end of file, expected '}' of DmConfig (line 1)");
	refused(&dm_spec, "DmConfig\n{\nSyslogLevel 7\nDmStackConfig A\n{\n}\n", 1,
		"f:4:1: found 'DmStackConfig', expected '}' of DmConfig (line 1)");
	refused(&dm_spec, "DmConfig { }\n}\n", 1, "f:2:1: found '}', expected one of DmConfig, DmStackConfig");
	refused(&dm_spec, "{ }\n", 1, "f:1:1: found '{', expected one of DmConfig, DmStackConfig");
	refused(&dm_spec, "DmConfig { SyslogLevel 7 { x { y } } }\n", 1, "f:1:26: found '{', expected no block behind SyslogLevel");
}
END_TEST

START_TEST(nesting_is_limited)
{
	struct conf *c = parsed(&policy_spec, "Deep{Deep{Deep{Deep{Deep{Deep{Deep{Deep{}}}}}}}}");
	conf_free(c);
	refused(&policy_spec, "Deep{Deep{Deep{Deep{Deep{Deep{Deep{Deep{Deep{}}}}}}}}}", 1,
		"f:1:46: found a block inside 8 others, expected at most 8 deep");
}
END_TEST

START_TEST(required_statement)
{
	refused(&policy_spec, "\n  IpFilterRule r { IpGenericFilterActionRef a\n }", 1,
		"f:2:3: found no IpSourceAddr in IpFilterRule, expected one");
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
	struct conf *c;
	static const char nul[] = "DmConfig {\n Sys\0logLevel 7\n}";
	ck_assert_int_ne(conf_parse(&dm_spec, "f", nul, sizeof(nul) - 1, &c), 0);
	ck_assert_uint_eq(conf_error_count(c), 1);
	ck_assert_str_eq(conf_error(c, 0), "f:2:5: found byte 0x00, expected text");
	conf_free(c);
	refused(&dm_spec, "# comment \x01\nDmConfig { }", 1, "f:1:11: found byte 0x01, expected text");
	refused(&dm_spec, "DmStackConfig \"\xff\xfe\" { }", 1, "f:1:15: found bytes that are not UTF-8, expected text");
	refused(&dm_spec, "DmStackConfig b\xc3\xa4r { }", 1,
		"f:1:15: found 'b\\xc3\\xa4r', expected stackname: a name of at most 8 characters (letters, digits, @ # $ _ - . * %)");
	refused(&dm_spec, "DmConfig {\n DefensiveFilterDirectory '/var\n}", 1,
		"f:2:27: found a string without end, expected a closing ' on the same line");
}
END_TEST

START_TEST(long_tokens)
{
	char text[1200] = "DmConfig { DefensiveFilterDirectory ";
	size_t at = strlen(text);
	memset(text + at, 'x', 1024);
	strcpy(text + at + 1024, "\n}");
	struct conf *c = parsed(&dm_spec, text);
	ck_assert_uint_eq(strlen(conf_str(conf_child(conf_root(c), "DefensiveFilterDirectory"), "path")), 1024);
	conf_free(c);
	strcpy(text + at + 1024, "x\n}");
	memset(text + at + 1024, 'x', 1);
	refused(&dm_spec, text, 1, "f:1:37: found a token of 1025 bytes, expected at most 1024");
}
END_TEST

START_TEST(secrets_are_never_echoed)
{
	refused(&policy_spec, "IpManVpnAction a {\n AuthInboundSa 300 0x0badkey0\n}", 1,
		"f:2:20: found a value that is not shown here, expected key: pairs of hex digits, at most 64 bytes");
	struct conf *c = parsed(&policy_spec, "IpManVpnAction a { AuthInboundSa 300 0x0BAD }");
	const struct conf_node *n = conf_child(conf_root(c), "AuthInboundSa");
	ck_assert_str_eq(conf_str(n, "key"), "0BAD");
	ck_assert_uint_eq(conf_uint(n, "spi"), 300);
	conf_free(c);
}
END_TEST

START_TEST(at_most_twenty_errors)
{
	char text[1000] = "DmConfig {\n";
	for (int i = 0; i < 40; i++)
		strcat(text, "Wrong 1\n");
	struct conf *c;
	ck_assert_int_ne(conf_parse(&dm_spec, "f", text, strlen(text), &c), 0);
	ck_assert_uint_eq(conf_error_count(c), 20);
	ck_assert_ptr_null(conf_error(c, 20));
	conf_free(c);
}
END_TEST

START_TEST(several_errors_are_all_named)
{
	struct conf *c;
	static const char text[] = "DmConfig {\n SyslogLevel 256\n Nonsense { a b\n c }\n DefensiveFilterDirectory\n"
				   "}\nDmStackConfig A {\n Mode X\n}\n";
	ck_assert_int_ne(conf_parse(&dm_spec, "f", text, strlen(text), &c), 0);
	ck_assert_uint_eq(conf_error_count(c), 4);
	ck_assert_str_eq(conf_error(c, 0), "f:2:14: found '256', expected mask: a number 0 to 255");
	ck_assert_ptr_nonnull(strstr(conf_error(c, 1), "f:3:2: found 'Nonsense'"));
	ck_assert_ptr_nonnull(strstr(conf_error(c, 2), "f:5:26: found end of line, expected path: text"));
	ck_assert_ptr_nonnull(strstr(conf_error(c, 3), "f:8:7: found 'X'"));
	conf_free(c);
}
END_TEST

START_TEST(dmd_conf)
{
	struct conf *c = parsed(&dm_spec, "# comment\ndmconfig\n{\n  SYSLOGLEVEL 15 # behind\n}\n"
					  "DmStackConfig TCPCS # x\n{\n Mode simulate\n Exclude 192.0.2.7\n Exclude 2001:db8::/32\n}\n"
					  "DmStackConfig 'TCP2' { MaxLifetime 60 }\nDmStackConfig tcp3 {\n}\n");
	ck_assert_uint_eq(conf_uint(conf_child(conf_top(c, "DmConfig"), "SyslogLevel"), "mask"), 15);
	ck_assert_ptr_null(conf_child(conf_top(c, "DmConfig"), "DefensiveFilterDirectory"));
	struct conf_node *s = conf_find(conf_root(c), "DmStackConfig");
	ck_assert_str_eq(conf_str(s, "stackname"), "TCPCS");
	struct conf_node *m = conf_find(s, "Mode");
	ck_assert_uint_eq(conf_uint(m, "mode"), 1);
	ck_assert_str_eq(conf_str(m, "mode"), "Simulate");
	struct conf_node *x = conf_find(s, "Exclude");
	ck_assert_uint_eq(conf_get(x, "address")->prefix.len, 32);
	x = conf_next(x, "Exclude");
	ck_assert_uint_eq(conf_get(x, "address")->prefix.addr.family, 6);
	ck_assert_ptr_eq(conf_child_last(s, "Exclude"), x);
	ck_assert_ptr_null(conf_next(x, "Exclude"));
	s = conf_next(s, "DmStackConfig");
	ck_assert_str_eq(conf_str(s, "stackname"), "TCP2");
	ck_assert_uint_eq(conf_uint(conf_find(s, "MaxLifetime"), "minutes"), 60);
	s = conf_next(s, "DmStackConfig");
	ck_assert_str_eq(conf_str(s, "stackname"), "tcp3");
	ck_assert_ptr_null(s->children);
	ck_assert_int_ne(conf_node_error(s, "stack %s is twice here", "tcp3"), 0);
	ck_assert_str_eq(conf_error(c, 0), "f:13:1: stack tcp3 is twice here");
	conf_free(c);
	conf_free(NULL);
}
END_TEST

START_TEST(filter_rules)
{
	struct conf *c = parsed(&policy_spec,
		"IpFilterRule Web\n{\n IpSourceAddr all\n IpService { Protocol tcp DestinationPortRange 80 Direction Inbound SourcePortRange 1024 65535 }\n"
		" IpService Named\n {\n  Protocol 89\n  SourcePortRange 5-9\n  Direction BiDirectional OutboundConnect\n }\n"
		" IpGenericFilterActionRef permit#1\n}\nIpService X { Protocol all DestinationPortRange * }\n");
	struct conf_node *r = conf_root(c);
	ck_assert_uint_eq(conf_get(conf_child(r, "IpSourceAddr"), "addr")->prefix.addr.family, 0);
	ck_assert(conf_get(conf_child(r, "IpSourceAddr"), "addr")->is_word);
	struct conf_node *s = conf_child(r, "IpService");
	ck_assert_ptr_null(conf_str(s, "name"));
	ck_assert_uint_eq(conf_uint(conf_child(s, "Protocol"), "protocol"), 1);
	const struct conf_value *v = conf_get(conf_child(s, "SourcePortRange"), "ports");
	ck_assert_uint_eq(v->u, 1024);
	ck_assert_uint_eq(v->u2, 65535);
	ck_assert_ptr_null(conf_str(conf_child(s, "Direction"), "connect"));
	s = conf_next(s, "IpService");
	ck_assert_str_eq(conf_str(s, "name"), "Named");
	v = conf_get(conf_child(s, "Protocol"), "protocol");
	ck_assert(!v->is_word);
	ck_assert_uint_eq(v->u, 89);
	v = conf_get(conf_child(s, "SourcePortRange"), "ports");
	ck_assert_uint_eq(v->u, 5);
	ck_assert_uint_eq(v->u2, 9);
	ck_assert_str_eq(conf_str(conf_child(s, "Direction"), "connect"), "OutboundConnect");
	ck_assert_str_eq(conf_str(conf_child(r, "IpGenericFilterActionRef"), "name"), "permit#1");
	v = conf_get(conf_child(conf_top(c, "IpService"), "DestinationPortRange"), "ports");
	ck_assert(v->is_word);
	ck_assert_uint_eq(v->u, 1);
	ck_assert_uint_eq(v->u2, 65535);
	conf_free(c);
	refused(&policy_spec, "IpService X { SourcePortRange 9 5 }", 1,
		"f:1:33: found '5', expected ports: *, all or a number 9 to 65535");
	refused(&policy_spec, "IpService X { SourcePortRange 9-5 }", 1,
		"f:1:31: found '9-5', expected ports: *, all or a number or range n-m, 1 to 65535");
}
END_TEST

/* A file cut anywhere is either refused or, where the cut falls between statements, parsed; it never crashes. */
START_TEST(truncation_at_every_byte)
{
	static const char text[] = "DmConfig\n{\n SyslogLevel 7\n DefensiveFilterDirectory '/var/dm'\n}\n"
				   "DmStackConfig A {\n Mode Active\n Exclude 10.0.0.0/8 }\n";
	unsigned good = 0;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len ? len : 1);
		memcpy(copy, text, len);
		struct conf *c;
		int rc = conf_parse(&dm_spec, "f", copy, len, &c);
		ck_assert(rc ? conf_error_count(c) > 0 : conf_error_count(c) == 0);
		good += rc == 0;
		conf_free(c);
		free(copy);
	}
	ck_assert_uint_gt(good, 2);
	ck_assert_uint_lt(good, 12);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("conf_policy");
	TCase *c = tcase_create("policy");
	tcase_add_test(c, unknown_statement_names_the_near_one);
	tcase_add_test(c, wrong_values_say_what_is_allowed);
	tcase_add_test(c, missing_and_surplus_operands);
	tcase_add_test(c, braces);
	tcase_add_test(c, nesting_is_limited);
	tcase_add_test(c, required_statement);
	tcase_add_test(c, bytes_that_are_no_text);
	tcase_add_test(c, long_tokens);
	tcase_add_test(c, secrets_are_never_echoed);
	tcase_add_test(c, at_most_twenty_errors);
	tcase_add_test(c, several_errors_are_all_named);
	tcase_add_test(c, dmd_conf);
	tcase_add_test(c, filter_rules);
	tcase_add_test(c, truncation_at_every_byte);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
