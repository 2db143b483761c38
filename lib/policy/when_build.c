/* IpTimeCondition: from statements to a condition (when.h). */
#include "lib/base/xalloc.h"
#include "lib/conf/conf.h"
#include "lib/policy/statements.h"
#include "lib/policy/when.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct conf_operand mask_operands[] = {
	{"mask", CONF_STRING, .max = 62, .help = "A 1 for each that counts, a 0 for each that does not."}, {0}};
static const struct conf_operand range_operands[] = {
	{"range", CONF_STRING, .max = 29, .help = "yyyymmddhhmmss:yyyymmddhhmmss; both ends count."}, {0}};
static const struct conf_operand day_operands[] = {
	{"range", CONF_STRING, CONF_REPEAT, .max = 512, .help = "hh:mm-hh:mm, the end not included, 24:00 at most; several with commas. "
								"The end may be the earlier one: over midnight."}, {0}};
static const struct conf_operand zone_operands[] = {
	{"zone", CONF_WORD, .words = "Local|UTC", .help = "Whose clock."}, {0}};

const struct conf_stmt policy_time_children[] = {
	{"ConditionTimeRange", range_operands, .flags = CONF_ONCE, .help = "From when to when, by the calendar. Default always."},
	{"MonthOfYearMask", mask_operands, .flags = CONF_ONCE, .help = "12 digits, January first. Default all."},
	{"DayOfMonthMask", mask_operands, .flags = CONF_ONCE,
		.help = "31 digits, the first first; 31 more: counted from the month's end, the last day first. Default all."},
	{"DayOfWeekMask", mask_operands, .flags = CONF_ONCE, .help = "7 digits, Sunday first. Default all."},
	{"TimeOfDayRange", day_operands, .flags = CONF_ANYNUMBER, .help = "Times of the day. Default all day."},
	{"TimeZone", zone_operands, .flags = CONF_ONCE, .help = "Default Local."}, {0}};

static int mask(struct conf_node *n, const char *stmt, size_t len, size_t longer, uint64_t *ret)
{
	struct conf_node *at = conf_child(n, stmt);
	*ret = (1ull << len) - 1;
	if (!at)
		return 0;
	const char *text = conf_str(at, "mask");
	size_t got = strlen(text);
	char also[32] = "";
	if (longer)
		(void)snprintf(also, sizeof(also), " or %zu", longer);
	if ((got != len && (!longer || got != longer)) || strspn(text, "01") != got)
		return conf_node_error(at, "found '%s', expected %zu%s digits 0 or 1", text, len, also);
	*ret = 0;
	for (size_t i = 0; i < got; i++)
		*ret |= (uint64_t)(text[i] == '1') << i;
	return *ret ? 0 : conf_node_error(at, "found a mask without a 1, expected at least one: it would never hold");
}

static unsigned number(const char *text, size_t len)
{
	unsigned n = 0;
	for (size_t i = 0; i < len; i++)
		n = n * 10 + (unsigned)(text[i] - '0');
	return n;
}

static bool moment_of(const char *text, struct when_moment *m)
{
	static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	*m = (struct when_moment){(uint16_t)number(text, 4), (uint8_t)number(text + 4, 2), (uint8_t)number(text + 6, 2),
		(uint8_t)number(text + 8, 2), (uint8_t)number(text + 10, 2), (uint8_t)number(text + 12, 2)};
	bool leap = (m->year % 4 == 0 && m->year % 100) || m->year % 400 == 0;
	return m->year >= 1970 && m->month >= 1 && m->month <= 12 && m->day >= 1 && m->day <= days[m->month - 1] &&
	       (m->month != 2 || m->day < 29 || leap) && m->hour <= 23 && m->minute <= 59 && m->second <= 59;
}

static int calendar(struct conf_node *n, struct policy_when *w)
{
	struct conf_node *at = conf_child(n, "ConditionTimeRange");
	if (!at)
		return 0;
	const char *text = conf_str(at, "range");
	if (strlen(text) != 29 || strspn(text, "0123456789") != 14 || text[14] != ':' || strspn(text + 15, "0123456789") != 14)
		return conf_node_error(at, "found '%s', expected yyyymmddhhmmss:yyyymmddhhmmss", text);
	if (!moment_of(text, &w->from) || !moment_of(text + 15, &w->to))
		return conf_node_error(at, "found '%s', expected dates of the calendar from 1970 on and times of the day", text);
	return memcmp(text, text + 15, 14) <= 0 ? 0 : conf_node_error(at, "found '%s', expected the earlier time first", text);
}

/* "8", "8:00", "08:00". */
static bool minute_of(const char **at, uint16_t *ret)
{
	size_t h = strspn(*at, "0123456789"), m = 0;
	unsigned hour = number(*at, h <= 2 ? h : 0), minute = 0;
	const char *end = *at + h;
	if (*end == ':') {
		m = strspn(end + 1, "0123456789");
		minute = number(end + 1, m <= 2 ? m : 0);
		end += 1 + m;
		if (m != 2)
			return false;
	}
	if (!h || h > 2 || hour > 24 || minute > 59 || (hour == 24 && minute))
		return false;
	*at = end;
	*ret = (uint16_t)(hour * 60 + minute);
	return true;
}

static int ranges_add(struct conf_node *at, const char *text, struct policy_when *w)
{
	const char *p = text + strspn(text, ", ");
	while (*p) {
		struct when_range r;
		if (!minute_of(&p, &r.lo) || *p++ != '-' || !minute_of(&p, &r.hi) || (*p && *p != ',' && *p != ' '))
			return conf_node_error(at, "found '%s', expected hh:mm-hh:mm", text);
		if (r.lo == r.hi || r.lo == 24 * 60)
			return conf_node_error(at, "found '%s', expected a range that holds a minute at least", text);
		if (w->n_ranges == WHEN_RANGES_MAX)
			return conf_node_error(at, "found more than %d ranges, expected at most so many", WHEN_RANGES_MAX);
		w->ranges[w->n_ranges++] = r;
		p += strspn(p, ", ");
	}
	return 0;
}

static int day(struct conf_node *n, struct policy_when *w)
{
	int rc = 0;
	for (struct conf_node *at = conf_child(n, "TimeOfDayRange"); at; at = conf_next(at, "TimeOfDayRange"))
		for (const struct conf_value *v = conf_get(at, "range"); v; v = v->next)
			rc = ranges_add(at, v->s, w) < 0 ? -EINVAL : rc;
	for (size_t i = 0; i < w->n_ranges; i++)
		if (!w->ranges[i].lo && w->ranges[i].hi == 24 * 60) { /* with all day nothing else counts */
			w->n_ranges = 0;
			break;
		}
	return rc;
}

int when_build(struct conf_node *n, struct policy_when *ret)
{
	struct policy_when w = {.n_ranges = 0};
	uint64_t months, days, weekdays;
	const char *name = conf_str(n, "name");
	struct conf_node *zone = conf_child(n, "TimeZone");
	(void)snprintf(w.name, sizeof(w.name), "%s", name ? name : "");
	w.utc = zone && conf_uint(zone, "zone");
	int rc = calendar(n, &w);
	rc = mask(n, "MonthOfYearMask", 12, 0, &months) < 0 ? -EINVAL : rc;
	rc = mask(n, "DayOfMonthMask", 31, 62, &days) < 0 ? -EINVAL : rc;
	rc = mask(n, "DayOfWeekMask", 7, 0, &weekdays) < 0 ? -EINVAL : rc;
	rc = day(n, &w) < 0 ? -EINVAL : rc;
	w.months = (uint16_t)months;
	w.days = days;
	w.weekdays = (uint8_t)weekdays;
	*ret = w;
	return rc;
}

int whens_add(struct conf_node *rule, struct policy_whens *w, struct conf_node *condition)
{
	struct policy_when one;
	if (w->n == WHEN_CONDITIONS_MAX)
		return conf_node_error(rule, "found more than %d time conditions in rule '%s', expected at most so many", WHEN_CONDITIONS_MAX,
			conf_str(rule, "name"));
	if (when_build(condition, &one) < 0)
		return -EINVAL;
	w->v = xrealloc(w->v, w->n + 1, sizeof(*w->v));
	w->v[w->n++] = one;
	return 0;
}
