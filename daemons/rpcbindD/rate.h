/* rate: how many calls a second a source may make: a token bucket each for RATE_SOURCES sources (IPv4 addresses, IPv6 /64). A source meets at most the
 * others of its set of four; the one idle longest is forgotten, so that a flood from many places costs no memory and the flooder nothing but itself. */
#pragma once
#include "lib/base/addr.h"

struct rate;
struct rate *rate_new(void);
void rate_free(struct rate *r);
/* One call from @a at @now_ms: false when it is one too many. @per_second 0: no limit. */
bool rate_take(struct rate *r, const struct addr *a, unsigned per_second, unsigned burst, uint64_t now_ms);
