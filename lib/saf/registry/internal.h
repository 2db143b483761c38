/* What the files of lib/saf/registry share: the open database, SQL in one line, and the operands of a command. */
#pragma once
#include "lib/saf/format.h"
#include "lib/saf/registry/registry.h"
#include <sqlite3.h>

struct registry {
	sqlite3 *db;
	char dir[200];
	int lock_fd;
	bool dirty, in_tx;
	struct audit *audit;
};

/* db.c. @types: s text (NULL allowed), i int64; one per '?'. */
int db_exec(struct registry *r, const char *sql, const char *types, ...); /* 0 or -errno */
/* First column of the first row; @dflt when there is none. */
int64_t db_int(struct registry *r, int64_t dflt, const char *sql, const char *types, ...);
sqlite3_stmt *db_query(struct registry *r, const char *sql, const char *types, ...); /* step and finalize it; NULL: failed */
const char *db_text(sqlite3_stmt *st, int col); /* "" for NULL */
int64_t db_changes(struct registry *r);

/* compile.c */
int snapshot_publish(struct registry *r, uint64_t generation, struct errbuf *e);
/* secrets.c: password hashes and PassTicket keys, before the snapshot that makes them count. */
int secrets_publish(struct registry *r, struct errbuf *e);
/* Tells readers: the last step of publishing. */
int snapshot_announce(const char *dir, uint64_t generation, struct errbuf *e);

/* replace.c. Writes DIR/NAME beside the old one, fsyncs, renames; @gid -1: ours. */
int replace_file(const char *dir, const char *name, const void *data, size_t len, mode_t mode, int64_t gid, struct errbuf *e);
/* args.c: KEYWORD(value value (nested)) trees. */
enum { ARG_NODES_MAX = 512, ARG_TEXT_MAX = 4096, ARG_DEPTH_MAX = 6 };
struct arg {
	const char *text; /* upper-cased unless quoted; "" for a bare parenthesis list */
	const char *raw;  /* as written: names of key rings keep their case */
	bool quoted, has_list;
	struct arg *list, *next;
};
struct args {
	struct arg nodes[ARG_NODES_MAX];
	unsigned used;
	char text[2 * (ARG_TEXT_MAX + ARG_NODES_MAX)];
	size_t text_used;
	struct arg *first;
};
/* 0 or -EINVAL with text that says where. */
int args_parse(const char *line, struct args *ret, struct errbuf *e);

/* One command being carried out. */
struct cmd {
	struct registry *r;
	struct arg *args; /* after the command word */
	const char *by;	  /* SAF user or "" */
	FILE *out;
	struct json *json;
	int rc;
	const struct arg *used[ARG_NODES_MAX];
	unsigned n_used;
};
struct cmd_spec {
	const char *name, *abbreviations; /* "ADDUSER", "AU" */
	const char *keywords;		  /* every keyword it takes, separated by blanks */
	const char *usage;
	void (*fn)(struct cmd *c);
};
extern const struct cmd_spec cmd_specs[];

/* The operand named @name (or an unambiguous abbreviation of 2 or more characters among the command's keywords); NULL when not given. */
struct arg *cmd_key(struct cmd *c, const char *name);
/* Its single value; NULL when not given. An operand given without a value: the command fails. */
const char *cmd_value(struct cmd *c, const char *name);
/* The n-th operand that is no keyword. */
struct arg *cmd_positional(struct cmd *c, unsigned n);
/* Messages: RACF id, text; sets the return code. */
void cmd_say(struct cmd *c, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool cmd_failed(const struct cmd *c);
/* Names: 1-8 of A-Z 0-9 @ # $, not starting with a digit (users may). */
bool name_ok(const char *s);
int cmd_level(struct cmd *c, const char *keyword, const char *text, int dflt); /* enum saf_level; fails the command */

bool cmd_exists(struct cmd *c, const char *table, const char *name); /* @table: a literal */
/* One name, or (name name ...): calls @fn for each. */
void cmd_each_name(struct cmd *c, const struct arg *a, void (*fn)(struct cmd *c, const char *name));
/* Is defined; else the command fails. */
const char *cmd_need_user(struct cmd *c, const char *name);
bool cmd_need_group(struct cmd *c, const char *name);

void cmd_adduser(struct cmd *c);
void cmd_altuser(struct cmd *c);
void cmd_deluser(struct cmd *c);
void cmd_listuser(struct cmd *c);
void cmd_password(struct cmd *c);
void cmd_addgroup(struct cmd *c);
void cmd_delgroup(struct cmd *c);
void cmd_listgrp(struct cmd *c);
void cmd_connect(struct cmd *c);
void cmd_remove(struct cmd *c);
void cmd_rdefine(struct cmd *c);
void cmd_ralter(struct cmd *c);
void cmd_rdelete(struct cmd *c);
void cmd_rlist(struct cmd *c);
void cmd_search(struct cmd *c);
void cmd_permit(struct cmd *c);
void cmd_setropts(struct cmd *c);
