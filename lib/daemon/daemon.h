/* daemon: the skeleton. It owns the order: arguments, configuration, privileged opens, privileges dropped, SAF, audit, bus,
 * READY=1, loop, orderly end; a daemon only declares. See daemons/defmgrD/main.c for the shortest example.
 *
 * Arguments every daemon has: [--root DIR] [--config FILE] [--check] [--print-defaults] [--print-mdoc] [--log-level L]
 * [--user NAME] [--version] [--help] and, when .instanced, INSTANCE. Foreground only. SIGHUP reloads (a bad file leaves the old configuration
 * and publishes common.ConfRejected as "PKG.conf.rejected"); SIGTERM and SIGINT end in order. Exit status: 0 orderly, 78 bad
 * configuration (EX_CONFIG), 64 usage, 70 internal, 71 system. sd_notify(3) READY, RELOADING, STATUS, WATCHDOG and STOPPING
 * without libsystemd. No core dumps (RLIMIT_CORE 0, PR_SET_DUMPABLE 0), umask 077.
 *
 * Every daemon also answers, without declaring it, the methods of proto/common.proto's service Daemon: common.Ping, common.Stats,
 * common.Reload, common.Methods. */
#pragma once
#include "lib/bus/bus.h"
#include "lib/conf/conf.h"

struct daemon {
	struct loop *loop;
	struct saf *saf;
	struct audit *audit;
	struct bus_server *bus;
	struct conf *conf; /* current; valid until the next reload */
	const char *instance; /* NULL unless .instanced */
	const char *sysname;
	void *state;	      /* .size zero bytes for the daemon */
};

/* A counter for common.Stats and --openmetrics: name "defmgr_filters_added_total", help, value. */
typedef void (*daemon_stat_fn)(void *arg, const char *name, const char *help, uint64_t value);

struct daemon_spec {
	const char *name;    /* "defmgrD" */
	const char *package; /* proto package, "defmgr" */
	const char *summary; /* one line for --help */
	bool instanced;	     /* stack-core@NAME */
	const struct conf_spec *conf;
	const char *conf_path; /* under ROOT/etc/ravelin: "dmd.conf"; with %s for the instance: "stacks/%s.profile" */
	const char *conf_env;  /* z/OS variable that overrides it, "DMD_FILE"; NULL */
	const ProtobufCServiceDescriptor *service;
	const struct bus_method *methods;
	const struct bus_event *events;
	const int *caps; /* CAP_* kept for life, ends with -1; NULL: none */
	size_t size;
	/* conf tree -> a new configuration object, with cross-field checks by conf_node_error; 0 or -EINVAL. Used by --check too. */
	int (*build)(struct conf *c, const char *instance, void **ret_built);
	void (*built_free)(void *built);
	int (*open)(struct daemon *d, void *built, struct errbuf *e);   /* privileged phase: sockets, devices; NULL allowed */
	int (*start)(struct daemon *d, void *built, struct errbuf *e);  /* after the drop, bus is bound, before READY; takes @built */
	int (*reload)(struct daemon *d, void *built, struct errbuf *e); /* takes @built; non-zero: refused, keep the old */
	void (*stop)(struct daemon *d);					/* frees all; after bus stopped taking requests */
	void (*flush)(void *daemon);				       /* NULL; arg is struct daemon *: after each burst of requests */
	void (*stats)(struct daemon *d, daemon_stat_fn fn, void *arg);
};

int daemon_main(const struct daemon_spec *spec, int argc, char **argv);
/* For a daemon's stop(): the bus ends now, its callers are told, and d->bus is NULL. */
void daemon_close_bus(struct daemon *d);
/* "STATUS=..." for systemctl status. */
void daemon_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
