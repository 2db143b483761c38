#include "daemons/ravelin-bouncer/decisions.h"
#include <string.h>

static const uint64_t LONGEST_US = 100ull * 366 * 24 * 3600 * 1000000;

/* Unit at *@p in nanoseconds, and behind it; 0: none. */
static uint64_t unit(const char **p)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} units[] = {{"ns", 1}, {"us", 1000}, {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000}, {"ms", 1000000}, {"h", 3600000000000ull},
		{"m", 60000000000ull}, {"s", 1000000000}};
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (!strncmp(*p, units[i].text, strlen(units[i].text))) {
			*p += strlen(units[i].text);
			return units[i].ns;
		}
	return 0;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

bool duration_parse(const char *text, uint64_t *ret_us)
{
	const char *p = text + (*text == '-');
	double us = 0;
	if (!strcmp(p, "0")) {
		*ret_us = 0;
		return true;
	}
	do {
		double number = 0, place = 0.1;
		bool some = false;
		for (; digit(*p); p++, some = true)
			number = number * 10 + (*p - '0');
		if (*p == '.')
			for (p++; digit(*p); p++, place /= 10, some = true)
				number += (*p - '0') * place;
		uint64_t ns = some ? unit(&p) : 0;
		if (!ns)
			return false;
		us += number * (double)ns / 1000;
	} while (*p);
	*ret_us = *text == '-' ? 0 : us < (double)LONGEST_US ? (uint64_t)us : LONGEST_US;
	return true;
}
