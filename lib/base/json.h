/* json: write JSON, correctly escaped, into a growing buffer. Commas and nesting are kept by the writer. Strings that
 * are not UTF-8 are written with U+FFFD in place of each bad byte, so that the output always parses. One line unless
 * json_newline is called between top-level values. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	char *buf; /* NUL-terminated; owned by the writer */
	size_t len, cap;
	bool comma;
};

void json_init(struct json *j);
void json_fini(struct json *j);
void json_clear(struct json *j); /* forgets the text, keeps the buffer */
void json_open(struct json *j, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket); /* '}' or ']' */
void json_key(struct json *j, const char *key);
void json_str(struct json *j, const char *s); /* NULL writes null */
void json_strn(struct json *j, const char *s, size_t len);
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
void json_double(struct json *j, double v);
void json_bool(struct json *j, bool v);
void json_hex(struct json *j, const void *data, size_t len); /* as a string of lower-case hex */
void json_newline(struct json *j);
/* Key and value at once. */
void json_kv_str(struct json *j, const char *key, const char *s);
void json_kv_u64(struct json *j, const char *key, uint64_t v);
void json_kv_bool(struct json *j, const char *key, bool v);
