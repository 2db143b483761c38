/* serve: the work of the signer process. */
#pragma once
#include "lib/keyring/key.h"

enum { SERVE_THREADS_MAX = 8 };

/* One request in, one answer out, without I/O: what the fuzz target drives. @ctxs: SIGN_MECH_MAX
 * for each key, NULL at first, made and kept here. Bytes of the answer; 0: the request is none, and
 * the connection must end. */
size_t serve_request(const struct key_set *keys, EVP_PKEY_CTX **ctxs, const uint8_t *in, size_t len,
	uint8_t *out);
EVP_PKEY_CTX **serve_ctxs_new(const struct key_set *keys);
void serve_ctxs_free(const struct key_set *keys, EVP_PKEY_CTX **ctxs);

/* @threads threads that answer on @fd. Each runs @confine first (a filter is a thread's own:
 * setting all at once needs seccomp(2), which units deny), then waits until serve_go. 0 or -errno
 * with the reason. */
int serve_start(const struct key_set *keys, int fd, unsigned threads,
	int (*confine)(struct errbuf *e), struct errbuf *e);
void serve_go(void);
/* Until the other end closes; then ends the process. */
void serve_wait(void) __attribute__((noreturn));
