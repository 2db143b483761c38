#include "lib/saf/verify/logon.h"
#include "lib/base/xalloc.h"
#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>

struct logon {
	sqlite3 *db;
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS state(user TEXT PRIMARY KEY, bad INTEGER NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS used(user TEXT, appl TEXT, ticket TEXT, expires INTEGER, PRIMARY KEY(user, appl, ticket))"
	" WITHOUT ROWID;";

struct logon *logon_open(const char *dir, bool create)
{
	char path[300];
	struct logon *l = xnew(struct logon);
	(void)snprintf(path, sizeof(path), "%s/logon/logon.db", dir);
	mode_t old = umask(007);
	int rc = sqlite3_open_v2(path, &l->db, create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(l->db, 2000);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(l->db, schema, NULL, NULL, NULL);
	(void)umask(old);
	if (rc == SQLITE_OK)
		return l;
	logon_close(l);
	return NULL;
}

void logon_close(struct logon *l)
{
	if (!l)
		return;
	(void)sqlite3_close(l->db);
	free(l);
}

/* Runs one statement with up to four texts; the first column of its first row, or @missing; INT64_MIN: it failed. */
static int64_t run(struct logon *l, const char *sql, const char *const texts[], int ntexts, int64_t number, int64_t missing)
{
	sqlite3_stmt *s;
	int64_t v = missing;
	if (sqlite3_prepare_v2(l->db, sql, -1, &s, NULL) != SQLITE_OK)
		return INT64_MIN;
	for (int i = 0; i < ntexts; i++)
		(void)sqlite3_bind_text(s, i + 1, texts[i], -1, SQLITE_TRANSIENT);
	(void)sqlite3_bind_int64(s, ntexts + 1, number);
	int rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		v = sqlite3_column_int64(s, 0);
		rc = sqlite3_step(s);
	}
	(void)sqlite3_finalize(s);
	return rc == SQLITE_DONE ? v : INT64_MIN;
}

bool logon_is_revoked(struct logon *l, const char *user)
{
	return l && run(l, "SELECT revoked FROM state WHERE user = ?1 AND ?2 = 0", &user, 1, 0, 0) != 0;
}

int logon_bad(struct logon *l, const char *user, uint32_t limit)
{
	int64_t v = run(l, "INSERT INTO state VALUES(?1, 1, ?2 = 1) ON CONFLICT(user) DO UPDATE SET bad = bad + 1, "
		"revoked = revoked OR (?2 > 0 AND bad + 1 >= ?2) RETURNING revoked", &user, 1, limit, 0);
	return v == INT64_MIN ? -EIO : v != 0;
}

int logon_good(struct logon *l, const char *user)
{
	return run(l, "UPDATE state SET bad = ?2 WHERE user = ?1 AND bad", &user, 1, 0, 0) == INT64_MIN ? -EIO : 0;
}

int logon_resume(struct logon *l, const char *user)
{
	return run(l, "DELETE FROM state WHERE user = ?1 AND ?2 = 0", &user, 1, 0, 0) == INT64_MIN ? -EIO : 0;
}

int logon_use_ticket(struct logon *l, const char *user, const char *appl, const char *ticket, int64_t now, int64_t expires)
{
	const char *texts[] = {user, appl, ticket};
	if (run(l, "DELETE FROM used WHERE expires < ?1", NULL, 0, now, 0) == INT64_MIN)
		return -EIO;
	int64_t v = run(l, "INSERT INTO used VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING RETURNING 1", texts, 3, expires, 0);
	return v == INT64_MIN ? -EIO : v ? 0 : -EEXIST;
}
