/* Users. */
#include "lib/saf/registry/internal.h"
#include "lib/saf/verify/logon.h"
#include "lib/saf/verify/password.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *cmd_need_user(struct cmd *c, const char *name)
{
	if (name && cmd_exists(c, "users", name))
		return name;
	cmd_say(c, RACF_REFUSED, "ICH30001I UNABLE TO LOCATE USER ENTRY %.40s", name ? name : "");
	return NULL;
}

static void set_text(struct cmd *c, const char *user, const char *column, const char *value)
{
	char sql[80];
	(void)snprintf(sql, sizeof(sql), "UPDATE users SET %s = ? WHERE name = ?", column);
	if (db_exec(c->r, sql, "ss", value, user))
		cmd_say(c, RACF_REFUSED, "ICH01099I database error");
}

static void set_flag(struct cmd *c, const char *user, const char *column, int value)
{
	char sql[80];
	(void)snprintf(sql, sizeof(sql), "UPDATE users SET %s = ? WHERE name = ?", column);
	if (db_exec(c->r, sql, "is", (int64_t)value, user))
		cmd_say(c, RACF_REFUSED, "ICH01099I database error");
}

static void set_omvs(struct cmd *c, const char *user, const struct arg *omvs)
{
	for (const struct arg *a = omvs->list; a; a = a->next) {
		const char *v = a->list && !a->list->next ? a->list->text : NULL;
		char *end = NULL;
		if (strcmp(a->text, "UID") == 0 && v && v[0] >= '0' && v[0] <= '9') {
			unsigned long long uid = strtoull(v, &end, 10);
			if (*end || uid >= UINT32_MAX)
				cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID UID, %s: 0 to 4294967294 is allowed", v);
			else
				(void)db_exec(c->r, "UPDATE users SET uid = ?, login = NULL WHERE name = ?", "is", (int64_t)uid, user);
		} else if (strcmp(a->text, "LOGIN") == 0 && v) {
			char login[64];
			size_t n = strlen(v);
			for (size_t i = 0; i <= n && i < sizeof(login); i++) /* account names are lower case unless quoted */
				login[i] = (char)(!a->list->quoted && v[i] >= 'A' && v[i] <= 'Z' ? v[i] + 32 : v[i]);
			if (!n || n >= sizeof(login))
				cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID LOGIN: a Linux account name is expected");
			else
				(void)db_exec(c->r, "UPDATE users SET login = ?, uid = NULL WHERE name = ?", "ss", login, user);
		} else if (strcmp(a->text, "HOME") == 0 && v) {
			set_text(c, user, "home", v);
		} else if (strcmp(a->text, "PROGRAM") == 0 && v) {
			set_text(c, user, "program", v);
		} else {
			cmd_say(c, RACF_SYNTAX, "IKJ56712I INVALID OMVS OPERAND, %.40s: UID(n), LOGIN(account), HOME('path'), PROGRAM('path')", a->text);
		}
	}
}

static void set_password(struct cmd *c, const char *user, const struct arg *a, bool expired)
{
	char hash[PASSWORD_HASH_MAX];
	if (!a->list || a->list->next) {
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID PASSWORD: one value in parentheses is expected");
		return;
	}
	size_t n = strlen(a->list->text);
	if (n < 1 || n > 100) {
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID PASSWORD: 1 to 100 characters are allowed");
		return;
	}
	if (password_hash(a->list->text, hash)) {
		cmd_say(c, RACF_REFUSED, "ICH01099I the password could not be hashed (libcrypt has no yescrypt)");
		return;
	}
	set_text(c, user, "pw", hash);
	set_flag(c, user, "expired", expired);
}

static const char *valid_label(struct cmd *c, const char *l)
{
	static const char *const built_in[] = {"SYSHIGH", "SYSLOW", "SYSNONE", "SYSMULTI"};
	for (size_t i = 0; i < 4; i++)
		if (strcmp(l, built_in[i]) == 0)
			return l;
	if (db_int(c->r, 0, "SELECT count(*) FROM profiles WHERE class='SECLABEL' AND name=?", "s", l))
		return l;
	cmd_say(c, RACF_REFUSED, "ICH01017I SECLABEL %.8s is not defined: RDEFINE SECLABEL %.8s SECLEVEL(...) first", l, l);
	return NULL;
}

/* Bad attempts, and the revocation for them, are kept where the daemons that authenticate write. */
static void resume(struct cmd *c, const char *user)
{
	struct logon *l = logon_open(c->r->dir, true);
	if (!l || logon_resume(l, user))
		cmd_say(c, RACF_REFUSED, "ICH21099I the logon state of %s could not be changed", user);
	logon_close(l);
}

static void apply_operands(struct cmd *c, const char *user)
{
	static const struct {
		const char *keyword, *column;
		int value;
	} flags[] = {{"RESTRICTED", "restricted", 1}, {"NORESTRICTED", "restricted", 0}, {"SPECIAL", "special", 1}, {"NOSPECIAL", "special", 0},
		{"OPERATIONS", "operations", 1}, {"NOOPERATIONS", "operations", 0}, {"AUDITOR", "auditor", 1}, {"NOAUDITOR", "auditor", 0},
		{"REVOKE", "revoked", 1}, {"RESUME", "revoked", 0}};
	static const char *const texts[][2] = {{"NAME", "full_name"}, {"OWNER", "owner"}, {"DATA", "data"}};
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (cmd_key(c, flags[i].keyword))
			set_flag(c, user, flags[i].column, flags[i].value);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *v = cmd_key(c, texts[i][0]) ? cmd_value(c, texts[i][0]) : NULL;
		if (v)
			set_text(c, user, texts[i][1], v);
	}
	const char *label = cmd_value(c, "SECLABEL");
	if (label && valid_label(c, label))
		set_text(c, user, "seclabel", label);
	if (cmd_key(c, "NOSECLABEL"))
		set_text(c, user, "seclabel", NULL);
	if (cmd_key(c, "OMVS"))
		set_omvs(c, user, cmd_key(c, "OMVS"));
	if (cmd_key(c, "NOOMVS"))
		(void)db_exec(c->r, "UPDATE users SET uid = NULL, login = NULL WHERE name = ?", "s", user);
	if (cmd_key(c, "PASSWORD"))
		set_password(c, user, cmd_key(c, "PASSWORD"), !cmd_key(c, "NOEXPIRED"));
	if (cmd_key(c, "NOPASSWORD"))
		set_text(c, user, "pw", NULL);
	if (cmd_key(c, "RESUME"))
		resume(c, user);
}

static void add_user(struct cmd *c, const char *user)
{
	const char *group = cmd_value(c, "DFLTGRP");
	group = group ? group : "SYS1";
	if (!name_ok(user)) {
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID USERID, %.40s: 1 to 8 of A-Z 0-9 @ # $", user);
		return;
	}
	if (!cmd_need_group(c, group))
		return;
	if (cmd_exists(c, "groups", user) || cmd_exists(c, "users", user)) {
		cmd_say(c, RACF_REFUSED, "ICH01000I %s already defined to RACF", user);
		return;
	}
	if (db_exec(c->r, "INSERT INTO users(name, dfltgrp, owner) VALUES(?, ?, ?)", "sss", user, group, c->by) ||
		db_exec(c->r, "INSERT INTO connects VALUES(?, ?, 'USE', 0)", "ss", user, group))
		cmd_say(c, RACF_REFUSED, "ICH01099I database error");
	apply_operands(c, user);
}

void cmd_adduser(struct cmd *c)
{
	cmd_each_name(c, cmd_positional(c, 0), add_user);
}

static void alter_user(struct cmd *c, const char *user)
{
	if (!cmd_need_user(c, user))
		return;
	const char *group = cmd_value(c, "DFLTGRP");
	if (group && cmd_need_group(c, group)) {
		if (!db_int(c->r, 0, "SELECT count(*) FROM connects WHERE user=? AND grp=?", "ss", user, group))
			cmd_say(c, RACF_REFUSED, "ICH21020I %s is not connected to %s: CONNECT it first", user, group);
		set_text(c, user, "dfltgrp", group);
	}
	apply_operands(c, user);
}

void cmd_altuser(struct cmd *c)
{
	cmd_each_name(c, cmd_positional(c, 0), alter_user);
}

static void delete_user(struct cmd *c, const char *user)
{
	if (!cmd_need_user(c, user))
		return;
	if (strcmp(user, "IBMUSER") == 0) {
		cmd_say(c, RACF_REFUSED, "ICH05007I IBMUSER cannot be deleted: REVOKE it");
		return;
	}
	(void)db_exec(c->r, "DELETE FROM acl WHERE kind = 0 AND id = ?", "s", user);
	(void)db_exec(c->r, "DELETE FROM connects WHERE user = ?", "s", user);
	(void)db_exec(c->r, "DELETE FROM users WHERE name = ?", "s", user);
}

void cmd_deluser(struct cmd *c)
{
	cmd_each_name(c, cmd_positional(c, 0), delete_user);
}

void cmd_password(struct cmd *c)
{
	const char *user = cmd_value(c, "USER");
	if (!user && !cmd_failed(c))
		user = c->by;
	if (!cmd_failed(c) && !cmd_key(c, "PASSWORD"))
		cmd_say(c, RACF_SYNTAX, "IKJ56701I MISSING OPERAND: PASSWORD USER(user) PASSWORD(new)");
	if (!cmd_failed(c) && cmd_need_user(c, user))
		set_password(c, user, cmd_key(c, "PASSWORD"), false);
}

static void list_connects(struct cmd *c, const char *user)
{
	sqlite3_stmt *st = db_query(c->r, "SELECT grp, authority, revoked FROM connects WHERE user = ? ORDER BY grp", "s", user);
	if (c->json) {
		json_key(c->json, "groups");
		json_open(c->json, '[');
	}
	while (sqlite3_step(st) == SQLITE_ROW) {
		if (c->json)
			json_str(c->json, db_text(st, 0));
		else
			(void)fprintf(c->out, "  GROUP=%-8s AUTH=%-7s%s\n", db_text(st, 0), db_text(st, 1),
				sqlite3_column_int(st, 2) ? " CONNECT ATTRIBUTES=REVOKED" : "");
	}
	(void)sqlite3_finalize(st);
	if (c->json)
		json_close(c->json, ']');
}

static void list_row(struct cmd *c, sqlite3_stmt *st)
{
	static const char *const words[] = {"REVOKED", "RESTRICTED", "SPECIAL", "OPERATIONS", "AUDITOR"};
	char attributes[80] = "";
	for (int i = 0; i < 5; i++)
		if (sqlite3_column_int(st, 4 + i)) {
			(void)strncat(attributes, attributes[0] ? " " : "", sizeof(attributes) - strlen(attributes) - 1);
			(void)strncat(attributes, words[i], sizeof(attributes) - strlen(attributes) - 1);
		}
	if (!c->json) {
		(void)fprintf(c->out, "USER=%s  NAME=%s  OWNER=%s\n  DEFAULT-GROUP=%s PASSWORD=%s\n  ATTRIBUTES=%s\n", db_text(st, 0),
			*db_text(st, 2) ? db_text(st, 2) : "UNKNOWN", db_text(st, 3), db_text(st, 1), sqlite3_column_int(st, 12) ? "YES" : "NO",
			attributes[0] ? attributes : "NONE");
		(void)fprintf(c->out, "  OMVS UID=%s LOGIN=%s\n  SECURITY-LABEL=%s\n",
			sqlite3_column_type(st, 9) == SQLITE_NULL ? "NONE" : db_text(st, 9), *db_text(st, 10) ? db_text(st, 10) : "NONE",
			*db_text(st, 11) ? db_text(st, 11) : "NONE SPECIFIED");
		list_connects(c, db_text(st, 0));
		return;
	}
	static const char *const keys[] = {"user", "default_group", "name", "owner"};
	static const char *const attributes_json[] = {"revoked", "restricted", "special", "operations", "auditor"};
	json_open(c->json, '{');
	for (int i = 0; i < 4; i++)
		json_kv_str(c->json, keys[i], db_text(st, i));
	for (int i = 0; i < 5; i++)
		json_kv_bool(c->json, attributes_json[i], sqlite3_column_int(st, 4 + i));
	if (sqlite3_column_type(st, 9) != SQLITE_NULL)
		json_kv_u64(c->json, "uid", (uint64_t)sqlite3_column_int64(st, 9));
	json_kv_str(c->json, "login", db_text(st, 10));
	json_kv_str(c->json, "seclabel", db_text(st, 11));
	json_kv_bool(c->json, "password", sqlite3_column_int(st, 12));
	list_connects(c, db_text(st, 0));
	json_close(c->json, '}');
}

void cmd_listuser(struct cmd *c)
{
	const struct arg *a = cmd_positional(c, 0);
	const char *user = a->text;
	if (strcmp(user, "*") && !cmd_need_user(c, user))
		return;
	sqlite3_stmt *st = db_query(c->r,
		"SELECT name, dfltgrp, full_name, owner, revoked, restricted, special, operations, auditor, uid, login, seclabel, pw IS NOT NULL"
		" FROM users WHERE ?1 = '*' OR name = ?1 ORDER BY name", "s", user);
	if (c->json)
		json_open(c->json, '[');
	while (sqlite3_step(st) == SQLITE_ROW)
		list_row(c, st);
	(void)sqlite3_finalize(st);
	if (c->json)
		json_close(c->json, ']');
}
