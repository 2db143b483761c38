/* ravelin-bouncer: CrowdSec's decisions as defensive filters.
 *
 *   conf.c       bouncer.conf          keyfile.c   the API key, and whether its file is safe
 *   lapi.c       GET /v1/decisions/stream, by libcurl in the daemon's loop
 *   decisions.c  the answer, read as it arrives
 *   mirror.c     what is to be blocked, what of it is, and until when; exclusions and bounds
 *   push.c       adds and deletes to defmgrD, in batches, several on their way
 *   bouncer.c    the order of things: what is held (List), the whole list (startup=true), then changes
 *
 * Nothing is lost when a side is away: filters stay in defmgrD and in the stack while the API, defmgrD or this daemon is down, and end by
 * their own lifetimes. Whenever something failed, everything is compared anew, and only what differs is sent. */
#pragma once
#include "daemons/defmgrD/table.h"
#include "daemons/ravelin-bouncer/decisions.h"
#include "lib/base/secret.h"
#include "lib/daemon/daemon.h"
#include "proto/bouncer.pb-c.h"
#include <limits.h>

enum { EXCLUDES_MAX = 256, TAG_MAX = 8, URL_MAX = 512, STACK_MAX = 8 };

struct bouncer_conf {
	char url[URL_MAX], key_file[PATH_MAX], ca_file[PATH_MAX], stack[STACK_MAX + 1], tag[TAG_MAX + 1];
	uint32_t interval_s, timeout_s, resync_min, max_filters, max_answer; /* answer: bytes */
	uint8_t widest4, widest6;
	bool simulate, inbound, log;
	int loglimit; /* -1: the stack's */
	struct prefix excludes[EXCLUDES_MAX];
	unsigned nexcludes;
};
extern const struct conf_spec bouncer_conf_spec;
int bouncer_conf_build(struct conf *c, const char *instance, void **ret);

/* The key of the API. The file is a plain one of root's or our own, and nobody else may write or (but our group) read it. */
int keyfile_read(const char *path, struct secret **ret, struct errbuf *e);

/* One question at a time. @d is NULL when it failed, with the reason. */
struct lapi;
typedef void (*lapi_fn)(void *arg, const struct decisions *d, const char *why);
struct lapi *lapi_new(struct loop *l, const struct bouncer_conf *c, const struct secret *key, lapi_fn fn, void *arg);
void lapi_free(struct lapi *l);
void lapi_ask(struct lapi *l, bool startup);

struct bouncer_counts {
	uint64_t polls, poll_failures, resyncs, decisions, deletions, other_scope, other_type, unreadable, excluded, too_wide, over_limit;
	uint64_t added, updated, unchanged, deleted, batches, push_failures, refused;
};

/* A source in the mirror is a struct filter: .expires_us is when its filter ends as far as is known, 0 when it has none; .added_us when
 * the decision ends. */
struct bouncer {
	struct daemon *daemon;
	struct bouncer_conf *conf;
	struct secret *key;
	struct lapi *lapi;
	struct bus_client *defmgr;
	struct loop_timer *poll, *sweep;
	struct table mirror;
	char stack[STACK_MAX + 1], why[200];
	uint64_t generation; /* of the last whole list */
	uint64_t max_life_us, full_until_ms, synced_ms, list_after;
	uint32_t kept; /* of the list that is being compared */
	bool doubtful; /* changes came since the last whole list */
	uint64_t whole_ms, change_ms;
	unsigned fails;
	bool connected, synced, whole; /* connected: to the API; whole: the question on its way is for the whole list */
	bool asking;
	struct push *push;
	struct bouncer_counts n;
};
extern const struct daemon_spec bouncer_spec;
uint64_t bouncer_now_us(void);
void bouncer_failed(struct bouncer *b, const char *what, const char *why); /* all is to be compared anew, later */
void bouncer_drained(struct bouncer *b);				  /* nothing is on its way to defmgrD */

/* mirror.c */
void mirror_held(struct bouncer *b, const struct prefix *p, uint64_t expires_us); /* defmgrD has a filter for it */
void mirror_apply(struct bouncer *b, const struct decisions *d, bool whole);	     /* and sends what differs */
void mirror_installed(struct bouncer *b, const struct prefix *p, uint64_t expires_us);
void mirror_forget(struct bouncer *b, const struct prefix *p);
void mirror_sweep(struct bouncer *b); /* filters that end before their decisions are renewed, what is over is forgotten */

/* push.c. In order; the lists are copied. */
struct push *push_new(struct bouncer *b);
void push_free(struct push *p);
void push_add(struct push *p, const struct prefix *source, uint64_t life_us);
void push_delete(struct push *p, const struct prefix *source);
void push_flush(struct push *p); /* what is collected becomes batches */
void push_drop(struct push *p);	 /* forgets what has not been sent, and what comes back */
bool push_busy(const struct push *p);
