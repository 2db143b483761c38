/* Helpers written with Check's assertions, for programs that are no tests: outside of a test, Check
 * has nobody to tell, so here they abort. Include this before the helpers. */
#pragma once
#include "tests/support/check_main.h"
#include <stdbool.h>
#include <stdlib.h>

#undef ck_assert
#undef ck_assert_msg
#undef ck_assert_int_eq
#undef ck_assert_int_ne
#undef ck_assert_uint_eq
#undef ck_assert_uint_lt
#undef ck_assert_uint_ge
#undef ck_assert_uint_gt
#undef ck_assert_ptr_null
#undef ck_assert_ptr_nonnull
#undef ck_assert_str_eq
#define ck_assert(x) must(x)
#define ck_assert_msg(x, ...) must(x)
#define ck_assert_int_eq(a, b) must((a) == (b))
#define ck_assert_int_ne(a, b) must((a) != (b))
#define ck_assert_uint_eq(a, b) must((a) == (b))
#define ck_assert_uint_lt(a, b) must((a) < (b))
#define ck_assert_uint_ge(a, b) must((a) >= (b))
#define ck_assert_uint_gt(a, b) must((a) > (b))
#define ck_assert_ptr_null(p) must(!(p))
#define ck_assert_ptr_nonnull(p) must((p) != NULL)
#define ck_assert_str_eq(a, b) must(!strcmp(a, b))

static inline void must(bool good)
{
	if (!good)
		abort();
}
