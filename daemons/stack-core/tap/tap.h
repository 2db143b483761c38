/* tap: watching packets pass. A session says which packets (a spec) and how much of them; every stage of the path has one hook
 * (hook.h), which costs a load and a predictable branch while there is no session.
 *
 * All sessions are one immutable set that the control thread replaces under RCU; workers look it up once a batch. A packet that a
 * session wants is marked, and from then on that session sees it whatever becomes of it: the outer header of ESP matches nothing
 * that was asked about the inner one. Workers put records into a ring each (one writer, one reader, no lock); a full ring loses the
 * newest and counts it, and no worker ever waits.
 *
 * What leaves the stack's own hands in clear is seen by whoever is on that link. Everything else may be what a tunnel protects, so a
 * session that is not allowed to see it (spec.cleartext) gets headers only: see tap_open_stage. Functions marked W are called by
 * workers inside an RCU read side, those marked C by the control thread. */
#pragma once
#include "daemons/stack-core/filter/filter.h"
#include "daemons/stack-core/ipsec/sa.h"
#include "daemons/stack-core/link/link.h"

/* Where packets are seen, in the order of the path: X(NAME, "text"). */
#define TAP_STAGES_LIST(X)              \
	X(LINK_RX, "link-rx")           \
	X(IPSEC_IN, "ipsec-in")         \
	X(OPENED, "opened")             \
	X(FILTER_IN, "filter-in")       \
	X(ROUTE, "route")               \
	X(FILTER_OUT, "filter-out")     \
	X(IPSEC_OUT, "ipsec-out")       \
	X(LINK_TX, "link-tx")           \
	X(DROP, "drop")

enum tap_stage {
#define TAP_ENUM(name, text) TAP_##name,
	TAP_STAGES_LIST(TAP_ENUM)
#undef TAP_ENUM
	TAP_STAGES
};

enum { TAP_SESSIONS_MAX = 8, TAP_RING_BYTES = 1 << 20, TAP_SNAP_MAX = 65536, TAP_COUNT_MAX = 10000000 };
enum { TAP_PROTO_ANY = IPPROTO_ALL, TAP_ANY_STAGE = (1 << TAP_STAGES) - 1 };

/* What a session wants to see. */
struct tap_spec {
	struct prefix src, dst, host; /* family 0: any; host: either end */
	uint16_t proto;		      /* TAP_PROTO_ANY */
	uint16_t sport, dport, port;  /* 0: any; port: either end */
	char tunnel[SA_NAME_MAX];     /* name or id; "": any packet, in a tunnel or not */
	uint32_t spi;		      /* 0: any */
	int link;		      /* index of the link it came by or leaves by; -1: any */
	uint32_t stages;	      /* 1 << enum tap_stage */
	bool dropped;		      /* records of drops only */
	uint32_t snaplen;	      /* bytes of each packet; 0: headers are enough */
	bool cleartext;		      /* may see more than headers of what is in clear inside the stack */
};

/* What a stage knows beside the packet. */
struct tap_note {
	const struct filter_verdict *verdict; /* filters; NULL: none */
	const struct sa *sa;		      /* ipsec-out */
	unsigned reason;		      /* drop */
	uint8_t route;			      /* route: enum fib_kind */
};

enum tap_verdict { TAP_PASS, TAP_PERMIT, TAP_DENY, TAP_PROTECT, TAP_HOLD, TAP_LOCAL, TAP_HOST, TAP_FORWARD, TAP_NO_ROUTE, TAP_DROPPED };
const char *tap_verdict_text(unsigned verdict);
const char *tap_stage_text(unsigned stage);
int tap_stage_find(const char *text); /* -1: none */

/* In the ring; data follows. */
struct tap_record {
	uint32_t size; /* of the record with its data, a multiple of 8; 0 with the rest of the ring unused */
	uint32_t sessions; /* 1 << slot */
	uint64_t time_us;
	uint32_t packet; /* the same for all records of a packet; of this worker */
	uint32_t len, kept, spi;
	uint32_t tunnel; /* index, UINT32_MAX: none */
	uint16_t drop, in_link, out_link; /* out_link UINT16_MAX: not known yet */
	uint16_t sport, dport, segment; /* segment: of a super-packet, 0: none */
	uint8_t stage, verdict, family, proto, icmp_type, icmp_code, worker, tos;
	bool fragment, opaque, ports, dynamic;
	struct addr src, dst, gateway;
	char rule[FILTER_NAME_MAX], tunnel_id[16], tunnel_name[SA_NAME_MAX];
};

struct tap_ring {
	uint8_t *bytes; /* TAP_RING_BYTES */
	_Atomic uint64_t lost;
	_Atomic uint32_t head __attribute__((aligned(64))); /* written by the worker; counts bytes for ever */
	_Atomic uint32_t tail __attribute__((aligned(64))); /* by the control thread */
};

struct tap_session {
	struct tap_spec spec;
	atomic_int *left; /* records it may still get; workers take from it */
};

/* All that is watched. Immutable. */
struct tap_set {
	struct tap_session sessions[TAP_SESSIONS_MAX]; /* .left NULL: slot is free */
	uint32_t secret; /* links (bits) whose packets are not seen by anybody outside: the host's */
	struct sadb *db;
	struct tap_ring *rings; /* one a worker */
};

struct tap_worker {
	const struct tap_set *set; /* of this batch; NULL: nothing is watched */
	uint32_t packet;	   /* last number given */
	unsigned index;
};

/* --- match.c --- */
/* -EINVAL with text: it cannot match anything, or says two things. */
int tap_spec_check(const struct tap_spec *s, struct errbuf *e);
/* Does @p, which is at @stage with @t (NULL: no tunnel known) and @spi (0: none) belong to what @s asks for? */
bool tap_spec_match(const struct tap_spec *s, const struct pkt *p, enum tap_stage stage, const struct tunnel *t, uint32_t spi);
bool tap_leaves(const struct pkt *p, enum tap_stage stage); /* p->out_link is known there */
/* What is seen there is on a medium that others can watch, or protected. */
bool tap_open_stage(const struct tap_set *set, const struct pkt *p, enum tap_stage stage);
/* How many bytes from the IP header on are IP and transport headers; at most p->len. */
uint32_t tap_headers(const struct pkt *p);

/* --- see.c --- W */
void tap_see(struct tap_worker *w, enum tap_stage stage, struct pkt *p, const struct tap_note *note) __attribute__((cold));

/* --- ring.c --- */
int tap_ring_init(struct tap_ring *r);
void tap_ring_fini(struct tap_ring *r);
struct tap_record *tap_ring_next(struct tap_ring *r, uint32_t data); /* W; NULL: full, counted */
void tap_ring_commit(struct tap_ring *r, const struct tap_record *rec); /* W */
const struct tap_record *tap_ring_peek(struct tap_ring *r); /* C; NULL: none */
void tap_ring_done(struct tap_ring *r, const struct tap_record *rec); /* C */

static inline const uint8_t *tap_data(const struct tap_record *r)
{
	return (const uint8_t *)(r + 1);
}

/* --- taps.c --- C: the sessions of a stack */
struct taps;
struct taps *taps_new(struct sadb *db, unsigned workers, struct tap_set **published);
void taps_free(struct taps *t); /* no worker is left */
void taps_secret(struct taps *t, uint32_t links);
/* The slot, or -ENOSPC, -EINVAL with text. Waits until every worker sees it. */
int taps_add(struct taps *t, const struct tap_spec *s, unsigned count, struct errbuf *e);
/* On return no worker sees the session. Its records may still be in the rings. */
void taps_remove(struct taps *t, unsigned slot);
bool taps_used_up(const struct taps *t, unsigned slot); /* as many records as were asked for */
unsigned taps_count(const struct taps *t);
/* Gives @fn every record that waits, oldest first within a worker; at most @max. How many. */
typedef void (*taps_fn)(void *arg, const struct tap_record *r);
unsigned taps_drain(struct taps *t, unsigned max, taps_fn fn, void *arg);
uint64_t taps_lost(const struct taps *t); /* since the stack began */
