#include "cli/ipsec/report.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void report_heading(struct report *r, const struct ipsec_command *c, const char *stack, const char *primary, const char *function)
{
	static const char *const formats[] = {"Detail", "Short", "Wide"};
	char when[64];
	time_t now = time(NULL);
	struct tm tm;
	*r = (struct report){.format = c->format};
	(void)strftime(when, sizeof(when), "%a %b %e %H:%M:%S %Y", localtime_r(&now, &tm));
	(void)printf("CS V1R10 ipsec  Stack Name: %s  %s\n", stack, when);
	(void)printf("Primary:  %-15s Function: %-20s Format:   %s\n", primary, function, formats[c->format]);
}

void report_source(const char *source, const char *scope, uint64_t total)
{
	(void)printf("Source:   %-15s Scope:    %-20s TotAvail: %" PRIu64 "\n", source, scope, total);
}

void report_extra(const char *name, const char *value)
{
	(void)printf("%s: %s\n", name, value);
}

void report_field(struct report *r, bool brief, const char *name, const char *fmt, ...)
{
	if (r->nfields == REPORT_FIELDS_MAX)
		return;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(r->fields[r->nfields].value, REPORT_VALUE_MAX, fmt, ap);
	va_end(ap);
	r->fields[r->nfields].name = name;
	r->fields[r->nfields++].brief = brief;
}

/* One line of names or of values. */
static void row(const struct report *r, bool names)
{
	const char *bar = "";
	for (unsigned i = 0; i < r->nfields; i++) {
		if (r->format == IPSEC_SHORT && !r->fields[i].brief)
			continue;
		(void)printf("%s%s", bar, names ? r->fields[i].name : r->fields[i].value);
		bar = "|";
	}
	(void)putchar('\n');
}

void report_entry(struct report *r)
{
	if (r->format == IPSEC_DETAIL) {
		(void)puts(r->entries ? "***********************************************************************" : "");
		for (unsigned i = 0; i < r->nfields; i++)
			(void)printf("%s:%*s%s\n", r->fields[i].name, (int)(29 - strlen(r->fields[i].name)), "", r->fields[i].value);
	} else {
		if (!r->entries) {
			(void)putchar('\n');
			row(r, true);
		}
		row(r, false);
	}
	r->entries++;
	r->nfields = 0;
}

void report_end(struct report *r)
{
	if (r->format == IPSEC_DETAIL && r->entries)
		(void)puts("***********************************************************************");
	(void)printf("\n%u entries selected\n", r->entries);
}

const char *report_time(uint64_t us, char out[32])
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	if (!us)
		(void)snprintf(out, 32, "n/a");
	else
		(void)strftime(out, 32, "%Y/%m/%d %H:%M:%S", localtime_r(&t, &tm));
	return out;
}

const char *report_protocol(const char *text, char out[24])
{
	static const struct {
		const char *typed, *number, *shown;
	} names[] = {{"all", "", "All"}, {"opaque", "", "Opaque"}, {"icmp", "1", "ICMP(1)"}, {"igmp", "2", "IGMP(2)"},
		{"ip", "4", "IP(4)"}, {"tcp", "6", "TCP(6)"}, {"udp", "17", "UDP(17)"}, {"esp", "50", "ESP(50)"},
		{"ah", "51", "AH(51)"}, {"icmpv6", "58", "ICMPv6(58)"}, {"ospf", "89", "OSPF(89)"}, {"ipip", "94", "IPIP(94)"},
		{"mipv6", "135", "MIPv6(135)"}};
	(void)snprintf(out, 24, "%s", text && *text ? text : "All");
	for (size_t i = 0; text && i < sizeof(names) / sizeof(*names); i++)
		if (!strcasecmp(text, names[i].typed) || !strcmp(text, names[i].number))
			(void)snprintf(out, 24, "%s", names[i].shown);
	return out;
}
