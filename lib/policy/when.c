/* When a time condition holds, and until when (when.h). */
#include "lib/policy/when.h"
#include "lib/base/json.h"
#include "lib/base/xalloc.h"
#include <stdio.h>
#include <string.h>

enum { DAY_S = 86400, YEARS_MAX = 40, JUMPS_MAX = YEARS_MAX * 366 + 8, ALL_MONTHS = 0xfff, ALL_WEEKDAYS = 0x7f };
#define ALL_DAYS ((1ull << 31) - 1)

static bool clock_of(const struct policy_when *w, time_t at, struct tm *ret)
{
	return w->utc ? gmtime_r(&at, ret) != NULL : localtime_r(&at, ret) != NULL;
}

static time_t instant_of(const struct policy_when *w, struct tm *tm)
{
	tm->tm_isdst = -1;
	return w->utc ? timegm(tm) : mktime(tm);
}

static time_t moment(const struct policy_when *w, const struct when_moment *m)
{
	struct tm tm = {.tm_year = m->year - 1900, .tm_mon = m->month - 1, .tm_mday = m->day, .tm_hour = m->hour, .tm_min = m->minute,
		.tm_sec = m->second};
	return instant_of(w, &tm);
}

static int days_of_month(const struct tm *tm)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int y = tm->tm_year + 1900;
	return days[tm->tm_mon] + (tm->tm_mon == 1 && ((y % 4 == 0 && y % 100) || y % 400 == 0));
}

static bool date_holds(const struct policy_when *w, const struct tm *tm)
{
	int left = days_of_month(tm) - tm->tm_mday;
	bool day = w->days >> (tm->tm_mday - 1) & 1 || (left >= 0 && w->days >> (31 + left) & 1);
	return day && w->months >> tm->tm_mon & 1 && w->weekdays >> tm->tm_wday & 1;
}

static bool minute_holds(const struct policy_when *w, unsigned minute)
{
	for (size_t i = 0; i < w->n_ranges; i++) {
		const struct when_range *r = &w->ranges[i];
		if (r->lo < r->hi ? minute >= r->lo && minute < r->hi : minute >= r->lo || minute < r->hi)
			return true;
	}
	return !w->n_ranges;
}

static bool clock_holds(const struct policy_when *w, const struct tm *tm)
{
	return date_holds(w, tm) && minute_holds(w, (unsigned)(tm->tm_hour * 60 + tm->tm_min));
}

bool policy_time_active(const struct policy_when *w, time_t at)
{
	struct tm tm;
	if ((w->from.year && at < moment(w, &w->from)) || (w->to.year && at > moment(w, &w->to)))
		return false;
	return clock_of(w, at, &tm) && clock_holds(w, &tm);
}

/* The first instant of the day after @tm's, when that is simply later than @at; else 0. */
static time_t midnight_after(const struct policy_when *w, const struct tm *tm, time_t at)
{
	struct tm next = {.tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday + 1};
	time_t t = instant_of(w, &next);
	struct tm before;
	if (next.tm_hour || next.tm_min || next.tm_mday == tm->tm_mday)
		return 0;
	if (clock_of(w, t - 3600, &before) && before.tm_mday == next.tm_mday) /* the first of two midnights */
		t -= 3600;
	return t > at && t - at <= DAY_S + 7200 ? t : 0;
}

/* Where to look next after @at, at which nothing changed: a day on which all minutes are alike is left out, other days are gone through
 * minute by minute, as the clock may jump in them. Each of those has a change, so there are few. */
static time_t step(const struct policy_when *w, time_t at)
{
	struct tm tm;
	time_t t = 0;
	if (clock_of(w, at, &tm) && (!w->n_ranges || !date_holds(w, &tm)))
		t = midnight_after(w, &tm, at);
	return t ? t : at - at % 60 + 60;
}

time_t policy_time_next(const struct policy_when *w, time_t at)
{
	time_t from = w->from.year ? moment(w, &w->from) : 0, to = w->to.year ? moment(w, &w->to) : 0, t = at;
	bool now = policy_time_active(w, at);
	struct tm tm;
	if (w->to.year && at > to)
		return 0;
	if (w->from.year && at < from) {
		t = from;
		if (clock_of(w, t, &tm) && clock_holds(w, &tm))
			return t;
	}
	if (!w->to.year && !w->n_ranges && w->months == ALL_MONTHS && w->weekdays == ALL_WEEKDAYS &&
		((w->days & ALL_DAYS) == ALL_DAYS || w->days >> 31 == ALL_DAYS))
		return 0;
	for (unsigned i = 0; i < JUMPS_MAX; i++) {
		t = step(w, t);
		if (w->to.year && t > to)
			return now ? to + 1 : 0;
		if (clock_of(w, t, &tm) && clock_holds(w, &tm) != now)
			return t;
	}
	return 0;
}

bool policy_times_active(const struct policy_whens *w, time_t at)
{
	for (size_t i = 0; i < w->n; i++)
		if (policy_time_active(&w->v[i], at))
			return true;
	return !w->n;
}

time_t policy_times_next(const struct policy_whens *w, time_t at)
{
	time_t first = 0;
	for (size_t i = 0; i < w->n; i++) {
		time_t t = policy_time_next(&w->v[i], at);
		if (t && (!first || t < first))
			first = t;
	}
	return first;
}

void policy_whens_fini(struct policy_whens *w)
{
	free(w->v);
	*w = (struct policy_whens){0};
}

void policy_whens_copy(struct policy_whens *to, const struct policy_whens *from)
{
	*to = (struct policy_whens){from->n ? xcalloc(from->n, sizeof(*from->v)) : NULL, from->n};
	for (size_t i = 0; i < from->n; i++)
		to->v[i] = from->v[i];
}

const char *policy_whens_text(const struct policy_whens *w, char *out, size_t room)
{
	size_t len = 0;
	out[0] = 0;
	for (size_t i = 0; i < w->n && len < room; i++) {
		int n = snprintf(out + len, room - len, "%s%s", i ? ", " : "", *w->v[i].name ? w->v[i].name : "(unnamed)");
		len += n > 0 ? (size_t)n : room;
	}
	return out;
}

void policy_whens_json(const struct policy_whens *w, bool asleep, struct json *j)
{
	if (!w->n)
		return;
	json_key(j, "time_conditions");
	json_open(j, '[');
	for (size_t i = 0; i < w->n; i++)
		json_str(j, *w->v[i].name ? w->v[i].name : "(unnamed)");
	json_close(j, ']');
	json_kv_bool(j, "in_force", !asleep);
}

bool policy_clock_due(const struct policy_clock *c, time_t now)
{
	return now < c->last || (c->next && now >= c->next) || now - c->last >= CLOCK_LOOK_S;
}
