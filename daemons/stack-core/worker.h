/* worker: one thread, one queue of every link, run to completion. Nothing in it is shared but its counters (read by the control thread)
 * and its ring (one writer, one reader). Between batches it reports a quiescent state; it sleeps offline. */
#pragma once
#include "daemons/stack-core/hold.h"
#include "daemons/stack-core/ip/discover.h"
#include "daemons/stack-core/ip/icmp.h"
#include "daemons/stack-core/ip/reass.h"
#include "daemons/stack-core/ipsec/esp.h"
#include "daemons/stack-core/pace.h"
#include "daemons/stack-core/stack.h"
#include "daemons/stack-core/tap/flows.h"
#include "daemons/stack-core/tap/hook.h"
#include "daemons/stack-core/tap/meter.h"

enum { WORKER_PENDING_MAX = 256, WORKER_PENDING_HOP = 16, WORKER_PENDING_LARGE = 8, WORKER_PENDING_MS = 3500, WORKER_RING = 1024 };
enum { WORKER_SMALL = 4096, WORKER_LARGE_SPARE = 64, WORKER_BYTES = 192 << 10 };
enum { WORKER_LARGE_LINK = 33 }; /* large buffers that a link may keep */

enum ring_type { RING_WANT, RING_HEARD };
struct ring_msg {
	enum ring_type type;
	uint16_t link;
	struct addr addr;
	uint8_t mac[6];
	enum neigh_heard how;
};
struct ring {
	_Atomic uint32_t head __attribute__((aligned(64))); /* written by the worker */
	_Atomic uint32_t tail __attribute__((aligned(64))); /* by the control thread */
	struct ring_msg msgs[WORKER_RING];
};

struct txq {
	struct pkt *pkts[PKT_BATCH];
	unsigned n;
};

struct worker {
	struct stack *stack;
	unsigned index;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	int kick_fd, epoll_fd;
	struct pkt_pool *pool;
	struct ipsec_worker *ipsec;
	struct filter_worker *filter;
	struct ids_worker *ids;
	uint64_t now_ms;
	const struct fib *fib; /* of this batch */
	struct tap_worker tap;
	struct meter meter;
	struct pace pace;
	struct flow_ring flows; /* samples */
	/* this batch */
	struct pkt *rx[PKT_BATCH];
	struct pkt *esp[PKT_BATCH], *clear[PKT_BATCH];
	unsigned n_esp, n_clear;
	unsigned n_read; /* from all links, before any were joined */
	uint16_t rx_max[LINKS_MAX]; /* packets that are taken from a link at once, so that their bytes fit the cache */
	struct pkt *out[PKT_BATCH]; /* decided: to be protected (out_sa) or sent */
	struct sa *out_sa[PKT_BATCH];
	unsigned n_out;
	struct txq *tx; /* one a link */
	struct sa *cut_sa; /* while pieces of one packet come back */
	/* waiting for link addresses, oldest first */
	struct pkt *pending, **pending_tail;
	unsigned n_pending, n_pending_large;
	uint64_t pending_checked_ms;
	atomic_bool kicked;
	struct hold *hold;
	uint64_t hold_checked_ms;
	struct reass *reass;
	uint64_t reass_checked_ms;
	struct icmp_limits icmp;
	uint64_t pass[PASS_MAX], drops[DROP_MAX];
	uint64_t *route_packets;
	struct ring ring;
};

struct worker *worker_new(struct stack *s, unsigned index);
void worker_free(struct worker *w);
/* While it stands still (stack_park) or has no thread: packets by that descriptor (-1: nothing) wake it, or not any more; packets that
 * wait for a link address of that link are dropped and counted. */
void worker_watch(struct worker *w, int fd, bool on);
void worker_forget(struct worker *w, uint16_t link);
int worker_start(struct worker *w, struct errbuf *e);
void worker_stop(struct worker *w);

/* One round: receive from every link, process, send. How many packets came. For tests without a thread: the caller is registered
 * with RCU. */
unsigned worker_round(struct worker *w, uint64_t now_ms, uint64_t now_us);

/* sort.c */
void pipe_batch(struct worker *w, struct pkt **pkts, unsigned n); /* owns them */
/* pipe.c */
void pipe_clear(struct worker *w, struct pkt *p);	 /* in clear form, p->nexthop is found */
bool pipe_filter_in(struct worker *w, struct pkt *p); /* inbound filters; false: p->drop says why */
bool pipe_is_ours(const struct worker *w, const struct addr *a); /* an address of the stack or its host */
void pipe_route(struct worker *w, struct pkt *p); /* made by the stack itself: parsed, next hop to be found */
void pipe_drop(struct worker *w, struct pkt *p, unsigned reason);
void pipe_error(struct worker *w, const struct pkt *bad, enum icmp_why why, uint32_t mtu);
/* out.c */
void out_decide(struct worker *w, struct pkt *p); /* p->nexthop is a link or gateway */
void out_host(struct worker *w, struct pkt *p);	  /* towards the TUN */
void out_flush(struct worker *w);		  /* protect, resolve, send */
void out_pending(struct worker *w);		  /* those whose link address came, or whose time is over */
void out_send(struct worker *w, struct pkt *p);	  /* p->out_link and p->mac are set */
/* nest.c: tunnels in tunnels */
/* Sets p->over to the SA that protects what @sa makes of @p, NULL: none. The rule is asked, and counts. False: there should be one; @p
 * waits for it or was dropped. */
bool nest_over(struct worker *w, struct pkt *p, const struct sa *sa);
/* Protects those of @pkts, which have been protected, that have to be protected again: by ->over. */
void nest_out(struct worker *w, struct pkt **pkts, unsigned n);
/* Is @p, which came out of a tunnel, ESP or AH for us? Then it has p->drop 0 and is to be opened, or was dropped and freed: see *ret_open. */
bool nest_in(struct worker *w, struct pkt *p, bool *ret_open);
struct nest_outside {
	uint8_t proto;
	struct addr src, dst;
};
/* @p came in one layer, as @o, where a rule asks for two. */
bool nest_missing(struct worker *w, const struct pkt *p, const struct nest_outside *o);
/* super.c */
/* Each segment of the super-packet @p into ESP, all into as few super-packets of ESP in UDP as hold them; they come to @emit. @p stays
 * the caller's. */
void super_seal(struct worker *w, struct pkt *p, struct sa *sa, void (*emit)(struct worker *w, struct pkt *out));
bool super_opens(struct worker *w, const struct pkt *p); /* a super-packet of UDP: is it such a one? */
/* What was in it: @out has room for ESP_SLOTS_MAX; takes @p. Each is parsed, or has p->drop set. */
unsigned super_open(struct worker *w, struct pkt *p, struct pkt **out);
void worker_poke(struct worker *w); /* wakes the control thread */
bool worker_post(struct worker *w, const struct ring_msg *m);
bool worker_take(struct worker *w, struct ring_msg *ret);
