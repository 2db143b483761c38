/* handover: what a stack that is restarted leaves to its successor, so that the restart is a short pause and nothing else.
 *
 * The queues of the links are in the service manager's store from the moment they are open (link.h's store): they survive a crash,
 * too, and the kernel keeps packets in them meanwhile; the TUN device stays, with the host's routes and connections. An orderly end
 * adds, once the workers have stopped, a memory file: dynamic tunnels with keys, sequence numbers and replay windows, defensive
 * filters, the host's routes. The successor wipes it where it lies before it uses it: numbers under one key are never counted
 * twice, and after a crash there is nothing that could be. Then ikeD negotiates anew, and defmgrD installs anew, as ever.
 *
 * Who can read the memory of the service manager (root) can read the keys, as it can in the stack's own memory. */
#pragma once
#include "daemons/stack-core/core.h"
#include "proto/stack_handover.pb-c.h"

#define HANDOVER_FILE "handover" /* its name in the store */
#define HANDOVER_MAGIC "RVHANDOV"

enum { HANDOVER_MAX = 1 << 30 }; /* bytes */

/* The memory file begins with it; behind it lies the packed message. */
struct handover_head {
	char magic[8];
	uint64_t len;
};

extern const struct link_store handover_store;

/* What was left to us; NULL: nothing. Before links are opened. To be given to handover_end. */
Stack__Handover *handover_take(void);
/* The @size bytes at @map; NULL: they are no such file. What it says is not checked yet. */
Stack__Handover *handover_read(const uint8_t *map, size_t size);
/* The routes of the host that an earlier run made, so that they are compared with those wanted now; before core_apply. */
void handover_routes(struct core *k, const Stack__Handover *h);
/* After core_apply, before packets flow: defences and dynamic tunnels. True: every tunnel is here. */
bool handover_tunnels(struct core *k, Stack__Handover *h);
void handover_end(Stack__Handover *h); /* cleanses; NULL allowed */
/* What was counted goes on (handover_counters.c). */
void handover_counters(struct stack *s, const Stack__Handover *h);
void handover_leave_counters(const struct stack *s, Stack__Handover *m);
void handover_unfill_counters(Stack__Handover *m);
/* While the workers still carry packets: ends what takes time to end, the bus. False: nobody keeps anything, and nothing was done. */
bool handover_prepare(struct core *k);
/* After the workers have stopped; true: the service manager has it. */
bool handover_leave(struct core *k);
