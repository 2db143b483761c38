/* Profile form: z/OS statements in free layout, blocks, repeated entries, abbreviations; refusals first. */
#include "tests/unit/lib/conf/sample.h"
#include <errno.h>

START_TEST(refusals)
{
	refused(&profile_spec, "IPCONFG IPSECURITY\nWORKERS 2\n", 1,
		"f:1:1: found 'IPCONFG', expected one of IPCONFIG, PORT, PORT UNRSV, IPSEC, BEGINROUTES, INTERFACE, WORKERS "
		"(did you mean 'IPCONFIG'?)");
	refused(&profile_spec, "WORKERS 65\n", 1, "f:1:9: found '65', expected n: a number 1 to 64");
	refused(&profile_spec, "WORKERS", 1, "f:1:8: found end of file, expected n: a number 1 to 64");
	refused(&profile_spec, "WORKERS\nIPCONFIG\n", 1, "f:2:1: found 'IPCONFIG', expected n: a number 1 to 64");
	refused(&profile_spec, "WORKERS 2 3\nIPCONFIG", 1, "f:1:11: found '3' behind WORKERS, expected a statement");
	refused(&profile_spec, "IPCONFIG DATAGRAMFWD NODATAGRAMFWD\n", 1,
		"f:1:22: found 'NODATAGRAMFWD' again, expected it once");
	refused(&profile_spec, "PORT\n 70000 TCP *\n 21 TCP FTPD1\n 22 SCTP X\n", 2,
		"f:2:2: found '70000', expected num: a number 1 to 65535");
	refused(&profile_spec, "PORT\nWORKERS 3\n", 1, "f:2:1: found 'WORKERS', expected num: a number 1 to 65535");
	refused(&profile_spec, "PORT 20 TCP * BIND\nWORKERS 3\n", 1, "f:2:1: found 'WORKERS', expected BIND: an IP address");
	refused(&profile_spec, "INTERFACE X DEVICE eth0\nWORKERS 3\n", 1,
		"f:2:1: found 'WORKERS', expected DEFINE and DEFINE: AFPACKET or TUN");
	refused(&profile_spec, "{\n", 1,
		"f:1:1: found '{', expected one of IPCONFIG, PORT, PORT UNRSV, IPSEC, BEGINROUTES, INTERFACE, WORKERS");
}
END_TEST

START_TEST(block_refusals)
{
	refused(&profile_spec, "IPSEC\n IPSECRULE * *\n", 2,
		"f:3:1: found end of file, expected PROTO and PROTO: *, TCP, UDP, ICMP, OSPF or a number 0 to 255");
	refused(&profile_spec, "IPSEC\n IPSECRULE * * PROTO TCP\n", 1,
		"f:3:1: found end of file, expected ENDIPSEC of IPSEC (line 1)");
	refused(&profile_spec, "IPSEC\n IPSECRULE * * PROTO TCP\nWORKERS 3\n", 1,
		"f:3:1: found 'WORKERS', expected ENDIPSEC of IPSEC (line 1)");
	refused(&profile_spec, "IPSEC\n IPSECRUEL * * PROTO TCP\nENDIPSEC\n", 1,
		"f:2:2: found 'IPSECRUEL', expected one of IPSECRule or ENDIPSEC (did you mean 'IPSECRule'?)");
	refused(&profile_spec, "IPSEC\n IPSECRULE * * PROTO SCTP DESTPORT 7\n IPSECRULE * 10.0.0.1/8 PROTO 6\nENDIPSEC WORKERS 2\n", 2,
		"f:2:22: found 'SCTP', expected PROTO: *, TCP, UDP, ICMP, OSPF or a number 0 to 255");
	refused(&profile_spec, "IPSEC ENDIPSEC\nIPSEC ENDIPSEC\n", 1, "f:2:1: found a second IPSEC, expected one");
	refused(&profile_spec, "BEGINROUTES\n ROUTE 10.0.0.0/8 = E1\n 10.1.0.0/16 here E1\nENDROUTES\n", 1,
		"f:3:14: found 'here', expected gateway: = or an IP address");
}
END_TEST

START_TEST(port_entries)
{
	struct conf *c = parsed(&profile_spec, "PORT\n   20 TCP * NOAUTOLOG SAF FTPDATA ; comment\n   21 TCP FTPD1 BIND 192.0.2.1 SHAREP"
					       "\n   UNRSV TCP * SAF GENERIC WHENBIND\n   UNRSV UDP * DENY\n   53 UDP NAMED\n"
					       "PORT UNRSV TCP OMVS 80 TCP WEB WORKERS 4");
	struct conf_node *n = conf_root(c);
	ck_assert_str_eq(n->stmt->name, "PORT");
	ck_assert_uint_eq(conf_uint(n, "num"), 20);
	ck_assert_str_eq(conf_str(n, "jobname"), "*");
	ck_assert_str_eq(conf_str(n, "SAF"), "FTPDATA");
	ck_assert_uint_eq(conf_uint(n, "NOAUTOLog"), 1);
	ck_assert_ptr_null(conf_get(n, "SHAREPort"));
	ck_assert_uint_eq(n->line, 2);
	ck_assert_uint_eq(n->col, 4);
	n = n->next;
	ck_assert_uint_eq(conf_uint(n, "num"), 21);
	ck_assert_uint_eq(conf_get(n, "BIND")->prefix.len, 32);
	ck_assert_ptr_nonnull(conf_get(n, "SHAREPort"));
	n = n->next;
	ck_assert_str_eq(n->stmt->name, "PORT UNRSV");
	ck_assert_str_eq(conf_str(n, "SAF"), "GENERIC");
	ck_assert_str_eq(conf_str(n, "when"), "WHENBIND");
	ck_assert_uint_eq(conf_uint(n, "when"), 1);
	n = n->next;
	ck_assert_uint_eq(conf_uint(n, "proto"), 1);
	ck_assert_uint_eq(conf_uint(n, "DENY"), 1);
	ck_assert_str_eq(conf_str(n, "when"), "WHENLISTEN");
	ck_assert(!conf_get(n, "when")->given);
	n = n->next;
	ck_assert_str_eq(n->stmt->name, "PORT");
	ck_assert_uint_eq(conf_uint(n, "num"), 53);
	n = n->next;
	ck_assert_str_eq(n->stmt->name, "PORT UNRSV");
	ck_assert_str_eq(conf_str(n, "jobname"), "OMVS");
	n = n->next;
	ck_assert_uint_eq(conf_uint(n, "num"), 80);
	n = n->next;
	ck_assert_str_eq(n->stmt->name, "WORKERS");
	ck_assert_ptr_null(n->next);
	conf_free(c);
}
END_TEST

START_TEST(ipsec_block_and_abbreviations)
{
	struct conf *c = parsed(&profile_spec, "ipsec LOGEN\n"
					       " IPSECR * * NOLOG PROTO OSPF\n IPSECRULE * 9.1.1.2 LOG\n   PROTO *\n"
					       " IPSECRule 10.0.0.0/8 2001:db8::1 PROTO UDP SRCP * DESTPORT 53 ROUTING EITHER\nENDIPSEC IPCONFIG IPSECURITY\n");
	struct conf_node *b = conf_root(c);
	ck_assert_str_eq(conf_str(b, "logging"), "LOGENable");
	struct conf_node *r = b->children;
	ck_assert_str_eq(conf_str(r, "log"), "NOLOG");
	ck_assert_uint_eq(conf_uint(r, "PROTO"), 4);
	ck_assert_str_eq(conf_str(r, "ROUTING"), "LOCAL");
	r = r->next;
	ck_assert_uint_eq(conf_uint(r, "log"), 0);
	ck_assert(conf_get(r, "log")->given);
	ck_assert_uint_eq(conf_get(r, "dest")->prefix.len, 32);
	r = r->next;
	ck_assert_uint_eq(conf_get(r, "DESTport")->u, 53);
	ck_assert_uint_eq(conf_get(r, "DESTport")->u2, 53);
	ck_assert_uint_eq(conf_get(r, "SRCPort")->u2, 65535);
	ck_assert_uint_eq(conf_uint(r, "ROUTING"), 2);
	ck_assert_ptr_null(r->next);
	ck_assert_str_eq(b->next->stmt->name, "IPCONFIG");
	ck_assert_uint_eq(conf_uint(b->next, "IPSECURITY"), 1);
	ck_assert_uint_eq(conf_uint(b->next, "forward"), 0);
	conf_free(c);
	refused(&profile_spec, "IPSEC LOGE ENDIPSEC", 1, "f:1:7: found 'LOGE' behind IPSEC, expected LOGENable or LOGDISable or a statement");
}
END_TEST

START_TEST(interfaces_and_routes)
{
	struct conf *c = parsed(&profile_spec, "INTERFACE E1 DEFINE AFPACKET DEVICE 'eth0' TAG A TAG B IPADDR 192.0.2.1/24\n IPADDR 2001:db8::1/64 MTU 1400\n"
					       "INTERFACE T1 DEFINE TUN DEVICE tun0\nBEGINROUTES\n ROUTE DEFAULT 192.0.2.254 E1 MTU 1300\n  10.0.0.0/8 = T1\n ROUTE ::/0 2001:db8::2 E1\nENDROUTES\n");
	struct conf_node *n = conf_root(c);
	ck_assert_uint_eq(conf_uint(n, "DEFINE"), 0);
	ck_assert_str_eq(conf_str(n, "DEVICE"), "eth0");
	const struct conf_value *tag = conf_get(n, "TAG");
	ck_assert_str_eq(tag->s, "A");
	ck_assert_str_eq(tag->next->s, "B");
	ck_assert_ptr_null(tag->next->next);
	char text[PREFIX_TEXT_MAX];
	struct conf_node *a = conf_child(n, "IPADDR");
	ck_assert_uint_eq(conf_get(a, "address")->prefix.len, 24);
	ck_assert_str_eq(addr_text(&conf_get(a, "address")->prefix.addr, text), "192.0.2.1");
	a = conf_next(a, "IPADDR");
	ck_assert_str_eq(addr_text(&conf_get(a, "address")->prefix.addr, text), "2001:db8::1");
	ck_assert_uint_eq(conf_uint(conf_child(n, "MTU"), "n"), 1400);
	n = n->next;
	ck_assert_str_eq(conf_str(n, "name"), "T1");
	ck_assert_ptr_null(n->children);
	struct conf_node *r = n->next->children;
	ck_assert_uint_eq(conf_get(r, "dest")->prefix.addr.family, 0);
	ck_assert_uint_eq(conf_uint(r, "MTU"), 1300);
	r = r->next;
	ck_assert(conf_get(r, "gateway")->is_word);
	ck_assert_ptr_null(conf_get(r, "MTU"));
	ck_assert_uint_eq(conf_get(r->next, "dest")->prefix.addr.family, 6);
	conf_free(c);
	refused(&profile_spec, "INTERFACE E1 DEFINE TUN DEVICE d IPADDR 1.2.3.4/33", 1,
		"f:1:41: found '1.2.3.4/33', expected address: an IP address or address/length");
}
END_TEST

START_TEST(truncation_at_every_byte)
{
	static const char text[] = "IPCONFIG IPSECURITY ; c\nPORT 20 TCP * SAF X UNRSV UDP * DENY\nIPSEC LOGEN\n"
				   " IPSECRULE * 'a' LOG PROTO UDP SRCP 1-2\nENDIPSEC\nINTERFACE E DEFINE TUN DEVICE d IPADDR 1.2.3.4/8\n";
	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len ? len : 1);
		memcpy(copy, text, len);
		struct conf *c;
		int rc = conf_parse(&profile_spec, "f", copy, len, &c);
		ck_assert(rc ? conf_error_count(c) > 0 : conf_error_count(c) == 0);
		conf_free(c);
		free(copy);
	}
}
END_TEST

START_TEST(a_file_that_is_not_there)
{
	struct conf *c;
	ck_assert_int_eq(conf_parse_file(&profile_spec, "/nonexistent/x", &c), -ENOENT);
	ck_assert_str_eq(conf_error(c, 0), "/nonexistent/x: cannot be read: No such file or directory");
	conf_free(c);
	ck_assert_int_eq(conf_parse_file(&profile_spec, "/", &c), -EISDIR);
	conf_free(c);
	ck_assert_int_eq(conf_parse_file(&profile_spec, "/dev/null", &c), 0);
	ck_assert_ptr_null(conf_root(c));
	ck_assert_str_eq(conf_name(c), "/dev/null");
	conf_free(c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("conf_profile");
	TCase *c = tcase_create("profile");
	tcase_add_test(c, refusals);
	tcase_add_test(c, block_refusals);
	tcase_add_test(c, port_entries);
	tcase_add_test(c, ipsec_block_and_abbreviations);
	tcase_add_test(c, interfaces_and_routes);
	tcase_add_test(c, truncation_at_every_byte);
	tcase_add_test(c, a_file_that_is_not_there);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
