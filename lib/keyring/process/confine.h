/* confine: what the signer process gives up. */
#pragma once
#include "lib/base/err.h"

/* First thing: no core dump, no ptrace, death with the parent. */
void confine_start(void);
/* When the keys are loaded: other uid (where it is root), no capability, no new privileges, memory
 * locked as far as the limit goes. */
int confine_drop(struct errbuf *e);
/* Last: from here only system calls that compute and answer, in the calling thread. */
int confine_filter(struct errbuf *e);
