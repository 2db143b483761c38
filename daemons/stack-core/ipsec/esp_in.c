/* esp_in: opening packets (RFC 4303 section 3.4): find the SA, refuse what was seen before, check
 * the ICV and decrypt, move the replay window, then look at the trailer. Nothing in the packet but
 * the SPI and the number is believed before the ICV has been checked. */
#include "daemons/stack-core/ipsec/natoa.h"
#include "daemons/stack-core/ipsec/outer.h"
#include "daemons/stack-core/ipsec/worker.h"
#include <string.h>

enum { NEXT_IPV4 = 4, NEXT_IPV6 = 41, NEXT_NONE = 59, PROTO_UDP = 17, UDP_HEADER = 8 };

int esp_open(struct ipsec_worker *w, struct work *k, uint8_t *esp, uint32_t left, struct crypto_job *job)
{
	const struct sa *sa = k->sa;
	uint32_t front = 8U + sa->iv_len;

	if (left < front + sa->block + sa->icv_len || ((left - front - sa->icv_len) & (sa->block - 1U)))
		return DROP_ESP_MALFORMED;
	int drop = check_number(w, k, get32(esp + 4));
	if (drop)
		return drop;
	job->key = sa->key;
	job->encrypt = false;
	job->base = esp;
	job->cipher_off = (uint16_t)front;
	job->cipher_len = left - front - sa->icv_len;
	job->hash_len = front + job->cipher_len;
	job->icv = esp + job->hash_len;
	if (sa->aead) {
		memcpy(job->iv, sa->salt, CRYPTO_SALT);
		memcpy(job->iv + CRYPTO_SALT, esp + 8, 8);
		set_aad(k, job, esp);
	} else {
		memcpy(job->iv, esp + 8, sa->iv_len);
	}
	if (sa->esn && !sa->aead) { /* covered but not sent: it takes the place of the ICV */
		memcpy(k->extra, job->icv, sa->icv_len);
		put32(job->icv, (uint32_t)(k->seq >> 32));
		job->icv = k->extra;
		job->hash_len += 4;
	}
	if (sa->esn)
		resync(w, k, job);
	return 0;
}

static int esp_prepare(struct ipsec_worker *w, struct work *k, struct crypto_job *job)
{
	uint32_t at = k->l.hdr_len + k->encap;

	return esp_open(w, k, pkt_data(k->p) + at, k->l.total - at, job);
}

uint32_t esp_inner_length(const uint8_t *d, uint32_t avail, uint8_t next)
{
	struct iphdr_layout l;

	if (next == NEXT_IPV4 && iphdr_plain(d, avail, &l))
		return l.total;
	if (!avail || (next == NEXT_IPV4 && d[0] >> 4 != 4) ||
		(next == NEXT_IPV6 && d[0] >> 4 != 6) || !iphdr_outgoing(d, avail, &l))
		return 0;
	return l.total;
}

static int close_tunnel(struct work *k, uint32_t gap, uint32_t payload, uint8_t next)
{
	struct pkt *p = k->p;
	uint8_t *outer = pkt_data(p), *inner = outer + k->l.hdr_len + gap;

	if (next != NEXT_IPV4 && next != NEXT_IPV6)
		return DROP_ESP_INNER;
	uint32_t len = esp_inner_length(inner, payload, next);
	if (!len)
		return DROP_ESP_INNER;
	if (!outer_ecn(iphdr_tos(outer), inner))
		return DROP_ESP_ECN;
	p->off += k->l.hdr_len + gap;
	p->len = len;
	return 0;
}

static int close_transport(struct work *k, uint32_t gap, uint32_t payload, uint8_t next)
{
	struct pkt *p = k->p;
	uint8_t *d = pkt_data(p);

	memmove(d + gap, d, k->l.hdr_len);
	p->off += gap;
	p->len = k->l.hdr_len + payload;
	d += gap;
	d[k->l.next_off] = next;
	iphdr_set_total(d, &k->l, p->len);
	if (k->sa->fix_checksum)
		natoa_fix(k->sa->params, d, k->l.hdr_len, p->len, next);
	return 0;
}

int close_gap(struct work *k, uint32_t gap, uint32_t payload, uint8_t next)
{
	if (next == NEXT_NONE && k->sa->proto == SA_ESP)
		return DROP_ESP_DUMMY; /* RFC 4303 section 2.6 */
	if (k->sa->mode == SA_TUNNEL)
		return close_tunnel(k, gap, payload, next);
	return close_transport(k, gap, payload, next);
}

int esp_trailer(const uint8_t *data, uint32_t len, uint32_t *ret_payload, uint8_t *ret_next)
{
	uint32_t pad = data[len - 2];

	if (pad + 2 > len)
		return DROP_ESP_PADDING;
	for (uint32_t i = 0; i < pad; i++) {
		if (data[len - 2 - pad + i] != i + 1)
			return DROP_ESP_PADDING;
	}
	*ret_payload = len - 2 - pad;
	*ret_next = data[len - 1];
	return 0;
}

static int esp_finish(struct work *k, const struct crypto_job *job)
{
	uint32_t payload;
	uint8_t next;
	int drop = esp_trailer(job->base + job->cipher_off, job->cipher_len, &payload, &next);

	return drop ? drop : close_gap(k, k->encap + job->cipher_off, payload, next);
}

/* Where ESP or AH begins. */
static int header(struct work *k, const uint8_t *d)
{
	uint32_t avail = k->l.total - k->l.hdr_len;

	k->encap = 0;
	if (k->p->encap) {
		if (k->l.proto != PROTO_UDP || avail < UDP_HEADER)
			return DROP_ESP_MALFORMED;
		uint32_t len = get16(d + k->l.hdr_len + 4);
		if (len < UDP_HEADER || len > avail)
			return DROP_ESP_MALFORMED;
		k->l.total = k->l.hdr_len + len;
		k->encap = UDP_HEADER;
		avail = len - UDP_HEADER;
	} else if (k->l.proto != SA_ESP && k->l.proto != SA_AH) {
		return DROP_ESP_MALFORMED;
	}
	return avail < 12 ? DROP_ESP_MALFORMED : 0;
}

static void tell_unknown(struct ipsec_worker *w, const struct work *k, const struct addr *dst, uint8_t proto, uint32_t spi)
{
	const uint8_t *d = pkt_data(k->p);
	struct ipsec_notice n = {.kind = NOTICE_UNKNOWN_SPI, .proto = proto, .udp = k->encap, .spi = spi, .local = *dst, .remote = iphdr_src(d)};

	if (k->encap)
		n.port = get16(d + k->l.hdr_len);
	(void)notice_put(&w->notices, &n);
}

bool ipsec_knows(struct ipsec_worker *w, const struct pkt *p, uint32_t spi)
{
	if (sadb_lookup(w->db, &p->dst, SA_ESP, spi))
		return true;
	struct ipsec_notice n = {.kind = NOTICE_UNKNOWN_SPI, .proto = SA_ESP, .udp = true, .port = p->sport, .spi = spi, .local = p->dst, .remote = p->src};
	(void)notice_put(&w->notices, &n);
	return false;
}

void esp_tell_used(struct ipsec_worker *w, struct sa *sa, bool udp)
{
	if (atomic_load_explicit(&sa->used, memory_order_relaxed))
		return;
	struct ipsec_notice n = {.kind = NOTICE_TRAFFIC, .proto = sa->proto, .udp = udp, .tunnel = sa->tunnel->index, .spi = sa->spi};
	if (notice_put(&w->notices, &n))
		atomic_store_explicit(&sa->used, true, memory_order_relaxed);
}

/* After a packet was authenticated and is new: its SA works; and a NAT between us may have given the peer another
 * address. Only the newest packet says where the peer is now: one that a stranger delayed does not. */
static void tell_news(struct ipsec_worker *w, const struct work *k)
{
	struct sa *sa = k->sa;
	const uint8_t *d = pkt_data(k->p);
	struct ipsec_notice n = {.kind = NOTICE_MOVED, .proto = sa->proto, .udp = k->encap, .tunnel = sa->tunnel->index, .spi = sa->spi};

	esp_tell_used(w, sa, k->encap);
	if (!k->encap || !k->newest)
		return;
	struct addr src = iphdr_src(d);
	n.port = get16(d + k->l.hdr_len);
	if (n.port == k->path->sport && addr_equal(&src, &k->path->src))
		return;
	n.remote = src;
	n.local = iphdr_dst(d);
	(void)notice_put(&w->notices, &n);
}

/* Is it for the SA that the packet before was for? */
static bool meant(const struct sa *sa, uint32_t spi, uint8_t proto, const uint8_t *d)
{
	if (!sa || sa->spi != spi || sa->proto != proto)
		return false;
	const struct addr *own = &sa_outside(sa)->dst;
	if (d[0] >> 4 == 4)
		return own->family == 4 && !memcmp(own->b, d + 16, 4);
	return own->family == 6 && !memcmp(own->b, d + 24, 16);
}

int esp_find(struct ipsec_worker *w, struct work *k, uint8_t proto, uint32_t spi, struct sa **last)
{
	const uint8_t *d = pkt_data(k->p);
	struct sa *sa = *last;

	if (!meant(sa, spi, proto, d)) {
		struct addr dst = iphdr_dst(d);
		sa = sadb_lookup(w->db, &dst, proto, spi);
		if (!sa) {
			tell_unknown(w, k, &dst, proto, spi);
			return DROP_ESP_NO_SA;
		}
	}
	if (!atomic_load_explicit(&sa->tunnel->active, memory_order_relaxed))
		return DROP_ESP_NO_SA;
	if (atomic_load_explicit(&sa->expired, memory_order_relaxed))
		return DROP_ESP_EXPIRED;
	if (sa->over)
		return DROP_BUNDLE_NO_AH;
	*last = k->sa = sa;
	k->path = sa_outside(sa);
	return 0;
}

static int prepare(struct ipsec_worker *w, struct work *k, struct crypto_job *job, struct sa **last)
{
	struct pkt *p = k->p;
	uint8_t *d = pkt_data(p);

	if (!iphdr_plain(d, p->len, &k->l) && !iphdr_incoming(d, p->len, &k->l))
		return DROP_ESP_MALFORMED;
	if (k->l.fragment)
		return DROP_ESP_FRAGMENT;
	int drop = header(k, d);
	if (drop)
		return drop;
	uint8_t proto = k->encap ? SA_ESP : k->l.proto;
	drop = esp_find(w, k, proto, get32(d + k->l.hdr_len + k->encap + (proto == SA_AH ? 4 : 0)), last);
	if (drop)
		return drop;
	const struct sa *sa = k->sa;
	k->bytes = p->len = k->l.total;
	drop = sa->proto == SA_AH ? ah_prepare_in(w, k, job) : esp_prepare(w, k, job);
	if (drop == DROP_ESP_MALFORMED)
		count(&sa->counters[w->index].malformed, 1);
	return drop;
}

/* Packets that the library could not open. */
static void refuse_bad(struct ipsec_worker *w, struct sa *sa, unsigned at, unsigned end)
{
	unsigned bad = 0;

	for (unsigned i = at; i < end; i++) {
		if (w->jobs[i].failed)
			w->work[i].drop = DROP_ESP_CRYPTO;
		else if (w->jobs[i].bad)
			w->work[i].drop = DROP_ESP_AUTH;
		bad += w->jobs[i].bad;
	}
	if (bad) {
		count(&sa->counters[w->index].auth_failed, bad);
		if (sa->esn)
			atomic_fetch_add_explicit(&sa->unopened, bad, memory_order_relaxed);
	}
}

/* Packets of one SA. */
static void accept_some(struct ipsec_worker *w, struct sa *sa, unsigned at, unsigned end, bool wrong)
{
	struct sa_counters *c = &sa->counters[w->index];
	uint64_t packets = 0, bytes = 0;

	if (wrong)
		refuse_bad(w, sa, at, end);
	accept_run(w, sa, at, end);
	for (unsigned i = at; i < end; i++) {
		const struct work *k = &w->work[i];
		if (k->drop)
			continue;
		packets++;
		bytes += k->bytes;
		if (sa->tunnel->dynamic && !sa->under)
			tell_news(w, k);
	}
	count(&c->packets, packets);
	count(&c->bytes, bytes);
	if (packets && sa->esn && atomic_load_explicit(&sa->unopened, memory_order_relaxed))
		atomic_store_explicit(&sa->unopened, 0, memory_order_relaxed);
	if (atomic_load_explicit(&c->bytes, memory_order_relaxed) >= sa->hard_bytes)
		atomic_store_explicit(&sa->expired, true, memory_order_relaxed);
}

void esp_accept(struct ipsec_worker *w, unsigned jobs, bool wrong)
{
	for (unsigned i = 0, end; i < jobs; i = end) {
		struct sa *sa = w->work[i].sa;
		for (end = i; end < jobs && w->work[end].sa == sa; end++)
			w->work[end].drop = 0;
		accept_some(w, sa, i, end, wrong);
	}
}

int esp_done(struct ipsec_worker *w, struct work *k, const struct crypto_job *job)
{
	struct pkt *p = k->p;

	if (k->drop)
		return k->drop;
	int drop = k->sa->proto == SA_AH ? ah_finish_in(k) : esp_finish(k, job);
	if (!drop && k->sa->under)
		return bundle_opened(w, k);
	if (drop) {
		if (drop != DROP_ESP_DUMMY)
			count(&k->sa->counters[w->index].malformed, 1);
		return drop;
	}
	p->sa_in = k->sa->tunnel->index + 1;
	p->opaque = false;
	return 0;
}

void ipsec_in(struct ipsec_worker *w, struct pkt **pkts, unsigned n)
{
	struct sa *last = NULL;

	flat_begin(w);
	for (unsigned at = 0, end, jobs = 0; at < n; at = end, jobs = 0) {
		end = n - at < w->chunk ? n : at + w->chunk;
		for (unsigned i = at; i < end; i++) {
			fetch_ahead(pkts, i, n);
			if (flat_open_add(w, pkts[i]))
				continue;
			w->work[jobs].p = pkts[i];
			pkts[i]->drop = (uint16_t)prepare(w, &w->work[jobs], &w->jobs[jobs], &last);
			jobs += !pkts[i]->drop;
		}
		unsigned chunk = w->n_flat ? CHUNK : w->chunk;
		flat_open(w);
		if (jobs)
			esp_accept(w, jobs, crypto_run(w->crypto, w->jobs, jobs) != 0);
		for (unsigned i = 0; i < jobs; i++)
			w->work[i].p->drop = (uint16_t)esp_done(w, &w->work[i], &w->jobs[i]);
		w->chunk = !last ? chunk : last->aead ? CHUNK : CHUNK_LANES;
	}
	if (w->bundled.n)
		bundle_in(w);
}
