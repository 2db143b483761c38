/* cli: what every command-line tool shares: arguments, help, one call, text or JSON out, exit status. A tool is a table of
 * commands and functions that fill a request, call, and print: no logic.
 *
 *   TOOL [--json] [-p STACK | --stack STACK] [--timeout MS] COMMAND [OPERAND...]      also --help, --version
 *
 * Exit status: 0 done, 1 failed, 2 usage, 3 not authorised. Errors go to standard error as "TOOL: text". */
#pragma once
#include "lib/base/json.h"
#include "lib/bus/bus.h"

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NOT_AUTHORIZED = 3 };

struct cli_spec;
struct cli {
	const struct cli_spec *spec;
	bool json;
	const char *stack; /* of -p, or NULL */
	unsigned timeout_ms;
	const struct cli_command *command; /* that runs */
};

struct cli_command {
	const char *words; /* "links", "filter add"; "" = the tool has no command words */
	const char *usage; /* of its operands, "NAME..."; "" none */
	const char *help;
	int min, max; /* operands allowed; max -1: any number */
	int (*run)(struct cli *c, int argc, char **argv); /* operands only; returns enum cli_exit */
};

struct cli_spec {
	const char *name, *summary;
	const struct cli_command *commands; /* ends with .run NULL */
	bool stacked;			    /* has -p/--stack */
	const char *epilogue;		    /* more text for --help, or NULL */
};

int cli_main(const struct cli_spec *spec, int argc, char **argv); /* main() returns it */

/* "TOOL: text" to standard error; returns @code, so that "return cli_fail(c, CLI_FAILED, ...)" reads as it acts. */
int cli_fail(const struct cli *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int cli_usage(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_exit_of(enum bus_code code);

/* One call of @daemon ("defmgrD", "stack-core@LEFT"). CLI_OK and *@ret (free with protobuf_c_message_free_unpacked), or the exit status with
 * the reason already printed. */
int cli_call(const struct cli *c, const char *daemon, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *reply, ProtobufCMessage **ret);
/* The stack-core that -p names, or the only one that runs, as "stack-core@NAME" into @out. CLI_OK or the exit status. */
int cli_stack(const struct cli *c, char out[BUS_NAME_MAX + 1]);

void cli_json(const ProtobufCMessage *m); /* one line to standard output */
/* Text that a peer chose, safe for a terminal: control characters become '?'. Lives until 8 more were made. */
const char *cli_safe(const char *text);
/* Numbers for tables, same life. */
const char *cli_u64(uint64_t v);
/* A number operand within [min, max]; false with the reason printed. */
bool cli_number(const struct cli *c, const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* Columns as wide as their widest cell. Cells are copied and made safe. */
struct cli_table;
struct cli_table *cli_table_new(const char *heading, ...) __attribute__((sentinel)); /* headings, then NULL */
void cli_table_row(struct cli_table *t, const char *cell, ...) __attribute__((sentinel)); /* as many as headings, NULL */
void cli_table_end(struct cli_table *t); /* prints and frees */

/* The message type of an event topic ("defmgr.filter.added"), NULL: not known. */
const ProtobufCMessageDescriptor *cli_event_type(const char *topic);
