/* neigh: link addresses of next hops (RFC 826, RFC 4861 section 7.3). The control thread owns the table; workers look up under RCU and
 * send what they hear and what they miss through a ring. What strangers can make it hold is limited: NEIGH_MAX entries in all, of which
 * NEIGH_UNRESOLVED_MAX without an answer (a scan of a network behind us asks for all of its addresses: RFC 6583), entries only for
 * addresses that we asked for or that asked for us, on the link's own prefixes. When it is full, what has not been used for longest goes.
 *
 * Nobody signs such messages. Who claims an address that somebody has already is only noted: the one that has it is asked, and keeps it
 * when it answers; else the claim stands. An answer to nothing that was asked is a claim too. */
#pragma once
#include "lib/base/addr.h"
#include <stdatomic.h>

enum neigh_state { NEIGH_NONE, NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_STALE, NEIGH_PROBE, NEIGH_FAILED };
enum { NEIGH_MAX = 4096, NEIGH_UNRESOLVED_MAX = NEIGH_MAX / 2, NEIGH_BUCKETS = 1024, NEIGH_TRIES = 3 };
enum { NEIGH_RETRY_MS = 1000, NEIGH_REACHABLE_MS = 30000, NEIGH_FAILED_MS = 3000, NEIGH_UNUSED_MS = 600000 };
enum neigh_heard {
	NEIGH_ANSWER,	   /* solicited: proves reachability */
	NEIGH_ASKED,	   /* the sender asked for us, and gave its own address */
	NEIGH_ANNOUNCED, /* unsolicited */
	NEIGH_CONFLICT,	 /* of an address of ours: for dad.h */
};

struct neigh {
	struct addr addr;
	uint16_t link;
	_Atomic uint64_t word; /* link address << 8 | state, read as one */
	atomic_bool used;
	/* control thread only */
	uint64_t since_ms, next_ms;
	unsigned tries;
	bool claimed; /* by rival, while the one that has it is asked */
	uint8_t rival[6];
	struct neigh *next, *gone;
};

struct neigh_hooks {
	void (*solicit)(void *arg, uint16_t link, const struct addr *a, const uint8_t *mac); /* @mac NULL: to all */
	void (*changed)(void *arg, const struct neigh *n);
	void *arg;
};

struct neigh_table;
struct neigh_table *neigh_new(const struct neigh_hooks *hooks);
void neigh_free(struct neigh_table *t);

/* Workers, in a read side: true and the link address in @mac. Otherwise *@ret_failed tells whether asking already failed. */
bool neigh_lookup(struct neigh_table *t, uint16_t link, const struct addr *a, uint8_t mac[6], bool *ret_failed);

/* Control thread. */
void neigh_want(struct neigh_table *t, uint16_t link, const struct addr *a, uint64_t now_ms);
/* True when workers that wait may find something new. */
bool neigh_hear(struct neigh_table *t, uint16_t link, const struct addr *a, const uint8_t mac[6], enum neigh_heard how, uint64_t now_ms);
void neigh_tick(struct neigh_table *t, uint64_t now_ms); /* about every 100 ms */
void neigh_forget(struct neigh_table *t, uint16_t link); /* those of a link that goes */
void neigh_each(struct neigh_table *t, void (*fn)(void *arg, const struct neigh *n), void *arg);
unsigned neigh_count(const struct neigh_table *t);
enum neigh_state neigh_state(const struct neigh *n);
void neigh_mac(const struct neigh *n, uint8_t mac[6]);
const char *neigh_state_text(enum neigh_state s);
