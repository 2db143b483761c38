/* dynamic: tunnels whose keys were negotiated. A tunnel lives as long as anybody renews it; each negotiation
 * gives it a generation, a pair of SAs. All inbound SAs of a tunnel are open until they are removed or expire,
 * for the peer may still send by an old one; what is sent goes by the generation that was made ready last.
 * So a rekey loses no packet: the receiver can already open what the sender begins to use.
 *
 * Control thread alone. Nothing here waits for the packet workers: what is taken out is freed behind a grace
 * period, and costs do not grow with the number of tunnels. */
#pragma once
#include "daemons/stack-core/ipsec/sa.h"

enum { DYNAMIC_GENERATIONS_MAX = 8 /* of one tunnel */ };

struct generation {
	uint32_t number; /* from 1 */
	struct sa *in, *out;
	uint64_t soft_bytes, hard_bytes; /* 0: no limit */
	uint64_t soft_ms, hard_ms;	 /* monotonic; 0: no limit */
	bool ready;			 /* its outbound SA is or was the one in use */
	bool soft_told, hard_told;
	uint64_t installed_us; /* wall clock */
	struct addr moved;     /* where its packets come from now, as last told; family 0: nowhere else */
	uint16_t moved_port;
	void *data;	       /* the owner's, freed with free() */
	size_t len;
	struct generation *older;
};

/* Takes @g (also on failure) with its SAs and makes it a generation of tunnel @id, which is made when there is
 * none; @rule names it. *ret_new: the tunnel was made. -EEXIST: this generation, or its inbound SPI, exists;
 * -ENOSPC. */
int dynamic_install(struct sadb *db, const char *id, const char *rule, struct generation *g, struct errbuf *err,
	struct tunnel **ret, bool *ret_new);
struct generation *dynamic_generation(const struct tunnel *t, uint32_t number);
/* Outbound packets use it from now on. False: it is already so. */
bool dynamic_ready(struct tunnel *t, struct generation *g);
/* @number 0: all. The last one takes the tunnel with it. How many generations went. */
unsigned dynamic_remove(struct sadb *db, struct tunnel *t, uint32_t number);
/* The peer or we are elsewhere now: new outer addresses for all generations. @out is seen outbound. */
void dynamic_move(struct tunnel *t, const struct sa_path *out);
void generation_free(struct generation *g); /* one that is in no tunnel */

/* Lifetimes, once a second. @fn hears what was reached for the first time; a hard limit has already closed the
 * SAs. */
enum dynamic_limit { DYNAMIC_SOFT, DYNAMIC_HARD };
typedef void (*dynamic_fn)(void *arg, struct tunnel *t, struct generation *g, enum dynamic_limit what, const char *why);
void dynamic_lifetimes(struct sadb *db, uint64_t now_ms, dynamic_fn fn, void *arg);
unsigned dynamic_count(struct sadb *db);
