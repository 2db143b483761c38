/* super: super-packets through ESP in UDP. The host's segments are cut right into the places where they are encrypted and sent, and
 * what a peer sent so is decrypted where it was received and closes up there: the bytes are copied once on their way out and moved
 * once on their way in, whatever their number; filters and routes decide once for all. */
#include "daemons/stack-core/count.h"
#include "daemons/stack-core/ip/cut.h"
#include "daemons/stack-core/ip/gro.h"
#include "daemons/stack-core/ip/parse.h"
#include "daemons/stack-core/ip/uso.h"
#include "daemons/stack-core/worker.h"
#include <string.h>

enum { UDP = 8, OUTER_MAX = IP6_HEADER + UDP };

/* All that is known of @p but its bytes. */
static void like(struct pkt *out, const struct pkt *p)
{
	uint8_t *buf = out->buf;
	uint32_t size = out->size;

	*out = *p;
	out->buf = buf;
	out->size = size;
	out->off = PKT_HEADROOM;
	out->gso_size = out->gso_type = 0;
	out->csum_partial = false;
	out->next = NULL;
}

/* Segments from byte @at on of the payload, at most @max of them; returns where the next would begin. */
static uint32_t fill(struct pkt *out, const struct pkt *p, const struct sa *sa, uint32_t header, uint32_t at, unsigned max,
	struct esp_slot *slots, unsigned *ret_n)
{
	uint8_t *to = pkt_data(out);
	unsigned n = 0;

	for (; n < max && at < p->len - header; n++, at += p->gso_size) {
		slots[n].inner = to + ipsec_slot_front(sa);
		slots[n].len = cut_segment(p, header, at, slots[n].inner);
		to = slots[n].inner + slots[n].len + ipsec_slot_tail(sa, slots[n].len);
	}
	out->len = (uint32_t)(to - pkt_data(out));
	*ret_n = n;
	return at;
}

void super_seal(struct worker *w, struct pkt *p, struct sa *sa, void (*emit)(struct worker *w, struct pkt *out))
{
	struct esp_slot slots[USO_SEGMENTS];
	uint32_t header = cut_header_len(p), whole = header + p->gso_size;
	uint32_t slot = ipsec_slot_front(sa) + whole + ipsec_slot_tail(sa, whole);
	uint32_t segments = (p->len - header + p->gso_size - 1u) / p->gso_size;
	uint32_t most = (65535u - OUTER_MAX) / slot;

	most = most > USO_SEGMENTS ? USO_SEGMENTS : most;
	most = (segments + (segments + most - 1) / most - 1) / ((segments + most - 1) / most); /* alike, none nearly empty */
	for (uint32_t at = 0; at < p->len - header;) {
		struct pkt *out = pkt_alloc_large(w->pool);
		unsigned n;
		if (!out) {
			count_add(&w->drops[DROP_IP_FRAG_ROOM], segments - at / p->gso_size);
			return;
		}
		like(out, p);
		at = fill(out, p, sa, header, at, most, slots, &n);
		out->drop = (uint16_t)ipsec_out_slots(w->ipsec, sa, out, slots, n);
		if (!out->drop) {
			count_add(&w->pass[PASS_ENCAP], n - 1);
			count_add(&w->pass[PASS_JOINED], n - 1);
			if (n > 1 || out->family == 6)
				uso_finish(out, slot);
			if (n == 1)
				out->gso_size = out->gso_type = 0;
		} else {
			count_add(&w->drops[out->drop], n - 1); /* @emit counts one */
		}
		tap_protected(&w->tap, &out, &sa, 1);
		emit(w, out);
	}
}

bool super_opens(struct worker *w, const struct pkt *p)
{
	uint32_t first = p->l4_off + (uint32_t)UDP, left = p->len - p->l4_off - UDP;

	if (p->len <= first || p->gso_size < 12 || left > (uint32_t)p->gso_size * ESP_SLOTS_MAX)
		return false;
	uint32_t spi = left < 4 ? 0 : ip_get32(pkt_data(p) + first);
	if (!spi || !ipsec_opens_slots(w->ipsec, p, spi))
		return false;
	for (uint32_t at = first; at < p->len; at += p->gso_size)
		if (p->len - at < 12 || ip_get32(pkt_data(p) + at) != spi)
			return false;
	return true;
}

static void lost(struct worker *w, const struct pkt *p, uint16_t reason)
{
	struct pkt seen = *p;

	count_add(&w->drops[reason], 1);
	tap_drop(&w->tap, &seen, reason);
	ids_discarded(w->ids, p);
}

static struct pkt *single(struct worker *w, const struct pkt *p, const struct esp_slot *s)
{
	bool small = s->len <= PKT_SMALL - PKT_HEADROOM - PKT_TAILROOM;
	struct pkt *o = small ? pkt_alloc(w->pool) : pkt_alloc_large(w->pool);

	if (!o) {
		lost(w, p, DROP_LINK_NO_BUFFER);
		return NULL;
	}
	like(o, p);
	o->len = s->len;
	memcpy(pkt_data(o), s->inner, s->len);
	(void)ip_parse(o);
	return o;
}

/* A run of them as one; in @reuse, their own buffer, if that is still free. */
static struct pkt *joined(struct worker *w, const struct pkt *outer, struct pkt *reuse, const struct gro_piece *pieces, unsigned n,
	const struct gro_run *run)
{
	struct pkt *o = reuse ? reuse : pkt_alloc_large(w->pool);

	if (!o)
		return NULL;
	if (!reuse)
		like(o, outer);
	(void)gro_join(o, pieces, n, run);
	count_add(&w->pass[PASS_JOINED], n - 1);
	return o;
}

static void opened(struct worker *w, struct pkt *o, const struct esp_slot *s, unsigned n)
{
	o->sa_in = s->tunnel;
	o->encap = false;
	count_add(&w->pass[PASS_DECAP], n - 1);
}

unsigned super_open(struct worker *w, struct pkt *p, struct pkt **out)
{
	struct esp_slot slots[ESP_SLOTS_MAX], *s = slots;
	struct gro_piece pieces[ESP_SLOTS_MAX];
	const struct pkt outer = *p; /* the buffer stays @p's */
	bool udp = w->stack->host_link >= 0 && w->stack->links[w->stack->host_link].uso, taken = false;
	unsigned n = ipsec_in_slots(w->ipsec, p, slots), good = 0, n_out = 0, run;
	struct gro_run how;

	if (!n) {
		count_add(&w->drops[DROP_ESP_MALFORMED], cut_packets(p) - 1);
		lost(w, p, DROP_ESP_MALFORMED);
	}
	for (unsigned i = 0; i < n; i++) {
		if (slots[i].drop) {
			lost(w, &outer, slots[i].drop);
			continue;
		}
		slots[good] = slots[i];
		pieces[good++] = (struct gro_piece){slots[i].inner, slots[i].len};
	}
	for (unsigned i = 0; i < good; i += run, s += run) {
		struct pkt *o = NULL;
		run = gro_run(pieces + i, good - i, udp, &how);
		if (run > 1)
			o = joined(w, &outer, taken ? NULL : p, pieces + i, run, &how);
		taken |= o == p;
		if (!o) {
			run = 1;
			o = single(w, &outer, s);
		}
		if (o) {
			opened(w, o, s, run);
			out[n_out++] = o;
		}
	}
	if (!taken)
		pkt_free(w->pool, p);
	return n_out;
}
