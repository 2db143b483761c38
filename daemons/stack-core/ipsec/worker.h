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

/* From esp_out.c. The first of @n sequence numbers of @sa; 0 when it has no more. */
uint64_t esp_numbers(struct sa *sa, unsigned n);
/* ESP around @payload bytes at @esp + header and IV: all but the ICV is written, and the job that makes it and
 * encrypts. k->sa and k->seq are set. */
void esp_fill(struct ipsec_worker *w, struct work *k, uint8_t *esp, uint32_t payload, uint8_t next, struct crypto_job *job);
/* From esp_in.c. Each returns 0 or the reason to drop. k->p, k->l, k->encap are set; finds k->sa (@last is tried first). */
int esp_find(struct ipsec_worker *w, struct work *k, uint8_t proto, uint32_t spi, struct sa **last);
/* The job that opens the @left bytes of ESP at @esp. */
int esp_open(struct ipsec_worker *w, struct work *k, uint8_t *esp, uint32_t left, struct crypto_job *job);
/* What the job says; if it is good, the number is used up and the packet of @bytes counted. */
int esp_accept(struct ipsec_worker *w, struct work *k, const struct crypto_job *job, uint32_t bytes);
int esp_trailer(const struct crypto_job *job, uint32_t *ret_payload, uint8_t *ret_next);
/* The length of the inner packet that is said to be in the @avail bytes at @d; 0: there is none.
 * What follows it is padding for traffic flow confidentiality (RFC 4303 section 2.7). */
uint32_t esp_inner_length(const uint8_t *d, uint32_t avail, uint8_t next);

/* Before the two bytes of the trailer. */
static inline uint32_t esp_padding(const struct sa *sa, uint32_t payload)
{
	return (sa->block - (payload + 2) % sa->block) % sa->block;
}

static inline void count(_Atomic uint64_t *c, uint64_t n)
{
	/* one writer: no locked instruction needed */
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
