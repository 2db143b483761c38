/* store: the filters on disk. SQLite in WAL mode with synchronous=FULL: what store_commit() returned 0 for survives a kill or a
 * power cut, what it did not is gone whole. One row a filter and scope, the packed Defmgr__Filter in it. The file is held
 * exclusively, so that a second daemon cannot work on it. */
#pragma once
#include "daemons/defmgrD/filter.h"

struct store;

#define STORE_GLOBAL "*" /* scope name of the globals; the others are stack names */

int store_open(const char *dir, struct store **ret, struct errbuf *e);
void store_close(struct store *s);

int store_begin(struct store *s); /* 0 also when a transaction is open already */
bool store_active(const struct store *s);
int store_commit(struct store *s); /* on failure everything since store_begin is undone */
void store_rollback(struct store *s);
const char *store_error(struct store *s);

int store_put(struct store *s, const char *scope, const struct filter *f); /* new, or replaces the one of that id */
int store_delete(struct store *s, uint64_t id);
int store_delete_scope(struct store *s, const char *scope);
int store_purge(struct store *s, uint64_t now_us); /* forgets what has expired, of all scopes */
/* Scopes that were given the globals once; one that was not gets them all. */
bool store_known(struct store *s, const char *scope);
int store_set_known(struct store *s, const char *scope, bool known);
/* Oldest first. A row that cannot be read is skipped and counted in *@ret_bad. */
int store_load(struct store *s, const char *scope, void (*fn)(void *arg, const struct filter *f), void *arg, unsigned *ret_bad);
uint64_t store_last_id(struct store *s);
