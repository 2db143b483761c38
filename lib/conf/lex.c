/* The lexer of both surface forms: bytes to tokens with their place, and a little lookahead.
 *
 * Blanks separate. A quote at the start of a token runs to the same quote on the same line. Comments: ';' anywhere in profile
 * form; in policy form '#' where a token would begin ('#' is also a national character inside names). Braces are tokens in policy
 * form only. A control character anywhere means that this is no text file: one error, and
 * nothing else is looked at. */
#include "lib/conf/parse.h"
#include <string.h>

/* Number of bytes of the well-formed character at @s (RFC 3629), 0 when it is none. */
static size_t utf8_char(const unsigned char *s, size_t len)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
	if (!n || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool lex_utf8(const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n)
		if (!(n = utf8_char((const unsigned char *)s + i, len - i)))
			return false;
	return true;
}

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\f' || ch == '\v';
}

static bool is_control(char ch)
{
	return ((unsigned char)ch < 0x20 && ch != '\n' && !is_blank(ch)) || ch == 0x7f;
}

bool lex_init(struct conf *c, const char *text, size_t len)
{
	struct lexer *x = &c->lex;
	*x = (struct lexer){.line = 1, .end_line = 1, .end_col = 1, .at_line_start = true};
	x->p = text;
	x->end = text + len;
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) /* an editor's byte order mark */
		x->p += 3;
	x->line_start = x->p;
	const char *line = x->p;
	unsigned lines = 1;
	for (const char *p = x->p; p < x->end; p++) {
		if (*p == '\n') {
			lines++;
			line = p + 1;
		} else if (is_control(*p)) {
			conf_error_at(c, lines, (unsigned)(p - line) + 1, "found byte 0x%02x, expected text", (unsigned char)*p);
			return false;
		}
	}
	return true;
}

static unsigned column(const struct lexer *x)
{
	return (unsigned)(x->p - x->line_start) + 1;
}

static void skip_blanks(struct conf *c)
{
	struct lexer *x = &c->lex;
	char comment = c->spec->form == CONF_PROFILE ? ';' : '#';
	bool in_comment = false;
	for (; x->p < x->end; x->p++) {
		if (*x->p == '\n') {
			x->line++;
			x->line_start = x->p + 1;
			x->at_line_start = true;
			in_comment = false;
		} else if (*x->p == comment) {
			in_comment = true;
		} else if (!in_comment && !is_blank(*x->p)) {
			return;
		}
	}
}

static bool ends_word(const struct conf *c, char ch)
{
	if (ch == '\n' || is_blank(ch))
		return true;
	return c->spec->form == CONF_PROFILE ? ch == ';' : ch == '{' || ch == '}';
}

static void finish(struct conf *c, struct token *t, const char *from, size_t len)
{
	t->kind = TOKEN_WORD;
	t->len = len > CONF_TOKEN_MAX ? CONF_TOKEN_MAX : len;
	memcpy(t->s, from, t->len);
	if (len > CONF_TOKEN_MAX) {
		conf_error_at(c, t->line, t->col, "found a token of %zu bytes, expected at most %d", len, CONF_TOKEN_MAX);
		t->bad = true;
	} else if (!lex_utf8(from, len)) {
		conf_error_at(c, t->line, t->col, "found bytes that are not UTF-8, expected text");
		t->bad = true;
	}
}

static void lex_quoted(struct conf *c, struct token *t)
{
	struct lexer *x = &c->lex;
	char quote = *x->p++;
	const char *from = x->p;
	t->quoted = true;
	while (x->p < x->end && *x->p != quote && *x->p != '\n')
		x->p++;
	finish(c, t, from, (size_t)(x->p - from));
	if (x->p < x->end && *x->p == quote) {
		x->p++;
		return;
	}
	if (!t->bad)
		conf_error_at(c, t->line, t->col, "found a string without end, expected a closing %c on the same line", quote);
	t->bad = true;
}

static void lex_token(struct conf *c, struct token *t)
{
	struct lexer *x = &c->lex;
	memset(t, 0, sizeof(*t));
	skip_blanks(c);
	t->line = x->line;
	t->col = column(x);
	t->first = x->at_line_start;
	x->at_line_start = false;
	if (x->p >= x->end)
		return;
	if (c->spec->form == CONF_POLICY && (*x->p == '{' || *x->p == '}')) {
		t->kind = *x->p++ == '{' ? TOKEN_OPEN : TOKEN_CLOSE;
		t->s[0] = t->kind == TOKEN_OPEN ? '{' : '}';
		t->len = 1;
	} else if (*x->p == '\'' || *x->p == '"') {
		lex_quoted(c, t);
	} else {
		const char *from = x->p;
		while (x->p < x->end && !ends_word(c, *x->p))
			x->p++;
		finish(c, t, from, (size_t)(x->p - from));
	}
}

struct token *lex_peek(struct conf *c, unsigned ahead)
{
	struct lexer *x = &c->lex;
	while (x->count <= ahead) {
		lex_token(c, &x->ring[(x->head + x->count) % CONF_LOOKAHEAD]);
		x->count++;
	}
	return &x->ring[(x->head + ahead) % CONF_LOOKAHEAD];
}

void lex_take(struct conf *c)
{
	struct lexer *x = &c->lex;
	struct token *t = lex_peek(c, 0);
	x->end_line = t->line;
	x->end_col = t->col + (unsigned)t->len + (t->quoted ? 2 : 0);
	x->head = (x->head + 1) % CONF_LOOKAHEAD;
	x->count--;
}
