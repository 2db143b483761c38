/* stack: one running stack: its links, its tables, its workers. Made and changed by the control thread alone; workers read the tables
 * under RCU (liburcu QSBR) and send what they hear through rings. Knows nothing of the bus: methods.c and main.c stand above. */
#pragma once
#include "daemons/stack-core/filter/filter.h"
#include "daemons/stack-core/hold.h"
#include "daemons/stack-core/ids/ids.h"
#include "daemons/stack-core/ip/dad.h"
#include "daemons/stack-core/ip/fib.h"
#include "daemons/stack-core/ip/neigh.h"
#include "daemons/stack-core/ipsec/notice.h"
#include "daemons/stack-core/ipsec/sa.h"
#include "daemons/stack-core/link/link.h"
#include <pthread.h>
#include <stdatomic.h>

/* Packets that pass a point, counted beside those that are dropped: X(NAME, "stage", "help"). */
#define PASS_COUNTERS(X)                                                                \
	X(RX, "link-rx", "packets received")                                            \
	X(ARP, "neighbour", "ARP and neighbour discovery messages handled")             \
	X(NEIGH_WAIT, "neighbour", "packets that waited for a link address")            \
	X(HELD, "filter", "packets that waited for a tunnel")                           \
	X(REASSEMBLED, "ip", "packets put together of fragments")                       \
	X(KEEPALIVE, "ipsec-in", "NAT keepalives of peers (RFC 3948 2.3)")              \
	X(DECAP, "ipsec-in", "packets taken out of ESP or AH")                          \
	X(ENCAP, "ipsec-out", "packets put into ESP or AH")                             \
	X(NESTED, "ipsec-out", "of them, packets put into a second tunnel")             \
	X(IN_PERMIT, "filter", "inbound packets permitted")                             \
	X(OUT_PERMIT, "filter", "outbound packets permitted")                           \
	X(LOCAL, "local", "packets for the stack itself")                               \
	X(ECHO, "local", "echo requests answered")                                      \
	X(HOST, "route", "packets given to the host's programs")                        \
	X(FORWARD, "route", "packets forwarded")                                        \
	X(FRAGMENTED, "route", "packets cut into fragments")                            \
	X(SEGMENTED, "route", "super-packets cut into segments")                        \
	X(JOINED, "route", "segments and datagrams joined to others of their flow")     \
	X(PMTU, "icmp", "messages about the path MTU of a tunnel that were believed")   \
	X(ICMP_ERROR, "icmp", "ICMP errors sent")                                       \
	X(ICMP_RETURNED, "icmp", "ICMP errors that passed by the packet they return (RFC 4301 6.2)") \
	X(TX, "link-tx", "packets sent")

enum pass_counter {
#define PASS_ENUM(name, stage, help) PASS_##name,
	PASS_COUNTERS(PASS_ENUM)
#undef PASS_ENUM
	PASS_MAX
};

enum { STACK_HOST_ROUTES_MAX = 1024 };

struct worker;
struct taps;
struct flows;
struct tap_set;

struct stack {
	char name[25];
	atomic_bool forwarding; /* this and what follows: changed by a reload while workers look */
	atomic_bool ipsecurity4, ipsecurity6; /* packets of that family are filtered */
	atomic_bool path_mtu4, path_mtu6; /* ICMP about the path of tunnels is believed (pmtu.h) */
	struct link links[LINKS_MAX];
	unsigned n_links; /* places in use, and below: one that was left has n_queues 0 (links.h) */
	unsigned pool_links; /* for so many the workers have buffers */
	const struct link_store *store; /* NULL, or set before stack_open: queues outlive this run */
	int host_link; /* index of the TUN, -1: none */
	struct fib *fib; /* RCU */
	struct neigh_table *neigh;
	struct devices *devices; /* from stack_start on */
	struct dad *dad; /* from stack_start on */
	struct fib_route *routes; /* as configured, for when an address is refused */
	unsigned n_routes;
	struct filter_set *filters;
	struct sadb *sadb;
	struct ids *ids;
	struct taps *taps;
	struct flows *flows; /* the busiest */
	struct tap_set *tapped; /* RCU: what is watched now; NULL: nothing */
	struct worker *workers[LINK_WORKERS_MAX];
	unsigned n_workers;
	atomic_bool parking; /* workers are asked to stand still */
	unsigned parked;     /* so many do */
	pthread_mutex_t park_lock;
	pthread_cond_t park_cond;
	int control_fd; /* eventfd: readable when workers have something for stack_control */
	uint64_t now_ms; /* of the last stack_control */
	uint64_t tick_ms;
	uint64_t overruns; /* counted by the kernel for us */
	uint64_t past_pass[PASS_MAX], past_drops[DROP_MAX]; /* of earlier runs, whose heir this one is */
	struct prefix host_routes[STACK_HOST_ROUTES_MAX]; /* of the host through the TUN */
	unsigned n_host_routes;
	bool host_again; /* the TUN has other addresses: the host may have lost routes with the old ones */
	/* Hooks of whoever is above; NULL allowed. */
	void (*on_neighbour)(void *arg, const struct neigh *n);
	void (*on_conflict)(void *arg, uint16_t link, const struct addr *a, const uint8_t mac[6], bool refused);
	void (*on_link)(void *arg, const struct link *l, bool up, const char *why);
	void (*on_want)(void *arg, const struct hold_want *want);
	void (*on_notice)(void *arg, const struct ipsec_notice *n);
	void *arg;
};

/* Links are described in s->links (not open), then: */
struct stack *stack_new(const char *name, unsigned workers);
int stack_open(struct stack *s, struct errbuf *e); /* opens the links */
/* Replaces the routes: @routes as configured (FIB_LINK, FIB_GATEWAY); our own addresses and networks are added. Before or while running. */
int stack_routes(struct stack *s, const struct fib_route *routes, unsigned n, struct errbuf *e);
int stack_start(struct stack *s, struct errbuf *e); /* the workers' threads */
void stack_stop(struct stack *s);		     /* and joins them */
void stack_free(struct stack *s);
/* Handles what workers sent and what is due. Call when control_fd is readable, and every 100 ms. */
void stack_control(struct stack *s, uint64_t now_ms);
/* All workers stand still between two rounds, with nothing in their hands but packets that wait; until stack_unpark. */
void stack_park(struct stack *s);
void stack_unpark(struct stack *s);
void stack_wait_parked(struct stack *s); /* a worker that is asked to */
void stack_heard(struct stack *s);	  /* what workers heard of neighbours so far is told */
void stack_secrets(struct stack *s);	  /* tells captures which links nobody outside sees */
void stack_kick(struct stack *s); /* wakes all workers: a table changed that they may wait for */
void stack_counters(const struct stack *s, uint64_t pass[PASS_MAX], uint64_t drops[DROP_MAX]);
uint64_t stack_route_packets(const struct stack *s, uint32_t route);
const char *pass_name(unsigned c);
const char *pass_stage(unsigned c);
const char *pass_help(unsigned c);
