/* sa: security associations, pairs of them (tunnels), and the database that finds them.
 *
 * A struct sa is immutable but for its sequence number, replay window, counters and the addresses outside
 * (a NAT may give the peer new ones). Workers find inbound SAs by destination, protocol and SPI under RCU
 * (QSBR: a thread that calls sadb_lookup, sadb_tunnel or ipsec_in/out is registered with liburcu). A manual
 * tunnel is one inbound and one outbound SA, a dynamic one has a pair for each generation (dynamic.h); a
 * filter rule that says "ipsec" names a tunnel, by its index here. */
#pragma once
#include "daemons/stack-core/ipsec/crypto.h"
#include "daemons/stack-core/ipsec/replay.h"
#include "lib/base/addr.h"
#include <stdatomic.h>
#include <urcu-qsbr.h>

enum sa_proto { SA_ESP = 50, SA_AH = 51 };
enum sa_mode { SA_TUNNEL, SA_TRANSPORT };
enum sa_df { SA_DF_COPY, SA_DF_CLEAR, SA_DF_SET };

enum { SA_NAME_MAX = 65, SA_KEY_MAX = 64, SADB_TUNNELS_MAX = 131072, SADB_MANUAL_MAX = 16384 };

struct sa_params {
	enum sa_proto proto;
	enum sa_mode mode;
	uint32_t spi;
	struct addr src, dst; /* of the outer header; family 0 = any (transport mode) */
	enum crypto_backend backend;
	enum crypto_cipher cipher;
	uint8_t key[SA_KEY_MAX]; /* an AEAD's ends in the salt (RFC 4106 section 8.1) */
	uint8_t key_len;
	enum crypto_auth auth;
	uint8_t auth_key[SA_KEY_MAX];
	uint8_t auth_len;
	bool esn;
	uint32_t replay; /* window of an inbound SA, 0 = none */
	enum sa_df df;
	bool keep_dscp;	    /* copy DSCP to the outer header (PassthroughDSCP) */
	bool map_dscp;	    /* the outer DSCP is dscp[inner DSCP] (OuterDSCP) */
	uint8_t dscp[64];
	uint64_t first_seq; /* tests: the last number already used */
	uint64_t iv_base;   /* AEAD: 0 = chosen (see sa.c) */
	/* ESP in UDP (RFC 3948); ports seen in the direction of the SA */
	bool udp;
	uint16_t sport, dport;
	/* Transport mode behind a NAT: the addresses that the sender put into its checksums (RFC 3947
	 * 5.2); family 0: those in the packet. Inbound SAs only. */
	struct addr oa_src, oa_dst;
	uint64_t hard_bytes; /* 0: no limit */
};

/* What stands outside; replaced as a whole. */
struct sa_path {
	struct addr src, dst;
	uint16_t sport, dport;
	bool udp;
	/* made by sa_move: what every tunnel header of this SA has in common, and its sum (RFC 1071) */
	uint8_t head[40];
	uint32_t sum;
	struct rcu_head rcu;
};

struct sa_counters {
	_Atomic uint64_t packets, bytes, auth_failed, replayed, malformed;
} __attribute__((aligned(64)));

struct tunnel;

struct sa {
	/* read by every packet */
	uint32_t spi;
	uint8_t proto, mode;
	uint8_t iv_len, icv_len, block;
	bool aead, esn, inbound, keep_dscp;
	uint8_t df;
	uint8_t salt[CRYPTO_SALT];
	bool fix_checksum; /* oa_src or oa_dst is set */
	bool flat;	   /* esp_flat.c may do it */
	_Atomic(struct sa_path *) path;
	const uint8_t *dscp; /* map of DSCPs; NULL: keep_dscp says */
	const struct crypto_key *key;
	struct tunnel *tunnel;
	/* A bundle (bundle.c): of its ESP the AH that stands over it, which it owns; of that AH the ESP under it. */
	struct sa *over, *under;
	uint64_t iv_base, seq_limit, hard_bytes;
	_Atomic(struct sa *) next; /* in its bucket of the database */
	unsigned workers;
	struct sa_counters *counters; /* one a worker */
	/* written by workers */
	_Atomic uint64_t seq __attribute__((aligned(64))); /* last one taken */
	atomic_bool exhausted;				   /* set once: the control thread tells */
	atomic_bool expired;				   /* hard lifetime: drops in its direction */
	atomic_bool used;				   /* inbound: its first packet was told of */
	_Atomic uint32_t unopened; /* ESN: packets in a row whose ICV was wrong (RFC 4303 A3) */
	atomic_flag replay_lock __attribute__((aligned(64)));
	struct replay replay;
	struct sa_params *params; /* what it was made of, with keys */
	struct rcu_head rcu;
};

static inline const struct sa_path *sa_outside(const struct sa *sa)
{
	return atomic_load_explicit(&sa->path, memory_order_acquire);
}

/* Checks @p (lengths, combinations; -EINVAL with text) and makes an SA of it that is in no
 * database. @workers <= CRYPTO_WORKERS_MAX. */
int sa_new(const struct sa_params *p, bool inbound, unsigned workers, struct errbuf *err,
	struct sa **ret);
/* The same, and with @ah (NULL: none) in a bundle: *ret is the ESP, whose ->over is the AH. @esp may have AUTH_AH then. */
int sa_new_bundle(const struct sa_params *esp, const struct sa_params *ah, bool inbound, unsigned workers, struct errbuf *err,
	struct sa **ret);
void sa_free(struct sa *sa); /* cleanses, with its ->over; NULL allowed */
void sa_retire(struct sa *sa); /* sa_free after a grace period, without waiting for it */
void sa_move(struct sa *sa, const struct sa_path *to); /* control thread; takes nothing; moves ->over too */
void sa_sum(const struct sa *sa, struct sa_counters *ret);
/* Bytes that protecting a packet adds at most; with it the stack knows the MTU of a tunnel. */
uint32_t sa_overhead(const struct sa *sa, uint8_t inner_family);
/* The longest packet which, protected, is at most @link_mtu long. */
uint32_t sa_mtu(const struct sa *sa, uint32_t link_mtu, uint8_t inner_family);
uint32_t sa_ah_len(const struct sa *sa, uint8_t outer_family); /* of the AH header with its ICV */
const char *sa_cipher_text(const struct sa *sa);
const char *sa_auth_text(const struct sa *sa);

struct generation; /* dynamic.h */

struct tunnel {
	uint32_t index; /* < SADB_TUNNELS_MAX */
	char id[16];	/* "M1" manual, "Y1" dynamic */
	char name[SA_NAME_MAX]; /* manual: of its action; dynamic: of the filter rule */
	/* Manual: its pair. Dynamic: the newest inbound SA (control thread only), and the outbound SA in use, NULL when
	 * none is ready. */
	struct sa *in;
	struct sa *out; /* RCU: rcu_dereference for a dynamic one */
	_Atomic uint64_t pmtu; /* of the way outside: see pmtu.h */
	atomic_bool active; /* an inactive one drops in both directions */
	bool initial;	    /* active when it was added: an operator may have changed that since */
	bool dynamic;
	bool stays; /* control thread: see manual_mark */
	/* control thread */
	uint64_t refused;	 /* packets that it refused, as last told */
	struct generation *gens; /* dynamic: newest first */
	void *filters;		 /* dynamic: of whoever put a filter in front of its anchor */
	struct tunnel *next_manual;
	struct sadb *db;
	struct rcu_head rcu;
};

struct sadb;
struct sadb *sadb_new(unsigned workers);
void sadb_free(struct sadb *db); /* with all tunnels; no reader may be left */
unsigned sadb_workers(const struct sadb *db);

/* Control thread. Adding takes both SAs (also on failure: they are freed). -EEXIST: the SPI or name
 * is in use; -ENOSPC. */
int sadb_add(struct sadb *db, char kind, const char *name, struct sa *in, struct sa *out,
	bool active, struct errbuf *err, struct tunnel **ret);
void sadb_remove(
	struct sadb *db, struct tunnel *t); /* waits until no worker can see it, then frees it */
/* A manual tunnel by name or id, a dynamic one by id. */
struct tunnel *sadb_find(struct sadb *db, const char *name_or_id);
struct tunnel *sadb_next(
	struct sadb *db, const struct tunnel *after); /* NULL: the first; in order of index */
struct tunnel *sadb_from(struct sadb *db, uint32_t index); /* the first with this index or a larger one */
void sadb_activate(struct tunnel *t, bool active);

/* Workers, inside a QSBR read side. */
struct sa *sadb_lookup(struct sadb *db, const struct addr *dst, uint8_t proto, uint32_t spi);
/* An outbound SA by what its packets show. */
struct sa *sadb_outbound(struct sadb *db, const struct addr *dst, uint8_t proto, uint32_t spi);
struct tunnel *sadb_tunnel(struct sadb *db, uint32_t index); /* NULL: gone */
