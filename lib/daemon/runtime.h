/* Inside lib/daemon: one running daemon. */
#pragma once
#include "lib/daemon/args.h"
#include "lib/daemon/daemon.h"

enum { DAEMON_OK = 0, DAEMON_USAGE = 64, DAEMON_INTERNAL = 70, DAEMON_SYSTEM = 71, DAEMON_CONFIG = 78 }; /* sysexits.h */

struct runtime {
	struct daemon d; /* first: what the daemon sees */
	const struct daemon_spec *spec;
	struct args args;
	char name[BUS_NAME_MAX]; /* "stack-core@LEFT" */
	char conf_path[512];
	char topic_loaded[64], topic_rejected[64];
	struct bus_event events[3];
	struct loop_timer *watchdog;
	struct loop_signal *signals[3];
	uint64_t started_ms, reloads, reloads_refused;
};

/* builtin.c: the service common.Daemon */
extern const struct bus_method builtin_methods[];

/* reload.c */
/* Reads and builds the configuration; -EINVAL: *@ret_conf holds the errors (NULL where the daemon has no configuration). */
int conf_load(struct runtime *r, struct conf **ret_conf, void **ret_built);
/* One whole reload; 0, or -EINVAL: the old configuration goes on and *@ret_rejected (NULL allowed; caller frees) says why. */
int runtime_reload(struct runtime *r, struct conf **ret_rejected);
