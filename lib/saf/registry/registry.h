/* registry: the SAF database that safctl writes, and the compiler that turns it into the snapshot readers map.
 *
 * The database is a private SQLite file (registry.db, mode 0600) in the SAF directory. A change is acknowledged only after it
 * was committed there (synchronous=FULL) and the snapshot was written beside the old one, fsynced, renamed, and the generation
 * page bumped. A writer killed between the two leaves the database ahead; the next registry_open publishes it.
 * One writer at a time (a lock file). */
#pragma once
#include "lib/audit/audit.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct registry;

/* RACF command return codes. */
enum { RACF_DONE = 0, RACF_WARNED = 4, RACF_REFUSED = 8, RACF_SYNTAX = 12 };

/* @dir NULL: the standard place. @create makes what is missing: directory, group SYS1, user IBMUSER (SPECIAL, uid 0), the classes,
 * SERVAUTH active with generics. -EACCES, -ENOENT (not created yet), -EBUSY (another writer for 10 s). */
int registry_open(const char *dir, bool create, struct registry **ret, struct errbuf *e);
void registry_close(struct registry *r); /* rolls back what is not committed; NULL allowed */

/* Is uid @who allowed to administer: real root, or a SAF user with SPECIAL that is not revoked. */
bool registry_may_administer(struct registry *r, uid_t who, char ret_user[9]);
/* The Linux uid of SAF user @user. -ENOENT: no such user; -ENODATA: no OMVS(UID) and no account of the name in OMVS(LOGIN). */
int registry_user_uid(struct registry *r, const char *user, uid_t *ret);
/* Runs one RACF command; all or nothing. Messages and lists go to @out, or, with @json, one JSON value to it. Returns a RACF
 * return code. The change is in force after registry_commit. */
int registry_run(struct registry *r, const char *command, const char *by_user, struct json *json, FILE *out);
/* A classic PassTicket of @user for @appl, made at @when; recorded. -EINVAL: no such names; -ENOENT: no such user, or no key. */
int registry_passticket(struct registry *r, const char *by, const char *appl, const char *user, uint32_t when, char out[9]);
/* Makes all changes durable and publishes a snapshot. 0 or -errno; on failure nothing has changed. */
int registry_commit(struct registry *r, struct errbuf *e);
/* Audit trail for the commands; NULL: none. Borrowed. */
void registry_set_audit(struct registry *r, struct audit *a);
/* Every command, one line each, as help. */
void registry_help(FILE *out);
