/* stackctl: what its files share. */
#pragma once
#include "cli/common/cli.h"

/* One call of the stack that -p names (or the only one); CLI_OK and *@ret, or the exit status. */
int stackctl_call(const struct cli *c, const char *method, const ProtobufCMessage *q,
	const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret);
int stackctl_done(ProtobufCMessage *m); /* frees an answer; CLI_OK */

/* Commands in filters.c. */
int stackctl_filters(struct cli *c, int argc, char **argv);
int stackctl_defences(struct cli *c, int argc, char **argv);
int stackctl_switch(struct cli *c, int argc, char **argv);
int stackctl_test(struct cli *c, int argc, char **argv);

/* trace.c */
int stackctl_trace(struct cli *c, int argc, char **argv);
int stackctl_capture(struct cli *c, int argc, char **argv);

/* top.c */
int stackctl_top(struct cli *c, int argc, char **argv);

/* ids.c */
int stackctl_ids(struct cli *c, int argc, char **argv);
