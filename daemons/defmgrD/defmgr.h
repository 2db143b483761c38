/* defmgr: the Defense Manager daemon. One per host; it keeps defensive filters for all stacks (zos.md section 4).
 *
 *   methods.c   the requests; list.c   the displays
 *   change.c    what a request or a rule does to filters: checked and applied to memory and to the open transaction at once
 *   rules.c rule_match.c seen.c   DmDefenceRules: a stack's detection becomes a filter, by the same way as a request's
 *   batch.c     what one burst of requests changed: committed together, sent to the stacks together, answered together
 *   stacks.c    the stacks: which run; install.c defend.c   what they are sent, everything anew when they come back
 *   filter.c tag.c table.c store.c conf.c conf_rule.c   one filter; its name; the filters of a scope; the disk; dmd.conf
 *
 * A request is acknowledged only when its change is on the disk and each running stack concerned has answered, or one second has
 * passed: then the stack is named as pending, and gets everything when it is back. */
#pragma once
#include "daemons/defmgrD/filter.h"
#include "daemons/defmgrD/store.h"
#include "daemons/defmgrD/table.h"
#include "lib/daemon/daemon.h"
#include <limits.h>

enum { DM_RULES_MAX = 32, DM_RULE_EXCLUDES_MAX = 64, DM_RULE_IDS_MAX = 8, DM_RULE_NAME_MAX = 16 };
enum { DM_STACKS_MAX = 16, DM_EXCLUDES_MAX = 10, DM_STACK_NAME_MAX = 8, DM_DEADLINE_MS = 1000 };

enum dm_mode { DM_ACTIVE, DM_SIMULATE, DM_INACTIVE };

enum { DM_LOG_ERRORS = 1, DM_LOG_STATES = 2, DM_LOG_FILTERS = 4 }; /* bits of SyslogLevel */

struct dm_stack_conf {
	char name[DM_STACK_NAME_MAX + 1];
	enum dm_mode mode;
	struct filter_limits limits;
	struct prefix excludes[DM_EXCLUDES_MAX];
	unsigned nexcludes;
};

enum dm_repeat { DM_EXTEND, DM_DOUBLE, DM_IGNORE };

/* DmDefenceRule: from a detection of a stack to a filter. */
struct dm_rule_conf {
	char name[DM_RULE_NAME_MAX + 1], tag[DM_RULE_NAME_MAX + 1];
	uint32_t events; /* bits: words of rule_event_words() */
	char ids_rules[DM_RULE_IDS_MAX][33], stacks[DM_STACKS_MAX][DM_STACK_NAME_MAX + 1]; /* none: all */
	unsigned nids_rules, nstacks;
	unsigned sensitivity; /* of scans: 1 Low, 2 Medium, 3 High, as IDSScanEventCondition has it */
	unsigned severity;    /* syslog's level: this one and graver ones */
	bool simulate, log;
	uint32_t lifetime_min, threshold, interval_min, max_filters;
	int loglimit; /* -1: the stack's */
	enum dm_repeat repeat;
	uint8_t direction, routing; /* as in struct filter */
	uint8_t prefix4, prefix6;
	struct prefix excludes[DM_RULE_EXCLUDES_MAX];
	unsigned nexcludes;
};

struct dm_conf {
	unsigned log_level;
	char directory[PATH_MAX];
	struct dm_stack_conf stacks[DM_STACKS_MAX];
	unsigned nstacks;
	struct dm_rule_conf rules[DM_RULES_MAX];
	unsigned nrules;
};

extern const struct conf_spec dm_conf_spec;
extern const struct conf_operand dm_rule_ops[];
extern const struct conf_stmt dm_rule_children[];
int dm_rule_build(struct conf_node *n, struct dm_conf *c);
const char *dm_rule_event_text(unsigned bit, char out[32]); /* "SCAN_FAST"; NULL: no such bit */
const char *dm_repeat_text(enum dm_repeat r);
/* The bit of an event that the stack tells; 32: none that rules know. */
unsigned dm_rule_event_bit(const char *kind, const char *type, unsigned protocol);
int dm_conf_build(struct conf *c, const char *instance, void **ret_built);
void dm_conf_free(void *built);
const char *dm_mode_text(enum dm_mode m);

struct defmgr;

/* A configured stack and the filters that are meant to be in it. */
struct dm_stack {
	struct defmgr *dm;
	struct dm_stack_conf conf;
	struct table table;
	unsigned index; /* its bit in masks of stacks */
	bool forced;	/* FORCE_INACTIVE until the next refresh */
	bool running, installed;
	bool refuses;	  /* it runs, but takes no filters (not configured for IP security) */
	uint64_t boot_id; /* of the stack's run that holds our filters or is getting them */
	uint64_t retry_ms, heard_ms; /* heard: its latest event, of whatever kind */
	uint64_t deaf_ms;	     /* since when its events do not arrive; UINT64_MAX: that was told */
	/* installation of everything, in chunks */
	bool syncing;
	uint64_t sync_id;
	struct filter *sync_next;
	struct bus_pulse *pulse;
	struct bus_client *client; /* the pulse's */
};

/* One thing that a request did to one filter of one scope. */
enum op_kind { OP_ADD, OP_UPDATE, OP_DELETE };
struct op {
	enum op_kind kind;
	struct dm_stack *stack; /* NULL: the globals */
	struct filter *filter;
	struct filter old; /* OP_UPDATE: what it was */
	struct request *request;
};

struct request {
	struct bus_call *call; /* NULL: of a rule */
	char rule[DM_RULE_NAME_MAX + 1];
	char user[9];
	enum op_kind kind;
	bool global;
	struct dm_stack *stack; /* NULL: global */
	uint32_t changed, updated, unchanged;
	uint32_t stacks; /* mask of those it reaches */
	struct request *next;
};

struct batch {
	struct defmgr *dm;
	struct request *first, **last;
	struct op *ops;
	size_t nops, cap;
	unsigned waiting; /* calls to stacks not answered yet */
	uint32_t pending; /* mask of stacks that did not take it */
	uint32_t refused; /* mask of stacks that answered no */
	bool sent, failed;
	char why[200];
	struct batch *next;
};

struct dm_counters {
	uint64_t added, updated, deleted, expired, refused, commits, commit_failures, installs, pushes, push_failures;
};

/* What became of a rule's events in one stack. */
struct dm_rule_count {
	char stack[DM_STACK_NAME_MAX + 1];
	uint64_t matched, added, repeated, excluded, below, limited, failed, last_us;
	char last[FILTER_EVENT_MAX];
};

struct dm_rules;

struct defmgr {
	struct daemon *daemon;
	struct dm_conf *conf;
	struct store *store;
	struct table globals;
	struct dm_stack *stacks[DM_STACKS_MAX];
	unsigned nstacks;
	struct dm_stack *retired[DM_STACKS_MAX]; /* no longer configured; batches may still name them */
	unsigned nretired;
	struct batch *open;			/* collecting */
	struct batch *sent_first, **sent_last;	/* waiting for stacks, in order */
	uint64_t last_id, stamp;
	struct loop_timer *expiry, *tick, *rules_due;
	struct dm_rules *rules;
	struct dm_counters counters;
};

extern const struct daemon_spec dm_spec;
extern const struct bus_method dm_methods[];
extern const struct bus_event dm_events[];

uint64_t dm_now_us(void); /* wall clock */
uint64_t dm_new_id(struct defmgr *dm);
bool dm_logs(const struct defmgr *dm, unsigned bit);
struct table *dm_table(struct defmgr *dm, struct dm_stack *s);	/* NULL: globals */
const char *dm_scope(const struct dm_stack *s);			/* name in the store */
enum dm_mode dm_stack_mode(const struct dm_stack *s);
struct dm_stack *dm_stack_find(struct defmgr *dm, const char *name); /* any case */
void dm_filter_event(struct defmgr *dm, const struct dm_stack *s, const struct filter *f, enum filter_message msg, const char *by);

/* change.c. What is wrong is told in @e, and nothing was changed then that batch_undo does not take back. */
struct change {
	struct batch *batch;
	struct request *request; /* its stack, or the globals */
	uint64_t now;
	bool replace;
	const char *tag; /* NULL: names are given */
	const struct filter_origin *origin; /* NULL: of a request */
};
enum bus_code change_add(const struct change *c, const Defmgr__Filter *m, struct errbuf *e);
void change_update(const struct change *c, struct filter *f, const Defmgr__UpdateRequest *q);
void change_delete(const struct change *c, struct filter *f);

/* list.c: the displays, among methods.c's table. */
struct dm_stack *dm_call_stack(struct bus_call *call, const char *name); /* NULL: the call is answered */
void list_on_list(struct bus_call *call, const ProtobufCMessage *req);
void list_on_list_global(struct bus_call *call, const ProtobufCMessage *req);
void list_on_stacks(struct bus_call *call, const ProtobufCMessage *req);
void list_on_rules(struct bus_call *call, const ProtobufCMessage *req);
void list_on_default_stack(struct bus_call *call, const ProtobufCMessage *req);

/* rules.c */
void dm_rules_event(struct dm_stack *s, const void *body, size_t len);
void dm_rules_set(struct defmgr *dm); /* as dm->conf has them; counters of those that stay are kept */
void dm_rules_done(struct defmgr *dm, const struct request *r, bool ok, const char *why);
void dm_rules_tick(struct defmgr *dm);
void dm_rules_flush(void *defmgr);
void dm_rules_free(struct defmgr *dm);
const struct dm_rule_count *dm_rules_count(const struct defmgr *dm, unsigned rule, const struct dm_stack *s);
void dm_rules_stats(const struct defmgr *dm, daemon_stat_fn fn, void *arg);

/* rule_match.c */
bool dm_rule_for(const struct dm_rule_conf *r, const struct dm_stack *s);
bool dm_rule_answers(const struct dm_rule_conf *r, const struct dm_stack *s, const Stack__IdsEvent *m);
/* What is to be blocked; false: nothing, the source is excluded or no host. */
bool dm_rule_target(const struct dm_rule_conf *r, const struct dm_stack *s, const Stack__IdsEvent *m, struct prefix *ret);

/* batch.c */
struct batch *batch_open(struct defmgr *dm); /* the collecting one, with a transaction; NULL: the store refuses */
struct request *batch_request(struct batch *b, struct bus_call *call, enum op_kind kind, struct dm_stack *s, const char *user);
struct op *batch_op(struct batch *b, struct request *r, enum op_kind kind, struct dm_stack *s, struct filter *f);
/* Takes back the ops from @from on, newest first, and forgets them. */
void batch_undo(struct batch *b, size_t from);
/* Writes the ops from @from on into the transaction. */
int batch_write(struct batch *b, size_t from);
void batch_flush(void *daemon);
void batch_answered(struct batch *b, struct dm_stack *s, enum bus_code code, const char *text);

/* stacks.c */
/* A configured stack with its filters from the store. */
int dm_stack_new(struct defmgr *dm, const struct dm_stack_conf *c, struct dm_stack **ret, struct errbuf *e);
int dm_load(struct defmgr *dm, struct dm_stack *s, struct errbuf *e); /* NULL: the globals */
void dm_stack_free(struct dm_stack *s);
/* No longer configured: the stack is told to forget its filters; @s is freed when nothing refers to it. */
void dm_stack_retire(struct dm_stack *s);
void dm_retired_free(struct defmgr *dm);
void dm_stacks_tick(void *arg);
void dm_stack_lost(struct dm_stack *s);
void dm_stack_event(struct dm_stack *s, const char *topic);
int dm_stack_copy_globals(struct dm_stack *s);

/* install.c */
void dm_stack_install(struct dm_stack *s);   /* everything, from the start */
/* Sends the ops of @b that concern @s. */
void dm_stack_push(struct dm_stack *s, struct batch *b);
void dm_stack_unlinked(struct dm_stack *s, const struct filter *f); /* before a filter leaves the table */

/* expire.c */
void dm_expire(void *arg);
void dm_expiry_arm(struct defmgr *dm);
