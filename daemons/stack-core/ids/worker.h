/* worker: what ids/ keeps, and how its files find it. Inside ids/ only. */
#pragma once
#include "daemons/stack-core/filter/hash.h"
#include "daemons/stack-core/ids/ids.h"
#include "lib/pcapng/pcapng.h"
#include <stdatomic.h>
#include <stdio.h>

enum { EVENT_RING = 4096, TRACE_RING = 128 };
enum { HALF_BITS = 17, KNOWN_BITS = 16, SENT_BITS = 16, LISTENERS = 4096, LISTENER_WAYS = 4, SEEN = 4096 };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };
enum half_state { HALF_NONE, HALF_OPENED, HALF_ANSWERED, HALF_DONE };

struct event_ring {
	struct ids_event *v; /* EVENT_RING */
	_Atomic uint64_t lost;
	_Atomic uint32_t head __attribute__((aligned(64))); /* written by the worker */
	_Atomic uint32_t tail __attribute__((aligned(64))); /* by the control thread */
};

struct trace_record {
	uint64_t time_us;
	uint32_t correlator, len, kept;
	uint16_t probe, link;
	uint8_t data[IDS_TRACE_MAX];
};
struct trace_ring {
	struct trace_record *v; /* TRACE_RING */
	_Atomic uint64_t lost;
	_Atomic uint32_t head __attribute__((aligned(64)));
	_Atomic uint32_t tail __attribute__((aligned(64)));
};

/* A destination that SYNs go to. Workers share it; a lost race costs precision and nothing else. */
struct listener {
	_Atomic uint64_t tag; /* 0: free */
	_Atomic uint32_t period, syn, done, until_s; /* until_s: defended so long; 0: not under attack */
	_Atomic uint64_t dropped;
	struct addr addr;
	uint16_t port;
} __attribute__((aligned(64)));

struct link_flood { /* control thread */
	uint64_t received, discarded, since_ms, now_received;
	bool on;
};

struct ids_worker {
	struct ids *ids;
	unsigned index;
	const struct ids_policy *policy; /* of this batch; NULL: none */
	uint64_t now_ms, now_us;
	uint32_t correlator;
	bool told;
	_Atomic uint64_t detected[IDS_ATTACKS], discarded[IDS_ATTACKS]; /* written by the worker alone */
	_Atomic uint64_t challenged, proven, link_discarded[IDS_LINKS_MAX];
	uint64_t seen[SEEN]; /* probes told lately */
	struct event_ring events;
	struct trace_ring traces;
};

struct scan_table;
struct regulation;


struct type_state { /* of an attack type; control thread */
	uint64_t seen_detected, seen_discarded; /* at the beginning of this interval */
	uint64_t logged, interval_logged, suppressed;
	uint32_t console;
	uint64_t stat_ms, stat_detected, stat_discarded; /* statistics since */
};

struct ids {
	struct ids_policy *policy; /* RCU; not changed here */
	struct ids_worker *workers[IDS_WORKERS_MAX];
	unsigned n_workers;
	struct hash_key key;
	atomic_int log_left[IDS_ATTACKS], trace_left[IDS_ATTACKS];
	struct type_state types[IDS_ATTACKS];
	uint64_t interval_ms;
	char trace_path[256];
	_Atomic uint64_t *half, *known, *sent; /* session.c */
	_Atomic uint16_t *port_s;	       /* when a SYN to it came last */
	_Atomic uint32_t defended_s;	       /* some port was under attack at that time */
	struct listener *listeners;
	struct hash_key cookie_key;
	struct link_flood links[IDS_LINKS_MAX];
	struct scan_table *scan;
	struct regulation *tr; /* NULL: no policy had a TR rule yet */
	uint64_t second_ms, scan_events, scans_fast, scans_slow, scans_told, scans_held, scan_console; /* told, held, console: in this interval */
	FILE *trace;
	struct pcapng trace_file; /* on it */
	uint64_t traced;
};

static inline void bump(_Atomic uint64_t *c)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* post.c */
void post_init(struct ids_worker *w);
void post_fini(struct ids_worker *w);
struct ids_event *post_next(struct ids_worker *w, const struct pkt *p, enum ids_kind kind, unsigned probe); /* NULL: the ring is full */
void post_commit(struct ids_worker *w);
bool post_take(struct ids_worker *w, struct ids_event *ret);
void post_trace(struct ids_worker *w, const struct pkt *p, uint32_t correlator, unsigned probe, uint32_t size);
const struct trace_record *trace_peek(struct ids_worker *w); /* NULL: none; trace_done lets it go */
void trace_done(struct ids_worker *w);

/* attack.c: tells and counts one attack; true: it is to be dropped, and p->drop is set. */
bool attack_found(struct ids_worker *w, struct pkt *p, enum ids_attack a, unsigned probe, uint32_t value);

void attack_flood(struct ids_worker *w, struct pkt *p); /* a SYN is dropped: counted and traced, not told one by one */
void attack_flood_began(struct ids_worker *w, const struct pkt *p);

/* session.c */
void session_init(struct ids *ids);
void session_fini(struct ids *ids);
typedef void (*flood_end_fn)(void *arg, const struct listener *l);
void session_floods_end(struct ids *ids, uint32_t now_s, flood_end_fn fn, void *arg);
uint64_t session_hash(const struct ids *ids, const struct addr *a, uint16_t aport, const struct addr *b, uint16_t bport);

bool session_sent(struct ids_worker *w, const struct addr *us, uint16_t port, const struct addr *peer, uint16_t pport); /* lately */
void session_refused(struct ids_worker *w, const struct pkt *p); /* the stack itself answers that SYN */

/* closed.c */
bool closed_looked_for(const struct ids_worker *w); /* UDP probes count */
void closed_told(struct ids_worker *w, const struct pkt *p); /* ICMP of this host */

/* probe.c */
void probe_event(struct ids_worker *w, const struct pkt *p, enum ids_protocol proto, enum ids_class class, unsigned probe);
/* The same, about a packet the other way: its destination is who probed. */
void probe_back(struct ids_worker *w, const struct pkt *p, enum ids_class class, unsigned probe);

/* scan.c */
struct scan_found {
	uint32_t fast, slow;
	bool is_fast;
};
struct scan_table *scan_new(void);
void scan_free(struct scan_table *t);
/* One event that counts; true: a scan is to be told. */
bool scan_add(struct ids *ids, const struct ids_event *e, uint32_t now_s, struct scan_found *ret);
uint64_t scan_evicted(const struct scan_table *t, uint32_t *ret_sources);

/* trace.c */
void trace_drain(struct ids *ids);
void trace_close(struct ids *ids);

/* text.c */
const char *text_attack(const struct ids_event *e, char out[IDS_TEXT_MAX]);
const char *text_scan(const struct ids_event *e, const struct ids_rule *r, const struct scan_found *f, char out[IDS_TEXT_MAX]);
const char *text_tr(const struct ids_event *e, char out[IDS_TEXT_MAX]);
const char *text_constrained(const struct ids_event *e, bool entered, char out[IDS_TEXT_MAX]);
const char *text_suppressed(const char *type, uint64_t count, uint64_t now_us, char out[IDS_TEXT_MAX]);
const char *text_statistics(enum ids_attack a, uint64_t detected, uint64_t discarded, uint64_t now_us, char out[IDS_TEXT_MAX]);
