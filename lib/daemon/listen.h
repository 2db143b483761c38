/* listen: sockets that the service manager passes (sd_listen_fds(3), without libsystemd). */
#pragma once
#include "lib/base/err.h"

enum { DAEMON_FIRST_FD = 3 };

/* How many descriptors, from DAEMON_FIRST_FD on, were passed to this process; 0: none. The variables that say so are removed, so that no
 * child believes them. -EINVAL: more than @most. */
int daemon_passed_fds(int most, struct errbuf *e);
