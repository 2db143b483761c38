/* Refusals of a configuration: the text, and a word that the first error has to say, so that it is that error and not another. */
#pragma once
#include <check.h>
#include <string.h>

enum { REFUSAL_TEXT_MAX = 512 };

struct refusal {
	const char *text, *word;
};

/* What was built of @text, or NULL with the first error in @error. */
typedef void *(*refusal_build)(const char *text, char error[REFUSAL_TEXT_MAX]);

static inline void ck_refusals(refusal_build build, const struct refusal *bad, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char error[REFUSAL_TEXT_MAX] = "";
		ck_assert_msg(!build(bad[i].text, error), "%s", bad[i].text);
		ck_assert_msg(strstr(error, bad[i].word) != NULL, "%s -> %s", bad[i].text, error);
	}
}
