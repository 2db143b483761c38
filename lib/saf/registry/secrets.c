/* Compiles the secrets file from the database: password hashes and PassTicket keys (lib/saf/verify/secrets.h). */
#include "lib/saf/verify/passticket.h"
#include "lib/saf/verify/secrets.h"
#include "lib/base/sha256.h"
#include "lib/saf/registry/internal.h"
#include <ctype.h>
#include <grp.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_users(struct registry *r, struct secrets_writer *w)
{
	sqlite3_stmt *st = db_query(r, "SELECT name, pw, expired FROM users WHERE pw IS NOT NULL ORDER BY name", "");
	while (st && sqlite3_step(st) == SQLITE_ROW)
		secrets_user(w, db_text(st, 0), db_text(st, 1), sqlite3_column_int(st, 2) != 0);
	(void)sqlite3_finalize(st);
}

static void add_keys(struct registry *r, struct secrets_writer *w)
{
	uint8_t key[8];
	sqlite3_stmt *st = db_query(r, "SELECT name, sskey, appldata FROM profiles WHERE class = 'PTKTDATA' AND sskey IS NOT NULL ORDER BY name", "");
	while (st && sqlite3_step(st) == SQLITE_ROW)
		if (!hex_parse(db_text(st, 1), key, sizeof(key)))
			secrets_key(w, db_text(st, 0), key, !strcasecmp(db_text(st, 2), "NO REPLAY PROTECTION"));
	(void)sqlite3_finalize(st);
	secret_wipe(key, sizeof(key));
}

/* The group of the daemons that authenticate, where it exists and we may give files to it. */
static const struct group *saf_group(void)
{
	return geteuid() ? NULL : getgrnam("ravelin-saf");
}

static int make_logon_dir(const char *dir, struct errbuf *e)
{
	char path[256];
	const struct group *g = saf_group();
	(void)snprintf(path, sizeof(path), "%s/logon", dir);
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (g && (chown(path, (uid_t)-1, g->gr_gid) || chmod(path, 02770)))
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	return 0;
}

int secrets_publish(struct registry *r, struct errbuf *e)
{
	struct secrets_writer w;
	const struct group *g = saf_group();
	size_t len;
	int rc = make_logon_dir(r->dir, e);
	if (rc)
		return rc;
	secrets_begin(&w, (uint32_t)db_int(r, 5, "SELECT v FROM options WHERE k = 'PWREVOKE'", ""));
	add_users(r, &w);
	add_keys(r, &w);
	const void *data = secrets_end(&w, &len);
	rc = replace_file(r->dir, "secrets", data, len, 0640, g ? (int64_t)g->gr_gid : -1, e);
	secrets_fini(&w);
	return rc;
}

static bool upper_name(char out[SAF_USER_MAX], const char *in)
{
	size_t n = strlen(in);
	for (size_t i = 0; i <= n && n < SAF_USER_MAX; i++)
		out[i] = (char)toupper((unsigned char)in[i]);
	return n && n < SAF_USER_MAX && name_ok(out);
}

/* The key of appl.group.user, appl.user, appl.group or appl: the first that has one, as saf_verify looks. */
static bool ticket_key(struct registry *r, const char *appl, const char *user, uint8_t key[8])
{
	sqlite3_stmt *st = db_query(r, "SELECT p.sskey FROM users u JOIN profiles p ON p.class = 'PTKTDATA' AND p.sskey IS NOT NULL WHERE"
		" u.name = ?2 AND p.name IN (?1 || '.' || u.dfltgrp || '.' || ?2, ?1 || '.' || ?2, ?1 || '.' || u.dfltgrp, ?1)"
		" ORDER BY CASE p.name WHEN ?1 || '.' || u.dfltgrp || '.' || ?2 THEN 1 WHEN ?1 || '.' || ?2 THEN 2 WHEN ?1 THEN 4 ELSE 3 END"
		" LIMIT 1", "ss", appl, user);
	bool found = st && sqlite3_step(st) == SQLITE_ROW && !hex_parse(db_text(st, 0), key, 8);
	(void)sqlite3_finalize(st);
	return found;
}

int registry_passticket(struct registry *r, const char *by, const char *appl, const char *user, uint32_t when, char out[9])
{
	char a[SAF_USER_MAX], u[SAF_USER_MAX];
	uint8_t key[8];
	if (!upper_name(a, appl) || !upper_name(u, user))
		return -EINVAL;
	int rc = ticket_key(r, a, u, key) ? passticket_make(u, a, key, when, out) : -ENOENT;
	secret_wipe(key, sizeof(key));
	if (r->audit) {
		struct json *j = audit_begin(r->audit, AUDIT_RACF, 0, rc != 0);
		json_kv_str(j, "user", by);
		json_kv_str(j, "command", "PASSTICKET");
		json_kv_str(j, "object", a);
		json_kv_str(j, "detail", u);
		(void)audit_commit(r->audit);
	}
	return rc;
}
