/* Groups and connections. */
#include "lib/saf/registry/internal.h"
#include <string.h>

bool cmd_need_group(struct cmd *c, const char *name)
{
	if (name && cmd_exists(c, "groups", name))
		return true;
	cmd_say(c, RACF_REFUSED, "ICH51003I NAME %.40s NOT FOUND: no such group; ADDGROUP defines it", name ? name : "");
	return false;
}

static void add_group(struct cmd *c, const char *group)
{
	const char *sup = cmd_value(c, "SUPGROUP");
	sup = sup ? sup : "SYS1";
	if (!name_ok(group))
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID GROUP, %.40s: 1 to 8 of A-Z 0-9 @ # $", group);
	else if (!cmd_need_group(c, sup))
		return;
	else if (cmd_exists(c, "groups", group) || cmd_exists(c, "users", group))
		cmd_say(c, RACF_REFUSED, "ICH00000I %s already defined to RACF", group);
	else if (db_exec(c->r, "INSERT INTO groups VALUES(?, ?, ?, ?)", "ssss", group, sup, c->by, NULL))
		cmd_say(c, RACF_REFUSED, "ICH00099I database error");
}

void cmd_addgroup(struct cmd *c)
{
	cmd_each_name(c, cmd_positional(c, 0), add_group);
}

static void delete_group(struct cmd *c, const char *group)
{
	if (!cmd_need_group(c, group))
		return;
	if (db_int(c->r, 0, "SELECT count(*) FROM connects WHERE grp = ?", "s", group) ||
		db_int(c->r, 0, "SELECT count(*) FROM groups WHERE supgroup = ?", "s", group) || strcmp(group, "SYS1") == 0) {
		cmd_say(c, RACF_REFUSED, "ICH03004I %s has users or subgroups: REMOVE and DELGROUP them first", group);
		return;
	}
	(void)db_exec(c->r, "DELETE FROM acl WHERE kind = 1 AND id = ?", "s", group);
	(void)db_exec(c->r, "DELETE FROM groups WHERE name = ?", "s", group);
}

void cmd_delgroup(struct cmd *c)
{
	cmd_each_name(c, cmd_positional(c, 0), delete_group);
}

void cmd_listgrp(struct cmd *c)
{
	const struct arg *a = cmd_positional(c, 0);
	if (strcmp(a->text, "*") && !cmd_need_group(c, a->text))
		return;
	sqlite3_stmt *st = db_query(c->r,
		"SELECT g.name, g.supgroup, g.owner, (SELECT group_concat(user, ' ') FROM (SELECT user FROM connects WHERE grp = g.name ORDER BY user))"
		" FROM groups g WHERE ?1 = '*' OR g.name = ?1 ORDER BY g.name", "s", a->text);
	if (c->json)
		json_open(c->json, '[');
	while (sqlite3_step(st) == SQLITE_ROW) {
		if (!c->json) {
			(void)fprintf(c->out, "INFORMATION FOR GROUP %s\n  SUPERIOR GROUP=%s OWNER=%s\n  USER(S)= %s\n", db_text(st, 0),
				*db_text(st, 1) ? db_text(st, 1) : "NONE", db_text(st, 2), db_text(st, 3));
			continue;
		}
		json_open(c->json, '{');
		json_kv_str(c->json, "group", db_text(st, 0));
		json_kv_str(c->json, "superior", db_text(st, 1));
		json_kv_str(c->json, "owner", db_text(st, 2));
		json_kv_str(c->json, "users", db_text(st, 3));
		json_close(c->json, '}');
	}
	(void)sqlite3_finalize(st);
	if (c->json)
		json_close(c->json, ']');
}

static void connect_user(struct cmd *c, const char *user)
{
	static const char *const words[] = {"USE", "CREATE", "CONNECT", "JOIN"};
	const char *group = cmd_value(c, "GROUP"), *authority = cmd_value(c, "AUTHORITY");
	bool known = !authority;
	for (size_t i = 0; authority && i < 4; i++)
		known = known || strcmp(authority, words[i]) == 0;
	if (!known)
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID AUTHORITY, %.20s: USE, CREATE, CONNECT or JOIN is allowed", authority);
	if (cmd_failed(c) || !cmd_need_user(c, user) || !cmd_need_group(c, group))
		return;
	if (db_exec(c->r,
		    "INSERT INTO connects VALUES(?1, ?2, coalesce(?3, 'USE'), ?4) ON CONFLICT(user, grp) DO UPDATE SET"
		    " authority = coalesce(?3, authority), revoked = ?4", "sssi", user, group, authority, (int64_t)(cmd_key(c, "REVOKE") != NULL)))
		cmd_say(c, RACF_REFUSED, "ICH02099I database error");
}

void cmd_connect(struct cmd *c)
{
	cmd_each_name(c, cmd_positional(c, 0), connect_user);
}

static void remove_user(struct cmd *c, const char *user)
{
	const char *group = cmd_value(c, "GROUP");
	if (cmd_failed(c) || !cmd_need_user(c, user) || !cmd_need_group(c, group))
		return;
	if (db_int(c->r, 0, "SELECT count(*) FROM users WHERE name = ? AND dfltgrp = ?", "ss", user, group)) {
		cmd_say(c, RACF_REFUSED, "ICH06009I %s is the default group of %s: ALTUSER %s DFLTGRP(other) first", group, user, user);
		return;
	}
	(void)db_exec(c->r, "DELETE FROM connects WHERE user = ? AND grp = ?", "ss", user, group);
	if (!db_changes(c->r))
		cmd_say(c, RACF_REFUSED, "ICH06004I %s is not connected to %s", user, group);
}

void cmd_remove(struct cmd *c)
{
	cmd_each_name(c, cmd_positional(c, 0), remove_user);
}
