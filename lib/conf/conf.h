/* conf: z/OS statement syntax, one lexer and one table-driven checker for every file.
 *
 * Two surface forms share the table. Profile form (PROFILE.TCPIP, ftp.data): keywords in free layout, comments from ';',
 * blocks closed by an END keyword, statements with repeated entries (PORT). Policy form (pagent files, dmd.conf,
 * iked.conf): "Statement [name] { Parameter value ... }", comments from '#', parameters ended by the end of the line, by
 * a brace, or by a following sibling keyword once they have all they need. Keywords are case-insensitive, names are not.
 * Strings may be quoted with ' or " (on one line; a quoted token is never a keyword). Text is at most 64 MiB, a token 1024
 * bytes, nesting 8 deep.
 *
 * Abbreviations, profile form only: a keyword or word that the table spells with at least three capitals and then small
 * letters ("LOGENable", "DESTport") may be shortened down to its capitals, as z/OS files do.
 *
 * A daemon declares its statements in a static table. From it come the parser, --check, --print-defaults and the manual
 * page's table. Parsing gives a tree of nodes whose operand values are typed, range-checked, and filled with defaults; the
 * daemon's conf.c turns the tree into its own struct and adds cross-field checks with conf_node_error().
 *
 * Errors are "FILE:LINE:COLUMN: found 'x', expected ...", all of them up to 20, never just the first. */
#pragma once
#include "lib/base/addr.h"
#include "lib/base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum conf_type {
	CONF_END = 0,
	CONF_FLAG,    /* keyword alone: present or not; words = "LOGENABLE|LOGDISABLE" gives an enum by keyword */
	CONF_UINT,    /* decimal, min..max */
	CONF_WORD,    /* one of .words, "Active|Simulate|Inactive": stored as index (u) and as canonical spelling (s) */
	CONF_WORD_OR_UINT, /* one of .words (is_word, s) or a number min..max (u) */
	CONF_NAME,    /* an identifier of at most .max characters (letters, digits, @ # $ _ - . * %) */
	CONF_STRING,  /* any token or quoted string, at most .max bytes (0: 1024) */
	CONF_ADDR,    /* IP address */
	CONF_PREFIX,  /* addr or addr/len; with .words = "*|all" those words give an unset prefix (family 0) */
	CONF_RANGE,   /* n, n-m, n:m, or (policy form) n m where the next token is a number; or one of .words ("*|all" gives min..max) */
	CONF_HEX,     /* hex digits with or without 0x: s holds the digits; .max bytes at most. Never echoed in errors */
};

enum { /* struct conf_operand .flags */
	CONF_OPTIONAL = 1, /* may be left out; then .dflt (text, parsed like input) or absent. Flags, and keyword operands with
			    * a .dflt, always may. A positional operand's .dflt without this flag is the default of the whole
			    * statement: whoever writes the statement writes the value */
	CONF_KEYWORD = 2,  /* introduced by its name ("ROUTING LOCAL"); without this flag: positional, in table order */
	CONF_SECRET = 4,   /* value never printed */
	CONF_REPEAT = 8,   /* may be given again; further values hang on conf_value.next */
	CONF_HOSTBITS = 16, /* CONF_PREFIX: an interface address, "192.0.2.1/24": host bits are kept */
};

struct conf_operand {
	const char *name; /* as documented; for CONF_KEYWORD and CONF_FLAG also what is written */
	enum conf_type type;
	unsigned flags;
	const char *words; /* alternatives separated by '|' */
	const char *dflt;
	uint64_t min, max;
	const char *help;
};

enum { /* struct conf_stmt .flags */
	CONF_ONCE = 1,	     /* a second one is an error ("last wins" statements leave it out) */
	CONF_REQUIRED = 2,   /* missing is an error */
	CONF_BLOCK = 4,	     /* policy form: has { } with .children; profile form: children until .end (NULL: until a word that
			      * is no child) */
	CONF_ENTRIES = 8,    /* profile form: operand groups repeat until the next statement keyword (PORT, ROUTE, HOME); each is
			      * a node. Inside PORT an entry "UNRSV ..." belongs to the statement "PORT UNRSV" if there is one */
	CONF_ANYNUMBER = 16, /* documentation only: may repeat */
};

struct conf_stmt {
	const char *name; /* statement keyword; several words allowed ("PORT UNRSV"): longest match wins */
	const struct conf_operand *operands; /* ends with .type CONF_END; NULL: none */
	const struct conf_stmt *children;    /* ends with .name NULL; NULL: none */
	const char *end;		     /* profile form: closing keyword */
	unsigned flags;
	const char *help;
};

enum conf_form { CONF_PROFILE, CONF_POLICY };

struct conf_spec {
	const char *title; /* "dmd.conf" */
	enum conf_form form;
	const struct conf_stmt *stmts;
};

struct conf_value {
	const struct conf_operand *op;
	bool given;   /* in the file, as opposed to defaulted */
	bool is_word; /* CONF_WORD_OR_UINT, CONF_RANGE, CONF_PREFIX: a word was written */
	uint64_t u, u2; /* UINT: u; WORD: index; FLAG: 1 or index; RANGE: u..u2 */
	const char *s;	/* token text (canonical spelling for words) */
	struct prefix prefix; /* CONF_ADDR: full length */
	const struct conf_value *next; /* CONF_REPEAT */
};

struct conf_node {
	const struct conf_stmt *stmt;
	struct conf_node *parent, *children, *next; /* in file order */
	struct conf_value *values;		    /* one per operand of the statement, in table order */
	unsigned line, col;
	struct conf *conf;
};

struct conf;

/* Parses @text (@name is only for messages). Always sets *@ret_conf (even with errors, so that they can be read). Returns 0
 * or -EINVAL. The caller frees with conf_free. */
int conf_parse(const struct conf_spec *spec, const char *name, const char *text, size_t len, struct conf **ret_conf);
int conf_parse_file(const struct conf_spec *spec, const char *path, struct conf **ret_conf); /* or -errno of open/read, with the message kept too */
void conf_free(struct conf *c); /* NULL allowed */
struct conf_node *conf_root(struct conf *c); /* first top-level node */
unsigned conf_error_count(const struct conf *c);
const char *conf_error(const struct conf *c, unsigned i); /* one message, no newline */

/* First top-level node, first child, last child with that statement name; NULL when there is none. conf_find: the first child
 * when @from's statement declares such a child, else the first sibling from @from on. Names compare without case; @from NULL
 * gives NULL. */
struct conf_node *conf_top(struct conf *c, const char *stmt_name);
struct conf_node *conf_child(const struct conf_node *n, const char *stmt_name);
struct conf_node *conf_child_last(const struct conf_node *n, const char *stmt_name); /* "last wins" statements */
struct conf_node *conf_find(struct conf_node *from, const char *stmt_name);
struct conf_node *conf_next(struct conf_node *after, const char *stmt_name);
/* The value of operand @name; NULL when neither given nor defaulted. Asserts that the table has such an operand. */
const struct conf_value *conf_get(const struct conf_node *n, const char *operand_name);
uint64_t conf_uint(const struct conf_node *n, const char *operand_name);	/* 0 when absent */
const char *conf_str(const struct conf_node *n, const char *operand_name); /* NULL when absent */
/* Records an error at @n's place and returns -EINVAL. */
int conf_node_error(struct conf_node *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same without a place, for what no statement stands for. */
int conf_file_error(struct conf *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *conf_name(const struct conf *c); /* as given to conf_parse */

/* Every statement with every default, commented with its help: a file that parses. */
void conf_print_defaults(const struct conf_spec *spec, FILE *out);
/* The statements as a table for a manual page (mdoc .Bl list). */
void conf_print_mdoc(const struct conf_spec *spec, FILE *out);
