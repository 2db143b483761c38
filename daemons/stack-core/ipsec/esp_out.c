/* esp_out: protecting packets (RFC 4303 section 3.3).
 *
 * Sequence numbers are taken for a run of packets of one SA at a time, with one atomic addition, so
 * several workers share an SA and never use a number twice. A number whose packet is then dropped
 * is lost, which receivers do not mind. */
#include "daemons/stack-core/ipsec/outer.h"
#include "daemons/stack-core/ipsec/worker.h"
#include "lib/base/xalloc.h"
#include <assert.h>

enum { UDP_HEADER = 8 };

struct ipsec_worker *ipsec_worker_new(struct sadb *db, unsigned index)
{
	assert(index < sadb_workers(db));
	struct ipsec_worker *w = xcheck(aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64));

	memset(w, 0, sizeof(*w));
	w->db = db;
	w->index = index;
	w->chunk = CHUNK;
	w->crypto = crypto_worker_new(index);
	crypto_random_iv(w->crypto, (uint8_t *)&w->ip_id, sizeof(w->ip_id));
	return w;
}

void ipsec_worker_free(struct ipsec_worker *w)
{
	if (!w)
		return;
	crypto_worker_free(w->crypto);
	free(w);
}

/* The stack leaves checksums to be filled in by whoever sends; inside ESP nobody can any more. */
static int finish_checksum(struct pkt *p)
{
	uint32_t at = (uint32_t)p->csum_start + p->csum_offset;

	if (p->csum_start > p->len || at + 2 > p->len)
		return DROP_ESP_OUT_MALFORMED;
	uint16_t sum = (uint16_t)~iphdr_sum(pkt_data(p) + p->csum_start, p->len - p->csum_start);
	put16(pkt_data(p) + at, sum || p->proto != 17 ? sum : 0xffff);
	p->csum_partial = false;
	return 0;
}

static int open_tunnel(struct ipsec_worker *w, struct work *k, uint32_t gap, uint32_t tail,
	uint8_t **ret_gap, uint8_t *ret_next)
{
	struct pkt *p = k->p;
	uint8_t *inner = pkt_data(p);
	uint32_t front = outer_len(k->path) + gap, total = p->len + front + tail;

	if (pkt_headroom(p) < front || pkt_tailroom(p) < tail)
		return DROP_ESP_OUT_ROOM;
	if (total > IP_MAX)
		return DROP_ESP_OUT_SIZE;
	p->tos = outer_write(inner - front, k->sa, k->path, inner, total, w->ip_id++);
	p->off -= front;
	p->len = total;
	p->family = k->path->dst.family;
	p->src = k->path->src;
	p->dst = k->path->dst;
	p->l4_off = (uint16_t)outer_len(k->path);
	*ret_gap = inner - gap;
	*ret_next = k->l.family == 4 ? 4 : 41;
	return 0;
}

static bool transport_fits(const struct sa_path *path, const struct iphdr_layout *l, const uint8_t *d)
{
	if (l->fragment)
		return false;
	struct addr src = iphdr_src(d), dst = iphdr_dst(d);
	return (!path->src.family || addr_equal(&path->src, &src)) &&
	       (!path->dst.family || addr_equal(&path->dst, &dst));
}

static int open_transport(
	struct work *k, uint32_t gap, uint32_t tail, uint8_t **ret_gap, uint8_t *ret_next)
{
	struct pkt *p = k->p;
	uint8_t *d = pkt_data(p);

	if (!transport_fits(k->path, &k->l, d))
		return DROP_ESP_OUT_UNFIT;
	if (pkt_headroom(p) < gap || pkt_tailroom(p) < tail)
		return DROP_ESP_OUT_ROOM;
	if (p->len + gap + tail > IP_MAX)
		return DROP_ESP_OUT_SIZE;
	memmove(d - gap, d, k->l.hdr_len);
	p->off -= gap;
	p->len += gap + tail;
	d -= gap;
	d[k->l.next_off] = k->path->udp ? 17 : k->sa->proto;
	iphdr_set_total(d, &k->l, p->len);
	p->tos = iphdr_tos(d);
	p->family = k->l.family;
	p->src = iphdr_src(d);
	p->dst = iphdr_dst(d);
	p->l4_off = (uint16_t)k->l.hdr_len;
	*ret_gap = d + k->l.hdr_len;
	*ret_next = k->l.proto;
	return 0;
}

int open_gap(struct ipsec_worker *w, struct work *k, uint32_t gap, uint32_t tail, uint8_t **ret_gap,
	uint8_t *ret_next)
{
	if (k->sa->mode == SA_TUNNEL)
		return open_tunnel(w, k, gap, tail, ret_gap, ret_next);
	return open_transport(k, gap, tail, ret_gap, ret_next);
}

static void write_iv(
	struct ipsec_worker *w, const struct work *k, uint8_t *iv, struct crypto_job *job)
{
	const struct sa *sa = k->sa;

	if (sa->aead) {
		put64(iv, sa->iv_base + k->seq);
		memcpy(job->iv, sa->salt, CRYPTO_SALT);
		memcpy(job->iv + CRYPTO_SALT, iv, 8);
	} else if (sa->iv_len) {
		crypto_random_iv(w->crypto, iv, sa->iv_len);
		memcpy(job->iv, iv, sa->iv_len);
	}
}

/* RFC 3948 section 2.1. IPv4: no checksum, the ICV does better; IPv6 gets one when the packet is complete. */
static void write_udp(const struct work *k, uint8_t *udp, uint32_t len)
{
	put16(udp, k->path->sport);
	put16(udp + 2, k->path->dport);
	put16(udp + 4, (uint16_t)len);
	put16(udp + 6, 0);
}

static void udp_checksum6(const struct work *k)
{
	uint8_t *d = pkt_data(k->p);
	uint32_t at = k->sa->mode == SA_TUNNEL ? outer_len(k->path) : k->l.hdr_len, len = k->p->len - at;
	uint8_t pseudo[40] = {0};

	memcpy(pseudo, d + 8, 32);
	put32(pseudo + 32, len);
	pseudo[39] = 17;
	uint32_t sum = (uint32_t)iphdr_sum(pseudo, sizeof(pseudo)) + iphdr_sum(d + at, len);
	sum = (sum & 0xffff) + (sum >> 16);
	uint16_t folded = (uint16_t)~((sum & 0xffff) + (sum >> 16));
	put16(d + at + 6, folded ? folded : 0xffff);
}

void esp_fill(struct ipsec_worker *w, struct work *k, uint8_t *esp, uint32_t payload, uint8_t next, struct crypto_job *job)
{
	const struct sa *sa = k->sa;
	uint32_t pad = esp_padding(sa, payload), front = 8U + sa->iv_len;
	uint8_t *end = esp + front + payload;

	for (uint32_t i = 0; i < pad; i++)
		end[i] = (uint8_t)(i + 1);
	end[pad] = (uint8_t)pad;
	end[pad + 1] = next;
	put32(esp, sa->spi);
	put32(esp + 4, (uint32_t)k->seq);
	write_iv(w, k, esp + 8, job);

	job->key = sa->key;
	job->encrypt = true;
	job->base = esp;
	job->icv = end + pad + 2;
	job->cipher_off = (uint16_t)front;
	job->cipher_len = payload + pad + 2;
	job->hash_len = front + job->cipher_len;
	if (sa->aead) {
		set_aad(k, job, esp);
	} else if (sa->esn) { /* RFC 4303 2.2.1: the high half is covered, not sent; it borrows the
				 place of the ICV */
		put32(job->icv, (uint32_t)(k->seq >> 32));
		job->hash_len += 4;
	}
}

static int esp_prepare(struct ipsec_worker *w, struct work *k, struct crypto_job *job)
{
	const struct sa *sa = k->sa;
	uint32_t payload = sa->mode == SA_TUNNEL ? k->p->len : k->p->len - k->l.hdr_len;
	uint32_t front = 8U + sa->iv_len, tail = esp_padding(sa, payload) + 2 + sa->icv_len;
	uint8_t *esp, next;

	uint32_t udp = k->path->udp ? UDP_HEADER : 0;
	int drop = open_gap(w, k, front + udp, tail, &esp, &next);
	if (drop)
		return drop;
	if (udp) {
		write_udp(k, esp, udp + front + payload + tail);
		esp += udp;
	}
	esp_fill(w, k, esp, payload, next, job);
	return 0;
}

/* What does not depend on the bytes: it is said before they are encrypted, while the packet's description is at hand. */
static void describe(struct pkt *p, uint8_t proto)
{
	p->proto = proto;
	p->sealed = true;
	p->opaque = true;
	p->fragment = false;
	p->sport = p->dport = 0;
	p->icmp_type = p->icmp_code = 0;
}

static int prepare(struct ipsec_worker *w, struct work *k, struct crypto_job *job)
{
	struct pkt *p = k->p;
	int drop = 0;

	if (!iphdr_plain(pkt_data(p), p->len, &k->l) && !iphdr_outgoing(pkt_data(p), p->len, &k->l))
		return DROP_ESP_OUT_MALFORMED;
	if (p->csum_partial && (drop = finish_checksum(p)))
		return drop;
	p->len = k->l.total;
	job->key = k->sa->key;
	job->encrypt = true;
	drop = k->sa->proto == SA_AH ? ah_prepare_out(w, k, job) : esp_prepare(w, k, job);
	describe(p, k->path->udp ? 17 : k->sa->proto);
	return drop;
}

/* What is left to do after the crypto library: mostly nothing, for it has put the ICV where it belongs. */
static void finish(struct work *k, const struct crypto_job *job)
{
	if (job->failed) {
		k->p->drop = DROP_ESP_CRYPTO;
		return;
	}
	if (k->sa->proto == SA_AH)
		ah_finish_out(k);
	if (k->path->udp && k->p->family == 6)
		udp_checksum6(k);
}

static void tally(struct ipsec_worker *w, struct sa *sa, uint64_t packets, uint64_t bytes)
{
	struct sa_counters *c = &sa->counters[w->index];

	count(&c->packets, packets);
	count(&c->bytes, bytes);
	if (atomic_load_explicit(&c->bytes, memory_order_relaxed) >= sa->hard_bytes)
		atomic_store_explicit(&sa->expired, true, memory_order_relaxed);
}

static bool needs_finish(const struct sa *sa, const struct sa_path *path)
{
	return sa->proto == SA_AH || path->udp;
}

static void finish_all(struct ipsec_worker *w, unsigned jobs, bool wrong)
{
	for (unsigned i = 0, end; i < jobs; i = end) {
		struct sa *sa = w->work[i].sa;
		bool each = wrong || needs_finish(sa, w->work[i].path);
		uint64_t packets = 0, bytes = 0;
		for (end = i; end < jobs && w->work[end].sa == sa; end++) {
			if (each)
				finish(&w->work[end], &w->jobs[end]);
			if (!each || !w->work[end].p->drop) {
				packets++;
				bytes += w->work[end].bytes;
			}
		}
		tally(w, sa, packets, bytes);
	}
}

uint64_t esp_numbers(struct sa *sa, unsigned n)
{
	if (atomic_load_explicit(&sa->exhausted, memory_order_relaxed))
		return 0;
	return atomic_fetch_add_explicit(&sa->seq, n, memory_order_relaxed) + 1;
}

static void drop_run(struct pkt **pkts, unsigned n, int drop)
{
	for (unsigned i = 0; i < n; i++)
		pkts[i]->drop = (uint16_t)drop;
}

static unsigned add_run(
	struct ipsec_worker *w, unsigned jobs, struct pkt **pkts, unsigned n, struct sa *sa)
{
	if (!sa || !atomic_load_explicit(&sa->tunnel->active, memory_order_relaxed)) {
		drop_run(pkts, n, DROP_ESP_OUT_NO_SA);
		return jobs;
	}
	if (atomic_load_explicit(&sa->expired, memory_order_relaxed)) {
		drop_run(pkts, n, DROP_ESP_EXPIRED);
		return jobs;
	}
	uint64_t seq = esp_numbers(sa, n);
	const struct sa_path *path = sa_outside(sa);
	bool flat = flat_path(sa, path);
	unsigned flats = w->n_flat;
	uint64_t bytes = 0;
	w->bundled.n += sa->over != NULL;
	for (unsigned i = 0; i < n; i++) {
		struct work *k = &w->work[jobs];
		if (!seq || seq + i > sa->seq_limit) {
			atomic_store_explicit(&sa->exhausted, true, memory_order_relaxed);
			drop_run(pkts + i, n - i, DROP_ESP_OUT_SEQ);
			break;
		}
		fetch_ahead(pkts, i, n);
		uint32_t done = flat ? flat_seal_add(w, sa, path, seq + i, pkts[i]) : 0;
		bytes += done;
		if (done)
			continue;
		k->p = pkts[i];
		k->sa = sa;
		k->path = path;
		k->seq = seq + i;
		pkts[i]->drop = (uint16_t)prepare(w, k, &w->jobs[jobs]);
		k->bytes = pkts[i]->len;
		jobs += !pkts[i]->drop;
	}
	if (w->n_flat != flats)
		tally(w, sa, w->n_flat - flats, bytes);
	return jobs;
}

void ipsec_out(struct ipsec_worker *w, struct pkt **pkts, struct sa *const *sas, unsigned n)
{
	if (esp_order(w, pkts, sas, n)) {
		pkts = w->ordered;
		sas = w->ordered_sa;
	}
	for (unsigned at = 0, end; at < n; at = end) {
		unsigned chunk = sas[at] && sas[at]->aead ? CHUNK : CHUNK_LANES, jobs = 0;
		end = n - at < chunk ? n : at + chunk;
		for (unsigned i = at, run; i < end; i += run) {
			for (run = 1; i + run < end && sas[i + run] == sas[i];)
				run++;
			jobs = add_run(w, jobs, pkts + i, run, sas[i]);
		}
		flat_seal(w);
		if (jobs)
			finish_all(w, jobs, crypto_run(w->crypto, w->jobs, jobs) != 0);
	}
	if (w->bundled.n)
		bundle_out(w, pkts, sas, n);
}
