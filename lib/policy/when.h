/* when: IpTimeCondition, the times at which a rule is in force (zos.md sections 5 to 7; the model is RFC 3060 section 6.6).
 *
 * A condition holds at an instant that meets all of its parts: the calendar range (ConditionTimeRange), and, of the date and
 * the time of day that a clock on the wall shows at that instant, the month, the day of the month, the day of the week, and
 * one of the ranges of the day. The clock is this computer's local one or UTC (TimeZone). A rule with several conditions is in
 * force while any of them holds; one with none always is.
 *
 * The wall clock is taken as it is: in the hour that daylight saving leaves out nothing that lies in it alone holds, and
 * what begins in it begins at its end; in the hour that comes twice a range of it holds twice. A range of the day over midnight
 * ("22:00-06:00") is looked at with the date of the instant itself: of a Friday night the hours after midnight are Saturday's. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct conf_node;
struct json;

enum { WHEN_NAME_MAX = 65, WHEN_RANGES_MAX = 32, WHEN_CONDITIONS_MAX = 16 /* of one rule */ };

struct when_moment { /* of the calendar range, as written */
	uint16_t year; /* 0: open */
	uint8_t month, day, hour, minute, second;
};

struct policy_when {
	char name[WHEN_NAME_MAX]; /* "" when it was written inside its rule without one */
	bool utc;
	struct when_moment from, to; /* both included */
	uint16_t months;	     /* bit 0: January */
	uint64_t days;		     /* bit 0: the first; from bit 31: bit 31 is the last day of the month, bit 32 the one before */
	uint8_t weekdays;	     /* bit 0: Sunday */
	struct when_range {
		uint16_t lo, hi; /* minutes of the day, @hi excluded; lo > hi: over midnight */
	} ranges[WHEN_RANGES_MAX];
	size_t n_ranges; /* 0: all day */
};

/* Does it hold at @at? Call tzset() before, now and then: the computer's zone may change. */
bool policy_time_active(const struct policy_when *w, time_t at);
/* The first instant after @at at which policy_time_active gives another answer; 0: there is none in the next 40 years. */
time_t policy_time_next(const struct policy_when *w, time_t at);

/* The conditions of one rule. */
struct policy_whens {
	struct policy_when *v;
	size_t n;
};
bool policy_times_active(const struct policy_whens *w, time_t at); /* none: yes */
time_t policy_times_next(const struct policy_whens *w, time_t at); /* when the answer may change first; 0: never */
void policy_whens_fini(struct policy_whens *w);
void policy_whens_copy(struct policy_whens *to, const struct policy_whens *from);
/* Their names, "work, night"; "" none. At most @room bytes. */
const char *policy_whens_text(const struct policy_whens *w, char *out, size_t room);
void policy_whens_json(const struct policy_whens *w, bool asleep, struct json *j);

/* Who follows the clock looks again when this says so: at the next change, and when the clock was set. */
struct policy_clock {
	time_t last, next; /* next 0: nothing will change by itself */
};
enum { CLOCK_LOOK_S = 60 }; /* so late is a clock that was set noticed, or a zone that changed */
bool policy_clock_due(const struct policy_clock *c, time_t now);

/* when_build.c, inside lib/policy only: one IpTimeCondition statement; 0, or -EINVAL with the errors recorded. */
int when_build(struct conf_node *n, struct policy_when *ret);
/* One more of a rule, of which @rule is the statement. */
int whens_add(struct conf_node *rule, struct policy_whens *w, struct conf_node *condition);
