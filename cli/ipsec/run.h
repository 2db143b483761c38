/* run: what a parsed ipsec command does: one call, or a few, to defmgrD or to a stack, and the report of the answer. Each returns
 * the exit status: 0 done, 1 failed, 2 usage, 3 not authorised. */
#pragma once
#include "cli/ipsec/report.h"
#include "lib/bus/bus.h"
#include <stdio.h>

enum { RUN_DONE = 0, RUN_FAILED = 1, RUN_USAGE = 2, RUN_NOT_AUTHORIZED = 3, RUN_DEADLINE_MS = 10000 };

int run_command(struct ipsec_command *c);
int run_batch(FILE *in); /* lines of ipsec commands; adds are sent many at once */

int run_defence(struct ipsec_command *c);
int run_filter(struct ipsec_command *c);
int run_manual(struct ipsec_command *c);
int run_traffic(struct ipsec_command *c);
int run_interface(struct ipsec_command *c);
int run_ike(struct ipsec_command *c);
int run_dynamic(struct ipsec_command *c);
int run_natt(struct ipsec_command *c);
/* The stack an IKE command goes to when it names none: the first of iked.conf. */
int run_ike_stack(struct ipsec_command *c);
/* The ids of a command for ikeD: "all" becomes @all, the kind's own word. @out holds IPSEC_NAMES_MAX. */
void run_tunnel_ids(const struct ipsec_command *c, char *all, char **out);
/* A display of ikeD's that comes in pages, as report or as JSON. */
struct ipsec_pages {
	const char *primary, *function, *source;
	const char *method;
	const ProtobufCMessageDescriptor *reply;
	/* Adds one reply's entries to the report or to the array @j. */
	int (*page)(struct ipsec_command *c, struct report *r, struct json *j, const ProtobufCMessage *reply);
	uint64_t (*total)(const ProtobufCMessage *reply);
	const char *(*next)(const ProtobufCMessage *reply); /* where the next page begins; NULL or "": nowhere */
};
int run_pages(struct ipsec_command *c, const struct ipsec_pages *p);
/* deactivate or refresh, as @c says. */
int run_tunnel_change(struct ipsec_command *c, size_t n, char *const *ids);

/* Prints the text and gives the exit status for a reply that is not OK. */
int run_failed(enum bus_code code, const char *text);
/* One call to @daemon; *@ret_reply owned by the caller when RUN_DONE. */
int run_call(const char *daemon, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
	ProtobufCMessage **ret_reply);
/* The stack a command goes to when it names none: of defmgrD, or the only one that runs. */
int run_default_stack(struct ipsec_command *c, bool defence);
/* A call to the stack of @c. */
int run_stack_call(struct ipsec_command *c, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, ProtobufCMessage **ret_reply);
void run_json(const ProtobufCMessage *m);
