/* How functions report failure, for the whole tree.
 *
 * int: 0 is done; a negative value is -errno ("it failed, pass it up"); a positive value is an outcome that the
 * caller must handle, from a small enum at the top of the header concerned. Outputs come last, are named ret_x and
 * are untouched on failure. Libraries return errors and do not log them; who decides, logs, once. Text about a
 * failure that a person will read goes into a struct errbuf that the caller owns. */
#pragma once
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct errbuf {
	char text[256];
};

/* Formats into @e (NULL allowed) and returns -@err, so that "return err_set(e, EINVAL, ...)" reads as it acts. */
static inline int __attribute__((format(printf, 3, 4))) err_set(
	struct errbuf *e, int err, const char *fmt, ...)
{
	if (e) {
		va_list ap;
		va_start(ap, fmt);
		(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
	}
	return -err;
}
