/* IDS policy: what is refused and where, defaults, order, exclusions. */
#include "lib/policy/ids.h"
#include "tests/support/check_main.h"
#include <string.h>

static struct conf *file;

static int build(const char *text, struct ids_policy **p)
{
	conf_free(file);
	file = NULL;
	int rc = conf_parse(&ids_policy_spec, "ids", text, strlen(text), &file);
	return rc ? rc : ids_policy_build(file, p);
}

static void done(struct ids_policy *p)
{
	ids_policy_free(p);
	conf_free(file);
	file = NULL;
}

static void refused(const char *text, const char *place, const char *word)
{
	struct ids_policy *p = NULL;
	ck_assert_int_eq(build(text, &p), -EINVAL);
	ck_assert_uint_ge(conf_error_count(file), 1);
	ck_assert_msg(strstr(conf_error(file, 0), place) && strstr(conf_error(file, 0), word), "%s", conf_error(file, 0));
	ck_assert_ptr_null(p);
	done(NULL);
}

#define ACT(name, text) "IDSAction " name " { ActionType " text " }\n"
#define ATT ACT("a", "ATTACK discard")

START_TEST(test_refused)
{
	refused("IDSRule r { ConditionType Attack\n Priority 1 }\n", "1:1", "without a condition");
	refused("IDSRule r { ConditionType Attack\n IDSAttackConditionRef x\n IDSActionRef a }\n" ATT, "2:2", "'x'");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType FLOOD } }\n", "1:1", "without an action");
	refused("IDSRule r { ConditionType Attack\n IDSTRCondition { Protocol TCP }\n IDSActionRef a }\n" ATT, "2:2", "expected IDSAttackCondition");
	refused("IDSRule r { ConditionType TR\n IDSTRCondition { Protocol TCP }\n IDSActionRef a }\n" ATT, "4:", "expected TR");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType FLOOD }\n IDSActionRef a }\n" ACT("a", "ATTACK limit"), "4:", "discard or nodiscard");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType SMURF }\n IDSActionRef a }\n" ATT, "2:", "SMURF");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType RESTRICTED_IP_PROTOCOL }\n IDSActionRef a }\n" ATT, "2:", "ProtocolRange");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType PERPETUAL_ECHO\n LocalPortRange 7 }\n IDSActionRef a }\n" ATT, "2:", "remote");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType FLOOD\n ProtocolRange 3 }\n IDSActionRef a }\n" ATT, "3:", "does not use");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType RESTRICTED_IP_PROTOCOL\n ProtocolRange 256 }\n IDSActionRef a }\n" ATT, "3:", "256");
	refused("IDSRule r { ConditionType TR\n IDSTRCondition { Protocol UDP\n Percentage 10 }\n IDSActionRef a }\n" ACT("a", "TR limit"), "3:", "UDPQueueSize");
	refused("IDSRule r { ConditionType TR\n IDSTRCondition { Protocol TCP\n LocalPortGroupRef none }\n IDSActionRef a }\n" ACT("a", "TR limit"), "3:", "'none'");
	refused("IDSRule r { ConditionType ScanGlobal\n IDSScanGlobalCondition { FSInterval 9\n SSInterval 9 }\n IDSActionRef a }\n" ACT("a", "SCAN_GLOBAL"), "2:", "SSInterval 9");
	refused("IDSRule r { ConditionType ScanGlobal\n IDSScanGlobalCondition { FSInterval 0 }\n IDSActionRef a }\n" ACT("a", "SCAN_GLOBAL"), "2:", "'0'");
	refused("IDSScanGlobalCondition x { FSInterval 1 }\nIDSScanGlobalCondition y { FSInterval 1 }\n", "2:1", "line 1");
	refused("IDSRule r { ConditionType ScanEvent\n IDSScanEventCondition { Protocol ICMP\n LocalPortRange 1 }\n IDSActionRef a }\n" ACT("a", "SCAN_EVENT count"), "2:", "ICMP");
	refused("IDSRule r { ConditionType ScanEvent\n IDSScanEventCondition { Protocol TCP\n LocalHostAddr 10.0.0.1/8 }\n IDSActionRef a }\n" ACT("a", "SCAN_EVENT count"), "3:", "host bits");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType FLOOD }\n IpTimeConditionRef t\n IDSActionRef a }\n" ATT, "3:2", "expected the name of an IpTimeCondition");
	refused("IDSAction a { ActionType ATTACK discard\n IDSReportSet { TraceData RecordSize } }\nIDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType FLOOD }\n IDSActionRef a }\n", "2:", "RecordSize");
	refused("IDSRule r { ConditionType Attack\n IDSAttackCondition { AttackType FLOOD\n IDSExclusionRef e }\n IDSActionRef a }\n" ATT, "3:", "'e'");
}
END_TEST

static const char all[] =
	"PortGroup web { PortRange 80\n PortRange 8000 8003 }\n"
	"IDSExclusion friends { ExcludedAddrPort 192.0.2.0/24\n ExcludedAddrPort 198.51.100.7 1000 2000 }\n"
	"IDSReportSet reports { TypeActions LOG CONSOLE STATISTICS\n LoggingLevel 5\n StatInterval 10\n TraceData RecordSize 200\n MaxEventMessage 3 }\n"
	"IDSAction drop { ActionType ATTACK discard\n IDSReportSetRef reports }\n"
	"IDSAction say { ActionType ATTACK nodiscard }\n"
	"IDSAction limit { ActionType TR limit }\n"
	"IDSAction count { ActionType SCAN_EVENT count }\n"
	"IDSAction skip { ActionType SCAN_EVENT exclude }\n"
	"IDSAction scan { ActionType SCAN_GLOBAL }\n"
	"IDSRule low { ConditionType Attack\n Priority 1\n IDSAttackCondition { AttackType IP_PROTOCOL\n ProtocolRange 1 5 }\n IDSActionRef drop }\n"
	"IDSRule high { ConditionType Attack\n Priority 9\n IDSAttackCondition { AttackType RESTRICTED_IP_PROTOCOL\n ProtocolRange 80-90\n IDSExclusionRef friends }\n IDSActionRef say }\n"
	"IDSRule global { ConditionType ScanGlobal\n IDSScanGlobalCondition { }\n IDSActionRef scan }\n"
	"IDSRule tcp { ConditionType ScanEvent\n Priority 2\n IDSScanEventCondition { Protocol TCP\n Sensitivity Low }\n IDSActionRef count }\n"
	"IDSRule web { ConditionType ScanEvent\n Priority 3\n IDSScanEventCondition { Protocol TCP\n LocalPortGroupRef web }\n IDSActionRef skip }\n"
	"IDSRule pool { ConditionType TR\n IDSTRCondition { Protocol TCP\n LocalPortRange 80\n LocalHostAddr 10.0.0.1\n TotalConnections 1000\n Percentage 10 }\n IDSActionRef limit }\n"
	"IDSRule queue { ConditionType TR\n IDSTRCondition { Protocol UDP\n LocalPortRange 53\n UDPQueueSize SHORT }\n IDSActionRef limit }\n";

START_TEST(test_accepted)
{
	struct ids_policy *p = NULL;
	struct addr a, b;
	ck_assert_int_eq(build(all, &p), 0);
	ck_assert_uint_eq(p->n_rules, 7);
	const struct ids_rule *r = p->attacks[IDS_PROTOCOL];
	ck_assert_str_eq(r->name, "high"); /* the highest priority counts */
	ck_assert(!r->discard && r->report.log && r->report.level == 4 && !r->report.trace);
	ck_assert(ids_bit(&r->values, 80) && ids_bit(&r->values, 90) && !ids_bit(&r->values, 91) && !ids_bit(&r->values, 5));
	ck_assert_ptr_null(p->attacks[IDS_FLOOD]);
	ck_assert(p->scan && p->scan->fast_min == 1 && p->scan->fast_threshold == 5 && p->scan->slow_min == 120 && p->scan->slow_threshold == 10);
	ck_assert_int_eq(addr_parse("192.0.2.99", &a), 0);
	ck_assert_int_eq(addr_parse("198.51.100.7", &b), 0);
	ck_assert(ids_excluded(r, &a, 5) && ids_excluded(r, &b, 1500) && !ids_excluded(r, &b, 999) && !ids_excluded(r, &b, 2001));
	ck_assert_str_eq(ids_scan_rule(p, IDS_TCP, &a, 8002)->name, "web");
	ck_assert(!ids_scan_rule(p, IDS_TCP, &a, 8002)->count);
	ck_assert_str_eq(ids_scan_rule(p, IDS_TCP, &a, 22)->name, "tcp");
	ck_assert_ptr_null(ids_scan_rule(p, IDS_UDP, &a, 22));
	ck_assert_int_eq(addr_parse("10.0.0.1", &a), 0);
	r = ids_tr_rule(p, IDS_TCP, &a, 80);
	ck_assert(r && r->total == 1000 && r->percentage == 10 && r->limit && !r->per_instance);
	ck_assert_ptr_null(ids_tr_rule(p, IDS_TCP, &b, 80));
	ck_assert_ptr_null(ids_tr_rule(p, IDS_TCP, &a, 81));
	ck_assert(ids_port(&p->tr_ports, 80) && !ids_port(&p->tr_ports, 53));
	ck_assert_uint_eq(ids_tr_rule(p, IDS_UDP, &a, 53)->queue, 256);
	done(p);
}
END_TEST

START_TEST(test_sensitivity)
{
	for (unsigned c = IDS_NORMAL; c <= IDS_VERY; c++) {
		ck_assert(!ids_sensitive(IDS_NOTHING, (enum ids_class)c));
		ck_assert(ids_sensitive(IDS_HIGH, (enum ids_class)c));
		ck_assert_int_eq(ids_sensitive(IDS_MEDIUM, (enum ids_class)c), c >= IDS_POSSIBLY);
		ck_assert_int_eq(ids_sensitive(IDS_LOW, (enum ids_class)c), c == IDS_VERY);
	}
}
END_TEST

START_TEST(test_cut_anywhere)
{
	struct ids_policy *p;
	for (size_t n = 0; n < sizeof(all) - 1; n++) {
		p = NULL;
		conf_free(file);
		file = NULL;
		if (!conf_parse(&ids_policy_spec, "ids", all, n, &file) && !ids_policy_build(file, &p))
			ck_assert_uint_le(p->n_rules, 7);
		else
			ck_assert_uint_ge(conf_error_count(file), 1);
		ids_policy_free(p);
	}
	done(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ids policy");
	TCase *t = tcase_create("ids policy");

	tcase_add_test(t, test_refused);
	tcase_add_test(t, test_accepted);
	tcase_add_test(t, test_sensitivity);
	tcase_add_test(t, test_cut_anywhere);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
