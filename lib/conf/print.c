/* What a table says about itself: a default file and the manual page's list.
 *
 * In the default file a statement stands active when that changes nothing (all its operands have defaults, or it is a
 * block with such statements inside) or when the file would not parse without it; the others are shown as comments with a sample
 * value. */
#include "lib/conf/check.h"
#include <inttypes.h>
#include <string.h>

static void sample(const struct conf_operand *op, char *out, size_t size)
{
	uint64_t low = !op->min && op->type == CONF_RANGE ? 1 : op->min;
	switch (op->dflt ? CONF_END : op->type) {
	case CONF_END:
		snprintf(out, size, "%s", op->dflt);
		return;
	case CONF_FLAG:
	case CONF_WORD:
		if (op->words)
			word_text(op->words, 0, out, size);
		else
			snprintf(out, size, "%s", op->name);
		return;
	case CONF_UINT:
	case CONF_WORD_OR_UINT:
	case CONF_RANGE:
		snprintf(out, size, "%" PRIu64, low);
		return;
	case CONF_ADDR:
		snprintf(out, size, "192.0.2.1");
		return;
	case CONF_PREFIX:
		snprintf(out, size, op->flags & CONF_HOSTBITS ? "192.0.2.1/24" : "192.0.2.0/24");
		return;
	case CONF_HEX:
		snprintf(out, size, "%0*d", (int)(2 * (op->min ? op->min : 1)), 0);
		return;
	case CONF_NAME:
	case CONF_STRING:
		snprintf(out, size, "%.*s", (int)(op->max && op->max < 8 ? op->max : 8), "EXAMPLES");
	}
}

static bool has_block(const struct conf_spec *spec, const struct conf_stmt *s)
{
	return s->flags & CONF_BLOCK && (spec->form == CONF_POLICY || s->children);
}

/* Would writing it out change nothing? */
static bool is_neutral(const struct conf_spec *spec, const struct conf_stmt *s, unsigned depth)
{
	bool any = false;
	for (size_t i = 0; i < operand_count(s); i++) {
		if (operand_required(&s->operands[i]) && !s->operands[i].dflt)
			return false;
		any |= s->operands[i].dflt != NULL;
	}
	if (s->flags & CONF_ENTRIES || depth > CONF_DEPTH_MAX)
		return false;
	for (const struct conf_stmt *k = has_block(spec, s) ? s->children : NULL; k && k->name; k++) {
		if (k->flags & CONF_REQUIRED && !is_neutral(spec, k, depth + 1))
			return false;
		any |= is_neutral(spec, k, depth + 1);
	}
	return any;
}

static void print_operands(const struct conf_stmt *s, FILE *out)
{
	char text[CONF_TEXT_BUF];
	for (size_t i = 0; i < operand_count(s); i++) {
		const struct conf_operand *op = &s->operands[i];
		if (!op->dflt && (!operand_required(op)))
			continue;
		sample(op, text, sizeof(text));
		bool quote = !*text || strpbrk(text, " \t;#{}'") != NULL;
		fprintf(out, " %s%s%s%s%s", op->flags & CONF_KEYWORD && op->type != CONF_FLAG ? op->name : "",
			op->flags & CONF_KEYWORD && op->type != CONF_FLAG ? " " : "", quote ? "\"" : "", text, quote ? "\"" : "");
	}
}

static void print_usage(const struct conf_stmt *s, FILE *out)
{
	for (size_t i = 0; i < operand_count(s); i++) {
		const struct conf_operand *op = &s->operands[i];
		bool optional = !operand_required(op);
		char words[CONF_TEXT_BUF];
		snprintf(words, sizeof(words), "%s", op->words ? op->words : op->name);
		fprintf(out, " %s", optional ? "[" : "");
		if (op->type == CONF_FLAG)
			fprintf(out, "%s", words);
		else if (op->flags & CONF_KEYWORD)
			fprintf(out, "%s %s", op->name, op->words ? op->words : "value");
		else
			fprintf(out, "%s", op->type == CONF_WORD ? words : op->name);
		fprintf(out, "%s%s", op->flags & CONF_REPEAT ? " ..." : "", optional ? "]" : "");
	}
}

struct printer {
	const struct conf_spec *spec;
	FILE *out;
	char comment;
};

static void indent(const struct printer *p, unsigned depth, bool comment)
{
	for (unsigned i = 0; i < depth; i++)
		fputs("  ", p->out);
	if (comment)
		fprintf(p->out, "%c ", p->comment);
}

static void print_help(const struct printer *p, const struct conf_stmt *s, unsigned depth)
{
	char expected[CONF_TEXT_BUF];
	if (s->help) {
		indent(p, depth, true);
		fprintf(p->out, "%s\n", s->help);
	}
	indent(p, depth, true);
	fprintf(p->out, "%s", s->name);
	print_usage(s, p->out);
	fputc('\n', p->out);
	for (size_t i = 0; i < operand_count(s); i++) {
		const struct conf_operand *op = &s->operands[i];
		value_expected(op, expected);
		indent(p, depth, true);
		fprintf(p->out, "  %s%s%s%s%s\n", expected, op->help ? "; " : "", op->help ? op->help : "",
			op->dflt ? "; default " : "", op->dflt ? op->dflt : "");
	}
}

static void print_stmt(const struct printer *p, const struct conf_stmt *s, unsigned depth, bool commented)
{
	bool off = commented || !(s->flags & CONF_REQUIRED || is_neutral(p->spec, s, depth));
	bool block = has_block(p->spec, s);
	print_help(p, s, depth);
	indent(p, depth, off);
	fprintf(p->out, "%s", s->name);
	print_operands(s, p->out);
	fputc('\n', p->out);
	if (!block)
		return;
	if (p->spec->form == CONF_POLICY) {
		indent(p, depth, off);
		fputs("{\n", p->out);
	}
	for (const struct conf_stmt *k = s->children; k && k->name && depth < CONF_DEPTH_MAX; k++)
		print_stmt(p, k, depth + 1, off);
	indent(p, depth, off);
	fprintf(p->out, "%s\n", p->spec->form == CONF_POLICY ? "}" : s->end ? s->end : "");
}

void conf_print_defaults(const struct conf_spec *spec, FILE *out)
{
	struct printer p = {spec, out, spec->form == CONF_PROFILE ? ';' : '#'};
	fprintf(out, "%c %s: every statement with its default. Lines that begin with %c are comments.\n", p.comment, spec->title,
		p.comment);
	for (const struct conf_stmt *s = spec->stmts; s && s->name; s++) {
		fputc('\n', out);
		print_stmt(&p, s, 0, false);
	}
}

/* mdoc text: no macro is called by accident. */
static void mdoc_text(const char *s, FILE *out)
{
	bool start = true;
	for (; *s; s++) {
		if (start && (*s == '.' || *s == '\''))
			fputs("\\&", out);
		if (*s == '\\')
			fputs("\\e", out);
		else if (*s == '"')
			fputs("\\(dq", out);
		else
			fputc(*s, out);
		start = *s == ' ' || *s == '\n';
	}
}

static void mdoc_operand(const struct conf_operand *op, FILE *out)
{
	fprintf(out, " %s", operand_required(op) ? "" : "Op ");
	if (op->type == CONF_FLAG) {
		fputs("Cm \"", out);
		mdoc_text(op->words ? op->words : op->name, out);
	} else {
		if (op->flags & CONF_KEYWORD)
			fprintf(out, "Cm \"%s\" ", op->name);
		fputs(op->type == CONF_WORD ? "Cm \"" : "Ar \"", out);
		mdoc_text(op->type == CONF_WORD ? op->words : op->name, out);
	}
	fputc('"', out);
}

static void mdoc_stmts(const struct conf_stmt *stmts, FILE *out, unsigned depth)
{
	if (!stmts || !stmts->name || depth > CONF_DEPTH_MAX)
		return;
	fputs(".Bl -tag -width Ds\n", out);
	for (const struct conf_stmt *s = stmts; s->name; s++) {
		fprintf(out, ".It Ic \"%s\"", s->name);
		for (size_t i = 0; i < operand_count(s); i++)
			mdoc_operand(&s->operands[i], out);
		fputc('\n', out);
		mdoc_text(s->help ? s->help : "No description.", out);
		fprintf(out, "\n");
		for (size_t i = 0; i < operand_count(s); i++) {
			char expected[CONF_TEXT_BUF];
			value_expected(&s->operands[i], expected);
			fputs(".br\n", out);
			mdoc_text(expected, out);
			if (s->operands[i].help) {
				fputs("; ", out);
				mdoc_text(s->operands[i].help, out);
			}
			if (s->operands[i].dflt) {
				fputs("; default ", out);
				mdoc_text(s->operands[i].dflt, out);
			}
			fputs(".\n", out);
		}
		mdoc_stmts(s->children, out, depth + 1);
	}
	fputs(".El\n", out);
}

void conf_print_mdoc(const struct conf_spec *spec, FILE *out)
{
	mdoc_stmts(spec->stmts, out, 0);
}
