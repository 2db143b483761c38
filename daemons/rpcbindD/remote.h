/* remote: target assistance, what CALLIT, BCAST and INDIRECT ask for (RFC 1833 sections 2.2.1 and 3.2; zos.md section 9).
 *
 * A client has the registry call a UDP server of this host for it. That borrows the registry's place in the network, so it is off
 * unless the configuration says otherwise, and then: never the registry itself, no procedure but 0 of programs that trust where a call
 * comes from (remote_refuses), no credentials, no reserved port, one call for a client's transaction, bounded numbers in all and a
 * source, and a deadline. A worker process without the daemon's authority makes the calls (worker.h), one worker a security label.
 *
 * With multilevel security (saf_mls) the client must have a label, and it must permit reading and writing at the server's, which is the label of the user who
 * registered it. With a DOI the label goes with the packets as CIPSO or CALIPSO; a server may also ask for it: remote_label_of. */
#pragma once
#include "daemons/rpcbindD/label.h"
#include "daemons/rpcbindD/worker.h"
#include "lib/loop/loop.h"

enum { REMOTE_ARGS_MAX = WORKER_DATA_MAX, REMOTE_RESULTS_MAX = WORKER_DATA_MAX };

enum remote_status {
	REMOTE_DONE,	     /* the server answered */
	REMOTE_SILENT,	     /* say nothing: the same transaction is on its way already */
	REMOTE_PROG_UNAVAIL, /* not enabled, no such server, or it is gone */
	REMOTE_PROG_MISMATCH,
	REMOTE_PROC_UNAVAIL,
	REMOTE_GARBAGE_ARGS,
	REMOTE_SYSTEM_ERR, /* a limit, a deadline, or the server's word */
	REMOTE_TOO_WEAK,   /* refused: the program's kind, or a label; auth_stat AUTH_TOOWEAK */
};

struct remote_target {
	uint32_t prog, vers, proc;
	struct addr addr; /* where the server listens, an address of this host */
	uint16_t port;	  /* UDP; 0: not registered */
	uid_t owner;
};

struct remote_client {
	struct label_client who;
	uint16_t port; /* of its socket */
	uint32_t xid;
};

struct remote_answer {
	enum remote_status status;
	uint32_t low, high; /* REMOTE_PROG_MISMATCH */
	const uint8_t *results;
	size_t len;
	const char *why; /* for a log: what refused it; NULL */
};

struct remote_config {
	bool enabled;
	unsigned workers, calls, calls_per_source, timeout_ms, idle_ms;
	uint32_t doi; /* 0: labels are not carried in packets */
	char tcpname[ZONE_NAME_MAX];
	struct zone_table zones; /* owned by remote after remote_configure */
};

struct remote_stats {
	uint64_t calls, answered, failed, refused_program, refused_label, refused_limit, timed_out, duplicates, workers_started;
	unsigned outstanding, workers;
};

typedef void (*remote_fn)(void *arg, const struct remote_answer *a);

struct remote;
/* @saf NULL: without labels (a host without a registry refuses elsewhere). */
struct remote *remote_new(struct loop *l, struct saf *saf, const char *sysname);
void remote_configure(struct remote *r, const struct remote_config *c);
void remote_free(struct remote *r); /* outstanding calls are forgotten */
/* @fn runs exactly once, perhaps before this returns; the answer is borrowed. */
void remote_call(struct remote *r, const struct remote_target *t, const struct remote_client *c, const uint8_t *args, size_t len,
	remote_fn fn, void *arg);
/* Whoever waits with @arg is gone: its calls are not answered any more. */
void remote_cancel(struct remote *r, void *arg);
/* The label under which the call from UDP @port of this host was made: for the method rpcbind.LabelOf. false: no such call now. */
bool remote_label_of(struct remote *r, uint16_t port, char ret_label[SAF_USER_MAX]);
void remote_stats(const struct remote *r, struct remote_stats *ret);
/* Why @proc of @prog is never called for another; NULL: it may be. */
const char *remote_refuses(uint32_t prog, uint32_t proc);
