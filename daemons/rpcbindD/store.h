/* store: the registrations on disk, for a warm start (SQLite in ROOT/var/lib/ravelin/rpcbindD). It must outlive the daemon, also when that is
 * killed; it need not outlive the host, whose servers end with it: it names the boot it belongs to, and another boot begins anew. */
#pragma once
#include "daemons/rpcbindD/registry.h"
#include "lib/base/err.h"

struct store;
int store_open(const char *path, struct store **ret, struct errbuf *e);
void store_close(struct store *s); /* NULL allowed */
int store_put(struct store *s, const struct registration *e); /* 0 or -EIO */
int store_delete(struct store *s, const struct registration *e);
int store_clear(struct store *s);
typedef void (*store_fn)(void *arg, uint32_t prog, uint32_t vers, enum netid n, const char *uaddr, uid_t owner);
int store_load(struct store *s, store_fn fn, void *arg);
