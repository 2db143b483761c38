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

	if (!p->csum_partial)
		return 0;
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
	outer_write(inner - front, k->sa, k->path, inner, total, w->ip_id++);
	p->off -= front;
	p->len = total;
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

/* RFC 4106 section 5: SPI and the sequence number, all 64 bits of it with ESN. */
static void write_aad(const struct work *k, struct crypto_job *job)
{
	put32(job->aad, k->sa->spi);
	if (k->sa->esn)
		put64(job->aad + 4, k->seq);
	else
		put32(job->aad + 4, (uint32_t)k->seq);
	job->aad_len = k->sa->esn ? 12 : 8;
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
	job->cipher_off = front;
	job->cipher_len = payload + pad + 2;
	job->hash_len = front + job->cipher_len;
	if (sa->aead) {
		write_aad(k, job);
	} else if (sa->esn) { /* RFC 4303 2.2.1: the high half is covered, not sent; it borrows the
				 place of the ICV */
		put32(end + pad + 2, (uint32_t)(k->seq >> 32));
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

static int prepare(struct ipsec_worker *w, struct work *k, struct crypto_job *job)
{
	struct pkt *p = k->p;

	k->path = sa_outside(k->sa);
	if (!iphdr_outgoing(pkt_data(p), p->len, &k->l))
		return DROP_ESP_OUT_MALFORMED;
	int drop = finish_checksum(p);
	if (drop)
		return drop;
	p->len = k->l.total;
	job->key = k->sa->key;
	job->encrypt = true;
	return k->sa->proto == SA_AH ? ah_prepare_out(w, k, job) : esp_prepare(w, k, job);
}

static void describe(struct work *k)
{
	struct pkt *p = k->p;
	const struct sa *sa = k->sa;
	const uint8_t *d = pkt_data(p);

	p->family = d[0] >> 4;
	p->proto = k->path->udp ? 17 : sa->proto;
	p->sealed = true;
	p->tos = iphdr_tos(d);
	p->opaque = true;
	p->fragment = false;
	p->sport = p->dport = 0;
	p->icmp_type = p->icmp_code = 0;
	p->src = iphdr_src(d);
	p->dst = iphdr_dst(d);
	p->l4_off = (uint16_t)(sa->mode == SA_TUNNEL ? outer_len(k->path) : k->l.hdr_len);
}

static void finish(struct ipsec_worker *w, struct work *k, const struct crypto_job *job)
{
	struct pkt *p = k->p;
	struct sa_counters *c = &k->sa->counters[w->index];

	if (job->failed) {
		p->drop = DROP_ESP_CRYPTO;
		return;
	}
	if (k->sa->proto == SA_AH)
		ah_finish_out(k, job);
	else
		memcpy(pkt_data(p) + p->len - k->sa->icv_len, job->tag, k->sa->icv_len);
	describe(k);
	if (k->path->udp && p->family == 6)
		udp_checksum6(k);
	count(&c->packets, 1);
	count(&c->bytes, p->len);
	if (atomic_load_explicit(&c->bytes, memory_order_relaxed) >= k->sa->hard_bytes)
		atomic_store_explicit(&k->sa->expired, true, memory_order_relaxed);
}

uint64_t esp_numbers(struct sa *sa, unsigned n)
{
	if (atomic_load_explicit(&sa->exhausted, memory_order_relaxed))
		return 0;
	return atomic_fetch_add_explicit(&sa->seq, n, memory_order_relaxed) + 1;
}

static unsigned add_run(
	struct ipsec_worker *w, unsigned jobs, struct pkt **pkts, unsigned n, struct sa *sa)
{
	bool usable = sa && atomic_load_explicit(&sa->tunnel->active, memory_order_relaxed);
	bool over = usable && atomic_load_explicit(&sa->expired, memory_order_relaxed);
	uint64_t seq = usable && !over ? esp_numbers(sa, n) : 0;

	for (unsigned i = 0; i < n; i++) {
		struct work *k = &w->work[jobs];
		if (!usable || over) {
			pkts[i]->drop = over ? DROP_ESP_EXPIRED : DROP_ESP_OUT_NO_SA;
			continue;
		}
		if (!seq || seq + i > sa->seq_limit) {
			atomic_store_explicit(&sa->exhausted, true, memory_order_relaxed);
			pkts[i]->drop = DROP_ESP_OUT_SEQ;
			continue;
		}
		k->p = pkts[i];
		k->sa = sa;
		k->seq = seq + i;
		pkts[i]->drop = (uint16_t)prepare(w, k, &w->jobs[jobs]);
		if (!pkts[i]->drop)
			jobs++;
	}
	return jobs;
}

void ipsec_out(struct ipsec_worker *w, struct pkt **pkts, struct sa *const *sas, unsigned n)
{
	for (unsigned at = 0; at < n; at += CHUNK) {
		unsigned end = n - at < CHUNK ? n : at + CHUNK, jobs = 0;
		for (unsigned i = at, run; i < end; i += run) {
			for (run = 1; i + run < end && sas[i + run] == sas[i];)
				run++;
			jobs = add_run(w, jobs, pkts + i, run, sas[i]);
		}
		crypto_run(w->crypto, w->jobs, jobs);
		for (unsigned i = 0; i < jobs; i++)
			finish(w, &w->work[i], &w->jobs[i]);
	}
}
