/* Inside lib/conf: the checker's two files. check.c walks statements and blocks, operands.c one statement's operands. */
#pragma once
#include "lib/conf/parse.h"

/* One open block (or the file) while it is parsed. */
struct level {
	const struct conf_stmt *stmts;
	const struct conf_stmt *block; /* NULL: the file */
	struct conf_node *parent, **tail;
	unsigned *seen; /* per statement: how many */
	const struct level *up;
};

/* check.c */
const struct conf_stmt *match_stmt(struct conf *c, const struct conf_stmt *stmts, unsigned *ret_words);
/* The next token begins something other than an operand of @stmt. */
bool at_keyword(struct conf *c, const struct level *l, const struct conf_stmt *stmt);
void found_text(const struct token *t, bool secret, char out[CONF_TEXT_BUF]);

/* operands.c: all operands of @n, which has just been opened by its keyword (or is an entry); false when an error was
 * recorded, with the offending token not taken. */
bool parse_operands(struct conf *c, const struct level *l, struct conf_node *n);
/* What @n could still take, for the message about a word that is none of it; "" when nothing. */
void operands_left(const struct conf_node *n, char out[CONF_TEXT_BUF]);
size_t operand_count(const struct conf_stmt *s);
