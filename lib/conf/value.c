/* One operand's text to its typed, range-checked value, and the sentence that says what would have been right. */
#include "lib/conf/parse.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool operand_required(const struct conf_operand *op)
{
	bool defaulted = op->dflt && op->flags & CONF_KEYWORD;
	return op->type != CONF_FLAG && !(op->flags & CONF_OPTIONAL) && !defaulted;
}

bool operand_is_keyword(const struct conf_operand *op)
{
	return op->type == CONF_FLAG || op->flags & CONF_KEYWORD;
}

static uint64_t op_max(const struct conf_operand *op)
{
	return op->max ? op->max : UINT64_MAX;
}

static size_t text_max(const struct conf_operand *op)
{
	return op->max && op->max < CONF_TOKEN_MAX ? (size_t)op->max : CONF_TOKEN_MAX;
}

/* Decimal digits only: no sign, no blank, no hex. */
static enum value_result parse_uint(const char *s, size_t len, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	if (!len || len > 20)
		return VALUE_BAD;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]))
			return VALUE_BAD;
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (unsigned)(s[i] - '0'), &v))
			return VALUE_BAD;
	}
	if (v < min || v > max)
		return VALUE_BAD;
	*ret = v;
	return VALUE_OK;
}

static enum value_result parse_range(const struct conf_operand *op, const struct token *t, struct conf_value *v)
{
	size_t len = strcspn(t->s, "-:");
	if (parse_uint(t->s, len, op->min, op_max(op), &v->u) != VALUE_OK)
		return VALUE_BAD;
	v->u2 = v->u;
	if (!t->s[len])
		return VALUE_OK;
	const char *high = t->s + len + 1;
	return parse_uint(high, strlen(high), v->u, op_max(op), &v->u2);
}

static enum value_result parse_name(const struct conf_operand *op, const struct token *t)
{
	if (!t->len || t->len > text_max(op))
		return VALUE_BAD;
	for (const char *p = t->s; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("@#$_-.*%", *p))
			return VALUE_BAD;
	return VALUE_OK;
}

static enum value_result parse_hex(const struct conf_operand *op, struct conf *c, const struct token *t, struct conf_value *v)
{
	const char *s = t->s;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	size_t len = strlen(s);
	if (!len || len % 2 || len / 2 > text_max(op) || len / 2 < op->min)
		return VALUE_BAD;
	for (const char *p = s; *p; p++)
		if (!isxdigit((unsigned char)*p))
			return VALUE_BAD;
	v->s = conf_strdup(c, s);
	return VALUE_OK;
}

static enum value_result parse_prefix(const struct conf_operand *op, const struct token *t, struct conf_value *v)
{
	int rc = prefix_parse(t->s, &v->prefix);
	if (rc != -EDOM)
		return rc ? VALUE_BAD : VALUE_OK;
	if (!(op->flags & CONF_HOSTBITS))
		return VALUE_HOST_BITS;
	const char *slash = strchr(t->s, '/');
	char host[ADDR_TEXT_MAX];
	size_t len = slash ? (size_t)(slash - t->s) : 0;
	if (!len || len >= sizeof(host))
		return VALUE_BAD;
	memcpy(host, t->s, len);
	host[len] = '\0';
	uint64_t bits = 0;
	if (addr_parse(host, &v->prefix.addr) ||
		parse_uint(slash + 1, strlen(slash + 1), 0, addr_len(&v->prefix.addr) * 8, &bits) != VALUE_OK)
		return VALUE_BAD;
	v->prefix.len = (uint8_t)bits;
	return VALUE_OK;
}

/* True when @t is one of .words; fills the index and the canonical spelling. */
static bool take_word(struct conf *c, const struct conf_operand *op, const struct token *t, struct conf_value *v)
{
	const char *words = op->words ? op->words : op->type == CONF_FLAG ? op->name : NULL;
	int i = words ? word_index(c->spec->form, words, t->s) : -1;
	if (i < 0)
		return false;
	char text[CONF_TOKEN_MAX];
	word_text(words, (unsigned)i, text, sizeof(text));
	v->is_word = true;
	v->u = (uint64_t)i;
	v->s = conf_strdup(c, text);
	if (op->type == CONF_FLAG && !op->words)
		v->u = 1;
	if (op->type == CONF_RANGE) {
		v->u = op->min;
		v->u2 = op_max(op);
	}
	return true;
}

static enum value_result parse_other(struct conf *c, const struct conf_operand *op, const struct token *t, struct conf_value *v)
{
	switch (op->type) {
	case CONF_UINT:
	case CONF_WORD_OR_UINT:
		return parse_uint(t->s, t->len, op->min, op_max(op), &v->u);
	case CONF_NAME:
		return parse_name(op, t);
	case CONF_STRING:
		return t->len <= text_max(op) && t->len >= op->min ? VALUE_OK : VALUE_BAD;
	case CONF_ADDR:
		if (addr_parse(t->s, &v->prefix.addr))
			return VALUE_BAD;
		v->prefix.len = (uint8_t)(addr_len(&v->prefix.addr) * 8);
		return VALUE_OK;
	case CONF_PREFIX:
		return parse_prefix(op, t, v);
	case CONF_RANGE:
		return parse_range(op, t, v);
	case CONF_HEX:
		return parse_hex(op, c, t, v);
	case CONF_FLAG:
	case CONF_WORD:
	case CONF_END:
		break;
	}
	return VALUE_BAD;
}

enum value_result value_parse(struct conf *c, const struct conf_operand *op, const struct token *t, struct conf_value *ret)
{
	struct conf_value v = {.op = op};
	if (!take_word(c, op, t, &v)) {
		enum value_result rc = parse_other(c, op, t, &v);
		if (rc != VALUE_OK)
			return rc;
	}
	if (!v.s)
		v.s = conf_strdup(c, t->s);
	*ret = v;
	return VALUE_OK;
}

static void expected_number(const struct conf_operand *op, const char *what, char *out, size_t size)
{
	if (op_max(op) == UINT64_MAX)
		snprintf(out, size, "%s from %llu up", what, (unsigned long long)op->min);
	else
		snprintf(out, size, "%s %llu to %llu", what, (unsigned long long)op->min, (unsigned long long)op->max);
}

static void expected_own(const struct conf_operand *op, char *out, size_t size)
{
	switch (op->type) {
	case CONF_UINT:
	case CONF_WORD_OR_UINT:
		expected_number(op, "a number", out, size);
		break;
	case CONF_RANGE:
		expected_number(op, "a number or range n-m,", out, size);
		break;
	case CONF_NAME:
		snprintf(out, size, "a name of at most %zu characters (letters, digits, @ # $ _ - . * %%)", text_max(op));
		break;
	case CONF_STRING:
		if (op->min)
			snprintf(out, size, "text of %llu to %zu bytes", (unsigned long long)op->min, text_max(op));
		else
			snprintf(out, size, "text of at most %zu bytes", text_max(op));
		break;
	case CONF_ADDR:
		snprintf(out, size, "an IP address");
		break;
	case CONF_PREFIX:
		snprintf(out, size, "an IP address or address/length");
		break;
	case CONF_HEX:
		snprintf(out, size, "pairs of hex digits, at most %zu bytes", text_max(op));
		break;
	case CONF_FLAG:
	case CONF_WORD:
	case CONF_END:
		out[0] = '\0';
	}
}

void value_expected(const struct conf_operand *op, char out[CONF_TEXT_BUF])
{
	char own[160], words[CONF_TEXT_BUF - 200] = "";
	expected_own(op, own, sizeof(own));
	if (op->words)
		words_list(op->words, own[0] ? ", " : " or ", words, sizeof(words));
	if (op->type == CONF_FLAG)
		snprintf(out, CONF_TEXT_BUF, "%s", op->words ? words : op->name);
	else
		snprintf(out, CONF_TEXT_BUF, "%.32s: %s%s%s", op->name, words, words[0] && own[0] ? " or " : "", own);
}
