/* crew: the worker processes of target assistance, one a security label, and the calls that they have. What is private to remote.c and
 * crew.c: the first decides whether a call is made, the second keeps those who make it. */
#pragma once
#include "daemons/rpcbindD/remote.h"

struct worker {
	struct worker *next;
	struct remote *remote;
	char label[SAF_USER_MAX]; /* "": without labels */
	pid_t pid;
	int channel;
	struct loop_fd *watch;
	uint64_t used;
	unsigned calls;
};

struct call {
	struct call *next;
	uint64_t id, deadline;
	struct worker *worker;
	struct addr client;
	uint16_t client_port, port; /* .port: the worker's; 0 until it says so */
	uint32_t xid;
	remote_fn fn; /* NULL: nobody waits any more */
	void *arg;
};

struct remote {
	struct loop *loop;
	struct saf *saf;
	char sysname[ZONE_NAME_MAX];
	struct remote_config conf;
	struct worker *workers;
	struct call *calls;
	struct loop_timer *sweep;
	uint64_t next_id;
	unsigned draining; /* messages are being taken: what an answer sets off may call again, but ends no worker */
	struct remote_stats stats;
};

/* The one of label @name ("": without), started if need be; NULL: there is no room, or the label cannot be written. */
struct worker *crew_worker(struct remote *r, const char *name);
void crew_end(struct worker *w); /* its calls are answered: failed */
void crew_drain(struct worker *w); /* takes what it has said; it may be gone then */
void crew_sweep(void *remote); /* a timer's: deadlines, idle workers */
