#include "lib/daemon/metrics.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* [a-zA-Z_:][a-zA-Z0-9_:]* */
static bool is_name(const char *s)
{
	if (!s || !*s || isdigit((unsigned char)*s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '_' && *s != ':')
			return false;
	return true;
}

static void escaped(const char *s, FILE *out)
{
	for (; *s; s++)
		if (*s == '\n')
			fputs("\\n", out);
		else if (*s == '\\' || *s == '"')
			fprintf(out, "\\%c", *s);
		else
			fputc(*s, out);
}

void metrics_print(const Common__StatsReply *stats, const char *label, FILE *out)
{
	static const char total[] = "_total";
	for (size_t i = 0; i < stats->n_stats; i++) {
		const Common__StatsReply__Stat *s = stats->stats[i];
		if (!is_name(s->name))
			continue;
		size_t len = strlen(s->name), suffix = sizeof(total) - 1;
		bool counter = len > suffix && !strcmp(s->name + len - suffix, total);
		int family = (int)(counter ? len - suffix : len);
		fprintf(out, "# TYPE ravelin_%.*s %s\n", family, s->name, counter ? "counter" : "gauge");
		if (s->help && *s->help) {
			fprintf(out, "# HELP ravelin_%.*s ", family, s->name);
			escaped(s->help, out);
			fputc('\n', out);
		}
		fprintf(out, "ravelin_%s", s->name);
		if (label) {
			fputs("{daemon=\"", out);
			escaped(label, out);
			fputs("\"}", out);
		}
		fprintf(out, " %" PRIu64 "\n", s->value);
	}
	fputs("# EOF\n", out);
}
