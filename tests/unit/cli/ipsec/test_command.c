#include "cli/ipsec/command.h"
#include "cli/ipsec/words.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct words words;

static int parse(const char *line, struct ipsec_command *c, struct errbuf *e)
{
	words_free(&words);
	int rc = words_split(line, strlen(line), &words, e);
	return rc ? rc : ipsec_parse(words.word, c, e);
}

START_TEST(refuses_with_the_operand_and_what_is_allowed)
{
	static const struct {
		const char *line, *operand, *allowed;
	} bad[] = {{"-Q", "-Q", "-F"}, {"-F", "-F: no function", "display, add, update, delete"}, {"-F drop", "drop", "delete"},
		{"-F add", "-N", "1-32"}, {"-F add -N", "-N", "1-32"}, {"-F add -N a -N b", "-N: given twice", "one name"},
		{"-F add -N a srcip", "srcip: no value", "all, address"}, {"-F add -N a srcprt 5", "srcprt", "srcport"},
		{"-F add -N a dir up", "dir: found 'up'", "inbound|outbound|bidirectional"},
		{"-F add -N a routing x", "routing", "local|routed|either"}, {"-F add -N a mode x", "mode", "block|simulate"},
		{"-F add -N a log maybe", "log", "yes|no"}, {"-F add -N a loglimit 10000", "loglimit", "0-9999"},
		{"-F add -N a lifetime 0", "lifetime", "1-20160"}, {"-F add -N a lifetime 20161", "lifetime", "1-20160"},
		{"-F add -N a lifetime 4294967297", "lifetime", "1-20160"}, {"-F add -N a secclass 256", "secclass", "0-255"},
		{"-F add -N a srcport 1-x", "srcport", "1-65535"}, {"-F add -N a destport 99999", "destport", "1-65535"},
		{"-F add -N a type 300", "type", "0-255"}, {"-F add -N a -p TOOLONGNAME", "-p", "1-8"},
		{"-F add -N a -p a.b", "-p", "1-8"}, {"-F add -N a -p L -G", "-p and -G", "one of them"},
		{"-F update srcip all -N a", "srcip", "mode, log, loglimit, lifetime"}, {"-F delete", "neither", "-a all"},
		{"-F delete -N a -a all", "both", "-a all"}, {"-F display -a all", "-a", "delete"},
		{"-F display -r tall", "-r", "short, detail, wide"}, {"-F display x", "x", "-N"}, {"-f display -G", "-G", "-c"},
		{"-f on", "on", "reload"}, {"-f display -c old", "-c", "profile"}, {"-m activate", "no tunnel", "-a tunnelID"},
		{"-t 1 2 3", "-t: found 3", "in|out"}, {"-t 1.1.1.1 2.2.2.2 tcpx in", "protocol", "tcp"},
		{"-t 1.1.1.1 2.2.2.2 tcp 1 70000 in", "destport", "65535"}, {"-t 1.1.1.1 2.2.2.2 tcp 1 2 up", "direction", "in, out"},
		{"-k stop", "-k: found 'stop'", "deactivate"}, {"-k deactivate", "-k: no tunnel", "-a tunnelID"},
		{"-k refresh -a Y1", "-a: found 'Y1'", "K and a number"}, {"-k display -a all", "-a: found 'all'", "K and a number"},
		{"-k display -a K", "-a: found 'K'", "K and a number"}, {"-k display -l x", "-l", "-a, -e"},
		{"-y activate", "-y activate: found no rule", "-l LocalDynVpnRule"}, {"-y activate -a Y1", "found -a", "-l LocalDynVpnRule"},
		{"-y refresh", "-y: no tunnel", "-l LocalDynVpnRule"}, {"-y deactivate -a K1", "-a: found 'K1'", "Y and a number, or all"},
		{"-y display -l", "-l: no value", "LocalDynVpnRule"}, {"-y display -l a -l b", "-l: given twice", "one name"},
		{"-y refresh -b -a Y1", "-b", "-a, -l"}, {"-y display -e", "-e", "-a, -l"}, {"-o activate", "-o: found 'activate'", "display"},
		{"-o -a Y1", "-a", "-r, -p"}, {"-w", "-w", "no Network Security Services"}, {"-x display", "-x", "no Network Security Services"},
		{"-k display -z client", "-z", "-p stack"}, {"--batch x", "--batch", "nothing"}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct ipsec_command c;
		struct errbuf e = {""};
		ck_assert_msg(parse(bad[i].line, &c, &e) == -EINVAL, "%s", bad[i].line);
		ck_assert_msg(strstr(e.text, bad[i].operand) && strstr(e.text, bad[i].allowed), "%s -> %s", bad[i].line, e.text);
	}
}
END_TEST

START_TEST(takes_all_operands)
{
	struct ipsec_command c;
	struct errbuf e;
	ck_assert_int_eq(parse("-F ADD SrcIP 192.0.2.7 DESTIP all prot TCP srcport 1-1023 destport 22 dir INBOUND routing either mode "
			       "Simulate log NO loglimit 9999 lifetime 20160 fragmentsonly yes secclass 3 -N Name.1 -p left --json",
				 &c, &e), 0);
	ck_assert_uint_eq(c.primary, IPSEC_DEFENCE);
	ck_assert_uint_eq(c.function, IPSEC_ADD);
	ck_assert_str_eq(c.stack, "LEFT");
	ck_assert(c.json);
	ck_assert_str_eq(c.filter.name, "Name.1");
	ck_assert_str_eq(c.filter.source, "192.0.2.7");
	ck_assert_str_eq(c.filter.protocol, "TCP");
	ck_assert_uint_eq(c.filter.source_port_low, 1);
	ck_assert_uint_eq(c.filter.source_port_high, 1023);
	ck_assert_uint_eq(c.filter.dest_port_high, 22);
	ck_assert_uint_eq(c.filter.direction, DEFMGR__FILTER__DIRECTION__INBOUND);
	ck_assert_uint_eq(c.filter.routing, DEFMGR__FILTER__ROUTING__EITHER);
	ck_assert_uint_eq(c.filter.mode, DEFMGR__FILTER__MODE__SIMULATE);
	ck_assert(c.filter.has_log && !c.filter.log);
	ck_assert_uint_eq(c.filter.lifetime_min, 20160);
	ck_assert(c.filter.fragments_only);
	ck_assert_uint_eq(c.filter.secclass, 3);
}
END_TEST

START_TEST(takes_the_other_primaries)
{
	struct ipsec_command c;
	struct errbuf e;
	ck_assert_int_eq(parse("-F delete -N a b c -G", &c, &e), 0);
	ck_assert_uint_eq(c.nnames, 3);
	ck_assert(c.global);
	ck_assert_int_eq(parse("-F delete -a ALL", &c, &e), 0);
	ck_assert(c.all);
	ck_assert_int_eq(parse("-f -c profile -r wide", &c, &e), 0);
	ck_assert_uint_eq(c.function, IPSEC_DISPLAY);
	ck_assert_str_eq(c.kind, "profile");
	ck_assert_int_eq(parse("-m deactivate -a M1 M2", &c, &e), 0);
	ck_assert_uint_eq(c.nids, 2);
	ck_assert_int_eq(parse("-t 10.0.0.1 10.0.0.2 udp 53 1024 out -p RIGHT", &c, &e), 0);
	ck_assert_uint_eq(c.traffic.protocol, 17);
	ck_assert_str_eq(c.traffic.direction, "outbound");
	ck_assert_str_eq(c.stack, "RIGHT");
	ck_assert_int_eq(parse("-k deactivate -a K1 k22 -e", &c, &e), 0);
	ck_assert_uint_eq(c.primary, IPSEC_IKE);
	ck_assert_uint_eq(c.function, IPSEC_DEACTIVATE);
	ck_assert_uint_eq(c.nids, 2);
	ck_assert(c.cascade);
	ck_assert_int_eq(parse("-y display -b -l branch -p left", &c, &e), 0);
	ck_assert(c.iked_view);
	ck_assert_str_eq(c.local_rule, "branch");
	ck_assert_int_eq(parse("-y refresh -a all", &c, &e), 0);
	ck_assert_uint_eq(c.function, IPSEC_REFRESH);
	ck_assert_int_eq(parse("-o", &c, &e), 0);
	ck_assert_uint_eq(c.primary, IPSEC_NATT);
	ck_assert_int_eq(parse("", &c, &e), 0);
	ck_assert_uint_eq(c.primary, IPSEC_HELP);
}
END_TEST

START_TEST(splits_without_a_shell)
{
	struct words w;
	struct errbuf e;
	static const char line[] = "ipsec  -N 'a b' \"$(id)\"x;reboot ''";
	ck_assert_int_eq(words_split(line, sizeof(line) - 1, &w, &e), 0);
	ck_assert_int_eq(w.count, 5);
	ck_assert_str_eq(w.word[2], "a b");
	ck_assert_str_eq(w.word[3], "$(id)x;reboot");
	ck_assert_str_eq(w.word[4], "");
	words_free(&w);
	ck_assert_int_eq(words_split("a\nb", 3, &w, &e), -EINVAL);
	ck_assert_int_eq(words_split("a 'b", 4, &w, &e), -EINVAL);
	char many[2 * (WORDS_MAX + 1) + 1];
	for (int i = 0; i <= WORDS_MAX; i++)
		memcpy(many + 2 * i, "a ", 2);
	ck_assert_int_eq(words_split(many, 2 * (WORDS_MAX + 1), &w, &e), -EINVAL);
	/* no truncation crashes, whatever it says */
	static const char full[] = "-F add srcip 192.0.2.7 prot tcp srcport 1-2 -N \"x\" -p LEFT";
	for (size_t n = 0; n < sizeof(full); n++) {
		struct ipsec_command c;
		if (words_split(full, n, &w, &e))
			continue;
		int rc = ipsec_parse(w.word, &c, &e);
		ck_assert(rc == 0 || rc == -EINVAL);
		words_free(&w);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("command");
	TCase *t = tcase_create("command");
	tcase_add_test(t, refuses_with_the_operand_and_what_is_allowed);
	tcase_add_test(t, takes_all_operands);
	tcase_add_test(t, takes_the_other_primaries);
	tcase_add_test(t, splits_without_a_shell);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
