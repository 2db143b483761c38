/* Where things are. One prefix moves everything, so that a second installation, a test or a demo lives in its own
 * directory: the environment variable RAVELIN_ROOT (ignored in set-id programs), or --root of a daemon.
 *
 *   ROOT/run/ravelin/NAME/{rpc,events,lock}   bus sockets of daemon NAME (owned by its uid, mode 0755)
 *   ROOT/etc/ravelin/                         configuration
 *   ROOT/var/lib/ravelin/saf/                 SAF registry and snapshots
 *   ROOT/var/lib/ravelin/NAME/                state of daemon NAME
 *   ROOT/var/log/ravelin/NAME.audit           audit trail of daemon NAME
 *
 * sysname (the &SYSNAME of resource names): RAVELIN_SYSNAME, else the first line of ROOT/etc/ravelin/sysname, else the
 * host name up to its first dot; upper case, 1 to 8 characters. */
#pragma once
#include <limits.h>

enum { PATH_TEXT_MAX = 256, SYSNAME_MAX = 9 };

void path_set_root(const char *root); /* copied; at most 160 characters, else ignored by path_* returning "" */
const char *path_root(void);
/* Formats ROOT + @fmt into @out and returns @out. */
const char *path_make(char out[PATH_TEXT_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *path_sysname(void);
