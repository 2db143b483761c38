/* seen: the sources whose detections have not reached a rule's threshold. As many as there is room for: the one seen longest ago gives
 * way to a new one, so who invents sources delays the filter of another, and costs no more memory. */
#pragma once
#include "lib/base/addr.h"
#include <stdbool.h>
#include <stdint.h>

enum { SEEN_SOURCES_MAX = 512 };

struct seen;
struct seen *seen_new(void);
void seen_free(struct seen *s); /* NULL allowed */
/* One more detection of @a by the stack @stack. True when it makes @threshold within @interval_ms of the first; they count anew then.
 * *@forgotten counts the sources that gave way. */
bool seen_enough(struct seen *s, unsigned stack, const struct addr *a, uint32_t threshold, uint64_t interval_ms, uint64_t now_ms,
	uint64_t *forgotten);
