/* Logon state: bad attempts, who was revoked for them, and the PassTickets that were used. DIR/logon/logon.db, writable by the daemons
 * that authenticate (group ravelin-saf). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct logon;

struct logon *logon_open(const char *dir, bool create); /* NULL: not there, or not allowed */
void logon_close(struct logon *l);			/* NULL allowed */
bool logon_is_revoked(struct logon *l, const char *user); /* NULL @l: false */
/* One more bad attempt; at @limit of them (0: never) the user is revoked. 0, 1: revoked now, or -EIO. */
int logon_bad(struct logon *l, const char *user, uint32_t limit);
int logon_good(struct logon *l, const char *user);   /* forgets bad attempts */
int logon_resume(struct logon *l, const char *user); /* forgets the revocation too */
/* Marks a ticket as used until @expires. 0, -EEXIST: it was used before, or -EIO. */
int logon_use_ticket(struct logon *l, const char *user, const char *appl, const char *ticket, int64_t now, int64_t expires);
