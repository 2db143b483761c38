/* privilege: what the process gives up, and the places that must exist before it does. */
#pragma once
#include "lib/base/err.h"

/* No core dumps, no ptrace by others. Again after a change of uid, which resets it. */
void privilege_seal(void);
/* Makes ROOT/run/ravelin, ROOT/var/lib/ravelin/@name and ROOT/var/log/ravelin; as root for @user (NULL: oneself) also gives it
 * the run and state directories and the audit files of @name, all that a daemon without privileges must write. */
int privilege_make_places(const char *name, const char *user, struct errbuf *e);
/* Keeps @caps (ends with -1; NULL: none) and nothing else, for good. As root: becomes @user first where one is given. */
int privilege_drop(const char *user, const int *caps, struct errbuf *e);
/* One of the caps that daemon_spec.open finds out not to need: privilege_drop then does not keep it. */
int privilege_give_up(int cap);
