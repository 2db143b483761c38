/* Keywords: compared without case, shortened where the table's capitals allow it, listed in messages, and guessed at when
 * mistyped. A list of words is one string, "Active|Simulate|Inactive". */
#include "lib/conf/parse.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Length of the shortest spelling: the capitals of "LOGENable"; the whole word when it is not of that shape. */
static size_t shortest(const char *table, size_t len)
{
	size_t caps = 0, i;
	while (caps < len && (isupper((unsigned char)table[caps]) || isdigit((unsigned char)table[caps])))
		caps++;
	for (i = caps; i < len && islower((unsigned char)table[i]); i++)
		;
	return caps >= 3 && i == len ? caps : len;
}

bool word_equal(enum conf_form form, const char *table, size_t table_len, const char *s)
{
	size_t len = strlen(s);
	if (len > table_len || strncasecmp(table, s, len) != 0)
		return false;
	return len == table_len || (form == CONF_PROFILE && len >= shortest(table, table_len));
}

static size_t word_len(const char *words)
{
	return strcspn(words, "|");
}

int word_index(enum conf_form form, const char *words, const char *s)
{
	for (int i = 0; words && *words; i++) {
		size_t len = word_len(words);
		if (word_equal(form, words, len, s))
			return i;
		words += len + (words[len] == '|');
	}
	return -1;
}

void word_text(const char *words, unsigned i, char *out, size_t size)
{
	while (i-- && *words)
		words += word_len(words) + (words[word_len(words)] == '|');
	snprintf(out, size, "%.*s", (int)word_len(words), words);
}

void words_list(const char *words, const char *last_joint, char *out, size_t size)
{
	size_t at = 0;
	out[0] = '\0';
	while (*words && at < size) {
		size_t len = word_len(words);
		bool last = !words[len];
		int n = snprintf(out + at, size - at, "%s%.*s", !at ? "" : last ? last_joint : ", ", (int)len, words);
		at += n > 0 ? (size_t)n : 0;
		words += len + !last;
	}
}

enum { NEAR_MAX = 32 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;
	return m < c ? m : c;
}

/* Edits (insert, delete, change, swap of neighbours) from @a to @b without regard to case. */
static unsigned distance(const char *a, size_t la, const char *b, size_t lb)
{
	unsigned d[NEAR_MAX + 1][NEAR_MAX + 1];
	for (unsigned i = 0; i <= la; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++)
		for (size_t j = 1; j <= lb; j++) {
			int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (x != y));
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
				y == tolower((unsigned char)a[i - 2]) && d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	return d[la][lb];
}

const char *words_near(const struct conf_stmt *stmts, const char *s)
{
	const char *best = NULL;
	size_t len = strlen(s);
	unsigned best_d = len < 3 ? 1 : len < 6 ? 2 : 3; /* fewer edits than this */
	for (; len <= NEAR_MAX && stmts && stmts->name; stmts++) {
		size_t n = strlen(stmts->name);
		unsigned d = n > NEAR_MAX ? NEAR_MAX : distance(s, len, stmts->name, n);
		if (d < best_d) {
			best_d = d;
			best = stmts->name;
		}
	}
	return best;
}
