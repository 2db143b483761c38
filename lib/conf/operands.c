/* The operands of one statement: words that introduce themselves (flags and keyword operands) in any order, the others by
 * their place. */
#include "lib/conf/check.h"
#include <ctype.h>
#include <string.h>

size_t operand_count(const struct conf_stmt *s)
{
	size_t n = 0;
	while (s->operands && s->operands[n].type != CONF_END)
		n++;
	return n;
}

/* The last statement word in policy form ends with its line. */
static bool is_over(struct conf *c, const struct conf_node *n)
{
	const struct token *t = lex_peek(c, 0);
	return t->kind != TOKEN_WORD || (c->spec->form == CONF_POLICY && t->line != n->line);
}

static void bad_value(struct conf *c, const struct conf_operand *op, struct token *t, enum value_result why)
{
	char found[CONF_TEXT_BUF], expected[CONF_TEXT_BUF];
	if (t->bad)
		return;
	t->bad = true;
	found_text(t, op->flags & CONF_SECRET || op->type == CONF_HEX, found);
	value_expected(op, expected);
	conf_error_at(c, t->line, t->col, "found %s, expected %s%s", found, expected,
		why == VALUE_HOST_BITS ? " without host bits" : "");
}

static void missing_value(struct conf *c, const struct conf_node *n, const struct conf_operand *op)
{
	struct token *t = lex_peek(c, 0);
	char found[CONF_TEXT_BUF], expected[CONF_TEXT_BUF], keyword[80] = "";
	if (t->bad)
		return;
	t->bad = true;
	value_expected(op, expected);
	if (op->flags & CONF_KEYWORD)
		snprintf(keyword, sizeof(keyword), "%.32s and ", op->name);
	if (c->spec->form == CONF_POLICY && t->line != n->line) {
		conf_error_at(c, c->lex.end_line, c->lex.end_col, "found end of line, expected %s%s", keyword, expected);
		return;
	}
	found_text(t, false, found);
	conf_error_at(c, t->line, t->col, "found %s, expected %s%s", found, keyword, expected);
}

/* Reads the next token as a value of operand @i of @n. */
static bool take_value(struct conf *c, struct conf_node *n, size_t i)
{
	const struct conf_operand *op = &n->stmt->operands[i];
	struct token *t = lex_peek(c, 0);
	struct conf_value *v = &n->values[i];
	enum value_result rc = t->bad ? VALUE_BAD : VALUE_OK;
	if (v->op) { /* CONF_REPEAT: append */
		while (v->next)
			v = (struct conf_value *)v->next;
		struct conf_value *more = conf_alloc(c, sizeof(*more));
		if (rc == VALUE_OK && (rc = value_parse(c, op, t, more)) == VALUE_OK)
			v->next = more;
		v = more;
		c->cells++;
	} else if (rc == VALUE_OK) {
		rc = value_parse(c, op, t, v);
	}
	if (rc != VALUE_OK) {
		bad_value(c, op, t, rc);
		return false;
	}
	v->given = true;
	lex_take(c);
	return true;
}

/* "SourcePortRange 1 1023": the second number of a range written with a blank. */
static bool take_high(struct conf *c, struct conf_node *n, struct conf_value *v)
{
	struct token *t = lex_peek(c, 0);
	if (c->spec->form != CONF_POLICY || v->op->type != CONF_RANGE || v->is_word || is_over(c, n) || t->quoted ||
		!isdigit((unsigned char)t->s[0]) || strpbrk(v->s, "-:"))
		return true;
	struct conf_operand high = *v->op;
	struct conf_value got;
	high.type = CONF_UINT;
	high.min = v->u;
	if (t->bad || value_parse(c, &high, t, &got) != VALUE_OK) {
		bad_value(c, &high, t, VALUE_BAD);
		return false;
	}
	v->u2 = got.u;
	lex_take(c);
	return true;
}

static bool keyword_matches(const struct conf *c, const struct conf_operand *op, const struct token *t)
{
	if (op->type == CONF_FLAG && op->words)
		return word_index(c->spec->form, op->words, t->s) >= 0;
	return operand_is_keyword(op) && word_equal(c->spec->form, op->name, strlen(op->name), t->s);
}

static bool take_keyword(struct conf *c, struct conf_node *n, size_t i)
{
	const struct conf_operand *op = &n->stmt->operands[i];
	struct token *t = lex_peek(c, 0);
	if (n->values[i].op && !(op->flags & CONF_REPEAT)) {
		char found[CONF_TEXT_BUF];
		found_text(t, false, found);
		if (!t->bad)
			conf_error_at(c, t->line, t->col, "found %s again, expected it once", found);
		t->bad = true;
		return false;
	}
	if (op->type == CONF_FLAG)
		return take_value(c, n, i);
	lex_take(c);
	if (is_over(c, n)) {
		missing_value(c, n, &(struct conf_operand){.name = op->name, .type = op->type, .words = op->words,
			.min = op->min, .max = op->max});
		return false;
	}
	return take_value(c, n, i) && take_high(c, n, &n->values[i]);
}

/* Which positional operand takes the next token: -1 none. @from: first one not filled. */
static int positional_for(struct conf *c, const struct level *l, const struct conf_node *n, size_t from)
{
	const struct token *t = lex_peek(c, 0);
	bool keyword = at_keyword(c, l, n->stmt);
	int left = -1;
	for (size_t i = from, count = operand_count(n->stmt); i < count; i++) {
		const struct conf_operand *op = &n->stmt->operands[i];
		if (operand_is_keyword(op))
			continue;
		if (operand_required(op) && !n->values[i].op)
			return keyword && t->first && c->spec->form == CONF_PROFILE ? -1 : (int)i;
		struct conf_value probe;
		if (!keyword && !t->bad && value_parse(c, op, t, &probe) != VALUE_BAD)
			return (int)i;
		left = left == -1 ? (int)i : -2;
	}
	/* A word that can only have been meant as the one operand left: its own message is the better one. */
	return left >= 0 && !keyword && (c->spec->form == CONF_POLICY || !t->first) ? left : -1;
}

static int keyword_for(struct conf *c, const struct conf_node *n)
{
	const struct token *t = lex_peek(c, 0);
	if (t->quoted)
		return -1;
	for (size_t i = 0, count = operand_count(n->stmt); i < count; i++)
		if (keyword_matches(c, &n->stmt->operands[i], t))
			return (int)i;
	return -1;
}

static bool fill_defaults(struct conf *c, struct conf_node *n)
{
	for (size_t i = 0, count = operand_count(n->stmt); i < count; i++) {
		const struct conf_operand *op = &n->stmt->operands[i];
		if (n->values[i].op)
			continue;
		if (operand_required(op)) {
			missing_value(c, n, op);
			return false;
		}
		if (!op->dflt)
			continue;
		struct token t = {.kind = TOKEN_WORD, .line = n->line, .col = n->col};
		t.len = (size_t)snprintf(t.s, sizeof(t.s), "%s", op->dflt);
		if (value_parse(c, op, &t, &n->values[i]) != VALUE_OK) {
			conf_error_at(c, n->line, n->col, "found default '%s' in the table of %s, expected another", op->dflt, op->name);
			return false;
		}
	}
	return true;
}

bool parse_operands(struct conf *c, const struct level *l, struct conf_node *n)
{
	size_t next = 0;
	while (!is_over(c, n)) {
		int i = keyword_for(c, n);
		if (i >= 0) {
			if (!take_keyword(c, n, (size_t)i))
				return false;
			continue;
		}
		i = positional_for(c, l, n, next);
		if (i < 0)
			break;
		if (!take_value(c, n, (size_t)i) || !take_high(c, n, &n->values[i]))
			return false;
		next = (size_t)i + !(n->stmt->operands[i].flags & CONF_REPEAT);
	}
	return fill_defaults(c, n);
}

void operands_left(const struct conf_node *n, char out[CONF_TEXT_BUF])
{
	size_t at = 0;
	out[0] = '\0';
	for (size_t i = 0, count = operand_count(n->stmt); i < count && at < CONF_TEXT_BUF - 200; i++) {
		const struct conf_operand *op = &n->stmt->operands[i];
		char expected[CONF_TEXT_BUF];
		if (n->values[i].given && !(op->flags & CONF_REPEAT))
			continue;
		if (op->type != CONF_FLAG && operand_is_keyword(op))
			snprintf(expected, sizeof(expected), "%s", op->name);
		else
			value_expected(op, expected);
		int k = snprintf(out + at, CONF_TEXT_BUF - at, "%s%.180s", at ? "; " : "", expected);
		at += k > 0 ? (size_t)k : 0;
	}
}
