/* rpcbind_cell: a registry of ONC RPC servers, ours or Debian's, in a network and a mount namespace of its own: an empty /run, its own port
 * 111. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct cell {
	const char *name;
	bool peer; /* Debian's rpcbind */
	char dir[64];
	pid_t pid; /* the server */
	int netns;
};

void cell_die(const char *who, const char *what) __attribute__((noreturn));
void cell_init(void); /* once: from here the namespace that sockets are opened from, and the programs of this build */
void cell_start(struct cell *c);
void cell_end(struct cell *c);
double cell_cpu_ns(const struct cell *c); /* run time of all its threads */
double cell_resident_mib(const struct cell *c);
int cell_socket(const struct cell *c, int type); /* connected to its port 111; -1: refused */
