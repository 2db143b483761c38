/* Allocation that does not fail: out of memory aborts and the service manager restarts us. Whatever a stranger can
 * make grow is bounded before it reaches here. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void *xcheck(void *p)
{
	if (!p) {
		fputs("<2>out of memory\n", stderr);
		abort();
	}
	return p;
}
static inline void *xcalloc(size_t n, size_t size)
{
	return xcheck(calloc(n ? n : 1, size ? size : 1));
}
static inline void *xrealloc(void *p, size_t n, size_t size)
{
	return xcheck(reallocarray(p, n ? n : 1, size ? size : 1));
}
static inline char *xstrdup(const char *s)
{
	return xcheck(strdup(s));
}
#define xnew(type) ((type *)xcalloc(1, sizeof(type)))
