/* worker: what esp_in.c, esp_out.c and ah.c share. Nobody else includes it.
 *
 * A batch goes through in chunks: prepare every packet of the chunk (headers, numbers, one crypto
 * job each), run the jobs together, finish each packet. A chunk's jobs and headers stay in the
 * first-level cache. */
#pragma once
#include "daemons/stack-core/drop.h"
#include "daemons/stack-core/ipsec/esp.h"
#include "daemons/stack-core/ipsec/iphdr.h"
#include "daemons/stack-core/ipsec/notice.h"

enum { CHUNK = 64, AH_HEADER_MAX = 512 };

/* One packet between prepare and finish. */
struct work {
	struct pkt *p;
	struct sa *sa;
	const struct sa_path *path;
	uint64_t seq;
	struct iphdr_layout l; /* inbound: of the outer header */
	uint32_t encap;	       /* inbound: bytes of a UDP header between IP and ESP */
	bool newest;	       /* inbound: no later number was accepted */
	uint32_t ah_len;
	uint8_t *saved; /* AH: the header bytes before mutable fields were zeroed */
	uint32_t saved_len;
};

struct ipsec_worker {
	struct sadb *db;
	struct crypto_worker *crypto;
	unsigned index;
	uint16_t ip_id;
	struct notice_ring notices;
	struct crypto_job jobs[CHUNK];
	struct work work[CHUNK];
	uint8_t saved[CHUNK][AH_HEADER_MAX];
};

/* Returns 0 or the reason to drop. */
int ah_prepare_out(struct ipsec_worker *w, struct work *k, struct crypto_job *job);
void ah_finish_out(struct work *k, const struct crypto_job *job);
int ah_prepare_in(struct ipsec_worker *w, struct work *k, struct crypto_job *job);
int ah_finish_in(struct work *k);

/* From esp_out.c. Opens a gap of @gap bytes after the headers that stay in front (transport) or
 * writes a new header in front of it (tunnel), updates p->off and p->len by @gap (and the tunnel
 * header) + @tail, and names the SA's protocol in the header. Returns 0 or the reason to drop;
 * *ret_gap points at the gap, *ret_next is what the inserted header carries. */
int open_gap(struct ipsec_worker *w, struct work *k, uint32_t gap, uint32_t tail, uint8_t **ret_gap,
	uint8_t *ret_next);
/* From esp_in.c. Leaves in k->p the packet that began @gap bytes after the outer headers, @payload
 * bytes long, of kind @next. */
int close_gap(struct work *k, uint32_t gap, uint32_t payload, uint8_t next);

/* From esp_in.c. Infers the full number, and refuses one that was seen or is too old. */
int check_number(struct ipsec_worker *w, struct work *k, uint32_t low);

static inline void count(_Atomic uint64_t *c, uint64_t n)
{
	/* one writer: no locked instruction needed */
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
