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

/* AEADs finish packet by packet; lanes have to be filled, and are emptied at the end of a chunk only. */
enum { CHUNK = 32, CHUNK_LANES = PKT_BATCH, AH_HEADER_MAX = 512, SCRATCH = 65536 };

/* One packet between prepare and finish. */
struct work {
	struct pkt *p;
	struct sa *sa;
	const struct sa_path *path;
	uint64_t seq;
	struct iphdr_layout l; /* inbound: of the outer header */
	uint32_t encap;	       /* inbound: bytes of a UDP header between IP and ESP */
	bool newest;	       /* inbound: no later number was accepted */
	uint32_t ah_len, saved_len;
	uint32_t bytes; /* that count for the SA: of the protected packet */
	uint16_t drop;	/* inbound: 0 or the reason */
	uint8_t *saved; /* AH: the header bytes before mutable fields were zeroed */
	uint8_t extra[CRYPTO_TAG_MAX]; /* AAD with ESN, or the ICV received when its place is needed */
};

/* What esp_flat.c keeps of an inbound packet, and of the packets of one SA in a chunk: a list of indices into w->flat. */
enum { FLAT_GROUPS = 32 };
struct flat {
	struct pkt *p;
	uint64_t seq;
	uint32_t bytes;
	uint16_t next; /* UINT16_MAX: the last */
	uint16_t drop;
};
struct flat_group {
	struct sa *sa;
	uint8_t dst[4];
	uint16_t first, last; /* first: UINT16_MAX when there is none */
};

/* Packets of bundles that are half done. */
struct bundled {
	unsigned n;
	struct pkt *pkts[PKT_BATCH];
	struct sa *sas[PKT_BATCH]; /* what comes next for them */
};

struct ipsec_worker {
	struct sadb *db;
	struct crypto_worker *crypto;
	unsigned index;
	unsigned chunk; /* inbound: as the last SA found likes it */
	uint16_t ip_id;
	struct crypto_job jobs[PKT_BATCH];
	struct work work[PKT_BATCH];
	unsigned n_flat;
	struct crypto_flat flat_jobs[PKT_BATCH];
	struct flat flat[PKT_BATCH];
	struct flat_group groups[FLAT_GROUPS];
	struct pkt *ordered[PKT_BATCH]; /* outbound: by SA */
	struct sa *ordered_sa[PKT_BATCH];
	struct bundled bundled;
	struct notice_ring notices;
	uint8_t saved[PKT_BATCH][AH_HEADER_MAX];
	uint8_t scratch[SCRATCH]; /* resynchronisation: the packet before an attempt */
};

/* Returns 0 or the reason to drop. */
int ah_prepare_out(struct ipsec_worker *w, struct work *k, struct crypto_job *job);
void ah_finish_out(struct work *k);
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

/* From bundle.c. The AH of a bundle was opened around k->p: what is inside waits for bundle_in; or the reason to drop. */
int bundle_opened(struct ipsec_worker *w, struct work *k);
void bundle_in(struct ipsec_worker *w);
/* Packets of the batch have been sealed by the ESP of a bundle: their AH comes over that. */
void bundle_out(struct ipsec_worker *w, struct pkt **pkts, struct sa *const *sas, unsigned n);

/* From number.c. Infers the full number, and refuses one that was seen or is too old. */
int check_number(struct ipsec_worker *w, struct work *k, uint32_t low);
/* Packets @at to @end of one SA were opened: each moves the window, or is dropped. */
void accept_run(struct ipsec_worker *w, struct sa *sa, unsigned at, unsigned end);
void accept_flat(struct ipsec_worker *w, struct sa *sa, unsigned first); /* the same for a list of w->flat */
/* ESN: after many failures, looks for the number with which @job, ready to run, succeeds. */
void resync(struct ipsec_worker *w, struct work *k, struct crypto_job *job);

/* RFC 4106 section 5 (RFC 7634 section 2.1): SPI and the sequence number, all 64 bits of it with ESN. Without, both stand in
 * the packet as they are wanted. */
static inline void set_aad(struct work *k, struct crypto_job *job, const uint8_t *esp)
{
	if (!k->sa->esn) {
		job->aad = esp;
		job->aad_len = 8;
		return;
	}
	put32(k->extra, k->sa->spi);
	put64(k->extra + 4, k->seq);
	job->aad = k->extra;
	job->aad_len = 12;
}

/* What the packets after the next few will need: first their description, then their headers. */
static inline void fetch_ahead(struct pkt *const *pkts, unsigned i, unsigned n)
{
	enum { AHEAD = 3 };

	if (i + 2 * AHEAD >= n)
		return;
	const char *later = (const char *)pkts[i + 2 * AHEAD];
	__builtin_prefetch(later, 1);
	__builtin_prefetch(later + 64, 1);
	__builtin_prefetch(pkt_data(pkts[i + AHEAD]), 1);
}

/* From esp_out.c. The first of @n sequence numbers of @sa; 0 when it has no more. */
uint64_t esp_numbers(struct sa *sa, unsigned n);
/* ESP around @payload bytes at @esp + header and IV: all but the ICV is written, and the job that makes it and
 * encrypts. k->sa and k->seq are set. */
void esp_fill(struct ipsec_worker *w, struct work *k, uint8_t *esp, uint32_t payload, uint8_t next, struct crypto_job *job);
/* From esp_in.c. Each returns 0 or the reason to drop. k->p, k->l, k->encap are set; finds k->sa (@last is tried first). */
int esp_find(struct ipsec_worker *w, struct work *k, uint8_t proto, uint32_t spi, struct sa **last);
/* What @job opened becomes the packet that it is. */
int esp_done(struct ipsec_worker *w, struct work *k, const struct crypto_job *job);
/* The job that opens the @left bytes of ESP at @esp. */
int esp_open(struct ipsec_worker *w, struct work *k, uint8_t *esp, uint32_t left, struct crypto_job *job);
/* What the first @jobs jobs say is in k->drop then; the numbers of the good ones are used up, and k->bytes of them counted. @wrong:
 * not all are good. */
void esp_accept(struct ipsec_worker *w, unsigned jobs, bool wrong);
/* The first good packet of an inbound SA is told of. */
void esp_tell_used(struct ipsec_worker *w, struct sa *sa, bool udp);
int esp_trailer(const uint8_t *data, uint32_t len, uint32_t *ret_payload, uint8_t *ret_next);
/* The length of the inner packet that is said to be in the @avail bytes at @d; 0: there is none.
 * What follows it is padding for traffic flow confidentiality (RFC 4303 section 2.7). */
uint32_t esp_inner_length(const uint8_t *d, uint32_t avail, uint8_t next);

/* From esp_order.c. Packets of SAs that alternate: by SA in w->ordered and w->ordered_sa, with their order inside each kept. False:
 * they are well as they are. */
bool esp_order(struct ipsec_worker *w, struct pkt **pkts, struct sa *const *sas, unsigned n);
/* From esp_flat.c. Are packets of this SA such that flat_seal_add may be asked? */
bool flat_path(const struct sa *sa, const struct sa_path *path);
/* All but encryption, which is flat_seal's. The length of the protected packet; 0: not one for here, nothing has changed. */
uint32_t flat_seal_add(struct ipsec_worker *w, struct sa *sa, const struct sa_path *path, uint64_t seq, struct pkt *p);
void flat_seal(struct ipsec_worker *w);
void flat_begin(struct ipsec_worker *w); /* of a batch: what it knows of SAs is forgotten */
bool flat_open_add(struct ipsec_worker *w, struct pkt *p); /* false: not one for here, nothing has changed */
void flat_open(struct ipsec_worker *w); /* those added: opened, or with p->drop set */

/* Before the two bytes of the trailer. */
static inline uint32_t esp_padding(const struct sa *sa, uint32_t payload)
{
	return (0U - (payload + 2)) & (sa->block - 1U); /* blocks are powers of two */
}

static inline void count(_Atomic uint64_t *c, uint64_t n)
{
	/* one writer: no locked instruction needed. For a run of packets of one SA at a time */
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
