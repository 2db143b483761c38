#include "daemons/rpcbindD/store.h"
#include "lib/base/xalloc.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

enum { PUT, DELETE, COUNT };

struct store {
	sqlite3 *db;
	sqlite3_stmt *stmts[COUNT];
};

static const char *const sql[COUNT] = {
	[PUT] = "INSERT OR REPLACE INTO registration(prog, vers, netid, uaddr, owner) VALUES(?1, ?2, ?3, ?4, ?5)",
	[DELETE] = "DELETE FROM registration WHERE prog = ?1 AND vers = ?2 AND netid = ?3",
};

/* No fsync: a write(2) that was done outlives the process, and that is all this has to outlive. */
static const char schema[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-256;"
			     "CREATE TABLE IF NOT EXISTS boot(id TEXT NOT NULL) STRICT;"
			     "CREATE TABLE IF NOT EXISTS registration(prog INTEGER, vers INTEGER, netid TEXT, uaddr TEXT NOT NULL,"
			     " owner INTEGER NOT NULL, PRIMARY KEY(prog, vers, netid)) STRICT, WITHOUT ROWID;";

static void boot_id(char out[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, 36);
	if (fd >= 0)
		(void)close(fd);
	out[n > 0 ? n : 0] = 0;
}

static int same_boot(struct store *s)
{
	char id[40], *text = NULL;
	sqlite3_stmt *q = NULL;
	boot_id(id);
	bool same = sqlite3_prepare_v2(s->db, "SELECT id FROM boot", -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW &&
		    !strcmp((const char *)sqlite3_column_text(q, 0), id) && id[0];
	(void)sqlite3_finalize(q);
	if (same)
		return 0;
	text = sqlite3_mprintf("BEGIN; DELETE FROM boot; DELETE FROM registration; INSERT INTO boot VALUES(%Q); COMMIT", id);
	int rc = text && sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
	sqlite3_free(text);
	return rc;
}

static int prepare(struct store *s, const char *path, struct errbuf *e)
{
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK ||
		sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK || same_boot(s))
		return err_set(e, EIO, "%s: %s", path, s->db ? sqlite3_errmsg(s->db) : "out of memory");
	for (int i = 0; i < COUNT; i++)
		if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[i], NULL) != SQLITE_OK)
			return err_set(e, EIO, "%s: %s", path, sqlite3_errmsg(s->db));
	return 0;
}

int store_open(const char *path, struct store **ret, struct errbuf *e)
{
	struct store *s = xnew(struct store);
	int rc = prepare(s, path, e);
	if (rc) { /* what a power cut left behind belongs to another boot in any case */
		char more[512];
		store_close(s);
		(void)unlink(path);
		(void)snprintf(more, sizeof(more), "%s-wal", path);
		(void)unlink(more);
		s = xnew(struct store);
		rc = prepare(s, path, e);
	}
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
	for (int i = 0; i < COUNT; i++)
		(void)sqlite3_finalize(s->stmts[i]);
	(void)sqlite3_close(s->db);
	free(s);
}

static int run(struct store *s, int which, const struct registration *e)
{
	sqlite3_stmt *q = s->stmts[which];
	(void)sqlite3_bind_int64(q, 1, e->prog);
	(void)sqlite3_bind_int64(q, 2, e->vers);
	(void)sqlite3_bind_text(q, 3, netid_text(e->netid), -1, SQLITE_STATIC);
	if (which == PUT) {
		(void)sqlite3_bind_text(q, 4, e->uaddr, -1, SQLITE_STATIC);
		(void)sqlite3_bind_int64(q, 5, e->owner);
	}
	int rc = sqlite3_step(q);
	(void)sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : -EIO;
}

int store_put(struct store *s, const struct registration *e)
{
	return run(s, PUT, e);
}

int store_delete(struct store *s, const struct registration *e)
{
	return run(s, DELETE, e);
}

int store_clear(struct store *s)
{
	return sqlite3_exec(s->db, "DELETE FROM registration", NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
}

int store_load(struct store *s, store_fn fn, void *arg)
{
	sqlite3_stmt *q = NULL;
	if (sqlite3_prepare_v2(s->db, "SELECT prog, vers, netid, uaddr, owner FROM registration", -1, &q, NULL) != SQLITE_OK)
		return -EIO;
	int rc;
	while ((rc = sqlite3_step(q)) == SQLITE_ROW)
		fn(arg, (uint32_t)sqlite3_column_int64(q, 0), (uint32_t)sqlite3_column_int64(q, 1), netid_parse((const char *)sqlite3_column_text(q, 2)),
			(const char *)sqlite3_column_text(q, 3), (uid_t)sqlite3_column_int64(q, 4));
	(void)sqlite3_finalize(q);
	return rc == SQLITE_DONE ? 0 : -EIO;
}
