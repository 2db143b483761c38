/* PORT statements: what is refused, with its place, and zos.md section 8's table of what may bind. */
#include "daemons/stack-core/port/table.h"
#include "tests/support/check_main.h"
#include <errno.h>
#include <string.h>

static const struct conf_stmt stmts[] = {
	{"PORT", port_operands, NULL, NULL, CONF_ENTRIES | CONF_ANYNUMBER},
	{"PORT UNRSV", port_unrsv_operands, NULL, NULL, CONF_ENTRIES | CONF_ANYNUMBER},
	{"PORTRange", portrange_operands, NULL, NULL, CONF_ENTRIES | CONF_ANYNUMBER},
	{"PORTJOB", portjob_operands, NULL, NULL, CONF_ANYNUMBER},
	{0},
};
static const struct conf_spec spec = {"profile", CONF_PROFILE, stmts};
static const bool no_low[PORT_PROTOCOLS];

static struct port_table *built(const char *text, const bool low[PORT_PROTOCOLS])
{
	struct port_table *t;
	struct conf *c;
	int r = conf_parse(&spec, "f", text, strlen(text), &c);
	if (!r)
		r = port_table_build(c, low, &t);
	ck_assert_msg(r == 0, "%s: %s", text, conf_error_count(c) ? conf_error(c, 0) : "no error told");
	conf_free(c);
	return t;
}

static void refused(const char *text, const char *message)
{
	struct port_table *t = NULL;
	struct conf *c;
	if (!conf_parse(&spec, "f", text, strlen(text), &c))
		ck_assert_int_eq(port_table_build(c, no_low, &t), -EINVAL);
	ck_assert_ptr_null(t);
	ck_assert_msg(conf_error_count(c) && strstr(conf_error(c, 0), message), "expected: %s\n     got: %s", message,
		conf_error_count(c) ? conf_error(c, 0) : "nothing");
	conf_free(c);
}

static enum port_why asked(const struct port_table *t, unsigned proto, uint16_t port, const char *job, uid_t uid, bool listening,
	const char *saf)
{
	enum port_why why;
	const struct port_stmt *s = port_table_decide(t, proto, port, job, uid, listening, &why);
	if (saf) {
		ck_assert_ptr_nonnull(s);
		ck_assert_str_eq(s->saf, saf);
	}
	return why;
}

START_TEST(refusals)
{
	refused("PORT 0 TCP A\n", "f:1:6");
	refused("PORT 65536 TCP A\n", "f:1:6");
	refused("PORT 21 SCTP A\n", "f:1:9");
	refused("PORT 21 TCP TOOLONGNAME\n", "f:1:");
	refused("PORT 21 TCP A*B\n", "job name A*B");
	refused("PORT 21 TCP ABCDEFGH*\n", "f:1:");
	refused("PORT 21 TCP A SAF 1ABC\n", "SAF 1ABC");
	refused("PORT 21 TCP A SAF ABCDEFGHI\n", "f:1:");
	refused("PORT UNRSV TCP FTPD DENY\n", "with * only");
	refused("PORT UNRSV TCP * DENY SAF GENERIC\n", "DENY and SAF");
	refused("PORT UNRSV UDP * WHENLISTEN\n", "UDP has no listen");
	refused("PORTRANGE 0 5 TCP A\n", "f:1:11");
	refused("PORTRANGE 5 0 TCP A\n", "f:1:13");
	refused("PORTJOB A* EXECUTABLE /bin/x\n", "job name A*");
	refused("PORTJOB A EXECUTABLE bin/x\n", "begins with /");
}
END_TEST

START_TEST(nothing)
{
	ck_assert_ptr_null(built("", no_low));
}
END_TEST

START_TEST(reserved)
{
	struct port_table *t = built("PORT\n 20 TCP * NOAUTOLOG SAF FTPDATA\n 21 TCP ftpd\n 80 TCP WEB* SHAREPORT BIND 192.0.2.1\n"
				     " 80 TCP WEBX\n 99 UDP RESERVED\nPORTRANGE 65530 20 TCP BIG\nPORTRANGE 4000 2 TCP AUTHPORT\n",
		no_low);
	ck_assert_int_eq(asked(t, PORT_TCP, 20, "", 0, false, "FTPDATA"), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 21, "FTPD", 0, false, ""), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 21, "FTPD1", 0, false, NULL), PORT_RESERVED);
	ck_assert_int_eq(asked(t, PORT_TCP, 21, "", 0, false, NULL), PORT_RESERVED);
	ck_assert_int_eq(asked(t, PORT_UDP, 21, "", 0, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 80, "WEB", 1, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 80, "WE", 1, false, NULL), PORT_RESERVED);
	ck_assert_int_eq(asked(t, PORT_UDP, 99, "ANY", 0, false, NULL), PORT_RESERVED);
	ck_assert_int_eq(asked(t, PORT_TCP, 65535, "BIG", 0, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 65529, "OTHER", 0, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 65530, "OTHER", 0, false, NULL), PORT_RESERVED);
	ck_assert_int_eq(asked(t, PORT_TCP, 4001, "FTPD2", 0, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 4001, "BIG", 0, false, NULL), PORT_RESERVED);
	port_table_free(t);
}
END_TEST

START_TEST(second_statement)
{
	struct port_table *t = built("PORTRANGE 100 10 TCP A\nPORT 105 TCP B\nPORTRANGE 108 4 TCP C\n", no_low);
	ck_assert_int_eq(asked(t, PORT_TCP, 105, "A", 0, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 105, "B", 0, false, NULL), PORT_RESERVED);
	ck_assert_int_eq(asked(t, PORT_TCP, 109, "C", 0, false, NULL), PORT_RESERVED);
	ck_assert_int_eq(asked(t, PORT_TCP, 110, "C", 0, false, NULL), PORT_ALLOWED);
	port_table_free(t);
}
END_TEST

/* Unreserved ports: best fit, WHENLISTEN and WHENBIND, a clash ignored. */
START_TEST(unreserved)
{
	struct port_table *t = built("PORT UNRSV TCP * SAF GENERIC WHENLISTEN\n UNRSV TCP ABC* SAF PART\n UNRSV TCP ABCD\n UNRSV TCP X* WHENBIND\n"
				     "PORT UNRSV UDP A*\n",
		no_low);
	ck_assert(!t->when_bind);
	ck_assert_int_eq(asked(t, PORT_TCP, 5000, "ANY", 0, false, NULL), PORT_ALLOWED);
	enum port_why why;
	ck_assert_ptr_null(port_table_decide(t, PORT_TCP, 5000, "ANY", 0, false, &why));
	asked(t, PORT_TCP, 5000, "ANY", 0, true, "GENERIC");
	asked(t, PORT_TCP, 5000, "ABCX", 0, true, "PART");
	asked(t, PORT_TCP, 5000, "ABCD", 0, true, "");
	asked(t, PORT_TCP, 5000, "XY", 0, true, "GENERIC");
	asked(t, PORT_TCP, 5000, "", 0, true, "GENERIC");
	ck_assert_int_eq(asked(t, PORT_UDP, 5000, "AB", 0, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_UDP, 5000, "B", 0, false, NULL), PORT_NO_JOB);
	port_table_free(t);
	t = built("PORT UNRSV TCP * DENY WHENBIND\n", no_low);
	ck_assert_int_eq(asked(t, PORT_TCP, 5000, "A", 0, false, NULL), PORT_DENY);
	port_table_free(t);
}
END_TEST

START_TEST(low_ports)
{
	static const bool low[PORT_PROTOCOLS] = {true, false};
	struct port_table *t = built("PORT 80 TCP WEB\nPORT UNRSV TCP * DENY WHENBIND\n", low);
	ck_assert_int_eq(asked(t, PORT_TCP, 80, "WEB", 5, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 81, "WEB", 5, false, NULL), PORT_LOW);
	ck_assert_int_eq(asked(t, PORT_TCP, 81, "WEB", 0, false, NULL), PORT_ALLOWED);
	ck_assert_int_eq(asked(t, PORT_TCP, 1024, "WEB", 0, false, NULL), PORT_DENY);
	ck_assert_int_eq(asked(t, PORT_UDP, 81, "WEB", 5, false, NULL), PORT_ALLOWED);
	port_table_free(t);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("port.table");
	TCase *c = tcase_create("table");
	tcase_add_test(c, refusals);
	tcase_add_test(c, nothing);
	tcase_add_test(c, reserved);
	tcase_add_test(c, second_statement);
	tcase_add_test(c, unreserved);
	tcase_add_test(c, low_ports);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
