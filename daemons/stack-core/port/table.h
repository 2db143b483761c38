/* table: PORT, PORT UNRSV, PORTRANGE and PORTJOB statements (zos.md section 8) as one table, with the decision as
 * it is meant. The kernel's program decides from tables made of this one (control.c); port_table_decide is the
 * specification that tests hold it to, and what stackctl explains with. */
#pragma once
#include "daemons/stack-core/port/maps.h"
#include "lib/base/addr.h"
#include "lib/conf/conf.h"
#include <sys/types.h>

enum { PORT_SAF_NAME_MAX = 8, PORT_EXE_MAX = 256 };
enum port_use { PORT_USE_JOB, PORT_USE_RESERVED, PORT_USE_AUTHPORT };

struct port_stmt {	      /* one entry of a statement, as netstat -o shows it */
	bool unrsv, range, deny, autolog, delayacks, shareport, shareport_wlm;
	uint8_t protocol;     /* PORT_TCP, PORT_UDP */
	uint16_t first;	      /* unused with unrsv */
	uint32_t count;
	enum port_use use;
	char job[PORT_JOB + 1]; /* upper case; "*" stands as "" with .partial */
	bool partial;
	char saf[PORT_SAF_NAME_MAX + 1]; /* "" none */
	struct addr bind;     /* family 0: none */
	uint16_t entry;	      /* of the trie */
};

struct port_exe {
	char job[PORT_JOB + 1];
	char path[PORT_EXE_MAX];
};

struct port_table {
	struct port_stmt *stmts;
	size_t n;
	struct port_exe *exes;
	size_t n_exes;
	char (*resources)[PORT_SAF_NAME_MAX + 1]; /* distinct SAF names; number + 1 is port_rule.saf */
	size_t n_resources;
	uint16_t n_entries;
	bool low[PORT_PROTOCOLS], unrsv[PORT_PROTOCOLS], when_bind;
	uint16_t slot[PORT_PROTOCOLS][65536]; /* entry of each port, 0 none */
};

extern const struct conf_operand port_operands[], port_unrsv_operands[], portrange_operands[], portjob_operands[];

/* Builds the table from all such statements of @c; a statement read second for a port is ignored with a warning in the log, as
 * z/OS does (and a UNRSV TCP entry that clashes: EZZ0147I). 0, or -EINVAL with errors recorded at their places.
 * *@ret is NULL when the profile has none of the statements and restricts no low ports. */
int port_table_build(struct conf *c, const bool low[PORT_PROTOCOLS], struct port_table **ret);
void port_table_free(struct port_table *t); /* NULL allowed */

/* The statement that decides for @job ("" none), NULL when none does; *@ret_why: PORT_ALLOWED, or a refusal that does not need
 * SAF. When the statement names a SAF resource, the decision is SAF's. @explicit_port false: port 0 was asked. */
const struct port_stmt *port_table_decide(const struct port_table *t, unsigned protocol, uint16_t port, const char *job,
	uid_t uid, bool listening, enum port_why *ret_why);
/* 1-based number of a SAF name in t->resources; 0: "" */
uint16_t port_table_resource(const struct port_table *t, const char *saf);
const char *port_why_text(enum port_why why);
