/* secret: bytes that are cleansed when freed and that nothing prints or copies by accident. The pages are locked
 * where the limit allows and left out of core dumps. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret; /* opaque: read it through secret_data */

struct secret *secret_new(const void *data, size_t len); /* copies @data (NULL: zero bytes); caller frees */
void secret_free(struct secret *s);			 /* cleanses; NULL allowed */
const uint8_t *secret_data(const struct secret *s);
uint8_t *secret_writable(struct secret *s);
size_t secret_len(const struct secret *s);
bool secret_equal(const struct secret *s, const void *data, size_t len); /* constant time in the bytes */
void secret_wipe(void *p, size_t len);					 /* cleanses any memory */
