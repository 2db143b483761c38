/* bundle: AH over ESP in transport adjacency (RFC 4301 section 4.1; RFC 2401 section 4.5): two associations of one tunnel for one packet.
 *
 *   | IP | AH | ESP | payload | trailer |
 *
 * ESP comes first and encrypts, in the tunnel's mode: in tunnel mode the outer header is its own. AH stands between the header in
 * front and ESP, and covers all of it. So ESP needs no ICV of its own (it has one with an AEAD), and replay is refused by AH before
 * ESP sees a byte.
 *
 * The two belong together both ways. What our policy protects by both must come by both: ESP without its AH, AH without ESP inside,
 * and ESP inside the AH of another tunnel are dropped. Each of the two passes is the one that a single protocol has; a tunnel of ESP
 * alone pays one branch. */
#include "daemons/stack-core/ipsec/worker.h"

int bundle_opened(struct ipsec_worker *w, struct work *k)
{
	struct bundled *b = &w->bundled;

	if (pkt_data(k->p)[k->l.next_off] != SA_ESP) {
		count(&k->sa->counters[w->index].malformed, 1);
		return DROP_BUNDLE_NO_ESP;
	}
	b->pkts[b->n] = k->p;
	b->sas[b->n++] = k->sa->under;
	return 0;
}

/* As esp_in.c's prepare, but for an SA that is known: the partner of the AH that was around it. */
static int prepare(struct ipsec_worker *w, struct work *k, struct sa *sa, struct crypto_job *job)
{
	struct pkt *p = k->p;
	uint8_t *d = pkt_data(p);

	if (!iphdr_incoming(d, p->len, &k->l) || k->l.proto != SA_ESP || k->l.total - k->l.hdr_len < 12)
		return DROP_ESP_MALFORMED;
	if (get32(d + k->l.hdr_len) != sa->spi)
		return DROP_BUNDLE_MIXED;
	if (atomic_load_explicit(&sa->expired, memory_order_relaxed))
		return DROP_ESP_EXPIRED;
	k->encap = 0;
	k->sa = sa;
	k->path = sa_outside(sa);
	k->bytes = p->len;
	return esp_open(w, k, d + k->l.hdr_len, k->l.total - k->l.hdr_len, job);
}

void bundle_in(struct ipsec_worker *w)
{
	struct bundled *b = &w->bundled;
	unsigned n = b->n;

	b->n = 0;
	for (unsigned at = 0, end, jobs = 0; at < n; at = end, jobs = 0) {
		unsigned chunk = b->sas[at]->aead ? CHUNK : CHUNK_LANES;
		end = n - at < chunk ? n : at + chunk;
		for (unsigned i = at; i < end; i++) {
			struct work *k = &w->work[jobs];
			k->p = b->pkts[i];
			k->p->drop = (uint16_t)prepare(w, k, b->sas[i], &w->jobs[jobs]);
			if (k->p->drop == DROP_ESP_MALFORMED || k->p->drop == DROP_BUNDLE_MIXED)
				count(&b->sas[i]->counters[w->index].malformed, 1);
			jobs += !k->p->drop;
		}
		esp_accept(w, jobs, crypto_run(w->crypto, w->jobs, jobs) != 0);
		for (unsigned i = 0; i < jobs; i++)
			w->work[i].p->drop = (uint16_t)esp_done(w, &w->work[i], &w->jobs[i]);
	}
}

void bundle_out(struct ipsec_worker *w, struct pkt **pkts, struct sa *const *sas, unsigned n)
{
	struct bundled *b = &w->bundled;

	b->n = 0;
	for (unsigned i = 0; i < n; i++) {
		if (!sas[i] || !sas[i]->over || pkts[i]->drop)
			continue;
		b->pkts[b->n] = pkts[i];
		b->sas[b->n++] = sas[i]->over;
	}
	n = b->n;
	b->n = 0;
	ipsec_out(w, b->pkts, b->sas, n);
}
