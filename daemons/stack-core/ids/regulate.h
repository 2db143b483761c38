/* regulate: what traffic regulation keeps. Inside ids/ only. */
#pragma once
#include "daemons/stack-core/ids/worker.h"

enum { POOLS = 1024, HOSTS = 16384, CONNS = 65536, TR_WAYS = 8, QUEUES = 255 };

struct pool { /* connections of one port */
	_Atomic uint64_t tag; /* 0: free */
	_Atomic uint32_t used;
	_Atomic uint64_t refused;
	struct addr addr; /* family 0: every address */
	struct addr seen; /* one of its destinations: finds its rule */
	uint16_t port;
	bool constrained, told; /* control thread */
} __attribute__((aligned(64)));

struct conn {
	_Atomic uint64_t tag; /* session_hash(client, server); 0: free */
	_Atomic uint32_t since_s, fins;
	uint32_t pool, host;
	uint64_t host_tag;
	uint16_t port;
};

struct queue { /* receive queue of one UDP port */
	_Atomic uint32_t queued, since, limit;
	_Atomic uint64_t refused;
	_Atomic uint32_t over, discards; /* over its limit; and datagrams are dropped then */
	uint16_t port;
	struct addr addr;
	char rule[POLICY_NAME_MAX];
	bool constrained, seen; /* control thread */
};

struct regulation {
	struct pool pools[POOLS];
	struct conn conns[CONNS];
	_Atomic uint64_t hosts[HOSTS]; /* 48 bits of a hash, 16 of connections */
	_Atomic uint64_t untracked;    /* connections that found no room: allowed */
	atomic_int left;	       /* records in this interval */
	_Atomic uint8_t slot[65536];   /* UDP port: index of its queue + 1 */
	struct queue queues[QUEUES];
	unsigned n_queues;
	uint64_t swept_ms, sampled_ms;
};

/* regulate.c; workers */
bool tr_open(struct ids_worker *w, struct pkt *p, struct ids_answer *ret); /* a SYN to this host; false: p->drop is set */
void tr_close(struct ids_worker *w, const struct addr *client, uint16_t cport, const struct addr *server, uint16_t port, uint8_t flags, bool by_client);
bool tr_datagram(struct ids_worker *w, struct pkt *p); /* false: p->drop is set */
/* control thread */
void tr_release(struct regulation *g, struct conn *c);
const struct ids_rule *tr_rule_of(const struct ids_policy *p, const struct pool *o);

/* sockets.c: sockets of this host by sock_diag(7). */
struct socket_seen {
	struct addr local, remote;
	uint16_t lport, rport;
	uint32_t queued; /* bytes of memory in the receive queue */
};
typedef void (*socket_fn)(void *arg, const struct socket_seen *s);
int sockets_each(uint8_t proto, socket_fn fn, void *arg); /* 0 or -errno: then not all were told */
void tr_sample(struct ids *ids, uint64_t now_ms); /* UDP queues */
void tr_sweep(struct ids *ids, uint64_t now_ms);  /* connections that ended unseen */
