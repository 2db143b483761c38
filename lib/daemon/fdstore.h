/* fdstore: descriptors that outlive a run of the daemon, kept by the service manager (sd_notify(3) FDSTORE=1, FileDescriptorStoreMax= in
 * the unit): the next run, after an orderly restart or a crash, takes them up again instead of opening them. Names are those of
 * FDNAME=: ASCII without control characters and colons, at most 255 long, each kept once.
 *
 * Order: fdstore_init at the start, fdstore_take for what is wanted, fdstore_drop when the daemon wants no more of them; what is taken
 * stays in the store and need not be kept again. */
#pragma once
#include <stddef.h>

enum { FDSTORE_MAX = 512, FDSTORE_NAME_MAX = 256 };

/* Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and takes them out of the environment. Not together with daemon_passed_fds. */
void fdstore_init(void);
/* The descriptor of that name, close-on-exec, now the caller's; -1: there is none, or it was taken already. */
int fdstore_take(const char *name);
/* 1: kept (in place of an earlier one of that name); 0: nobody keeps it for us; -errno. @fd stays the caller's. */
int fdstore_keep(const char *name, int fd);
/* The manager forgets @name. */
int fdstore_forget(const char *name);
/* Closes and forgets what was not taken; how many. */
unsigned fdstore_drop(void);
