#include "daemons/defmgrD/store.h"
#include "lib/base/xalloc.h"
#include <sqlite3.h>
#include <sys/stat.h>

enum stmt { S_BEGIN, S_COMMIT, S_ROLLBACK, S_PUT, S_DELETE, S_DELETE_SCOPE, S_PURGE, S_KNOWN, S_LEARN, S_FORGET, S_LOAD, S_LAST,
	S_COUNT };

static const char *const sql[S_COUNT] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_ROLLBACK] = "ROLLBACK",
	[S_PUT] = "INSERT OR REPLACE INTO filter(id, scope, expires_us, body) VALUES(?1, ?2, ?3, ?4)",
	[S_DELETE] = "DELETE FROM filter WHERE id = ?1",
	[S_DELETE_SCOPE] = "DELETE FROM filter WHERE scope = ?1",
	[S_PURGE] = "DELETE FROM filter WHERE expires_us <= ?1",
	[S_KNOWN] = "SELECT 1 FROM known WHERE scope = ?1",
	[S_LEARN] = "INSERT OR REPLACE INTO known(scope) VALUES(?1)",
	[S_FORGET] = "DELETE FROM known WHERE scope = ?1",
	[S_LOAD] = "SELECT id, body FROM filter WHERE scope = ?1 ORDER BY id",
	[S_LAST] = "SELECT max(id) FROM filter",
};

static const char schema[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			     "CREATE TABLE IF NOT EXISTS filter(id INTEGER PRIMARY KEY, scope TEXT NOT NULL,"
			     " expires_us INTEGER NOT NULL, body BLOB NOT NULL) STRICT;"
			     "CREATE TABLE IF NOT EXISTS known(scope TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"
			     "PRAGMA user_version=1;";

struct store {
	sqlite3 *db;
	sqlite3_stmt *stmts[S_COUNT];
	bool active;
	uint8_t *buf;
	size_t cap;
};

static int step(struct store *s, enum stmt which)
{
	int rc = sqlite3_step(s->stmts[which]);
	(void)sqlite3_reset(s->stmts[which]);
	(void)sqlite3_clear_bindings(s->stmts[which]);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -EIO;
}

static int prepare(struct store *s, const char *path, struct errbuf *e)
{
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK ||
		sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(e, EIO, "%s: %s", path, s->db ? sqlite3_errmsg(s->db) : "out of memory");
	for (int i = 0; i < S_COUNT; i++)
		if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[i], NULL) != SQLITE_OK)
			return err_set(e, EIO, "%s: %s", path, sqlite3_errmsg(s->db));
	return 0;
}

int store_open(const char *dir, struct store **ret, struct errbuf *e)
{
	char path[512];
	if (snprintf(path, sizeof(path), "%s/filters.db", dir) >= (int)sizeof(path))
		return err_set(e, ENAMETOOLONG, "%.100s: name too long", dir);
	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	struct store *s = xnew(struct store);
	int rc = prepare(s, path, e);
	if (rc) {
		store_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->active)
		store_rollback(s);
	for (int i = 0; i < S_COUNT; i++)
		(void)sqlite3_finalize(s->stmts[i]);
	(void)sqlite3_close(s->db);
	free(s->buf);
	free(s);
}

int store_begin(struct store *s)
{
	if (s->active)
		return 0;
	int rc = step(s, S_BEGIN);
	s->active = !rc;
	return rc;
}

bool store_active(const struct store *s)
{
	return s->active;
}

int store_commit(struct store *s)
{
	if (!s->active)
		return 0;
	int rc = step(s, S_COMMIT);
	if (rc)
		store_rollback(s);
	s->active = false;
	return rc;
}

void store_rollback(struct store *s)
{
	/* SQLite has rolled back by itself after some errors; then this one fails, which is as well */
	(void)step(s, S_ROLLBACK);
	s->active = false;
}

const char *store_error(struct store *s)
{
	return sqlite3_errmsg(s->db);
}

int store_put(struct store *s, const char *scope, const struct filter *f)
{
	struct filter_view v;
	filter_view(f, FILTER_PARTS_MAX, NULL, &v);
	size_t len = defmgr__filter__get_packed_size(&v.msg);
	if (len > s->cap) {
		s->cap = len * 2;
		s->buf = xrealloc(s->buf, s->cap, 1);
	}
	(void)defmgr__filter__pack(&v.msg, s->buf);
	sqlite3_stmt *q = s->stmts[S_PUT];
	(void)sqlite3_bind_int64(q, 1, (sqlite3_int64)f->id);
	(void)sqlite3_bind_text(q, 2, scope, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(q, 3, (sqlite3_int64)f->expires_us);
	(void)sqlite3_bind_blob(q, 4, s->buf, (int)len, SQLITE_STATIC);
	return step(s, S_PUT);
}

static int step_u64(struct store *s, enum stmt which, uint64_t v)
{
	(void)sqlite3_bind_int64(s->stmts[which], 1, (sqlite3_int64)v);
	return step(s, which);
}

static int step_text(struct store *s, enum stmt which, const char *v)
{
	(void)sqlite3_bind_text(s->stmts[which], 1, v, -1, SQLITE_STATIC);
	return step(s, which);
}

int store_delete(struct store *s, uint64_t id)
{
	return step_u64(s, S_DELETE, id);
}

int store_delete_scope(struct store *s, const char *scope)
{
	return step_text(s, S_DELETE_SCOPE, scope);
}

int store_purge(struct store *s, uint64_t now_us)
{
	return step_u64(s, S_PURGE, now_us);
}

bool store_known(struct store *s, const char *scope)
{
	sqlite3_stmt *q = s->stmts[S_KNOWN];
	(void)sqlite3_bind_text(q, 1, scope, -1, SQLITE_STATIC);
	bool known = sqlite3_step(q) == SQLITE_ROW;
	(void)sqlite3_reset(q);
	(void)sqlite3_clear_bindings(q);
	return known;
}

int store_set_known(struct store *s, const char *scope, bool known)
{
	return step_text(s, known ? S_LEARN : S_FORGET, scope);
}

/* One row; false when it does not hold a filter. */
static bool load_row(sqlite3_stmt *q, struct filter *ret)
{
	const void *body = sqlite3_column_blob(q, 1);
	int len = sqlite3_column_bytes(q, 1);
	Defmgr__Filter *m = body ? defmgr__filter__unpack(NULL, (size_t)len, body) : NULL;
	bool ok = m && m->id == (uint64_t)sqlite3_column_int64(q, 0) && !filter_from_stored(m, ret, NULL);
	if (m)
		defmgr__filter__free_unpacked(m, NULL);
	return ok;
}

int store_load(struct store *s, const char *scope, void (*fn)(void *arg, const struct filter *f), void *arg, unsigned *ret_bad)
{
	sqlite3_stmt *q = s->stmts[S_LOAD];
	unsigned bad = 0;
	int rc;
	(void)sqlite3_bind_text(q, 1, scope, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct filter f;
		if (!load_row(q, &f)) {
			bad++;
			continue;
		}
		fn(arg, &f);
		free(f.origin);
	}
	(void)sqlite3_reset(q);
	(void)sqlite3_clear_bindings(q);
	*ret_bad = bad;
	return rc == SQLITE_DONE ? 0 : -EIO;
}

uint64_t store_last_id(struct store *s)
{
	sqlite3_stmt *q = s->stmts[S_LAST];
	uint64_t last = sqlite3_step(q) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
	(void)sqlite3_reset(q);
	return last;
}
