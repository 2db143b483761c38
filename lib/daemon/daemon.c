/* The life of a daemon, in order. Each step is a function that returns 0 or the exit status, so that daemon_main reads as the list of
 * them. Nothing listens before privileges are gone, and nobody is told READY before everything works. */
#include "lib/daemon/daemon.h"
#include "lib/base/path.h"
#include "lib/base/xalloc.h"
#include "lib/daemon/notify.h"
#include "lib/daemon/privilege.h"
#include "lib/daemon/runtime.h"
#include "proto/common.pb-c.h"
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>

void daemon_status(const char *fmt, ...)
{
	char text[400], line[420];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20) /* a line break would begin another variable */
			*p = ' ';
	snprintf(line, sizeof(line), "STATUS=%s", text);
	notify_send(line);
}

void daemon_close_bus(struct daemon *d)
{
	bus_server_free(d->bus);
	d->bus = NULL;
}

static int fail(int status, const char *what, const struct errbuf *e)
{
	log_error("cannot start", "step", what, "error", e->text);
	daemon_status("%s: %s", what, e->text);
	return status;
}

static void set_paths(struct runtime *r)
{
	const struct daemon_spec *s = r->spec;
	if (r->args.root)
		path_set_root(r->args.root);
	r->d.instance = r->args.instance;
	r->d.sysname = path_sysname();
	snprintf(r->name, sizeof(r->name), "%s%s%s", s->name, r->d.instance ? "@" : "", r->d.instance ? r->d.instance : "");
	const char *env = s->conf_env ? secure_getenv(s->conf_env) : NULL;
	const char *given = r->args.config ? r->args.config : env;
	char dir[PATH_TEXT_MAX];
	path_make(dir, "/etc/ravelin");
	if (given) {
		snprintf(r->conf_path, sizeof(r->conf_path), "%s", given);
	} else if (s->conf_path) {
		const char *at = strstr(s->conf_path, "%s"); /* stands for the instance */
		int head = at ? (int)(at - s->conf_path) : (int)strlen(s->conf_path);
		snprintf(r->conf_path, sizeof(r->conf_path), "%s/%.*s%s%s", dir, head, s->conf_path,
			at && r->d.instance ? r->d.instance : "", at ? at + 2 : "");
	}
}

/* --check: people read this, so plain lines; all errors. */
static int check_only(struct runtime *r)
{
	struct conf *c = NULL;
	void *built = NULL;
	int rc = conf_load(r, &c, &built);
	for (unsigned i = 0; c && i < conf_error_count(c); i++)
		fprintf(stderr, "%s\n", conf_error(c, i));
	if (!rc) {
		printf("%s: no errors\n", r->conf_path);
		if (r->spec->built_free && built)
			r->spec->built_free(built);
	}
	conf_free(c);
	return rc ? DAEMON_CONFIG : DAEMON_OK;
}

static int load_first(struct runtime *r, void **ret_built)
{
	if (!conf_load(r, &r->d.conf, ret_built))
		return DAEMON_OK;
	for (unsigned i = 0; i < conf_error_count(r->d.conf); i++)
		log_error("configuration refused", "error", conf_error(r->d.conf, i));
	daemon_status("configuration refused: %s", conf_error(r->d.conf, 0));
	return DAEMON_CONFIG;
}

static void on_signal(void *arg, int signo)
{
	struct runtime *r = arg;
	if (signo == SIGHUP) {
		(void)runtime_reload(r, NULL);
		return;
	}
	log_notice("ending", "signal", signo == SIGINT ? "SIGINT" : "SIGTERM");
	loop_quit(r->d.loop);
}

static void on_watchdog(void *arg)
{
	struct runtime *r = arg;
	notify_send("WATCHDOG=1");
	loop_timer_set(r->watchdog, notify_watchdog_ms());
}

static void make_loop(struct runtime *r)
{
	static const int wanted[] = {SIGHUP, SIGTERM, SIGINT};
	signal(SIGPIPE, SIG_IGN);
	r->started_ms = loop_now_ms();
	r->d.loop = loop_new();
	for (unsigned i = 0; i < 3; i++)
		r->signals[i] = loop_signal_new(r->d.loop, wanted[i], on_signal, r);
	r->watchdog = loop_timer_new(r->d.loop, on_watchdog, r);
}

static int open_and_drop(struct runtime *r, void *built)
{
	struct errbuf e = {""};
	if (privilege_make_places(r->name, r->args.user, &e))
		return fail(DAEMON_SYSTEM, "directories", &e);
	if (r->spec->open && r->spec->open(&r->d, built, &e))
		return fail(DAEMON_SYSTEM, "open", &e);
	if (privilege_drop(r->args.user, r->spec->caps, &e))
		return fail(DAEMON_SYSTEM, "privileges", &e);
	return DAEMON_OK;
}

/* Enforcement goes on without a trail; whoever looks at the service sees it, and common.Stats counts what is lost. */
static void on_audit_failure(void *arg, int err)
{
	(void)arg;
	if (err)
		daemon_status("running; audit records cannot be written: %s", log_errno(err));
	else
		daemon_status("running");
}

static int open_authority(struct runtime *r)
{
	struct errbuf e = {""};
	char path[PATH_TEXT_MAX];
	if (saf_open(NULL, &r->d.saf, &e))
		return fail(DAEMON_SYSTEM, "SAF", &e);
	path_make(path, "/var/log/ravelin/%s.audit", r->name);
	int rc = audit_open(path, r->name, &r->d.audit);
	if (rc) {
		err_set(&e, -rc, "%s: %s", path, log_errno(rc));
		return fail(DAEMON_SYSTEM, "audit", &e);
	}
	audit_on_failure(r->d.audit, on_audit_failure, NULL);
	return DAEMON_OK;
}

static int open_bus(struct runtime *r)
{
	const struct daemon_spec *s = r->spec;
	struct errbuf e = {""};
	static const char resource[] = "EZB.NETMGMT.{sysname}.{name}.EVENTS";
	snprintf(r->topic_loaded, sizeof(r->topic_loaded), "%s.conf.loaded", s->package);
	snprintf(r->topic_rejected, sizeof(r->topic_rejected), "%s.conf.rejected", s->package);
	r->events[0] = (struct bus_event){r->topic_loaded, &common__conf_loaded__descriptor, "SERVAUTH", resource};
	r->events[1] = (struct bus_event){r->topic_rejected, &common__conf_rejected__descriptor, "SERVAUTH", resource};
	struct bus_server_spec spec = {
		.name = r->name, .instance = r->d.instance, .service = s->service, .methods = s->methods, .events = s->events,
		.extra_service = &common__daemon__descriptor, .extra_methods = builtin_methods, .extra_events = r->events,
		.extra_user = r, .saf = r->d.saf, .audit = r->d.audit, .user = &r->d, .flush = s->flush,
	};
	int rc = bus_server_new(r->d.loop, &spec, &r->d.bus, &e);
	return rc ? fail(rc == -EINVAL ? DAEMON_INTERNAL : DAEMON_SYSTEM, "bus", &e) : DAEMON_OK;
}

static void serve(struct runtime *r)
{
	Common__ConfLoaded loaded = COMMON__CONF_LOADED__INIT;
	loaded.file = r->conf_path;
	bus_publish(r->d.bus, r->topic_loaded, &loaded.base);
	if (notify_watchdog_ms())
		on_watchdog(r);
	notify_send("READY=1\nSTATUS=running");
	log_notice("running", "daemon", r->name, "version", RAVELIN_VERSION, "sysname", r->d.sysname);
	if (loop_run(r->d.loop))
		log_error("the event loop failed");
	notify_send("STOPPING=1\nSTATUS=ending");
}

static int run(struct runtime *r, void *built)
{
	int status = open_and_drop(r, built);
	status = status ? status : open_authority(r);
	status = status ? status : open_bus(r);
	if (status) {
		if (r->spec->built_free && built)
			r->spec->built_free(built);
		return status;
	}
	struct errbuf e = {""};
	if (r->spec->start && r->spec->start(&r->d, built, &e))
		return fail(DAEMON_SYSTEM, "start", &e);
	serve(r);
	if (r->spec->stop)
		r->spec->stop(&r->d); /* may still answer and publish */
	return DAEMON_OK;
}

static void end(struct runtime *r)
{
	bus_server_free(r->d.bus);
	audit_close(r->d.audit);
	saf_close(r->d.saf);
	loop_timer_free(r->watchdog);
	for (unsigned i = 0; i < 3; i++)
		loop_signal_free(r->signals[i]);
	loop_free(r->d.loop);
	conf_free(r->d.conf);
	free(r->d.state);
}

static int start_and_run(struct runtime *r)
{
	void *built = NULL;
	umask(077);
	privilege_seal();
	notify_init();
	int status = load_first(r, &built);
	if (!status) {
		make_loop(r);
		r->d.state = xcalloc(1, r->spec->size);
		status = run(r, built);
	}
	end(r);
	return status;
}

int daemon_main(const struct daemon_spec *spec, int argc, char **argv)
{
	struct runtime r = {.spec = spec};
	args_parse(spec, argc, argv, &r.args);
	log_set_level(r.args.log_level);
	switch (r.args.mode) {
	case ARGS_DONE:
		return DAEMON_OK;
	case ARGS_USAGE:
		return DAEMON_USAGE;
	case ARGS_PRINT_DEFAULTS:
	case ARGS_PRINT_MDOC:
		if (spec->conf)
			(r.args.mode == ARGS_PRINT_DEFAULTS ? conf_print_defaults : conf_print_mdoc)(spec->conf, stdout);
		return DAEMON_OK;
	case ARGS_CHECK:
		set_paths(&r);
		return check_only(&r);
	case ARGS_RUN:
		break;
	}
	set_paths(&r);
	return start_and_run(&r);
}
