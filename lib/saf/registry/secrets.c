/* Compiles the secrets file from the database: password hashes and PassTicket keys (lib/saf/verify/secrets.h). */
#include "lib/saf/verify/secrets.h"
#include "lib/base/sha256.h"
#include "lib/saf/registry/internal.h"
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
