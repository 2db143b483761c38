/* command: the `ipsec` command line, parsed. Only its syntax is judged here; ranges and what goes together are the daemons' to
 * say, so that a program on the bus gets the same answers. Keywords in any case. */
#pragma once
#include "lib/base/err.h"
#include "proto/defmgr.pb-c.h"
#include <stdbool.h>

enum ipsec_primary { IPSEC_HELP, IPSEC_VERSION, IPSEC_BATCH, IPSEC_FILTER, IPSEC_DEFENCE, IPSEC_MANUAL, IPSEC_TRAFFIC, IPSEC_INTERFACE,
	IPSEC_IKE, IPSEC_DYNAMIC, IPSEC_NATT };
enum ipsec_function {
	IPSEC_DISPLAY,
	IPSEC_ADD,
	IPSEC_UPDATE,
	IPSEC_DELETE,
	IPSEC_DEFAULT,
	IPSEC_RELOAD,
	IPSEC_ACTIVATE,
	IPSEC_DEACTIVATE,
	IPSEC_REFRESH,
};
enum ipsec_format { IPSEC_DETAIL, IPSEC_SHORT, IPSEC_WIDE };
enum { IPSEC_NAMES_MAX = 64 };

struct ipsec_traffic {
	const char *source, *destination, *direction;
	uint32_t protocol, source_port, dest_port;
};

struct ipsec_command {
	enum ipsec_primary primary;
	enum ipsec_function function;
	enum ipsec_format format;
	bool global, json, all;
	bool cascade;	   /* -k -e */
	bool iked_view;	   /* -y -b */
	const char *local_rule; /* -y -l */
	char stack[9];	   /* upper case; "" = none given */
	const char *kind;  /* -f -c: current, policy, profile */
	const char *names[IPSEC_NAMES_MAX]; /* -N, -n */
	unsigned nnames;
	const char *ids[IPSEC_NAMES_MAX]; /* -a */
	unsigned nids;
	Defmgr__Filter filter; /* add, update: texts borrowed from the words */
	struct ipsec_traffic traffic;
};

/* @words: what follows the word "ipsec", NULL-terminated; must outlive *@ret. */
int ipsec_parse(const char *const *words, struct ipsec_command *ret, struct errbuf *e);

/* One filter operand and its values at @words ("srcip all"): number of words taken; 0: not an operand; -EINVAL. Also for defmgrctl. */
int ipsec_operand(const char *const *words, Defmgr__Filter *ret, struct errbuf *e);
int ipsec_stack_name(const char *text, char ret[9], struct errbuf *e);
/* Protocol by name or number. */
int ipsec_protocol(const char *text, uint32_t *ret);
