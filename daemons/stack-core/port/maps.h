/* maps: what the port access program in the kernel and the control thread share. Plain C types only: this header is
 * compiled for BPF too.
 *
 * One longest-prefix search decides a bind (zos.md section 8). A bind first picks an entry: the PORT or PORTRANGE
 * statement that covers its port, or the UNRSV statements of its protocol. The rules of an entry lie in one trie under
 * (entry, job name): an exact job name is 8 characters long, a partial one "ABC*" shorter, "*" empty. The longest match
 * is z/OS's best fit: exact, then the longest partial name, then "*". No match: refused. */
#pragma once
#ifndef __bpf__
#include <stdint.h>
#endif

enum { PORT_JOB = 8, PORT_UNIT_MAX = 64, PORT_ENTRIES_MAX = 4096, PORT_RULES_MAX = 16384, PORT_USERS_MAX = 1 << 20,
	PORT_JOBS_MAX = 4096, PORT_EVENTS = 1 << 16 };

/* The first two entries are UNRSV's. */
enum { PORT_ENTRY_UNRSV_TCP, PORT_ENTRY_UNRSV_UDP, PORT_ENTRY_FIRST };

enum { PORT_TCP, PORT_UDP, PORT_PROTOCOLS };

enum port_why { PORT_ALLOWED, PORT_RESERVED, PORT_NO_JOB, PORT_DENY, PORT_SAF, PORT_LOW, PORT_WHYS };

struct port_settings {		  /* of an array [half] */
	uint32_t unrsv[2];	  /* UNRSV statements exist for TCP, UDP */
	uint32_t low[2];	  /* RESTRICTLOWPORTS of TCPCONFIG, UDPCONFIG */
	uint32_t when_bind;	  /* UNRSV TCP is checked at bind; 0: at listen */
	uint32_t unused;
	uint64_t netns;		  /* cookie of the stack's network namespace; others have their own ports */
};
/* Array of one uint32_t: 0 everything is allowed (no profile yet), else the half of all tables that is in force, + 1. */

struct port_slot {	 /* of an array [half][protocol][65536] */
	uint16_t entry;	 /* 0: no PORT or PORTRANGE covers it */
};

struct port_rule_key {
	uint32_t prefix_bits;	/* BPF_MAP_TYPE_LPM_TRIE's */
	uint8_t half;
	uint8_t unused;
	uint8_t entry[2];	/* most significant first: the trie compares bytes */
	uint8_t job[PORT_JOB];	/* upper case, zero padded */
};
enum { PORT_RULE_FIXED_BITS = 32 };

struct port_rule {
	uint8_t deny;
	uint8_t bind;		/* BIND address given: wildcard binds become it */
	uint16_t saf;		/* resource number + 1; 0: none asked */
	uint32_t addr4;		/* network order */
	uint32_t addr6[4];
	uint8_t bind_family;	/* 4 or 6 */
	uint8_t unused[3];
};

struct port_user_key {		/* present: the uid has READ to the resource */
	uint32_t uid;
	uint16_t saf;		/* resource number + 1 */
	uint8_t half;
	uint8_t unused;
};

struct port_exe_key {		/* an executable that a PORTJOB statement names */
	uint64_t inode;
	uint32_t device;	/* the kernel's s_dev: major << 20 | minor */
	uint32_t unused;
};

struct port_job {
	uint8_t name[PORT_JOB];
};

struct port_event {
	uint64_t cookie;	/* of the listener, when it must be destroyed */
	uint64_t time_ns;	/* CLOCK_MONOTONIC */
	uint32_t uid, pid;
	uint16_t port, saf;
	uint8_t protocol, why, listening, family;
	char job[PORT_JOB];
	char comm[16];
};

enum port_count { PORT_COUNT_CHECKED, PORT_COUNT_ALLOWED, PORT_COUNT_DENIED, PORT_COUNT_EVENTS_LOST, PORT_COUNTS };
