/* metrics: the answer of common.Stats as OpenMetrics text (OpenMetrics 1.0), for "CLI stats --openmetrics" and whoever scrapes it. */
#pragma once
#include "proto/common.pb-c.h"
#include <stdio.h>

/* Names get the prefix "ravelin_"; those ending in _total are counters, the others gauges. @label NULL, or a daemon's name put on every sample. */
void metrics_print(const Common__StatsReply *stats, const char *label, FILE *out);
