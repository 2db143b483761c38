/* worker: a process that calls servers of this host for clients of one security label (zos.md section 9, "MLS target assistance").
 *
 * It is forked from the daemon and gives up what the daemon has: every descriptor but the channel, every capability (but CAP_NET_RAW while it
 * labels its packets), new privileges, and by seccomp every system call but those for UDP of this host: it can open no file, reach no bus and
 * start nothing. Its sockets never have a reserved port. Each call has a socket of its own, so that a port stands for one call.
 *
 * The channel is a SOCK_SEQPACKET pair of the structs below; the daemon ends a worker by closing it. */
#pragma once
#include "lib/base/addr.h"
#include <sys/types.h>

enum { WORKER_CALLS = 64, WORKER_DATA_MAX = 8800, WORKER_OPTIONS_MAX = 64 };

struct worker_call {
	uint64_t id;
	uint32_t prog, vers, proc, timeout_ms, len; /* .len bytes of arguments follow */
	struct addr to;
	uint16_t port;
};

enum worker_kind { WORKER_PORT = 1, WORKER_DONE = 2 };
enum worker_status {
	WORKER_SUCCESS,
	WORKER_PROG_UNAVAIL, /* as accept_stat of RFC 5531 up to here .. */
	WORKER_PROG_MISMATCH,
	WORKER_PROC_UNAVAIL,
	WORKER_GARBAGE_ARGS,
	WORKER_SYSTEM_ERR,
	WORKER_AUTH_ERROR, /* .. and what else may come of a call */
	WORKER_TIMEOUT,
	WORKER_BUSY,
};

struct worker_reply {
	uint64_t id;
	uint8_t kind, status;
	uint16_t port; /* WORKER_PORT: ours; sent before the call itself goes out */
	uint32_t low, high, len; /* .len bytes of results follow */
};

/* IP options for packets of each family; .len 0: none. */
struct worker_label {
	uint8_t v4[WORKER_OPTIONS_MAX], v6[WORKER_OPTIONS_MAX];
	unsigned v4_len, v6_len;
	bool carried; /* keep CAP_NET_RAW, and let no call go out of a family without options */
};

/* 0, the process and its channel; or -errno. */
int worker_start(const struct worker_label *label, pid_t *ret_pid, int *ret_channel);
/* What the reply @text of a server to call @xid says: false when it is no reply to it. *@ret_results is a place in @text. Exported for tests. */
bool worker_parse(const uint8_t *text, size_t len, uint32_t xid, struct worker_reply *ret, const uint8_t **ret_results);
