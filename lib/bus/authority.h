/* authority: one SAF question with its log line and audit record. */
#pragma once
#include "lib/bus/bus.h"

struct authority {
	struct saf *saf;
	struct audit *audit;
	struct log_limit *limit;
	struct bus_stats *stats;
};

/* What is asked, for whom. */
struct question {
	const struct saf_subject *who;
	const char *class_name, *resource;
	enum saf_level level;
	const char *what; /* the method or topic */
	pid_t pid;
	bool silent; /* no record: one of many that a prefix subscription asks */
};

/* Who @uid is to SAF; an unknown uid gives the empty user. */
void authority_subject(const struct authority *a, uid_t uid, struct saf_subject *ret);
/* True only for rc 0. Otherwise @reason says why, in ICH408I's form. */
bool authority_check(const struct authority *a, const struct question *q, char reason[SAF_REASON_MAX]);
