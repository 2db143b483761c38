/* image: the bytes of a snapshot in the making, and arrays whose size shows only while they are filled. */
#pragma once
#include "lib/saf/format.h"
#include <stddef.h>
#include <stdint.h>

struct image {
	char *b; /* free() */
	size_t len, cap;
};

/* Appends, aligned to 8; returns where. */
uint32_t image_put(struct image *im, const void *data, size_t len);
uint32_t image_text(struct image *im, const char *s);

/* A growing array of one type. */
struct vec {
	char *p;
	uint32_t n, cap;
};

void *vec_push(struct vec *v, size_t item); /* a zeroed one; good until the next */
struct snap_table image_vec(struct image *im, struct vec *v, size_t item); /* appends it all, and empties it */
