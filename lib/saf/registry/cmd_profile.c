/* General resource profiles: RDEFINE RALTER RDELETE RLIST SEARCH PERMIT. */
#include "lib/base/sha256.h"
#include "lib/saf/registry/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool class_known(struct cmd *c, const char *name)
{
	if (name && db_int(c->r, 0, "SELECT count(*) FROM classes WHERE name = ?", "s", name))
		return true;
	cmd_say(c, RACF_REFUSED, "ICH10102I %.40s is not a class; known classes are shown by SETROPTS LIST", name ? name : "");
	return false;
}

/* zos.md section 1: % and * as it allows them; names up to 246 characters of what resource names may have. */
static bool profile_name_ok(struct cmd *c, const char *name)
{
	size_t n = strlen(name), double_star = 0;
	const char *why = NULL;
	if (!n || n >= SAF_RESOURCE_MAX)
		why = "1 to 246 characters are allowed";
	for (const char *q = name; !why && *q;) {
		size_t len = strcspn(q, ".");
		if (!len)
			why = "a qualifier is empty";
		for (size_t i = 0; i < len && !why; i++) {
			if (!isalnum((unsigned char)q[i]) && !strchr("@#$_-%*/:", q[i]))
				why = "letters, digits and @ # $ _ - / : are allowed, and % and * as generic characters";
			else if (q[i] == '*' && i + 1 < len && !(len == 2 && i == 0 && q[1] == '*'))
				why = "* stands at the end of a qualifier, ** alone in one";
		}
		double_star += len == 2 && memcmp(q, "**", 2) == 0;
		q += len;
		if (*q == '.' && !q[1])
			why = "it ends in a period";
		q += *q == '.';
	}
	if (!why && double_star > 1)
		why = "** may stand once";
	if (why)
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID PROFILE NAME, %.60s: %s", name, why);
	return !why;
}

static int64_t profile_id(struct cmd *c, const char *class_name, const char *name)
{
	return db_int(c->r, 0, "SELECT id FROM profiles WHERE class = ? AND name = ?", "ss", class_name, name);
}

static void set_int(struct cmd *c, int64_t id, const char *column, int64_t v)
{
	char sql[80];
	(void)snprintf(sql, sizeof(sql), "UPDATE profiles SET %s = ? WHERE id = ?", column);
	if (db_exec(c->r, sql, "ii", v, id))
		cmd_say(c, RACF_REFUSED, "ICH10099I database error");
}

static void set_text(struct cmd *c, int64_t id, const char *column, const char *v)
{
	char sql[80];
	(void)snprintf(sql, sizeof(sql), "UPDATE profiles SET %s = ? WHERE id = ?", column);
	if (db_exec(c->r, sql, "si", v, id))
		cmd_say(c, RACF_REFUSED, "ICH10099I database error");
}

/* AUDIT(ALL|NONE|SUCCESS(level)|FAILURES(level) ...): level defaults to READ. */
static void set_audit(struct cmd *c, int64_t id, const char *keyword, const char *success, const char *failures)
{
	const struct arg *a = cmd_key(c, keyword);
	if (!a)
		return;
	int s = SAF_ALTER + 1, f = SAF_ALTER + 1;
	for (const struct arg *x = a->list; x; x = x->next) {
		int level = cmd_level(c, keyword, x->list ? x->list->text : NULL, SAF_READ);
		bool all = strcmp(x->text, "ALL") == 0;
		if (all || strncmp(x->text, "SUCCESS", 7) == 0)
			s = level;
		if (all || strncmp(x->text, "FAILURE", 7) == 0)
			f = level;
		if (!all && strncmp(x->text, "SUCCESS", 7) && strncmp(x->text, "FAILURE", 7) && strcmp(x->text, "NONE"))
			cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID %s, %.40s: ALL, NONE, SUCCESS(level) or FAILURES(level)", keyword, x->text);
	}
	if (!a->list)
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID %s: ALL, NONE, SUCCESS(level) or FAILURES(level) in parentheses", keyword);
	set_int(c, id, success, s);
	set_int(c, id, failures, f);
}

static void set_members(struct cmd *c, int64_t id, const char *keyword, const char *kind, bool add)
{
	const struct arg *a = cmd_key(c, keyword);
	for (const struct arg *x = a ? a->list : NULL; x; x = x->next) {
		char name[64];
		const char *slash = strchr(x->text, '/');
		size_t n = slash ? (size_t)(slash - x->text) : strlen(x->text);
		long value = slash ? strtol(slash + 1, NULL, 10) : 0;
		if (!n || n >= sizeof(name) || (slash && (value < 1 || value > 254))) {
			cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID %s, %.60s: name, or name/1-254 for a security level", keyword, x->text);
			continue;
		}
		memcpy(name, x->text, n);
		name[n] = 0;
		if (add)
			(void)db_exec(c->r, "INSERT OR REPLACE INTO members VALUES(?, ?, ?, ?)", "issi", id, kind, name, (int64_t)value);
		else
			(void)db_exec(c->r, "DELETE FROM members WHERE profile = ? AND kind = ? AND name = ?", "iss", id, kind, name);
	}
}

static void set_ssignon(struct cmd *c, int64_t id)
{
	const struct arg *a = cmd_key(c, "SSIGNON");
	const struct arg *k = a ? a->list : NULL;
	uint8_t key[8];
	if (!a)
		return;
	bool masked = k && (strcmp(k->text, "KEYMASKED") == 0 || strcmp(k->text, "KEYENCRYPTED") == 0) && k->list;
	if (!masked || hex_parse(k->list->text, key, sizeof(key)))
		cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID SSIGNON: KEYMASKED(16 hexadecimal digits) is expected");
	else
		set_text(c, id, "sskey", k->list->text);
}

static void set_label(struct cmd *c, int64_t id)
{
	const char *label = cmd_key(c, "SECLABEL") ? cmd_value(c, "SECLABEL") : NULL;
	if (cmd_key(c, "NOSECLABEL"))
		set_text(c, id, "label", NULL);
	if (!label)
		return;
	bool built_in = strcmp(label, "SYSHIGH") == 0 || strcmp(label, "SYSLOW") == 0 || strcmp(label, "SYSNONE") == 0 || strcmp(label, "SYSMULTI") == 0;
	if (!built_in && !profile_id(c, "SECLABEL", label))
		cmd_say(c, RACF_REFUSED, "ICH10017I SECLABEL %.8s is not defined: RDEFINE SECLABEL %.8s SECLEVEL(...) first", label, label);
	set_text(c, id, "label", label);
}

static void apply_operands(struct cmd *c, int64_t id)
{
	static const char *const texts[][2] = {{"OWNER", "owner"}, {"APPLDATA", "appldata"}, {"SECLEVEL", "level"}, {"NOTIFY", "notify"}};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *v = cmd_key(c, texts[i][0]) ? cmd_value(c, texts[i][0]) : NULL;
		if (v)
			set_text(c, id, texts[i][1], v);
	}
	if (cmd_key(c, "NOAPPLDATA"))
		set_text(c, id, "appldata", NULL);
	const char *uacc = cmd_value(c, "UACC");
	if (uacc)
		set_int(c, id, "uacc", cmd_level(c, "UACC", uacc, SAF_NONE));
	if (cmd_key(c, "WARNING") || cmd_key(c, "NOWARNING"))
		set_int(c, id, "warning", cmd_key(c, "WARNING") != NULL);
	set_audit(c, id, "AUDIT", "asuccess", "afailures");
	set_audit(c, id, "GLOBALAUDIT", "gsuccess", "gfailures");
	set_label(c, id);
	set_members(c, id, "ADDMEM", "MEM", true);
	set_members(c, id, "DELMEM", "MEM", false);
	set_members(c, id, "ADDCATEGORY", "CATEGORY", true);
	set_members(c, id, "DELCATEGORY", "CATEGORY", false);
	set_ssignon(c, id);
	const struct arg *st = cmd_key(c, "STDATA");
	for (const struct arg *x = st ? st->list : NULL; x; x = x->next)
		if (strcmp(x->text, "USER") == 0 && x->list)
			set_text(c, id, "stuser", x->list->text);
}

static void check_label_profile(struct cmd *c, const char *class_name, int64_t id)
{
	if (strcmp(class_name, "SECLABEL"))
		return;
	if (!db_int(c->r, 0,
		    "SELECT count(*) FROM profiles p JOIN members m ON m.name = p.level JOIN profiles s ON s.id = m.profile WHERE p.id = ? AND"
		    " s.class = 'SECDATA' AND s.name = 'SECLEVEL'", "i", id))
		cmd_say(c, RACF_REFUSED, "ICH10018I a SECLABEL needs SECLEVEL(name) with a level defined by RDEFINE SECDATA SECLEVEL ADDMEM(name/number)");
	if (db_int(c->r, 0,
		    "SELECT count(*) FROM members m WHERE m.profile = ? AND m.kind = 'CATEGORY' AND m.name NOT IN (SELECT o.name FROM members o JOIN"
		    " profiles s ON s.id = o.profile WHERE s.class = 'SECDATA' AND s.name = 'CATEGORY')", "i", id))
		cmd_say(c, RACF_REFUSED, "ICH10018I a category of the SECLABEL is not defined: RDEFINE SECDATA CATEGORY ADDMEM(name) first");
}

void cmd_rdefine(struct cmd *c)
{
	const char *class_name = cmd_positional(c, 0)->text, *name = cmd_positional(c, 1)->text;
	if (!class_known(c, class_name) || !profile_name_ok(c, name))
		return;
	bool wild = strpbrk(name, "*%") != NULL;
	/* Made before GENERIC(class) was on, a name with * is a discrete one: it covers only itself. */
	bool generic = wild && db_int(c->r, 0, "SELECT generic FROM classes WHERE name = ?", "s", class_name);
	if (db_int(c->r, 0, "SELECT count(*) FROM profiles", "") >= 1000000) {
		cmd_say(c, RACF_REFUSED, "ICH10103I the limit of 1000000 profiles is reached");
		return;
	}
	int rc = db_exec(c->r, "INSERT INTO profiles(class, name, generic, uacc, owner) VALUES(?1, ?2, ?3, (SELECT uacc FROM classes WHERE name = ?1), ?4)",
		"ssis", class_name, name, (int64_t)generic, c->by);
	if (rc == -EEXIST) {
		cmd_say(c, RACF_REFUSED, "ICH10102I %s ALREADY DEFINED TO CLASS %s", name, class_name);
		return;
	}
	if (rc) {
		cmd_say(c, RACF_REFUSED, "ICH10099I database error");
		return;
	}
	int64_t id = profile_id(c, class_name, name);
	apply_operands(c, id);
	check_label_profile(c, class_name, id);
	if (wild && !generic)
		cmd_say(c, RACF_WARNED, "ICH10104I %s is a discrete profile: generics are not active in %s; SETROPTS GENERIC(%s) first", name, class_name,
			class_name);
}

static int64_t need_profile(struct cmd *c, const char *class_name, const char *name)
{
	if (!class_known(c, class_name))
		return 0;
	int64_t id = profile_id(c, class_name, name);
	if (!id)
		cmd_say(c, RACF_REFUSED, "ICH13003I %.60s NOT FOUND in class %s", name, class_name);
	return id;
}

void cmd_ralter(struct cmd *c)
{
	const char *class_name = cmd_positional(c, 0)->text;
	int64_t id = need_profile(c, class_name, cmd_positional(c, 1)->text);
	if (!id)
		return;
	apply_operands(c, id);
	check_label_profile(c, class_name, id);
}

void cmd_rdelete(struct cmd *c)
{
	int64_t id = need_profile(c, cmd_positional(c, 0)->text, cmd_positional(c, 1)->text);
	if (!id)
		return;
	(void)db_exec(c->r, "DELETE FROM acl WHERE profile = ?", "i", id);
	(void)db_exec(c->r, "DELETE FROM members WHERE profile = ?", "i", id);
	(void)db_exec(c->r, "DELETE FROM profiles WHERE id = ?", "i", id);
}

static const char *audit_text(int s, int f, char out[48])
{
	if (s > SAF_ALTER && f > SAF_ALTER)
		return "NONE";
	out[0] = 0;
	if (s <= SAF_ALTER)
		(void)snprintf(out, 48, "SUCCESS(%s)", saf_level_text((enum saf_level)s));
	if (f <= SAF_ALTER)
		(void)snprintf(out + strlen(out), 48 - strlen(out), "%sFAILURES(%s)", out[0] ? "," : "", saf_level_text((enum saf_level)f));
	return out;
}

static void list_acl(struct cmd *c, int64_t id)
{
	sqlite3_stmt *st = db_query(c->r, "SELECT id, level, kind FROM acl WHERE profile = ? ORDER BY kind, id", "i", id);
	if (c->json) {
		json_key(c->json, "access");
		json_open(c->json, '[');
	}
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *level = saf_level_text((enum saf_level)sqlite3_column_int(st, 1));
		if (!c->json) {
			(void)fprintf(c->out, "  USER=%-8s ACCESS=%s\n", db_text(st, 0), level);
			continue;
		}
		json_open(c->json, '{');
		json_kv_str(c->json, "id", db_text(st, 0));
		json_kv_str(c->json, "access", level);
		json_close(c->json, '}');
	}
	(void)sqlite3_finalize(st);
	if (c->json)
		json_close(c->json, ']');
}

static void list_row(struct cmd *c, sqlite3_stmt *st)
{
	char audit[48];
	const char *class_name = db_text(st, 1), *name = db_text(st, 2), *uacc = saf_level_text((enum saf_level)sqlite3_column_int(st, 4));
	const char *aud = audit_text(sqlite3_column_int(st, 7), sqlite3_column_int(st, 8), audit);
	if (!c->json) {
		(void)fprintf(c->out, "CLASS=%s NAME=%s%s\n  OWNER=%s UNIVERSAL ACCESS=%s WARNING=%s AUDIT=%s\n", class_name, name,
			sqlite3_column_int(st, 3) ? " (G)" : "", db_text(st, 5), uacc, sqlite3_column_int(st, 6) ? "YES" : "NO", aud);
		if (*db_text(st, 9))
			(void)fprintf(c->out, "  SECLABEL=%s\n", db_text(st, 9));
		if (*db_text(st, 10))
			(void)fprintf(c->out, "  APPLICATION DATA=%s\n", db_text(st, 10));
		list_acl(c, sqlite3_column_int64(st, 0));
		return;
	}
	json_open(c->json, '{');
	json_kv_str(c->json, "class", class_name);
	json_kv_str(c->json, "profile", name);
	json_kv_bool(c->json, "generic", sqlite3_column_int(st, 3));
	json_kv_str(c->json, "owner", db_text(st, 5));
	json_kv_str(c->json, "uacc", uacc);
	json_kv_bool(c->json, "warning", sqlite3_column_int(st, 6));
	json_kv_str(c->json, "audit", aud);
	json_kv_str(c->json, "seclabel", db_text(st, 9));
	json_kv_str(c->json, "appldata", db_text(st, 10));
	list_acl(c, sqlite3_column_int64(st, 0));
	json_close(c->json, '}');
}

void cmd_rlist(struct cmd *c)
{
	const char *class_name = cmd_positional(c, 0)->text, *name = cmd_positional(c, 1)->text;
	bool all = strcmp(name, "*") == 0 && !profile_id(c, class_name, name);
	if (!class_known(c, class_name) || (!all && !need_profile(c, class_name, name)))
		return;
	sqlite3_stmt *st = db_query(c->r,
		"SELECT id, class, name, generic, uacc, owner, warning, asuccess, afailures, label, appldata FROM profiles WHERE class = ? AND"
		" (? OR name = ?) ORDER BY name", "sis", class_name, (int64_t)all, name);
	if (c->json)
		json_open(c->json, '[');
	while (sqlite3_step(st) == SQLITE_ROW)
		list_row(c, st);
	(void)sqlite3_finalize(st);
	if (c->json)
		json_close(c->json, ']');
}

void cmd_search(struct cmd *c)
{
	const char *class_name = cmd_value(c, "CLASS"), *mask = cmd_key(c, "MASK") ? cmd_value(c, "MASK") : "";
	if (cmd_failed(c) || !class_known(c, class_name))
		return;
	sqlite3_stmt *st = db_query(c->r, "SELECT name, generic FROM profiles WHERE class = ?1 AND substr(name, 1, length(?2)) = ?2 ORDER BY name", "ss",
		class_name, mask);
	unsigned n = 0;
	if (c->json)
		json_open(c->json, '[');
	for (; sqlite3_step(st) == SQLITE_ROW; n++) {
		if (c->json)
			json_str(c->json, db_text(st, 0));
		else
			(void)fprintf(c->out, "%s%s\n", db_text(st, 0), sqlite3_column_int(st, 1) ? " (G)" : "");
	}
	(void)sqlite3_finalize(st);
	if (c->json)
		json_close(c->json, ']');
	else if (!n)
		cmd_say(c, RACF_WARNED, "ICH31005I NO ENTRIES MEET SEARCH CRITERIA");
}

static void permit_one(struct cmd *c, int64_t id, const char *who, int level)
{
	int kind = strcmp(who, "*") == 0 ? 2
		   : db_int(c->r, 0, "SELECT count(*) FROM users WHERE name = ?", "s", who)  ? 0
		   : db_int(c->r, 0, "SELECT count(*) FROM groups WHERE name = ?", "s", who) ? 1
											      : -1;
	if (kind < 0) {
		cmd_say(c, RACF_REFUSED, "ICH06003I %.40s NOT DEFINED TO RACF: ADDUSER or ADDGROUP first", who);
		return;
	}
	if (level < 0) {
		(void)db_exec(c->r, "DELETE FROM acl WHERE profile = ? AND kind = ? AND id = ?", "iis", id, (int64_t)kind, who);
		if (!db_changes(c->r))
			cmd_say(c, RACF_WARNED, "ICH06004I %s NOT FOUND IN ACCESS LIST", who);
		return;
	}
	if (db_exec(c->r, "INSERT OR REPLACE INTO acl VALUES(?, ?, ?, ?)", "iisi", id, (int64_t)kind, who, (int64_t)level))
		cmd_say(c, RACF_REFUSED, "ICH06099I database error");
}

void cmd_permit(struct cmd *c)
{
	const char *class_name = cmd_value(c, "CLASS"), *access = cmd_key(c, "ACCESS") ? cmd_value(c, "ACCESS") : "READ";
	const struct arg *ids = cmd_key(c, "ID");
	bool del = cmd_key(c, "DELETE"), reset = cmd_key(c, "RESET");
	if (!class_name && !cmd_failed(c))
		cmd_say(c, RACF_SYNTAX, "IKJ56701I MISSING OPERAND: PERMIT profile CLASS(class) ID(user|group|* ...) ACCESS(level)");
	if (!reset && (!ids || !ids->list))
		cmd_say(c, RACF_SYNTAX, "IKJ56701I MISSING OPERAND: ID(user|group|* ...)");
	if (cmd_failed(c))
		return;
	int level = del ? -1 : cmd_level(c, "ACCESS", access, SAF_READ);
	int64_t id = need_profile(c, class_name, cmd_positional(c, 0)->text);
	if (!id || cmd_failed(c))
		return;
	if (reset)
		(void)db_exec(c->r, "DELETE FROM acl WHERE profile = ?", "i", id);
	for (const struct arg *x = ids ? ids->list : NULL; x; x = x->next)
		permit_one(c, id, x->text, level);
}
