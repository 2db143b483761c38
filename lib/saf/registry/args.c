/* Operands of a RACF command: words, KEYWORD(value ...) with nesting, 'quoted text' ('' is one quote), blanks or commas between. */
#include "lib/saf/registry/internal.h"
#include <ctype.h>
#include <string.h>

struct parser {
	const char *start, *p;
	struct args *a;
	struct errbuf *e;
};

static int fail(struct parser *s, const char *what)
{
	return err_set(s->e, EINVAL, "IKJ56700I column %ld: %s", (long)(s->p - s->start) + 1, what);
}

static void skip(struct parser *s)
{
	while (*s->p && (isspace((unsigned char)*s->p) || *s->p == ',' || (s->p[0] == '/' && s->p[1] == '*'))) {
		if (*s->p != '/') {
			s->p++;
			continue;
		}
		const char *end = strstr(s->p + 2, "*/");
		s->p = end ? end + 2 : s->p + strlen(s->p);
	}
}

/* The unquoted word that ends at .p once more, as it was written. */
static int keep_raw(struct parser *s, struct arg *n, size_t len)
{
	char *out = s->a->text + s->a->text_used;
	if (len >= sizeof(s->a->text) - s->a->text_used)
		return fail(s, "command too long");
	memcpy(out, s->p - len, len);
	out[len] = 0;
	s->a->text_used += len + 1;
	n->raw = out;
	return 0;
}

static int take_word(struct parser *s, struct arg *n)
{
	char *out = s->a->text + s->a->text_used;
	size_t len = 0, room = sizeof(s->a->text) - s->a->text_used - 1;
	n->text = out;
	n->quoted = *s->p == '\'';
	if (n->quoted) {
		for (s->p++; *s->p && (*s->p != '\'' || s->p[1] == '\''); s->p++) {
			if (*s->p == '\'')
				s->p++;
			if (len == room)
				return fail(s, "command too long");
			out[len++] = *s->p;
		}
		if (!*s->p)
			return fail(s, "missing closing quote");
		s->p++;
	} else {
		for (; *s->p && !isspace((unsigned char)*s->p) && !strchr("(),'", *s->p); s->p++) {
			if (len == room)
				return fail(s, "command too long");
			if (!isprint((unsigned char)*s->p))
				return fail(s, "invalid character");
			out[len++] = (char)toupper((unsigned char)*s->p);
		}
	}
	out[len] = 0;
	s->a->text_used += len + 1;
	n->raw = n->text;
	return n->quoted ? 0 : keep_raw(s, n, len);
}

static int take_list(struct parser *s, struct arg **ret, int depth)
{
	struct arg **tail = ret;
	for (skip(s); *s->p && *s->p != ')'; skip(s)) {
		if (s->a->used == ARG_NODES_MAX)
			return fail(s, "too many operands");
		struct arg *n = &s->a->nodes[s->a->used++];
		*n = (struct arg){.text = "", .raw = ""};
		if (*s->p != '(') {
			int rc = take_word(s, n);
			if (rc)
				return rc;
		}
		if (*s->p == '(' && !n->quoted) {
			if (depth == ARG_DEPTH_MAX)
				return fail(s, "parentheses nested too deep");
			s->p++;
			n->has_list = true;
			int rc = take_list(s, &n->list, depth + 1);
			if (rc)
				return rc;
			if (*s->p != ')')
				return fail(s, "missing ')'");
			s->p++;
		}
		*tail = n;
		tail = &n->next;
	}
	return 0;
}

int args_parse(const char *line, struct args *ret, struct errbuf *e)
{
	struct parser s = {line, line, ret, e};
	ret->used = 0;
	ret->text_used = 0;
	ret->first = NULL;
	if (strlen(line) >= ARG_TEXT_MAX)
		return err_set(e, EINVAL, "IKJ56700I command too long: %d characters at most", ARG_TEXT_MAX - 1);
	int rc = take_list(&s, &ret->first, 0);
	if (!rc && *s.p == ')')
		rc = fail(&s, "')' without '('");
	return rc;
}
