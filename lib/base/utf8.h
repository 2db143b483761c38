/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

size_t utf8_len(const unsigned char *s, size_t left); /* of the sequence at @s, 1..4; 0: none */
bool utf8_text(const void *data, size_t len);	      /* all of it, and no NUL inside */
