/* esp_flat: what nearly every packet is, with nothing to decide: ESP with AES-GCM in tunnel mode, numbers of 32 bits, IPv4 without
 * options outside, no UDP. Its parts lie side by side as RFC 4106 wants them, AAD, IV, data and ICV,
 *
 *   | outer IPv4 | SPI number | IV | inner packet, pad, trailer | ICV |
 *
 * so there is no job to fill in and no header to walk. Whatever does not look like that, or would have to be refused before
 * its ICV is checked, is left to esp_in.c and esp_out.c, which know every case and count every reason.
 *
 * Packets of one SA are accepted together, wherever they stand in the batch: the window is locked once, counters are
 * added to once. */
#include "daemons/stack-core/ipsec/outer.h"
#include "daemons/stack-core/ipsec/worker.h"

enum { HEADER = 8, IV = 8, ICV = 16, FRONT = HEADER + IV, NEXT_IPV4 = 4, NEXT_IPV6 = 41, NEXT_NONE = 59, ECN_ECT1 = 1, NONE = UINT16_MAX };

/* Pad bytes 1, 2, ... and the two of the trailer: at most one word, as the block is 4. */
static void write_trailer(uint8_t *end, uint32_t pad)
{
	for (uint32_t i = 0; i < pad; i++)
		end[i] = (uint8_t)(i + 1);
	end[pad] = (uint8_t)pad;
	end[pad + 1] = NEXT_IPV4;
}

static void describe(struct pkt *p, const struct sa_path *path)
{
	p->family = 4;
	p->proto = SA_ESP;
	p->icmp_type = p->icmp_code = 0;
	p->l4_off = IP_V4_MIN;
	p->sport = p->dport = 0;
	p->fragment = false;
	p->opaque = true;
	p->src = path->src;
	p->dst = path->dst;
	p->sealed = true;
}

bool flat_path(const struct sa *sa, const struct sa_path *path)
{
	return sa->flat && !path->udp && path->dst.family == 4;
}

uint32_t flat_seal_add(struct ipsec_worker *w, struct sa *sa, const struct sa_path *path, uint64_t seq, struct pkt *p)
{
	uint8_t *inner = pkt_data(p);
	struct iphdr_layout l;

	if (p->csum_partial || !iphdr_plain(inner, p->len, &l))
		return 0;
	uint32_t pad = esp_padding(sa, l.total), data = l.total + pad + 2, total = IP_V4_MIN + FRONT + data + ICV;
	if (p->off < IP_V4_MIN + FRONT || p->size - p->off < data + ICV || total > IP_MAX)
		return 0;
	write_trailer(inner + l.total, pad);
	put32(inner - FRONT, sa->spi);
	put32(inner - FRONT + 4, (uint32_t)seq);
	put64(inner - IV, sa->iv_base + seq);
	p->tos = outer_write4(inner - FRONT - IP_V4_MIN, sa, path, inner, total, w->ip_id++);
	p->off -= IP_V4_MIN + FRONT;
	p->len = total;
	describe(p, path);

	struct crypto_flat *job = &w->flat_jobs[w->n_flat++];
	job->key = sa->key;
	job->data = inner;
	job->len = data;
	memcpy(job->salt, sa->salt, CRYPTO_SALT);
	return total;
}

void flat_seal(struct ipsec_worker *w)
{
	crypto_seal_flat(w->crypto, w->flat_jobs, w->n_flat);
	w->n_flat = 0;
}

void flat_begin(struct ipsec_worker *w)
{
	for (unsigned i = 0; i < FLAT_GROUPS; i++)
		w->groups[i] = (struct flat_group){.first = NONE};
}

/* The group of packets for this SA. NULL: there is no such SA that is usable here, or the place is taken. */
static struct flat_group *find_group(struct ipsec_worker *w, const uint8_t *d, uint32_t spi)
{
	struct flat_group *g = &w->groups[spi & (FLAT_GROUPS - 1)];

	if (g->sa && g->sa->spi == spi && !memcmp(g->dst, d + 16, 4))
		return g;
	if (g->first != NONE)
		return NULL;
	struct addr dst = iphdr_address(d + 16, 4);
	struct sa *sa = sadb_lookup(w->db, &dst, SA_ESP, spi);
	if (!sa || !sa->flat || !atomic_load_explicit(&sa->tunnel->active, memory_order_relaxed))
		return NULL;
	g->sa = sa;
	memcpy(g->dst, d + 16, 4);
	return g;
}

bool flat_open_add(struct ipsec_worker *w, struct pkt *p)
{
	uint8_t *d = pkt_data(p);
	struct iphdr_layout l;

	if (p->encap || !iphdr_plain(d, p->len, &l) || l.proto != SA_ESP || l.fragment || l.total < IP_V4_MIN + FRONT + 4 + ICV || (l.total & 3))
		return false;
	struct flat_group *g = find_group(w, d, get32(d + IP_V4_MIN));
	if (!g || atomic_load_explicit(&g->sa->expired, memory_order_relaxed))
		return false;
	uint32_t seq = get32(d + IP_V4_MIN + 4);
	if (replay_check(&g->sa->replay, seq) != REPLAY_OK)
		return false;
	uint16_t at = (uint16_t)w->n_flat++;
	struct crypto_flat *job = &w->flat_jobs[at];
	job->key = g->sa->key;
	job->data = d + IP_V4_MIN + FRONT;
	job->len = l.total - IP_V4_MIN - FRONT - ICV;
	memcpy(job->salt, g->sa->salt, CRYPTO_SALT);
	w->flat[at] = (struct flat){.p = p, .seq = seq, .bytes = l.total, .next = NONE};
	p->len = l.total;
	if (g->first == NONE)
		g->first = at;
	else
		w->flat[g->last].next = at;
	g->last = at;
	return true;
}

/* After the ICV was found right and the number new. */
static int close_tunnel(struct pkt *p, uint8_t *data, uint32_t len)
{
	uint32_t payload, total;
	struct iphdr_layout l;
	uint8_t next;
	int drop = esp_trailer(data, len, &payload, &next);

	if (drop)
		return drop;
	if (next == NEXT_IPV4 && iphdr_plain(data, payload, &l))
		total = l.total;
	else if (next == NEXT_NONE)
		return DROP_ESP_DUMMY;
	else if ((next != NEXT_IPV4 && next != NEXT_IPV6) || !(total = esp_inner_length(data, payload, next)))
		return DROP_ESP_INNER;
	uint8_t tos = pkt_data(p)[1];
	if ((tos & ECN_ECT1) && !outer_ecn(tos, data)) /* ECT(1) or CE: the others change nothing */
		return DROP_ESP_ECN;
	p->off += IP_V4_MIN + FRONT;
	p->len = total;
	return 0;
}

static void close_group(struct ipsec_worker *w, struct sa *sa, unsigned first)
{
	for (unsigned i = first; i != NONE; i = w->flat[i].next) {
		struct flat *f = &w->flat[i];
		int drop = f->drop;
		if (!drop && (drop = close_tunnel(f->p, w->flat_jobs[i].data, w->flat_jobs[i].len)) && drop != DROP_ESP_DUMMY)
			count(&sa->counters[w->index].malformed, 1);
		f->p->drop = (uint16_t)drop;
		if (drop)
			continue;
		f->p->sa_in = sa->tunnel->index + 1;
		f->p->opaque = false;
	}
}

static void refuse_bad(struct ipsec_worker *w, struct sa *sa, unsigned first)
{
	unsigned bad = 0;

	for (unsigned i = first; i != NONE; i = w->flat[i].next) {
		if (!w->flat_jobs[i].bad)
			continue;
		w->flat[i].drop = DROP_ESP_AUTH;
		bad++;
	}
	if (bad)
		count(&sa->counters[w->index].auth_failed, bad);
}

static void accept_group(struct ipsec_worker *w, struct sa *sa, unsigned first, bool wrong)
{
	struct sa_counters *c = &sa->counters[w->index];
	uint64_t packets = 0, bytes = 0;

	if (wrong)
		refuse_bad(w, sa, first);
	accept_flat(w, sa, first);
	for (unsigned i = first; i != NONE; i = w->flat[i].next) {
		if (w->flat[i].drop)
			continue;
		packets++;
		bytes += w->flat[i].bytes;
	}
	count(&c->packets, packets);
	count(&c->bytes, bytes);
	if (packets && sa->tunnel->dynamic)
		esp_tell_used(w, sa, false);
	if (atomic_load_explicit(&c->bytes, memory_order_relaxed) >= sa->hard_bytes)
		atomic_store_explicit(&sa->expired, true, memory_order_relaxed);
}

void flat_open(struct ipsec_worker *w)
{
	if (!w->n_flat)
		return;
	bool wrong = crypto_open_flat(w->crypto, w->flat_jobs, w->n_flat) != 0;
	for (struct flat_group *g = w->groups; g < w->groups + FLAT_GROUPS; g++) {
		if (g->first == NONE)
			continue;
		accept_group(w, g->sa, g->first, wrong);
		close_group(w, g->sa, g->first);
		g->first = NONE;
	}
	w->n_flat = 0;
}
