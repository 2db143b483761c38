/* Running a command: the table, keyword lookup by abbreviation, messages, all-or-nothing by savepoint, audit. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/saf/registry/internal.h"
#include <ctype.h>

const struct cmd_spec cmd_specs[] = {
	{"ADDUSER", "AU", "DFLTGRP OWNER NAME PASSWORD NOPASSWORD RESTRICTED SPECIAL OPERATIONS AUDITOR OMVS SECLABEL DATA",
		"ADDUSER user [DFLTGRP(group)] [NAME('text')] [OWNER(id)] [PASSWORD(p)|NOPASSWORD] [RESTRICTED] [SPECIAL] [AUDITOR]"
		" [OMVS(UID(n)|LOGIN(account) HOME('/') PROGRAM('/bin/sh'))] [SECLABEL(label)]", cmd_adduser},
	{"ALTUSER", "ALU", "DFLTGRP OWNER NAME PASSWORD NOPASSWORD EXPIRED NOEXPIRED RESTRICTED NORESTRICTED SPECIAL NOSPECIAL OPERATIONS NOOPERATIONS"
		" AUDITOR NOAUDITOR REVOKE RESUME OMVS NOOMVS SECLABEL NOSECLABEL DATA",
		"ALTUSER user [REVOKE|RESUME] [PASSWORD(p) [NOEXPIRED]] and the operands of ADDUSER, NO... to take away", cmd_altuser},
	{"DELUSER", "DU", "", "DELUSER user", cmd_deluser},
	{"LISTUSER", "LU", "", "LISTUSER user|*", cmd_listuser},
	{"PASSWORD", "PW", "PASSWORD USER NOEXPIRED", "PASSWORD USER(user) PASSWORD(new)", cmd_password},
	{"ADDGROUP", "AG", "SUPGROUP OWNER DATA", "ADDGROUP group [SUPGROUP(group)] [OWNER(id)]", cmd_addgroup},
	{"DELGROUP", "DG", "", "DELGROUP group", cmd_delgroup},
	{"LISTGRP", "LG", "", "LISTGRP group|*", cmd_listgrp},
	{"CONNECT", "CO", "GROUP AUTHORITY REVOKE RESUME", "CONNECT user GROUP(group) [AUTHORITY(USE|CREATE|CONNECT|JOIN)] [REVOKE|RESUME]", cmd_connect},
	{"REMOVE", "RE", "GROUP", "REMOVE user GROUP(group)", cmd_remove},
	{"RDEFINE", "RDEF", "UACC OWNER AUDIT GLOBALAUDIT APPLDATA WARNING NOWARNING SECLABEL SECLEVEL ADDCATEGORY ADDMEM STDATA SSIGNON NOTIFY DATA",
		"RDEFINE class profile [UACC(level)] [OWNER(id)] [AUDIT(ALL|SUCCESS(l)|FAILURES(l)|NONE)] [APPLDATA('t')] [WARNING] [SECLABEL(l)]"
		" [ADDMEM(name/level ...)] [SECLEVEL(l) ADDCATEGORY(c ...)] [STDATA(USER(u))] [SSIGNON(KEYMASKED(hex))]", cmd_rdefine},
	{"RALTER", "RALT", "UACC OWNER AUDIT GLOBALAUDIT APPLDATA NOAPPLDATA WARNING NOWARNING SECLABEL NOSECLABEL SECLEVEL ADDCATEGORY DELCATEGORY ADDMEM DELMEM"
		" STDATA SSIGNON NOTIFY DATA", "RALTER class profile, operands as RDEFINE", cmd_ralter},
	{"RDELETE", "RDEL", "", "RDELETE class profile", cmd_rdelete},
	{"RLIST", "RL", "ALL AUTHUSER", "RLIST class profile|* [ALL]", cmd_rlist},
	{"SEARCH", "SR", "CLASS MASK FILTER", "SEARCH CLASS(class) [MASK(start)]", cmd_search},
	{"PERMIT", "PE", "CLASS ID ACCESS DELETE RESET", "PERMIT profile CLASS(class) ID(user|group|* ...) ACCESS(level) | DELETE | RESET", cmd_permit},
	{"SETROPTS", "SETR", "CLASSACT NOCLASSACT GENERIC NOGENERIC RACLIST NORACLIST REFRESH LOGOPTIONS MLACTIVE NOMLACTIVE MLS NOMLS PASSWORD LIST",
		"SETROPTS [[NO]CLASSACT(c ...)] [[NO]GENERIC(c ...)] [RACLIST(c ...) [REFRESH]] [LOGOPTIONS(ALWAYS|NEVER|SUCCESSES|FAILURES|DEFAULT(c ...))]"
		" [MLACTIVE(WARNING|FAILURES)] [MLS(WARNING|FAILURES)] [PASSWORD(REVOKE(n))] [LIST]", cmd_setropts},
	{NULL, NULL, NULL, NULL, NULL},
};

void registry_help(FILE *out)
{
	for (const struct cmd_spec *s = cmd_specs; s->name; s++)
		(void)fprintf(out, "  %s  (%s)\n", s->usage, s->abbreviations);
}

void cmd_say(struct cmd *c, int rc, const char *fmt, ...)
{
	char text[600];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (rc > c->rc)
		c->rc = rc;
	(void)fprintf(c->out, "%s\n", text);
}

bool cmd_failed(const struct cmd *c)
{
	return c->rc > RACF_WARNED;
}

bool name_ok(const char *s)
{
	size_t n = strlen(s);
	if (!n || n > 8)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("@#$", *s))
			return false;
	return true;
}

int cmd_level(struct cmd *c, const char *keyword, const char *text, int dflt)
{
	enum saf_level l;
	if (!text)
		return dflt;
	if (saf_level_parse(text, &l) == 0)
		return (int)l;
	cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID %s, %s: NONE, EXECUTE, READ, UPDATE, CONTROL or ALTER is allowed", keyword, text);
	return dflt;
}

/* The keyword of the list @keywords that @word means: itself, or the only one that starts with it (two characters or more). */
static size_t keyword_of(const char *keywords, const char *word, const char **ret)
{
	size_t found = 0, wlen = strlen(word), matches = 0;
	for (const char *k = keywords; *k;) {
		size_t len = strcspn(k, " ");
		if (len >= wlen && memcmp(k, word, wlen) == 0) {
			if (len == wlen) {
				*ret = k;
				return len;
			}
			if (wlen >= 2) {
				*ret = k;
				found = len;
				matches++;
			}
		}
		k += len;
		k += strspn(k, " ");
	}
	return matches == 1 ? found : 0;
}


struct running {
	struct cmd c; /* first: a struct cmd * is one of these */
	const struct cmd_spec *spec;
};

static const struct cmd_spec *spec_of(const struct cmd *c)
{
	return ((const struct running *)(const void *)c)->spec;
}

static bool is_keyword(const struct cmd *c, const struct arg *a, const char *name)
{
	const char *k;
	size_t len = a->quoted || !a->text[0] ? 0 : keyword_of(spec_of(c)->keywords, a->text, &k);
	return len && (!name || (strlen(name) == len && memcmp(k, name, len) == 0));
}

/* Operands before these are names even when they read like a keyword (a user called DATA). */
static unsigned n_positional(const struct cmd_spec *s)
{
	if (strcmp(s->name, "SETROPTS") == 0 || strcmp(s->name, "SEARCH") == 0 || strcmp(s->name, "PASSWORD") == 0)
		return 0;
	return strncmp(s->name, "RDEF", 4) == 0 || strncmp(s->name, "RALT", 4) == 0 || strncmp(s->name, "RDEL", 4) == 0 ||
			       strcmp(s->name, "RLIST") == 0
		       ? 2
		       : 1;
}

struct arg *cmd_positional(struct cmd *c, unsigned n)
{
	struct arg *a = c->args;
	for (unsigned i = 0; a && i < n; i++)
		a = a->next;
	return n < n_positional(spec_of(c)) ? a : NULL;
}

struct arg *cmd_key(struct cmd *c, const char *name)
{
	unsigned i = 0;
	for (struct arg *a = c->args; a; a = a->next, i++)
		if (i >= n_positional(spec_of(c)) && is_keyword(c, a, name))
			return a;
	return NULL;
}

const char *cmd_value(struct cmd *c, const char *name)
{
	struct arg *a = cmd_key(c, name);
	if (!a)
		return NULL;
	if (a->list && !a->list->next)
		return a->list->text;
	cmd_say(c, RACF_SYNTAX, "IKJ56702I INVALID %s: one value in parentheses is expected", name);
	return NULL;
}

static void check_keywords(struct cmd *c)
{
	unsigned i = 0;
	for (struct arg *a = c->args; a; a = a->next, i++) {
		if (i < n_positional(spec_of(c)) || is_keyword(c, a, NULL))
			continue;
		cmd_say(c, RACF_SYNTAX, "IKJ56712I INVALID KEYWORD, %.40s: %s takes: %s", a->text[0] ? a->text : "(", spec_of(c)->name,
			spec_of(c)->usage);
	}
	if (i < n_positional(spec_of(c)))
		cmd_say(c, RACF_SYNTAX, "IKJ56701I MISSING OPERAND: %s", spec_of(c)->usage);
}

static const struct cmd_spec *find_command(const char *word)
{
	for (const struct cmd_spec *s = cmd_specs; s->name; s++)
		if (strcmp(word, s->name) == 0 || strcmp(word, s->abbreviations) == 0)
			return s;
	return NULL;
}

static void audit(struct registry *r, const struct cmd *c, const struct cmd_spec *s)
{
	if (!r->audit)
		return;
	struct json *j = audit_begin(r->audit, AUDIT_RACF, 0, c->rc > RACF_WARNED);
	json_kv_str(j, "user", c->by);
	json_kv_str(j, "command", s->name);
	/* Names only: operands may hold a password or a key. */
	json_kv_str(j, "object", c->args ? c->args->text : "");
	json_kv_str(j, "detail", c->args && c->args->next && n_positional(s) > 1 ? c->args->next->text : "");
	json_kv_u64(j, "rc", (uint64_t)c->rc);
	(void)audit_commit(r->audit);
}

static bool is_listing(const struct cmd_spec *s)
{
	return s->fn == cmd_listuser || s->fn == cmd_listgrp || s->fn == cmd_rlist || s->fn == cmd_search;
}

int registry_run(struct registry *r, const char *command, const char *by_user, struct json *json, FILE *out)
{
	struct errbuf e;
	struct args *args = xnew(struct args);
	struct running run = {.c = {.r = r, .by = by_user ? by_user : "", .out = out, .json = json}};
	struct cmd *c = &run.c;
	if (args_parse(command, args, &e)) {
		cmd_say(c, RACF_SYNTAX, "%s", e.text);
	} else if (args->first) {
		run.spec = find_command(args->first->text);
		c->args = args->first->next;
		if (!run.spec || args->first->has_list)
			cmd_say(c, RACF_SYNTAX, "IKJ56621I INVALID COMMAND NAME, %.40s: 'safctl --help' lists the commands", args->first->text);
		else
			check_keywords(c);
	}
	if (run.spec && !cmd_failed(c)) {
		(void)db_exec(r, "SAVEPOINT command", "");
		run.spec->fn(c);
		if (cmd_failed(c))
			(void)db_exec(r, "ROLLBACK TO command", "");
		else if (!is_listing(run.spec))
			r->dirty = true;
		(void)db_exec(r, "RELEASE command", "");
		if (!is_listing(run.spec))
			audit(r, c, run.spec);
	}
	secret_wipe(args, sizeof(*args)); /* passwords */
	free(args);
	return c->rc;
}

bool cmd_exists(struct cmd *c, const char *table, const char *name)
{
	char sql[80];
	(void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s WHERE name = ?", table); /* table is one of our literals */
	return db_int(c->r, 0, sql, "s", name) > 0;
}

/* One name, or (name name ...): calls @fn for each. */
void cmd_each_name(struct cmd *c, const struct arg *a, void (*fn)(struct cmd *c, const char *name))
{
	if (!a)
		return;
	if (a->text[0] || !a->has_list) {
		fn(c, a->text);
		return;
	}
	for (const struct arg *n = a->list; n; n = n->next)
		fn(c, n->text);
}
