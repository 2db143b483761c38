/* The SQLite side: opening, schema, one-line statements, commit and publication. */
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/saf/registry/internal.h"
#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char schema[] =
	"CREATE TABLE meta(k TEXT PRIMARY KEY, v);"
	"CREATE TABLE users(name TEXT PRIMARY KEY, dfltgrp TEXT NOT NULL, owner TEXT, full_name TEXT, uid INTEGER, login TEXT,"
	" home TEXT, program TEXT, seclabel TEXT, data TEXT, revoked INTEGER DEFAULT 0, restricted INTEGER DEFAULT 0,"
	" special INTEGER DEFAULT 0, operations INTEGER DEFAULT 0, auditor INTEGER DEFAULT 0, pw TEXT, expired INTEGER DEFAULT 0);"
	"CREATE TABLE groups(name TEXT PRIMARY KEY, supgroup TEXT, owner TEXT, data TEXT);"
	"CREATE TABLE connects(user TEXT, grp TEXT, authority TEXT, revoked INTEGER DEFAULT 0, PRIMARY KEY(user, grp));"
	"CREATE TABLE classes(name TEXT PRIMARY KEY, active INTEGER, generic INTEGER, raclist INTEGER, logopt INTEGER, mac INTEGER,"
	" uacc INTEGER);"
	"CREATE TABLE profiles(id INTEGER PRIMARY KEY, class TEXT, name TEXT, generic INTEGER, uacc INTEGER, owner TEXT,"
	" warning INTEGER DEFAULT 0, asuccess INTEGER DEFAULT 6, afailures INTEGER DEFAULT 2, gsuccess INTEGER DEFAULT 6,"
	" gfailures INTEGER DEFAULT 6, label TEXT, level TEXT, appldata TEXT, notify TEXT, stuser TEXT, sskey TEXT, UNIQUE(class, name));"
	"CREATE TABLE acl(profile INTEGER, kind INTEGER, id TEXT, level INTEGER, PRIMARY KEY(profile, kind, id));"
	"CREATE TABLE members(profile INTEGER, kind TEXT, name TEXT, value INTEGER, PRIMARY KEY(profile, kind, name));"
	"CREATE TABLE options(k TEXT PRIMARY KEY, v INTEGER);"
	"INSERT INTO meta VALUES('generation', 1), ('published', 0);"
	"INSERT INTO groups VALUES('SYS1', NULL, 'IBMUSER', NULL);"
	"INSERT INTO users(name, dfltgrp, owner, full_name, uid, special) VALUES('IBMUSER', 'SYS1', 'IBMUSER', 'SYSTEM OWNER', 0, 1);"
	"INSERT INTO connects VALUES('IBMUSER', 'SYS1', 'JOIN', 0);"
	/* mac: 4 equal, 8 reverse, 16 needs a label under MLACTIVE (enum snap_class_flag) */
	"INSERT INTO classes VALUES('SERVAUTH', 1, 1, 1, 0, 4, 0), ('FACILITY', 0, 0, 0, 0, 0, 0), ('APPL', 0, 0, 0, 0, 16, 0),"
	" ('PTKTDATA', 0, 0, 0, 0, 0, 0), ('STARTED', 0, 0, 0, 0, 0, 0), ('SECLABEL', 0, 0, 0, 0, 0, 0), ('SECDATA', 0, 0, 0, 0, 0, 0),"
	" ('OPERCMDS', 0, 0, 0, 0, 0, 0), ('SURROGAT', 0, 0, 0, 0, 0, 0), ('DIGTCERT', 0, 0, 0, 0, 0, 0), ('DIGTRING', 0, 0, 0, 0, 0, 0),"
	" ('DIGTNMAP', 0, 0, 0, 0, 0, 0), ('RDATALIB', 0, 0, 0, 0, 0, 0), ('TERMINAL', 0, 0, 0, 0, 24, 0), ('UNIXPRIV', 0, 0, 0, 0, 0, 0);"
	"INSERT INTO options VALUES('PWREVOKE', 5), ('MLS', 0), ('MLACTIVE', 0);";

static sqlite3_stmt *prepare(struct registry *r, const char *sql, const char *types, va_list ap)
{
	sqlite3_stmt *st;
	if (sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) != SQLITE_OK)
		return NULL;
	for (int i = 1; *types; types++, i++) {
		if (*types == 's')
			(void)sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		else
			(void)sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
	}
	return st;
}

static int to_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return -EACCES;
	default:
		return -EIO;
	}
}

int db_exec(struct registry *r, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *st = prepare(r, sql, types, ap);
	va_end(ap);
	if (!st)
		return -EIO;
	(void)sqlite3_step(st);
	return to_errno(sqlite3_finalize(st));
}

int64_t db_int(struct registry *r, int64_t dflt, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *st = prepare(r, sql, types, ap);
	va_end(ap);
	if (st && sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
		dflt = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return dflt;
}

sqlite3_stmt *db_query(struct registry *r, const char *sql, const char *types, ...)
{
	va_list ap;
	va_start(ap, types);
	sqlite3_stmt *st = prepare(r, sql, types, ap);
	va_end(ap);
	return st;
}

const char *db_text(sqlite3_stmt *st, int col)
{
	const char *s = (const char *)sqlite3_column_text(st, col);
	return s ? s : "";
}

int64_t db_changes(struct registry *r)
{
	return sqlite3_changes(r->db);
}

static int begin(struct registry *r)
{
	int rc = db_exec(r, "BEGIN IMMEDIATE", "");
	r->in_tx = !rc;
	r->dirty = false;
	return rc;
}

static int take_lock(struct registry *r, struct errbuf *e)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/lock", r->dir);
	r->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (r->lock_fd < 0)
		return err_set(e, errno, "%s: %s%s", path, strerror(errno), errno == EACCES ? "; SAF is administered by root" : "");
	for (int tries = 0; flock(r->lock_fd, LOCK_EX | LOCK_NB); tries++) {
		if (errno != EWOULDBLOCK || tries == 200)
			return err_set(e, EBUSY, "%s: another safctl is writing", path);
		(void)usleep(50000);
	}
	return 0;
}

static int open_db(struct registry *r, bool create, struct errbuf *e)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/registry.db", r->dir);
	int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
	mode_t old = umask(077);
	int rc = sqlite3_open_v2(path, &r->db, flags, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(r->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF",
			NULL, NULL, NULL);
	(void)umask(old);
	if (rc != SQLITE_OK && !create && access(path, F_OK))
		return err_set(e, ENOENT, "%s: no SAF database; run 'safctl --init'", path);
	if (rc != SQLITE_OK)
		return err_set(e, -to_errno(rc), "%s: %s", path, sqlite3_errmsg(r->db));
	if (db_int(r, 0, "SELECT count(*) FROM sqlite_master WHERE name='meta'", ""))
		return 0;
	if (!create)
		return err_set(e, ENOENT, "%s: empty SAF database; run 'safctl --init'", path);
	rc = sqlite3_exec(r->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(r->db, schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(r->db, "COMMIT", NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : err_set(e, -to_errno(rc), "%s: %s", path, sqlite3_errmsg(r->db));
}

static int make_directory(const char *dir, struct errbuf *e)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + 1;; p++) {
		char c = *p;
		if (c != '/' && c)
			continue;
		*p = 0;
		if (mkdir(path, 0755) && errno != EEXIST)
			return err_set(e, errno, "%s: %s", path, strerror(errno));
		*p = c;
		if (!c)
			return 0;
	}
}

/* What a killed writer committed but did not publish. */
static int catch_up(struct registry *r, struct errbuf *e)
{
	uint64_t now = (uint64_t)db_int(r, 1, "SELECT v FROM meta WHERE k='generation'", "");
	char path[256];
	struct saf *probe = NULL;
	bool good = saf_open(r->dir, &probe, NULL) == 0 && saf_generation(probe) == now;
	(void)snprintf(path, sizeof(path), "%s/secrets", r->dir);
	good = good && access(path, F_OK) == 0;
	saf_close(probe);
	return good ? snapshot_announce(r->dir, now, e) : snapshot_publish(r, now, e);
}

int registry_open(const char *dir, bool create, struct registry **ret, struct errbuf *e)
{
	char standard[PATH_TEXT_MAX];
	struct registry *r = xnew(struct registry);
	r->lock_fd = -1;
	(void)snprintf(r->dir, sizeof(r->dir), "%s", dir ? dir : path_make(standard, "/var/lib/ravelin/saf"));
	int rc = create ? make_directory(r->dir, e) : 0;
	if (!rc && !create && access(r->dir, F_OK))
		rc = err_set(e, ENOENT, "%s: no SAF database; run 'safctl --init'", r->dir);
	if (!rc)
		rc = take_lock(r, e);
	if (!rc)
		rc = open_db(r, create, e);
	if (!rc)
		rc = catch_up(r, e);
	if (!rc && begin(r))
		rc = err_set(e, EBUSY, "%s: %s", r->dir, sqlite3_errmsg(r->db));
	if (rc) {
		registry_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	if (r->in_tx)
		(void)db_exec(r, "ROLLBACK", "");
	(void)sqlite3_close(r->db);
	if (r->lock_fd >= 0)
		(void)close(r->lock_fd);
	free(r);
}

void registry_set_audit(struct registry *r, struct audit *a)
{
	r->audit = a;
}

int registry_commit(struct registry *r, struct errbuf *e)
{
	if (!r->dirty)
		return 0;
	int rc = db_exec(r, "UPDATE meta SET v = v + 1 WHERE k='generation'", "");
	if (!rc)
		rc = db_exec(r, "COMMIT", "");
	if (rc) {
		(void)db_exec(r, "ROLLBACK", "");
		(void)begin(r);
		return err_set(e, -rc, "SAF database: %s: nothing was changed", sqlite3_errmsg(r->db));
	}
	r->in_tx = false;
	rc = snapshot_publish(r, (uint64_t)db_int(r, 1, "SELECT v FROM meta WHERE k='generation'", ""), e);
	if (!rc && begin(r))
		rc = err_set(e, EBUSY, "SAF database: %s", sqlite3_errmsg(r->db));
	return rc;
}

bool registry_may_administer(struct registry *r, uid_t who, char ret_user[9])
{
	ret_user[0] = 0;
	sqlite3_stmt *st = db_query(r, "SELECT name, special, revoked FROM users WHERE uid = ? ORDER BY name LIMIT 1", "i", (int64_t)who);
	bool allowed = who == 0;
	if (st && sqlite3_step(st) == SQLITE_ROW) {
		(void)snprintf(ret_user, 9, "%s", db_text(st, 0));
		allowed = allowed || (sqlite3_column_int(st, 1) && !sqlite3_column_int(st, 2));
	}
	(void)sqlite3_finalize(st);
	return allowed;
}

int registry_user_uid(struct registry *r, const char *user, uid_t *ret)
{
	sqlite3_stmt *st = db_query(r, "SELECT uid, login FROM users WHERE name = ?", "s", user);
	int rc = -ENOENT;
	if (st && sqlite3_step(st) == SQLITE_ROW) {
		const struct passwd *pw = db_text(st, 1)[0] ? getpwnam(db_text(st, 1)) : NULL;
		bool has_uid = sqlite3_column_type(st, 0) != SQLITE_NULL;
		rc = has_uid || pw ? 0 : -ENODATA;
		if (!rc)
			*ret = has_uid ? (uid_t)sqlite3_column_int64(st, 0) : pw->pw_uid;
	}
	(void)sqlite3_finalize(st);
	return rc;
}
