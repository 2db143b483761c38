/* Configuration in, all or nothing: read, checked against the table, built by the daemon's own conf.c; only then does the
 * daemon see it. Whatever fails leaves the running configuration as it is and is told to everyone who listens. */
#include "lib/daemon/runtime.h"
#include "lib/daemon/notify.h"
#include "proto/common.pb-c.h"
#include <time.h>

static void no_free(void *built)
{
	(void)built;
}

int conf_load(struct runtime *r, struct conf **ret_conf, void **ret_built)
{
	const struct daemon_spec *s = r->spec;
	*ret_conf = NULL;
	*ret_built = NULL;
	if (!s->conf)
		return 0;
	int rc = conf_parse_file(s->conf, r->conf_path, ret_conf);
	if (!rc && s->build)
		rc = s->build(*ret_conf, r->d.instance, ret_built);
	if (!rc && conf_error_count(*ret_conf)) { /* an error was recorded but not returned */
		(s->built_free ? s->built_free : no_free)(*ret_built);
		rc = -EINVAL;
	}
	if (rc && !conf_error_count(*ret_conf))
		conf_file_error(*ret_conf, "refused: %s", log_errno(rc));
	return rc ? -EINVAL : 0;
}

static void publish_loaded(struct runtime *r)
{
	Common__ConfLoaded m = COMMON__CONF_LOADED__INIT;
	m.file = r->conf_path;
	bus_publish(r->d.bus, r->topic_loaded, &m.base);
	log_notice("configuration loaded", "file", r->conf_path);
}

static void publish_rejected(struct runtime *r, const struct conf *c)
{
	char *texts[32];
	Common__ConfRejected m = COMMON__CONF_REJECTED__INIT;
	m.file = r->conf_path;
	m.errors = texts;
	for (unsigned i = 0; i < conf_error_count(c) && i < 32; i++) {
		texts[m.n_errors++] = (char *)conf_error(c, i);
		log_error("configuration refused", "error", conf_error(c, i));
	}
	bus_publish(r->d.bus, r->topic_rejected, &m.base);
	daemon_status("reload refused: %s", conf_error(c, 0));
}

/* The daemon takes @built whatever it answers. */
static int hand_over(struct runtime *r, struct conf *c, void *built)
{
	struct errbuf e = {""};
	struct conf *old = r->d.conf;
	r->d.conf = c;
	int rc = r->spec->reload(&r->d, built, &e);
	if (!rc) {
		conf_free(old);
		return 0;
	}
	r->d.conf = old;
	return conf_file_error(c, "%s", e.text[0] ? e.text : log_errno(rc));
}

static void notify_reloading(void)
{
	struct timespec ts;
	char text[80];
	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	notify_send(text);
}

int runtime_reload(struct runtime *r, struct conf **ret_rejected)
{
	struct conf *c = NULL;
	void *built = NULL;
	if (!r->spec->conf || !r->spec->reload)
		return 0; /* nothing that could change */
	notify_reloading();
	int rc = conf_load(r, &c, &built);
	rc = rc ? rc : hand_over(r, c, built);
	r->reloads++;
	if (rc) {
		r->reloads_refused++;
		publish_rejected(r, c);
	} else {
		daemon_status("running");
		publish_loaded(r);
	}
	notify_send("READY=1");
	if (rc && ret_rejected)
		*ret_rejected = c;
	else if (rc)
		conf_free(c);
	return rc;
}
