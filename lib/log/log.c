#include "lib/log/log.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic int threshold = LOG_L_INFO;

enum { LINE_MAX_BYTES = 2048 };

struct line {
	char b[LINE_MAX_BYTES];
	size_t n;
};

void log_set_level(enum log_level most_detailed)
{
	atomic_store(&threshold, (int)most_detailed);
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

static void add(struct line *l, const char *s, size_t n)
{
	size_t room = sizeof(l->b) - 1 - l->n; /* the last byte is for the newline */
	if (n > room)
		n = room;
	memcpy(l->b + l->n, s, n);
	l->n += n;
}

static bool is_plain(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (*s == '"' || *s == '\\' || *s == '=' || !isgraph((unsigned char)*s))
			return false;
	return true;
}

static void add_value(struct line *l, const char *s)
{
	if (is_plain(s)) {
		add(l, s, strlen(s));
		return;
	}
	add(l, "\"", 1);
	for (; *s; s++) {
		char esc[8];
		if (*s == '"' || *s == '\\')
			add(l, esc, (size_t)snprintf(esc, sizeof(esc), "\\%c", *s));
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			add(l, esc, (size_t)snprintf(esc, sizeof(esc), "\\x%02x", (unsigned char)*s));
		else
			add(l, s, 1);
	}
	add(l, "\"", 1);
}

void log_line(enum log_level level, const char *text, ...)
{
	if (!log_wants(level))
		return;
	struct line l = {.n = 0};
	if (!isatty(STDERR_FILENO)) {
		char prio[8];
		add(&l, prio, (size_t)snprintf(prio, sizeof(prio), "<%d>", (int)level));
	}
	add(&l, text, strlen(text));
	va_list ap;
	va_start(ap, text);
	for (const char *key; (key = va_arg(ap, const char *));) {
		const char *value = va_arg(ap, const char *);
		add(&l, " ", 1);
		add(&l, key, strlen(key));
		add(&l, "=", 1);
		add_value(&l, value ? value : "-");
	}
	va_end(ap);
	l.b[l.n++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, l.b, l.n);
	(void)ignored;
}

static char *slot(void)
{
	static _Thread_local char ring[16][64];
	static _Thread_local unsigned next;
	return ring[next++ % 16];
}

const char *log_u64(uint64_t v)
{
	char *s = slot();
	(void)snprintf(s, 64, "%" PRIu64, v);
	return s;
}

const char *log_i64(int64_t v)
{
	char *s = slot();
	(void)snprintf(s, 64, "%" PRId64, v);
	return s;
}

const char *log_errno(int err)
{
	char *s = slot();
	return strerror_r(err < 0 ? -err : err, s, 64);
}

bool log_limit_ok(struct log_limit *l, uint64_t now_ms, uint32_t burst, uint32_t interval_ms, uint32_t *ret_suppressed)
{
	if (ret_suppressed)
		*ret_suppressed = 0;
	if (!l->start_ms || now_ms - l->start_ms >= interval_ms) {
		if (ret_suppressed)
			*ret_suppressed = l->suppressed;
		*l = (struct log_limit){.start_ms = now_ms ? now_ms : 1};
	}
	if (l->count < burst) {
		l->count++;
		return true;
	}
	l->suppressed++;
	return false;
}
