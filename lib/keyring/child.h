/* child: one ravelin-signer process as its parent sees it: started, told, heard, reaped. */
#pragma once
#include "lib/keyring/signer_local.h"
#include "lib/keyring/wire.h"

struct child;
struct child_ops {
	/* READY and SIGNED only */
	void (*message)(void *arg, struct child *c, const struct wire_msg *m);
	/* after child_send said -EAGAIN */
	void (*writable)(void *arg, struct child *c);
	/* The process ended, or was killed because it broke the protocol; @why is for people. The
	 * child is freed by whoever gets this. */
	void (*gone)(void *arg, struct child *c, const char *why);
};

/* Starts the program. It is usable when READY came. */
int child_start(struct loop *l, const struct signer_local_spec *spec, const struct child_ops *ops,
	void *arg, struct child **ret, struct errbuf *e);
/* Waits for READY (then .message is not called for it) or why not, at most @timeout_ms. */
int child_wait_ready(struct child *c, int timeout_ms, struct errbuf *e);
bool child_is_ready(const struct child *c);
pid_t child_pid(const struct child *c);
int child_send(struct child *c, const struct wire_msg *m); /* 0, -EAGAIN, -EPIPE */
void child_close(struct child *c); /* no more requests: the process ends itself, then .gone */
void child_free(struct child *c);  /* kills and reaps; NULL allowed */
/* Where ravelin-signer is: see signer_local.h. @out of 512. */
int child_program(const char *given, char *out, struct errbuf *e);
