/* record: calls and replies on a stream (RFC 5531 section 11): fragments, each behind a mark of four bytes, the last one marked so. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { RECORD_MAX = 9216 };

/* The first record in the @len bytes at @p: what it takes with its marks, its text in *@ret_text and *@ret_len, borrowed from @p, or from @gather where
 * it came in several fragments. 0: not all there; -1: larger than RECORD_MAX, or fragments without an end: nothing that may follow can be read. */
ssize_t record_next(const uint8_t *p, size_t len, uint8_t gather[RECORD_MAX], const uint8_t **ret_text, size_t *ret_len);
