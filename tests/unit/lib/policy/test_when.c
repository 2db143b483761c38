/* Time conditions: what is refused, when one holds, and until when, above all where the clock on the wall jumps. */
#include "lib/policy/ids.h"
#include "tests/unit/lib/policy/support.h"
#include <stdlib.h>

/* Rules as POSIX writes them: nothing is asked of the computer's zone files. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"
#define SANTIAGO "<-04>4<-03>,M9.1.6/24,M4.1.6/24" /* midnight is left out, and comes twice */

static void zone(const char *tz)
{
	ck_assert_int_eq(setenv("TZ", tz, 1), 0);
	tzset();
}

/* "2026-03-29 02:30:00", in the zone that is set; @dst picks one of two. */
static time_t local(const char *text, int dst)
{
	struct tm tm = {.tm_isdst = dst};
	ck_assert_int_eq(sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec), 6);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return mktime(&tm);
}

/* The condition that @body says, by way of a policy's rule. */
static struct policy_when condition(const char *body)
{
	char text[2048];
	(void)snprintf(text, sizeof(text), ACTIONS "IpTimeCondition t { %s }\nIpFilterPolicy { IpFilterRule r { IpSourceAddr all\n IpDestAddr all\n"
		" IpServiceRef all\n IpGenericFilterActionRef deny\n IpTimeConditionRef t } }\n", body);
	struct ipsec_policy *p = accepted(text);
	ck_assert_uint_eq(p->rules[0].when.n, 1);
	struct policy_when w = p->rules[0].when.v[0];
	ck_assert_str_eq(w.name, "t");
	ipsec_policy_free(p);
	return w;
}

static bool holds(const char *body, const char *at)
{
	struct policy_when w = condition(body);
	return policy_time_active(&w, local(at, -1));
}

static void changes(const char *body, const char *from, const char *at, int dst)
{
	struct policy_when w = condition(body);
	time_t start = local(from, -1), got = policy_time_next(&w, start), want = at ? local(at, dst) : 0;
	ck_assert_msg(got == want, "%s from %s: %lld, expected %s (%lld)", body, from, (long long)got, at ? at : "never", (long long)want);
	if (got) {
		ck_assert(policy_time_active(&w, got) != policy_time_active(&w, start));
		ck_assert(policy_time_active(&w, got - 1) == policy_time_active(&w, start));
	}
}

START_TEST(refusals)
{
#define BAD(body, place, message) refused(EMPTY "IpTimeCondition t { " body " }\n", "f:2:" place ": found " message)
	BAD("DayOfWeekMask 111111", "21", "'111111', expected 7 digits 0 or 1");
	BAD("DayOfWeekMask 1111112", "21", "'1111112', expected 7 digits 0 or 1");
	BAD("DayOfWeekMask 0000000", "21", "a mask without a 1, expected at least one: it would never hold");
	BAD("MonthOfYearMask 1111111", "21", "'1111111', expected 12 digits 0 or 1");
	BAD("DayOfMonthMask 11111111111111111111111111111111", "21", "'11111111111111111111111111111111', expected 31 or 62 digits 0 or 1");
	BAD("TimeOfDayRange 8:00", "21", "'8:00', expected hh:mm-hh:mm");
	BAD("TimeOfDayRange 8:0-9:00", "21", "'8:0-9:00', expected hh:mm-hh:mm");
	BAD("TimeOfDayRange 8:60-9:00", "21", "'8:60-9:00', expected hh:mm-hh:mm");
	BAD("TimeOfDayRange 8:00-24:01", "21", "'8:00-24:01', expected hh:mm-hh:mm");
	BAD("TimeOfDayRange 8:00-9:00x", "21", "'8:00-9:00x', expected hh:mm-hh:mm");
	BAD("TimeOfDayRange 8:00-8:00", "21", "'8:00-8:00', expected a range that holds a minute at least");
	BAD("TimeOfDayRange 24:00-8:00", "21", "'24:00-8:00', expected a range that holds a minute at least");
	BAD("ConditionTimeRange 20260101000000", "21", "'20260101000000', expected yyyymmddhhmmss:yyyymmddhhmmss");
	BAD("ConditionTimeRange 20260101000000-20260102000000", "21", "'20260101000000-20260102000000', expected yyyymmddhhmmss:yyyymmddhhmmss");
	BAD("ConditionTimeRange 20260230000000:20260301000000", "21",
		"'20260230000000:20260301000000', expected dates of the calendar from 1970 on and times of the day");
	BAD("ConditionTimeRange 20250229000000:20260301000000", "21",
		"'20250229000000:20260301000000', expected dates of the calendar from 1970 on and times of the day");
	BAD("ConditionTimeRange 20260101000001:20260101000000", "21", "'20260101000001:20260101000000', expected the earlier time first");
	BAD("TimeZone Mars", "30", "'Mars', expected zone: Local or UTC");
}
END_TEST

START_TEST(masks)
{
	zone("UTC0");
	ck_assert(holds("DayOfWeekMask 0111110", "2026-11-25 12:00:00")); /* a Wednesday */
	ck_assert(!holds("DayOfWeekMask 1110111", "2026-11-25 12:00:00"));
	ck_assert(holds("MonthOfYearMask 000000000010", "2026-11-30 23:59:59"));
	ck_assert(!holds("MonthOfYearMask 000000000010", "2026-12-01 00:00:00"));
	ck_assert(holds("DayOfMonthMask 1000000000000000000000000000000", "2026-12-01 00:00:00"));
	ck_assert(!holds("DayOfMonthMask 1000000000000000000000000000000", "2026-12-02 00:00:00"));
#define LAST "DayOfMonthMask 00000000000000000000000000000001000000000000000000000000000000"
	ck_assert(holds(LAST, "2028-02-29 12:00:00"));
	ck_assert(!holds(LAST, "2028-02-28 12:00:00"));
	ck_assert(holds(LAST, "2026-02-28 12:00:00"));
	ck_assert(holds(LAST, "2026-12-31 23:59:59"));
	changes(LAST, "2026-12-31 12:00:00", "2027-01-01 00:00:00", -1);
	changes("DayOfMonthMask 0000000000000000000000000000100\n MonthOfYearMask 010000000000", "2026-03-01 00:00:00", "2028-02-29 00:00:00", -1);
	changes("DayOfMonthMask 0000000000000000000000000000001\n MonthOfYearMask 010000000000", "2026-03-01 00:00:00", NULL, -1);
	changes("DayOfWeekMask 1111111", "2026-03-01 00:00:00", NULL, -1);
}
END_TEST

START_TEST(day)
{
	zone("UTC0");
	ck_assert(!holds("TimeOfDayRange 08:00-12:00, 13:00-17:30", "2026-11-25 07:59:59"));
	ck_assert(holds("TimeOfDayRange 08:00-12:00, 13:00-17:30", "2026-11-25 08:00:00"));
	ck_assert(!holds("TimeOfDayRange 08:00-12:00, 13:00-17:30", "2026-11-25 12:00:00"));
	ck_assert(holds("TimeOfDayRange 8-12\n TimeOfDayRange 13:00-17:30", "2026-11-25 17:29:59"));
	ck_assert(holds("TimeOfDayRange 22:00-06:00", "2026-11-25 05:59:59"));
	ck_assert(!holds("TimeOfDayRange 22:00-06:00", "2026-11-25 06:00:00"));
	ck_assert(holds("TimeOfDayRange 22:00-24:00", "2026-11-25 23:59:59"));
	ck_assert(holds("TimeOfDayRange 8:00-9:00,0:00-24:00", "2026-11-25 23:59:59"));
	changes("TimeOfDayRange 08:00-12:00,13:00-17:30", "2026-11-25 12:59:00", "2026-11-25 13:00:00", -1);
	changes("TimeOfDayRange 22:00-06:00", "2026-12-31 23:00:00", "2027-01-01 06:00:00", -1);
	changes("TimeOfDayRange 22:00-06:00\n DayOfWeekMask 0000010", "2026-11-27 23:00:00", "2026-11-28 00:00:00", -1); /* Friday alone */
	changes("TimeOfDayRange 0:00-24:00", "2026-11-25 12:59:00", NULL, -1);
}
END_TEST

START_TEST(calendar)
{
	zone("UTC0");
#define YEAR_END "ConditionTimeRange 20261224180000:20270102055959"
	ck_assert(!holds(YEAR_END, "2026-12-24 17:59:59"));
	ck_assert(holds(YEAR_END, "2026-12-24 18:00:00"));
	ck_assert(holds(YEAR_END, "2027-01-02 05:59:59"));
	ck_assert(!holds(YEAR_END, "2027-01-02 06:00:00"));
	changes(YEAR_END, "2026-11-01 00:00:00", "2026-12-24 18:00:00", -1);
	changes(YEAR_END, "2026-12-31 23:59:59", "2027-01-02 06:00:00", -1);
	changes(YEAR_END, "2027-01-02 06:00:00", NULL, -1);
	changes(YEAR_END "\n TimeOfDayRange 17:00-19:00", "2026-12-01 00:00:00", "2026-12-24 18:00:00", -1);
	changes(YEAR_END "\n TimeOfDayRange 04:00-08:00", "2027-01-02 05:00:00", "2027-01-02 06:00:00", -1);
	changes(YEAR_END "\n TimeOfDayRange 08:00-09:00", "2027-01-01 10:00:00", NULL, -1);
	zone(BERLIN);
	struct policy_when here = condition(YEAR_END), utc = condition(YEAR_END "\n TimeZone UTC");
	ck_assert_int_eq(policy_time_next(&utc, 1790000000) - policy_time_next(&here, 1790000000), 3600);
}
END_TEST

START_TEST(jumps)
{
	zone(BERLIN); /* 29 March 2026: 02:00 to 03:00; 25 October: 03:00 back to 02:00 */
	changes("TimeOfDayRange 02:30-05:00", "2026-03-29 01:00:00", "2026-03-29 03:00:00", 1);
	changes("TimeOfDayRange 02:10-02:50", "2026-03-29 01:00:00", "2026-03-30 02:10:00", 1);
	changes("TimeOfDayRange 01:00-02:30", "2026-03-29 01:30:00", "2026-03-29 03:00:00", 1);
	changes("TimeOfDayRange 02:30-05:00", "2026-10-25 01:00:00", "2026-10-25 02:30:00", 1);
	struct policy_when twice = condition("TimeOfDayRange 02:30-05:00");
	time_t back = local("2026-10-25 02:00:00", 0);
	ck_assert(policy_time_active(&twice, back - 1));
	ck_assert(!policy_time_active(&twice, back));
	ck_assert_int_eq(policy_time_next(&twice, back - 1), back);
	ck_assert_int_eq(policy_time_next(&twice, back), back + 1800);
	changes("DayOfWeekMask 1000000", "2026-03-29 12:00:00", "2026-03-30 00:00:00", 1);
	changes("DayOfWeekMask 1000000", "2026-10-25 01:00:00", "2026-10-26 00:00:00", 0);
	zone(SANTIAGO); /* 6 September 2026: 00:00 to 01:00; 5 April: 00:00 back to 23:00 */
	changes("DayOfWeekMask 1000000", "2026-09-05 12:00:00", "2026-09-06 01:00:00", 1);
	changes("DayOfWeekMask 1000000", "2026-04-04 12:00:00", "2026-04-05 00:00:00", 0);
	zone(NEW_YORK);
	changes("TimeOfDayRange 01:30-01:45\n TimeZone UTC", "2026-11-01 00:30:00", "2026-11-01 20:30:00", 0);
}
END_TEST

/* Against a search that looks at each second near a minute, over days on which everything happens. */
START_TEST(search)
{
	static const char *const zones[] = {BERLIN, NEW_YORK, SANTIAGO, "UTC0", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"};
	static const char *const days[] = {"2026-03-28 20:00:00", "2026-10-24 20:00:00", "2026-03-07 20:00:00", "2026-10-31 20:00:00",
		"2026-12-30 20:00:00", "2028-02-28 12:00:00", "2026-04-04 12:00:00", "2026-09-05 12:00:00", "2026-10-03 12:00:00"};
	srandom(7);
	for (unsigned turn = 0; turn < 3000; turn++) {
		struct policy_when w = {.months = 0xfff, .days = (1ull << 31) - 1, .weekdays = 0x7f, .utc = random() % 5 == 0};
		zone(zones[random() % 5]);
		if (random() % 3 == 0)
			w.weekdays = (uint8_t)(1 + random() % 0x7f);
		if (random() % 3 == 0)
			w.days = (uint64_t)random() << 31 | (uint64_t)random();
		for (w.n_ranges = (size_t)(random() % 3); w.n_ranges;) {
			for (size_t i = 0; i < w.n_ranges; i++)
				do
					w.ranges[i] = (struct when_range){(uint16_t)(random() % 1440), (uint16_t)(1 + random() % 1440)};
				while (w.ranges[i].lo == w.ranges[i].hi);
			break;
		}
		time_t start = local(days[random() % 9], -1) + random() % 43200, got = policy_time_next(&w, start), t = start;
		bool now = policy_time_active(&w, start);
		do
			t += 60 - t % 60;
		while (t < start + 3 * 86400 && policy_time_active(&w, t) == now);
		if (t < start + 3 * 86400)
			ck_assert_msg(got == t, "turn %u: %lld, expected %lld", turn, (long long)got, (long long)t);
		else
			ck_assert_msg(!got || got >= t, "turn %u: %lld, expected none before %lld", turn, (long long)got, (long long)t);
	}
}
END_TEST

#define TIMED                                                                                                                   \
	ACTIONS "IpDynVpnAction v { InitiateWithPfs None\n IpDataOffer { HowToEncap Tunnel\n HowToEncrypt AES_CBC KeyLength 128\n" \
	"  HowToAuth ESP HMAC_SHA2_256_128 } }\n"                                                                               \
	"IpTimeCondition work { TimeOfDayRange 08:00-17:00\n DayOfWeekMask 0111110 }\n"                                         \
	"IpTimeCondition feast { ConditionTimeRange 20261225000000:20261225235959 }\n"                                          \
	"IpFilterPolicy { IpFilterRule a { IpSourceAddr 10.1.0.0/24\n IpDestAddr 10.2.0.0/24\n IpServiceRef all\n"                \
	"  IpGenericFilterActionRef ipsec\n IpDynVpnActionRef v\n IpTimeConditionRef work\n IpTimeConditionRef feast }\n"          \
	" IpFilterRule b { IpSourceAddr 10.0.0.0/8\n IpDestAddr 10.0.0.0/8\n IpServiceRef all\n IpGenericFilterActionRef ipsec\n"  \
	"  IpDynVpnActionRef v } }\n"                                                                                           \
	"LocalDynVpnPolicy { LocalDynVpnRule l { LocalIp 10.1.0.0/24\n RemoteIp 10.2.0.0/24\n IpTimeConditionRef work } }\n"       \
	"KeyExchangePolicy { KeyExchangeRule k { LocalSecurityEndpoint { Identity IpAddr 192.0.2.1\n Location 192.0.2.1 }\n"      \
	" RemoteSecurityEndpoint { Identity IpAddr 192.0.2.2\n Location 192.0.2.2 }\n KeyExchangeAction { KeyExchangeOffer {\n"   \
	"  HowToEncrypt AES_CBC KeyLength 128\n HowToAuthMsgs SHA2_256\n HowToAuthPeers PresharedKey\n DHGroup Group14 } }\n"      \
	" SharedKey Ascii \"x\"\n IpTimeCondition { TimeOfDayRange 12:00-13:00 } } }\n"

START_TEST(rules)
{
	zone("UTC0");
	struct ipsec_policy *p = accepted(TIMED);
	struct addr l, r;
	struct selector s = {.protocol = POLICY_PROTO_ALL};
	size_t from = 0;
	ck_assert_int_eq(addr_parse("192.0.2.1", &l), 0);
	ck_assert_int_eq(addr_parse("192.0.2.2", &r), 0);
	s.local = p->rules[0].sources[0];
	s.remote = p->rules[0].dests[0];

	ck_assert(ipsec_policy_follow(p, local("2026-11-25 06:00:00", -1)));
	ck_assert_str_eq(policy_anchor(p, &s)->name, "b");
	ck_assert_ptr_null(policy_rule_find(p, "a"));
	ck_assert(policy_local_rule(p, "l")->asleep);
	ck_assert_ptr_null(policy_kex_rule(p, &l, &r, &from));
	ck_assert_int_eq(p->clock.next, local("2026-11-25 08:00:00", -1));

	ck_assert(!ipsec_policy_follow(p, local("2026-11-25 06:00:30", -1)));
	ck_assert(ipsec_policy_follow(p, local("2026-11-25 08:00:00", -1)));
	ck_assert_str_eq(policy_anchor(p, &s)->name, "a");
	ck_assert(!policy_local_rule(p, "l")->asleep);
	ck_assert_int_eq(p->clock.next, local("2026-11-25 12:00:00", -1));
	ck_assert(ipsec_policy_follow(p, local("2026-11-25 12:00:00", -1)));
	from = 0;
	ck_assert_str_eq(policy_kex_rule(p, &l, &r, &from)->name, "k");
	ck_assert(ipsec_policy_follow(p, local("2026-11-25 07:00:00", -1))); /* the clock was set back */
	ck_assert_str_eq(policy_anchor(p, &s)->name, "b");
	ck_assert(ipsec_policy_follow(p, local("2026-12-25 23:00:00", -1))); /* a Friday night, but a feast */
	ck_assert_str_eq(policy_anchor(p, &s)->name, "a");
	char text[32];
	ck_assert_str_eq(policy_whens_text(&p->rules[0].when, text, sizeof(text)), "work, feast");
	ck_assert_str_eq(policy_whens_text(&p->kex_rules[0].when, text, sizeof(text)), "(unnamed)");
	ck_assert_str_eq(policy_whens_text(&p->rules[0].when, text, 8), "work, f");
	ipsec_policy_free(p);
	cut_everywhere(TIMED, (size_t)(strstr(TIMED, "LocalDynVpnPolicy") - TIMED) - 2);
}
END_TEST

START_TEST(detection)
{
	static const char text[] = "IpTimeCondition night { TimeOfDayRange 22:00-06:00 }\n"
		"IDSAction a { ActionType ATTACK discard }\nIDSAction s { ActionType SCAN_GLOBAL }\nIDSAction e { ActionType SCAN_EVENT count }\n"
		"IDSRule flood { ConditionType Attack\n Priority 9\n IDSAttackCondition { AttackType FLOOD }\n IDSActionRef a\n IpTimeConditionRef night }\n"
		"IDSRule always { ConditionType Attack\n IDSAttackCondition { AttackType FLOOD }\n IDSActionRef a }\n"
		"IDSRule scan { ConditionType ScanGlobal\n IDSScanGlobalCondition { }\n IDSActionRef s\n IpTimeCondition { TimeOfDayRange 22:00-06:00 } }\n"
		"IDSRule event { ConditionType ScanEvent\n IDSScanEventCondition { Protocol TCP }\n IDSActionRef e }\n";
	struct conf *c;
	struct ids_policy *p = NULL;
	zone("UTC0");
	ck_assert_int_eq(conf_parse(&ids_policy_spec, "ids", text, strlen(text), &c), 0);
	ck_assert_int_eq(ids_policy_build(c, &p), 0);
	conf_free(c);
	ck_assert_str_eq(p->attacks[IDS_FLOOD]->name, "flood");
	ck_assert(ids_policy_follow(p, local("2026-11-25 12:00:00", -1)));
	struct ids_policy *now = ids_policy_awake(p);
	ck_assert_uint_eq(now->n_rules, 2);
	ck_assert_str_eq(now->attacks[IDS_FLOOD]->name, "always");
	ck_assert_ptr_null(now->scan);
	ck_assert_int_eq(now->scan_level[IDS_TCP], IDS_NOTHING);
	ids_policy_free(now);
	ck_assert(!ids_policy_follow(p, local("2026-11-25 21:59:59", -1)));
	ck_assert(ids_policy_follow(p, local("2026-11-25 22:00:00", -1)));
	now = ids_policy_awake(p);
	ck_assert_uint_eq(now->n_rules, 4);
	ck_assert_str_eq(now->attacks[IDS_FLOOD]->name, "flood");
	ck_assert_str_eq(now->scan->name, "scan");
	ids_policy_free(now);
	ids_policy_free(p);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("when");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, refusals);
	tcase_add_test(t, masks);
	tcase_add_test(t, day);
	tcase_add_test(t, calendar);
	tcase_add_test(t, jumps);
	tcase_add_test(t, search);
	tcase_add_test(t, rules);
	tcase_add_test(t, detection);
	suite_add_tcase(s, t);
	return s;
}

RV_CHECK_MAIN(suite())
