/* esp_slots: ESP in UDP whose packets lie one behind the other in one buffer, as the kernel takes and gives super-packets of UDP
 * (UDP_SEGMENT): outer headers once, then slots of equal length but the last, each an ESP packet.
 *
 *   | IP UDP | ESP IV inner pad trailer ICV | ESP IV inner pad trailer ICV | ...
 *
 * Sealing and opening work in place: no packet is copied to have headers of its own. For the peer and for SAs nothing
 * differs: every slot has its number, its ICV, its place in the replay window. */
#include "daemons/stack-core/ipsec/outer.h"
#include "daemons/stack-core/ipsec/worker.h"

enum { UDP_HEADER = 8, PROTO_UDP = 17, NEXT_IPV4 = 4, NEXT_IPV6 = 41, NEXT_NONE = 59 };

bool ipsec_takes_slots(const struct sa *sa)
{
	return sa->proto == SA_ESP && sa->mode == SA_TUNNEL && sa_outside(sa)->udp;
}

uint32_t ipsec_slot_front(const struct sa *sa)
{
	return 8U + sa->iv_len;
}

uint32_t ipsec_slot_tail(const struct sa *sa, uint32_t len)
{
	return esp_padding(sa, len) + 2U + sa->icv_len;
}

static int seal_chunk(struct ipsec_worker *w, struct sa *sa, uint64_t seq, const struct esp_slot *slots, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct work *k = &w->work[i];
		k->sa = sa;
		k->seq = seq + i;
		esp_fill(w, k, slots[i].inner - ipsec_slot_front(sa), slots[i].len, slots[i].inner[0] >> 4 == 4 ? NEXT_IPV4 : NEXT_IPV6, &w->jobs[i]);
	}
	return crypto_run(w->crypto, w->jobs, n) ? DROP_ESP_CRYPTO : 0;
}

/* In front of the first slot; @inner is what its header is made of. */
static void outer_headers(struct ipsec_worker *w, const struct sa *sa, const struct sa_path *path, const uint8_t *inner, struct pkt *out)
{
	uint32_t payload = out->len, ip = outer_len(path);
	uint8_t *udp = pkt_data(out) - UDP_HEADER;

	put16(udp, path->sport);
	put16(udp + 2, path->dport);
	put16(udp + 4, (uint16_t)(payload + UDP_HEADER));
	put16(udp + 6, 0);
	out->off -= UDP_HEADER + ip;
	out->len += UDP_HEADER + ip;
	(void)outer_write(pkt_data(out), sa, path, inner, out->len, w->ip_id);
	out->l4_off = (uint16_t)ip;
}

static void describe(struct pkt *out, const struct sa_path *path)
{
	const uint8_t *d = pkt_data(out);

	out->family = d[0] >> 4;
	out->proto = PROTO_UDP;
	out->sealed = out->opaque = true;
	out->tos = iphdr_tos(d);
	out->src = path->src;
	out->dst = path->dst;
}

static int usable(struct sa *sa)
{
	if (!atomic_load_explicit(&sa->tunnel->active, memory_order_relaxed))
		return DROP_ESP_OUT_NO_SA;
	return atomic_load_explicit(&sa->expired, memory_order_relaxed) ? DROP_ESP_EXPIRED : 0;
}

/* The outer header is made of the first inner one before that is encrypted. */
int ipsec_out_slots(struct ipsec_worker *w, struct sa *sa, struct pkt *out, const struct esp_slot *slots, unsigned n)
{
	const struct sa_path *path = sa_outside(sa);
	struct sa_counters *c = &sa->counters[w->index];
	int drop = usable(sa);

	if (drop)
		return drop;
	if (!n || pkt_headroom(out) < outer_len(path) + UDP_HEADER || out->len + outer_len(path) + UDP_HEADER > IP_MAX)
		return DROP_ESP_OUT_ROOM;
	uint64_t seq = esp_numbers(sa, n);
	if (!seq || seq + n - 1 > sa->seq_limit) {
		atomic_store_explicit(&sa->exhausted, true, memory_order_relaxed);
		return DROP_ESP_OUT_SEQ;
	}
	outer_headers(w, sa, path, slots[0].inner, out);
	w->ip_id = (uint16_t)(w->ip_id + n);
	unsigned chunk = sa->aead ? CHUNK : CHUNK_LANES;
	for (unsigned at = 0; !drop && at < n; at += chunk)
		drop = seal_chunk(w, sa, seq + at, slots + at, n - at < chunk ? n - at : chunk);
	if (drop)
		return drop;
	describe(out, path);
	count(&c->packets, n);
	count(&c->bytes, out->len + (n - 1) * (outer_len(path) + UDP_HEADER));
	if (atomic_load_explicit(&c->bytes, memory_order_relaxed) >= sa->hard_bytes)
		atomic_store_explicit(&sa->expired, true, memory_order_relaxed);
	return 0;
}

bool ipsec_opens_slots(struct ipsec_worker *w, const struct pkt *p, uint32_t spi)
{
	const struct sa *sa = sadb_lookup(w->db, &p->dst, SA_ESP, spi);
	return sa && sa->mode == SA_TUNNEL;
}

/* After the ICV was found right. */
static int open_slot(struct work *k, const struct crypto_job *job, struct esp_slot *s)
{
	uint32_t payload;
	uint8_t next;
	int drop = esp_trailer(job->base + job->cipher_off, job->cipher_len, &payload, &next);

	if (drop)
		return drop;
	if (next == NEXT_NONE)
		return DROP_ESP_DUMMY;
	s->inner = job->base + job->cipher_off;
	if (next != NEXT_IPV4 && next != NEXT_IPV6)
		return DROP_ESP_INNER;
	s->len = esp_inner_length(s->inner, payload, next);
	if (!s->len)
		return DROP_ESP_INNER;
	return outer_ecn(iphdr_tos(pkt_data(k->p)), s->inner) ? 0 : DROP_ESP_ECN;
}

static void open_chunk(struct ipsec_worker *w, const struct work *all, struct esp_slot *slots, unsigned n, struct sa **last)
{
	unsigned jobs = 0, of[ESP_SLOTS_MAX];

	for (unsigned i = 0; i < n; i++) {
		struct work *k = &w->work[jobs];
		struct esp_slot *s = &slots[i];
		*k = *all;
		int drop = s->len < 12 ? DROP_ESP_MALFORMED : esp_find(w, k, SA_ESP, get32(s->inner), last);
		if (!drop && k->sa->mode != SA_TUNNEL)
			drop = DROP_ESP_MALFORMED;
		k->bytes = k->l.hdr_len + UDP_HEADER + s->len;
		s->drop = (uint16_t)(drop ? drop : esp_open(w, k, s->inner, s->len, &w->jobs[jobs]));
		if (!s->drop)
			of[jobs++] = i;
	}
	esp_accept(w, jobs, crypto_run(w->crypto, w->jobs, jobs) != 0);
	for (unsigned i = 0; i < jobs; i++) {
		struct work *k = &w->work[i];
		struct esp_slot *s = &slots[of[i]];
		int drop = k->drop;
		if (!drop && (drop = open_slot(k, &w->jobs[i], s)) && drop != DROP_ESP_DUMMY)
			count(&k->sa->counters[w->index].malformed, 1);
		s->drop = (uint16_t)drop;
		s->tunnel = k->sa->tunnel->index + 1;
	}
}

unsigned ipsec_in_slots(struct ipsec_worker *w, struct pkt *p, struct esp_slot *slots)
{
	struct work all = {.p = p, .encap = UDP_HEADER};
	struct sa *last = NULL;
	unsigned n = 0;

	if (!iphdr_incoming(pkt_data(p), p->len, &all.l) || all.l.fragment || all.l.proto != PROTO_UDP || all.l.hdr_len + UDP_HEADER >= p->len)
		return 0;
	uint8_t *at = pkt_data(p) + all.l.hdr_len + UDP_HEADER, *end = pkt_data(p) + p->len;
	for (; at < end && n < ESP_SLOTS_MAX; at += p->gso_size, n++)
		slots[n] = (struct esp_slot){.inner = at, .len = (uint32_t)(end - at) < p->gso_size ? (uint32_t)(end - at) : p->gso_size};
	for (unsigned i = 0; i < n; i += w->chunk)
		open_chunk(w, &all, slots + i, n - i < w->chunk ? n - i : w->chunk, &last);
	return n;
}
