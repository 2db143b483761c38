/* words: a command line as words, without a shell. Blanks separate; '...' and "..." keep them; nothing is expanded, so that what
 * comes over SSH can only ever be words. */
#pragma once
#include "lib/base/err.h"
#include <stddef.h>

enum { WORDS_MAX = 256, WORDS_LINE_MAX = 4096 };

struct words {
	char *text; /* owned; the words lie in it */
	const char *word[WORDS_MAX + 1]; /* ends with NULL */
	int count;
};

/* -EINVAL: too long, too many, an open quote, or a control character. */
int words_split(const char *line, size_t len, struct words *ret, struct errbuf *e);
void words_free(struct words *w);
