/* secretkey: the bytes of a SharedKey. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum key_form { KEY_ASCII, KEY_HEX, KEY_EBCDIC }; /* in the order of the statement's words */
/* -EINVAL: empty, longer than @max, not hexadecimal, or no character of IBM-1047's ASCII part; @out is cleansed then. */
int shared_key_parse(enum key_form form, const char *text, uint8_t *out, size_t max, size_t *ret_len);
