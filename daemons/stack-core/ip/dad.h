/* dad: is an address of ours ours alone? (RFC 4862 section 5.4, RFC 5227.) When a stack starts it asks for each of its addresses
 * DUPADDRDET times, a second apart. Who answers had it before: the address is refused, nothing here answers for it or sends from it
 * until the stack is started again. After that the address is ours: who claims it is told otherwise, at most once in ten seconds.
 *
 * An address is used while it is asked for (RFC 4429; RFC 5227 would wait): a gateway that is restarted is not to be silent for seconds.
 * The control thread's. */
#pragma once
#include "daemons/stack-core/link/link.h"

enum { DAD_PROBE_MS = 1000, DAD_DEFEND_MS = 10000, DAD_PROBES_MAX = 10 };

struct dad_hooks {
	/* @refused: it is not ours any more, and the routes have to be made anew. Otherwise it is defended. */
	void (*conflict)(void *arg, uint16_t link, const struct addr *a, const uint8_t mac[6], bool refused);
	void *arg;
};
struct dad;
struct dad *dad_new(struct link *links, unsigned n, const struct dad_hooks *hooks); /* links are open; those with dad_probes 0 are left alone */
/* The links have other addresses: what is known of those that stay stays known. Frees @old. */
struct dad *dad_renew(struct dad *old, unsigned n);
void dad_forget(struct dad *d, uint16_t link); /* of a link that goes, or was taken by another */
void dad_free(struct dad *d);
void dad_tick(struct dad *d, uint64_t now_ms);
/* Somebody with link address @mac says that he has @a. */
void dad_claimed(struct dad *d, uint16_t link, const struct addr *a, const uint8_t mac[6], uint64_t now_ms);
