/* Inside lib/conf: tokens, the tree under construction, and what the files of this folder share. */
#pragma once
#include "lib/conf/conf.h"
#include <stdarg.h>

enum {
	CONF_TEXT_MAX = 64 << 20,
	CONF_TOKEN_MAX = 1024,
	CONF_DEPTH_MAX = 8,
	CONF_ERRORS_MAX = 20,
	CONF_CELLS_MAX = 4 << 20, /* nodes and operand values of one file: bounds memory to some hundred MiB */
	CONF_LOOKAHEAD = 4,	  /* words of a statement keyword */
	CONF_TEXT_BUF = 512,
};

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_OPEN, TOKEN_CLOSE };

struct token {
	enum token_kind kind;
	unsigned line, col;
	bool quoted;
	bool first; /* on its line */
	bool bad;   /* already reported */
	size_t len;
	char s[CONF_TOKEN_MAX + 1];
};

struct lexer {
	const char *p, *end, *line_start;
	unsigned line, end_line, end_col; /* end_*: just behind the token taken last */
	bool at_line_start;
	struct token ring[CONF_LOOKAHEAD];
	unsigned head, count;
};

struct chunk; /* of the arena */

struct conf {
	const struct conf_spec *spec;
	char *name;
	struct chunk *chunks;
	struct conf_node *first;
	char *errors[CONF_ERRORS_MAX];
	unsigned error_count;
	unsigned depth;
	size_t cells;
	bool fatal; /* what follows would be noise */
	struct lexer lex;
};

/* conf.c */
void *conf_alloc(struct conf *c, size_t size); /* zeroed, lives as long as @c */
const char *conf_strdup(struct conf *c, const char *s);
void conf_error_at(struct conf *c, unsigned line, unsigned col, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* lex.c */
bool lex_init(struct conf *c, const char *text, size_t len); /* false: no text file, and the error says so */
struct token *lex_peek(struct conf *c, unsigned ahead); /* valid until that token is taken; @ahead < CONF_LOOKAHEAD */
void lex_take(struct conf *c);
bool lex_utf8(const char *s, size_t len);

/* words.c: keywords, abbreviations and how they read in a message */
bool word_equal(enum conf_form form, const char *table, size_t table_len, const char *s);
int word_index(enum conf_form form, const char *words, const char *s); /* -1: none */
void word_text(const char *words, unsigned i, char *out, size_t size);
void words_list(const char *words, const char *last_joint, char *out, size_t size); /* "A, B or C" */
const char *words_near(const struct conf_stmt *stmts, const char *s); /* the statement meant, or NULL */

/* value.c */
enum value_result { VALUE_OK, VALUE_BAD, VALUE_HOST_BITS };
enum value_result value_parse(struct conf *c, const struct conf_operand *op, const struct token *t, struct conf_value *ret);
void value_expected(const struct conf_operand *op, char out[CONF_TEXT_BUF]);
bool operand_required(const struct conf_operand *op);
bool operand_is_keyword(const struct conf_operand *op); /* introduced by a word, not by its place */

/* check.c */
void check_text(struct conf *c);
