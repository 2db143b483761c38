/* OpenMetrics text: what a name may be, what is escaped, counters and gauges. */
#include "lib/daemon/metrics.h"
#include "tests/support/check_main.h"
#include <stdbool.h>
#include <string.h>

static char *printed(Common__StatsReply__Stat *stats, size_t n, const char *label)
{
	Common__StatsReply__Stat *list[8];
	Common__StatsReply m = COMMON__STATS_REPLY__INIT;
	for (size_t i = 0; i < n; i++)
		list[i] = &stats[i];
	m.n_stats = n;
	m.stats = list;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	metrics_print(&m, label, f);
	fclose(f);
	return text;
}

static Common__StatsReply__Stat stat_of(const char *name, const char *help, uint64_t value)
{
	Common__StatsReply__Stat s = COMMON__STATS_REPLY__STAT__INIT;
	s.name = (char *)name;
	s.help = (char *)help;
	s.has_value = true;
	s.value = value;
	return s;
}

START_TEST(bad_names_are_left_out)
{
	Common__StatsReply__Stat s[] = {stat_of("1a", "h", 1), stat_of("a b", "h", 1), stat_of("", "h", 1), stat_of(NULL, "h", 1),
		stat_of("a\n# EOF", "h", 1)};
	char *text = printed(s, 5, NULL);
	ck_assert_str_eq(text, "# EOF\n");
	free(text);
}
END_TEST

START_TEST(counters_and_gauges)
{
	Common__StatsReply__Stat s[] = {stat_of("bus_requests_total", "Requests \"taken\"\nhere.", 18446744073709551615ull),
		stat_of("filters", NULL, 0)};
	char *text = printed(s, 2, "defmgrD");
	ck_assert_str_eq(text, "# TYPE ravelin_bus_requests counter\n# HELP ravelin_bus_requests Requests \\\"taken\\\"\\nhere.\n"
			       "ravelin_bus_requests_total{daemon=\"defmgrD\"} 18446744073709551615\n"
			       "# TYPE ravelin_filters gauge\nravelin_filters{daemon=\"defmgrD\"} 0\n# EOF\n");
	free(text);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("metrics");
	TCase *c = tcase_create("metrics");
	tcase_add_test(c, bad_names_are_left_out);
	tcase_add_test(c, counters_and_gauges);
	suite_add_tcase(s, c);
	return s;
}

RV_CHECK_MAIN(suite())
