/* SHA-256 of one buffer (FIPS 180-4), through OpenSSL; and hex of bytes. */
#pragma once
#include <stddef.h>
#include <stdint.h>

void sha256(const void *data, size_t len, uint8_t out[32]);
/* @out holds 2 * @len + 1 bytes. */
void hex_text(const void *data, size_t len, char *out);
/* Reads exactly @len bytes from 2 * @len hex digits followed by NUL; 0 or -EINVAL. */
int hex_parse(const char *text, void *out, size_t len);
