/* filter_parts: what filter.c, filter_parts.c and filter_text.c share about the directions, families and protocols of a filter. */
#pragma once
#include "daemons/defmgrD/filter.h"

struct filter_protocol {
	const char *name;   /* as typed */
	const char *report; /* as messages print it */
	uint8_t number;
	uint8_t family; /* 0: both */
};

const struct filter_protocol *filter_protocol_named(const char *name);
const struct filter_protocol *filter_protocol_numbered(int number);
unsigned filter_family(const struct filter *f); /* what its protocol binds it to: 4, 6, or 0 for neither */

/* Which families and directions the filter stands for, in the order of the extensions. */
struct filter_side {
	unsigned family;
	bool inbound;
};

unsigned filter_sides(const struct filter *f, struct filter_side out[FILTER_PARTS_MAX]);

/* Addresses and ports as they are for one direction. */
struct filter_ends {
	const struct prefix *source, *dest;
	const uint16_t *sport, *dport;
};

struct filter_ends filter_ends_of(const struct filter *f, bool inbound);
