/* report: the three formats of an ipsec report. An entry is a list of named fields: detail prints one a line, wide all of an entry
 * on one line under a line of names, short the same with the brief ones alone. */
#pragma once
#include "cli/ipsec/command.h"
#include <stdint.h>

enum { REPORT_FIELDS_MAX = 96, REPORT_VALUE_MAX = 160 };

struct report {
	enum ipsec_format format;
	unsigned entries, nfields;
	struct {
		const char *name;
		bool brief;
		char value[REPORT_VALUE_MAX];
	} fields[REPORT_FIELDS_MAX];
};

/* The three lines that begin each report; TotAvail comes with report_total. */
void report_heading(struct report *r, const struct ipsec_command *c, const char *stack, const char *primary, const char *function);
void report_source(const char *source, const char *scope, uint64_t total);
void report_extra(const char *name, const char *value); /* a further line of the heading */
void report_field(struct report *r, bool brief, const char *name, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void report_entry(struct report *r);  /* prints the fields so far as one entry */
void report_end(struct report *r);    /* "n entries selected" */
static inline const char *report_or(const char *s, const char *otherwise)
{
	return s && *s ? s : otherwise;
}
static inline const char *report_yes(bool b)
{
	return b ? "Yes" : "No";
}
const char *report_time(uint64_t us, char out[32]);
/* "TCP(6)" of "tcp" or "6". */
const char *report_protocol(const char *text, char out[24]);
