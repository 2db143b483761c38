#include "cli/ipsec/words.h"
#include "lib/base/xalloc.h"

static int split(char *in, size_t len, struct words *w, struct errbuf *e)
{
	size_t i = 0, out = 0;
	while (i < len) {
		if (in[i] == ' ' || in[i] == '\t') {
			i++;
			continue;
		}
		if (w->count == WORDS_MAX)
			return err_set(e, EINVAL, "too many words; allowed: %d", WORDS_MAX);
		w->word[w->count++] = in + out;
		char quote = 0;
		for (; i < len && (quote || (in[i] != ' ' && in[i] != '\t')); i++) {
			if (quote ? in[i] == quote : in[i] == '\'' || in[i] == '"')
				quote = quote ? 0 : in[i];
			else
				in[out++] = in[i];
		}
		if (quote)
			return err_set(e, EINVAL, "a quote is not closed");
		/* never overtakes the input: the blank behind this word, or the end, makes room for the NUL */
		in[out++] = 0;
		i++;
	}
	w->word[w->count] = NULL;
	return 0;
}

int words_split(const char *line, size_t len, struct words *ret, struct errbuf *e)
{
	if (len >= WORDS_LINE_MAX)
		return err_set(e, EINVAL, "line too long; allowed: %d characters", WORDS_LINE_MAX - 1);
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return err_set(e, EINVAL, "a control character at column %zu", i + 1);
	struct words w = {.text = xcalloc(len + 1, 1)};
	memcpy(w.text, line, len);
	int rc = split(w.text, len, &w, e);
	if (rc) {
		free(w.text);
		return rc;
	}
	*ret = w;
	return 0;
}

void words_free(struct words *w)
{
	free(w->text);
	w->text = NULL;
}
