#include "lib/base/json.h"
#include "lib/base/utf8.h"
#include "lib/base/xalloc.h"
#include <inttypes.h>
#include <math.h>

void json_init(struct json *j)
{
	*j = (struct json){.buf = xcalloc(1, 256), .cap = 256};
}

void json_fini(struct json *j)
{
	free(j->buf);
	*j = (struct json){0};
}

void json_clear(struct json *j)
{
	j->len = 0;
	j->buf[0] = 0;
	j->comma = false;
}

static void put(struct json *j, const char *s, size_t n)
{
	if (j->len + n + 1 > j->cap) {
		while (j->len + n + 1 > j->cap)
			j->cap *= 2;
		j->buf = xrealloc(j->buf, j->cap, 1);
	}
	memcpy(j->buf + j->len, s, n);
	j->len += n;
	j->buf[j->len] = 0;
}

static void value(struct json *j, const char *s, size_t n)
{
	if (j->comma)
		put(j, ",", 1);
	put(j, s, n);
	j->comma = true;
}

void json_open(struct json *j, char bracket)
{
	value(j, &bracket, 1);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	put(j, &bracket, 1);
	j->comma = true;
}

void json_key(struct json *j, const char *key)
{
	json_str(j, key);
	put(j, ":", 1);
	j->comma = false;
}

void json_strn(struct json *j, const char *s, size_t len)
{
	value(j, "\"", 1);
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t n = utf8_len((const unsigned char *)s + i, len - i);
		char esc[8];
		if (c == '"' || c == '\\') {
			char two[2] = {'\\', (char)c};
			put(j, two, 2);
		} else if (c < 0x20 || c == 0x7f) {
			put(j, esc, (size_t)snprintf(esc, sizeof(esc), "\\u%04x", c));
		} else if (!n) {
			put(j, "\\ufffd", 6);
		} else {
			put(j, s + i, n);
		}
		i += n ? n : 1;
	}
	put(j, "\"", 1);
}

void json_str(struct json *j, const char *s)
{
	if (s)
		json_strn(j, s, strlen(s));
	else
		value(j, "null", 4);
}

void json_u64(struct json *j, uint64_t v)
{
	char b[24];
	value(j, b, (size_t)snprintf(b, sizeof(b), "%" PRIu64, v));
}

void json_i64(struct json *j, int64_t v)
{
	char b[24];
	value(j, b, (size_t)snprintf(b, sizeof(b), "%" PRId64, v));
}

void json_double(struct json *j, double v)
{
	char b[32];
	if (isfinite(v))
		value(j, b, (size_t)snprintf(b, sizeof(b), "%.9g", v));
	else
		value(j, "null", 4);
}

void json_bool(struct json *j, bool v)
{
	value(j, v ? "true" : "false", v ? 4 : 5);
}

void json_hex(struct json *j, const void *data, size_t len)
{
	const unsigned char *p = data;
	value(j, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		char two[3];
		(void)snprintf(two, sizeof(two), "%02x", p[i]);
		put(j, two, 2);
	}
	put(j, "\"", 1);
}

void json_newline(struct json *j)
{
	put(j, "\n", 1);
	j->comma = false;
}

void json_kv_str(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_str(j, s);
}

void json_kv_u64(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_u64(j, v);
}

void json_kv_bool(struct json *j, const char *key, bool v)
{
	json_key(j, key);
	json_bool(j, v);
}
