#include "lib/saf/registry/image.h"
#include "lib/base/xalloc.h"

uint32_t image_put(struct image *im, const void *data, size_t len)
{
	size_t at = (im->len + 7) & ~(size_t)7;
	if (at + len > im->cap) {
		im->cap = (at + len) * 2 + 4096;
		im->b = xrealloc(im->b, im->cap, 1);
	}
	memset(im->b + im->len, 0, at - im->len);
	if (len)
		memcpy(im->b + at, data, len);
	im->len = at + len;
	return (uint32_t)at;
}

uint32_t image_text(struct image *im, const char *s)
{
	return image_put(im, s, strlen(s) + 1);
}

void *vec_push(struct vec *v, size_t item)
{
	if (v->n == v->cap) {
		v->cap = v->cap ? v->cap * 2 : 16;
		v->p = xrealloc(v->p, v->cap, item);
	}
	void *at = v->p + v->n++ * item;
	memset(at, 0, item);
	return at;
}

struct snap_table image_vec(struct image *im, struct vec *v, size_t item)
{
	struct snap_table t = {image_put(im, v->p, v->n * item), v->n};
	free(v->p);
	*v = (struct vec){0};
	return t;
}
