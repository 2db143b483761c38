/* log: one line a fact, to standard error, for journald or a terminal.
 *
 *   log_info("sa up", "peer", text, "spi", log_u64(spi));   ->   <6>sa up peer=192.0.2.1 spi=4096
 *
 * The text is fixed; everything variable is a key and a value. Values with blanks, quotes, control characters or
 * nothing in them are quoted and escaped, so that no peer can forge a line. The sd-daemon(3) priority prefix is written
 * when standard error is not a terminal. Never log a secret. Thread-safe: one write(2) a line, at most 2 KiB. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_L_ERROR = 3, LOG_L_WARNING = 4, LOG_L_NOTICE = 5, LOG_L_INFO = 6, LOG_L_DEBUG = 7 };

void log_set_level(enum log_level most_detailed); /* default LOG_L_INFO */
bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *text, ...) __attribute__((sentinel)); /* key, value pairs, NULL */

#define log_error(...) log_line(LOG_L_ERROR, __VA_ARGS__, (char *)0) /* someone must act */
#define log_warning(...) log_line(LOG_L_WARNING, __VA_ARGS__, (char *)0)
#define log_notice(...) log_line(LOG_L_NOTICE, __VA_ARGS__, (char *)0) /* a change of state */
#define log_info(...) log_line(LOG_L_INFO, __VA_ARGS__, (char *)0)
#define log_debug(...)                                                                                        \
	do {                                                                                                  \
		if (log_wants(LOG_L_DEBUG))                                                                   \
			log_line(LOG_L_DEBUG, __VA_ARGS__, (char *)0);                                        \
	} while (0)

/* A number as a value: lives until 15 more were made by this thread. */
const char *log_u64(uint64_t v);
const char *log_i64(int64_t v);
const char *log_errno(int err); /* strerror of err or -err */

/* For what a stranger can cause: true at most @burst times per @interval_ms for this state, then false until the
 * interval ends; ret_suppressed says how many were held back when a new interval starts. */
struct log_limit {
	uint64_t start_ms;
	uint32_t count, suppressed;
};
bool log_limit_ok(struct log_limit *l, uint64_t now_ms, uint32_t burst, uint32_t interval_ms, uint32_t *ret_suppressed);
