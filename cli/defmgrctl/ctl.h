/* Inside defmgrctl: what its files share. */
#pragma once
#include "lib/bus/bus.h"
#include "proto/defmgr.pb-c.h"

enum { DONE = 0, FAILED = 1, USAGE = 2, NOT_AUTHORIZED = 3, DEADLINE_MS = 10000, CHECK_MS = 2000 };

struct ctl {
	struct bus_client *client;
	char stack[9];
	bool global, json, openmetrics, all, replace;
	const char *tag, *rule;
	unsigned deadline_ms;
	unsigned every_s; /* watch: matches; 0: not */
	const char **words; /* what is no option, NULL-terminated */
	int nwords;
};

int ctl_complain(const char *text);
int ctl_call(struct ctl *c, const char *method, const ProtobufCMessage *m, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret);
/* The call, and its answer as JSON or by @text. */
int ctl_call_print(struct ctl *c, const char *method, const ProtobufCMessage *m, const ProtobufCMessageDescriptor *d,
	void (*text)(const struct ctl *c, const ProtobufCMessage *reply));
void ctl_time(uint64_t us, char out[32]); /* "2026-11-25 07:00:00", UTC */

int ctl_rules(struct ctl *c); /* rules.c */
int ctl_watch(struct ctl *c); /* watch.c */
int ctl_bouncer(struct ctl *c); /* bouncer.c */
