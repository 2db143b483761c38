/* ah: the Authentication Header (RFC 4302). Its ICV covers the IP header too, as far as routers
 * leave that alone: mutable fields count as zero (3.3.3.1). They are zeroed in place, the MAC is
 * computed, and the bytes saved before are put back.
 *
 * IPv4: TOS, flags and fragment offset, TTL, checksum; and every option but those of appendix A1
 * that do not change. IPv6: traffic class, flow label, hop limit; and the data of each hop-by-hop
 * or destination option whose type says that it may change en route. A source route that is not yet
 * finished would count as finished: such packets are refused, as is the type 0 routing header (RFC
 * 5095). */
#include "daemons/stack-core/ipsec/outer.h"
#include "daemons/stack-core/ipsec/worker.h"
#include <string.h>

enum {
	AH_FIXED = 12,
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_LSRR = 131,
	OPT_SSRR = 137,
	OPT6_PAD1 = 0,
	OPT6_MUTABLE = 0x20
};

static bool option_immutable(uint8_t type)
{
	switch (type) { /* RFC 4302 appendix A1 */
	case 130:	/* security */
	case 133:	/* extended security */
	case 134:	/* commercial security */
	case 148:	/* router alert */
	case 149:	/* sender directed multi-destination delivery */
		return true;
	default:
		return false;
	}
}

static bool zero_options(uint8_t *o, uint32_t len)
{
	for (uint32_t at = 0; at < len && o[at] != OPT_END;) {
		if (o[at] == OPT_NOP) {
			at++;
			continue;
		}
		if (len - at < 2 || o[at + 1] < 2 || o[at + 1] > len - at)
			return false;
		uint32_t size = o[at + 1];
		if ((o[at] == OPT_LSRR || o[at] == OPT_SSRR) && (size < 3 || o[at + 2] <= size))
			return false; /* hops are left */
		if (!option_immutable(o[at]))
			memset(o + at, 0, size);
		at += size;
	}
	return true;
}

static bool zero_v4(uint8_t *d, uint32_t hdr_len)
{
	d[1] = 0;
	memset(d + 6, 0, 3); /* flags, offset, TTL */
	put16(d + 10, 0);
	return zero_options(d + IP_V4_MIN, hdr_len - IP_V4_MIN);
}

static bool zero_options6(uint8_t *o, uint32_t len)
{
	for (uint32_t at = 2; at < len;) {
		if (o[at] == OPT6_PAD1) {
			at++;
			continue;
		}
		if (len - at < 2 || o[at + 1] > len - at - 2)
			return false;
		if (o[at] & OPT6_MUTABLE)
			memset(o + at + 2, 0, o[at + 1]);
		at += 2U + o[at + 1];
	}
	return true;
}

static bool zero_v6(uint8_t *d, uint32_t hdr_len)
{
	uint8_t next = d[6];

	put32(d, UINT32_C(6) << 28);
	d[7] = 0;
	for (uint32_t at = IP_V6_LEN; at < hdr_len;) { /* the layout checked that they fit */
		uint32_t len = (d[at + 1] + 1U) * 8;
		if (next == 43 && (d[at + 2] == 0 || d[at + 3] != 0))
			return false;
		if (next != 43 && !zero_options6(d + at, len))
			return false;
		next = d[at];
		at += len;
	}
	return true;
}

/* Saves the headers and zeroes what is mutable, and the ICV. */
static bool zero_mutable(struct ipsec_worker *w, struct work *k, uint32_t hdr_len)
{
	uint8_t *d = pkt_data(k->p);

	k->saved = w->saved[k - w->work];
	k->saved_len = hdr_len + k->ah_len;
	if (k->saved_len > AH_HEADER_MAX)
		return false;
	memcpy(k->saved, d, k->saved_len);
	memset(d + hdr_len + AH_FIXED, 0, k->sa->icv_len);
	return d[0] >> 4 == 4 ? zero_v4(d, hdr_len) : zero_v6(d, hdr_len);
}

static void set_job(struct work *k, struct crypto_job *job)
{
	struct pkt *p = k->p;

	job->base = pkt_data(p);
	job->icv = k->saved + k->saved_len - k->ah_len + AH_FIXED; /* out: comes back with the headers */
	job->cipher_off = 0;
	job->cipher_len = 0;
	job->hash_len = p->len;
	if (k->sa->esn) { /* RFC 4302 2.5.1: the high half follows the packet, unsent */
		put32(pkt_data(p) + p->len, (uint32_t)(k->seq >> 32));
		job->hash_len += 4;
	}
}

int ah_prepare_out(struct ipsec_worker *w, struct work *k, struct crypto_job *job)
{
	const struct sa *sa = k->sa;
	uint8_t outer = sa->mode == SA_TUNNEL ? k->path->dst.family : k->l.family;
	uint8_t *ah, next;

	k->ah_len = sa_ah_len(sa, outer);
	if (pkt_tailroom(k->p) < 4)
		return DROP_ESP_OUT_ROOM;
	int drop = open_gap(w, k, k->ah_len, 0, &ah, &next);
	if (drop)
		return drop;
	memset(ah, 0, k->ah_len);
	ah[0] = next;
	ah[1] = (uint8_t)(k->ah_len / 4 - 2);
	put32(ah + 4, sa->spi);
	put32(ah + 8, (uint32_t)k->seq);
	if (!zero_mutable(w, k, (uint32_t)(ah - pkt_data(k->p))))
		return DROP_ESP_OUT_UNFIT;
	set_job(k, job);
	return 0;
}

void ah_finish_out(struct work *k)
{
	memcpy(pkt_data(k->p), k->saved, k->saved_len);
}

int ah_prepare_in(struct ipsec_worker *w, struct work *k, struct crypto_job *job)
{
	const struct sa *sa = k->sa;
	uint8_t *ah = pkt_data(k->p) + k->l.hdr_len;
	uint32_t min = (uint32_t)AH_FIXED + sa->icv_len;

	/* Some senders pad to 8 bytes under IPv4 too: padding is covered by the ICV and harmless.
	 */
	k->ah_len = (ah[1] + 2U) * 4;
	if (k->ah_len < min || k->ah_len > min + 7 || k->ah_len > k->l.total - k->l.hdr_len ||
		(k->l.family == 6 && k->ah_len % 8))
		return DROP_ESP_MALFORMED;
	if (pkt_tailroom(k->p) < 4)
		return DROP_ESP_MALFORMED;
	int drop = check_number(w, k, get32(ah + 8));
	if (drop)
		return drop;
	if (!zero_mutable(w, k, k->l.hdr_len))
		return DROP_ESP_MALFORMED;
	set_job(k, job);
	job->key = sa->key;
	job->encrypt = false;
	if (sa->esn)
		resync(w, k, job);
	return 0;
}

int ah_finish_in(struct work *k)
{
	uint8_t *d = pkt_data(k->p);

	memcpy(d, k->saved, k->saved_len);
	return close_gap(k, k->ah_len, k->l.total - k->l.hdr_len - k->ah_len, d[k->l.hdr_len]);
}
