/* The table-driven checker: statements and blocks of both surface forms, and how to go on after an error, so that one run
 * names all mistakes of a file and not the echoes of the first.
 *
 * After a bad statement: in policy form the rest of its line (and the block of an unknown statement) is skipped; in profile form
 * everything up to a statement keyword that stands first on its line. A block whose end is missing closes where a statement begins that
 * only the file's top level knows. */
#include "lib/conf/check.h"
#include "lib/base/xalloc.h"

void found_text(const struct token *t, bool secret, char out[CONF_TEXT_BUF])
{
	enum { SHOWN = 48 };
	if (t->kind == TOKEN_END) {
		snprintf(out, CONF_TEXT_BUF, "end of file");
		return;
	}
	if (secret) {
		snprintf(out, CONF_TEXT_BUF, "a value that is not shown here");
		return;
	}
	size_t at = 0;
	out[at++] = '\'';
	for (size_t i = 0; i < t->len && i < SHOWN; i++) {
		unsigned char ch = (unsigned char)t->s[i];
		if (ch >= 0x20 && ch < 0x7f)
			out[at++] = (char)ch;
		else
			at += (size_t)snprintf(out + at, CONF_TEXT_BUF - at, "\\x%02x", ch);
	}
	snprintf(out + at, CONF_TEXT_BUF - at, "%s'", t->len > SHOWN ? "..." : "");
}

/* Number of words of @name that the next tokens spell; 0 when not all do. */
static unsigned spelled(struct conf *c, const char *name, unsigned skip)
{
	unsigned n = 0;
	for (;; n++) {
		size_t len = strcspn(name, " ");
		if (n >= skip) {
			if (n - skip >= CONF_LOOKAHEAD)
				return 0;
			const struct token *t = lex_peek(c, n - skip);
			if (t->kind != TOKEN_WORD || t->quoted || t->bad || !word_equal(c->spec->form, name, len, t->s))
				return 0;
		}
		name += len;
		if (!*name)
			return n + 1 - skip;
		name++;
	}
}

const struct conf_stmt *match_stmt(struct conf *c, const struct conf_stmt *stmts, unsigned *ret_words)
{
	const struct conf_stmt *best = NULL;
	unsigned best_words = 0;
	for (; stmts && stmts->name; stmts++) {
		unsigned words = spelled(c, stmts->name, 0);
		if (words > best_words) {
			best = stmts;
			best_words = words;
		}
	}
	if (ret_words)
		*ret_words = best_words;
	return best;
}

static bool at_end_word(struct conf *c, const struct conf_stmt *block)
{
	return block && block->end && spelled(c, block->end, 0);
}

bool at_keyword(struct conf *c, const struct level *l, const struct conf_stmt *stmt)
{
	if (match_stmt(c, l->stmts, NULL))
		return true;
	if (c->spec->form == CONF_POLICY)
		return false;
	if (stmt && stmt->flags & CONF_BLOCK && (match_stmt(c, stmt->children, NULL) || at_end_word(c, stmt)))
		return true;
	for (; l; l = l->up) {
		if (at_end_word(c, l->block))
			return true;
		if (l->up && l->block && !l->block->end && match_stmt(c, l->up->stmts, NULL))
			return true;
	}
	return false;
}

static struct conf_node *add_node(struct conf *c, struct level *l, const struct conf_stmt *stmt)
{
	const struct token *t = lex_peek(c, 0);
	size_t count = operand_count(stmt);
	struct conf_node *n = conf_alloc(c, sizeof(*n));
	*n = (struct conf_node){.stmt = stmt, .parent = l->parent, .line = t->line, .col = t->col, .conf = c};
	n->values = conf_alloc(c, (count ? count : 1) * sizeof(*n->values));
	*l->tail = n;
	l->tail = &n->next;
	c->cells += 2 + count;
	if (c->cells > CONF_CELLS_MAX) {
		conf_error_at(c, t->line, t->col, "found more statements than fit, expected at most %d operands in all", CONF_CELLS_MAX);
		c->fatal = true;
	}
	return n;
}

static void count_stmt(struct conf *c, struct level *l, const struct conf_stmt *stmt)
{
	const struct token *t = lex_peek(c, 0);
	if (l->seen[stmt - l->stmts]++ && stmt->flags & CONF_ONCE)
		conf_error_at(c, t->line, t->col, "found a second %s, expected one", stmt->name);
}

static void skip_line(struct conf *c, unsigned line)
{
	for (struct token *t = lex_peek(c, 0); t->kind == TOKEN_WORD && t->line == line; t = lex_peek(c, 0))
		lex_take(c);
}

static void skip_block(struct conf *c)
{
	size_t depth = 0;
	do {
		enum token_kind k = lex_peek(c, 0)->kind;
		if (k == TOKEN_END)
			return;
		depth += k == TOKEN_OPEN ? 1 : 0;
		depth -= k == TOKEN_CLOSE ? 1 : 0;
		lex_take(c);
	} while (depth);
}

static bool ends_block(struct conf *c, const struct level *l, const struct conf_stmt *stmt)
{
	return (stmt && stmt->flags & CONF_BLOCK && at_end_word(c, stmt)) || at_end_word(c, l->block);
}

/* Profile form: to the next statement that stands first on its line; entries: to the next line. */
static void skip_profile(struct conf *c, const struct level *l, const struct conf_stmt *stmt)
{
	bool entries = stmt && stmt->flags & CONF_ENTRIES, taken = false;
	for (struct token *t = lex_peek(c, 0); t->kind != TOKEN_END && !c->fatal; t = lex_peek(c, 0)) {
		if (ends_block(c, l, stmt) || (t->first && ((entries && taken) || at_keyword(c, l, stmt) || match_stmt(c, c->spec->stmts, NULL))))
			return;
		taken = true;
		lex_take(c);
	}
}

static void list_stmts(const struct level *l, char out[CONF_TEXT_BUF])
{
	size_t at = 0, shown = 0;
	out[0] = '\0';
	for (const struct conf_stmt *s = l->stmts; s && s->name; s++) {
		int n = snprintf(out + at, CONF_TEXT_BUF - at, "%s%s", at ? ", " : "", shown == 12 ? "..." : s->name);
		at += n > 0 ? (size_t)n : 0;
		if (shown++ == 12 || at >= CONF_TEXT_BUF - 100)
			break;
	}
}

static void unknown_stmt(struct conf *c, const struct level *l)
{
	struct token *t = lex_peek(c, 0);
	char found[CONF_TEXT_BUF], list[CONF_TEXT_BUF];
	if (t->bad)
		return;
	t->bad = true;
	found_text(t, false, found);
	list_stmts(l, list);
	const char *near = t->kind == TOKEN_WORD ? words_near(l->stmts, t->s) : NULL;
	const char *end = !l->block ? NULL : c->spec->form == CONF_POLICY ? "'}'" : l->block->end;
	conf_error_at(c, t->line, t->col, "found %s, expected %s%s%s%s%s%s%s", found, list[0] ? "one of " : "", list,
		end ? " or " : "", end ? end : "", near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static void missing_end(struct conf *c, const struct level *l)
{
	struct token *t = lex_peek(c, 0);
	char found[CONF_TEXT_BUF];
	found_text(t, false, found);
	conf_error_at(c, t->line, t->col, "found %s, expected %s of %s (line %u)", found,
		c->spec->form == CONF_POLICY ? "'}'" : l->block->end, l->block->name, l->parent->line);
}

/* A word behind complete operands that is neither one of them nor a statement. */
static void stray_word(struct conf *c, const struct level *l, const struct conf_node *n)
{
	struct token *t = lex_peek(c, 0);
	char found[CONF_TEXT_BUF], left[CONF_TEXT_BUF];
	if (t->bad)
		return;
	operands_left(n, left);
	const char *near = words_near(l->stmts, t->s);
	if (c->spec->form == CONF_PROFILE && (t->first || near)) {
		unknown_stmt(c, l);
		return;
	}
	t->bad = true;
	found_text(t, n->stmt->operands && n->stmt->operands[0].flags & CONF_SECRET, found);
	conf_error_at(c, t->line, t->col, "found %s behind %s, expected %s%s%s", found, n->stmt->name, left, left[0] ? " or " : "",
		c->spec->form == CONF_POLICY ? "end of line" : "a statement");
}

static void parse_level(struct conf *c, struct level *l);

static void parse_block(struct conf *c, const struct level *up, struct conf_node *n)
{
	const struct token *t = lex_peek(c, 0);
	if (c->depth == CONF_DEPTH_MAX) {
		conf_error_at(c, t->line, t->col, "found a block inside %d others, expected at most %d deep", CONF_DEPTH_MAX,
			CONF_DEPTH_MAX);
		c->fatal = true;
		return;
	}
	struct level l = {.stmts = n->stmt->children, .block = n->stmt, .parent = n, .tail = &n->children, .up = up};
	c->depth++;
	parse_level(c, &l);
	c->depth--;
}

static void policy_body(struct conf *c, struct level *l, struct conf_node *n)
{
	struct token *t = lex_peek(c, 0);
	char found[CONF_TEXT_BUF];
	if (n->stmt->flags & CONF_BLOCK) {
		if (t->kind != TOKEN_OPEN) {
			found_text(t, false, found);
			conf_error_at(c, t->line, t->col, "found %s, expected '{' of %s (line %u)", found, n->stmt->name, n->line);
			if (!match_stmt(c, n->stmt->children, NULL))
				return;
		} else {
			lex_take(c);
		}
		parse_block(c, l, n);
	} else if (t->kind == TOKEN_OPEN) {
		conf_error_at(c, t->line, t->col, "found '{', expected no block behind %s", n->stmt->name);
		skip_block(c);
	}
}

static void policy_stmt(struct conf *c, struct level *l, const struct conf_stmt *stmt, unsigned words)
{
	count_stmt(c, l, stmt);
	struct conf_node *n = add_node(c, l, stmt);
	while (words--)
		lex_take(c);
	bool good = parse_operands(c, l, n);
	struct token *t = lex_peek(c, 0);
	if (good && t->kind == TOKEN_WORD && t->line == n->line && (stmt->flags & CONF_BLOCK || !match_stmt(c, l->stmts, NULL))) {
		stray_word(c, l, n);
		good = false;
	}
	if (!good)
		skip_line(c, n->line);
	policy_body(c, l, n);
}

/* Of the statements that continue the first word of @stmt ("PORT UNRSV" for "PORT"), the one that the entry begins with. */
static const struct conf_stmt *entry_stmt(struct conf *c, const struct level *l, const struct conf_stmt *stmt, unsigned *ret_words)
{
	size_t base = strcspn(stmt->name, " ");
	const struct conf_stmt *best = NULL;
	*ret_words = 0;
	for (const struct conf_stmt *s = l->stmts; s->name; s++) {
		if (strncmp(s->name, stmt->name, base) != 0 || !(s->flags & CONF_ENTRIES) || strcspn(s->name, " ") != base)
			continue;
		unsigned words = s->name[base] ? spelled(c, s->name, 1) : 0;
		if (words > *ret_words || (!best && !s->name[base])) {
			best = s;
			*ret_words = words;
		}
	}
	return best ? best : stmt;
}

static void profile_entries(struct conf *c, struct level *l, const struct conf_stmt *stmt)
{
	bool first = true;
	while (!c->fatal) {
		struct token *t = lex_peek(c, 0);
		unsigned words = 0;
		if (!first && (t->kind == TOKEN_END || at_keyword(c, l, stmt) || (t->first && match_stmt(c, c->spec->stmts, NULL))))
			return;
		const struct conf_stmt *s = first ? stmt : entry_stmt(c, l, stmt, &words);
		struct conf_node *n = add_node(c, l, s);
		while (words--)
			lex_take(c);
		if (!parse_operands(c, l, n)) {
			skip_profile(c, l, stmt);
		} else if (lex_peek(c, 0) == t && !first && t->kind == TOKEN_WORD && t->line == n->line && t->col == n->col) {
			stray_word(c, l, n); /* an entry that took nothing would never end */
			skip_profile(c, l, stmt);
		}
		first = false;
	}
}

static void profile_stmt(struct conf *c, struct level *l, const struct conf_stmt *stmt, unsigned words)
{
	count_stmt(c, l, stmt);
	if (stmt->flags & CONF_ENTRIES) {
		while (words--)
			lex_take(c);
		profile_entries(c, l, stmt);
		return;
	}
	struct conf_node *n = add_node(c, l, stmt);
	while (words--)
		lex_take(c);
	bool good = parse_operands(c, l, n);
	const struct token *t = lex_peek(c, 0);
	bool inside = t->first && stmt->flags & CONF_BLOCK && stmt->end; /* the block's business */
	if (good && t->kind == TOKEN_WORD && !inside && !at_keyword(c, l, stmt) &&
		!(t->first && match_stmt(c, c->spec->stmts, NULL))) {
		stray_word(c, l, n);
		good = false;
	}
	if (!good)
		skip_profile(c, l, stmt);
	if (stmt->flags & CONF_BLOCK)
		parse_block(c, l, n);
}

/* Deals with a token that is no statement of this level; true when the level is over. */
static bool other_token(struct conf *c, struct level *l)
{
	struct token *t = lex_peek(c, 0);
	bool policy = c->spec->form == CONF_POLICY;
	if (!policy && l->block && !l->block->end)
		return true;
	if (t->kind == TOKEN_END) {
		if (l->block)
			missing_end(c, l);
		return true;
	}
	if ((t->kind == TOKEN_CLOSE && l->block) || (!policy && at_end_word(c, l->block))) {
		lex_take(c);
		return true;
	}
	if (l->block && t->first && match_stmt(c, c->spec->stmts, NULL)) {
		missing_end(c, l);
		return true;
	}
	unknown_stmt(c, l);
	if (!policy) {
		lex_take(c);
		skip_profile(c, l, NULL);
	} else if (t->kind == TOKEN_CLOSE) {
		lex_take(c);
	} else {
		skip_line(c, t->line);
		if (lex_peek(c, 0)->kind == TOKEN_OPEN)
			skip_block(c);
	}
	return false;
}

static void parse_level(struct conf *c, struct level *l)
{
	size_t count = 0;
	while (l->stmts && l->stmts[count].name)
		count++;
	l->seen = xcalloc(count, sizeof(*l->seen));
	while (!c->fatal && c->error_count < CONF_ERRORS_MAX) {
		unsigned words;
		const struct conf_stmt *stmt = match_stmt(c, l->stmts, &words);
		if (stmt && c->spec->form == CONF_POLICY)
			policy_stmt(c, l, stmt, words);
		else if (stmt)
			profile_stmt(c, l, stmt, words);
		else if (other_token(c, l))
			break;
	}
	for (size_t i = 0; i < count; i++)
		if (l->stmts[i].flags & CONF_REQUIRED && !l->seen[i])
			conf_error_at(c, l->parent ? l->parent->line : 1, l->parent ? l->parent->col : 1, "found no %s%s%s, expected one",
				l->stmts[i].name, l->block ? " in " : "", l->block ? l->block->name : "");
	free(l->seen);
}

void check_text(struct conf *c)
{
	struct level top = {.stmts = c->spec->stmts, .tail = &c->first};
	parse_level(c, &top);
}
