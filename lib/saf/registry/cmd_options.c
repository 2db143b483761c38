/* SETROPTS: classes, generics, logging, security labels, passwords. */
#include "lib/saf/registry/internal.h"
#include <stdlib.h>
#include <string.h>

static bool class_known(struct cmd *c, const char *name)
{
	if (db_int(c->r, 0, "SELECT count(*) FROM classes WHERE name = ?", "s", name))
		return true;
	cmd_say(c, RACF_REFUSED, "ICH14038I %.40s is not a class; known classes are shown by SETROPTS LIST", name);
	return false;
}

static void set_class(struct cmd *c, const char *keyword, const char *column, int64_t value)
{
	const struct arg *a = cmd_key(c, keyword);
	char sql[120];
	if (!a)
		return;
	if (!a->list)
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID %s: class names in parentheses are expected", keyword);
	(void)snprintf(sql, sizeof(sql), "UPDATE classes SET %s = ?1 WHERE ?2 = '*' OR name = ?2", column);
	for (const struct arg *x = a->list; x; x = x->next)
		if (strcmp(x->text, "*") == 0 || class_known(c, x->text))
			(void)db_exec(c->r, sql, "is", value, x->text);
}

static void set_logoptions(struct cmd *c)
{
	static const char *const words[] = {"DEFAULT", "ALWAYS", "NEVER", "SUCCESSES", "FAILURES"}; /* = enum snap_logopt */
	const struct arg *a = cmd_key(c, "LOGOPTIONS");
	for (const struct arg *x = a ? a->list : NULL; x; x = x->next) {
		int64_t v = -1;
		for (int i = 0; i < 5; i++)
			if (strcmp(x->text, words[i]) == 0)
				v = i;
		if (v < 0 || !x->list)
			cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID LOGOPTIONS, %.40s: ALWAYS, NEVER, SUCCESSES, FAILURES or DEFAULT(class ...)", x->text);
		for (const struct arg *k = x->list; v >= 0 && k; k = k->next)
			if (class_known(c, k->text))
				(void)db_exec(c->r, "UPDATE classes SET logopt = ? WHERE name = ?", "is", v, k->text);
	}
}

static void set_option(struct cmd *c, const char *keyword, const char *no_keyword)
{
	const struct arg *a = cmd_key(c, keyword);
	int64_t v = -1;
	if (cmd_key(c, no_keyword))
		v = 0;
	if (a && (!a->list || strcmp(a->list->text, "FAILURES") == 0))
		v = 2;
	else if (a && strcmp(a->list->text, "WARNING") == 0)
		v = 1;
	else if (a)
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID %s, %.40s: WARNING or FAILURES is allowed", keyword, a->list->text);
	if (v >= 0)
		(void)db_exec(c->r, "INSERT OR REPLACE INTO options VALUES(?, ?)", "si", keyword, v);
}

static void set_password_rules(struct cmd *c)
{
	const struct arg *a = cmd_key(c, "PASSWORD");
	for (const struct arg *x = a ? a->list : NULL; x; x = x->next) {
		const char *v = x->list ? x->list->text : "";
		char *end;
		long n = strtol(v, &end, 10);
		if (strcmp(x->text, "REVOKE") == 0 && *v && !*end && n >= 1 && n <= 254)
			(void)db_exec(c->r, "INSERT OR REPLACE INTO options VALUES('PWREVOKE', ?)", "i", (int64_t)n);
		else if (strcmp(x->text, "NOREVOKE") == 0)
			(void)db_exec(c->r, "INSERT OR REPLACE INTO options VALUES('PWREVOKE', 0)", "");
		else
			cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID PASSWORD, %.40s: REVOKE(1-254) or NOREVOKE is allowed", x->text);
	}
}

static void list_options(struct cmd *c)
{
	sqlite3_stmt *st = db_query(c->r, "SELECT name, active, generic, raclist, logopt FROM classes ORDER BY name", "");
	static const char *const words[] = {"DEFAULT", "ALWAYS", "NEVER", "SUCCESSES", "FAILURES"};
	if (c->json)
		json_open(c->json, '[');
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *log = words[sqlite3_column_int(st, 4) % 5];
		if (!c->json) {
			(void)fprintf(c->out, "CLASS=%-8s %-8s GENERIC=%-3s LOGOPTIONS=%s\n", db_text(st, 0), sqlite3_column_int(st, 1) ? "ACTIVE" : "INACTIVE",
				sqlite3_column_int(st, 2) ? "YES" : "NO", log);
			continue;
		}
		json_open(c->json, '{');
		json_kv_str(c->json, "class", db_text(st, 0));
		json_kv_bool(c->json, "active", sqlite3_column_int(st, 1));
		json_kv_bool(c->json, "generic", sqlite3_column_int(st, 2));
		json_kv_str(c->json, "logoptions", log);
		json_close(c->json, '}');
	}
	(void)sqlite3_finalize(st);
	if (c->json)
		json_close(c->json, ']');
	else
		(void)fprintf(c->out, "PASSWORD REVOKE=%ld MLS=%ld MLACTIVE=%ld (0 off, 1 WARNING, 2 FAILURES)\n",
			(long)db_int(c->r, 0, "SELECT v FROM options WHERE k='PWREVOKE'", ""), (long)db_int(c->r, 0, "SELECT v FROM options WHERE k='MLS'", ""),
			(long)db_int(c->r, 0, "SELECT v FROM options WHERE k='MLACTIVE'", ""));
}

void cmd_setropts(struct cmd *c)
{
	if (!c->args)
		cmd_say(c, RACF_SYNTAX, "IKJ56701I MISSING OPERAND: for example SETROPTS CLASSACT(SERVAUTH) GENERIC(SERVAUTH)");
	set_class(c, "CLASSACT", "active", 1);
	set_class(c, "NOCLASSACT", "active", 0);
	set_class(c, "GENERIC", "generic", 1);
	set_class(c, "NOGENERIC", "generic", 0);
	set_class(c, "RACLIST", "raclist", 1); /* changes are in force at once, so REFRESH has nothing left to do */
	set_class(c, "NORACLIST", "raclist", 0);
	set_logoptions(c);
	set_option(c, "MLS", "NOMLS");
	set_option(c, "MLACTIVE", "NOMLACTIVE");
	set_password_rules(c);
	if (cmd_key(c, "LIST"))
		list_options(c);
}
