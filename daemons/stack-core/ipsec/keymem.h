/* keymem: memory for expanded keys. A gateway has two of them for each of a hundred thousand tunnels, so one mapping each
 * (lib/base/secret.h) would cost too much: slabs are locked (where RLIMIT_MEMLOCK allows) and left out of core dumps once,
 * and handed out in pieces. A piece comes zeroed, on a cache line, and is cleansed when it is given back. Any thread: an SA
 * is freed by the thread of call_rcu. */
#pragma once
#include <stddef.h>

void *keymem_new(size_t len);
void keymem_free(void *p, size_t len); /* @len as it was asked for; NULL allowed */
